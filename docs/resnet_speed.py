"""Writes docs/resnet-speed.md from what benchmarks/resnet.py --save measured.

python docs/resnet_speed.py          # rewrite
python docs/resnet_speed.py --check  # exit 1 if the page would change
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from _pages import is_written, markdown
from speed_tables import Row, interval, provenance

# speed_tables has put the benchmarks within reach.
import _records  # isort: skip

HERE = Path(__file__).parent
PAGE = HERE / "resnet-speed.md"
RECORD = HERE / "resnet-speed.json"

RIVALS = {"jax.nn": "jax.nn", "flax": "the network of Flax's ImageNet example"}
# "Never slower" is only said to hold where no interval reaches below this.
NOISE = 0.95
INTRODUCTION = f"""\
# A training step of a ResNet

Forward, backward and the update of SGD with momentum, compiled ahead of time, the
state donated. Contenders run in one process and in turns; *takes* is the median over
the turns of a contender's time divided by that of `flax_models` with the function of
jaxacts, with a 95% interval: above 1, ours is faster. "Never slower" does not hold
where an interval lies below 1, holds where none reaches below {NOISE}, and is not
decided otherwise. *Temporary* is XLA's account, in MiB, of all memory but that of
arguments and results. Images/s of different processors, and of different days, are
not to be compared. Written by `docs/resnet_speed.py`."""
REMAT = """\
## Recomputed blocks

`remat=True` keeps the input of each block alone and computes the rest again when
going back. XLA's compiler for CPU drops the barriers that JAX sets between the two,
finds the same computation twice and keeps its results after all: compiled without
options, time is paid and no memory is saved. `training.compiler_options(model)` of
`flax_models` gives the option of `jax.jit` that leaves the barriers;
`examples/train_resnet.py --remat` uses it."""


def label(row: Row) -> str:
    """A model and its batch, as a heading."""
    name = row["model"].replace("resnet", "ResNet-")
    return (
        f"{name}, batch {row['batch']} of {row['side']}×{row['side']}, {row['dtype']}"
    )


def groups(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(label(row), []).append(row)
    return found


def verdict(rows: Sequence[Row], rival: str) -> str:
    """Whether "never slower" holds, with the figures of where it does not."""

    def named(chosen: Sequence[Row]) -> str:
        return "; ".join(
            f"`{row['function']}` in {label(row).partition(',')[0]}, "
            f"{interval(row['takes'][rival])}"
            for row in chosen
        )

    slower = [row for row in rows if row["takes"][rival][2] < 1]
    faster = [row for row in rows if row["takes"][rival][1] > 1]
    even = [row for row in rows if row not in slower and row not in faster]
    bound = ""
    if even:
        most = 1 / min(row["takes"][rival][1] for row in even)
        bound = f" (there ours takes up to {most:.2f} times as long, by the intervals)"
    mean = statistics.geometric_mean(row["takes"][rival][0] for row in rows)
    lowest = min(row["takes"][rival][1] for row in rows)
    holds = "is not decided" if lowest < NOISE else "holds"
    holds = "does not hold" if slower else holds
    text = (
        f"**Never slower than {RIVALS[rival]} {holds}**: of {len(rows)} measured, ours "
        f"is faster in {len(faster)} and slower in {len(slower)}"
        f"{f' ({named(slower)})' if slower else ''}; {len(even)} cannot be told apart"
        f"{bound}. In the geometric mean {RIVALS[rival]} takes {mean:.2f} times as "
        "long."
    )
    more = [row for row in rows if memory(row, rival) < 0.99]
    fewest, most = (pick(memory(row, rival) for row in rows) for pick in (min, max))
    text += (
        f" Its temporary memory is {fewest:.2f} to {most:.2f} times ours"
        f"{'' if more else ', never less than ours by more than 1%'}."
    )
    return text


def memory(row: Row, who: str) -> float:
    """Temporary memory of a contender by that of ours."""
    ours = row["figures"]["jaxacts"]["temporary_mebibytes"]
    return row["figures"][who]["temporary_mebibytes"] / ours


def beside(rows: Sequence[Row], rival: str) -> list[str]:
    """The section of one rival."""
    rows = [row for row in rows if rival in row["takes"]]
    if not rows:
        return []
    parts = [f"## Beside {RIVALS[rival]}", verdict(rows, rival)]
    if rival == "flax":
        parts.append(
            "That network (`benchmarks/_flax_example.py`) computes the variance of its "
            "norms in one pass, E[x²] − E[x]², which cancels where the mean is large; "
            "ours takes two passes. It has the function of jax.nn."
        )
    for title, members in groups(rows).items():
        head = ["activation", "images/s", f"{rival} images/s", f"{rival} takes"]
        head += ["temporary", f"{rival} temporary", "processor"]
        lines = []
        for row in members:
            ours, theirs = row["figures"]["jaxacts"], row["figures"][rival]
            lines.append(
                [
                    f"`{row['function']}`",
                    f"{ours['images_per_second']:.1f}",
                    f"{theirs['images_per_second']:.1f}",
                    interval(row["takes"][rival]),
                    f"{ours['temporary_mebibytes']:.0f}",
                    f"{theirs['temporary_mebibytes']:.0f}",
                    row["run"]["processor"],
                ]
            )
        parts += [f"### {title}", markdown(head, lines)]
    return parts


def recomputed(rows: Sequence[Row]) -> list[str]:
    """The section of recomputed blocks."""
    kinds = {"remat": "with the option", "remat-default": "without"}
    lines = []
    for row in rows:
        for who, shown in kinds.items():
            if who not in row["takes"]:
                continue
            plain, again = row["figures"]["jaxacts"], row["figures"][who]
            change = memory(row, who) - 1
            more = again["gigaflops"] / plain["gigaflops"] - 1
            lines.append(
                [
                    label(row).partition(",")[0],
                    f"`{row['function']}`",
                    shown,
                    interval(row["takes"][who]),
                    f"{more:+.0%}",
                    f"{plain['temporary_mebibytes']:.0f}",
                    f"{again['temporary_mebibytes']:.0f}",
                    f"{change:+.0%}",
                ]
            )
    if not lines:
        return []
    head = ["model", "activation", "compiled", "takes", "operations"]
    head += ["temporary, kept", "recomputed", "change"]
    return [REMAT, markdown(head, lines)]


def page(rows: Sequence[Row]) -> str:
    parts = [INTRODUCTION, f"Measured by {provenance(rows)}."]
    for rival in RIVALS:
        parts += beside(rows, rival)
    return "\n\n".join([*parts, *recomputed(rows)]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    rows = _records.read(RECORD)
    if not rows:
        print(f"{RECORD.name} has no rows: run benchmarks/resnet.py --save")
        return 2
    return int(not is_written(PAGE, page(rows), check))


if __name__ == "__main__":
    sys.exit(_records.run(main))
