"""The logistic function, and x times it, with two derivatives each.

Several families are made of these: sigmoid, softplus, silu, swish, quick_gelu and
the tanh form of gelu. The argument may come with its rounding error.
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxacts import _numerics as num
from jaxacts._numerics import Array

__all__ = [
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


def logistic_slope(
    a: Array, a_low: Array | None = None, factor: Array | float = 1.0
) -> Array:
    """σ'(a) = e^-|a|/(1 + e^-|a|)², times a factor applied before underflow."""
    p = _parts(a, a_low)
    w = (p.q * p.q) * factor
    return num.scale(w + w * (p.t + 2.0 * p.delta * (1.0 + p.t)), p.s1, p.s2)


def logistic_curvature(
    a: Array,
    factor: Array | float = 1.0,
    a_low: Array | None = None,
    factor_delta: Array | float = 0.0,
) -> Array:
    """σ''(a) = -σ'(a) tanh(a/2), times a factor applied before underflow.

    The factor is factor (1 + factor_delta).
    """
    p = _parts(a, a_low)
    w = (p.q * p.q) * (p.q * (factor * p.one_minus_e))
    delta = 3.0 * p.delta + factor_delta
    y = num.scale(w + w * (p.t + delta * (1.0 + p.t)), p.s1, p.s2)
    return jnp.where(a < 0, y, -y)


def swish_value(
    x: Array, a: Array, a_low: Array, x_delta: Array | float = 0.0
) -> Array:
    """x (1 + x_delta) σ(a), for a of either sign of x."""
    p = _parts(a, a_low)
    below = a < 0
    t = jnp.where(below, p.t, 0.0)
    # Where e^-|a| underflows against every x, x must not be infinite.
    factor = jnp.where(below, num.clamp(x, -_FAR, _FAR), x)
    w = factor * p.q
    delta = p.delta if isinstance(x_delta, float) else p.delta + x_delta
    y = w + num.clamp(w, -_FAR, _FAR) * (t + delta * (1.0 + t))
    y = jnp.where(w == 0, w, y)  # a correction of 0 must not change its sign
    return num.scale(y, jnp.where(below, p.s1, 1.0), jnp.where(below, p.s2, 1.0))


def swish_slope(
    a: Array,
    a_low: Array,
    factor: Array | float = 1.0,
    at: num.Distance | None = None,
) -> Array:
    """The derivative of a σ(a) at a, times a factor.

    The factor is applied before underflow; ``at`` is the distance of a to the zero.
    """
    p = _parts(a, a_low)
    e = p.e
    near = num.clamp(a, -_FAR, _FAR)
    z = num.magnitude(near + a_low)
    # (1 + z e/(1 + e))/(1 + e) to the right, e (1 - z/(1 + e))/(1 + e) just left
    # of 0.
    below = a < 0
    extra = (z * jnp.where(below, -1.0, e)) * p.q
    one = num.opaque(1.0, near)
    total = one + extra
    w = total * p.q
    close = w, w * p.delta + (extra - (total - one)) * p.q
    # Over e: a polynomial around the zero, (1 + a) + e (...) further down.
    small = num.clamp(e, None, 0.1225)
    rest = num.fit("SILU_TAIL_CONSTANT", small) + z * num.fit("SILU_TAIL_LINEAR", small)
    first, more = one + near, e * rest
    tail_sum = first + more
    tail_low = (more - (tail_sum - first)) + (one - (first - near))
    tail = tail_sum, tail_low + a_low
    w, low = (jnp.where(a < -2.1, t, c) for t, c in zip(tail, close, strict=True))
    at = at or num.distance(near, "SILU_SLOPE", a_low)
    left = num.patched(at, (w, low), 0.9)
    right = close
    return num.finish(
        jnp.where(below, left[0], right[0]) * factor,
        jnp.where(below, left[1], right[1]) * factor,
        jnp.where(below, p.t, 0.0),
        jnp.where(below, p.s1, 1.0),
        jnp.where(below, p.s2, 1.0),
    )


def swish_curvature(
    a: Array,
    a_low: Array,
    factor: Array | float = 1.0,
    at: num.Distance | None = None,
) -> Array:
    """The second derivative of a σ(a), σ'(a) (2 - |a| tanh|a/2|), times a factor.

    The factor is applied before underflow; ``at`` is the distance of |a| to the zero.
    """
    p = _parts(a, a_low)
    z = num.clamp(num.magnitude(a), None, _FAR)
    z_low = jnp.where(a < 0, -a_low, a_low)
    twice = 2.0 * (p.e * p.q)  # 1 - tanh(z/2)
    bracket = (2.0 - z) + (z * twice - z_low * (1.0 - twice))
    w = bracket * (p.q * p.q)
    at = at or num.distance(z, "SILU_CURVATURE", z_low)
    w, low = num.patched(at, (w, 2.0 * w * p.delta), 1.2)
    return num.finish(w * factor, low * factor, p.t, p.s1, p.s2)
