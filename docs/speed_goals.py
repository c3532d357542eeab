"""What jaxacts is to reach in speed and memory; docs/speed.py holds it to it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jaxacts
from jaxacts.verify.target import registered
from jaxacts.verify.ulp import format_of

__all__ = [
    "EAGER",
    "FASTER",
    "GRADIENT",
    "OVER_VALUE",
    "SCAN",
    "copies",
    "exponentials",
]

# Copies of an array, for functions with at most one exponential and for others.
_COPIES = {
    ("float32", "value"): (1.5, 2.2),
    ("float32", "vjp"): (2.6, 3.5),
    ("bfloat16", "vjp"): (4.0, 6.0),
}
# Geometric mean of the times faster than jax.nn, value and vjp.
FASTER = {"float32": 1.4, "bfloat16": 2.2}
# jvp and second derivative, in multiples of the value.
OVER_VALUE = 2.0
# In multiples of jax.nn: a gradient traced, lowered and compiled; an eager call.
GRADIENT, EAGER = 1.2, 1.0
# MiB of the scan of benchmarks/memory.py.
SCAN = {("gelu(approximate=True)", "float32"): 32.0}

_ONE = {"exp", "expm1", "tanh", "sigmoid", "sin", "cos"}
_MORE = {"erf", "erfc", "atan"}  # whose slope is another function


def exponentials(function: str, settings: Mapping[str, Any]) -> int:
    """How many exponentials the paper's formula has: tanh is one, erf is two.

    Logarithms and roots are not counted: softplus has one exponential.
    """
    target = registered(jaxacts.spec(function), settings)
    program = target.program(format_of("float32"), simplify=False)
    operations = [operation for operation, *_ in program.instructions]
    return sum((o in _ONE) + 2 * (o in _MORE) for o in operations)


@functools.cache
def _is_dear(function: str, settings: tuple[tuple[str, Any], ...]) -> bool:
    return exponentials(function, dict(settings)) > 1


def copies(row: Mapping[str, Any]) -> float | None:
    """The goal of a row of the record, where it has one."""
    cheap, dear = _COPIES.get((row["dtype"], row["kind"]), (None, None))
    if cheap is None or row["size"] != "memory":
        return None
    is_dear = _is_dear(row["function"], tuple(row["settings"].items()))
    return dear if is_dear else cheap
