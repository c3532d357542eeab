"""Bounded functions: the logistic function, tanh and their relatives."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts import _sigmoidal
from jaxacts._elementwise import activation
from jaxacts._exact import is_rough
from jaxacts._numerics import Array, zero
from jaxacts._spec import Kink, Limits

_INF = float("inf")


@activation(
    family="sigmoids",
    formula=r"\frac{1}{1 + e^{-x}}",
    reference=lambda m, x: 1 / (1 + m.exp(-x)),
    slope=_sigmoidal.sigmoid_slope,
    curvature=_sigmoidal.sigmoid_curvature,
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(1.0, 0.0, -0.0)
    ),
    value_range=lambda: (0.0, 1.0),
    monotonic=True,
    paper="Verhulst, 1838",
)
def sigmoid(x: ArrayLike) -> Array:
    """Logistic function.

    Example:
      >>> jaxacts.sigmoid(jnp.array([-5.0, 0.0, 2.0]))
      Array([0.0067, 0.5   , 0.8808], dtype=float32)
    """
    return _sigmoidal.sigmoid(x)


@activation(
    family="sigmoids",
    formula=r"\tanh(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}}",
    reference=lambda m, x: m.tanh(x),
    slope=lambda x: _sigmoidal.sigmoid_slope(2.0 * x, factor=4.0),
    curvature=lambda x: _sigmoidal.sigmoid_curvature(2.0 * x, factor=8.0),
    limits=lambda: Limits(
        minus_infinity=(-1.0, 0.0, 0.0), plus_infinity=(1.0, 0.0, -0.0)
    ),
    value_range=lambda: (-1.0, 1.0),
    monotonic=True,
    symmetry="odd",
    paper="the hyperbolic tangent",
)
def tanh(x: ArrayLike) -> Array:
    """Hyperbolic tangent.

    Example:
      >>> jaxacts.tanh(jnp.array([-1.0, 0.5]))
      Array([-0.7616,  0.4621], dtype=float32)
    """
    return _sigmoidal.tanh(x)


@activation(
    family="sigmoids",
    formula=r"\min(\max(x, -1), 1)",
    reference=lambda m, x: m.piecewise(
        x,
        [(-1, "right"), (1, "left")],
        [lambda: -1 + 0 * x, lambda: x, lambda: 1 + 0 * x],
    ),
    slope=lambda x: jnp.where(jnp.abs(x) <= 1, 1.0, zero(x)),
    curvature=zero,
    kinks=lambda: (
        Kink(at=-1.0, slope=1.0, curvature=0.0),
        Kink(at=1.0, slope=1.0, curvature=0.0),
    ),
    limits=lambda: Limits(
        minus_infinity=(-1.0, 0.0, 0.0), plus_infinity=(1.0, 0.0, 0.0)
    ),
    value_range=lambda: (-1.0, 1.0),
    monotonic=True,
    symmetry="odd",
    keeps_integers=True,
    paper="Collobert, 2004",
)
def hard_tanh(x: ArrayLike) -> Array:
    """Piecewise linear approximation of tanh.

    Backward keeps the slope (in 16 and 8 bits x), not the output: 1 at ±1 and 0
    beyond have the same output.

    Example:
      >>> jaxacts.hard_tanh(jnp.array([-3.0, 0.5, 3.0]))
      Array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return jnp.where(x > 1, 1, jnp.where(x < -1, -1, x))


# --- soft sign ----------------------------------------------------------------


def _far(x: Array) -> float:
    """Beyond, 1/(1 + |x|)² is 0."""
    return 1e30 if x.dtype == jnp.float32 else 1e200


# Keeps the cube of 1 + |x| in range, cut where its inverse is 0, and the inverse's two
# derivatives.
_CUBE_FACTOR = {"float32": 2.0**-30, "float64": 2.0**-60}
_CUBE_END = {"float32": 2.0**51, "float64": 2.0**359}


def _soft_sign_slope(x: Array) -> Array:
    """1/(1 + |x|)², the square rounded once."""
    z = jnp.abs(x)
    if is_rough():
        d = 1.0 + z
        return 1.0 / (d * d)
    # 1 + |x|, the larger number first: inf - inf is kept away.
    large, small = num.clamp(z, 1.0, _far(x)), num.clamp(z, None, 1.0)
    d = large + small
    # (short + rest)², with the error of the sum in the rest.
    short = num.high_part(d)
    rest = (large - short) + small
    return 1.0 / (short * short + rest * (d + short))


