"""Plain activations without a defect, on which the verifier must stay silent."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clean:
    """One activation with its formula, and whether integers stay integers."""

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    keeps_integers: bool = False


def _float(x):
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return x.astype(jnp.result_type(float))


def _cast(x, dtype):
    """A cast to the dtype that it has would turn a weak type strong."""
    return x if x.dtype == dtype else x.astype(dtype)


def _recomputed(kernel):
    """In float32 or wider, rounded once, with nothing kept but the input."""

    @jax.checkpoint
    def rounded(x, parameters):
        wide = x.dtype if x.dtype == jnp.float64 else jnp.float32
        parameters = {name: _cast(p, wide) for name, p in parameters.items()}
        return _cast(kernel(_cast(x, wide), **parameters), x.dtype)

    @functools.wraps(kernel)
    def function(x, **parameters):
        return rounded(_float(x), {n: _float(p) for n, p in parameters.items()})

    return function


@jax.custom_jvp
def relu(x):
    return jnp.maximum(x, 0)


@relu.defjvp
def _(primals, tangents):
    y = relu(*primals)

    def push(y, dot):
        return jnp.where(y > 0, dot, jnp.zeros_like(dot))

    return y, jax.checkpoint(push, prevent_cse=False)(y, *tangents)


@_recomputed
def swish(x, beta):
    return x * jax.nn.sigmoid(beta * x)


def sine(x):
    return jnp.sin(x)


def identity(x):
    return jnp.asarray(x)


CLEAN = [
    Clean(
        name="identity",
        function=identity,
        reference=lambda m, x: x,
        keeps_integers=True,
    ),
    Clean(
        name="relu",
        function=relu,
        reference=lambda m, x: m.piecewise(x, [(0, "left")], [lambda: 0, lambda: x]),
        keeps_integers=True,
    ),
    Clean(name="sine", function=sine, reference=lambda m, x: m.sin(x)),
    Clean(
        name="swish",
        function=swish,
        reference=lambda m, x, beta: x / (1 + m.exp(-beta * x)),
        params={"beta": 1.5},
    ),
]
