"""The tanh form of gelu and two derivatives: x σ(a), a = c (x + k x³), c = 2 √(2/π).

With K = 1/k, a = c k P, P = x (x² + K): a constant that is not short is multiplied
last, when P is short of a multiple of ln 2.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxacts import _coefficients_gelu, _sigmoidal
from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough

__all__ = ["K", "curvature", "slope", "value"]

K = "0.044715"
_C = "1.59576912160573071175978423973752747426"
_CK = "0.0713548162726002487763387522798635409956"  # _C times K
_INVERSE_K = "22.36386000223638600022363860002236386"
_LN2_OVER_CK = "9.714091028023696095607230038825701448818"

# Above, e^-a is lost against 1; from the end on, e^-a is 0 for every use.
_FAR = 8.0
_END = {"float32": 10.92, "float64": 21.7}
# Steps to 1.
_STEPS = {"float32": 16, "float64": 4096}
# The factor of a power of two that is not normal by itself, up to the end.
_ONE = {"float32": 2.0**-36, "float64": 2.0**-128}


class _Cubic(NamedTuple):
    """x² and x² + K, with their errors, and a = c k x (x² + K) as an exponent."""

    high: Array
    square: Array
    square_low: Array
    sum: Array
    sum_low: Array
    exponent: _sigmoidal.Exponent


def _sum(x: Array, y: Array, low: Array) -> tuple[Array, Array]:
    """x + y + low for positive x and y."""
    total, larger = x + y, lax.max(x, y)
    return total, (lax.min(x, y) - (total - larger)) + low


def _short_constant(text: str, bits: int) -> tuple[float, float]:
    """A constant as a number of few bits and the rest."""
    exact = Fraction(text)
    unit = Fraction(2) ** (int(exact).bit_length() - bits)
    short = round(exact / unit) * unit
    return float(short), float(exact - short)


def _times(x: Array, high: Array, y: Array, y_low: Array) -> tuple[Array, Array]:
    """x (y + y_low) for the high part of x, as (exact, low)."""
    y_high = num.high_part(y)
    low = high * ((y - y_high) + y_low) + (x - high) * (y + y_low)
    return high * y_high, low


def _cubic(x: Array) -> _Cubic:
    if is_rough():
        square, none = x * x, jnp.zeros_like(x)
        total = square + float(Fraction(_INVERSE_K))
        a = _sigmoidal.exponent(float(Fraction(_CK)) * (x * total))
        return _Cubic(x, square, none, total, none, a)
    high = num.high_part(x)
    square, square_low = high * high, (x - high) * (x + high)
    k, k_low = num.constant(_INVERSE_K, x.dtype)
    total, total_low = _sum(square, jnp.full_like(x, k), square_low + k_low)
    p, p_low = _times(x, high, total, total_low)
    # n ln 2/(c k) in two parts, the first exact.
    first, second = _short_constant(_LN2_OVER_CK, 15 if x.dtype == jnp.float32 else 40)
    ck, ck_low = num.constant(_CK, x.dtype)
    n = lax.round((p + p_low) * (ck * num.LOG2E), lax.RoundingMethod.TO_NEAREST_EVEN)
    near, low = p - n * first, p_low - n * second
    r = near * ck + (low * ck + near * ck_low)
    a = _sigmoidal.Exponent(n, r)
    return _Cubic(high, square, square_low, total, total_low, a)


def _whole_and_rest(exact: Fraction) -> tuple[float, float]:
    return float(round(exact)), float(exact - round(exact))


def _expm1_parts(x: Array) -> tuple[Array, Array]:
    """(n, t) with e^a = (1 + t) 2^n.

    In steps as small as `_STEPS`, the cube of the nearest whole number and its
    product with K, rounded to a whole number, have no rounding errors; nor has
    n ln 2/(c k). All is three times as large, and s has the unit 64 c k/3, for
    roundings that are small beside s and a product s p(s) that is small, too.
    """
    steps = 1 if is_rough() else _STEPS[str(x.dtype)]
    unit = 1.0 / 64.0 / steps**3
    to_n = float(Fraction(_CK) * 64 / 3) * num.LOG2E
    k, k_low = _whole_and_rest(Fraction(_INVERSE_K) * 3 * steps**2)
    ln2, ln2_low = _whole_and_rest(Fraction(_LN2_OVER_CK) * 3 * steps**3)
    if is_rough():
        cubic = x * (x * x * (3.0 * unit) + (k + k_low) * unit)
        n = lax.round(cubic * to_n, lax.RoundingMethod.TO_NEAREST_EVEN)
        return n, _expm1(cubic - n * ((ln2 + ln2_low) * unit))
    x = x * float(steps)
    whole = lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)
    d, square = x - whole, whole * whole
    high = whole * (square * (3.0 * unit) + k * unit)
    tangent = square * (9.0 * unit) + k * unit
    # Not (high + d tangent) to_n: a product of two uses is rounded before it is added.
    n = high * to_n + (d * to_n) * tangent
    n = lax.round(n, lax.RoundingMethod.TO_NEAREST_EVEN)
    near = (high - n * (ln2 * unit)) + d * tangent
    low = d * (d * (whole * 3.0 + d)) + (x * (k_low / 3) - n * (ln2_low / 3))
    return n, _expm1(near + low * (3.0 * unit))


def _expm1(s: Array) -> Array:
    precision = "rough" if is_rough() else str(s.dtype)
    return s + s * num.horner(s, _coefficients_gelu.TANH_EXPM1[precision])


def value(x: Array) -> Array:
    """x σ(a) = x 2^n/(2^n + 1 + t), e^-a = (1 + t) 2^-n."""
    one = _ONE[str(x.dtype)]
    x = num.clamp(x, -_END[str(x.dtype)])
    n, t = _expm1_parts(-num.clamp(x, None, _FAR))
    nothing = _sigmoidal.Exponent(-n, jnp.zeros_like(n))
    power = _sigmoidal.expm1_parts(nothing, 1.0 / one)[1]
    # A small power is lost in 1, but not in t.
    y = (x / ((power * one + t) + 1.0)) * power * one
    return jnp.where(x > _FAR, x, y)


def slope(x: Array) -> Array:
    """F(|x|) for x < 0, else 1 - F(|x|); F(z) = (1 - z a' + e^-a) σ'(a)."""
    z = num.clamp(jnp.abs(x), None, _END[str(x.dtype)])
    v = _cubic(z)
    sums = _sigmoidal.cosh(v.exponent)
    b, b_low = _bracket(z, v, sums)
    return _sigmoidal.gated_slope(x < 0, sums, b, b_low)


def _bracket(z: Array, v: _Cubic, sums: _sigmoidal.Cosh) -> tuple[Array, Array]:
    """1 - z a' + e^-a, a polynomial up to z = 1.75; z a' = c k z (K + 3 z²)."""
    if is_rough():
        b = (1.0 - float(Fraction(_CK)) * (z * (v.sum + 2.0 * v.square))) + sums.e
        return b, jnp.zeros_like(b)
    # Above 1.75 the second term of the first sum is the larger one.
    low = v.sum_low + 2.0 * v.square_low
    product = _times(z, v.high, *_sum(v.sum, 2.0 * v.square, low))
    push, push_low = num.product_with_constant(_CK, *product)
    one = num.opaque(1.0, z)
    first = one - push
    more = sums.e + ((one - (first + push)) - push_low)
    b = first + more

    zero, zero_low = num.constant(_coefficients_gelu.TANH_BRACKET_ZERO, z.dtype)
    bend = float(Fraction(_coefficients_gelu.TANH_BRACKET_SLOPE))
    hidden = num.opaque(zero, z)
    d = z - hidden
    d_low = (z - (d + hidden)) - zero_low
    high = -2.0 * d
    small = num.clamp(d, None, 1.0)  # keeps the unused branch finite
    rest = small * num.fit("TANH_BRACKET", small, _coefficients_gelu)
    rest = rest + bend * d_low
    near = high + rest
    inside = z < 1.75
    y = jnp.where(inside, near, b)
    return y, jnp.where(inside, rest - (near - high), more - (b - first))


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
