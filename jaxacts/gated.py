"""Gated units: one half of an axis, or one of two arrays, opens the other.

16- and 8-bit inputs are computed in float32 and rounded once. Backward keeps the
inputs and nothing else.
"""

# mypy: disable-error-code="arg-type,union-attr"
# Public signatures say what a caller may pass; the checks hand arrays on.

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts._arguments import checked_float
from jaxacts._elementwise import compute_dtype, function_of_axes
from jaxacts._numerics import Array
from jaxacts.gaussian import gelu
from jaxacts.rectifiers import relu
from jaxacts.sigmoids import sigmoid
from jaxacts.smooth_rectifiers import silu, swish

_Unit = Callable[..., Array]


def _gated(
    function: str,
    unit: _Unit,
    x: Any,
    other: tuple[str, Any],
    axis: int,
    *settings: Array,
) -> Array:
    """unit(first, second, *settings), of two halves or of two arrays."""
    x = checked_float(function, "x", x)
    name, second = other
    inputs = [x]
    if second is not None:
        second = checked_float(function, name, second)
        if second.shape != x.shape:
            raise ValueError(
                f"{function}: {name} has shape {second.shape} and x {x.shape}; give "
                f"equal shapes, or x alone and axis="
            )
        inputs.append(second)
    elif not -x.ndim <= axis < x.ndim:
        raise ValueError(f"{function}: axis={axis} does not exist in shape {x.shape}")
    elif x.shape[axis] % 2:
        raise ValueError(
            f"{function}: axis={axis} of x has length {x.shape[axis]}; "
            "give an even length"
        )
    dtype = jnp.result_type(*inputs)
    wide = compute_dtype(dtype)

    # All is computed again from the inputs, so that nothing else is kept.
    def compute(inputs: list[Array], settings: list[Array]) -> Array:
        halves = jnp.split(inputs[0], 2, axis) if len(inputs) == 1 else inputs
        first, second = (half.astype(wide) for half in halves)
        return unit(first, second, *settings).astype(dtype)

    fixed = [setting.astype(wide) for setting in settings]
    return jax.checkpoint(compute, prevent_cse=False)(inputs, fixed)


@function_of_axes(
    family="gated",
    formula=r"a \cdot \sigma(b) \text{, } a, b \text{ the halves of an axis}",
    static=("axis",),
    paper="arXiv:1612.08083",
)
def glu(x: ArrayLike, axis: int = -1, gate: ArrayLike | None = None) -> Array:
    """Gated linear unit: the second half is the gate, as in JAX and PyTorch.

    Args:
      x: array of at least one axis; floating dtypes stay, others become the
        default float.
      axis: the axis that is split in two halves.
      gate: the gate b as an array of its own; x is a then, and is not split.

    Returns:
      An array with half the length along ``axis``, or of the shape of x and gate.

    Raises:
      TypeError: an argument is complex, text, or no array or number.
      ValueError: the axis does not exist or has an odd length, or the shapes of x
        and gate differ.

    Example:
      >>> jaxacts.glu(jnp.array([3.0, -1.0, 0.0, 2.0]))
      Array([ 1.5   , -0.8808], dtype=float32)
    """
    return _gated("glu", lambda a, b: a * sigmoid(b), x, ("gate", gate), axis)


_ARGUMENTS = """
Args:
  x: array of at least one axis whose first half along ``axis`` is the gate, and the
    second the value; floating dtypes stay, others become the default float.
  value: the value as an array of its own; x is the gate then, and is not split.
  axis: the axis that is split in two halves; by keyword.
{more}
Returns:
  An array with half the length along ``axis``, or of the shape of x and value.

Raises:
  TypeError: an argument is complex, text, or no array or number.
  ValueError: the axis does not exist or has an odd length, or the shapes of x and
    value differ.
"""


def _with_arguments(more: str = "") -> Callable[[Any], Any]:
    """Puts what the units share before the example of a docstring."""

    def decorate(body: Any) -> Any:
        text, example, rest = inspect.cleandoc(body.__doc__).partition("Example:")
        shared = _ARGUMENTS.format(more=f"  {more}\n" if more else "")
        body.__doc__ = f"{text.rstrip()}\n{shared}\n{example}{rest}"
        return body

    return decorate


