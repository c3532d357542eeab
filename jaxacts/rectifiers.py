"""Piecewise linear rectifiers. Their slope follows from their output."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts._elementwise import activation
from jaxacts._numerics import Array, sign_bit, zero
from jaxacts._spec import Kink, Limits, Parameter

_INF = float("inf")


@activation(
    family="rectifiers",
    formula=r"x",
    reference=lambda m, x: x,
    slope=lambda x: 1.0 + zero(x),
    curvature=zero,
    limits=lambda: Limits(
        minus_infinity=(-_INF, 1.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    monotonic=True,
    symmetry="odd",
    keeps_integers=True,
    aliases=("linear",),
)
def identity(x: ArrayLike) -> Array:
    """Identity activation: the argument, unmodified.

    Example:
      >>> jaxacts.identity(-2.0)
      Array(-2., dtype=float32, weak_type=True)
    """
    return jnp.asarray(x)


@activation(
    family="rectifiers",
    formula=r"\max(x, 0)",
    reference=lambda m, x: m.piecewise(x, [(0, "left")], [lambda: 0 * x, lambda: x]),
    slope=lambda x: jnp.where(x > 0, 1.0, zero(x)),
    curvature=zero,
    slope_from_output=lambda y: jnp.where(y > 0, 1.0, zero(y)),
    kinks=lambda: (Kink(at=0.0, slope=0.0, curvature=0.0),),
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda: (0.0, _INF),
    monotonic=True,
    keeps_integers=True,
    paper="Nair and Hinton, ICML 2010",
)
def relu(x: ArrayLike) -> Array:
    """Rectified linear unit.

    Example:
      >>> jaxacts.relu(jnp.array([-2.0, 0.0, 3.0]))
      Array([0., 0., 3.], dtype=float32)
    """
    return jnp.maximum(x, 0)


def _relu_n_reference(m, x, n):
    pieces = [lambda: 0 * x, lambda: x, lambda: n + 0 * x]
    return m.piecewise(x, [(0, "left"), (n, "right")], pieces)


@activation(
    family="rectifiers",
    formula=r"\min(\max(x, 0), n)",
    reference=_relu_n_reference,
    parameters=(Parameter(name="n", default=None, description="the ceiling, n > 0"),),
    cases=({"n": 6.0}, {"n": 3.0}, {"n": 0.3}),
    slope=lambda x, n: jnp.where((x > 0) & (x < n), 1.0, zero(x + n)),
    curvature=lambda x, n: zero(x + n),
    slope_from_output=lambda y, n: jnp.where((y > 0) & (y < n), 1.0, zero(y + n)),
    kinks=lambda n: (
        Kink(at=0.0, slope=0.0, curvature=0.0),
        Kink(at=n, slope=0.0, curvature=0.0),
    ),
    limits=lambda n: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(n, 0.0, 0.0)
    ),
    value_range=lambda n: (0.0, n),
    monotonic=True,
    keeps_integers=True,
    paper="arXiv:1704.04861",
)
def relu_n(x: ArrayLike, n: ArrayLike) -> Array:
    """Rectified linear unit with a ceiling, for low-precision arithmetic.

    Example:
      >>> jaxacts.relu_n(jnp.array([-2.0, 2.0, 5.0]), 3)
      Array([0., 2., 3.], dtype=float32)
    """
    return jnp.minimum(jnp.maximum(x, 0), n)


@activation(
    family="rectifiers",
    formula=r"\min(\max(x, 0), 6)",
    reference=lambda m, x: _relu_n_reference(m, x, m.const("6")),
    slope=lambda x: jnp.where((x > 0) & (x < 6), 1.0, zero(x)),
    curvature=zero,
    slope_from_output=lambda y: jnp.where((y > 0) & (y < 6), 1.0, zero(y)),
    kinks=lambda: (
        Kink(at=0.0, slope=0.0, curvature=0.0),
        Kink(at=6.0, slope=0.0, curvature=0.0),
    ),
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(6.0, 0.0, 0.0)
    ),
    value_range=lambda: (0.0, 6.0),
    monotonic=True,
    keeps_integers=True,
    paper="arXiv:1704.04861",
)
def relu6(x: ArrayLike) -> Array:
    """Rectified linear unit with the ceiling 6.

    Example:
      >>> jaxacts.relu6(jnp.array([-2.0, 2.0, 8.0]))
      Array([0., 2., 6.], dtype=float32)
    """
    return jnp.minimum(jnp.maximum(x, 0), 6)


# --- leaky --------------------------------------------------------------------


def _leaky(x: Array, negative_slope: Array) -> Array:
    # -0.0 goes to +0.0: then the sign bit of the output says on which side x
    # was, for every slope >= 0, even where the product underflows.
    rising = jnp.where(x == 0, jnp.abs(x), x)
    return jnp.where(sign_bit(x) & (x != 0), x * negative_slope, rising)


def _leaky_slope(x: Array, negative_slope: Array) -> Array:
    return jnp.where(x >= 0, 1.0, jnp.where(x < 0, negative_slope, x))


def _leaky_slope_from_output(y: Array, negative_slope: Array) -> Array:
    return jnp.where(sign_bit(y), negative_slope, 1.0) + zero(y)


def _leaky_reference(m, x, negative_slope):
    pieces = [lambda: negative_slope * x, lambda: x]
    return m.piecewise(x, [(0, "right")], pieces)


def _leaky_limits(negative_slope: float = 0.01) -> Limits:
    return Limits(
        minus_infinity=(-_INF if negative_slope > 0 else _INF, negative_slope, 0.0),
        plus_infinity=(_INF, 1.0, 0.0),
    )


@activation(
    family="rectifiers",
    formula=r"x \text{ for } x \ge 0, \quad \alpha x \text{ for } x < 0",
    reference=_leaky_reference,
    parameters=(
        Parameter(
            name="negative_slope", default=0.01, description="the slope α for x < 0"
        ),
    ),
    cases=({}, {"negative_slope": 0.2}),
    slope=_leaky_slope,
    curvature=lambda x, negative_slope: zero(x + negative_slope),
    slope_from_output=_leaky_slope_from_output,
    output_decides=lambda negative_slope: negative_slope >= 0,
    kinks=lambda **_: (Kink(at=0.0, slope=1.0, curvature=0.0),),
    limits=_leaky_limits,
    monotonic=True,
    paper="Maas, Hannun and Ng, ICML 2013",
)
def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> Array:
    """Leaky rectified linear unit.

    The default slope is that of JAX and PyTorch; Keras and TensorFlow have 0.2.
    With the default slope, or one in text such as
    ``get("leaky_relu(negative_slope=0.2)")``, backward keeps the output alone; a
    slope passed as an argument may be negative, and keeps one array of x's size.

    Example:
      >>> jaxacts.leaky_relu(jnp.array([-2.0, 3.0]))
      Array([-0.02,  3.  ], dtype=float32)
    """
    return _leaky(x, negative_slope)


@activation(
    family="rectifiers",
    formula=r"x \text{ for } x \ge 0, \quad \alpha x \text{ for } x < 0",
    reference=_leaky_reference,
    parameters=(
        Parameter(
            name="negative_slope",
            default=None,
            initial=0.01,
            description="the learned slope α for x < 0, often one a channel",
        ),
    ),
    cases=({"negative_slope": 0.25}, {"negative_slope": -0.5}),
    slope=_leaky_slope,
    curvature=lambda x, negative_slope: zero(x + negative_slope),
    kinks=lambda **_: (Kink(at=0.0, slope=1.0, curvature=0.0),),
    limits=_leaky_limits,
    paper="arXiv:1502.01852",
)
def prelu(x: ArrayLike, negative_slope: ArrayLike) -> Array:
    """Parametric rectified linear unit: a leaky one whose slope is learned.

    ``jaxacts.linen.PReLU`` is the layer that learns it; it starts at 0.01, as
    Flax's does, where PyTorch's starts at 0.25.

    Example:
      >>> jaxacts.prelu(jnp.array([-2.0, 3.0]), jnp.array([0.5, 0.25]))
      Array([-1.,  3.], dtype=float32)
    """
    return jnp.where(x < 0, x * negative_slope, x)


def _leaky_relu6_reference(m, x, negative_slope):
    pieces = [lambda: negative_slope * x, lambda: x, lambda: 6 + 0 * x]
    return m.piecewise(x, [(0, "right"), (6, "right")], pieces)


@activation(
    family="rectifiers",
    formula=r"\min(\max(\alpha x, x), 6)",
    reference=_leaky_relu6_reference,
    parameters=(
        Parameter(
            name="negative_slope",
            default=0.01,
            description="the slope α for x < 0, 0 <= α <= 1",
        ),
    ),
    cases=({}, {"negative_slope": 0.2}),
    slope=lambda x, negative_slope: jnp.where(
        x >= 6, 0.0, _leaky_slope(x, negative_slope)
    ),
    curvature=lambda x, negative_slope: zero(x + negative_slope),
    slope_from_output=lambda y, negative_slope: jnp.where(
        y >= 6, 0.0, _leaky_slope_from_output(y, negative_slope)
    ),
    output_decides=lambda negative_slope: negative_slope >= 0,
    kinks=lambda **_: (
        Kink(at=0.0, slope=1.0, curvature=0.0),
        Kink(at=6.0, slope=0.0, curvature=0.0),
    ),
    limits=lambda negative_slope=0.01: Limits(
        minus_infinity=(-_INF, negative_slope, 0.0), plus_infinity=(6.0, 0.0, 0.0)
    ),
    value_range=lambda **_: (-_INF, 6.0),
    monotonic=True,
)
def leaky_relu6(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> Array:
    """Leaky rectified linear unit with the ceiling 6.

    Bounded above for low-precision arithmetic, and no unit can die below.

    Example:
      >>> jaxacts.leaky_relu6(jnp.array([-2.0, 3.0, 8.0]))
      Array([-0.02,  3.  ,  6.  ], dtype=float32)
    """
    return jnp.minimum(_leaky(x, negative_slope), 6.0)
