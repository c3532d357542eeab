"""The Gaussian error linear unit, exact and by tanh."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._logistic import swish_value
from jaxacts._numerics import Array
from jaxacts._spec import Limits

_INF = float("inf")

# --- exact: x Φ(x), Φ(-z) = e^(-z²/2)/(z + 4) times a polynomial in (z - 4)/(z + 4)


class _Tail(NamedTuple):
    """z = |x|, cut where e^(-z²/2) = (1 + t) s1 s2 is 0 for every use, and
    w = (z - 4)/(z + 4), r = 1/(z + 4), with the rounding error of w and z + 4."""

    z: Array
    t: Array
    s1: Array
    s2: Array
    w: Array
    w_low: Array
    r: Array
    bottom: Array
    bottom_low: Array


def _tail(x: Array) -> _Tail:
    z = num.clamp(num.magnitude(x), None, 15.0 if x.dtype == jnp.float32 else 39.0)
    four = jnp.full_like(z, 4.0)
    top, bottom = z - four, z + four
    bottom_low = num.sum_low(z, four, bottom)
    r = num.reciprocal(bottom)
    w = top * r
    rest = (top - w * bottom) + (num.sum_low(z, -four, top) - w * bottom_low)
    return _Tail(z, *num.half_square_exp_parts(z), w, rest * r, r, bottom, bottom_low)


def _erf_value(x: Array) -> Array:
    v = _tail(x)
    p, p_low = num.fit_low("MILLS", v.w)
    # The logarithm of the polynomial has slope -0.81 + 0.31 w, within 0.03.
    p_low = p_low + p * (v.w_low * (0.31 * v.w - 0.81))
    ratio = v.z * v.r
    ratio_low = ((v.z - ratio * v.bottom) - ratio * v.bottom_low) * v.r
    high, low = num.product(ratio, p, ratio_low, p_low)
    y = num.finish(high, low, v.t, v.s1, v.s2)  # |x| Φ(-|x|)
    y = jnp.where(x < 0, -y, x - y)
    return jnp.where(jnp.abs(x) < 1e-20, 0.5 * x, y)  # where halves of z underflow


def _erf_slope(x: Array) -> Array:
    v = _tail(x)
    root, root_low = num.constant(_coefficients.GELU_SLOPE_ZERO, x.dtype)
    p, p_low = num.fit_low("GELU_SLOPE", v.w)
    # The logarithm of the polynomial has slope -0.25 + 0.22 w, within 0.06.
    p_low = p_low + p * (v.w_low * (0.22 * v.w - 0.25))
    shift = jnp.full_like(v.z, root)
    d = shift - v.z
    high, low = num.product(d, p, num.sum_low(-v.z, shift, d), p_low)
    y = num.finish(high, low + root_low * p, v.t, v.s1, v.s2)  # gelu'(-|x|)
    return jnp.where(x < 0, y, 1.0 - y)


_ROOT_TWO = "1.41421356237309504880168872420969807857"
_DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)


def _erf_curvature(x: Array) -> Array:
    """φ(x) (√2 - |x|) (√2 + |x|)."""
    z = _tail(x).z
    t, s1, s2 = num.half_square_exp_parts(z)
    root, root_low = num.constant(_ROOT_TWO, x.dtype)
    sum_ = (z + root) * _DENSITY_AT_0
    return num.finish((root - z) * sum_, root_low * sum_, t, s1, s2)


# --- by tanh: x σ(a), a = c (x + k x³) ----------------------------------------

_K = "0.044715"
_C = "1.59576912160573071175978423973752747426"  # 2 √(2/π)
_CK = "0.0713548162726002487763387522798635409956"  # _C times _K


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


def _tanh_slope(x: Array) -> Array:
    z, v = _tanh_parts(x)
    p, e = v.p, v.p.e
    # q (1 + z a' e q) on the right and e q (1 - z a' q) on the left, where a
    # polynomial takes over around the zero.
    mixed = (v.push * e) * p.q
    below = x < 0
    ones = jnp.where(below, 1.0 - v.push, 1.0)
    ones_low = jnp.where(below, ((1.0 - ones) - v.push) - v.push_low, 0.0)
    total = ones + mixed
    total_low = (mixed - (total - ones)) + ones_low
    w = total * p.q
    low = w * p.delta + total_low * p.q
    left = num.patched(num.distance(z, "GELU_TANH_SLOPE"), (w, low), 0.5)
    return num.finish(
        jnp.where(below, left[0], w),
        jnp.where(below, left[1], low),
        jnp.where(below, p.t, 0.0),
        jnp.where(below, p.s1, 1.0),
        jnp.where(below, p.s2, 1.0),
    )


def _tanh_curvature(x: Array) -> Array:
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


# --- the public function --------------------------------------------------------


def _gelu_slope(x: Array, *, approximate: bool) -> Array:
    return _tanh_slope(x) if approximate else _erf_slope(x)


def _gelu_curvature(x: Array, *, approximate: bool) -> Array:
    return _tanh_curvature(x) if approximate else _erf_curvature(x)


def _gelu_reference(m, x, approximate=True):
    if approximate:
        inner = x + m.const(_K) * x * x * x
        return x * (1 + m.tanh(m.sqrt(2 / m.pi) * inner)) / 2
    return x * (1 + m.erf(x / m.sqrt(m.const("2")))) / 2


@activation(
    family="gaussian",
    formula=r"\tfrac{x}{2}\left(1 + \tanh\left(\sqrt{2/\pi}"
    r"(x + 0.044715 x^3)\right)\right) \text{, or } "
    r"\tfrac{x}{2}\left(1 + \operatorname{erf}(x/\sqrt2)\right)",
    reference=_gelu_reference,
    static=("approximate",),
    cases=({}, {"approximate": False}),
    slope=_gelu_slope,
    curvature=_gelu_curvature,
    limits=lambda **_: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda **_: (-0.17005, _INF),
    paper="arXiv:1606.08415",
)
def gelu(x: ArrayLike, approximate: bool = True) -> Array:
    """Gaussian error linear unit.

    ``approximate=True``, JAX's default, is the form by tanh;
    ``approximate=False`` is xΦ(x), the default of PyTorch, Keras and TensorFlow.

    Example:
      >>> jaxacts.gelu(jnp.array([-1.0, 2.0]))
      Array([-0.1588,  1.9546], dtype=float32)
      >>> jaxacts.gelu(jnp.array([-1.0, 2.0]), approximate=False)
      Array([-0.1587,  1.9545], dtype=float32)
    """
    if not approximate:
        return _erf_value(x)
    v = _argument(x)
    return swish_value(x, v.a, v.a_low)
