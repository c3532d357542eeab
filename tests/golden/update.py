"""Measures every function again and keeps the figures and their worst inputs.

python tests/golden/update.py [NAME ...] [--dtype DTYPE] [--allow-increase]

A figure may only fall: where one has grown, nothing of that function is written
and the exit status is 1, unless --allow-increase says that it is meant.
"""

from __future__ import annotations

import argparse
import dataclasses
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
    golden_figures,
    measure,
    read_golden,
    surroundings,
    targets,
    worst_inputs,
)

import jaxacts.verify
from jaxacts.verify.report import environment, write_atomically

# A longer search than the tests': a finer grid and, in float32, all numbers of
# the chunks where it found the largest errors.
POINTS = 20_000
ROUNDS = 4


def search(name: str, dtype: str, known: list[Figure]) -> list[Figure]:
    """The largest errors of a long search, and of the tests' own measurement."""
    target = targets()[name]
    report = jaxacts.verify.verify(
        target.function,
        dtypes=[dtype],
        orders=ORDERS[dtype],
        params=target.keywords,
        checks=["accuracy"],
        points=POINTS,
        extra={dtype: worst_inputs(known)},
    )
    best = [Figure.of(m) for m in report.measurements]
    # What is stored steers what the tests try: until they find nothing larger.
    for _ in range(ROUNDS):
        extra = worst_inputs(best)
        found = [Figure.of(m) for m in measure(name, dtype, extra)]
        larger = [
            max(a, b, key=lambda f: f.ulp) for a, b in zip(best, found, strict=True)
        ]
        if larger == best:
            break
        best = larger
    return best


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
