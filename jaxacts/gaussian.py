"""The Gaussian error linear unit, exact and by tanh."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._logistic import swish_value
from jaxacts._numerics import Array
from jaxacts._spec import Kink, Limits, Parameter

_INF = float("inf")

# --- exact: x Φ(x), Φ(-z) = e^(-z²/2) times a polynomial in (z - 4)/(z + 4) ----


def _tail(x: Array) -> tuple[Array, Array, Array, Array, Array]:
    """(z, w, t, s1, s2) with z = |x| cut where e^(-z²/2) is 0 for every use."""
    z = num.clamp(num.magnitude(x), None, 15.0 if x.dtype == jnp.float32 else 39.0)
    w = (z - 4.0) * num.reciprocal(z + 4.0)
    return z, w, *num.half_square_exp_parts(z)


def _ratio_low(z: Array, w: Array) -> Array:
    """The rounding error of w = (z - 4)/(z + 4)."""
    four = jnp.full_like(z, 4.0)
    top, bottom = z - four, z + four
    top_low = num.sum_low(z, -four, top)
    bottom_low = num.sum_low(z, four, bottom)
    rest = (top - w * bottom) + (top_low - w * bottom_low)
    return rest * num.reciprocal(bottom)


def _erf_value(x: Array) -> Array:
    z, w, t, s1, s2 = _tail(x)
    y = z * num.fit("MILLS", w)
    # The logarithm of the polynomial has slope -2.2 - 0.6 w, within a tenth.
    bend = _ratio_low(z, w) * (-2.2 - 0.6 * w)
    y = num.scale(y + y * (t + (1.0 + t) * bend), s1, s2)  # |x| Φ(-|x|)
    right = jnp.where(x < 1e-30, 0.5 * x, x - y)  # y may be flushed to zero
    return jnp.where(x < 0, -y, right)


def _erf_slope(x: Array) -> Array:
    z, w, t, s1, s2 = _tail(x)
    root, root_low = num.constant(_coefficients.GELU_SLOPE_ZERO, x.dtype)
    p = num.fit("GELU_SLOPE", w)
    y = (root - z) * p + root_low * p
    y = num.scale(y + y * t, s1, s2)  # gelu'(-|x|)
    return jnp.where(x < 0, y, 1.0 - y)


_ROOT_TWO = "1.41421356237309504880168872420969807857"
_DENSITY_AT_0 = 1.0 / math.sqrt(2.0 * math.pi)


def _erf_curvature(x: Array) -> Array:
    """φ(x) (√2 - |x|) (√2 + |x|)."""
    z, _, t, s1, s2 = _tail(x)
    root, root_low = num.constant(_ROOT_TWO, x.dtype)
    sum_ = (z + root) * _DENSITY_AT_0
    y = (root - z) * sum_ + root_low * sum_
    return num.scale(y + y * t, s1, s2)


# --- by tanh: x σ(a), a = c (x + k x³) ----------------------------------------

_K = "0.044715"
_C = "1.59576912160573071175978423973752747426"  # 2 √(2/π)
_CK = "0.0713548162726002487763387522798635409956"  # _C times _K


def _argument(x: Array) -> tuple[Array, Array]:
    """(a, a_low), with a short: its products in exp_parts are exact."""
    # Beyond 12 (in float64, 25) every e^-|a| is 0.
    far = 12.0 if x.dtype == jnp.float32 else 25.0
    x = num.clamp(x, -far, far)
    cube, cube_low = num.product_with_constant(_CK, *num.product(x, x))
    c, c_low = num.constant(_C, x.dtype)
    v = cube + c
    v_low = num.sum_low(cube, jnp.full_like(x, c), v) + (cube_low + c_low)
    return num.product(x, v, 0.0, v_low)


def _argument_slopes(z: Array) -> tuple[Array, Array]:
    """a' and z a''."""
    ck = float(_CK)
    square = z * z
    return float(_C) + 3.0 * ck * square, 6.0 * ck * square


