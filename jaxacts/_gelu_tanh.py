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


def _power(n: Array) -> Array:
    """2^n over ``_ONE``."""
    nothing = _sigmoidal.Exponent(n, jnp.zeros_like(n))
    return _sigmoidal.expm1_parts(nothing, 1.0 / _ONE[str(n.dtype)])[1]


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


# --- curvature -----------------------------------------------------------------


class _Argument(NamedTuple):
    """a = c (x + k x³), c k x² and a', each with its rounding error."""

    a: Array
    a_low: Array
    cube: Array
    cube_low: Array
    slope: Array
    slope_low: Array


def _argument(x: Array) -> _Argument:
    """The argument of a short x: products of a in exp_parts are exact."""
    # Beyond 12 (in float64, 25) every e^-|a| is 0.
    far = 12.0 if x.dtype == jnp.float32 else 25.0
    x = num.clamp(x, -far, far)
    cube, cube_low = num.product_with_constant(_CK, *num.product(x, x))
    c_high, c_low = num.constant(_C, x.dtype)
    c = jnp.full_like(x, c_high)
    v = cube + c
    v_low = num.sum_low(cube, c, v) + (cube_low + c_low)
    slope = v + 2.0 * cube
    slope_low = num.sum_low(v, 2.0 * cube, slope) + (v_low + 2.0 * cube_low)
    return _Argument(*num.product(x, v, 0.0, v_low), cube, cube_low, slope, slope_low)


class _TanhForm(NamedTuple):
    """What slope and curvature share, of z = |x|: z a' + its rounding error."""

    argument: _Argument
    p: num.Logistic
    push: Array
    push_low: Array


def _tanh_parts(x: Array) -> tuple[Array, _TanhForm]:
    z = num.clamp(num.magnitude(x), None, 12.0 if x.dtype == jnp.float32 else 25.0)
    v = _argument(z)
    p = num.logistic_parts(-v.a, -v.a_low)
    high, low = num.product(z, v.slope, 0.0, v.slope_low)
    push = high + low
    return z, _TanhForm(v, p, push, low - (push - high))


def curvature(x: Array) -> Array:
    """Its second derivative."""
    z, v = _tanh_parts(x)
    p = v.p
    # a' (2 - z a' T) + z a'', T = tanh(a/2) = 1 - 2 e q, z a'' = 6 c k z².
    twos = num.opaque(2.0, z)
    two = twos - v.push
    more = 2.0 * ((v.push * p.e) * p.q) - v.push_low
    inner = two + more
    inner_low = (more - (inner - two)) + ((twos - two) - v.push)
    slope, bend = v.argument.slope, 6.0 * v.argument.cube
    first = slope * inner
    bracket = first + bend
    bracket_low = v.argument.slope_low * inner + slope * inner_low
    bracket_low += (bend - (bracket - first)) + 6.0 * v.argument.cube_low
    square = p.q * p.q
    w = bracket * square
    low = 2.0 * w * p.delta + bracket_low * square
    w, low = num.patched(num.distance(z, "GELU_TANH_CURVATURE"), (w, low), 0.6)
    return num.finish(w, low, p.t, p.s1, p.s2)