def _soft_sign_curvature(x: Array) -> Array:
    z = num.clamp(jnp.abs(x), None, _CUBE_END[str(x.dtype)])
    # The cube without the error of 1 + z.
    factor = _CUBE_FACTOR[str(x.dtype)]
    y = (2.0 * factor) / (factor + (factor * z) * (3.0 + z * (3.0 + z)))
    return jnp.where(x < 0, y, -y)


@activation(
    family="sigmoids",
    formula=r"\frac{x}{1 + |x|}",
    reference=lambda m, x: x / (1 + m.abs(x)),
    slope=_soft_sign_slope,
    curvature=_soft_sign_curvature,
    kinks=lambda: (Kink(at=0.0, curvature=-2.0),),
    limits=lambda: Limits(
        minus_infinity=(-1.0, 0.0, 0.0), plus_infinity=(1.0, 0.0, -0.0)
    ),
    value_range=lambda: (-1.0, 1.0),
    monotonic=True,
    symmetry="odd",
    paper="Bergstra et al., 2009",
)
def soft_sign(x: ArrayLike) -> Array:
    """Soft sign: bounded, with algebraic tails.

    Example:
      >>> jaxacts.soft_sign(jnp.array([-1.0, 3.0]))
      Array([-0.5 ,  0.75], dtype=float32)
    """
    near = num.clamp(x, -_far(x), _far(x))
    return near / (1.0 + jnp.abs(near))


# --- sparse -------------------------------------------------------------------


@activation(
    family="sigmoids",
    formula=r"\min(\max(\tfrac{x + 1}{2}, 0), 1)",
    reference=lambda m, x: m.piecewise(
        x,
        [(-1, "left"), (1, "right")],
        [lambda: 0 * x, lambda: (x + 1) / 2, lambda: 1 + 0 * x],
    ),
    slope=lambda x: jnp.where(
        jnp.abs(x) < 1, 0.5, jnp.where(jnp.abs(x) == 1, 0.25, zero(x))
    ),
    curvature=zero,
    kinks=lambda: (
        Kink(at=-1.0, slope=0.25, curvature=0.0),
        Kink(at=1.0, slope=0.25, curvature=0.0),
    ),
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(1.0, 0.0, 0.0)
    ),
    value_range=lambda: (0.0, 1.0),
    monotonic=True,
    paper="arXiv:1901.02324, section 6.2",
)
def sparse_sigmoid(x: ArrayLike) -> Array:
    """Sparse sigmoid: exactly 0 and 1 outside of (-1, 1).

    Example:
      >>> jaxacts.sparse_sigmoid(jnp.array([-2.0, 0.5, 2.0]))
      Array([0.  , 0.75, 1.  ], dtype=float32)
    """
    return 0.5 * num.clamp(x + 1.0, 0.0, 2.0)


def _sparse_plus_slope(x: Array) -> Array:
    return 0.5 * num.clamp(x + 1.0, 0.0, 2.0)


@activation(
    family="sigmoids",
    formula=r"0 \text{ for } x \le -1, \quad \tfrac14 (x + 1)^2 "
    r"\text{ for } -1 < x < 1, \quad x \text{ for } x \ge 1",
    reference=lambda m, x: m.piecewise(
        x,
        [(-1, "left"), (1, "right")],
        [lambda: 0 * x, lambda: (x + 1) * (x + 1) / 4, lambda: x],
    ),
    slope=_sparse_plus_slope,
    curvature=lambda x: jnp.where(jnp.abs(x) < 1, 0.5, zero(x)),
    kinks=lambda: (Kink(at=-1.0, curvature=0.0), Kink(at=1.0, curvature=0.0)),
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda: (0.0, _INF),
    monotonic=True,
    paper="arXiv:1901.02324, section 6.2",
)
def sparse_plus(x: ArrayLike) -> Array:
    """Sparse plus: the integral of `sparse_sigmoid`, exactly 0 below -1.

    Example:
      >>> jaxacts.sparse_plus(jnp.array([-2.0, 0.0, 2.0]))
      Array([0.  , 0.25, 2.  ], dtype=float32)
    """
    inside = num.clamp(x, -1.0, 1.0)
    d = inside + 1.0
    d_low = num.sum_low(inside, jnp.ones_like(d), d)
    square = 0.25 * (d * d) + (0.5 * d) * d_low
    return jnp.where(x >= 1.0, x, square)
