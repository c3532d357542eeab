"""The command ``jaxacts``: list, show and verify activations."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import jaxacts

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, 1 where a check fails, or 2 for bad usage."""
    parser = argparse.ArgumentParser(
        prog="jaxacts", description="Activation functions for JAX."
    )
    parser.add_argument("--version", action="version", version=jaxacts.__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    listing = commands.add_parser("list", help="names, families and formulas")
    listing.add_argument("family", nargs="?", help="one family only")
    showing = commands.add_parser("show", help="the documentation of one activation")
    showing.add_argument("name")
    verifying = commands.add_parser(
        "verify", help="measure the error of a function, ours or yours"
    )
    verify = _verify_command()
    if verify is not None:
        verify.add_arguments(verifying)

    # What follows "verify" is its own, also where its extra is missing.
    words = sys.argv[1:] if arguments is None else list(arguments)
    if verify is None and words[:1] == ["verify"]:
        return _fail("verify needs an extra: pip install 'jaxacts[verify]'")
    given = parser.parse_args(arguments)
    try:
        if given.command == "list":
            return _list(given.family)
        if given.command == "show":
            return _show(given.name)
    except ValueError as error:
        return _fail(str(error))
    return verify.run(given)


def _verify_command() -> Any:
    try:
        from jaxacts.verify import _command
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("jaxacts"):
            raise
        return None
    return _command


def _list(family: str | None) -> int:
    for name in jaxacts.names(family):
        record = jaxacts.spec(name)
        also = f" (also {', '.join(record.aliases)})" if record.aliases else ""
        print(f"{name + also:32} {record.family:18} {record.formula}")
    return 0


def _show(name: str) -> int:
    record = jaxacts.spec(name)
    print(f"{record.name}: {record.function.__doc__}")
    return 0


def _fail(message: str) -> int:
    print(f"jaxacts: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
