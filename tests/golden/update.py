"""Measures every function again and keeps the figures and their worst inputs.

python tests/golden/update.py [NAME ...] [--dtype DTYPE] [--allow-increase]

A figure may only fall: where one has grown, nothing of that function is written
and the exit status is 1, unless --allow-increase says that it is meant.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from accuracy_cases import (
    DTYPES,
    GOLDEN,
    ORDERS,
    SMALL,
    Figure,
    candidate_of,
    golden_figures,
    measure,
    read_golden,
    surroundings,
    targets,
    worst_inputs,
)

from jaxacts.verify import accuracy, dense
from jaxacts.verify.report import environment, write_atomically

# A longer search than the tests': a finer grid and, in float32, all numbers of
# the chunks of 2^20 where it found the largest errors.
POINTS = 10_000
CHUNKS = 8
ROUNDS = 4


def search(name: str, dtype: str, known: list[Figure]) -> list[Figure]:
    """The largest errors of a long search, and of the tests' own measurement."""
    target, candidate = targets()[name], candidate_of(name, dtype)
    best = [Figure.of(m) for m in measure(name, dtype, worst_inputs(known))]
    if dtype in ("float32", "float64"):
        below = tuple(order for order in ORDERS[dtype] if order < 3)
        found = accuracy.measure(
            target,
            dtype,
            below,
            points=POINTS,
            extra=worst_inputs(known),
            keep_profile=True,
            candidate=candidate,
        )
        if dtype == "float32":
            found = dense.sharpen(target, found, CHUNKS, candidate)
        best = larger_of(best, [Figure.of(m) for m in found])
    # What is stored steers what the tests try: until they find nothing larger.
    for _ in range(ROUNDS):
        again = measure(name, dtype, worst_inputs(best))
        larger = larger_of(best, [Figure.of(m) for m in again])
        if larger == best:
            break
        best = larger
    return best


def larger_of(first: list[Figure], second: list[Figure]) -> list[Figure]:
    """Order by order; the second may leave out the last."""
    pairs = itertools.zip_longest(first, second, fillvalue=Figure(0.0, None))
    return [max(pair, key=lambda figure: figure.ulp) for pair in pairs]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--dtype", action="append", choices=(*DTYPES, *SMALL))
    parser.add_argument("--missing", action="store_true", help="only what is not kept")
    parser.add_argument("--allow-increase", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.names:
        if not any(name in (t, t.partition("(")[0]) for t in targets()):
            parser.error(f"{name} is not among {', '.join(targets())}")

    document = read_golden()
    same = document.get("surroundings") in (None, surroundings())
    figures: dict[str, Any] = {
        name: rows for name, rows in document["figures"].items() if name in targets()
    }
    grown = 0
    runs = [
        (name, dtype)
        for name in targets()
        for dtype in arguments.dtype or (*DTYPES, *SMALL)
        if not arguments.names or {name, name.partition("(")[0]} & set(arguments.names)
    ]
    if arguments.missing:
        runs = [(n, d) for n, d in runs if not golden_figures(document, n, d)]
    for done, (name, dtype) in enumerate(runs, 1):
        known = golden_figures(document, name, dtype)
        found = search(name, dtype, known)
        text = " / ".join(f"{figure.ulp:.4g}" for figure in found)
        print(f"[{done}/{len(runs)}] {name} {dtype}: {text}", flush=True)
        worse = same and any(
            now.ulp > before.ulp for now, before in zip(found, known, strict=False)
        )
        if worse and not arguments.allow_increase:
            was = " / ".join(f"{figure.ulp:.4g}" for figure in known)
            print(f"    larger than before ({was}): left as it was", file=sys.stderr)
            grown += 1
            continue
        rows = figures.setdefault(name, {})
        rows[dtype] = [list(dataclasses.astuple(figure)) for figure in found]
        write(figures)
    write(figures)
    return 1 if grown else 0


def write(figures: dict[str, Any]) -> None:
    document = {
        "command": "python tests/golden/update.py",
        "surroundings": surroundings(),
        "environment": environment(),
        "figures": dict(sorted(figures.items())),
    }
    text = json.dumps(document, indent=1)
    # One line a dtype: [[error, input], ...] by order.
    text = re.sub(r"\[\s+\[.*?\]\s+\]", _in_one_line, text, flags=re.DOTALL)
    write_atomically(GOLDEN, text + "\n")


def _in_one_line(match: re.Match[str]) -> str:
    return json.dumps(json.loads(match.group()))


if __name__ == "__main__":
    sys.exit(main())