@function_of_axes(
    family="gated",
    formula=r"\operatorname{silu}(a) \cdot b \text{, } a, b \text{ the halves}",
    static=("axis",),
    paper="arXiv:2002.05202",
)
@_with_arguments()
def swiglu(x: ArrayLike, value: ArrayLike | None = None, *, axis: int = -1) -> Array:
    """Gated unit with silu: the first half is activated.

    Example:
      >>> jaxacts.swiglu(jnp.array([2.0, -1.0, 3.0, 4.0]))
      Array([ 5.2848, -1.0758], dtype=float32)
    """
    return _gated("swiglu", lambda a, b: silu(a) * b, x, ("value", value), axis)


@function_of_axes(
    family="gated",
    formula=r"\operatorname{gelu}(a) \cdot b \text{, } a, b \text{ the halves}",
    static=("approximate", "axis"),
    paper="arXiv:2002.05202",
)
@_with_arguments("approximate: True for the form of gelu by tanh, False for the exact.")
def geglu(
    x: ArrayLike,
    value: ArrayLike | None = None,
    *,
    approximate: bool = True,
    axis: int = -1,
) -> Array:
    """Gated unit with gelu: the first half is activated.

    Example:
      >>> jaxacts.geglu(jnp.array([2.0, -1.0, 3.0, 4.0]))
      Array([ 5.8638, -0.6352], dtype=float32)
    """

    def unit(a: Array, b: Array) -> Array:
        return gelu(a, approximate=approximate) * b

    return _gated("geglu", unit, x, ("value", value), axis)


@function_of_axes(
    family="gated",
    formula=r"\max(a, 0) \cdot b \text{, } a, b \text{ the halves}",
    static=("axis",),
    paper="arXiv:2002.05202",
)
@_with_arguments()
def reglu(x: ArrayLike, value: ArrayLike | None = None, *, axis: int = -1) -> Array:
    """Gated unit with relu: the first half is activated, with slope 0 at 0.

    Example:
      >>> jaxacts.reglu(jnp.array([2.0, -1.0, 3.0, 4.0]))
      Array([6., 0.], dtype=float32)
    """
    return _gated("reglu", lambda a, b: relu(a) * b, x, ("value", value), axis)


@function_of_axes(
    family="gated",
    formula=r"a \cdot b \text{, } a, b \text{ the halves}",
    static=("axis",),
    paper="arXiv:2002.05202",
)
@_with_arguments()
def bilinear(x: ArrayLike, value: ArrayLike | None = None, *, axis: int = -1) -> Array:
    """Gated unit without an activation: the product of the halves.

    Example:
      >>> jaxacts.bilinear(jnp.array([2.0, -1.0, 3.0, 4.0]))
      Array([ 6., -4.], dtype=float32)
    """
    return _gated("bilinear", lambda a, b: a * b, x, ("value", value), axis)


def _clamped(a: Array, b: Array, limit: Array, alpha: Array) -> Array:
    # Not minimum and maximum, which halve the slope at the limit.
    a = jnp.where(a > limit, limit, a)
    b = jnp.where(b > limit, limit, jnp.where(b < -limit, -limit, b))
    return swish(a, alpha) * (b + 1.0)


@function_of_axes(
    family="gated",
    formula=r"a' \sigma(\alpha a') (b' + 1) \text{, } a' = \min(a, l), "
    r"b' = \min(\max(b, -l), l)",
    static=("axis",),
    paper="OpenAI, gpt-oss-120b & gpt-oss-20b model card, 2025",
)
@_with_arguments(
    "limit: the limit l > 0 of the gate above and of the value on both sides.\n"
    "  alpha: the steepness α of the gate."
)
def clamped_swiglu(
    x: ArrayLike,
    value: ArrayLike | None = None,
    *,
    limit: ArrayLike = 7.0,
    alpha: ArrayLike = 1.702,
    axis: int = -1,
) -> Array:
    """Gated unit of gpt-oss: both halves are cut, and the value is shifted by 1.

    The first half is activated. The weights of gpt-oss have gate and value in turn:
    give ``x[..., ::2]`` and ``x[..., 1::2]``. At the limit the slope is that inside.

    Example:
      >>> jaxacts.clamped_swiglu(jnp.array([2.0, 100.0, 3.0, -100.0]))
      Array([  7.7426, -41.9997], dtype=float32)
    """
    name = "clamped_swiglu"
    settings = checked_float(name, "limit", limit), checked_float(name, "alpha", alpha)
    return _gated(name, _clamped, x, ("value", value), axis, *settings)
