"""Squareplus and two derivatives, from h = √(x² + b).

Each root and quotient is hidden behind a maximum: XLA does not repeat one that has
two users, it stores the result, and the loop falls into pieces.
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
# What x is multiplied by there, so that neither cubes nor their inverses overflow,
# and what it is multiplied by in the slope, everywhere.
_SHRINK = {"float32": 2.0**-32, "float64": 2.0**-200}
_SLOPE_SHRINK = {"float32": 2.0**-20, "float64": 2.0**-60}
# Where the slope, of what is shrunk, is 0, and where the curvature is.
_SLOPE_END = {"float32": 2.0**56, "float64": 2.0**480}
_CURVATURE_END = {"float32": 2.0**55, "float64": 2.0**400}


class _Parts(NamedTuple):
    """s + s_low = z² + b and h (1 + error), its root, of z = |x| shrink."""

    z: Array
    s: Array
    s_low: Array
    h: Array
    error: Array
    shrink: Array


def _parts(x: Array, b: Array) -> _Parts:
    z = num.clamp(jnp.abs(x), None, _CURVATURE_END[str(x.dtype)])
    far = z > _FAR
    shrink = jnp.where(far, _SHRINK[str(x.dtype)], 1.0)
    z, b = z * shrink, jnp.where(far, 0.0, b)
    if is_rough():
        s, none = z * z + b, jnp.zeros_like(z)
        return _Parts(z, s, none, _hidden(jnp.sqrt(s)), none, shrink)
    short = num.high_part(z)
    high = short * short
    first, larger = high + b, lax.max(high, b)
    low = (lax.min(high, b) - (first - larger)) + (z - short) * (z + short)
    s = first + low
    s_low = low - (s - first)
    h = _hidden(jnp.sqrt(s))
    short = num.high_part(h)
    rest = ((s - short * short) - (h - short) * (h + short)) + s_low
    error = (0.5 * rest) * num.reciprocal_guess(s)
    return _Parts(z, s, s_low, h, error, shrink)


def _hidden(x: Array) -> Array:
    return num.clamp(x, 0.0)


def _conjugates(z: Array, b: Array) -> tuple[Array, Array, Array, Array, Array]:
    """h, m = h + z with its error, h - z with its; that (h - z) m = b tells h's."""
    h = lax.max(jnp.sqrt(z * z + b), z)
    m, g = h + z, h - z
    return h, m, z - (m - h), g, (h - g) - z


def value(x: Array, b: Array) -> Array:
    """m/2 for x > 0, b/(2 m) for x < 0, with m = |x| + h; all of x/2 and b/4."""
    x, b = jnp.broadcast_arrays(x, b)
    z, b = 0.5 * jnp.abs(x), 0.25 * b
    # The root of the square of a large z is z, also of one that is cut.
    h, m, m_low, g, g_low = _conjugates(num.clamp(z, None, _FAR), b)
    large = lax.max(h, z) + z
    q = _hidden(b / large)
    if not is_rough():
        rest = (b - g * m) - (g * m_low + g_low * m)
        m_low = m_low + rest * (0.5 * num.reciprocal_guess(h))
        q = q - (q * q) * (m_low * (1.0 / b))
    return jnp.where(x < 0, q, large)


def slope(x: Array, b: Array) -> Array:
    """b/(2 h m) for x < 0, else 1 minus that."""
    x, b = jnp.broadcast_arrays(x, b)
    shrink = _SLOPE_SHRINK[str(x.dtype)]
    # Cut last: XLA would square the number without the factor, and overflow.
    z = num.clamp(jnp.abs(x) * shrink, None, _SLOPE_END[str(x.dtype)])
    b = (b * shrink) * shrink
    h, m, m_low, g, g_low = _conjugates(z, b)
    if is_rough():
        y = (0.5 * b) / (h * m)
    else:
        # Products of short parts are exact.
        short, g_short, h_short = (num.high_part(part) for part in (m, g, h))
        m_low = (m - short) + m_low
        rest = g_short * m_low + ((g - g_short) + g_low) * m
        error = ((b - g_short * short) - rest) * (0.5 * num.reciprocal_guess(h))
        low = short * ((h - h_short) + error) + h * (m_low + error)
        y = _hidden((0.5 * b) / (h_short * short))
        part = low * (y * (2.0 / b))
        y = y - y * (part - part * part)
    return jnp.where(x < 0, y, 1.0 - y)


def curvature(x: Array, b: Array) -> Array:
    """b/(2 h³)."""
    x, b = jnp.broadcast_arrays(x, b)
    v = _parts(x, b)
    y = _hidden((0.5 * b) / (v.s * v.h))
    if not is_rough():
        y = y - y * (v.error + v.s_low * num.reciprocal_guess(v.s))
    return ((y * v.shrink) * v.shrink) * v.shrink
