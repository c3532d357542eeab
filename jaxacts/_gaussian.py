"""The normal distribution: its tail, what gelu is made of, and the error function.

Φ(-z) is e^(-z²/2)/(z + 4) times a polynomial in (z - 4)/(z + 4).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxacts import _coefficients
from jaxacts import _numerics as num
from jaxacts._numerics import Array

__all__ = [
    "DENSITY_AT_0",
    "ROOT_TWO",
    "Tail",
    "erf",
    "half_square",
    "lower_slope",
    "lower_tail",
    "mills",
    "tail",
]

Pair = tuple[Array, Array]
DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)
ROOT_TWO = "1.41421356237309504880168872420969807857"


class Tail(NamedTuple):
    """z = |x|, cut where e^(-z²/2) = (1 + t) s1 s2 is 0 for every use, and
    w = (z - 4)/(z + 4), r = 1/(z + 4), with the rounding error of z, w and z + 4."""

    z: Array
    z_low: Array | float
    t: Array
    s1: Array
    s2: Array
    w: Array
    w_low: Array
    r: Array
    bottom: Array
    bottom_low: Array


def half_square(z: Array, z_low: Array | float) -> Pair:
    """-(z + z_low)²/2 as (high, low)."""
    z_high = num.high_part(z)
    rest = (z - z_high) * (z + z_high)
    if not isinstance(z_low, float):
        rest = rest + 2.0 * (z * z_low)
    return -0.5 * (z_high * z_high), -0.5 * rest


def tail(x: Array, x_low: Array | float = 0.0) -> Tail:
    """The parts of every function of Φ(-|x + x_low|)."""
    z = num.clamp(num.magnitude(x), None, 15.0 if x.dtype == jnp.float32 else 39.0)
    z_low = x_low if isinstance(x_low, float) else jnp.where(x < 0, -x_low, x_low)
    four = jnp.full_like(z, 4.0)
    top, bottom = z - four, z + four
    top_low = num.sum_low(z, -four, top) + z_low
    bottom_low = num.sum_low(z, four, bottom) + z_low
    r = num.reciprocal(bottom)
    w = top * r
    # top - w bottom: an exact product, with and without fused multiply-add.
    back, back_low = num.product(w, bottom, 0.0, bottom_low)
    rest = ((top - back) - back_low) + top_low
    t, s1, s2 = num.exp_parts(*half_square(z, z_low))
    return Tail(z, z_low, t, s1, s2, w, rest * r, r, bottom, bottom_low)


def mills(v: Tail) -> Pair:
    """The polynomial (z + 4) Φ(-z) e^(z²/2)."""
    p, p_low = num.fit_low("MILLS", v.w)
    # Its logarithm has slope -0.81 + 0.31 w, within 0.03.
    return p, p_low + p * (v.w_low * (0.31 * v.w - 0.81))


def lower_tail(v: Tail) -> Pair:
    """Φ(-z), without e^(-z²/2)."""
    p, p_low = mills(v)
    back, back_low = num.product(v.r, v.bottom, 0.0, v.bottom_low)
    return num.product(v.r, p, v.r * ((1.0 - back) - back_low), p_low)


def lower_slope(v: Tail) -> Pair:
    """The derivative of x Φ(x) at -z, without e^(-z²/2)."""
    root, root_low = num.constant(_coefficients.GELU_SLOPE_ZERO, v.z.dtype)
    p, p_low = num.fit_low("GELU_SLOPE", v.w)
    # The logarithm of the polynomial has slope -0.25 + 0.22 w, within 0.06.
    p_low = p_low + p * (v.w_low * (0.22 * v.w - 0.25))
    shift = jnp.full_like(v.z, root)
    d = shift - v.z
    d_low = num.sum_low(-v.z, shift, d)
    if not isinstance(v.z_low, float):
        d_low = d_low - v.z_low
    high, low = num.product(d, p, d_low, p_low)
    return high, low + root_low * p


# erf z = 2/√π (z - z³/3 + z⁵/10 - ...), to 1e-18 of itself for z < 0.8.
_SERIES = tuple(
    2.0 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1))
    for k in range(1, 17)
)
_NEAR = 0.8
_TWO_OVER_ROOT_PI = "1.12837916709551257389615890312154517"


def _negative_square_exp(z: Array) -> tuple[Array, Array, Array]:
    """The parts of e^(-z²)."""
    high = num.high_part(z)
    return num.exp_parts(-(high * high), -((z - high) * (z + high)))


def _cut(x: Array, far32: float, far64: float) -> Array:
    return num.clamp(num.magnitude(x), None, far32 if x.dtype == jnp.float32 else far64)


@jax.custom_jvp
def erf(x: Array) -> Array:
    """erf(x) in float32 or float64, to 2 ULP; so is its derivative."""
    z = _cut(x, 4.5, 6.5)  # where 1 - erf z is lost against 1
    near = num.clamp(z, None, _NEAR)
    square = near * near
    count = 9 if x.dtype == jnp.float32 else len(_SERIES)
    series = square * num.horner(square, _SERIES[:count])
    high, low = num.constant(_TWO_OVER_ROOT_PI, x.dtype)
    close = near * high + near * (series + low)
    # 2 Φ(-u) with u = √2 z; rounding u costs less than the last place of 1.
    u = z * math.sqrt(2.0)
    t, s1, s2 = _negative_square_exp(z)
    r = num.reciprocal(u + 4.0)
    tail = 2.0 * r * num.fit("MILLS", (u - 4.0) * r)
    y = jnp.where(z < _NEAR, close, 1.0 - num.scale(tail + tail * t, s1, s2))
    return jnp.where(num.sign_bit(x), -y, y)


@erf.defjvp
def _erf_jvp(primals: Any, tangents: Any) -> Any:
    (x,) = primals
    t, s1, s2 = _negative_square_exp(_cut(x, 15.0, 39.0))
    high, low = num.constant(_TWO_OVER_ROOT_PI, x.dtype)
    slope = num.scale(high + (t * high + (1.0 + t) * low), s1, s2)
    return erf(x), tangents[0] * slope
