"""Writes docs/tpu.md from docs/tpu.json, which benchmarks/tpu.py --save keeps.

python docs/tpu.py          # render what was compiled
python docs/tpu.py --check  # exit 1 if the page would change
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from _pages import is_written, markdown
from speed_tables import MISSED, NONE, Row, provenance

# speed_tables has put the benchmarks within reach.
import _records  # isort: skip

HERE = Path(__file__).parent
LIBRARIES = ("jaxacts", "jax.nn")

INTRODUCTION = f"""\
# On a TPU, by its compiler's account

Value and vjp together of 2^24 elements, compiled ahead of time for a TPU that is not
there (`benchmarks/tpu.py`; needs libtpu). Nothing was run: these are no times. For each
element, ours / jax.nn's: floating-point operations, bytes of memory accessed, and
transcendentals, which the compiler counts apart; beside them temporary memory. Each
array is read or written once at the least: 16 bytes in float32, 8 in bfloat16. What
accesses more than jax.nn is marked with{MISSED}: memory is what an elementwise function
waits for. Ours have polynomials in the place of transcendentals, which count as
operations. Written by `docs/tpu.py`.
"""


def table(rows: Sequence[Row]) -> str:
    """One dtype's functions."""

    def cells(row: Row) -> list[str]:
        found = [row[who] for who in LIBRARIES if who in row]

        def pair(key: str, unit: float, form: str) -> str:
            return " / ".join(format(f[key] / unit, form) for f in found)

        n = row["elements"]
        more = len(found) == 2 and found[0]["bytes"] > 1.01 * found[1]["bytes"]
        return [
            f"`{row['name']}`",
            pair("flops", n, ".0f"),
            pair("bytes", n, ".1f") + (MISSED if more else ""),
            pair("transcendentals", n, ".0f") or NONE,
            pair("temporary", 2**20, ".0f"),
        ]

    head = ["function", "operations", "bytes", "transcendentals", "temporary MiB"]
    return markdown(head, map(cells, rows))


def page(rows: Sequence[Row]) -> str:
    parts = [INTRODUCTION, provenance(rows), ""]
    for regime in dict.fromkeys((row["topology"], row["dtype"]) for row in rows):
        chosen = [row for row in rows if (row["topology"], row["dtype"]) == regime]
        parts += [f"## {', '.join(regime)}", "", table(chosen), ""]
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    rows = _records.read(HERE / "tpu.json")
    return int(not is_written(HERE / "tpu.md", page(rows), check))


if __name__ == "__main__":
    sys.exit(_records.run(main))