def _tanh_parts(x: Array) -> tuple[Array, num.Logistic]:
    """(z, the parts of e^-a(z)) of z = |x|, cut beyond its last digit."""
    z = num.clamp(num.magnitude(x), None, 12.0 if x.dtype == jnp.float32 else 25.0)
    a, a_low = _argument(z)
    return z, num.logistic_parts(-a, -a_low)


def _tanh_slope(x: Array) -> Array:
    z, p = _tanh_parts(x)
    slope, _ = _argument_slopes(z)
    # 1/2 ± (tanh(a/2)/2 + z a' e/(1 + e)²), as for silu.
    rise = (0.5 * p.one_minus_e + (z * slope) * (p.e * p.q)) * p.q
    middle = 0.5 + jnp.where(x < 0, -rise, rise)
    bracket = num.near_zero(z, "GELU_TANH_SLOPE", 1.0 - (z * slope) * p.q, 0.25)
    w = bracket * p.q
    tail = num.scale(w + w * (p.t + p.delta * (1.0 + p.t)), p.s1, p.s2)
    return jnp.where(x < -0.25, tail, middle)


def _tanh_curvature(x: Array) -> Array:
    z, p = _tanh_parts(x)
    slope, bend = _argument_slopes(z)
    bracket = 2.0 * slope + bend - (z * slope) * (slope * (p.one_minus_e * p.q))
    w = num.near_zero(z, "GELU_TANH_CURVATURE", bracket, 0.35) * (p.q * p.q)
    return num.scale(w + w * (p.t + 2.0 * p.delta * (1.0 + p.t)), p.s1, p.s2)


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
    return swish_value(x, *_argument(x))


# --- clipped ----------------------------------------------------------------------


def _where_kept(x: Array, minimum: Array, maximum: Array, y: Array) -> Array:
    """y where gelu(x) lies within the bounds, else 0."""
    value = _erf_value(x)
    kept = (value <= maximum) & (value >= minimum)
    return jnp.where(kept | (x != x), y, 0.0)


def _clipped_slope(x: Array, minimum: Array, maximum: Array) -> Array:
    return _where_kept(x, minimum, maximum, _erf_slope(x))


def _clipped_curvature(x: Array, minimum: Array, maximum: Array) -> Array:
    return _where_kept(x, minimum, maximum, _erf_curvature(x))


def _at_bound(bound: str):
    """The slope in a bound: 1 where the value is the bound."""

    def slope(x: Array, minimum: Array, maximum: Array) -> Array:
        value = _erf_value(x)
        outside = value < minimum if bound == "minimum" else value > maximum
        return jnp.where(outside, 1.0, num.zero(x))

    return slope


@activation(
    family="gaussian",
    formula=r"\min(\max(\operatorname{gelu}(x), a), b)",
    reference=lambda m, x, minimum=-10, maximum=10: m.min(
        m.max(_gelu_reference(m, x, approximate=False), minimum), maximum
    ),
    parameters=(
        Parameter(name="minimum", default=-10.0, description="the lower bound a"),
        Parameter(name="maximum", default=10.0, description="the upper bound b > a"),
    ),
    slope=_clipped_slope,
    curvature=_clipped_curvature,
    parameter_slopes={"minimum": _at_bound("minimum"), "maximum": _at_bound("maximum")},
    kinks=lambda maximum=10.0, **_: (Kink(at=maximum),),
    limits=lambda maximum=10.0, **_: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(maximum, 0.0, 0.0)
    ),
    value_range=lambda maximum=10.0, **_: (-0.17005, maximum),
    max_ulp={"float32": (3.1, 3.1, 4.0)},
    paper="arXiv:2004.09602",
)
def clipped_gelu(
    x: ArrayLike, minimum: ArrayLike = -10.0, maximum: ArrayLike = 10.0
) -> Array:
    """GELU, in its exact form, cut to a range, for quantization to 8 bits.

    Example:
      >>> jaxacts.clipped_gelu(jnp.array([-1.0, 2.0, 30.0]))
      Array([-0.1587,  1.9545, 10.    ], dtype=float32)
    """
    y = _erf_value(x)
    return jnp.where(y > maximum, maximum, jnp.where(y < minimum, minimum, y))


