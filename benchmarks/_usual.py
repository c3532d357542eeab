"""Which functions a benchmark measures, and how it shows that it goes on."""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import jaxacts

__all__ = [
    "USUAL",
    "add_names",
    "call_of",
    "chosen",
    "fail",
    "label",
    "with_progress",
]

_T = TypeVar("_T")

USUAL: tuple[tuple[str, dict[str, Any]], ...] = (
    ("relu", {}),
    ("gelu", {"approximate": False}),
    ("gelu", {"approximate": True}),
    *(
        (name, {})
        for name in (
            *("silu", "mish", "softplus", "log_sigmoid", "elu", "selu", "tanh"),
            *("squareplus", "sigmoid", "hard_silu", "soft_sign"),
        )
    ),
)


def label(name: str, settings: dict[str, Any]) -> str:
    """A function with its settings, as one word."""
    inside = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{name}({inside})" if inside else name


def add_names(parser: argparse.ArgumentParser) -> None:
    """Lets the command line name functions; the usual ones without."""

    def known(name: str) -> str:
        if name in jaxacts.names() and jaxacts.spec(name).elementwise:
            return name
        raise argparse.ArgumentTypeError(
            f"no elementwise function is named {name!r}; see `jaxacts list`"
        )

    parser.add_argument("names", nargs="*", metavar="FUNCTION", type=known)


def chosen(
    names: Sequence[str], everything: bool = False
) -> list[tuple[str, dict[str, Any]]]:
    """Functions with settings: those named, or the usual, or all elementwise ones."""
    if everything:
        names = [name for name in jaxacts.names() if jaxacts.spec(name).elementwise]
    found = [(name, settings) for name, settings in USUAL if not names or name in names]
    usual = {name for name, _ in USUAL}
    further = (name for name in names if name not in usual)
    return found + [(name, dict(jaxacts.spec(name).cases[0])) for name in further]


def call_of(
    library: Any, name: str, settings: dict[str, Any]
) -> Callable[[Any], Any] | None:
    """A library's function of x, where it has one that knows these settings."""
    function = getattr(library, name, None)
    if function is None:
        return None
    try:
        inspect.signature(function).bind(None, **settings)
    except TypeError:
        return None
    return lambda x: function(x, **settings)


def fail(message: object) -> NoReturn:
    """Ends the command with one line."""
    print(message, file=sys.stderr)
    raise SystemExit(2)


def with_progress(items: Sequence[_T]) -> Iterator[_T]:
    """The items in turn; where they stand and how long the rest takes, on stderr."""
    start = time.monotonic()
    for done, item in enumerate(items):
        left = (time.monotonic() - start) / done * (len(items) - done) if done else 0
        until = f", {left / 60:.1f} min left" if done else ""
        print(f"[{done + 1}/{len(items)}{until}]", file=sys.stderr, flush=True)
        yield item
