"""What a verification found, for people and for programs."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flint
import jax
import numpy as np

from ._finding import Finding
from .accuracy import Measurement

__all__ = ["Report", "environment", "write_atomically"]

_FORMAT = 1


def environment() -> dict[str, str]:
    """Versions and machine, without which no figure means anything."""
    device = jax.devices()[0]
    return {
        "jax": jax.__version__,
        "jaxlib": jax.lib.__version__,
        "numpy": np.__version__,
        "python-flint": flint.__version__,
        "python": platform.python_version(),
        "device": f"{device.platform} ({device.device_kind})",
        "machine": platform.machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Writes beside and renames, so that a reader never sees half a file."""
    path = Path(path)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of a verification.

    Attributes:
      measurements: errors by function, dtype and order.
      findings: what was checked, and whether it held.
      about: the function that each finding is about.
      against: the same measurements of a competitor, which pass no judgement.
      competitor: the competitor's name.
      notes: what was left out, and why.
      environment: versions and machine.
    """

    measurements: tuple[Measurement, ...] = ()
    findings: tuple[Finding, ...] = ()
    about: tuple[str, ...] = ()
    against: tuple[Measurement, ...] = ()
    competitor: str | None = None
    notes: tuple[str, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=environment)

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return all(finding.passed for finding in self.findings)

    @property
    def failures(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def worst(self) -> Measurement | None:
        """The measurement that is largest against its bound."""
        return max(self.measurements, key=_severity, default=None)

    @staticmethod
    def join(reports: Iterable[Report]) -> Report:
        """One report of several."""
        reports = list(reports)
        if not reports:
            return Report()

        def joined(field: str) -> tuple[Any, ...]:
            return tuple(item for r in reports for item in getattr(r, field))

        names = {r.competitor for r in reports if r.competitor}
        return Report(
            measurements=joined("measurements"),
            findings=joined("findings"),
            about=joined("about"),
            against=joined("against"),
            competitor=", ".join(sorted(names)) or None,
            notes=tuple(dict.fromkeys(joined("notes"))),
            environment=reports[0].environment,
        )

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        orders = sorted({m.order for m in self.measurements})
        other = {(m.name, m.dtype, m.order): m for m in self.against}
        rows: dict[tuple[str, str], dict[int, Measurement]] = {}
        for m in self.measurements:
            rows.setdefault((m.name, m.dtype), {})[m.order] = m
        head = ["function", "dtype", *(f"f{chr(39) * k}" for k in orders)]
        if other:
            head += [f"{self.competitor} f{chr(39) * k}" for k in orders]
        head += ["bound", "inputs"]
        body = []
        for (name, dtype), found in rows.items():
            line = [name, dtype, *(_cell(found.get(k)) for k in orders)]
            if other:
                line += [_cell(other.get((name, dtype, k))) for k in orders]
            bounds = [
                "–" if found[k].bound is None else f"{found[k].bound:g}"
                for k in orders
                if k in found
            ]
            some = next(iter(found.values()))
            line.append(" / ".join(bounds))
            line.append(f"{'all ' if some.exhaustive else ''}{some.inputs:,}")
            body.append(line)
        return head, body

    def _failed_lines(self) -> list[tuple[str, str]]:
        return [
            (f"{name}, {finding.check}, {finding.subject}", finding.message)
            for name, finding in zip(self.about, self.findings, strict=True)
            if not finding.passed
        ]

    def table(self, *, failures: int = 40) -> str:
        """Largest errors in ULP, one line a function and dtype, then what failed.

        Args:
          failures: how many failed findings are written out.
        """
        lines: list[str] = []
        if self.measurements:
            head, body = self._rows()
            lines += _aligned([head, *body])
            lines.append("")
        failed = self._failed_lines()
        lines += [f"FAILED  {title}: {text}" for title, text in failed[:failures]]
        if len(failed) > failures:
            lines.append(f"... and {len(failed) - failures} more")
        lines += [f"note: {note}" for note in self.notes]
        held = len(self.findings) - len(failed)
        verdict = "passed" if self.passed else "FAILED"
        lines.append(f"{verdict}: {held} of {len(self.findings)} checks held")
        return "\n".join(lines)

    def markdown(self) -> str:
        """The table and the failures as Markdown, with versions and date."""
        lines: list[str] = []
        if self.measurements:
            head, body = self._rows()
            lines.append("| " + " | ".join(head) + " |")
            lines.append("|" + " --- |" * len(head))
            lines += ["| " + " | ".join(row) + " |" for row in body]
            lines.append("")
        if self.failures:
            lines += ["Failed checks:", ""]
            lines += [f"- **{title}**: {text}" for title, text in self._failed_lines()]
            lines.append("")
        lines += [f"- note: {note}" for note in self.notes]
        versions = ", ".join(f"{k} {v}" for k, v in self.environment.items())
        lines.append(f"Largest errors in ULP of the exact result. {versions}.")
        return "\n".join(lines) + "\n"

    def json(self) -> str:
        """Everything as JSON; infinities and NaN are strings."""
        document = {
            "format": _FORMAT,
            "passed": self.passed,
            "environment": dict(self.environment),
            "competitor": self.competitor,
            "measurements": [_plain(m) for m in self.measurements],
            "against": [_plain(m) for m in self.against],
            "findings": [
                {"function": name, **_plain(finding)}
                for name, finding in zip(self.about, self.findings, strict=True)
            ],
            "notes": list(self.notes),
        }
        return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draws error against input for the profiles that were kept.

        Args:
          path: of the picture; the suffix selects the format.

        Raises:
          ValueError: if the measurements were made without profiles.
        """
        from .plot import plot

        return plot(self, path)


def _severity(measured: Measurement) -> float:
    if measured.nan_count:
        return math.inf
    error = measured.ulp.error if measured.ulp else 0.0
    return error / (measured.bound or 1.0)


def _cell(measured: Measurement | None) -> str:
    if measured is None:
        return "–"
    error = measured.scaled if measured.order == 3 else measured.ulp
    text = f"{error.error if error else 0.0:#.3g}"
    if error and error.error >= 1000:
        text = f"{error.error:.1e}"
    text = text.rstrip(".")
    if measured.nan_count:
        text += " NaN"
    if measured.wrong_zero_count:
        text += " ±0"
    return text


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    lines.insert(1, "─" * len(lines[0]))
    return [line.rstrip() for line in lines]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value) if f.name != "profile"]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
