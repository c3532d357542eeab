"""x Φ(x) and its slope: e^(-x²/2) times one polynomial near 0 and one further out."""

from __future__ import annotations

from types import ModuleType

import jax.numpy as jnp
from jax import lax

from jaxacts import _coefficients_gelu as table
from jaxacts import _numerics as num
from jaxacts import _sigmoidal
from jaxacts._exact import Array, is_rough

__all__ = ["slope", "value"]

# z up to which the first polynomial holds.
_NEAR = {"float32": 1.75, "float64": 4.0}
# Here p is 0 in `_scaled`, with the scale that makes values of less than 1,
# and slopes of less than 2^5, normal wherever the result is.
_VALUE_END = {"float32": 13.2665, "float64": 37.659}
_SLOPE_END = {"float32": 14.08, "float64": 37.952}
_SLOPE_FACTOR = 2.0**16


def _fit(name: str, x: Array, table: ModuleType = table) -> Array:
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


def _inverse_square(z: Array) -> Array:
    """1/z² - 1/(2 near²) for the second polynomial; finite for the first."""
    near = _NEAR[str(z.dtype)]
    v = 1.0 / num.clamp(z * z, near * near)
    # The maximum, since a division is not repeated: see `_sigmoidal`.
    return num.clamp(v, 0.0) - 0.5 / (near * near)


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


def value(x: Array) -> Array:
    """-z Φ(-z) for x < 0, x - z Φ(-z) for x > 0."""
    z = num.clamp(jnp.abs(x), None, _VALUE_END[str(x.dtype)])
    near = _NEAR[str(z.dtype)]
    inside = z < near
    rest = jnp.where(
        inside,
        _fit("ERF_NEAR", z - 0.5625 * near),
        _fit("ERF_FAR", _inverse_square(z)),
    )
    factor = jnp.where(inside, z, 1.0)
    y = _scaled(0.25 * factor, factor, rest, 0.0, z, 1.0)
    y = jnp.where(x < 0, -y, x - y)
    return jnp.where(jnp.abs(x) < 1e-20, 0.5 * x, y)  # where quarters underflow


def slope(x: Array) -> Array:
    """S e^(-z²/2) for x < 0, else 1 minus that; S(z) = Φ(-z) e^(z²/2) - z φ(0)."""
    z = num.clamp(jnp.abs(x), None, _SLOPE_END[str(x.dtype)])
    near = _NEAR[str(z.dtype)]
    inside = z < near
    zero, zero_low = num.constant(table.ERF_ZERO, z.dtype)
    d = z - zero
    rest = jnp.where(
        inside,
        _fit("ERF_SLOPE_NEAR", z - 0.5625 * near),
        _fit("ERF_SLOPE_FAR", _inverse_square(z)),
    )
    factor = jnp.where(inside, d, z)
    offset = jnp.where(inside, -float(table.ERF_SLOPE_SLOPE) * zero_low, 0.0)
    half = jnp.where(inside, -0.5 * d, -0.25 * z)
    y = _scaled(half, factor, rest, offset, z, _SLOPE_FACTOR)
    y = y * (1.0 / _SLOPE_FACTOR)
    return jnp.where(x < 0, y, 1.0 - y)
