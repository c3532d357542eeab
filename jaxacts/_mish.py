"""Mish and two derivatives, by quotients in e^x and polynomials about zeros."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxacts import _coefficients_mish, _sigmoidal
from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough

__all__ = ["curvature", "slope", "value"]


# In the value, the exponential is a factor up to here; more than ln(2)/2 below 0.
_TURN = -0.4
# Beyond, all of e^-x is lost, and no power of e^x is out of range yet.
_RIGHT, _RIGHT_ROUGH = 20.0, 10.0
# What the power of two carries so that it is normal where the result is.
_FACTOR = {"float32": 2.0**36, "float64": 2.0**80}


def _fit(name: str, x: Array) -> Array:
    fits = getattr(_coefficients_mish, name)
    return num.horner(x, fits["rough" if is_rough() else str(x.dtype)])


def value(x: Array) -> Array:
    """p x (1 + t - (1 + t)(u + u²)/D), u = e^x = p (1 + t); x (1 + (n - 2)/D)/2.

    D = n + 2, n = u (2 + u).
    """
    if is_rough():
        return _rough_value(x)
    factor = _FACTOR[str(x.dtype)]
    x = num.clamp(x, -_sigmoidal.largest(x))
    a = _sigmoidal.exponent(num.clamp(x, None, _RIGHT))
    t, p = _sigmoidal.expm1_parts(a, factor)
    s = 1.0 + t
    u = (p * s) * (1.0 / factor)
    n = u * (2.0 + u)
    d = n + 2.0
    w = jnp.where(x < _TURN, t * d - s * (u + u * u), n - 2.0) / d
    # From -ln(2)/2 on, p is 1 or more: the half of the right.
    y = x * lax.min(p, jnp.full_like(p, 0.5 * factor))
    return jnp.where(x > _RIGHT, x, (y + y * w) * (1.0 / factor))


def _rough_value(x: Array) -> Array:
    """x n/(n + 2), n = u (u + 2), with the factor in u, and its square in n"""
    factor = _FACTOR[str(x.dtype)]
    x = num.clamp(x, -_sigmoidal.largest(x))
    a = _sigmoidal.exponent(num.clamp(x, None, _RIGHT_ROUGH))
    t, p = _sigmoidal.expm1_parts(a, factor)
    u = p + p * t
    n = u * (u + 2.0 * factor)
    return jnp.where(x > _RIGHT_ROUGH, x, (x * n) / (n + 2.0 * factor**2))


def slope(x: Array) -> Array:
    """u S on the left, d P(x) about the zero, 5/8 + Q on the right; u = e^x = 2 h.

    With i = 1/D, D = 1 + u + u²/2, and k = i (1 + u), the right is 1 - i (1 - x u k);
    S = 1 + x - (h + x u) + h u i (h + x u (2 - h k)).
    """
    x = num.clamp(x, -_sigmoidal.largest(x), _RIGHT)
    if is_rough():
        return _rough_slope(x)
    factor = _FACTOR[str(x.dtype)]
    t, p = _sigmoidal.expm1_parts(_sigmoidal.exponent(x), factor)
    # In this order: for one number XLA squares what is before a constant factor.
    u = (p * (1.0 / factor)) * (1.0 + t)
    h, v, xu = 0.5 * u, 1.0 + u, x * u
    hu = h * u
    d = v + hu
    i = _sigmoidal._quotient(1.0, d)
    k = i * v
    right = 0.625 + i * ((0.375 * d - 1.0) + xu * k)
    first = 1.0 + x
    rest = (hu * i) * (h + xu * (2.0 - h * k)) - (h + xu)
    # Not w + w t: the rounding error of w counts only times t.
    w = first + rest
    tail = ((first + (rest + w * t)) * p) * (1.0 / factor)

    zero, zero_low = num.constant(_coefficients_mish.ZERO, x.dtype)
    d = x - zero
    rest = d * _fit("SLOPE", x - _number("CENTRE"))
    rest = rest - float(_coefficients_mish.SLOPE_SLOPE) * zero_low
    left = jnp.where(x < _number("FIRST"), tail, 0.375 * d + rest)
    return jnp.where(x < _number("LAST"), left, right)


def _rough_slope(x: Array) -> Array:
    """u (2 + u + 2 x (1 - u²/D))/D, D = 2 + 2 u + u², and d P(d) near the zero."""
    factor = _FACTOR[str(x.dtype)]
    t, p = _sigmoidal.expm1_parts(_sigmoidal.exponent(x), factor)
    scaled = p + p * t
    u = scaled * (1.0 / factor)
    inverse = _sigmoidal._quotient(1.0, 2.0 + u * (2.0 + u))
    bracket = (2.0 + u) + (2.0 * x) * (1.0 - u * (u * inverse))
    y = ((inverse * bracket) * scaled) * (1.0 / factor)
    d = x - float(_coefficients_mish.ZERO)
    inside = (x > _number("FIRST_ROUGH")) & (x < _number("LAST_ROUGH"))
    near = d * num.horner(d, _coefficients_mish.SLOPE_ROUGH["rough"])
    return jnp.where(inside, near, y)


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
