"""Functions of a whole axis: softmax and its relatives.

16-bit inputs are computed in float32 and rounded once.
"""

# mypy: disable-error-code="arg-type,operator,union-attr"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts._arguments import checked_float
from jaxacts._elementwise import compute_dtype, function_of_axes
from jaxacts._numerics import Array

Axis: TypeAlias = int | Sequence[int] | None

_INF = float("inf")


def _wide(x: Array) -> Array:
    return x.astype(compute_dtype(x.dtype))


def _shifted(x: Array, axis: Axis, where: Array | None) -> tuple[Array, Array]:
    """(x - max, which entries count); a row without any is all zeros."""
    counts = (
        jnp.ones_like(x, bool) if where is None else jnp.broadcast_to(where, x.shape)
    )
    top = jnp.max(x, axis, where=counts, initial=-_INF, keepdims=True)
    top = jnp.where(jnp.isneginf(top), 0.0, jax.lax.stop_gradient(top))
    return jnp.where(counts, x, 0.0) - jnp.where(counts, top, 0.0), counts


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _softmax(x: Array, axis: Axis, counts_where: Array | None) -> Array:
    shifted, counts = _shifted(_wide(x), axis, counts_where)
    e = jnp.where(counts, jnp.exp(shifted), 0.0)
    total = jnp.sum(e, axis, keepdims=True)
    empty = ~jnp.any(counts, axis, keepdims=True)
    return (e / jnp.where(empty, 1.0, total)).astype(x.dtype)


@_softmax.defjvp
def _softmax_jvp(axis: Axis, primals: Any, tangents: Any) -> Any:
    x, where = primals
    y = _softmax(x, axis, where)
    wide, x_dot = _wide(y), _wide(tangents[0])
    mean = jnp.sum(wide * x_dot, axis, keepdims=True)
    return y, (wide * (x_dot - mean)).astype(y.dtype)


@function_of_axes(
    family="normalizers",
    formula=r"\frac{e^{x_i}}{\sum_j e^{x_j}}",
    static=("axis",),
    paper="Bridle, NIPS 1989",
)
def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    """Softmax: positive entries that sum to 1 along an axis.

    Args:
      x: real array; floating dtypes stay, others become the default float.
      axis: the axis or axes: an int, a tuple, or None for all of them.
      where: the entries that count, a boolean array that broadcasts against x;
        the others are 0, and so is a row in which none counts.

    Returns:
      An array of the shape and dtype of x. A row with +inf is NaN.

    Example:
      >>> jaxacts.softmax(jnp.array([0.0, 0.0, 1000.0]))
      Array([0., 0., 1.], dtype=float32)
    """
    x = checked_float("softmax", "x", x)
    return _softmax(x, axis, where)


@function_of_axes(
    family="normalizers",
    formula=r"x_i - \log \sum_j e^{x_j}",
    static=("axis",),
    paper="the logarithm of softmax",
)
def log_softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    """Logarithm of softmax, right where softmax underflows.

    Args:
      x: real array; floating dtypes stay, others become the default float.
      axis: the axis or axes: an int, a tuple, or None for all of them.
      where: the entries that count, a boolean array that broadcasts against x;
        the others are -inf.

    Returns:
      An array of the shape and dtype of x. A row with +inf is NaN.

    Example:
      >>> jaxacts.log_softmax(jnp.array([0.0, 1000.0]))
      Array([-1000.,     0.], dtype=float32)
    """
    x = checked_float("log_softmax", "x", x)
    shifted, counts = _shifted(_wide(x), axis, where)
    total = jnp.sum(jnp.exp(shifted), axis, where=counts, keepdims=True)
    empty = ~jnp.any(counts, axis, keepdims=True)
    y = shifted - jnp.log(jnp.where(empty, 1.0, total))
    return jnp.where(counts, y, -_INF).astype(x.dtype)


