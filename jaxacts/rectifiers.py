"""Piecewise linear rectifiers. Their slope follows from their output."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxacts._arguments import checked_float
from jaxacts._elementwise import activation, compute_dtype, function_of_axes
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


def _relu_of_bits(x: Array) -> Array:
    """relu of a 16-bit float: as a signed integer it is kept above that of -inf.

    There are the positive numbers and all NaNs.
    """
    bits = lax.bitcast_convert_type(x, jnp.int16)
    least = np.asarray(-_INF, x.dtype).view(np.int16)[()]
    # LLVM would make a selection of bits one of bfloat16, which it does not vectorize.
    cut = lax.max(bits, jnp.full_like(bits, least))
    kept = cut + jnp.where(cut == least, -least, np.int16(0))
    return lax.bitcast_convert_type(kept, x.dtype)


@activation(
    family="rectifiers",
    formula=r"\max(x, 0)",
    reference=lambda m, x: m.piecewise(x, [(0, "left")], [lambda: 0 * x, lambda: x]),
    slope=lambda x: jnp.where(x > 0, 1.0, zero(x)),
    curvature=zero,
    selection=_relu_of_bits,
    # Where not positive, the output is 0, subnormal or NaN, and the slope 0 or NaN.
    slope_from_output=lambda y: jnp.where(y > 0, 1.0, y - y),
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


def _threshold_reference(m, x, theta, value):
    return m.piecewise(x, [(theta, "left")], [lambda: value + 0 * x, lambda: x])


@activation(
    family="rectifiers",
    formula=r"x \text{ for } x > \theta, \quad v \text{ for } x \le \theta",
    reference=_threshold_reference,
    parameters=(
        Parameter(
            name="theta",
            default=None,
            description="the threshold θ; the derivative in it is 0",
        ),
        Parameter(name="value", default=None, description="the value v below"),
    ),
    cases=({"theta": 0.5, "value": 20.0}, {"theta": -1.0, "value": -1.0}),
    slope=lambda x, theta, value: jnp.where(
        x > theta, 1.0, zero(x) + zero(theta) + zero(value)
    ),
    curvature=lambda x, theta, value: zero(x) + zero(theta) + zero(value),
    kinks=lambda theta, value: (Kink(at=theta, slope=0.0, curvature=0.0),),
    limits=lambda theta, value: Limits(
        minus_infinity=(value, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    paper="torch.nn.Threshold",
)
def threshold(x: ArrayLike, theta: ArrayLike, value: ArrayLike) -> Array:
    """Threshold: x above θ, a given value at θ and below.

    Example:
      >>> jaxacts.threshold(jnp.array([-1.0, 0.1, 2.0]), theta=0.1, value=20.0)
      Array([20., 20.,  2.], dtype=float32)
    """
    # NaN, in x or θ, is on neither side.
    return jnp.where(x > theta, x, jnp.where(x <= theta, value, jnp.nan))


# --- leaky --------------------------------------------------------------------


def _leaky(x: Array, negative_slope: Array) -> Array:
    # -0.0 goes to +0.0: then the sign bit of the output says on which side x
    # was, for every slope >= 0, even where the product underflows.
    rising = jnp.where(x == 0, 0.0, x)
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
    signed_zero=False,
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
    # By the sign bit: a subnormal x is not below 0 where subnormals are flushed.
    return jnp.where(sign_bit(x), x * negative_slope, x)


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
    signed_zero=False,
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


# --- random slope -------------------------------------------------------------


@function_of_axes(
    family="rectifiers",
    formula=r"x \text{ for } x \ge 0, \quad \alpha x \text{ for } x < 0, \quad "
    r"\alpha \sim U(l, u)",
    paper="arXiv:1505.00853",
)
def rrelu(
    x: ArrayLike,
    key: Array | None = None,
    lower: ArrayLike = 1 / 8,
    upper: ArrayLike = 1 / 3,
) -> Array:
    """Randomized leaky rectified linear unit.

    For training give a key: every entry of x draws a slope of its own, which
    the gradient uses too. For evaluation give none: the slope is the mean,
    (lower + upper)/2. At 0 the slope is 1; NaN gives NaN.

    Args:
      x: real array or number; floating dtypes stay, others become the default
        float. 16- and 8-bit inputs draw and multiply in float32, and round once.
      key: a key of ``jax.random``, or None.
      lower: the least slope for x < 0.
      upper: the largest slope for x < 0.

    Returns:
      An array of the shape and dtype of x.

    Raises:
      TypeError: an argument is complex, text, or no array or number.

    Example:
      >>> jaxacts.rrelu(jnp.array([-24.0, 3.0]))
      Array([-5.5,  3. ], dtype=float32)
      >>> y = jaxacts.rrelu(jnp.array([-24.0, 3.0]), jax.random.key(0))
      >>> bool(-8 <= y[0] <= -3), float(y[1])
      (True, 3.0)
    """
    x = checked_float("rrelu", "x", x)
    wide = compute_dtype(x.dtype)
    low = checked_float("rrelu", "lower", lower).astype(wide)
    high = checked_float("rrelu", "upper", upper).astype(wide)
    if key is None:
        return prelu(x, low + 0.5 * (high - low))
    return prelu(x, low + jax.random.uniform(key, x.shape, wide) * (high - low))


# --- both signs ---------------------------------------------------------------


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _crelu(x: Array, axis: int) -> Array:
    return jnp.concatenate([jnp.maximum(x, 0), jnp.maximum(-x, 0)], axis)


@_crelu.defjvp
def _crelu_jvp(axis, primals, tangents):
    y = _crelu(primals[0], axis)

    def push(y: Array, t: Array) -> Array:
        slope = jnp.where(y > 0, jnp.ones_like(y), zero(y))
        return slope * jnp.concatenate([t, -t], axis)

    # The output tells the slope, and is all that backward keeps.
    return y, jax.checkpoint(push, prevent_cse=False)(y, tangents[0])


@function_of_axes(
    family="rectifiers",
    formula=r"[\max(x, 0), \max(-x, 0)]",
    static=("axis",),
    paper="arXiv:1603.05201",
)
def crelu(x: ArrayLike, axis: int = -1) -> Array:
    """Concatenated rectified linear units: of x, then of -x.

    Args:
      x: real array of at least one axis; floating dtypes stay, others become the
        default float.
      axis: the axis along which the two are joined.

    Returns:
      An array with twice the length along ``axis``, in the dtype of x. The slope
      at 0 is 0 in both halves; NaN gives NaN in both. Backward keeps the output.

    Raises:
      TypeError: x is complex, text, or no array or number.
      ValueError: the axis does not exist.

    Example:
      >>> jaxacts.crelu(jnp.array([-2.0, 3.0]))
      Array([0., 3., 2., 0.], dtype=float32)
    """
    x = checked_float("crelu", "x", x)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"crelu: axis={axis} does not exist in shape {x.shape}")
    return _crelu(x, axis)
