"""Tables of the records that benchmarks keep, for the pages of docs/."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from _usual import USUAL, label

__all__ = [
    "MISSED",
    "NONE",
    "USUAL_LABELS",
    "Row",
    "against_goal",
    "in_order",
    "interval",
    "number",
    "provenance",
]

Row = Mapping[str, Any]
MISSED = " ✗"
NONE = "–"
USUAL_LABELS = [label(name, settings) for name, settings in USUAL]


def against_goal(figure: float | None, goal: float | None, digits: int = 2) -> str:
    """A figure that should be at most the goal, marked where it is not."""
    if figure is None:
        return NONE
    missed = goal is not None and figure > goal
    return f"{figure:.{digits}f}{MISSED if missed else ''}"


def provenance(rows: Iterable[Row]) -> str:
    """Commands, versions, processor and date of the runs that rows come from."""
    runs: list[Mapping[str, Any]] = []
    for row in rows:
        if row["run"] not in runs:
            runs.append(row["run"])

    def described(run: Mapping[str, Any]) -> str:
        facts = (f"{key} {value}" for key, value in run.items() if key != "command")
        return f"`{run['command']}`: {', '.join(facts)}"

    return "; ".join(map(described, runs))


def in_order(rows: Iterable[Row]) -> list[Row]:
    """The usual functions first, in their order; the others by name."""

    places = {name: place for place, name in enumerate(USUAL_LABELS)}
    return sorted(rows, key=lambda r: (places.get(r["name"], len(places)), r["name"]))


def number(ratio: Sequence[float] | None) -> str:
    return f"{ratio[0]:.2f}" if ratio else NONE


def interval(ratio: Sequence[float] | None) -> str:
    return "{:.2f} [{:.2f}, {:.2f}]".format(*ratio) if ratio else NONE
