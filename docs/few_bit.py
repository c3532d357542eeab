"""Rewrites the tables of docs/few-bit.md: errors, memory and training in few bits.

python docs/few_bit.py            # render what was measured
python docs/few_bit.py --check    # exit 1 if the page would change
python docs/few_bit.py --measure  # measure the slopes again (about five minutes)
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import readme
from _pages import is_written, markdown, write

HERE = Path(__file__).parent
PAGE = HERE / "few-bit.md"
SLOPES = HERE / "few-bit-slopes.json"
TRAINING = HERE / "few-bit-training.json"
MEMORY = HERE / "few-bit-memory.json"
BITS = (1, 2, 3, 4, 6, 8)

sys.path.insert(0, str(HERE.parent / "benchmarks"))


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


# --- measuring ----------------------------------------------------------------------


def measure() -> None:
    """Errors and memory of the usual functions."""
    import jax
    from _usual import USUAL, label
    from memory import figures

    import jaxacts
    from jaxacts.verify.few_bit import slope_error

    slopes: dict[str, Any] = {}
    memory: dict[str, Any] = {}
    for entry in USUAL:
        name = label(*entry)
        slopes[name] = {}
        for bits in BITS:
            found = slope_error(name, bits)
            slopes[name][str(bits)] = [found.levels, found.rms, found.largest]
        print(name, flush=True)
    for name in ("gelu", "relu"):
        rows = {"jax.nn": getattr(jax.nn, name), "exact": getattr(jaxacts, name)}
        for bits in (1, 2, 3, 4) if name == "gelu" else (1,):
            rows[f"{bits} bit{'s' if bits > 1 else ''}"] = jaxacts.compressed.few_bit(
                name, bits
            )
        memory[name] = {
            row: list(figures(f, "float32").values()) for row, f in rows.items()
        }
    about = {
        "command": "python docs/few_bit.py --measure",
        "jax": jax.__version__,
        "date": datetime.date.today().isoformat(),
    }
    write(SLOPES, json.dumps(about | {"errors": slopes}, indent=1) + "\n")
    write(MEMORY, json.dumps(about | {"memory": memory}, indent=1) + "\n")


# --- the page -----------------------------------------------------------------------


def cell(levels: int, rms: float, largest: float) -> str:
    if largest == 0:
        return f"exact, {levels} levels"
    return f"{rms:.4f} / {largest:.2f}"


def slopes_table() -> str:
    errors = read(SLOPES).get("errors", {})
    head = ["function", *(f"{bits} bits" if bits > 1 else "1 bit" for bits in BITS)]
    return markdown(
        head,
        (
            [f"`{name}`", *(cell(*found[str(bits)]) for bits in BITS)]
            for name, found in errors.items()
        ),
    )


def memory_table() -> str:
    head = ["function", "backward", "bytes an element kept"]
    head += ["MiB, layers in a scan", "MiB, layers unrolled"]
    rows = []
    for name, found in read(MEMORY).get("memory", {}).items():
        for row, (kept, scan, unrolled) in found.items():
            figures = [f"{kept:.3g}", f"{scan:.1f}", f"{unrolled:.1f}"]
            rows.append([f"`{name}`", row, *figures])
    return markdown(head, rows)


def mean_and_error(numbers: list[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) < 2:
        return mean, math.nan
    spread = math.fsum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1)
    return mean, math.sqrt(spread / len(numbers))


def runs() -> dict[tuple[str, int], Mapping[str, Any]]:
    found = read(TRAINING).get("runs", {})
    return {(key.split()[0], int(key.split()[1])): run for key, run in found.items()}


def paired(name: str, bits: int) -> list[float]:
    """Few-bit accuracy minus the exact one, of each seed that has both."""
    few, exact = (runs()[name, b]["accuracy"] for b in (bits, 0))
    return [few[seed] - exact[seed] for seed in few if seed in exact]


def percent(mean: float, error: float, sign: str = "") -> str:
    return f"{100 * mean:{sign}.2f} ± {100 * error:.2f}"


def training_table() -> str:
    head = ["activation", "backward", "seeds", "test accuracy, %"]
    head += ["less exact, same seed, points", "KiB kept an image"]
    rows = []
    batch = read(TRAINING).get("settings", {}).get("batch", 1)
    for (name, bits), run in runs().items():
        accuracy = list(run["accuracy"].values())
        rows.append(
            [
                f"`{name}`",
                f"{bits} bit{'s' if bits > 1 else ''}" if bits else "exact",
                str(len(accuracy)),
                percent(*mean_and_error(accuracy)),
                percent(*mean_and_error(paired(name, bits)), "+") if bits else "–",
                f"{run['kept'] / batch / 1024:.2f}",
            ]
        )
    return markdown(head, rows)


# Two-sided, 95%, by degrees of freedom (Student 1908).
_STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31}


def conclusion() -> str:
    """What the pairs show, and how small a difference they could have shown."""
    lost, even, widest, count = [], [], 0.0, 0
    for name, bits in runs():
        if not bits:
            continue
        differences = paired(name, bits)
        count = len(differences)
        mean, error = mean_and_error(differences)
        reach = _STUDENT.get(count - 1, 1.96) * error
        shown = f"`{name}` in {bits} bit{'s' if bits > 1 else ''}"
        if abs(mean) > reach:
            lost.append(f"{shown} ({100 * mean:+.2f} points)")
        elif reach > 0 or mean:
            even.append(shown)
            widest = max(widest, reach)
        else:
            even.append(f"{shown} (the same to the last image)")
    text = f"Over {count} seeds "
    if lost:
        text += f"these differ beyond chance: {', '.join(lost)}; "
    text += f"no difference shows for {', '.join(even) or 'none'}"
    return (
        f"{text}. By Student's t at 95% for each row, without correction for their "
        f"number; a difference below {100 * widest:.2f} points would not have been "
        "seen in every row, and this is one small network."
    )


def training() -> str:
    if not runs():
        return "Not measured yet: `make few-bit`."
    return "\n\n".join([training_table(), provenance(TRAINING), conclusion()])


SECTIONS = {
    "slopes": lambda: f"{slopes_table()}\n\n{provenance(SLOPES)}",
    "memory": lambda: f"{memory_table()}\n\n{provenance(MEMORY)}",
    "training": training,
}


def provenance(path: Path) -> str:
    record = read(path)
    known = [
        f"`{record.get('command')}`",
        f"jax {record.get('jax') or record.get('settings', {}).get('jax')}",
        *filter(None, [record.get("machine"), record.get("date")]),
    ]
    return ", ".join(known) + "."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--measure", action="store_true", help="measure again")
    given = parser.parse_args()
    if given.measure:
        measure()
    old = PAGE.read_text("utf-8")
    new = readme.rewritten(old, SECTIONS, PAGE.name)
    return int(not is_written(PAGE, new, given.check))


if __name__ == "__main__":
    sys.exit(main())
