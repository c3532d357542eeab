"""Activations evaluated at once, in float64, whatever surrounds the call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["elementwise_unit", "exact_evaluation", "title"]


def title(activation: Any) -> str:
    """An activation as messages name it."""
    if isinstance(activation, str):
        return activation
    return getattr(activation, "__name__", repr(activation))


@contextlib.contextmanager
def exact_evaluation() -> Iterator[None]:
    """float64 on the CPU, and at once, whatever surrounds it."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(True))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.ensure_compile_time_eval())
        # There is none where JAX_PLATFORMS leaves it out.
        with contextlib.suppress(RuntimeError):
            cpu = jax.local_devices(backend="cpu")[0]
            stack.enter_context(jax.default_device(cpu))
        yield


def elementwise_unit(f: Callable[..., Any], shape: tuple[int, int]) -> float | None:
    """None if a value of f depends on its neighbours; otherwise f's unit.

    Args:
      f: a function of one array, called within `exact_evaluation`.
      shape: of the array that is tried.

    Returns:
      The epsilon of the dtype that f computes in, which is not float64 for every f;
      0 for integers.
    """
    x = np.linspace(-2.0, 2.0, shape[0] * shape[1]).reshape(shape)
    other = x.copy()
    other[::2, ::3] = 0.7 - x[::2, ::3]
    y, z = f(jnp.asarray(x)), f(jnp.asarray(other))
    for found in (y, z):
        if not isinstance(found, jax.Array | np.ndarray) or found.shape != x.shape:
            return None
    unit = float(jnp.finfo(y.dtype).eps) if jnp.issubdtype(y.dtype, jnp.floating) else 0
    y, z = np.asarray(y, np.float64), np.asarray(z, np.float64)
    same = np.allclose(y[x == other], z[x == other], rtol=1e-6, equal_nan=True)
    return unit if same else None
