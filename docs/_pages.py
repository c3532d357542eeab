"""Generated pages: written beside and renamed, or only compared."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["is_written"]


def is_written(path: Path, new: str, check: bool) -> bool:
    """Writes a page, or only says whether that would change it."""
    if check:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if new != old:
            print(f"{path.name} is not up to date: run docs/{Path(sys.argv[0]).name}")
        return new == old
    part = path.with_suffix(".part")
    part.write_text(new, encoding="utf-8")
    part.replace(path)
    return True
