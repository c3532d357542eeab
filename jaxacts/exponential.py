"""Units that are linear for x > 0 and exponential for x < 0."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._numerics import Array
from jaxacts._spec import Kink, Limits, Parameter

_INF = float("inf")


def _decay(x: Array, factor: Array | float, x_low: Array | None = None) -> Array:
    """factor · e^x for x < 0."""
    below = num.clamp(x, None, 0.0)
    t, s1, s2 = num.exp_parts(below, jnp.zeros_like(x) if x_low is None else x_low)
    return num.scale(factor + factor * t, s1, s2)


def _elu_reference(m, x, alpha=1):
    pieces = [lambda: alpha * m.expm1(x), lambda: x]
    return m.piecewise(x, [(0, "left")], pieces)


@activation(
    family="exponential",
    formula=r"x \text{ for } x > 0, \quad \alpha (e^x - 1) \text{ for } x \le 0",
    reference=_elu_reference,
    parameters=(
        Parameter(name="alpha", default=1.0, description="-α is the limit on the left"),
    ),
    cases=({}, {"alpha": 0.5}),
    slope=lambda x, alpha: jnp.where(x > 0, 1.0, _decay(x, alpha)),
    curvature=lambda x, alpha: jnp.where(x > 0, 0.0, _decay(x, alpha)),
    kinks=lambda alpha=1.0: (Kink(at=0.0, slope=alpha, curvature=alpha),),
    limits=lambda alpha=1.0: Limits(
        minus_infinity=(-alpha, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda alpha=1.0: (-alpha, _INF),
    monotonic=True,
    paper="arXiv:1511.07289",
)
def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """Exponential linear unit.

    Example:
      >>> jaxacts.elu(jnp.array([-1.0, 2.0]))
      Array([-0.6321,  2.    ], dtype=float32)
    """
    return jnp.where(x > 0, x, alpha * num.expm1(num.clamp(x, None, 0.0)))


# --- CELU: the exponent is a quotient, kept with its rounding error ------------


def _over(x: Array, alpha: Array) -> tuple[Array, Array]:
    """(v, v_low) with v + v_low = min(x, 0)/α."""
    below, alpha = jnp.broadcast_arrays(num.clamp(x, -1e4, 0.0), alpha)
    inverse = 1.0 / alpha
    v = num.clamp(below * inverse, -1400.0)
    high, low = num.product(v, alpha)
    rest = ((below - high) - low) * inverse
    return v, jnp.where(v > -1400.0, rest, 0.0)


def _celu_slope(x: Array, alpha: Array) -> Array:
    v, v_low = _over(x, alpha)
    return jnp.where(x > 0, 1.0, _decay(v, jnp.ones_like(v), v_low) + num.zero(x))


def _celu_curvature(x: Array, alpha: Array) -> Array:
    v, v_low = _over(x, alpha)
    return jnp.where(x > 0, 0.0, _decay(v, 1.0 / alpha, v_low) + num.zero(x))


# (k - 1)/k!: e^v - 1 - v e^v = -v² (c0 + c1 v + ...), to 1e-17 for |v| < 1.
_CELU_ALPHA = tuple((k - 1) / math.factorial(k) for k in range(2, 20))


def _celu_alpha_slope(x: Array, alpha: Array) -> Array:
    v, v_low = _over(x, alpha)
    near = num.clamp(v, -1.0)
    series = -(near * near) * num.horner(near, _CELU_ALPHA)
    direct = num.expm1(v, v_low) - _decay(v, v, v_low)
    return jnp.where(x > 0, 0.0, jnp.where(v > -1.0, series, direct))


def _celu_reference(m, x, alpha=1):
    pieces = [lambda: alpha * m.expm1(x / alpha), lambda: x]
    return m.piecewise(x, [(0, "left")], pieces)


@activation(
    family="exponential",
    formula=r"\max(x, 0) + \alpha \left(e^{\min(x, 0)/\alpha} - 1\right)",
    reference=_celu_reference,
    parameters=(
        Parameter(
            name="alpha",
            default=1.0,
            description="-α is the limit on the left, α > 0",
        ),
    ),
    cases=({}, {"alpha": 0.3}),
    slope=_celu_slope,
    curvature=_celu_curvature,
    parameter_slopes={"alpha": _celu_alpha_slope},
    kinks=lambda alpha=1.0: (Kink(at=0.0, curvature=1.0 / alpha),),
    limits=lambda alpha=1.0: Limits(
        minus_infinity=(-alpha, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda alpha=1.0: (-alpha, _INF),
    monotonic=True,
    paper="arXiv:1704.07483",
)
def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """Continuously differentiable exponential linear unit.

    Example:
      >>> jaxacts.celu(jnp.array([-1.0, 2.0]), 0.5)
      Array([-0.4323,  2.    ], dtype=float32)
    """
    v, v_low = _over(x, alpha)
    below = alpha * num.expm1(v, v_low) + num.zero(x)
    # v_low underflows near 0, where the function is x to the last digit.
    return jnp.where(x > -1e-20, x, below)


# --- SELU ---------------------------------------------------------------------

_SCALE = "1.0507009873554804934193349852946"
_ALPHA = "1.6732632423543772848170429916717"
_SCALE_ALPHA = "1.7580993408473768599402175208123"  # the product of the two


def _selu_reference(m, x):
    scale, alpha = m.const(_SCALE), m.const(_ALPHA)
    pieces = [lambda: scale * alpha * m.expm1(x), lambda: scale * x]
    return m.piecewise(x, [(0, "left")], pieces)


def _times(text: str, x: Array) -> Array:
    high, low = num.constant(text, x.dtype)
    return x * high + num.clamp(x, -1e30, 1e30) * low  # no inf - inf


def _selu_decay(x: Array) -> Array:
    t, s1, s2 = num.exp_parts(num.clamp(x, None, 0.0), jnp.zeros_like(x))
    high, low = num.constant(_SCALE_ALPHA, x.dtype)
    return num.scale(high + (t * high + (1.0 + t) * low), s1, s2)


@activation(
    family="exponential",
    formula=r"\lambda x \text{ for } x > 0, \quad "
    r"\lambda \alpha (e^x - 1) \text{ for } x \le 0",
    reference=_selu_reference,
    slope=lambda x: jnp.where(x > 0, float(_SCALE), _selu_decay(x)),
    curvature=lambda x: jnp.where(x > 0, 0.0, _selu_decay(x)),
    kinks=lambda: (
        Kink(at=0.0, slope=float(_SCALE_ALPHA), curvature=float(_SCALE_ALPHA)),
    ),
    limits=lambda: Limits(
        minus_infinity=(-float(_SCALE_ALPHA), 0.0, 0.0),
        plus_infinity=(_INF, float(_SCALE), 0.0),
    ),
    value_range=lambda: (-float(_SCALE_ALPHA), _INF),
    monotonic=True,
    paper="arXiv:1706.02515",
)
def selu(x: ArrayLike) -> Array:
    """Scaled exponential linear unit, which keeps mean 0 and variance 1.

    λ = 1.0507009873554805 and α = 1.6732632423543773. The fixed point needs
    weights of variance 1/fan_in (``lecun_normal``).

    Example:
      >>> jaxacts.selu(jnp.array([-1.0, 2.0]))
      Array([-1.1113,  2.1014], dtype=float32)
    """
    below = num.expm1(num.clamp(x, None, 0.0))
    return jnp.where(x > 0, _times(_SCALE, x), _times(_SCALE_ALPHA, below))
