"""Writes docs/speed.md and its picture from the records of the benchmarks.

python docs/speed.py          # render docs/speed.json, memory.json and compile.json
python docs/speed.py --check  # exit 1 if page or picture would change
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import speed_costs
import speed_goals as goals
import speed_picture
from _pages import is_written, markdown
from speed_tables import (
    MISSED,
    NONE,
    USUAL_LABELS,
    Row,
    against_goal,
    in_order,
    interval,
    number,
    provenance,
)

# speed_tables has put the benchmarks within reach.
import _records  # isort: skip
from _contenders import WITHOUT_OPTIONS  # isort: skip

HERE = Path(__file__).parent
DTYPES = ("float32", "bfloat16")
REGIME = ("kind", "dtype", "size", "distribution", "vectors")
LIBRARIES = ("jax.nn", "torch", "torch.compile")
KINDS = {
    "value": "Value",
    "vjp": "Value and vjp",
    "jvp": "Value and jvp",
    "second": "Second derivative",
}

INTRODUCTION = f"""\
# Speed and memory

Time is given in *copies*: multiples of a scaling copy of the same array into a donated
buffer, timed in the same turns, so that 2.0 is the limit for a value with its vjp (two
arrays in, two out) and 1.0 for a value. All contenders run in one process and in turns,
JAX's into donated outputs, torch's with an allocator that keeps its memory. A figure is
the median over the turns of the ratio within a turn; brackets are its 95% interval.
*jax.nn / ours* above 1 means that ours is faster. What misses its goal is marked
with{MISSED}. Arrays are of 4M normally distributed numbers unless said otherwise.
Written by `docs/speed.py`; `make speed instructions memory compile speed-page`
measures all again.
"""


@dataclasses.dataclass(frozen=True)
class Records:
    """What was measured, by benchmark."""

    speed: Sequence[Row]
    memory: Sequence[Row] = ()
    compile: Sequence[Row] = ()
    instructions: Sequence[Row] = ()

    @classmethod
    def read(cls, folder: Path) -> Records:
        def rows(name: str) -> Sequence[Row]:
            fields = REGIME if name == "speed" else ()
            return _records.read(folder / f"{name}.json", fields)

        return cls(*(rows(field.name) for field in dataclasses.fields(cls)))

    def rows(self, **regime: str) -> list[Row]:
        """Rows of one regime, the usual functions first."""
        wanted = {"size": "memory", "distribution": "normal", "vectors": "usual"}
        return in_order(r for r in self.speed if _is_of(r, wanted | regime))

    @property
    def usual(self) -> list[Row]:
        """Rows with the vectors that XLA chooses."""
        return [row for row in self.speed if _is_of(row, {"vectors": "usual"})]


def _is_of(row: Row, regime: Mapping[str, str]) -> bool:
    return all(row[field] == value for field, value in regime.items())


def is_slower(row: Row, who: str) -> bool:
    """Whether ours is slower than another library beyond noise."""
    found = row["against"].get(who)
    return found is not None and found[2] < 1.0


# --- sections ------------------------------------------------------------------------


def copies_table(rows: Sequence[Row]) -> str:
    """All contenders in copies, beside the goal."""
    others = [who for who in LIBRARIES if any(who in row["copies"] for row in rows)]
    head = ["function", "goal", "jaxacts", *others, *(f"{w} / ours" for w in others)]

    def cells(row: Row) -> list[str]:
        goal = goals.copies(row)
        compared = [
            interval(row["against"].get(who)) + (MISSED if is_slower(row, who) else "")
            for who in others
        ]
        return [
            f"`{row['name']}`",
            NONE if goal is None else f"{goal:.1f}",
            against_goal(row["copies"]["jaxacts"][0], goal),
            *(number(row["copies"].get(who)) for who in others),
            *compared,
        ]

    return markdown(head, map(cells, rows))


def times_faster(rows: Iterable[Row], who: str) -> tuple[int, float | None]:
    """In how many rows another library is, and the mean of its time over ours."""
    found = [row["against"][who][0] for row in rows if who in row["against"]]
    return len(found), statistics.geometric_mean(found) if found else None


def how_much_faster(records: Records) -> list[str]:
    """Geometric means over the functions that another library has too."""
    lines = []
    for kind in KINDS:
        for dtype in DTYPES:
            rows = records.rows(kind=kind, dtype=dtype)
            for who in LIBRARIES:
                count, mean = times_faster(rows, who)
                if mean is None:
                    continue
                goal = goals.FASTER.get(dtype) if (who, kind) == OF_GOAL else None
                aim = f"{goal:.1f}" if goal else NONE
                missed = MISSED if goal and mean < goal else ""
                cells = [KINDS[kind], dtype, who, str(count)]
                lines.append([*cells, aim, f"{mean:.2f}{missed}"])
    head = ["what", "type", "beside", "functions", "goal", "times faster"]
    return [
        "Geometric mean over the functions that both have of the other's time over "
        "ours:",
        "",
        markdown(head, lines),
    ]


OF_GOAL = ("jax.nn", "vjp")


def slower(records: Records) -> list[str]:
    """Every regime in which another library is faster beyond noise."""
    lines = []
    for row in in_order(records.usual):
        for who in LIBRARIES:
            if is_slower(row, who):
                times = [1 / row["against"][who][k] for k in (0, 2, 1)]
                regime = [KINDS[row["kind"]], row["dtype"], row["size"]]
                regime += [row["distribution"], who]
                lines.append([f"`{row['name']}`", *regime, interval(times)])
    compared = sum(len(row["against"]) for row in records.usual)
    text = [
        f"Of {compared} comparisons, in all regimes that were measured, ours is slower "
        f"in {len(lines)}, the interval of the ratio being above 1:"
    ]
    head = ["function", "what", "type", "size", "numbers", "than", "ours / theirs"]
    return [*text, "", markdown(head, lines)] if lines else [text[0][:-1] + "."]


def missed(records: Records) -> list[str]:
    """Rows above their goal of copies, by how much."""
    lines, held = [], 0
    for row in in_order(records.usual):
        goal, ours = goals.copies(row), row["copies"]["jaxacts"][0]
        if goal is None or row["distribution"] != "normal":
            continue
        held += 1
        if ours > goal:
            figures = [f"{goal:.1f}", f"{ours:.2f}", f"{ours / goal:.2f}"]
            lines.append(
                [f"`{row['name']}`", KINDS[row["kind"]], row["dtype"], *figures]
            )
    head = ["function", "what", "type", "goal", "copies", "over the goal"]
    text = f"{held - len(lines)} of {held} figures with a goal of copies meet it."
    return [f"{text} The others:", "", markdown(head, lines)] if lines else [text]


def beyond_the_first(records: Records) -> list[str]:
    """jvp and second derivative in multiples of the value."""
    lines = []
    for dtype in DTYPES:
        by_kind = {
            kind: {r["name"]: r for r in records.rows(kind=kind, dtype=dtype)}
            for kind in ("jvp", "second")
        }
        names = dict.fromkeys(name for rows in by_kind.values() for name in rows)
        for name in names:
            cells = [f"`{name}`", dtype]
            for rows in by_kind.values():
                ratio = rows[name].get("over_value") if name in rows else None
                late = ratio is not None and ratio[0] > goals.OVER_VALUE
                cells.append(interval(ratio) + (MISSED if late else ""))
            lines.append(cells)
    head = ["function", "type", "value and jvp", "second derivative"]
    return [
        f"In multiples of our own value; the goal is {goals.OVER_VALUE:.1f}. Value and "
        "jvp read and write four arrays, the value two.",
        "",
        markdown(head, lines),
    ]


def in_cache(records: Records) -> list[str]:
    """Time an element of 64K numbers, gone over again and again."""
    lines = []
    for dtype in DTYPES:
        far = {r["name"]: r for r in records.rows(kind="vjp", dtype=dtype)}
        for row in records.rows(kind="vjp", dtype=dtype, size="cache"):
            outside = far.get(row["name"])
            lines.append(
                [
                    f"`{row['name']}`",
                    dtype,
                    f"{outside['nanoseconds']['jaxacts']:.2f}" if outside else NONE,
                    f"{row['nanoseconds']['jaxacts']:.2f}",
                    number(row["copies"]["jaxacts"]),
                    *(interval(row["against"].get(w)) for w in LIBRARIES[:2]),
                ]
            )
    head = ["function", "type", "ns an element", "ns in cache", "copies in cache"]
    head += [f"{who} / ours in cache" for who in LIBRARIES[:2]]
    return [
        "Value and vjp of two arrays of 64K numbers in turn, 64 times in one call "
        "(torch: 64 calls). A copy in cache is much shorter than one in memory, so "
        "copies are not comparable: times are.",
        "",
        markdown(head, lines),
    ]


def by_distribution(records: Records) -> list[str]:
    """Whether data can choose a slow path."""
    names = dict.fromkeys(row["distribution"] for row in records.usual)
    lines = []
    for dtype in DTYPES:
        found: dict[str, dict[str, float]] = {}
        for distribution in names:
            for r in records.rows(kind="vjp", dtype=dtype, distribution=distribution):
                ours = r["copies"]["jaxacts"][0]
                found.setdefault(r["name"], {})[distribution] = ours
        for name, copies in found.items():
            cells = [f"{copies[d]:.2f}" if d in copies else NONE for d in names]
            lines.append([f"`{name}`", dtype, *cells])
    return [
        "Our value and vjp, in copies, by the numbers: N(0, 1), N(0, 30²), and -|N(0, "
        "4²)|. The runs are not paired with each other.",
        "",
        markdown(["function", "type", *names], lines),
    ]


def wider(records: Records) -> list[str]:
    """What wider vectors bring, where the processor has them."""
    lines, means, measured = [], [], []
    for kind, title in KINDS.items():
        for dtype in DTYPES:
            rows = records.rows(kind=kind, dtype=dtype, vectors="512")
            measured += rows
            for row in rows:
                found = row["against"]
                lines.append(
                    [
                        *(f"`{row['name']}`", title, dtype),
                        *(number(row["copies"].get(w)) for w in ("jaxacts", "jax.nn")),
                        *(interval(found.get(w)) for w in ("jax.nn", WITHOUT_OPTIONS)),
                    ]
                )
            means += [
                f"{title.lower()} in {dtype} {mean:.2f} times as fast as {who}"
                for who, name in (
                    ("without it", WITHOUT_OPTIONS),
                    ("jax.nn with it", "jax.nn"),
                )
                if (mean := times_faster(rows, name)[1]) is not None
            ]
    head = ["function", "what", "type", "jaxacts", "jax.nn", "jax.nn / ours"]
    return [
        "XLA takes vectors of 256 bits also on processors with AVX-512. With `jax.jit("
        'f, compiler_options={"xla_cpu_prefer_vector_width": 512})`, or `XLA_FLAGS='
        "--xla_cpu_prefer_vector_width=512` for a whole program, they are as wide as "
        "the processor's. Both libraries, and the copy, with that option; the last "
        "column is our time without it over that with it, in the same turns. Not "
        "every processor has them, so the kernels may be older than those above:"
        f" {provenance(measured)}."
        + (f" In the geometric mean: {'; '.join(means)}." if means else ""),
        "",
        markdown([*head, "without / with"], lines),
    ]


# --- the page ------------------------------------------------------------------------


def page(records: Records) -> str:
    """All of docs/speed.md."""
    lines = [INTRODUCTION, picture(), ""]
    if not records.speed:
        lines += ["No times are recorded: run `make speed`.", ""]
    else:
        lines += [provenance(records.speed), ""]
    for kind, title in KINDS.items():
        for dtype in dict.fromkeys(row["dtype"] for row in records.speed):
            rows = records.rows(kind=kind, dtype=dtype)
            if rows:
                lines += [f"## {title}, {dtype}", "", copies_table(rows), ""]
    for title, render, needed in sections(records):
        if needed:
            lines += [f"## {title}", "", *render(records), ""]
    return "\n".join(lines)


def sections(
    records: Records,
) -> list[tuple[str, Callable[[Records], list[str]], bool]]:
    """Titles, what renders them, and whether there is anything to render."""

    def has(**fields: str) -> bool:
        return any(_is_of(row, fields) for row in records.speed)

    return [
        ("How much faster", how_much_faster, bool(records.speed)),
        ("Goals missed", missed, bool(records.speed)),
        ("Slower than another library", slower, bool(records.speed)),
        (
            "jvp and second derivative beside the value",
            beyond_the_first,
            has(kind="jvp") or has(kind="second"),
        ),
        ("In cache", in_cache, has(size="cache", kind="vjp")),
        (
            "Other numbers",
            by_distribution,
            len({row["distribution"] for row in records.speed}) > 1,
        ),
        ("Wider vectors", wider, has(vectors="512")),
        (
            "Instructions",
            lambda records: speed_costs.instructions(records.instructions),
            bool(records.instructions),
        ),
        (
            "Memory",
            lambda records: speed_costs.memory(records.memory),
            bool(records.memory),
        ),
        (
            "Tracing, compiling, calling",
            lambda records: speed_costs.compilation(records.compile),
            bool(records.compile),
        ),
    ]


def picture(folder: str = "") -> str:
    return (
        "![value and vjp in copies, ours, jax.nn and torch, beside limit and goals]"
        f"({folder}images/speed.png)"
    )


def readme_section() -> str:
    """The usual functions, value and vjp, for README.md."""
    records = Records.read(HERE)
    by_dtype = {
        dtype: {
            row["name"]: row
            for row in records.rows(kind="vjp", dtype=dtype)
            if row["name"] in USUAL_LABELS
        }
        for dtype in DTYPES
    }
    names = dict.fromkeys(name for rows in by_dtype.values() for name in rows)
    if not names:
        return "No times are recorded: run `make speed`."
    libraries = ("jaxacts", "jax.nn", "torch")
    lines = []
    for name in names:
        cells = [f"`{name}`"]
        for rows in by_dtype.values():
            row = rows.get(name)
            goal = goals.copies(row) if row else None
            for who in libraries:
                found = row["copies"].get(who) if row else None
                limit = goal if who == "jaxacts" else None
                cells.append(against_goal(found and found[0], limit))
                if who == "jaxacts":
                    cells.append(NONE if goal is None else f"{goal:.1f}")
        lines.append(cells)
    head = ["function"]
    for dtype in DTYPES:
        head += [f"{dtype}: ours", "goal", *libraries[1:]]
    used = [row for rows in by_dtype.values() for row in rows.values()]
    return "\n\n".join(
        [markdown(head, lines), means(by_dtype), provenance(used), picture("docs/")]
    )


def means(by_dtype: dict[str, dict[str, Row]]) -> str:
    """One sentence on how much faster than jax.nn."""
    parts = []
    for dtype, rows in by_dtype.items():
        _, mean = times_faster(rows.values(), "jax.nn")
        if mean is not None:
            goal = goals.FASTER[dtype]
            mark = MISSED if mean < goal else ""
            parts.append(f"{mean:.2f} in {dtype} (goal {goal}{mark})")
    return "Times faster than jax.nn, geometric mean: " + ", ".join(parts) + "."


def written(folder: Path, check: bool) -> bool:
    """Writes page and picture, or only says whether they are up to date."""
    records = Records.read(folder)
    done = is_written(folder / "speed.md", page(records), check)
    usual = {
        dtype: [
            row
            for row in records.rows(kind="vjp", dtype=dtype)
            if row["name"] in USUAL_LABELS
        ]
        for dtype in DTYPES
    }
    if not any(usual.values()):
        return done
    path = folder / "images" / "speed.png"
    if not check:
        speed_picture.draw(usual, path)
    elif not speed_picture.is_current(usual, path):
        print(f"images/{path.name} is not up to date: run docs/speed.py")
        return False
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--folder", type=Path, default=HERE, help="of the records")
    options = parser.parse_args()
    return int(not written(options.folder, options.check))


if __name__ == "__main__":
    sys.exit(_records.run(main))
