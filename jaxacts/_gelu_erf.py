"""x Φ(x), its slope and second derivative: e^(-z²/2) times polynomials, z = |x|.

The exponential is p (1 + t) with a power of two p, negative, since all are subtracted
on the side of x > 0. Constant powers of two are in p and in the coefficients.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxacts import _coefficients_gelu as table
from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough
from jaxacts._gaussian import DENSITY_AT_0, ROOT_TWO

__all__ = ["curvature", "slope", "value"]

# p is 0 here, with the factors below; they make it normal wherever the result is,
# for values of less than 1 and slopes and second derivatives of less than 2^7.
_VALUE_END = {"float32": 13.2165, "float64": 37.64}
_SLOPE_END = {"float32": 14.08, "float64": 37.952}
_VALUE_FACTOR, _SLOPE_FACTOR = 0.5, 2.0**16
# A number whose last bits are whole numbers, the exponent's bias, and its bits.
_FORMATS = {"float32": (1.5 * 2.0**23, 127, 8), "float64": (1.5 * 2.0**52, 1023, 11)}


def _fit(name: str, x: Array) -> Array:
    return num.horner(x, getattr(table, name)["rough" if is_rough() else str(x.dtype)])


def _exponential(z: Array, factor: float) -> tuple[Array, Array]:
    """(t, p) with e^(-z²/2) = -p (1 + t)/factor, for a power of two."""
    high = num.high_part(z)
    square = high * high  # exact, as is n times the first part of 2 ln 2
    n = lax.round(square * (-0.5 * num.LOG2E), lax.RoundingMethod.TO_NEAREST_EVEN)
    first, second = num.ln2_parts(z.dtype)
    if is_rough():
        r = square + n * (2.0 * (first + second))
    else:
        rest = (z - high) * (z + high)
        r = (square + n * (2.0 * first)) + (rest + n * (2.0 * second))
    one, bias, exponent_bits = _FORMATS[str(z.dtype)]
    # The last bits of this are the number's sign and exponent.
    bits = n + (one + (bias + 2.0**exponent_bits + float(np.log2(factor))))
    integer, shift = (jnp.int32, 23) if z.dtype == jnp.float32 else (jnp.int64, 52)
    p = lax.bitcast_convert_type(bits, integer) << shift
    p = lax.bitcast_convert_type(p, z.dtype)
    if is_rough():
        return r * _fit("ERF_EXP", r), p
    first, *more = table.ERF_EXP[str(z.dtype)]
    return r * first + (r * r) * num.horner(r, tuple(more)), p


def value(x: Array) -> Array:
    """-z Φ(-z) for x < 0, x - z Φ(-z) for x > 0."""
    z = num.clamp(jnp.abs(x), None, _VALUE_END[str(x.dtype)])
    t, p = _exponential(z, _VALUE_FACTOR)
    if is_rough():
        # The difference is the one user that a division may have.
        q = z - (z * z) / (z + float(table.ERF_FAR_ROUGH))
        w = q * _fit("ERF", q)
        y = w + w * t
    else:
        turn = float(table.ERF_TURN)
        beyond = z - turn
        inside = num.sign_bit(beyond)
        # Positive where it serves. A division may have one user, see `_quotient` in
        # `_sigmoidal`: this, and in the slope a sign, is one, and costs less.
        far = jnp.abs(beyond / (z + float(table.ERF_FAR_END)))
        near = _fit("ERF_NEAR", z - float(table.ERF_CENTRE))
        rest = jnp.where(inside, near, _fit("ERF_FAR", far))
        half = 0.5 * jnp.where(inside, z, 1.0)
        y = half + half * (rest + (1.0 + rest) * t)
    # x as twice x/2, which is 0 where y underflows.
    positive = jnp.where(num.sign_bit(x), -0.0, 0.5 * x)
    return positive + (positive + y * p)


def slope(x: Array) -> Array:
    """S e^(-z²/2) for x < 0, else 1 minus that; S(z) = Φ(-z) e^(z²/2) - z φ(0)."""
    z = num.clamp(jnp.abs(x), None, _SLOPE_END[str(x.dtype)])
    t, p = _exponential(z, _SLOPE_FACTOR)
    zero, zero_low = num.constant(table.ERF_ZERO, z.dtype)
    d = z - zero
    q = -(d / (z + float(table.ERF_SLOPE_END)))
    unit = float(table.ERF_SLOPE_UNIT)
    if is_rough():
        w = d * _fit("ERF_SLOPE_ROUGH", q)
        y = (w + w * t) * p
    else:
        # The error of d where z is large, times the slope there, and at the zero.
        low = (0.8125 * unit) * ((z - d) - zero)
        low = low - float(table.ERF_SLOPE_SLOPE) * zero_low
        half = unit * d
        more = d * _fit("ERF_SLOPE", q) + low
        y = (half + (more + (half + more) * t)) * p
    return jnp.where(num.sign_bit(x), y, 1.0 - y)


def curvature(x: Array) -> Array:
    """φ(z) (√2 - z) (√2 + z)."""
    z = num.clamp(num.folded(x), None, _SLOPE_END[str(x.dtype)])
    t, p = _exponential(z, _SLOPE_FACTOR)
    root, root_low = num.constant(ROOT_TWO, z.dtype)
    factor = DENSITY_AT_0 / _SLOPE_FACTOR
    total = z * factor + root * factor
    w = (z - root) * total
    if is_rough():
        return (w + w * t) * p
    low = root_low * total
    return (w + ((w - low) * t - low)) * p
