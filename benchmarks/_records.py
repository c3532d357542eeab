"""Records of measurements: rows that say which run they come from.

A record is a JSON file of runs (command, versions, processor, date) and rows, one a
line, each with the number of its run. A new measurement replaces the rows of the same
thing and leaves the others.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["RecordError", "command_line", "environment", "read", "run", "save"]

Row = dict[str, Any]


class RecordError(ValueError):
    """A file that is no record."""


def command_line(script: str, arguments: Sequence[str] | None = None) -> str:
    """The command that was given, as it is given in the repository."""
    given = sys.argv[1:] if arguments is None else arguments
    return " ".join(["python", f"benchmarks/{Path(script).name}", *given])


def environment(*packages: str, **more: Any) -> dict[str, Any]:
    """What figures depend on: versions, flags for XLA, processor, date."""
    versions = {
        package: importlib.metadata.version(package)
        for package in ("jax", "jaxlib", *packages)
        if importlib.util.find_spec(package)
    }
    return {
        **versions,
        "python": platform.python_version(),
        **more,
        **_flags(),
        "processor": _processor(),
        "threads": _threads(),
        "date": datetime.date.today().isoformat(),
    }


def _flags() -> dict[str, str]:
    """What XLA was told from outside, if it was."""
    flags = os.environ.get("XLA_FLAGS", "").strip()
    return {"XLA_FLAGS": flags} if flags else {}


def _threads() -> int | None:
    """How many this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _processor() -> str:
    """Its name, and the widest vectors it has: the name may say little."""
    name, flags = platform.processor() or platform.machine(), ""
    if (file := Path("/proc/cpuinfo")).exists():
        for line in file.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = value
    widths = [v for v in ("avx512f", "avx2", "avx") if v in flags.split()]
    return " ".join([name, *widths[:1]])


def read(path: Path, fields: Sequence[str] = ()) -> list[Row]:
    """The rows of a record, each with its run; none where there is no file.

    Raises:
      RecordError: if the file is not a record, or has a row without one of the
        fields, in one line.
    """
    if not path.exists():
        return []
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        runs = document["runs"]
        rows = [row | {"run": runs[row["run"]]} for row in document["rows"]]
        for field in fields:
            if not all(field in row for row in rows):
                raise ValueError(f"a row without {field!r}")
        return rows
    except (OSError, ValueError, TypeError, LookupError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RecordError(
            f"{path} is not a record of measurements ({reason}); "
            "delete it and measure again"
        ) from error


def save(
    path: Path, fresh: Sequence[Row], identity: Sequence[str], run: Mapping[str, Any]
) -> None:
    """Adds rows to a record; those with the same identity are replaced.

    Raises:
      RecordError: if what is there is not a record; it is left as it is.
    """
    from jaxacts.verify.report import write_atomically

    def key(row: Row) -> tuple[Any, ...]:
        return tuple(row[field] for field in identity)

    rows = {key(row): row for row in read(path, identity)}
    rows |= {key(row): row | {"run": dict(run)} for row in fresh}
    runs: list[Mapping[str, Any]] = []
    lines = []
    for row in rows.values():
        if row["run"] not in runs:
            runs.append(row["run"])
        lines.append(json.dumps(row | {"run": runs.index(row["run"])}))
    listed = ",\n  ".join(json.dumps(run) for run in runs)
    body = ",\n  ".join(lines)
    text = f'{{\n "runs": [\n  {listed}\n ],\n "rows": [\n  {body}\n ]\n}}\n'
    write_atomically(path, text)


def run(main: Callable[[], int]) -> int:
    """The exit status of a command; of a file that is no record, one line and 2."""
    try:
        return main()
    except RecordError as error:
        print(error, file=sys.stderr)
        return 2
