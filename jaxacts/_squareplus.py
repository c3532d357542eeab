"""Squareplus and two derivatives, from h = √(x² + b).

Each root and quotient is hidden behind a maximum: XLA does not repeat one that two of
its loops need, it stores the result, and the loop falls into pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough

__all__ = ["curvature", "slope", "value"]

# Beyond, b <= 1e6 is lost in x² + b; further on, x² overflows.
_FAR = 2.0**40
# What x is multiplied by there, so that neither cubes nor their inverses overflow.
_SHRINK = {"float32": 2.0**-32, "float64": 2.0**-200}
# Where the slope is 0, and where the curvature is.
_SLOPE_END = {"float32": 2.0**80, "float64": 2.0**545}
_CURVATURE_END = {"float32": 2.0**55, "float64": 2.0**400}


class _Parts(NamedTuple):
    """s + s_low = z² + b and h (1 + error), its root, of z = |x| shrink."""

    z: Array
    s: Array
    s_low: Array
    h: Array
    error: Array
    shrink: Array


def _parts(
    x: Array, b: Array, end: dict[str, float] = _SLOPE_END, again: bool = False
) -> _Parts:
    """``again``: in other words than before, so that XLA does not store the root."""
    z = num.clamp(jnp.abs(x), None, end[str(x.dtype)])
    far = z > _FAR
    shrink = jnp.where(far, _SHRINK[str(x.dtype)], 1.0)
    z, b = z * shrink, jnp.where(far, 0.0, b)
    if is_rough():
        s, none = z * z + b, jnp.zeros_like(z)
        return _Parts(z, s, none, _root(s, again), none, shrink)
    short = num.high_part(z)
    high = short * short
    first, larger = high + b, lax.max(high, b)
    low = (lax.min(high, b) - (first - larger)) + (z - short) * (z + short)
    s = first + low
    s_low = low - (s - first)
    h = _root(s, again)
    short = num.high_part(h)
    rest = ((s - short * short) - (h - short) * (h + short)) + s_low
    error = (0.5 * rest) * num.reciprocal_guess(s)
    return _Parts(z, s, s_low, h, error, shrink)


def _root(s: Array, again: bool) -> Array:
    return 2.0 * _hidden(jnp.sqrt(0.25 * s)) if again else _hidden(jnp.sqrt(s))


def _hidden(x: Array) -> Array:
    return num.clamp(x, 0.0)


def value(x: Array, b: Array) -> Array:
    """m = (|x| + h)/2 for x > 0, b/(4 m) for x < 0."""
    x, b = jnp.broadcast_arrays(x, b)
    v = _parts(x, b)
    m = 0.5 * (v.h + v.z)
    m_low = 0.5 * ((v.z - (2.0 * m - v.h)) + v.h * v.error)
    # What is added to m is lost where b is.
    m = jnp.where(jnp.abs(x) > _FAR, jnp.abs(x), m)
    q = _hidden((0.25 * b) / m)
    below = q - (q * q) * (m_low * (4.0 / b))
    return jnp.where(x < 0, below, m + m_low)


def slope(x: Array, b: Array) -> Array:
    """b/(2 (s + |x| h)) for x < 0, else 1 minus that."""
    x, b = jnp.broadcast_arrays(x, b)
    v = _parts(x, b, again=True)
    more = v.z * v.h
    total = v.s + more
    y = _hidden((0.5 * b) / total)
    if not is_rough():
        low = (more - (total - v.s)) + (v.s_low + more * v.error)
        y = y - y * (low * num.reciprocal_guess(total))
    y = (y * v.shrink) * v.shrink
    return jnp.where(x < 0, y, 1.0 - y)


def curvature(x: Array, b: Array) -> Array:
    """b/(2 h³)."""
    x, b = jnp.broadcast_arrays(x, b)
    v = _parts(x, b, _CURVATURE_END)
    y = _hidden((0.5 * b) / (v.s * v.h))
    if not is_rough():
        y = y - y * (v.error + v.s_low * num.reciprocal_guess(v.s))
    return ((y * v.shrink) * v.shrink) * v.shrink
