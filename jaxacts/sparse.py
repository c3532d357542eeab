"""Normalizers with exact zeros, and the maximum of groups.

16-bit inputs are computed in float32 and rounded once.
"""

# mypy: disable-error-code="arg-type,operator,union-attr"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts._arguments import checked_float
from jaxacts._elementwise import compute_dtype, function_of_axes
from jaxacts._numerics import Array

Axis: TypeAlias = int | Sequence[int] | None

# Entries that lie further below the largest are 0 in both functions; cut there,
# sums over a row stay small. Twice the distance that matters, so that rounding
# cannot bring them back.
_FLOOR = -2.0


def _along_last(x: Array, axis: Axis) -> tuple[Array, Callable[[Array], Array]]:
    """x with the axes joined to one, the last, and the way back."""
    if axis is None:
        axes = tuple(range(x.ndim))
    elif isinstance(axis, int):
        axes = (axis % max(x.ndim, 1),) if x.ndim else ()
    else:
        axes = tuple(a % x.ndim for a in axis)
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    moved = jnp.transpose(x, rest + axes)
    kept = moved.shape[: len(rest)]
    order = [0] * x.ndim
    for place, a in enumerate(rest + axes):
        order[a] = place

    def back(y: Array) -> Array:
        return jnp.transpose(y.reshape(moved.shape), order)

    size = 1
    for a in axes:
        size *= x.shape[a]
    return moved.reshape((*kept, size)), back


def _descending(z: Array) -> tuple[Array, Array]:
    """The entries from the largest down, and 1, 2, 3, ..."""
    count = jnp.arange(1, z.shape[-1] + 1).astype(z.dtype)
    ordered = jnp.flip(jnp.sort(z, axis=-1), axis=-1)
    return ordered, jnp.broadcast_to(count, z.shape)


def _at(values: Array, support: Array) -> Array:
    """The last of the values whose entry is in the support; the first is always."""
    index = jnp.sum(support, axis=-1, keepdims=True, dtype=jnp.int32) - 1
    return jnp.take_along_axis(values, jnp.maximum(index, 0), axis=-1)


def _mean(z: Array, support: Array) -> Array:
    n = jnp.sum(support, axis=-1, keepdims=True, dtype=z.dtype)
    total = jnp.sum(jnp.where(support, z, 0.0), axis=-1, keepdims=True)
    return total / jnp.maximum(n, 1.0)


def _sparsemax_excess(z: Array) -> Array:
    """max(z - t, 0) with t such that it sums to 1, for z <= 0 with largest 0."""
    ordered, count = _descending(z)
    total = jnp.cumsum(ordered, axis=-1)
    threshold = _at((total - 1.0) / count, 1.0 + count * ordered > total)
    # Again from the support alone: a running sum has lost digits in a long row.
    support = z > threshold
    n = jnp.sum(support, axis=-1, keepdims=True, dtype=z.dtype)
    return jnp.maximum(z - (_mean(z, support) - 1.0 / n), 0.0)


def _entmax_excess(z: Array) -> Array:
    """max(z - t, 0) with t such that its square sums to 1, for z as above."""
    ordered, count = _descending(z)
    mean = jnp.cumsum(ordered, axis=-1) / count
    spread = jnp.cumsum(ordered * ordered, axis=-1) - count * mean * mean
    candidates = mean - jnp.sqrt(jnp.maximum((1.0 - spread) / count, 0.0))
    support = z > _at(candidates, candidates <= ordered)
    n = jnp.sum(support, axis=-1, keepdims=True, dtype=z.dtype)
    mean = _mean(z, support)
    spread = jnp.where(support, (z - mean) * (z - mean), 0.0)
    spread = jnp.sum(spread, axis=-1, keepdims=True)
    return jnp.maximum(z - mean + jnp.sqrt(jnp.maximum(1.0 - spread, 0.0) / n), 0.0)


def _excess(x: Array, counts: Array | None, half: bool) -> Array:
    """What exceeds the threshold of a row, in float32 or float64.

    Zero where an entry does not count; NaN in a row whose largest is not finite.
    """
    if counts is None:
        counts = jnp.ones_like(x, bool)
    top = jnp.max(x, axis=-1, where=counts, initial=-jnp.inf, keepdims=True)
    some = jnp.any(counts, axis=-1, keepdims=True)
    broken = some & ~jnp.isfinite(top)
    below = jnp.where(counts, x - jnp.where(jnp.isfinite(top), top, 0.0), _FLOOR)
    # In a row without a maximum any numbers will do.
    below = jnp.where(some & ~broken, below, 0.0)
    excess = _entmax_excess if half else _sparsemax_excess
    y = excess(jnp.maximum(0.5 * below if half else below, _FLOOR))
    return jnp.where(broken, jnp.nan, jnp.where(counts, y, 0.0))


@jax.custom_jvp
def _sparsemax(x: Array, counts: Array | None) -> Array:
    return _excess(x, counts, half=False)


@_sparsemax.defjvp
def _sparsemax_jvp(primals: Any, tangents: Any) -> Any:
    y = _sparsemax(*primals)

    def push(y: Array, t: Array) -> Array:
        support = y > 0
        return jnp.where(support, t - _mean(t, support), 0.0 * y)

    return y, jax.checkpoint(push, prevent_cse=False)(y, tangents[0])


@jax.custom_jvp
def _entmax_root(x: Array, counts: Array | None) -> Array:
    """The square root of entmax15."""
    return _excess(x, counts, half=True)


