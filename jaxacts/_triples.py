"""Numbers as unevaluated sums (high, middle, low): about 2.5 times the digits.

High and middle are summed without error; low, of some 2^-48 in float32, is a plain
sum. An error is about 2^-60 in float32, 2^-130 in float64, of the largest number in
a sum: what cancels to as little as one float can tell has all its digits left.
"""

from __future__ import annotations

from jaxacts import _numerics as num
from jaxacts import _pairs as pairs
from jaxacts._numerics import Array

__all__ = ["Parts", "add", "horner_step", "multiply", "negative", "pair", "scaled"]

# One number, two or three: those that are left out are 0.
Parts = tuple[Array, ...]


def _collected(high: Array, middle: list[Array], low: list[Array]) -> Parts:
    """The sum of all; numbers of ``middle`` are as small as errors of high."""
    total, errors = middle[0], list(low)
    for term in middle[1:]:
        total, error = pairs.two_sum(total, term)
        errors.append(error)
    rest = errors[0]
    for error in errors[1:]:
        rest = rest + error
    return high, total, rest


def add(a: Parts, b: Parts) -> Parts:
    """a + b, both of three parts; what cancels moves up."""
    high, error = pairs.two_sum(a[0], b[0])
    _, middle, low = _collected(high, [a[1], b[1], error], [a[2], b[2]])
    high, middle = pairs.two_sum(high, middle)
    return high, middle, low


def negative(a: Parts) -> Parts:
    """-a."""
    return tuple(-part for part in a)


def scaled(a: Parts, factor: Array | float) -> Parts:
    """a times a power of two."""
    return tuple(part * factor for part in a)


def horner_step(c: Parts, u: Array, u_low: Array, a: Parts) -> Parts:
    """c + (u + u_low) a, as exact as said where u_low is 0, as pairs are elsewhere."""
    p, p_low = pairs.exact_product(a[0], u)
    high, error = pairs.two_sum(p, c[0])
    middle, low = [p_low + a[0] * u_low, error, *c[1:2]], [*c[2:]]
    if len(a) > 1:
        q, q_low = num.product(a[1], u)
        middle.append(q)
        low.append(q_low)
    if len(a) > 2:
        low.append(a[2] * u)
    return _collected(high, middle, low)


def multiply(a: Parts, b: Parts) -> Parts:
    """a times b, both of three parts."""
    high, error = pairs.exact_product(a[0], b[0])
    cross, cross_low = num.product(a[0], b[1])
    other, other_low = num.product(a[1], b[0])
    rest = a[1] * b[1] + (a[0] * b[2] + a[2] * b[0])
    return _collected(high, [error, cross, other], [cross_low + other_low, rest])


def pair(a: Parts) -> tuple[Array, Array]:
    """a as a sum of two."""
    high, middle = pairs.two_sum(a[0], a[1])
    return high, middle + a[2]
