"""What a caller may pass: real arrays and numbers, or an error naming the argument."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["as_numbers", "checked_float", "checked_real", "equal_ranks", "to_float"]


def checked_real(function: str, name: str, argument: Any) -> jax.Array:
    """The argument as an array, or a TypeError that names it."""
    if isinstance(argument, bool | int | float | np.generic | np.ndarray):
        argument = jnp.asarray(argument)
    if not isinstance(argument, jax.Array):
        kind = type(argument).__name__
        raise TypeError(
            f"{function}: {name}={argument!r} is of type {kind}; "
            "give a real array or number"
        )
    if not (
        jnp.issubdtype(argument.dtype, jnp.floating)
        or jnp.issubdtype(argument.dtype, jnp.integer)
        or argument.dtype == jnp.bool_
    ):
        raise TypeError(
            f"{function}: {name} has dtype {argument.dtype}; "
            "give a real floating, integer or boolean array"
        )
    return argument


def checked_float(function: str, name: str, argument: Any) -> jax.Array:
    """The argument as a floating array, or a TypeError that names it."""
    return to_float(checked_real(function, name, argument))


def as_numbers(
    function: str, name: str, argument: Any, size: int | None
) -> list[jax.Array]:
    """A parameter as the arrays that kernels get, one for each of its numbers."""
    if size is None:
        return [checked_real(function, name, argument)]
    if isinstance(argument, tuple | list):
        shape: tuple[int, ...] = (len(argument),)
        found = [checked_real(function, name, number) for number in argument]
    else:
        array = checked_real(function, name, argument)
        shape = array.shape
        found = [array[..., k] for k in range(shape[-1] if shape else 0)]
    if not shape or shape[-1] != size:
        raise ValueError(
            f"{function}: {name} has shape {shape}; give {size} numbers, "
            "along the last axis of an array"
        )
    return found


def to_float(x: jax.Array) -> jax.Array:
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return x.astype(jnp.result_type(float))


def equal_ranks(
    x: jax.Array, parameters: list[jax.Array]
) -> tuple[jax.Array, list[jax.Array]]:
    """Leading axes of size 1 where ranks differ; scalars stay scalars."""
    rank = max([x.ndim, *(p.ndim for p in parameters)])

    def raised(a: jax.Array) -> jax.Array:
        if a.ndim in (0, rank):
            return a
        return a.reshape((1,) * (rank - a.ndim) + a.shape)

    return raised(x), [raised(p) for p in parameters]
