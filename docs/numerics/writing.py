"""Writes a module of coefficients from a script's tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def render(script: str, tables: Iterable[tuple[str, str, Any]]) -> str:
    """The text of a module with every table under its note."""
    lines = [
        f'"""Polynomial coefficients; written by docs/numerics/{script}."""',
        "",
        "# ruff: noqa: E501",
        "",
    ]
    for name, note, content in tables:
        print(f"{name}: {note}", file=sys.stderr)
        lines.append(f"# {note}")
        if isinstance(content, str):
            lines += [f'{name} = "{content}"', ""]
            continue
        lines.append(f"{name} = {{")
        for precision, fit in content.items():
            lines.append(f'    "{precision}": (')
            lines += [f"        {c!r}," for c in fit]
            lines.append("    ),")
        lines += ["}", ""]
    return "\n".join(lines).rstrip() + "\n"


def run(target: Path, script: str, tables: Callable[[], Any], text: str | None) -> int:
    """Rewrites the target, or compares it; returns the exit status."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    module = render(script, tables())
    if check:
        return 0 if target.read_text() == module else 1
    part = target.with_suffix(".part")
    part.write_text(module)
    part.replace(target)
    return 0
