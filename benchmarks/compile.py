"""Seconds before the first result: tracing, lowering and compiling, and eager calls.

    python benchmarks/compile.py [FUNCTION ...] [--rounds 7]

Of the gradient of a sum, ours beside jax.nn in turns; each round is of a new shape,
so that nothing is remembered. The very first trace of a function, which records its
kernels, is a column of its own; operations are the steps of the kernels of value
and slope. Eager calls are of ten numbers.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from _usual import USUAL, label

import jaxacts


def stages(function: Callable[[Any], Any], size: int) -> tuple[float, float, float]:
    """Milliseconds to trace, lower and compile the gradient of a sum."""
    x = jax.ShapeDtypeStruct((size,), jnp.float32)
    times = [time.perf_counter()]
    traced = jax.jit(jax.grad(lambda x: jnp.sum(function(x)))).trace(x)
    times.append(time.perf_counter())
    lowered = traced.lower()
    times.append(time.perf_counter())
    lowered.compile()
    times.append(time.perf_counter())
    first, second, third, last = (1e3 * t for t in times)
    return second - first, third - second, last - third


def operations(function: Callable[[Any], Any]) -> tuple[int, int]:
    """How many a value takes, and a value with its slope; of functions within too."""

    def count(jaxpr: Any) -> int:
        inner = [
            v.jaxpr
            for equation in jaxpr.eqns
            for v in equation.params.values()
            if hasattr(v, "jaxpr")
        ]
        return len(jaxpr.eqns) - len(inner) + sum(map(count, inner))

    x = jnp.ones(3)
    both = jax.make_jaxpr(lambda x: jax.jvp(function, (x,), (x,)))(x)
    return count(jax.make_jaxpr(function)(x).jaxpr), count(both.jaxpr)


def eager(function: Callable[[Any], Any], calls: int = 1000) -> float:
    """Microseconds of a call."""
    x = jnp.linspace(-1.0, 1.0, 10)
    function(x)
    start = time.perf_counter()
    for _ in range(calls):
        y = function(x)
    y.block_until_ready()
    return 1e6 * (time.perf_counter() - start) / calls


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="FUNCTION")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for name in options.names:
        if name not in jaxacts.names():
            parser.error(f"no function is named {name!r}; see `jaxacts list`")
    chosen = [(name, {}) for name in options.names] or list(USUAL)
    stages(jnp.sin, 3)
    print(f"jax {jax.__version__}; jaxacts / jax.nn: milliseconds of a gradient")
    heads = f"{'first':>7} {'trace':>14} {'lower':>14} {'compile':>15}"
    print(f"{'':26} {heads}   eager us   operations")
    for name, settings in chosen:
        libraries = [
            functools.partial(getattr(library, name), **settings)
            for library in (jaxacts, jax.nn)
            if hasattr(library, name)
        ]
        first, *_ = (stages(function, 100)[0] for function in libraries)
        rounds: list[list[tuple[float, ...]]] = [[] for _ in libraries]
        for turn in range(options.rounds):
            for found, function in zip(rounds, libraries, strict=True):
                found.append((*stages(function, 101 + turn), eager(function)))
        columns = [
            [statistics.median(row[k] for row in found) for k in range(4)]
            for found in rounds
        ]
        cells = [" / ".join(f"{c[k]:6.1f}" for c in columns) for k in range(4)]
        cells.append(" / ".join(str(operations(f)) for f in libraries))
        print(f"{label(name, settings):26} {first:7.1f} {'  '.join(cells)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
