"""x Φ(x) and its slope: e^(-x²/2) times polynomials of x or of a quotient."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxacts import _coefficients_gelu as table
from jaxacts import _numerics as num
from jaxacts import _sigmoidal
from jaxacts._exact import Array, is_rough

__all__ = ["slope", "value"]

# z up to which the value's first polynomial holds, and where the argument of the second
# is 0; the slope's is d/(1 + _BEND z).
_TURN, _BEND, _BEND_ROUGH = 1.5, 9 / 32, 5 / 16
# Here p is 0 in `_scaled`, with the scale that makes values of less than 1,
# and slopes of less than 2^5, normal wherever the result is.
_VALUE_END = {"float32": 13.2665, "float64": 37.659}
_SLOPE_END = {"float32": 14.08, "float64": 37.952}
_SLOPE_FACTOR = 2.0**16


def _fit(name: str, x: Array) -> Array:
    fits = getattr(table, name)
    return num.horner(x, fits["rough" if is_rough() else str(x.dtype)])


def _density(z: Array) -> _sigmoidal.Exponent:
    """-z²/2"""
    if is_rough():
        return _sigmoidal.exponent(-0.5 * (z * z))
    high = num.high_part(z)
    a, a_low = -0.5 * (high * high), -0.5 * ((z - high) * (z + high))
    n = lax.round((a + a_low) * num.LOG2E, lax.RoundingMethod.TO_NEAREST_EVEN)
    first, second = num.ln2_parts(z.dtype)
    return _sigmoidal.Exponent(n, (a - n * first) + (a_low - n * second))


def _scaled(
    half: Array,
    factor: Array,
    rest: Array,
    offset: Array | float,
    z: Array,
    scale: float,
) -> Array:
    """(half + factor rest + offset) scale e^(-z²/2), half exact and the larger."""
    linear, beyond, p = _sigmoidal.expm1_terms(_density(z), scale)
    more = factor * rest + offset
    w = half + more
    correction = w * beyond
    if not is_rough():
        correction = correction + (more - (w - half))
    return (w + (w * linear + correction)) * p


def _parts(z: Array) -> tuple[Array, Array]:
    """(factor, rest): z Φ(-z) e^(z²/2) = factor (1/4 + rest), the factor exact."""
    inside = z < _TURN
    far = _sigmoidal._quotient(z - _TURN, 1.0 + 0.5 * z)
    rest = jnp.where(inside, _fit("ERF_NEAR", z - 0.5625 * _TURN), _fit("ERF_FAR", far))
    return jnp.where(inside, z, 1.0), rest


def _rough_parts(z: Array) -> tuple[Array, Array]:
    """The same with one polynomial, and a factor that is not exact."""
    factor = _sigmoidal._quotient(z, 1.0 + _BEND_ROUGH * z)
    return factor, _fit("ERF", factor)


def value(x: Array) -> Array:
    """-z Φ(-z) for x < 0, x - z Φ(-z) for x > 0."""
    z = num.clamp(jnp.abs(x), None, _VALUE_END[str(x.dtype)])
    factor, rest = _rough_parts(z) if is_rough() else _parts(z)
    y = _scaled(0.25 * factor, factor, rest, 0.0, z, 1.0)
    y = jnp.where(x < 0, -y, x - y)
    return jnp.where(jnp.abs(x) < 1e-20, 0.5 * x, y)  # where quarters underflow


def slope(x: Array) -> Array:
    """S e^(-z²/2) for x < 0, else 1 minus that; S(z) = Φ(-z) e^(z²/2) - z φ(0)."""
    z = num.clamp(jnp.abs(x), None, _SLOPE_END[str(x.dtype)])
    zero, zero_low = num.constant(table.ERF_ZERO, z.dtype)
    d = z - zero
    # The error of d where z is large times the quotient by d there, and at the zero.
    low = 0.0 if is_rough() else -0.40625 * ((z - d) - zero)
    low = low - float(table.ERF_SLOPE_SLOPE) * zero_low
    rest = _fit("ERF_SLOPE", _sigmoidal._quotient(d, 1.0 + _BEND * z))
    y = _scaled(-0.5 * d, d, rest, low, z, _SLOPE_FACTOR)
    y = y * (1.0 / _SLOPE_FACTOR)
    return jnp.where(x < 0, y, 1.0 - y)
