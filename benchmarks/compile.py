"""Seconds before the first result: tracing, lowering and compiling, and eager calls.

    python benchmarks/compile.py [FUNCTION ...] [--rounds 7]

Of the gradient of a sum, ours beside jax.nn in turns; each round is of a new shape,
so that nothing is remembered. The very first trace of a function, which records its
kernels, is a column of its own; operations are the steps of the kernels of value
and slope. Eager calls are of ten numbers. Ratios are medians over the rounds, with a
95% interval: of tracing, lowering and compiling together, and of eager calls.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _records
import jax
import jax.numpy as jnp
from _timing import FEWEST_ROUNDS, ratio
from _usual import add_names, call_of, chosen, label, with_progress

import jaxacts

RECORD = Path(__file__).parents[1] / "docs" / "compile.json"
LIBRARIES = {"jaxacts": jaxacts, "jax.nn": jax.nn}
STAGES = ("trace", "lower", "compile", "eager")


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


def measure(name: str, settings: dict[str, Any], rounds: int) -> dict[str, Any]:
    """All figures of one function, ours and those of jax.nn in turns."""
    calls = {
        who: call
        for who, library in LIBRARIES.items()
        if (call := call_of(library, name, settings))
    }
    row: dict[str, Any] = {"name": label(name, settings), "rounds": rounds}
    found: dict[str, list[tuple[float, ...]]] = {who: [] for who in calls}
    first = {who: stages(call, 100)[0] for who, call in calls.items()}
    for turn in range(rounds):
        order = list(calls) if turn % 2 == 0 else list(calls)[::-1]
        for who in order:
            figures = (*stages(calls[who], 101 + turn), eager(calls[who]))
            found[who].append(figures)
    for who, call in calls.items():
        medians = [
            statistics.median(column) for column in zip(*found[who], strict=True)
        ]
        row[who] = {"first": round(first[who], 2)}
        row[who] |= {k: round(v, 2) for k, v in zip(STAGES, medians, strict=True)}
        row[who]["operations"] = operations(call)
    if "jax.nn" in calls:
        ours, theirs = found["jaxacts"], found["jax.nn"]
        together = ratio([sum(f[:3]) for f in ours], [sum(f[:3]) for f in theirs])
        row["gradient"] = together.rounded()
        row["eager"] = ratio([f[3] for f in ours], [f[3] for f in theirs]).rounded()
    return row


def shown(row: dict[str, Any]) -> str:
    """A row as the command prints it."""
    found = [row[who] for who in LIBRARIES if who in row]
    cells = [" / ".join(f"{c[k]:6.1f}" for c in found) for k in STAGES]
    cells.append(" / ".join(str(tuple(c["operations"])) for c in found))
    ratios = [f"{row[k][0]:.2f}" if k in row else "" for k in ("gradient", "eager")]
    first = row["jaxacts"]["first"]
    return f"{row['name']:26} {first:7.1f} {'  '.join(cells)}  {' '.join(ratios)}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_names(parser)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--save", action="store_true", help=f"keep in docs/{RECORD.name}"
    )
    options = parser.parse_args()
    fewest = FEWEST_ROUNDS if options.save else 1
    if options.rounds < fewest:
        parser.error(f"--rounds {options.rounds}: give {fewest} or more")
    run = {
        "command": _records.command_line(__file__),
        **_records.environment(device=jax.default_backend()),
    }
    stages(jnp.sin, 3)
    print(f"jax {jax.__version__}; jaxacts / jax.nn: milliseconds of a gradient")
    heads = f"{'first':>7} {'trace':>14} {'lower':>14} {'compile':>15}"
    print(f"{'':26} {heads}   eager us   operations   ratios: gradient, eager")
    for name, settings in with_progress(chosen(options.names)):
        row = measure(name, settings, options.rounds)
        print(shown(row), flush=True)
        if options.save:
            _records.save(RECORD, [row], ("name",), run)
    return 0


if __name__ == "__main__":
    sys.exit(_records.run(main))
