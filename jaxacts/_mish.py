"""Mish and two derivatives, by quotients in e^x and polynomials about zeros."""

from __future__ import annotations

import jax.numpy as jnp

from jaxacts import _coefficients_mish, _sigmoidal
from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough

__all__ = ["curvature", "slope", "value"]


# In the value, e^x up to here, and e^-x beyond.
_TURN = -0.625
# Beyond, all of e^-x is lost, and no power of e^x is out of range yet.
_RIGHT, _RIGHT_ROUGH = 20.0, 10.0
# What the power of two carries so that it is normal where the result is.
_FACTOR = {"float32": 2.0**36, "float64": 2.0**80}


def _fit(name: str, x: Array) -> Array:
    fits = getattr(_coefficients_mish, name)
    return num.horner(x, fits["rough" if is_rough() else str(x.dtype)])


def _exponential(x: Array, scale: Array | float) -> tuple[Array, Array, Array, Array]:
    """(r, more, p, u): e^x = (1 + r + more) p over the factor; u = scale e^x."""
    exponent = _sigmoidal.exponent(x)
    r, more, p = _sigmoidal.expm1_terms(exponent, _FACTOR[str(x.dtype)])
    return r, more, p, (p + p * (r + more)) * scale


def value(x: Array) -> Array:
    """x u (1 - (u + u²)/D), u = e^x; x/2 + x (1 + v - v²/2)/D, v = 2 e^-x.

    D = 2 + 2 u + u², or the same of v.
    """
    if is_rough():
        return _rough_value(x)
    unit = 1.0 / _FACTOR[str(x.dtype)]
    end = -_sigmoidal.largest(x)
    x = num.clamp(x, end)
    below = x < _TURN
    a = num.clamp(jnp.where(below, x, -x), end)
    r, more, p, u = _exponential(a, jnp.where(below, unit, 2.0 * unit))
    top = u * (jnp.where(below, -1.0, 1.0) + u * jnp.where(below, -1.0, -0.5))
    part = (jnp.where(below, 0.0, 1.0) + top) / (2.0 + u * (2.0 + u))
    t = jnp.where(below, r + more, 0.0)
    y = jnp.where(below, x, 0.5 * x) + x * (t + part * (1.0 + t))
    y = jnp.where(below, (y * p) * unit, y)
    return jnp.where(jnp.abs(x) < 1e-30, 0.6 * x, y)  # where halves underflow


def _rough_value(x: Array) -> Array:
    """x u (2 + u)/(2 + 2 u + u²)"""
    unit = 1.0 / _FACTOR[str(x.dtype)]
    x = num.clamp(x, -_sigmoidal.largest(x))
    _, _, _, scaled = _exponential(num.clamp(x, None, _RIGHT_ROUGH), 1.0)
    u = scaled * unit
    gate = (2.0 + u) / (2.0 + u * (2.0 + u))
    return jnp.where(x > _RIGHT_ROUGH, x, ((x * scaled) * gate) * unit)


def slope(x: Array) -> Array:
    """u S with S = d P(x) near the zero, 1 + x + Q further left; 5/8 + Q on the right.

    Q is a quotient by D², D = 1 + u + u²/2.
    """
    x = num.clamp(x, -_sigmoidal.largest(x), _RIGHT)
    if is_rough():
        return _rough_slope(x)
    unit = 1.0 / _FACTOR[str(x.dtype)]
    r, more, p, u = _exponential(x, unit)
    tail, left = x < _number("FIRST"), x < _number("LAST")
    a, v = -0.5 * u, 1.0 + u
    s = 1.0 - a
    d = 1.0 + u * s
    top = d * jnp.where(tail, a * v, 0.375 * d - 1.0)
    top = top + x * (u * jnp.where(tail, a - d * s, v))
    q = _sigmoidal._quotient(top, d * d)

    # The distance to the zero with its error. With a constant the sums were folded.
    constant, zero_low = num.constant(_coefficients_mish.ZERO, x.dtype)
    zero = jnp.where(left, constant, 0.0)
    near = x - zero
    near_low = 0.5625 * (x - (near + zero))
    rest = near * _fit("SLOPE", x - _number("CENTRE"))
    rest = rest + (near_low - float(_coefficients_mish.SLOPE_SLOPE) * zero_low)
    half = jnp.where(tail, 1.0 + x, 0.5 * near)
    rest = jnp.where(tail, q, rest)
    w = half + rest
    w_low = w * r + (w * more + (rest - (w - half)))
    return jnp.where(left, ((w + w_low) * p) * unit, 0.625 + q)


def _rough_slope(x: Array) -> Array:
    """u (2 + u + 2 x (1 - u²/D))/D, D = 2 + 2 u + u², and u d P(d) near the zero."""
    unit = 1.0 / _FACTOR[str(x.dtype)]
    _, _, _, scaled = _exponential(x, 1.0)
    u = scaled * unit
    inverse = _sigmoidal._quotient(1.0, 2.0 + u * (2.0 + u))
    bracket = (2.0 + u) + (2.0 * x) * (1.0 - u * (u * inverse))
    d = x - float(_coefficients_mish.ZERO)
    inside = (x > _number("FIRST_ROUGH")) & (x < _number("LAST_ROUGH"))
    near = d * num.horner(d, _coefficients_mish.SLOPE_ROUGH["rough"])
    return (jnp.where(inside, near, inverse * bracket) * scaled) * unit


def curvature(x: Array) -> Array:
    """Two polynomials with a zero each, between expansions in e = e^-|x|.

    These are e ((2 + x) + e ...) and e² ((8 - 8 x) + e ...).
    """
    factor, below = _FACTOR[str(x.dtype)], x < 0
    unit = 1.0 / factor
    z = num.clamp(jnp.abs(x), None, _sigmoidal.largest(x))
    t, p = _sigmoidal.expm1_parts(_sigmoidal.exponent(-z), factor)
    small = p * unit
    e = small + small * t
    left = (2.0 - z) + e * (_fit("LEFT_CONSTANT", e) + z * _fit("LEFT_LINEAR", e))
    right = e * (_fit("RIGHT_CONSTANT", e) + z * _fit("RIGHT_LINEAR", e))
    w = jnp.where(below, left, (8.0 - 8.0 * z) + right)
    w = w + w * jnp.where(below, t, t * (t + 2.0))
    tail = (jnp.where(below, w, w * small) * p) * unit
    first, last = _number("LEFT"), _number("RIGHT")
    # Cut, so that its derivative is finite where it is not taken.
    inside = num.clamp(x, first, last)
    near = jnp.where(below, _about_zero(inside, "LEFT"), _about_zero(inside, "RIGHT"))
    return jnp.where((x > first) & (x < last), near, tail)


def _number(name: str) -> float:
    return float(getattr(_coefficients_mish, name))


def _about_zero(x: Array, side: str) -> Array:
    zero, zero_low = num.constant(getattr(_coefficients_mish, f"{side}_ZERO"), x.dtype)
    p = _fit(f"{side}_CURVATURE", x - _number(f"{side}_CENTRE"))
    return (x - zero) * p - zero_low * p
