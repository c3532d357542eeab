"""Squareplus and two derivatives, from h = √(x² + b) and m = h + |x|.

A root that has two users XLA computes once; at a quotient that has, the loop falls into
pieces, unless it is hidden behind a maximum. That with -1 is one instruction; with 0,
whose sign matters, three.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough

__all__ = ["b_slope", "curvature", "slope", "value"]

# Beyond, b <= 1e6 is lost in x² + b; further on, x² overflows.
_FAR = 2.0**40
# What x is multiplied by in the slope, so that squares do not overflow, and where it is
# cut, since there the slope is 0.
_SQUARES = {"float32": (2.0**-20, 2.0**56), "float64": (2.0**-60, 2.0**480)}
# Where x is cut in the curvature, since that is 0 there, and what the cube is
# multiplied by, for its sake and for the second derivative of its inverse.
_CUBES = {"float32": (2.0**52, 2.0**-30), "float64": (2.0**400, 2.0**-180)}


def _rest(m: Array, twice: Array, b: Array) -> Array:
    """m (m - 2|x|) - b, which is 2 h times the error of m, also of its sum.

    With and without fused multiply-add: what is rounded here is b, and counts for
    b/(2 h m) <= 1/2.
    """
    return m * (m - twice) - b


def value(x: Array, b: Array) -> Array:
    """m/2 for x > 0, b/(2 m) for x < 0; all of x/2 and b/4."""
    x, b = jnp.broadcast_arrays(x, b)
    size, b = jnp.abs(x), 0.25 * b
    z = num.clamp(0.5 * size, None, _FAR)
    square = z * z + b
    h = jnp.sqrt(square)
    # Of a large x, from the cut one, 0 and x.
    m = (h - z) + size
    above = b
    if not is_rough():
        error = _rest(m, size, b) * num.reciprocal_guess(h * z + square)
        # Not NaN where m is infinite.
        above = b + (0.5 * b) * jnp.where(error > -1.0, error, -1.0)
    return jnp.where(num.sign_bit(x), above / m, m)


def b_slope(x: Array, b: Array) -> Array:
    """The derivative of the value in b, 1/(4 h)."""
    size = jnp.abs(x)
    z = num.clamp(size, None, _FAR)
    return 0.25 / (jnp.sqrt(z * z + b) + (size - z))


def slope(x: Array, b: Array) -> Array:
    """b/(2 h m) for x < 0, else 1 minus that; h m is b + |x| m."""
    x, b = jnp.broadcast_arrays(x, b)
    shrink, end = _SQUARES[str(x.dtype)]
    # Cut last: XLA would square the number without the factor, and overflow.
    z, b = num.clamp(jnp.abs(x) * shrink, None, end), (b * shrink) * shrink
    h = jnp.sqrt(z * z + b)
    m, twice = h + z, z + z
    d = twice * m + 2.0 * b
    if is_rough():
        y = b / d
    else:
        # Half of it. Not from the same product: that has one rounding more.
        d_low = (z * m - 0.5 * d) + b
        large = num.clamp((num.LARGER * b) / d, -1.0)
        part = large * (2.0 / (num.LARGER * b))
        # The error of m counts for |x|/(2 h) = 1/2 - y.
        error = _rest(m, twice, b) * (0.5 - part * (0.5 * b)) - d_low
        y = (large + large * (error * part)) * (1.0 / num.LARGER)
    return jnp.where(num.sign_bit(x), y, 1.0 - y)


def curvature(x: Array, b: Array) -> Array:
    """b/(2 h³)."""
    x, b = jnp.broadcast_arrays(x, b)
    end, shrink = _CUBES[str(x.dtype)]
    z = num.clamp(jnp.abs(x), None, end)
    square = z * z
    s = square + b
    h = jnp.sqrt(s)
    cube = s * (h * shrink)
    if not is_rough():
        # Rounding errors have no slope, but their formula has.
        s_low = lax.stop_gradient((square - s) + b)
        cube = cube + (h * (1.5 * shrink)) * s_low
    return ((0.5 * shrink) * b) / cube
