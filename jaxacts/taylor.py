"""Higher derivatives along a curve, for functions with rules of their own.

`jax.experimental.jet` fails on every function with a ``custom_jvp`` rule, those of
JAX and ours alike: it drops the rule and then loses track of its own values.
`jet` here takes the same arguments and gives the same result by nested forward mode,
so each activation is differentiated by its own rules, whose first two derivatives
are right to the last places. The cost is 2^order evaluations and not order², which
is little up to order 6.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _registry

__all__ = ["derivatives", "jet"]


def jet(
    fun: Callable[..., Any],
    primals: Sequence[ArrayLike],
    series: Sequence[Sequence[ArrayLike]],
    factorial_scaled: bool = True,
) -> tuple[Any, Any]:
    """Taylor-mode differentiation, as `jax.experimental.jet.jet`.

    The arguments are curves through ``primals``, given by their derivatives at 0.
    ``fun`` may be any composition that JAX can differentiate forwards.

    Args:
      fun: function of arrays that returns an array or a tree of arrays.
      primals: its arguments, floating or complex arrays.
      series: one sequence an argument, all of equal length: the first, second, ...
        derivative of its curve, each of a shape that broadcasts to the argument's.
      factorial_scaled: with False, Taylor coefficients, the derivatives divided by
        the factorials of their orders, go in and come out.

    Returns:
      ``(fun(*primals), series_out)``, where ``series_out`` has for each array of the
      output a list of derivatives (or coefficients) along the curve.

    Raises:
      ValueError: ``series`` does not fit ``primals`` in number, length or shape.
      TypeError: an argument is neither floating nor complex.

    Example:
      >>> import jaxacts
      >>> value, (first, second) = jaxacts.taylor.jet(
      ...     lambda x: x * jaxacts.tanh(x), (0.0,), ((1.0, 0.0),)
      ... )
      >>> float(value), float(first), float(second)
      (0.0, 0.0, 2.0)
    """
    points = [_checked_array(f"primals[{i}]", x) for i, x in enumerate(primals)]
    if len(series) != len(points):
        raise ValueError(
            f"series has terms for {len(series)} arguments; primals are {len(points)}"
        )
    lengths = sorted({len(terms) for terms in series})
    if len(lengths) > 1:
        raise ValueError(
            f"series has arguments of {lengths} terms; give all equally many"
        )
    order = lengths[0] if lengths else 0
    curves = [
        _Curve(x, _checked_terms(i, x, terms), factorial_scaled)
        for i, (x, terms) in enumerate(zip(points, series, strict=True))
    ]
    out, tree = jax.tree.flatten(fun(*points))
    moving = [jnp.issubdtype(jnp.result_type(y), jnp.inexact) for y in out]

    def along(t: jax.Array) -> list[jax.Array]:
        leaves = jax.tree.leaves(fun(*(curve(t) for curve in curves)))
        return [y for y, moves in zip(leaves, moving, strict=True) if moves]

    # A weak 0, which takes on the dtype of each argument.
    rungs = _ladder(along, order, jnp.asarray(0.0))[1:]
    if not factorial_scaled:
        rungs = [
            [y / math.factorial(k) for y in rung] for k, rung in enumerate(rungs, 1)
        ]
    columns = iter([list(column) for column in zip(*rungs, strict=True)])
    # An integer output has no derivative; jax's jet returns zeros.
    terms_out = [
        next(columns, []) if moves else [jnp.zeros_like(y)] * order
        for y, moves in zip(out, moving, strict=True)
    ]
    return jax.tree.unflatten(tree, out), jax.tree.unflatten(tree, terms_out)


def derivatives(
    activation: str | Callable[..., Any], x: ArrayLike, order: int = 4
) -> tuple[jax.Array, ...]:
    """f(x), f'(x), ..., up to the derivative of the given order, at every point.

    Args:
      activation: a registered name, or an elementwise function of one array.
      x: floating array of any shape.
      order: the highest derivative, 0 or more.

    Returns:
      A tuple of ``order + 1`` arrays of the shape of ``x``.

    Raises:
      ValueError: the name is unknown, or ``order`` is negative.
      TypeError: ``x`` is neither floating nor complex.

    Example:
      >>> import jaxacts
      >>> [float(y) for y in jaxacts.taylor.derivatives("softplus", 0.0, order=2)]
      [0.6931471824645996, 0.5, 0.25]
    """
    if order < 0:
        raise ValueError(f"order={order}; give 0 or more")
    f = _registry.get(activation)
    x = _checked_array("x", x)
    return tuple(column[0] for column in _ladder(lambda x: [f(x)], order, x))


class _Curve:
    """t -> x + t d1 + t²/2 d2 + ..., written so that derivatives at 0 are exact."""

    def __init__(self, x: jax.Array, terms: list[jax.Array], factorial_scaled: bool):
        self.x, self.terms, self.factorial_scaled = x, terms, factorial_scaled

    def __call__(self, t: jax.Array) -> jax.Array:
        total = jnp.zeros_like(self.x)
        for k in range(len(self.terms), 0, -1):
            step = t / k if self.factorial_scaled else t
            total = step * (self.terms[k - 1] + total)
        return self.x + total


def _ladder(
    f: Callable[[jax.Array], list[jax.Array]], order: int, t: jax.Array
) -> list[list[jax.Array]]:
    """The outputs of f at t and their derivatives in t, one list an order."""
    if order == 0:
        return [f(t)]
    below = functools.partial(_ladder, f, order - 1)
    low, high = jax.jvp(below, (t,), (jnp.ones_like(t),))
    return [low[0], *high]


def _checked_array(name: str, x: ArrayLike) -> jax.Array:
    if not jax.tree_util.treedef_is_leaf(jax.tree.structure(x)):
        raise ValueError(f"{name} is a tree; give one array an argument")
    if not jnp.issubdtype(jnp.result_type(x), jnp.inexact):
        raise TypeError(
            f"{name} has dtype {jnp.result_type(x)}; give a floating or complex array"
        )
    return jnp.asarray(x)


def _checked_terms(
    position: int, x: jax.Array, terms: Sequence[ArrayLike]
) -> list[jax.Array]:
    found = []
    for k, term in enumerate(terms):
        term = jnp.asarray(term)
        try:
            fits = jnp.broadcast_shapes(term.shape, x.shape) == x.shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"series[{position}][{k}] has shape {term.shape}; "
                f"give one that broadcasts to {x.shape}"
            )
        if term.dtype != x.dtype:
            term = term.astype(x.dtype)
        found.append(jnp.broadcast_to(term, x.shape))
    return found
