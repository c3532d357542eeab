"""The Gaussian error linear unit, exact and by tanh."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _gelu_erf, _gelu_tanh
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._gaussian import (
    DENSITY_AT_0,
    half_square,
    lower_tail,
    tail,
)
from jaxacts._numerics import Array
from jaxacts._spec import Kink, Limits, Parameter

_INF = float("inf")

# --- exact: x Φ(x) ------------------------------------------------------------------

# --- the public function --------------------------------------------------------


def _gelu_slope(x: Array, *, approximate: bool) -> Array:
    return _gelu_tanh.slope(x) if approximate else _gelu_erf.slope(x)


def _gelu_curvature(x: Array, *, approximate: bool) -> Array:
    return _gelu_tanh.curvature(x) if approximate else _gelu_erf.curvature(x)


def _gelu_reference(m, x, approximate=True):
    if approximate:
        inner = x + m.const(_gelu_tanh.K) * x * x * x
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
    precise=("float16",),
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
    return _gelu_tanh.value(x) if approximate else _gelu_erf.value(x)


# --- clipped ----------------------------------------------------------------------


def _where_kept(x: Array, minimum: Array, maximum: Array, y: Array) -> Array:
    """y where gelu(x) lies within the bounds, else 0."""
    value = _gelu_erf.value(x)
    kept = (value <= maximum) & (value >= minimum)
    return jnp.where(kept | (x != x), y, 0.0)


def _clipped_slope(x: Array, minimum: Array, maximum: Array) -> Array:
    return _where_kept(x, minimum, maximum, _gelu_erf.slope(x))


def _clipped_curvature(x: Array, minimum: Array, maximum: Array) -> Array:
    return _where_kept(x, minimum, maximum, _gelu_erf.curvature(x))


def _at_bound(bound: str):
    """The slope in a bound: 1 where the value is the bound."""

    def slope(x: Array, minimum: Array, maximum: Array) -> Array:
        value = _gelu_erf.value(x)
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
    y = _gelu_erf.value(x)
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


def _density(z: Array, z_low: Array, factor: Array) -> Array:
    """factor e^(-z²/2)/√(2π)."""
    t, s1, s2 = num.exp_parts(*half_square(z, z_low))
    y = factor * DENSITY_AT_0
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
    below = signed < 0
    v = tail(signed, low)
    y = num.finish(*lower_tail(v), v.t, v.s1, v.s2)
    return jnp.where(below, y, 1.0 - y)
