"""Piecewise polynomial stand-ins for smooth activations."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._numerics import Array, zero
from jaxacts._spec import Kink, Limits

_INF = float("inf")
_SIXTH = "0.166666666666666666666666666666666666667"


def _over_six(x: Array) -> Array:
    """x/6, without the double rounding of x · (1/6)."""
    high, low = num.constant(_SIXTH, x.dtype)
    return x * high + x * low


def _ramp(x: Array) -> Array:
    # Not cut at 0: a maximum with 0 is three instructions, for its sign.
    return num.clamp(x, -3.0, 3.0) + 3.0


@activation(
    family="hard",
    formula=r"\tfrac16 \min(\max(x + 3, 0), 6)",
    reference=lambda m, x: m.piecewise(
        x,
        [(-3, "left"), (3, "right")],
        [lambda: 0 * x, lambda: (x + 3) / 6, lambda: 1 + 0 * x],
    ),
    slope=lambda x: jnp.where(jnp.abs(x) < 3, 1.0 / 6.0, zero(x)),
    curvature=zero,
    kinks=lambda: (
        Kink(at=-3.0, slope=0.0, curvature=0.0),
        Kink(at=3.0, slope=0.0, curvature=0.0),
    ),
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(1.0, 0.0, 0.0)
    ),
    value_range=lambda: (0.0, 1.0),
    monotonic=True,
    paper="arXiv:1905.02244",
)
def hard_sigmoid(x: ArrayLike) -> Array:
    """Piecewise linear approximation of the logistic function: relu6(x + 3)/6.

    Example:
      >>> jaxacts.hard_sigmoid(jnp.array([-4.0, 0.0, 1.5]))
      Array([0.  , 0.5 , 0.75], dtype=float32)
    """
    return _over_six(_ramp(x))


def _hard_silu_slope(x: Array) -> Array:
    # NaN is in neither piece outside.
    inside = (2.0 * x + 3.0) * (1.0 / 6.0)
    return jnp.where(x >= 3.0, 1.0, jnp.where(x <= -3.0, 0.0, inside))


@jax.custom_jvp
def _hard_silu_curvature(x: Array) -> Array:
    """1/3 for |x| < 3, else 0."""
    steep = 2.0**60
    rise = 3.0 * steep - jnp.abs(x) * steep
    # Not a maximum: NaN stays so, too, and 0 has one sign.
    return num.clamp(jnp.where(rise < 0.0, 0.0, rise), None, 1.0 / 3.0)


@_hard_silu_curvature.defjvp
def _hard_silu_curvature_jvp(primals, tangents):
    return _hard_silu_curvature(*primals), zero(*primals) * tangents[0]


@activation(
    family="hard",
    formula=r"\tfrac16 x \min(\max(x + 3, 0), 6)",
    reference=lambda m, x: m.piecewise(
        x,
        [(-3, "left"), (3, "right")],
        [lambda: 0 * x, lambda: x * (x + 3) / 6, lambda: x],
    ),
    slope=_hard_silu_slope,
    curvature=_hard_silu_curvature,
    kinks=lambda: (
        Kink(at=-3.0, slope=0.0, curvature=0.0),
        Kink(at=3.0, slope=1.0, curvature=0.0),
    ),
    limits=lambda: Limits(
        minus_infinity=(-0.0, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda: (-0.375, _INF),
    aliases=("hard_swish",),
    paper="arXiv:1905.02244",
)
def hard_silu(x: ArrayLike) -> Array:
    """Piecewise quadratic approximation of silu: x relu6(x + 3)/6.

    Example:
      >>> jaxacts.hard_silu(jnp.array([-4.0, -1.5, 4.0]))
      Array([-0.   , -0.375,  4.   ], dtype=float32)
    """
    # Outside of [-3, 3] the ramp is 0 or 6; the clamp keeps -inf · 0 away.
    inside = num.clamp(x, -3.0, 3.0) * _over_six(_ramp(x))
    return jnp.where(x >= 3.0, x, inside)


@activation(
    family="hard",
    formula=r"\tfrac12 x \min(\max(x + 2, 0), 2)",
    reference=lambda m, x: m.piecewise(
        x,
        [(-2, "left"), (0, "right")],
        [lambda: 0 * x, lambda: x * (x + 2) / 2, lambda: x],
    ),
    slope=lambda x: jnp.where(x > -2.0, num.clamp(x, None, 0.0) + 1.0, zero(x)),
    curvature=lambda x: jnp.where((x > -2.0) & (x < 0.0), 1.0, zero(x)),
    kinks=lambda: (
        Kink(at=-2.0, slope=0.0, curvature=0.0),
        Kink(at=0.0, curvature=0.0),
    ),
    limits=lambda: Limits(
        minus_infinity=(-0.0, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda: (-0.5, _INF),
    paper="the hard form of mish, arXiv:1908.08681",
)
def hard_mish(x: ArrayLike) -> Array:
    """Piecewise quadratic approximation of mish: x for x >= 0, and 0 below -2.

    Example:
      >>> jaxacts.hard_mish(jnp.array([-3.0, -1.0, 4.0]))
      Array([-0. , -0.5,  4. ], dtype=float32)
    """
    near = num.clamp(x, -2.0, 0.0)
    d = near + 2.0
    d_low = num.sum_low(near, jnp.full_like(near, 2.0), d)
    return jnp.where(x >= 0.0, x, near * (0.5 * d) + near * (0.5 * d_low))
