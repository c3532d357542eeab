"""Writes docs/accuracy.md: the largest error of every function, beside others'.

python docs/accuracy.py            # render what was measured
python docs/accuracy.py --check    # exit 1 if the page would change
python docs/accuracy.py --measure  # measure the other libraries again (our own
                                   # figures are those of tests/golden/update.py)
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from _pages import is_written, markdown

import jaxacts
from jaxacts.verify.target import GOALS

HERE = Path(__file__).parent
PAGE = HERE / "accuracy.md"
MEASURED = HERE / "accuracy-rivals.json"
NORMALIZERS = HERE / "accuracy-normalizers.json"
EXHAUSTIVE = HERE / "exhaustive.json"
GOLDEN = HERE.parent / "tests" / "golden" / "accuracy.json"

DTYPES = ("bfloat16", "float16", "float32", "float64")
RIVALS = ("jax.nn", "torch", "keras")


@functools.cache
def kept(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def ours() -> Mapping[str, Any]:
    return kept(GOLDEN).get("figures", {})


def theirs(rival: str) -> Mapping[str, Any]:
    return kept(MEASURED).get("figures", {}).get(rival, {})


def cell(error: float) -> str:
    """Three digits; powers of ten where the digits before the point are many."""
    if math.isinf(error):
        return "∞"
    if error >= 100_000:
        mantissa, exponent = f"{error:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{error:.0f}" if error >= 100 else f"{error:.2f}"


def triple(rows: Sequence[Any] | None) -> str:
    """f / f' / f'' of one function and dtype."""
    if not rows:
        return "–"
    cells = []
    for error, _, *rest in rows[:3]:
        nan = rest[0] if rest else 0
        cells.append(cell(error) + (" NaN" if nan else ""))
    return " / ".join(cells)


def table(
    names: Iterable[str], dtypes: Iterable[str], rivals: Sequence[str] = RIVALS
) -> str:
    names, dtypes = list(names), list(dtypes)
    # A column for every library that has one of these functions.
    rivals = [r for r in rivals if any(name in theirs(r) for name in names)]
    head = ["function"]
    for dtype in dtypes:
        head += [dtype, *(f"{rival} {dtype}" for rival in rivals)]
    rows = []
    for name in names:
        row = [f"`{name}`"]
        for dtype in dtypes:
            row.append(triple(ours().get(name, {}).get(dtype)))
            row += [triple(theirs(r).get(name, {}).get(dtype)) for r in rivals]
        rows.append(row)
    return markdown(head, rows)


def versions(environment: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in environment.items())


def provenance() -> str:
    """Commands, versions and dates of the figures."""
    sources = [("jaxacts", kept(GOLDEN)), ("others", kept(MEASURED))]
    return "; ".join(
        f"{name}: `{document['command']}`, {versions(document['environment'])}"
        for name, document in sources
        if document
    )


def page() -> str:
    families: dict[str, list[str]] = {}
    for name in ours():
        family = jaxacts.spec(name.partition("(")[0]).family
        families.setdefault(family.replace("_", " "), []).append(name)
    lines = [
        "# Accuracy",
        "",
        "Largest error in ULP of value / slope / curvature. Truth is exact arithmetic",
        "with balls (Arb). An error of 0.5 is a correctly rounded result. In bfloat16",
        "and float16 *all* inputs are tried; in float32 a grid uniform in ULP, the",
        "neighbourhoods of kinks and zeros, and all numbers of the chunks of 2^20",
        "where the grid has its largest errors; in float64 the grid and the",
        "neighbourhoods. 1.7e7 (float32), 256 (bfloat16) and 2048 (float16) mean that",
        "0 was returned where the truth is a normal number; *NaN* means that the",
        "result was NaN at some finite input. Another convention for the derivative",
        "in a kink counts as an error, as in torch's leaky_relu. Keras runs on its JAX",
        "backend. Written by `docs/accuracy.py`.",
        "",
        provenance(),
        "",
    ]
    for family in sorted(families):
        lines += [f"## {family.capitalize()}", ""]
        for dtype in DTYPES:
            lines += [table(families[family], [dtype]), ""]
    lines += ["## Goals", "", goals(), ""]
    if NORMALIZERS.exists():
        lines += ["## Normalizers", "", normalizers(), ""]
    if EXHAUSTIVE.exists():
        lines += ["## All 2^32 numbers of float32", "", exhaustive(), ""]
    return "\n".join(lines)


