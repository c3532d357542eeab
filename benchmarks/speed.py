"""How long activations take beside jax.nn and torch, in multiples of a copy.

    python benchmarks/speed.py                       # the fourteen usual functions
    python benchmarks/speed.py --all --dtype float32
    python benchmarks/speed.py silu gelu --kind vjp --size cache --against jax.nn

Everything runs in one process and in turns (A B C, B A C, ...), into donated
outputs: fresh memory costs more than the arithmetic and makes all functions look
alike. The unit is one scaling copy of the array into a donated buffer, timed in the
same turns; jvp and the second derivative are also given in multiples of the value. A
ratio is the median over the turns, with a 95% interval. torch is timed where it is
installed; its allocator is told to keep its memory, so that it need not fault in
fresh pages either. With --save each row is kept as soon as it is measured.

--vectors 512 asks XLA for loops of 512 bits, for processors with AVX-512; our time
without that is then measured in the same turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _records
import jax
import jax.numpy as jnp
import numpy as np
from _contenders import KINDS, LIBRARIES, WITHOUT_OPTIONS, contenders, installed
from _timing import FEWEST_ROUNDS, Ratio, interleaved, ratio
from _usual import add_names, chosen, label, with_progress

RECORD = Path(__file__).parents[1] / "docs" / "speed.json"
# Elements, and how often a call goes over them.
SIZES = {"memory": (1 << 22, 1), "cache": (1 << 16, 64)}
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda random, n: random.standard_normal(n),
    "wide": lambda random, n: 30 * random.standard_normal(n),
    "negative": lambda random, n: -np.abs(4 * random.standard_normal(n)),
}
# Vectors of XLA's loops: those that it chooses, or of 512 bits.
VECTORS: dict[str, dict[str, Any]] = {
    "usual": {},
    "512": {"xla_cpu_prefer_vector_width": 512},
}
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}


@dataclasses.dataclass(frozen=True)
class Regime:
    """How a function is measured, and on what."""

    dtype: str
    kind: str
    size: str
    distribution: str
    vectors: str


IDENTITY = ("name", *(field.name for field in dataclasses.fields(Regime)))


@dataclasses.dataclass(frozen=True)
class Row:
    """One function in one regime.

    Attributes:
      name: with settings.
      function, settings: the name's parts.
      regime: how it was measured.
      rounds: how many turns.
      copies: contender to its multiple of a copy.
      against: another contender to its multiple of our time: above 1 we are faster.
      over_value: our time over that of our value, for jvp and second derivative.
      nanoseconds: contender to its median time an element.
    """

    name: str
    function: str
    settings: dict[str, Any]
    regime: Regime
    rounds: int
    copies: dict[str, Ratio]
    against: dict[str, Ratio]
    over_value: Ratio | None
    nanoseconds: dict[str, float]

    def __str__(self) -> str:
        figures = "  ".join(f"{who} {r}" for who, r in self.copies.items())
        ours = "  ".join(
            f"{who}/jaxacts {r} [{r.low:.2f}, {r.high:.2f}]"
            for who, r in self.against.items()
        )
        if self.over_value:
            ours = f"over value: {self.over_value}  {ours}"
        where = " ".join(dataclasses.astuple(self.regime))
        return f"{self.name:24} {where:30} copies: {figures}   {ours}"

    def recorded(self) -> dict[str, Any]:
        """The row as JSON."""
        row = {
            "name": self.name,
            **dataclasses.asdict(self.regime),
            "function": self.function,
            "settings": self.settings,
            "rounds": self.rounds,
            "copies": {who: r.rounded() for who, r in self.copies.items()},
            "against": {who: r.rounded() for who, r in self.against.items()},
            "nanoseconds": {
                who: float(f"{t:.4g}") for who, t in self.nanoseconds.items()
            },
        }
        if self.over_value:
            row["over_value"] = self.over_value.rounded()
        return row


def measure(
    function: str,
    settings: dict[str, Any],
    regime: Regime,
    rounds: int,
    libraries: tuple[str, ...],
) -> Row:
    """Times one function in one regime."""
    count, repeats = SIZES[regime.size]
    random = np.random.default_rng(0)
    numbers = DISTRIBUTIONS[regime.distribution](random, count)
    x = jnp.asarray(numbers, regime.dtype)
    g = jnp.asarray(random.standard_normal(count), regime.dtype)
    calls = contenders(
        *(function, settings, regime.kind, x, g, repeats, libraries),
        options=VECTORS[regime.vectors],
    )
    seconds = interleaved(calls, rounds)
    units, others = ("copy", "value"), (*LIBRARIES, WITHOUT_OPTIONS)
    return Row(
        label(function, settings),
        function,
        settings,
        regime,
        rounds,
        {k: ratio(v, seconds["copy"]) for k, v in seconds.items() if k not in units},
        {k: ratio(v, seconds["jaxacts"]) for k, v in seconds.items() if k in others},
        ratio(seconds["jaxacts"], seconds["value"]) if "value" in seconds else None,
        {k: 1e9 * statistics.median(v) / count / repeats for k, v in seconds.items()},
    )


def run_of(libraries: tuple[str, ...]) -> dict[str, Any]:
    """The run that rows come from."""
    threads = {}
    if any(who.startswith("torch") for who in libraries):
        import torch

        threads["torch threads"] = torch.get_num_threads()
    return {
        "command": _records.command_line(__file__),
        **_records.environment("torch", "numpy", **threads),
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_names(parser)
    parser.add_argument("--all", action="store_true", help="all elementwise functions")
    choices: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "dtype": (
            ("float32", "bfloat16", "float16", "float64"),
            ("float32", "bfloat16"),
        ),
        "kind": (KINDS, ("value", "vjp")),
        "size": (tuple(SIZES), ("memory",)),
        "distribution": (tuple(DISTRIBUTIONS), ("normal",)),
        "vectors": (tuple(VECTORS), ("usual",)),
        "against": (LIBRARIES, LIBRARIES[:2]),
    }
    for option, (values, default) in choices.items():
        parser.add_argument(
            f"--{option}", nargs="*", choices=values, default=list(default)
        )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--save", action="store_true", help=f"keep in docs/{RECORD.name}"
    )
    options = parser.parse_args()
    fewest = FEWEST_ROUNDS if options.save else 1
    if options.rounds < fewest:
        parser.error(f"--rounds {options.rounds}: give {fewest} or more")
    return options


def main() -> int:
    options = parsed()
    if os.environ.get("MALLOC_TOP_PAD_") is None:  # read when a process starts
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | _KEEP_MEMORY
        )
    libraries = installed(options.against)
    run = run_of(libraries)
    axes = [getattr(options, field.name) for field in dataclasses.fields(Regime)]
    work = list(
        itertools.product(
            itertools.starmap(Regime, itertools.product(*axes)),
            chosen(options.names, options.all),
        )
    )
    with jax.enable_x64("float64" in options.dtype):
        for regime, (function, settings) in with_progress(work):
            row = measure(function, settings, regime, options.rounds, libraries)
            print(row, flush=True)
            if options.save:
                _records.save(RECORD, [row.recorded()], IDENTITY, run)
    return 0


if __name__ == "__main__":
    sys.exit(_records.run(main))