@_entmax_root.defjvp
def _entmax_root_jvp(primals: Any, tangents: Any) -> Any:
    r = _entmax_root(*primals)
    t = tangents[0]
    total = jnp.sum(r, axis=-1, keepdims=True)
    mean = jnp.sum(r * t, axis=-1, keepdims=True) / jnp.where(total > 0, total, 1.0)
    return r, jnp.where(r > 0, 0.5 * (t - mean), 0.0 * r)


@jax.custom_jvp
def _entmax(x: Array, counts: Array | None) -> Array:
    r = _entmax_root(x, counts)
    return r * r


@_entmax.defjvp
def _entmax_jvp(primals: Any, tangents: Any) -> Any:
    r = _entmax_root(*primals)

    def push(r: Array, t: Array) -> Array:
        total = jnp.sum(r, axis=-1, keepdims=True)
        mean = jnp.sum(r * t, axis=-1, keepdims=True)
        return r * (t - mean / jnp.where(total > 0, total, 1.0))

    return r * r, jax.checkpoint(push, prevent_cse=False)(r, tangents[0])


def _sparse(
    function: str,
    body: Callable[[Array, Array | None], Array],
    x: ArrayLike,
    axis: Axis,
    where: ArrayLike | None,
) -> Array:
    x = checked_float(function, "x", x)
    for a in () if axis is None else (axis,) if isinstance(axis, int) else axis:
        if not -x.ndim <= a < x.ndim:
            raise ValueError(f"{function}: axis={axis} does not exist in {x.shape}")
    wide = x.astype(compute_dtype(x.dtype))
    rows, back = _along_last(wide, axis)
    if not x.size:
        return x
    counts = None
    if where is not None:
        counts = _along_last(jnp.broadcast_to(where, x.shape), axis)[0]
    return back(body(rows, counts)).astype(x.dtype)


@function_of_axes(
    family="sparse",
    formula=r"\max(x_i - \tau, 0) \text{, } \tau \text{ such that they sum to } 1",
    static=("axis",),
    paper="arXiv:1602.02068",
)
def sparsemax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    """Sparsemax: the nearest point of the simplex, with exact zeros.

    The derivative is that on the support, the entries above 0; at the edge of the
    support, where an entry is just 0, it counts as outside. The second derivative
    is 0.

    Args:
      x: real array; floating dtypes stay, others become the default float.
      axis: the axis or axes: an int, a tuple, or None for all of them.
      where: the entries that count, a boolean array that broadcasts against x;
        the others are 0, and so is a row in which none counts.

    Returns:
      An array of the shape and dtype of x; -inf gives 0. A row with NaN or +inf,
      or of -inf alone, is NaN, as in softmax.

    Raises:
      TypeError: x is complex, text, or no array or number.
      ValueError: an axis does not exist.

    Example:
      >>> jaxacts.sparsemax(jnp.array([1.0, 0.5, -1.0]))
      Array([0.75, 0.25, 0.  ], dtype=float32)
    """
    return _sparse("sparsemax", _sparsemax, x, axis, where)


@function_of_axes(
    family="sparse",
    formula=r"\max(x_i/2 - \tau, 0)^2 \text{, } \tau \text{ such that they sum to } 1",
    static=("axis",),
    paper="Peters, Niculae and Martins, ACL 2019",
)
def entmax15(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    """Entmax with α = 1.5, between softmax and sparsemax, with exact zeros.

    The threshold is exact, found by sorting. The derivatives are those on the
    support, the entries above 0.

    Args:
      x: real array; floating dtypes stay, others become the default float.
      axis: the axis or axes: an int, a tuple, or None for all of them.
      where: the entries that count, a boolean array that broadcasts against x;
        the others are 0, and so is a row in which none counts.

    Returns:
      An array of the shape and dtype of x; -inf gives 0. A row with NaN or +inf,
      or of -inf alone, is NaN, as in softmax.

    Raises:
      TypeError: x is complex, text, or no array or number.
      ValueError: an axis does not exist.

    Example:
      >>> jaxacts.entmax15(jnp.array([1.0, 0.5, -2.0]))
      Array([0.674, 0.326, 0.   ], dtype=float32)
    """
    return _sparse("entmax15", _entmax, x, axis, where)


@function_of_axes(
    family="sparse",
    formula=r"y_i = \max(x_{ki}, \dots, x_{ki + k - 1})",
    static=("num_pieces", "axis"),
    paper="arXiv:1302.4389",
)
def maxout(x: ArrayLike, num_pieces: int, axis: int = -1) -> Array:
    """Maxout: the largest of every k entries that follow one another.

    Args:
      x: real array of at least one axis; floating dtypes stay, others become the
        default float.
      num_pieces: the size k of a group; it divides the length of the axis.
      axis: the axis that is cut into groups.

    Returns:
      An array whose length along ``axis`` is divided by k, in the dtype of x. Equal
      largest entries share the slope; NaN gives NaN in its group.

    Raises:
      TypeError: x is complex, text, or no array or number.
      ValueError: the axis does not exist, or k does not divide its length.

    Example:
      >>> jaxacts.maxout(jnp.array([1.0, -2.0, 3.0, 4.0]), 2)
      Array([1., 4.], dtype=float32)
    """
    x = checked_float("maxout", "x", x)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"maxout: axis={axis} does not exist in shape {x.shape}")
    axis %= x.ndim
    if num_pieces < 1 or x.shape[axis] % num_pieces:
        raise ValueError(
            f"maxout: num_pieces={num_pieces} does not divide the length "
            f"{x.shape[axis]} of axis={axis}"
        )
    groups = (*x.shape[:axis], -1, num_pieces, *x.shape[axis + 1 :])
    return jnp.max(x.reshape(groups), axis + 1)
