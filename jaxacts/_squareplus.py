"""Squareplus and two derivatives, from h = √(x² + b).

Each root and quotient is hidden behind a maximum: XLA does not repeat one that has
two users, it stores the result, and the loop falls into pieces.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough

__all__ = ["curvature", "slope", "value"]

# Beyond, b <= 1e6 is lost in x² + b; further on, x² overflows.
_FAR = 2.0**40
# What x is multiplied by in the slope, so that squares do not overflow, and where it is
# cut, since there the slope is 0; in the curvature, the cube of a root and the second
# derivative of the inverse of that cube.
_SQUARES = {"float32": (2.0**-20, 2.0**56), "float64": (2.0**-60, 2.0**480)}
_CUBES = {"float32": (2.0**-10, 2.0**42), "float64": (2.0**-60, 2.0**340)}


def _shrunk(x: Array, b: Array, shrink: float, end: float) -> tuple[Array, Array]:
    """|x|, cut, and b in proportion."""
    # Cut last: XLA would square the number without the factor, and overflow.
    return num.clamp(jnp.abs(x) * shrink, None, end), (b * shrink) * shrink


def _hidden(x: Array) -> Array:
    return num.clamp(x, 0.0)


def _conjugates(z: Array, b: Array) -> tuple[Array, Array, Array, Array, Array]:
    """h, m = h + z with its error, h - z with its; that (h - z) m = b tells h's."""
    h = lax.max(jnp.sqrt(z * z + b), z)
    m, g = h + z, h - z
    return h, m, z - (m - h), g, (h - g) - z


def _rest(b: Array, m: Array, m_low: Array, g: Array, g_low: Array) -> Array:
    """b - (h - z)(h + z), which is 2 h times the error of h."""
    # Products of short parts are exact.
    short, g_short = num.high_part(m), num.high_part(g)
    low = g_short * ((m - short) + m_low) + ((g - g_short) + g_low) * m
    return (b - g_short * short) - low


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
    z, b = _shrunk(x, b, *_SQUARES[str(x.dtype)])
    h, m, m_low, g, g_low = _conjugates(z, b)
    if is_rough():
        y = (0.5 * b) / (h * m)
    else:
        rest = _rest(b, m, m_low, g, g_low)
        error = rest * (0.5 * num.reciprocal_guess(h))
        short, h_short = num.high_part(m), num.high_part(h)
        low = short * ((h - h_short) + error) + h * ((m - short) + m_low + error)
        y = _hidden(((0.5 * num.LARGER) * b) / (h_short * short))
        part = low * (y * ((2.0 / num.LARGER) / b))
        y = (y - y * (part - part * part)) * (1.0 / num.LARGER)
    return jnp.where(x < 0, y, 1.0 - y)


def curvature(x: Array, b: Array) -> Array:
    """b/(2 h³)."""
    x, b = jnp.broadcast_arrays(x, b)
    shrink, end = _CUBES[str(x.dtype)]
    z, b = _shrunk(x, b, shrink, end)
    h, *parts = _conjugates(z, b)
    y = _hidden((0.5 * b) / ((h * h) * h))
    if not is_rough():
        # 1/h² is 2 h/b of it. Rounding errors have no slope, but their formula has.
        error = lax.stop_gradient(_rest(b, *parts) * ((y * h) * (3.0 / b)))
        y = y - y * error
    return y * shrink
