"""Rewrites the parts of README.md that are derived from register and records.

python docs/readme.py          # rewrite
python docs/readme.py --check  # exit 1 if it would change
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import accuracy
import speed
from _pages import is_written, markdown

import jaxacts

README = Path(__file__).parents[1] / "README.md"


def functions() -> str:
    """Families and their functions, as a table."""
    families: dict[str, list[str]] = {}
    for name in jaxacts.names():
        record = jaxacts.spec(name)
        shown = ", ".join(f"`{n}`" for n in (name, *record.aliases))
        families.setdefault(record.family.replace("_", " "), []).append(shown)
    rows = sorted([family, ", ".join(names)] for family, names in families.items())
    return markdown(["family", "functions"], rows)


def accuracy_table() -> str:
    """The functions that jax.nn has too, as docs/accuracy.py measured them."""
    return f"{accuracy.readme_table()}\n\n{accuracy.provenance()}"


SECTIONS = {
    "functions": functions,
    "accuracy": accuracy_table,
    "speed": speed.readme_section,
}


def rewritten(
    text: str, sections: Mapping[str, Callable[[], str]], page: str = "README.md"
) -> str:
    """The text with what stands between the markers of each section rendered anew."""
    for name, render in sections.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        if begin not in text or end not in text:
            raise ValueError(f"{page} lacks the markers {begin} and {end}")
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        block = f"{begin}\n{render()}\n{end}"
        text = re.sub(pattern, lambda _, b=block: b, text, flags=re.DOTALL)
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    old = README.read_text()
    try:
        new = rewritten(old, SECTIONS)
    except ValueError as error:  # of markers, or of a record
        print(error, file=sys.stderr)
        return 2
    return int(not is_written(README, new, check))


if __name__ == "__main__":
    sys.exit(main())
