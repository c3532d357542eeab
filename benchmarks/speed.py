"""How long activations take beside jax.nn and torch, in multiples of a copy.

    python benchmarks/speed.py                       # the fourteen usual functions
    python benchmarks/speed.py --all --dtype float32
    python benchmarks/speed.py silu gelu --kind vjp --size cache --against jax.nn

Everything runs in one process and in turns (A B C, B C A, ...), into donated
outputs: fresh memory costs more than the arithmetic and makes all functions look
alike. The unit is one scaling copy of the array into a donated buffer, timed in the
same turns. A ratio is the median over the turns, with a 95% interval. torch is
timed where it is installed; its allocator is told to keep its memory, so that it
need not fault in fresh pages either.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import functools
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _timing import Ratio, interleaved, ratio
from _usual import USUAL, label
from jax import lax

import jaxacts
from jaxacts.verify.report import write_atomically

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "docs"))
import rivals  # noqa: E402

RECORD = HERE.parent / "docs" / "speed.json"
KINDS = ("value", "vjp", "jvp", "second")
# Elements, and how often a call goes over them.
SIZES = {"memory": (1 << 22, 1), "cache": (1 << 16, 64)}
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda random, n: random.standard_normal(n),
    "wide": lambda random, n: 30 * random.standard_normal(n),
    "negative": lambda random, n: -np.abs(4 * random.standard_normal(n)),
}
LIBRARIES = ("jax.nn", "torch", "torch.compile")
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One function in one regime: contender to its multiple of a copy."""

    name: str
    dtype: str
    kind: str
    size: str
    distribution: str
    copies: dict[str, Ratio]
    against: dict[str, Ratio]

    def __str__(self) -> str:
        figures = "  ".join(f"{who} {r}" for who, r in self.copies.items())
        ours = "  ".join(
            f"{who}/jaxacts {r} [{r.low:.2f}, {r.high:.2f}]"
            for who, r in self.against.items()
        )
        where = f"{self.dtype} {self.kind} {self.size} {self.distribution}"
        return f"{self.name:28} {where:32} copies: {figures}   {ours}"


# --- what is timed -------------------------------------------------------------------


def results(
    function: Callable[[Any], Any], kind: str
) -> tuple[Callable[[Any, Any], tuple[Any, ...]], int]:
    """Of (x, g): the arrays that a kind computes, and how many they are."""

    def value_and_vjp(x: Any, g: Any) -> tuple[Any, ...]:
        y, pullback = jax.vjp(function, x)
        return y, pullback(g)[0]

    def slope(x: Any) -> Any:
        return jax.jvp(function, (x,), (jnp.ones_like(x),))[1]

    kinds: dict[str, tuple[Callable[[Any, Any], tuple[Any, ...]], int]] = {
        "copy": (lambda x, g: (x * jnp.asarray(1.01, x.dtype),), 1),
        "value": (lambda x, g: (function(x),), 1),
        "vjp": (value_and_vjp, 2),
        "jvp": (lambda x, g: jax.jvp(function, (x,), (g,)), 2),
        "second": (lambda x, g: (jax.jvp(slope, (x,), (jnp.ones_like(x),))[1],), 1),
    }
    return kinds[kind]


class Donated:
    """Runs jitted code into the memory of its last results, and waits."""

    def __init__(
        self,
        compute: tuple[Callable[[Any, Any], tuple[Any, ...]], int],
        x: Any,
        g: Any,
        repeats: int,
    ):
        body, count = compute

        def once(x: Any, g: Any, *old: Any) -> tuple[Any, ...]:
            return tuple(body(x, g))

        def often(x: Any, g: Any, *old: Any) -> tuple[Any, ...]:
            def step(_: Any, last: tuple[Any, ...]) -> tuple[Any, ...]:
                # Nothing may be moved out of the loop, or left out of it.
                here, there, _ = lax.optimization_barrier((x, g, last))
                return tuple(body(here, there))

            return lax.fori_loop(0, repeats, step, old)

        self.inputs = x, g
        self.call = jax.jit(
            once if repeats == 1 else often,
            donate_argnums=range(2, 2 + count),
            keep_unused=True,
        )
        self.last = tuple(jnp.zeros_like(x) for _ in range(count))

    def __call__(self) -> None:
        self.last = self.call(*self.inputs, *self.last)
        jax.block_until_ready(self.last)


class Torch:
    """The same in torch, forward and backward by its autograd."""

    def __init__(
        self, function: Callable[[Any], Any], kind: str, x: Any, g: Any, repeats: int
    ):
        import torch

        self.torch, self.function, self.kind = torch, function, kind
        self.x = rivals.torch_array(torch, x).requires_grad_(kind == "vjp")
        self.g = rivals.torch_array(torch, g)
        self.repeats = repeats

    def __call__(self) -> None:
        for _ in range(self.repeats):
            y = self.function(self.x)
            if self.kind == "vjp":
                self.torch.autograd.grad(y, self.x, self.g)


