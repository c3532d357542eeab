"""The logistic function, and x times it, with two derivatives each.

Several families are made of these: sigmoid, softplus, silu, swish, quick_gelu and
the tanh form of gelu. The argument may come with its rounding error.
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxacts import _numerics as num
from jaxacts._numerics import Array

__all__ = [
    "logistic",
    "logistic_curvature",
    "logistic_slope",
    "swish_curvature",
    "swish_slope",
    "swish_value",
]

# Largest factor that multiplies an exponential below the range of exp: beyond
# it, the product is under the smallest subnormal whatever the factor.
_FAR = 1e4


def _parts(a: Array, a_low: Array | None) -> num.Logistic:
    """The parts of e^-|a|."""
    if a_low is None:
        return num.logistic_parts(-num.magnitude(a))
    return num.logistic_parts(-num.magnitude(a), jnp.where(a < 0, a_low, -a_low))


def logistic(a: Array, a_low: Array | None = None) -> Array:
    """σ(a)."""
    p = _parts(a, a_low)
    below = a < 0
    t = jnp.where(below, p.t, 0.0)
    y = p.q + p.q * (t + p.delta * (1.0 + t))
    return num.scale(y, jnp.where(below, p.s1, 1.0), jnp.where(below, p.s2, 1.0))


def logistic_slope(
    a: Array, a_low: Array | None = None, factor: Array | float = 1.0
) -> Array:
    """σ'(a) = e^-|a|/(1 + e^-|a|)², times a factor applied before underflow."""
    p = _parts(a, a_low)
    w = (p.q * p.q) * factor
    return num.scale(w + w * (p.t + 2.0 * p.delta * (1.0 + p.t)), p.s1, p.s2)


def logistic_curvature(a: Array, factor: float = 1.0) -> Array:
    """σ''(a) = -σ'(a) tanh(a/2), times a factor applied before underflow."""
    p = _parts(a, None)
    w = (p.q * p.q) * (p.q * (factor * p.one_minus_e))
    y = num.scale(w + w * (p.t + 3.0 * p.delta * (1.0 + p.t)), p.s1, p.s2)
    return jnp.where(a < 0, y, -y)


def swish_value(x: Array, a: Array, a_low: Array) -> Array:
    """x σ(a), for a of either sign of x."""
    p = _parts(a, a_low)
    below = a < 0
    t = jnp.where(below, p.t, 0.0)
    # Where e^-|a| underflows against every x, x must not be infinite.
    factor = jnp.where(below, num.clamp(x, -_FAR, _FAR), x)
    w = factor * p.q
    y = w + num.clamp(w, -_FAR, _FAR) * (t + p.delta * (1.0 + t))
    y = jnp.where(w == 0, w, y)  # a correction of 0 must not change its sign
    return num.scale(y, jnp.where(below, p.s1, 1.0), jnp.where(below, p.s2, 1.0))


def swish_slope(a: Array, a_low: Array, factor: Array | float = 1.0) -> Array:
    """The derivative of a σ(a) at a, times a factor applied before underflow."""
    p = _parts(a, a_low)
    e = p.e
    near = num.clamp(a, -_FAR, _FAR)
    z = num.magnitude(near + a_low)
    # 1/2 + tanh(z/2)/2 + z σ'(z): no cancellation for a >= 0, little just below.
    half = 0.5 * p.one_minus_e + z * (e * p.q)
    rise = half * p.q
    middle = 0.5 + jnp.where(a < 0, -rise, rise)
    # e (1 + a + e)/(1 + e)² further below.
    bracket = (1.0 + near) + (e + a_low)
    bracket = num.near_zero(near, "SILU_SLOPE", bracket, 0.35, a_low)
    w = bracket * (p.q * p.q) * factor
    tail = num.scale(w + w * (p.t + 2.0 * p.delta * (1.0 + p.t)), p.s1, p.s2)
    return jnp.where(a < -0.4, tail, middle * factor)


def swish_curvature(a: Array, a_low: Array, factor: Array | float = 1.0) -> Array:
    """The second derivative of a σ(a), σ'(a) (2 - a tanh(a/2)), times a factor.

    The factor is applied before underflow.
    """
    p = _parts(a, a_low)
    z = num.clamp(num.magnitude(a), None, _FAR)
    z_low = jnp.where(a < 0, -a_low, a_low)
    tangent = p.one_minus_e * p.q
    bracket = (2.0 - z * tangent) - z_low * tangent
    bracket = num.near_zero(z, "SILU_CURVATURE", bracket, 0.75, z_low)
    w = bracket * (p.q * p.q) * factor
    return num.scale(w + w * (p.t + 2.0 * p.delta * (1.0 + p.t)), p.s1, p.s2)
