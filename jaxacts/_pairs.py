"""Numbers as unevaluated sums (high, low): about twice the digits.

Where `_numerics.product` is right to a third more digits, `multiply` here is right
to all: 2^-46 in float32, 2^-104 in float64. No product is added to anything before
it is exact, so that fused multiply-add changes nothing, and no error of a sum is
taken from a constant, which XLA would cancel.
"""

from __future__ import annotations

import math
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxacts import _numerics as num
from jaxacts._numerics import Array

__all__ = [
    "add",
    "exact_product",
    "horner_step",
    "multiply",
    "times_constant",
    "two_sum",
]

Pair = tuple[Array, Array]


def two_sum(a: Array, b: Array) -> Pair:
    """a + b exactly; a must not be a constant."""
    total = a + b
    return total, num.sum_low(a, b, total)


def _normal(high: Array, low: Array) -> Pair:
    """The same sum with low below half a place of high, for |high| >= |low|."""
    total = high + low
    return total, low - (total - high)


def add(a: Pair, b: Pair) -> Pair:
    """a + b, where neither is a constant."""
    total, rest = two_sum(a[0], b[0])
    return _normal(total, rest + (a[1] + b[1]))


def exact_product(a: Array, b: Array) -> Pair:
    """a times b to the last bit (Dekker), if it and its bits are in range."""
    a_high, b_high = _rounded_half(a), _rounded_half(b)
    a_rest, b_rest = a - a_high, b - b_high
    p = a * b
    p = jnp.where(jnp.abs(p) < jnp.inf, p, p + p)  # not to be contracted
    error = ((a_high * b_high - p) + a_high * b_rest) + a_rest * b_high
    return p, error + a_rest * b_rest


def _rounded_half(x: Array) -> Array:
    """x to half of its bits, nearest, so that the rest has the other half."""
    if x.dtype == jnp.float32:
        return num.high_part(x)
    bits = lax.bitcast_convert_type(x, jnp.uint64) + np.uint64(2**26)
    kept = bits & np.uint64(0xFFFFFFFFF8000000)
    return lax.bitcast_convert_type(kept, jnp.float64)


def _from_halves(parts_a: Pair, parts_b: Pair, low: Array) -> Pair:
    cross, other = parts_a[0] * parts_b[1], parts_a[1] * parts_b[0]
    middle = cross + other
    low = low + (num.sum_low(cross, other, middle) + parts_a[1] * parts_b[1])
    main = parts_a[0] * parts_b[0]
    total, rest = _normal(main, middle)
    return _normal(total, rest + low)


def multiply(a: Pair, b: Pair) -> Pair:
    """a times b."""
    a_high, b_high = num.high_part(a[0]), num.high_part(b[0])
    halves_a, halves_b = (a_high, a[0] - a_high), (b_high, b[0] - b_high)
    return _from_halves(halves_a, halves_b, a[0] * b[1] + a[1] * b[0])


def _split_constant(text: str, dtype: np.dtype) -> tuple[float, float, float]:
    """A decimal constant as two short numbers and a rest."""
    bits = 12 if dtype == jnp.float32 else 26
    rest = Fraction(text)
    parts = []
    for _ in range(2):
        mantissa, exponent = math.frexp(float(rest))
        short = math.ldexp(round(math.ldexp(mantissa, bits)), exponent - bits)
        parts.append(short)
        rest -= Fraction(short)
    return parts[0], parts[1], float(rest)


def times_constant(text: str, a: Pair) -> Pair:
    """A decimal constant times a."""
    first, second, rest = _split_constant(text, a[0].dtype)
    a_high = num.high_part(a[0])
    low = a[0] * rest + a[1] * (first + second)
    return _from_halves((a_high, a[0] - a_high), (first, second), low)  # type: ignore


def horner_step(text: str, z: Pair, a: Pair) -> Pair:
    """The decimal constant plus z times a."""
    c, c_low = num.constant(text, z[0].dtype)
    p, p_low = multiply(z, a)
    total = p + c
    rest = num.sum_low(p, jnp.full_like(p, c), total)
    return _normal(total, rest + (p_low + c_low))