def contenders(
    name: str,
    settings: dict[str, Any],
    kind: str,
    x: Any,
    g: Any,
    repeats: int,
    libraries: tuple[str, ...],
) -> dict[str, Callable[[], None]]:
    """Ours, the copy, and whoever else has the function and was asked for."""

    def donated(function: Callable[[Any], Any]) -> Donated:
        return Donated(results(function, kind), x, g, repeats)

    ours = functools.partial(getattr(jaxacts, name), **settings)
    found: dict[str, Callable[[], None]] = {
        "copy": Donated(results(ours, "copy"), x, g, repeats),
        "jaxacts": donated(ours),
    }
    theirs = getattr(jax.nn, name, None)
    if "jax.nn" in libraries and theirs is not None:
        found["jax.nn"] = donated(functools.partial(theirs, **settings))
    if kind in ("value", "vjp") and (call := rivals.torch_call(name, settings)):
        import torch

        if "torch" in libraries:
            found["torch"] = Torch(call, kind, x, g, repeats)
        if "torch.compile" in libraries:
            compiled = Torch(torch.compile(call), kind, x, g, repeats)
            try:
                compiled()
                found["torch.compile"] = compiled
            except Exception as error:
                print(f"{name}: torch.compile does not work here: {error}"[:200])
    return found


def measure(
    name: str,
    settings: dict[str, Any],
    dtype: str,
    kind: str,
    size: str,
    distribution: str,
    rounds: int,
    libraries: tuple[str, ...],
) -> Row:
    """Times one function in one regime."""
    count, repeats = SIZES[size]
    random = np.random.default_rng(0)
    x = jnp.asarray(DISTRIBUTIONS[distribution](random, count), dtype)
    g = jnp.asarray(random.standard_normal(count), dtype)
    seconds = interleaved(
        contenders(name, settings, kind, x, g, repeats, libraries), rounds
    )
    return Row(
        label(name, settings),
        dtype,
        kind,
        size,
        distribution,
        {k: ratio(v, seconds["copy"]) for k, v in seconds.items() if k != "copy"},
        {k: ratio(v, seconds["jaxacts"]) for k, v in seconds.items() if k in LIBRARIES},
    )


# --- the command ---------------------------------------------------------------------


def environment() -> dict[str, Any]:
    """What the figures depend on."""
    versions = {}
    for package in ("jax", "jaxlib", "torch", "numpy"):
        if importlib.util.find_spec(package):
            versions[package] = importlib.metadata.version(package)
    return {
        "versions": versions | {"python": platform.python_version()},
        "processor": _processor(),
        "threads": len(os.sched_getaffinity(0)),
        "date": datetime.date.today().isoformat(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def save(rows: list[Row], command: str) -> None:
    """Adds rows to the record; those of the same regime are replaced."""
    document = json.loads(RECORD.read_text()) if RECORD.exists() else {"rows": []}
    fields = ("name", "dtype", "kind", "size", "distribution")
    fresh = {
        tuple(getattr(row, f) for f in fields): dataclasses.asdict(row)
        | {"command": command, **environment()}
        for row in rows
    }
    kept = {tuple(row[f] for f in fields): row for row in document["rows"]}
    document["rows"] = list((kept | fresh).values())
    write_atomically(RECORD, json.dumps(document, indent=1) + "\n")


def chosen(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Functions with settings, as the command line names them."""
    if options.all:
        for name in jaxacts.names():
            if jaxacts.spec(name).elementwise:
                yield name, {}
    for name, settings in USUAL:
        if name in options.names or not (options.names or options.all):
            yield name, settings
    known = {name for name, _ in USUAL}
    yield from ((name, {}) for name in options.names if name not in known)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="FUNCTION")
    parser.add_argument("--all", action="store_true", help="all elementwise functions")
    choices: dict[str, Any] = {
        "dtype": ("float32", "bfloat16", "float16", "float64"),
        "kind": KINDS,
        "size": tuple(SIZES),
        "distribution": tuple(DISTRIBUTIONS),
        "against": LIBRARIES,
    }
    defaults = {
        "dtype": ["float32", "bfloat16"],
        "kind": ["value", "vjp"],
        "size": ["memory"],
        "distribution": ["normal"],
        "against": list(LIBRARIES[:2]),
    }
    for option, values in choices.items():
        parser.add_argument(
            f"--{option}", nargs="*", choices=values, default=defaults[option]
        )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--save", action="store_true", help=f"keep in docs/{RECORD.name}"
    )
    options = parser.parse_args()
    for name in options.names:
        if name not in jaxacts.names():
            parser.error(f"no function is named {name!r}; see `jaxacts list`")
    if os.environ.get("MALLOC_TOP_PAD_") is None:  # read when a process starts
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | _KEEP_MEMORY
        )
    wanted = tuple(
        who
        for who in options.against
        if not who.startswith("torch") or importlib.util.find_spec("torch")
    )
    rows = []
    with jax.enable_x64("float64" in options.dtype):
        for dtype in options.dtype:
            for kind in options.kind:
                for size in options.size:
                    for distribution in options.distribution:
                        for name, settings in chosen(options):
                            row = measure(
                                name,
                                settings,
                                dtype,
                                kind,
                                size,
                                distribution,
                                options.rounds,
                                wanted,
                            )
                            rows.append(row)
                            print(row, flush=True)
    if options.save:
        save(rows, " ".join(["python", "benchmarks/speed.py", *sys.argv[1:]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
