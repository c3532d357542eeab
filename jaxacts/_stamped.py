"""A function traced for one shape, its equations written again for every other.

Even a replayed kernel takes 30 microseconds an operation to trace, most of which JAX
spends to find the type of each result. Where a function is elementwise, the equations
of one shape are those of another but for the shapes: copying them takes a tenth.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend import core

from jaxacts._program import ELEMENTWISE

__all__ = ["stamped"]

_Function = Callable[..., jax.Array]

_SHAPE = (3,)  # for which functions are traced
# What a JAX raises that makes its equations otherwise: they are no stable interface.
_OTHERWISE = (AttributeError, KeyError, NotImplementedError, TypeError, ValueError)


def stamped(function: _Function) -> _Function:
    """The function, traced for one shape and written again for others.

    ``function`` is elementwise and leaves one equation where it is called, as one
    under ``jax.jit`` or ``jax.checkpoint`` does. It is called itself where arguments
    are not traced, or are more than arrays of one shape and scalars beside them:
    arrays with a sharding in their type, or that vary over axes of a mesh; and under
    a JAX whose equations cannot be copied like this.
    """
    traced = jax.jit(lambda *arguments: function(*arguments))

    def copied(arguments: Sequence[jax.Array]) -> jax.Array | None:
        avals = [jax.typeof(a) for a in arguments]
        shape = avals[0].shape
        if not (
            isinstance(arguments[0], jax.core.Tracer)
            and all(isinstance(size, int) for size in shape)
            and all(a.shape in (shape, ()) and _is_plain(a) for a in avals)
        ):
            return None
        alike = [
            jax.ShapeDtypeStruct(
                _SHAPE if a.shape else (), a.dtype, weak_type=a.weak_type
            )
            for a in avals
        ]
        # JAX keeps traces, and knows all that they depend on besides their arguments.
        # A mesh that is empty and none at all are two things to it.
        with jax.sharding.use_abstract_mesh(jax.sharding.get_abstract_mesh()):
            sample = _sample(traced.trace(*alike).jaxpr)
        if sample is None:
            return None
        (result,) = sample.bind(*arguments, shape=shape)
        return result

    def run(*arguments: jax.Array) -> jax.Array:
        try:
            result = copied(arguments)
        except _OTHERWISE:
            result = None
        return function(*arguments) if result is None else result

    return run


def _is_plain(aval: Any) -> bool:
    """Whether shape and type are all that is known of an array."""
    plain = jax.core.ShapedArray(aval.shape, aval.dtype, aval.weak_type)
    return bool(aval == plain)


class _Sample(NamedTuple):
    """An equation with a function within, for arguments of the shape `_SHAPE`."""

    equation: core.JaxprEqn
    key: str  # of the parameter that is the function

    def bind(self, *arguments: jax.Array, shape: tuple[int, ...]) -> list[jax.Array]:
        parameters = dict(self.equation.params)
        function = parameters[self.key]
        if isinstance(function, core.ClosedJaxpr):
            jaxpr = _reshaped(function.jaxpr, shape)
            parameters[self.key] = core.ClosedJaxpr(jaxpr, function.consts)
        else:
            parameters[self.key] = _reshaped(function, shape)
        return self.equation.primitive.bind(*arguments, **parameters)


@functools.lru_cache(maxsize=4096)
def _sample(closed: core.ClosedJaxpr) -> _Sample | None:
    """The one equation of a function; None if there are more, or not elementwise."""
    outer = closed.jaxpr
    if len(outer.eqns) != 1 or closed.consts:
        return None
    (equation,) = outer.eqns
    keys = [k for k, v in equation.params.items() if _jaxpr_of(v) is not None]
    if (
        len(keys) != 1
        or equation.invars != outer.invars
        or equation.outvars != outer.outvars
    ):
        return None
    inner: Any = _jaxpr_of(equation.params[keys[0]])
    atoms = [v for e in inner.eqns for v in (*e.invars, *e.outvars)]
    if (
        inner.constvars
        or any(e.primitive.name not in ELEMENTWISE for e in inner.eqns)
        or any(a.aval.shape not in (_SHAPE, ()) for a in atoms)
    ):
        return None
    return _Sample(equation, keys[0])


def _jaxpr_of(parameter: Any) -> core.Jaxpr | None:
    if isinstance(parameter, core.ClosedJaxpr):
        return parameter.jaxpr
    return parameter if isinstance(parameter, core.Jaxpr) else None


@functools.lru_cache(maxsize=256)
def _reshaped(jaxpr: core.Jaxpr, shape: tuple[int, ...]) -> core.Jaxpr:
    """The equations with other variables, of ``shape`` where they were of `_SHAPE`."""
    variables: list[Any] = [*jaxpr.invars, *(v for e in jaxpr.eqns for v in e.outvars)]
    kinds = {(v.aval.dtype, v.aval.weak_type) for v in variables}
    avals = {kind: jax.core.ShapedArray(shape, *kind) for kind in kinds}
    new = {
        id(v): core.Var(avals[v.aval.dtype, v.aval.weak_type])
        for v in variables
        if v.aval.shape
    }

    def written(atoms: Sequence[Any]) -> list[Any]:
        return [new.get(id(atom), atom) for atom in atoms]

    equations = [
        e.replace(
            invars=written(e.invars),
            outvars=written(e.outvars),
            params={**e.params, "shape": shape} if "shape" in e.params else e.params,
        )
        for e in jaxpr.eqns
    ]
    return jaxpr.replace(
        invars=written(jaxpr.invars), outvars=written(jaxpr.outvars), eqns=equations
    )
