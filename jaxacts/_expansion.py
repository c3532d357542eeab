"""Functions of αe^x about zeros that move with the parameters.

Beside a zero, f(x) = αe^x - (what is linear in x) cancels to nothing. It is there

    f(c + d) = f(c) + f'(c) d + αe^c (e^d - 1 - d)

with c the float nearest to the zero, or one of its neighbours: d is exact, and no
sum cancels. f(c) is about 2^-24 in float32 and is needed to 2^-52 or so: more than
twice the digits. It is computed once, of parameters alone, as a sum of three numbers.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxacts import _numerics as num
from jaxacts import _pairs as pairs
from jaxacts._numerics import Array

__all__ = ["Expansion", "added", "exp_minus", "expansion_near"]

Pair = tuple[Array, Array]
Triple = tuple[Array, Array, Array]


class Expansion(NamedTuple):
    """f(c + d) = value + slope d + bend (e^d - 1 - d); value and slope are pairs."""

    value: Pair
    slope: Pair
    bend: Array


# --- sums of three ----------------------------------------------------------------


def added(first: Array, second: Array, *smaller: Array) -> Triple:
    """The sum, to 2.5 times the digits: the third part is a plain sum.

    ``smaller``: numbers no larger than the last places of the first two.
    """
    high, middle = pairs.two_sum(first, second)
    low = jnp.zeros_like(high)
    for term in smaller:
        middle, error = pairs.two_sum(middle, term)
        low = low + error
    return high, middle, low


# --- αe^c - v -----------------------------------------------------------------------

# e^-80 is nothing beside the rest, which is about 1.
_REACH = -80.0


def _split_ln2(bits: int) -> tuple[float, float, float]:
    """ln 2 in three parts, the first two so short that small multiples are exact."""
    rest = Fraction(
        "0.6931471805599453094172321214581765680755001343602552541206800095"
    )
    parts: list[float] = []
    for _ in range(2):
        exponent = math.frexp(float(rest))[1] - bits
        parts.append(
            math.ldexp(math.floor(math.ldexp(float(rest), -exponent)), exponent)
        )
        rest -= Fraction(parts[-1])
    return parts[0], parts[1], float(rest)


_LN2 = {"float32": _split_ln2(16), "float64": _split_ln2(44)}


def _coth_coefficients(length: int) -> tuple[str, ...]:
    """2 B(2k)/(2k)! for k = 1, 2, ..., of Bernoulli's numbers B."""
    b: list[Fraction] = [Fraction(1)]
    for n in range(1, 2 * length + 1):
        total = sum((math.comb(n + 1, k) * b[k] for k in range(n)), Fraction(0))
        b.append(-total / (n + 1))
    return tuple(
        str(2 * b[2 * k] / math.factorial(2 * k)) for k in range(1, length + 1)
    )


# r coth(r/2) = 2 + r² (c0 + c1 r² + ...); |r| <= ln(2)/2.
_COTH = _coth_coefficients(13)
# How many coefficients; with how many a product by halves is exact enough, each
# being a hundredth of the one before; and with how many it takes all digits.
_COTH_LENGTHS = {"float32": (6, 3, 1), "float64": (13, 6, 3)}


def _coth_rest(square: Pair) -> Pair:
    """r coth(r/2) - 2 as a function of r²."""
    length, long, longest = _COTH_LENGTHS[str(square[0].dtype)]
    short = tuple(float(Fraction(c)) for c in _COTH[long:length])
    y = num.horner(square[0], short), jnp.zeros_like(square[0])
    for text in _COTH[longest:long][::-1]:
        p, p_low = num.product(square[0], y[0], square[1], y[1])
        c, c_low = num.constant(text, p.dtype)
        total, rest = pairs.two_sum(p, jnp.full_like(p, c))
        y = total, rest + (p_low + c_low)
    for text in _COTH[:longest][::-1]:
        y = pairs.horner_step(text, square, y)
    return pairs.multiply(square, y)


def _reduced(c: Array) -> tuple[Triple, Array, Array]:
    """(r, s1, s2) with e^c = e^r s1 s2."""
    _, s1, s2 = num.exp_parts(c, jnp.zeros_like(c))
    n = lax.round(c * num.LOG2E, lax.RoundingMethod.TO_NEAREST_EVEN)
    first, second, third = _LN2[str(c.dtype)]
    return added(c - n * first, -n * second, -n * third), s1, s2


def exp_minus(alpha: Array, c: Array, v: Triple) -> Pair:
    """αe^c - v for c <= 0, with an error of some 2^-54 α in float32, 2^-112 α in
    float64: e^r is (R + r)/(R - r) with R = r coth(r/2), so no quotient cancels."""
    r, s1, s2 = _reduced(num.clamp(c, _REACH))
    rest = _coth_rest(pairs.multiply(r[:2], r[:2]))
    power = num.scale(alpha, s1, s2)
    less = added(power, -v[0], -v[1])
    more = added(power, v[0], v[1])
    # less (2 + rest) + more r, the largest numbers first.
    bent, bent_low = pairs.multiply(less[:2], rest)
    main, main_low = pairs.exact_product(more[0], r[0])
    cross, cross_low = num.product(more[0], r[1])
    other, other_low = num.product(more[1], r[0])
    high, middle, low = added(
        2.0 * less[0], main, bent, 2.0 * less[1], main_low, cross, other
    )
    low = low + (2.0 * (less[2] - v[2]) + (bent_low + cross_low + other_low))
    low = low + (more[1] * r[1] + more[0] * r[2] + (more[2] + v[2]) * r[0])
    high, middle = pairs.two_sum(high, middle)
    # ... over R - r.
    d, d_low = pairs.two_sum(rest[0] - r[0], jnp.full_like(c, 2.0))
    d_low = d_low + (pairs.two_sum(rest[0], -r[0])[1] + (rest[1] - r[1]))
    q, delta = num.inverse(d, d_low)
    first, second = num.product(high, q, middle + low)
    return first, second + first * delta


# --- the expansion --------------------------------------------------------------------


def _remainder_coefficients(length: int) -> tuple[float, ...]:
    return tuple(1.0 / math.factorial(k + 2) for k in range(length))


# (e^d - 1 - d)/d² for |d| <= 1/2.
_REMAINDER = {
    "float32": _remainder_coefficients(7),
    "float64": _remainder_coefficients(14),
}


def expansion_near(
    x: Array, centre: Array, e: Expansion, left: Array, right: Array, otherwise: Array
) -> Array:
    """f of the expansion where -left < x - centre < right; else as given.

    Beyond 1/2 the bend stays as it is there, where it must be as good as none.
    """
    d = x - centre
    inside = (d > -left) & (d < right)
    d = jnp.where(inside, d, 0.0)
    curved = num.clamp(d, -0.5, 0.5)
    coefficients = _REMAINDER[str(np.dtype(x.dtype))]
    p, p_low = num.product(d, e.slope[0], 0.0, e.slope[1])
    bend = e.bend * ((curved * curved) * num.horner(curved, coefficients))
    # The first sum is exact beside the zero: p is.
    near = (p + e.value[0]) + (p_low + (e.value[1] + bend))
    return jnp.where(inside, near, otherwise)