# --- Laplace: Φ(z), z = (x - μ)/σ ---------------------------------------------------


def _standard(x: Array, mu: Array, sigma: Array) -> tuple[Array, Array]:
    """z and its rounding error, cut where e^(-z²/2) is 0."""
    x, mu, sigma = jnp.broadcast_arrays(x, mu, sigma)
    far = 1e30
    difference = num.clamp(x, -far, far) - mu
    low = num.sum_low(num.clamp(x, -far, far), -mu, difference)
    z = difference / sigma
    limit = 15.0 if x.dtype == jnp.float32 else 39.0
    outside = jnp.abs(z) > limit
    back, back_low = num.product(jnp.where(outside, 0.0, z), sigma)
    rest = (((difference - back) - back_low) + low) / sigma
    return num.clamp(z, -limit, limit), jnp.where(outside, 0.0, rest)


def _half_square(z: Array, z_low: Array) -> tuple[Array, Array]:
    """-(z + z_low)²/2 as (high, low)."""
    z_high = num.high_part(z)
    rest = (z - z_high) * (z + z_high) + 2.0 * (z * z_low)
    return -0.5 * (z_high * z_high), -0.5 * rest


def _density(z: Array, z_low: Array, factor: Array) -> Array:
    """factor e^(-z²/2)/√(2π)."""
    t, s1, s2 = num.exp_parts(*_half_square(z, z_low))
    y = factor * _DENSITY_AT_0
    return num.scale(y + y * t, s1, s2)


def _laplace_curvature(x: Array, mu: Array, sigma: Array) -> Array:
    z, low = _standard(x, mu, sigma)
    return _density(z, low, -((z + low) / sigma) / sigma)


@activation(
    family="gaussian",
    formula=r"\tfrac12 \left(1 + \operatorname{erf}"
    r"\left(\frac{x - \mu}{\sigma \sqrt2}\right)\right)",
    reference=lambda m, x, mu=0.707107, sigma=0.282095: (
        (1 + m.erf((x - mu) / (sigma * m.sqrt(m.const("2"))))) / 2
    ),
    parameters=(
        Parameter(name="mu", default=0.707107, description="the centre μ"),
        Parameter(name="sigma", default=0.282095, description="the width σ, positive"),
    ),
    cases=({}, {"mu": -1.5, "sigma": 3.0}),
    max_ulp={"float32": (3.1, 2.0, 4.0)},
    slope=lambda x, mu, sigma: _density(*_standard(x, mu, sigma), 1.0 / sigma),
    curvature=_laplace_curvature,
    parameter_slopes={
        "mu": lambda x, mu, sigma: _density(*_standard(x, mu, sigma), -1.0 / sigma),
        "sigma": lambda x, mu, sigma: _density(
            *_standard(x, mu, sigma), -_standard(x, mu, sigma)[0] / sigma
        ),
    },
    limits=lambda **_: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(1.0, 0.0, -0.0)
    ),
    value_range=lambda **_: (0.0, 1.0),
    monotonic=True,
    paper="arXiv:2209.10655",
)
def laplace(
    x: ArrayLike, mu: ArrayLike = 0.707107, sigma: ArrayLike = 0.282095
) -> Array:
    """The distribution function of a normal variable, from gated attention (MEGA).

    The defaults are the paper's: the best fit to the square of relu.

    Example:
      >>> jaxacts.laplace(jnp.array([0.0, 0.5, 1.0]))
      Array([0.0061, 0.2314, 0.8504], dtype=float32)
    """
    signed, low = _standard(x, mu, sigma)
    z, low = jnp.abs(signed), jnp.where(signed < 0, -low, low)
    q = num.reciprocal(z + 4.0)
    w = (z - 4.0) * q
    t, s1, s2 = num.exp_parts(*_half_square(z, low))
    y = num.fit("MILLS", w)
    bend = (_ratio_low(z, w) + 8.0 * (low * q) * q) * (-2.2 - 0.6 * w)
    y = num.scale(y + y * (t + (1.0 + t) * bend), s1, s2)
    return jnp.where(signed < 0, y, 1.0 - y)