@function_of_axes(
    family="normalizers",
    formula=r"\log \sum_i b_i e^{x_i}",
    static=("axis", "keepdims", "return_sign"),
    paper="scipy.special.logsumexp",
)
def logsumexp(
    a: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: ArrayLike | None = None,
) -> Array | tuple[Array, Array]:
    """Logarithm of a sum of exponentials, without overflow.

    Args:
      a: real array; floating dtypes stay, others become the default float.
      axis: the axis or axes: an int, a tuple, or None for all of them.
      b: factors of the exponentials, an array that broadcasts against a.
      keepdims: keep the reduced axes with length 1.
      return_sign: also return the sign of the sum, and the logarithm of its
        magnitude; otherwise a negative sum is NaN.
      where: the entries that count, a boolean array that broadcasts against a.

    Returns:
      The reduced array in the dtype of a, or with its sign as a second one. -inf
      where nothing counts.

    Example:
      >>> jaxacts.logsumexp(jnp.array([1000.0, 1000.0]))
      Array(1000.6932, dtype=float32)
    """
    a = checked_float("logsumexp", "a", a)
    factors = None if b is None else _wide(checked_float("logsumexp", "b", b))
    out = jax.nn.logsumexp(
        _wide(a),
        axis=axis,
        b=factors,
        keepdims=keepdims,
        return_sign=return_sign,
        where=where,
    )
    if return_sign:
        value, sign = out
        return value.astype(a.dtype), sign.astype(a.dtype)
    return out.astype(a.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _logmeanexp(x: Array, axis: Axis, where: Array | None) -> Array:
    """In float32 or float64, the axes kept. -inf where all is, or nothing counts."""
    shifted, counts = _shifted(x, axis, where)
    n = jnp.sum(counts, axis, keepdims=True, dtype=x.dtype)
    n = jnp.where(n == 0, 1.0, n)

    def mean(values: Array) -> Array:
        return jnp.sum(jnp.where(counts, values, 0.0), axis, keepdims=True) / n

    top = jnp.max(x, axis, where=counts, initial=-_INF, keepdims=True)
    # Where entries are alike log n would cancel: the mean is 1 - m, m small.
    m = jnp.maximum(mean(num.expm1(shifted)), -0.5)
    z = m / (2.0 + m)
    near = 2.0 * z * (1.0 + (z * z) * num.fit("LOG1P", z * z))
    far = mean(num.exp(shifted))
    y = top + jnp.where(far > 0.5, near, jnp.where(far == 0, -_INF, jnp.log(far)))
    return jnp.where(top == _INF, top, y)


@_logmeanexp.defjvp
def _logmeanexp_jvp(axis: Axis, primals: Any, tangents: Any) -> Any:
    x, where = primals
    weighted = _softmax(x, axis, where) * tangents[0]
    return _logmeanexp(x, axis, where), jnp.sum(weighted, axis, keepdims=True)


@function_of_axes(
    family="normalizers",
    formula=r"\log \frac1n \sum_i e^{x_i}",
    static=("axis", "keepdims"),
    paper="the logarithm of a mean of exponentials",
)
def logmeanexp(
    x: ArrayLike,
    axis: Axis = None,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Array:
    """Logarithm of a mean of exponentials, without overflow.

    Args:
      x: real array; floating dtypes stay, others become the default float.
      axis: the axis or axes: an int, a tuple, or None for all of them.
      where: the entries that count, a boolean array that broadcasts against x.
      keepdims: keep the reduced axes with length 1.

    Returns:
      The reduced array in the dtype of x.

    Example:
      >>> jaxacts.logmeanexp(jnp.array([1000.0, 1000.0]))
      Array(1000., dtype=float32)
    """
    x = checked_float("logmeanexp", "x", x)
    y = _logmeanexp(_wide(x), axis, where).astype(x.dtype)
    return y if keepdims else jnp.squeeze(y, axis)


@function_of_axes(
    family="normalizers",
    formula=r"\frac{x - \bar x}{\sqrt{\overline{(x - \bar x)^2} + \epsilon}}",
    static=("axis", "algorithm"),
    paper="arXiv:1607.06450",
)
def standardize(
    x: ArrayLike,
    axis: Axis = -1,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    epsilon: ArrayLike = 1e-5,
    where: ArrayLike | None = None,
    *,
    algorithm: str = "stable",
) -> Array:
    """Mean 0 and variance 1 along an axis.

    Args:
      x: real array; floating dtypes stay, others become the default float.
      axis: the axis or axes: an int, a tuple, or None for all of them.
      mean: the mean to subtract; by default that of x.
      variance: the variance to divide by; by default that of x.
      epsilon: added to the variance.
      where: the entries that count in mean and variance.
      algorithm: "stable" subtracts the mean before it squares; "fast" is JAX's
        default, the difference of the mean square and the squared mean, which
        cancels when the mean is large.

    Returns:
      An array of the shape and dtype of x.

    Raises:
      ValueError: the algorithm is neither "stable" nor "fast".

    Example:
      >>> jaxacts.standardize(jnp.array([9999.0, 10000.0, 10001.0]))
      Array([-1.2247,  0.    ,  1.2247], dtype=float32)
    """
    if algorithm not in ("stable", "fast"):
        raise ValueError(
            f"standardize: algorithm={algorithm!r}; give 'stable' or 'fast'"
        )
    x = checked_float("standardize", "x", x)
    wide = _wide(x)
    own_mean = mean is None
    if own_mean:
        mean = jnp.mean(wide, axis, keepdims=True, where=where)
    centred = wide - mean
    if own_mean and algorithm == "stable":
        # What rounding left in a mean far from 0.
        rest = jnp.mean(centred, axis, keepdims=True, where=where)
        centred = centred - jax.lax.stop_gradient(rest)
    if variance is None and algorithm == "stable":
        variance = jnp.mean(jnp.square(centred), axis, keepdims=True, where=where)
    elif variance is None:
        square = jnp.mean(jnp.square(wide), axis, keepdims=True, where=where)
        variance = jnp.maximum(square - jnp.square(mean), 0.0)
    return (centred * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)


@function_of_axes(
    family="normalizers",
    formula=r"[x = 0, \dots, x = n - 1]",
    static=("num_classes", "dtype", "axis"),
    paper="the indicator vector of a class",
)
def one_hot(x: Any, num_classes: int, *, dtype: Any = None, axis: int = -1) -> Array:
    """Indices as vectors with a single 1; ``jax.nn.one_hot``.

    Args:
      x: integer array.
      num_classes: the length of the new axis; an index outside gives zeros.
      dtype: of the result; the default float if not given.
      axis: where the new axis goes.

    Returns:
      An array with one more axis than x.

    Example:
      >>> jaxacts.one_hot(jnp.array([1, 0]), 2)
      Array([[0., 1.],
             [1., 0.]], dtype=float32)
    """
    kind = jnp.result_type(float) if dtype is None else dtype
    return jax.nn.one_hot(x, num_classes, dtype=kind, axis=axis)


@function_of_axes(
    family="normalizers",
    formula=r"\frac{e^{-x_i}}{\sum_j e^{-x_j}}",
    static=("axis",),
    paper="softmax of the negated argument",
)
def softmin(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    """Softmin: softmax of -x, largest where x is smallest.

    Args:
      x: real array; floating dtypes stay, others become the default float.
      axis: the axis or axes: an int, a tuple, or None for all of them.
      where: the entries that count, a boolean array that broadcasts against x;
        the others are 0, and so is a row in which none counts.

    Returns:
      An array of the shape and dtype of x. A row with -inf is NaN.

    Example:
      >>> jaxacts.softmin(jnp.array([0.0, 0.0, 1000.0]))
      Array([0.5, 0.5, 0. ], dtype=float32)
    """
    return _softmax(-checked_float("softmin", "x", x), axis, where)


@jax.custom_jvp
def _straight_through(hard: Array, soft: Array) -> Array:
    """hard, with the derivative of soft."""
    return hard


@_straight_through.defjvp
def _straight_through_jvp(primals: Any, tangents: Any) -> Any:
    return _straight_through(*primals), tangents[1]


@function_of_axes(
    family="normalizers",
    formula=r"\frac{e^{(x_i + g_i)/\tau}}{\sum_j e^{(x_j + g_j)/\tau}}, \quad "
    r"g_i \sim -\log(-\log U(0, 1))",
    static=("hard", "axis"),
    paper="arXiv:1611.01144",
)
def gumbel_softmax(
    key: Array,
    logits: ArrayLike,
    temperature: ArrayLike = 1.0,
    hard: bool = False,
    axis: int = -1,
    where: ArrayLike | None = None,
) -> Array:
    """A relaxed random choice: softmax of logits with Gumbel noise.

    Args:
      key: a key of ``jax.random``; equal keys give equal samples.
      logits: real array, unnormalized log-probabilities; -inf is never chosen.
        Floating dtypes stay, others become the default float. 16-bit logits
        draw and compute in float32, and round once.
      temperature: the temperature τ > 0; towards 0 the sample becomes a vector
        with a single 1. A number or an array that broadcasts against logits;
        differentiable.
      hard: return the vector with a single 1 at the largest entry, with the
        derivative of the relaxed sample (straight-through).
      axis: the axis of the choice.
      where: the entries that can be chosen, a boolean array that broadcasts
        against logits; the others are 0, and so is a row in which none can.

    Returns:
      An array of the shape and dtype of logits. A row with +inf is NaN.

    Example:
      >>> logits = jnp.array([0.0, 2.0, -jnp.inf])
      >>> y = jaxacts.gumbel_softmax(jax.random.key(0), logits, hard=True)
      >>> float(y.sum()), float(y[2])
      (1.0, 0.0)
    """
    logits = checked_float("gumbel_softmax", "logits", logits)
    wide = _wide(logits)
    scale = checked_float("gumbel_softmax", "temperature", temperature)
    noise = jax.random.gumbel(key, wide.shape, wide.dtype)
    soft = _softmax((wide + noise) / scale.astype(wide.dtype), axis, where)
    if hard:
        best = jax.nn.one_hot(
            jnp.argmax(soft, axis), soft.shape[axis], dtype=soft.dtype, axis=axis
        )
        # A row of NaN stays NaN, and one of zeros has nothing to choose.
        chosen = jnp.where(jnp.any(soft > 0, axis, keepdims=True), best, 0.0)
        soft = _straight_through(jnp.where(jnp.isnan(soft), soft, chosen), soft)
    return soft.astype(logits.dtype)
