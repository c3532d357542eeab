"""Mish and two derivatives, by polynomials of x, e^x and e^-x."""

from __future__ import annotations

import jax.numpy as jnp

from jaxacts import _coefficients_mish, _sigmoidal
from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough

__all__ = ["curvature", "slope", "value"]


def _linear(e: Array, largest: float, z: Array, name: str) -> Array:
    """e (A + z B) for fitted A and B of e up to ``largest``."""
    small = num.clamp(e, None, largest)
    a, b = num.fit(f"{name}_CONSTANT", small), num.fit(f"{name}_LINEAR", small)
    return small * (a + z * b)


# Polynomials of e^x up to the second, of x itself from there to the third, and of
# e^-x beyond; up to the first, e^x is small.
_TAIL, _FIRST, _LAST = -2.0, -0.625, 0.75
_FIRST_SLOPE = -0.5
_CENTRE, _CENTRE_SLOPE, _CENTRE_CURVATURE = 60 / 1024, 75 / 1024, -259 / 1024
# What the power of two carries so that it is normal where the result is.
_FACTOR = {"float32": 2.0**36, "float64": 2.0**80}


def _fit(name: str, x: Array) -> Array:
    fits = getattr(_coefficients_mish, name)
    return num.horner(x, fits["rough" if is_rough() else str(x.dtype)])


def _exponential(x: Array) -> tuple[Array, Array, Array]:
    """(t, p, u): u = e^-|x| = (1 + t) p over the factor."""
    factor = _FACTOR[str(x.dtype)]
    a = num.clamp(-jnp.abs(x), -_sigmoidal.largest(x))
    t, p = _sigmoidal.expm1_parts(_sigmoidal.exponent(a), factor)
    return t, p, (p + p * t) * (1.0 / factor)


def _middle(name: str, x: Array, centre: float) -> Array:
    return _fit(name, num.clamp(x, -1.0, 1.0) - centre)


def value(x: Array) -> Array:
    """x u (1 - u Q(u)), u = e^x; x T(x); x (1 - e² K(e)), e = e^-x."""
    x = num.clamp(x, -_sigmoidal.largest(x))
    left = x < 0
    t, p, u = _exponential(x)
    small = num.clamp(u, None, 0.61)
    part = small * _fit("LEFT", small)
    close = t - (part + part * t)  # (1 + t)(1 - part) - 1
    w = 1.0 + jnp.where(left, close, -((small * small) * _fit("RIGHT", small)))
    below, above = x < _FIRST, x > _LAST
    y = x * jnp.where(below | above, w, _middle("MIDDLE", x, _CENTRE))
    return jnp.where(below, (y * p) * (1.0 / _FACTOR[str(x.dtype)]), y)


def slope(x: Array) -> Array:
    """Its derivative."""
    x = num.clamp(x, -_sigmoidal.largest(x))
    t, p, u = _exponential(x)
    small, near = num.clamp(u, None, 0.61), num.clamp(x, None, 1e3)
    right = (small * small) * (_fit("RIGHT", small) - near * _fit("RIGHT_SLOPE", small))
    # Over u: d S(x) with the distance d to the zero, and 1 + x - u (P(u) + x Q(u)).
    zero, zero_low = num.constant(_coefficients_mish.ZERO, x.dtype)
    near = num.clamp(x, None, 0.0)
    d = near - zero
    rest = d * _fit("SLOPE", near + 1.25)
    rest = rest - float(_coefficients_mish.SLOPE_SLOPE) * zero_low
    small = num.clamp(u, None, 0.136)
    tail = small * (_fit("TAIL_CONSTANT", small) + near * _fit("TAIL_LINEAR", small))
    inside = x > _TAIL
    half = jnp.where(inside, 0.5 * d, 1.0 + near)
    rest = jnp.where(inside, rest, -tail)
    w = half + rest
    more = w * t
    if not is_rough():
        more = more + (rest - (w - half))
    scaled = ((w + more) * p) * (1.0 / _FACTOR[str(x.dtype)])
    y = jnp.where(x > _LAST, 1.0 - right, _middle("MIDDLE_SLOPE", x, _CENTRE_SLOPE))
    return jnp.where(x < _FIRST_SLOPE, scaled, y)


def curvature(x: Array) -> Array:
    """Its second derivative."""
    t, s1, s2 = num.exp_parts(-num.magnitude(x), jnp.zeros_like(x))
    e, near = num.scale(1.0 + t, s1, s2), num.clamp(x, -1e3, 1e3)
    below = x < 0
    # Beyond the two zeros, e (2 + x + e ...) and e² (8 - 8 x + e ...).
    left = (2.0 + near) + _linear(e, 0.0302, -near, "MISH_LEFT")
    right = (8.0 - 8.0 * near) + _linear(e, 0.0672, near, "MISH_RIGHT")
    # One factor e of the right side's e²; the other is multiplied in the end.
    right = (s1 * s2) * right
    y = jnp.where(below, left, right), jnp.where(below, 0.0, t * right)
    y = num.patched(num.distance(near, "MISH_CURVATURE_NEGATIVE"), y, 1.4)
    y = num.patched(num.distance(near, "MISH_CURVATURE_POSITIVE"), y, 1.3)
    outside = num.finish(*y, t, s1, s2)
    middle = _middle("MIDDLE_CURVATURE", x, _CENTRE_CURVATURE)
    return jnp.where((x > -0.86) & (x < 0.195), middle, outside)
