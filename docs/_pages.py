"""Generated pages and their tables; written beside and renamed, or only compared."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["is_written", "markdown", "write"]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def is_written(path: Path, new: str, check: bool) -> bool:
    """Writes a page, or only says whether that would change it."""
    if check:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if new != old:
            print(f"{path.name} is not up to date: run docs/{Path(sys.argv[0]).name}")
        return new == old
    write(path, new)
    return True
