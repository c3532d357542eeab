"""Gated units: one half of an axis opens the other."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts._elementwise import checked_float, function_of_axes
from jaxacts._numerics import Array
from jaxacts.sigmoids import sigmoid


@function_of_axes(
    family="gated",
    formula=r"a \cdot \sigma(b) \text{, } a, b \text{ the halves of an axis}",
    static=("axis",),
    paper="arXiv:1612.08083",
)
def glu(x: ArrayLike, axis: int = -1) -> Array:
    """Gated linear unit.

    Args:
      x: array of at least one axis; floating dtypes stay, others become the
        default float.
      axis: the axis that is split in two halves.

    Returns:
      An array with half the length along ``axis``.

    Raises:
      ValueError: the axis does not exist or has an odd length.

    Example:
      >>> jaxacts.glu(jnp.array([3.0, -1.0, 0.0, 2.0]))
      Array([ 1.5   , -0.8808], dtype=float32)
    """
    x = checked_float("glu", "x", x)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"glu: axis={axis} does not exist in shape {x.shape}")
    if x.shape[axis] % 2:
        raise ValueError(
            f"glu: axis={axis} of x has length {x.shape[axis]}; give an even length"
        )
    value, gate = jnp.split(x, 2, axis)
    return value * sigmoid(gate)
