"""Memory, time before the first result, instructions: sections of docs/speed.md."""

from __future__ import annotations

from collections.abc import Sequence

import speed_goals as goals
from _pages import markdown
from speed_tables import (
    MISSED,
    NONE,
    Row,
    against_goal,
    in_order,
    interval,
    provenance,
)

__all__ = ["compilation", "instructions", "memory"]

# A smaller share of memory is no saving.
WORTH = 0.05


def memory(rows: Sequence[Row]) -> list[str]:
    """What backward keeps, and whether a deep network sees it."""
    size = {"float32": 4, "bfloat16": 2}
    lines = []
    for row in in_order(rows):
        ours, theirs = row["jaxacts"], row.get("jax.nn")
        limits = (
            size[row["dtype"]],
            goals.SCAN.get((row["name"], row["dtype"])),
            None,
        )
        cells = [f"`{row['name']}`", row["dtype"]]
        for key, limit in zip(("kept", "scan", "unrolled"), limits, strict=True):
            digits = 0 if key == "kept" else 1
            other = f"{theirs[key]:.{digits}f}" if theirs else NONE
            cells.append(f"{against_goal(ours[key], limit, digits)} / {other}")
        lines.append([*cells, seen(ours, theirs)])
    head = ["function", "type", "bytes kept", "MiB in a scan", "MiB unrolled", ""]
    aims = ", ".join(
        f"{mib:.0f} MiB in a scan with `{name}` in {dtype}"
        for (name, dtype), mib in goals.SCAN.items()
    )
    return [
        "Ours / jax.nn's, by JAX's and XLA's account: bytes an element that `jax.vjp` "
        "keeps, and temporary memory of the gradient of twelve dense layers (width "
        "1024, batch 256) in a scan, and unrolled in one jit, where XLA computes again "
        "what it pleases. Goals: one array of x's type kept, and at most "
        f"{aims}. XLA's CPU backend widens 16-bit loops.",
        "",
        markdown(head, lines),
        "",
        provenance(rows),
    ]


def seen(ours: Row, theirs: Row | None) -> str:
    """What of the saving a network sees."""
    if theirs is None:
        return ""
    more, gone = [], []
    for key, where in (("scan", "in the scan"), ("unrolled", "unrolled")):
        saved = 1 - ours[key] / theirs[key]
        if saved < -WORTH:
            more.append(where)
        elif saved < WORTH and ours["kept"] < theirs["kept"]:
            gone.append(where)
    words = [f"more {' and '.join(more)}{MISSED}"] if more else []
    words += [f"the saving vanishes {' and '.join(gone)}"] if gone else []
    return ", ".join(words)


def compilation(rows: Sequence[Row]) -> list[str]:
    """Time before the first result, and of a call that is mostly overhead."""
    lines = []
    for row in in_order(rows):
        found = [row[who] for who in ("jaxacts", "jax.nn") if who in row]
        cells = [
            " / ".join(f"{f[key]:.0f}" for f in found)
            for key in ("trace", "lower", "compile", "eager")
        ]
        for key, goal in (("gradient", goals.GRADIENT), ("eager", goals.EAGER)):
            ratio = row.get(key)
            # An eager goal of "no slower" is missed beyond noise.
            figure = ratio and ratio[0 if key == "gradient" else 1]
            late = figure is not None and figure > goal
            cells.append(interval(ratio) + (MISSED if late else ""))
        operations = " / ".join(", ".join(map(str, f["operations"])) for f in found)
        lines.append([f"`{row['name']}`", *cells, operations])
    head = ["function", "trace ms", "lower ms", "compile ms", "eager µs"]
    head += ["gradient, ours / theirs", "eager, ours / theirs", "operations"]
    return [
        "Ours / jax.nn's: milliseconds to trace, lower and compile the gradient of a "
        "sum, each time in a new shape; microseconds of an eager call on ten numbers; "
        "operations of the value, and of value and slope, as traced. Goals: "
        f"{goals.GRADIENT} times jax.nn's time for the three stages together, and an "
        "eager call no slower beyond noise.",
        "",
        markdown(head, lines),
        "",
        provenance(rows),
    ]


def instructions(rows: Sequence[Row]) -> list[str]:
    """What XLA's loops take for eight numbers."""
    kinds = {"value": "value", "slope": "slope", "second": "second derivative"}
    found = {(row["name"], row["dtype"], row["kind"]): row["counts"] for row in rows}
    dtypes = dict.fromkeys(row["dtype"] for row in rows)

    def cell(counts: Row | None) -> str:
        if counts is None:
            return NONE
        both = [counts.get(who) for who in ("jaxacts", "jax.nn")]
        return " / ".join(
            NONE if count is None else f"{count['instructions']:g}" for count in both
        )

    lines = [
        [
            f"`{name}`",
            *(cell(found.get((name, t, kind))) for t in dtypes for kind in kinds),
        ]
        for name in dict.fromkeys(row["name"] for row in in_order(rows))
    ]
    titles = [f"{dtype}: {title}" for dtype in dtypes for title in kinds.values()]
    return [
        "Ours / jax.nn's: instructions of XLA's loops for eight numbers, read from its "
        "machine code; of the slope and of the second derivative alone. Times of a "
        "shared machine vary from run to run, these do not. They are no time: a "
        "division counts as one.",
        "",
        markdown(["function", *titles], lines),
        "",
        provenance(rows),
    ]
