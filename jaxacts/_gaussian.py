"""The error function, for layers that are made of it."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxacts import _numerics as num
from jaxacts._numerics import Array

__all__ = ["erf"]

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
