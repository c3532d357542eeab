"""The tanh form of gelu and two derivatives: x σ(a), a = c (x + k x³), c = 2 √(2/π).

With K = 1/k, a = c k P, P = x (x² + K): a constant that is not short is multiplied
last, when P is short of a multiple of ln 2.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxacts import _coefficients_gelu as table
from jaxacts import _numerics as num
from jaxacts import _sigmoidal
from jaxacts._exact import Array, is_rough

__all__ = ["K", "curvature", "slope", "value"]

K = "0.044715"
_C = "1.59576912160573071175978423973752747426"
_CK = "0.0713548162726002487763387522798635409956"  # _C times K
_INVERSE_K = "22.36386000223638600022363860002236386"
_LN2_OVER_CK = "9.714091028023696095607230038825701448818"

# Above, e^-a is lost against 1; from the end on, e^-a is 0 for every use.
_FAR = 8.0
_END = {"float32": 10.9, "float64": 21.7}
# So many steps to 1 that the cube of the steps to the end, and more, is a whole number.
_STEPS = {"float32": 16, "float64": 4096}
_NEAR = float(table.TANH_NEAR)
# What the power of two in e^a carries, so that it is normal up to the end.
_UNIT = 64 * Fraction(_CK) / 3
_ONE = {"float32": 2.0**-31, "float64": 2.0**-96}
# The same for the curvature, which is larger there.
_CURVATURE_NEAR = float(table.TANH_CURVATURE_NEAR_END)
_CURVATURE_END = {"float32": 11.3, "float64": 22.0}
_CURVATURE_ONE = {"float32": 2.0**-52, "float64": 2.0**-140}


class _Reduced(NamedTuple):
    """Of x: e^(a + shift) = (1 + t) 2^n, and x a' in units of ``_UNIT``, as
    whole * tangent + d * bend + x * low."""

    n: Array
    t: Array
    whole: Array
    tangent: Array
    d: Array
    bend: Array
    low: Array


def _whole_and_rest(exact: Fraction) -> tuple[float, float]:
    return float(round(exact)), float(exact - round(exact))


def _reduced(x: Array, shift: Fraction = Fraction(0)) -> _Reduced:
    """a to twice the digits.

    In steps as small as `_STEPS`, the cube of the nearest whole number and its
    product with K, rounded to a whole number, have no rounding errors; nor has
    n ln 2/(c k). All is three times as large, and a has the unit 64 c k/3, for
    roundings that are small beside a and a product in `_expm1` that is small, too.
    """
    steps = _STEPS[str(x.dtype)]
    cube = steps**3
    unit, to_n = 1.0 / 64.0 / cube, float(_UNIT) * num.LOG2E
    k, k_low = _whole_and_rest(Fraction(_INVERSE_K) * 3 * steps**2)
    step, step_low = _whole_and_rest(Fraction(_LN2_OVER_CK) * 3 * cube)
    start, start_low = _whole_and_rest(shift / _UNIT * 64 * cube)
    x = x * float(steps)
    whole = lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)
    d, square = x - whole, whole * whole
    high, low = whole * (square * (3.0 * unit) + k * unit), x * (k_low / 3)
    if shift:
        high, low = high + start * unit, low + start_low / 3
    tangent = square * (9.0 * unit) + k * unit
    # Not (high + d tangent) to_n: a product of two uses is rounded before it is added.
    n = high * to_n + (d * to_n) * tangent
    n = lax.round(n, lax.RoundingMethod.TO_NEAREST_EVEN)
    bend = d * (whole * 3.0 + d)
    near = (high - n * (step * unit)) + d * tangent
    low = d * bend + (low - n * (step_low / 3))
    t = _expm1(near + low * (3.0 * unit))
    bend = (tangent * 3.0 - (2.0 * k * unit)) + bend * (9.0 * unit)
    return _Reduced(n, t, whole, tangent, d, bend, x * (k_low * unit))


def _roughly_reduced(x: Array) -> tuple[Array, Array]:
    """(n, t) with e^a = (1 + t) 2^n, for results of few bits."""
    a = x * (x * x * (3.0 / 64.0) + float(Fraction(_INVERSE_K) * 3 / 64))
    n = lax.round(a * (float(_UNIT) * num.LOG2E), lax.RoundingMethod.TO_NEAREST_EVEN)
    return n, _expm1(a - n * (math.log(2) / float(_UNIT)))


def _expm1(s: Array) -> Array:
    return s + s * _fit("TANH_EXPM1", s)


def _power(n: Array, one: float | None = None) -> Array:
    """2^n over ``one``, by default that of ``_ONE``."""
    nothing = _sigmoidal.Exponent(n, jnp.zeros_like(n))
    return _sigmoidal.expm1_parts(nothing, 1.0 / (one or _ONE[str(n.dtype)]))[1]


def value(x: Array) -> Array:
    """x σ(a) = x 2^n/(2^n + 1 + t), e^-a = (1 + t) 2^-n."""
    x = num.clamp(x, -_END[str(x.dtype)])
    one = _ONE[str(x.dtype)]
    minus = -num.clamp(x, None, _FAR)
    n, t = _roughly_reduced(minus) if is_rough() else _reduced(minus)[:2]
    p = _power(-n)
    y = (x / ((p * one + t) + 1.0)) * p * one
    return jnp.where(x > _FAR, x, y)


def slope(x: Array) -> Array:
    """F(-|x|) for x < 0, else 1 - F(-|x|); F(v) = (1 + v a' + e^a) e^a/(1 + e^a)²."""
    v = num.clamp(-jnp.abs(x), -_END[str(x.dtype)])
    if is_rough():
        y = _rough_slope(v)
    else:
        y = jnp.where(v > -_NEAR, _near_slope(v), _far_slope(v))
    return jnp.where(x > v, 1.0 - y, y)


def _rough_slope(x: Array) -> Array:
    n, t = _roughly_reduced(x)
    p, one = _power(n), _ONE[str(x.dtype)]
    scaled = p + p * t
    e = scaled * one
    tangent = x * x * (3.0 * float(Fraction(_CK))) + float(Fraction(_C))
    b, d = (1.0 + x * tangent) + e, 1.0 + e
    return ((b * scaled) / (d * d)) * one


def _near_slope(v: Array) -> Array:
    zero, zero_low = num.constant(table.TANH_SLOPE_ZERO, v.dtype)
    at_0 = float(Fraction(table.TANH_BEND_AT_0))
    at_zero = float(Fraction(table.TANH_BEND_AT_ZERO))
    d = v - zero
    # The largest parts of the slope over d, and of p, have no rounding errors. Of a
    # choice between constants, a scan would keep both as arrays.
    first, second, *others = table.TANH_SLOPE_NEAR[str(v.dtype)]
    u = v + 1.0
    main = num.clamp(u * 2.0**100, 0.125, 0.5)
    p = u * num.horner(u, (second - 0.25, *others)) + (0.25 * u + (first - main))
    # What d lost, near 0, times the slope there; and what zero lost.
    low = (-zero - (d - v)) * at_0 - zero_low * at_zero
    return main * d + (d * p + low)


def _far_slope(x: Array) -> Array:
    one, inverse = _ONE[str(x.dtype)], float(1 / _UNIT)
    v = _reduced(x, Fraction(table.TANH_LOG_UNIT))
    p, factor = _power(v.n), 1.0 + v.t
    e = p * factor
    t = v.t + factor * (e * _fit("TANH_SLOPE_FAR", e, one))
    rest = v.d * v.bend + (v.low + (e * (inverse**2 * one) + inverse))
    bracket = v.whole * v.tangent + rest
    # Both sums of products with whole, which is exact or rounded once.
    return ((v.whole * one) * v.tangent + (bracket * t + rest) * one) * p


def _fit(name: str, x: Array, scale: float = 1.0) -> Array:
    """The polynomial of x times scale, a power of two, times scale."""
    fits = getattr(table, name)["rough" if is_rough() else str(x.dtype)]
    if scale == 1.0:
        return num.horner(x, fits)
    return num.horner(x, tuple(c * scale ** (i + 1) for i, c in enumerate(fits)))


def curvature(x: Array) -> Array:
    """(A (2 - z A T) + z A') E/(1 + E)², A = a', E = e^-a, T = tanh(a/2), z = |x|."""
    z = num.clamp(jnp.abs(x), None, _CURVATURE_END[str(x.dtype)])
    far = _rough_far_curvature(z) if is_rough() else _far_curvature(z)
    return jnp.where(z < _CURVATURE_NEAR, _near_curvature(z), far)


def _near_curvature(z: Array) -> Array:
    zero, zero_low = num.constant(table.TANH_CURVATURE_ZERO, z.dtype)
    d = z - zero
    p = _fit("TANH_CURVATURE_NEAR", z - float(table.TANH_CURVATURE_CENTRE))
    return d * p - zero_low * p


def _far_curvature(z: Array) -> Array:
    one, inverse = _CURVATURE_ONE[str(z.dtype)], float(1 / _UNIT)
    v = _reduced(-z, 2 * Fraction(table.TANH_LOG_UNIT))
    p = _power(v.n, one)
    e = (p * one) * (1.0 + v.t)
    # r = 2 E/(1 + E), T = 1 - r, all else in the unit.
    r = e * _fit("TANH_TWICE", e)
    square = z * z
    linear = float(Fraction(_INVERSE_K) * 3 / 64)
    tangent = square * (9.0 / 64.0) + linear
    tangent_low = linear - (tangent - square * (9.0 / 64.0))
    bend = square * (18.0 / 64.0 * inverse)
    rest = v.d * v.bend + (v.low + 2.0 * inverse)
    b = v.whole * v.tangent + rest
    b_low = (rest - (b - v.whole * v.tangent)) - r * (b - 2.0 * inverse)
    w = b * tangent + bend
    low = b_low * tangent + (b * tangent_low + (bend - (w - b * tangent)))
    t = v.t + (1.0 + v.t) * (r * (0.25 * r - 1.0))
    return ((w + (w * t + (low + low * t))) * p) * one


def _rough_far_curvature(z: Array) -> Array:
    one = _CURVATURE_ONE[str(z.dtype)]
    n, t = _roughly_reduced(-z)
    p = _power(n, one)
    scaled = p + p * t
    e = scaled * (one * float(_UNIT) ** 2)
    half = 0.5 * (e * _fit("TANH_TWICE", e))
    square = z * z
    tangent = square * (3.0 * float(Fraction(_CK))) + float(Fraction(_C))
    tanh = 1.0 - 2.0 * half
    bracket = tangent * (2.0 - (z * tangent) * tanh)
    bracket = bracket + square * (6.0 * float(Fraction(_CK)))
    q = 1.0 - half
    return ((bracket * (q * q)) * scaled) * one