def goals() -> str:
    """How many functions meet every goal, and which miss one."""
    misses, met = [], 0
    for name, dtypes in ours().items():
        before = len(misses)
        for dtype, rows in dtypes.items():
            errors = [error for error, *_ in rows[:3]]
            if any(e > goal for e, goal in zip(errors, GOALS[dtype], strict=False)):
                misses.append((f"`{name}`", dtype, triple(rows)))
        met += len(misses) == before
    lines = [
        f"{met} of the {len(ours())} settings of functions meet every goal: 0.51 ULP",
        "in the 16-bit types, 2 / 2 / 4 in float32, 4 / 4 / 8 in float64, and",
        "correctly rounded values in the 8-bit types. The others:",
        "",
        markdown(["function", "type", "f / f' / f''"], misses),
    ]
    return "\n".join(lines)


def normalizers() -> str:
    """The largest errors of functions of a row."""
    document = kept(NORMALIZERS)
    rows = [
        [f"`{name}`", *(cell(errors[dtype]) for dtype in DTYPES)]
        for name, errors in document["figures"].items()
    ]
    lines = [
        "In ULP of the largest component of a row; of one number for a row, in ULP",
        "of the larger of it and the largest |x|. Rows are short and long, close and",
        f"wide, far from zero. {versions(document['environment'])}",
        "",
        markdown(["function", *DTYPES], rows),
    ]
    return "\n".join(lines)


def measure_normalizers() -> None:
    """Measures them against exact arithmetic, as the tests do."""
    sys.path.insert(0, str(GOLDEN.parents[1]))
    import normalizer_cases

    from jaxacts.verify import report

    figures = {
        name: {d: float(normalizer_cases.largest_error(name, d)[0]) for d in DTYPES}
        for name in normalizer_cases.TRUTHS
    }
    document = {"environment": report.environment(), "figures": figures}
    report.write_atomically(NORMALIZERS, json.dumps(document, indent=1) + "\n")


def exhaustive() -> str:
    """The runs of benchmarks/verification.py over all of float32."""
    rows = []
    for name, run in sorted(kept(EXHAUSTIVE).items()):
        places = ", ".join(f"`{place}`" for _, place, _ in run["figures"])
        minutes = f"{run['seconds'] / 60:.1f}"
        cells = [triple(run["figures"]), places, minutes, versions(run["environment"])]
        rows.append([f"`{name}`", *cells])
    head = ["function", "f / f' / f'' in ULP", "worst inputs", "minutes", "versions"]
    return markdown(head, rows)


def readme_table() -> str:
    """The curved functions that jax.nn has too, in their usual settings."""
    shared = [
        name
        for name in ours()
        if name in theirs("jax.nn")
        and ("(" not in name or name.startswith("gelu"))
        and max(error for error, *_ in ours()[name]["float32"]) > 0.5
    ]
    return table(shared, ("float32", "bfloat16"), ["jax.nn"])


def measure(missing: bool) -> None:
    """Measures the other libraries where they have the function."""
    import rivals

    from jaxacts.verify import report
    from jaxacts.verify.target import cases

    figures: dict[str, Any] = {r: dict(theirs(r)) if missing else {} for r in RIVALS}
    records = [jaxacts.spec(name) for name in jaxacts.names()]
    targets = [t for r in records if r.reference is not None for t in cases(r)]
    for rival, target in itertools.product(RIVALS, targets):
        if target.name in figures[rival]:
            continue
        for dtype in DTYPES:
            found = rivals.measure(rival, target, dtype)
            if not found:
                continue
            rows = [
                [m.ulp.error if m.ulp else 0.0, m.ulp and m.ulp.input, m.nan_count]
                for m in found
            ]
            figures[rival].setdefault(target.name, {})[dtype] = rows
            print(f"{rival} {target.name} {dtype}: {triple(rows)}", flush=True)
        document = {
            "command": "python docs/accuracy.py --measure",
            "environment": report.environment() | rivals.versions(),
            "figures": figures,
        }
        report.write_atomically(MEASURED, json.dumps(document, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--measure", action="store_true", help="measure the others")
    parser.add_argument("--missing", action="store_true", help="only what is missing")
    arguments = parser.parse_args()
    if arguments.measure or arguments.missing:
        measure(arguments.missing)
        measure_normalizers()
        kept.cache_clear()
    return int(not is_written(PAGE, page(), arguments.check))


if __name__ == "__main__":
    sys.exit(main())
