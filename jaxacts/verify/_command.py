"""``jaxacts verify``: the verifier from the command line."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jaxacts

__all__ = ["add_arguments", "run"]

_DESCRIPTION = """\
Measures the error of an activation and its derivatives in ULP against exact
arithmetic, and checks its special values and how it behaves under JAX's
transformations. Exit status: 0 if every check holds, 1 if one fails, 2 for bad
usage.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the command."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "function",
        nargs="*",
        help="a registered name, with settings if need be, as in "
        "'gelu(approximate=False)', or package.module:name",
    )
    parser.add_argument(
        "--all", action="store_true", help="every registered elementwise function"
    )
    parser.add_argument(
        "--dtype",
        action="append",
        metavar="NAME",
        help="bfloat16, float16, float32, float64, float8_e4m3fn or float8_e5m2; "
        "may be repeated (default: the first four)",
    )
    parser.add_argument(
        "--order",
        action="append",
        type=int,
        choices=(0, 1, 2, 3),
        help="order of derivative; may be repeated (default: 0, 1 and 2)",
    )
    parser.add_argument(
        "--reference",
        metavar="FORMULA",
        help='the exact formula, such as "x*tanh(log(1+exp(x)))"',
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a keyword argument of the function; may be repeated",
    )
    parser.add_argument(
        "--against",
        metavar="MODULE",
        help="another implementation to measure beside it, such as jax.nn or "
        "package.module:name",
    )
    parser.add_argument(
        "--max-ulp",
        action="append",
        default=[],
        metavar="DTYPE=ULP[,ULP[,ULP]]",
        help="the error allowed in f, f' and f''; may be repeated",
    )
    parser.add_argument(
        "--points",
        type=int,
        default=20_000,
        metavar="N",
        help="size of the grid in float32 and float64 (default: %(default)s)",
    )
    parser.add_argument(
        "--chunks",
        type=int,
        default=24,
        metavar="N",
        help="of float32, try all numbers of the N chunks of 2^20 where the grid "
        "has the largest errors (default: %(default)s)",
    )
    parser.add_argument(
        "--check",
        action="append",
        metavar="KIND",
        help="only this kind of check; may be repeated (default: all)",
    )
    parser.add_argument(
        "--exhaustive",
        action="store_true",
        help="try all 2^32 numbers of float32; can be interrupted and resumed",
    )
    parser.add_argument("--json", metavar="PATH", help="write the report as JSON")
    parser.add_argument("--markdown", metavar="PATH", help="write it as Markdown")
    parser.add_argument("--plot", metavar="PATH", help="draw the error along the line")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit status."""
    try:
        from . import api
        from .report import Report, write_atomically

        if arguments.plot:
            import matplotlib  # noqa: F401
    except ImportError as error:
        message = f"jaxacts verify: {error}; install jaxacts[verify,plot]"
        print(message, file=sys.stderr)
        return 2
    if "" not in sys.path and os.getcwd() not in sys.path:
        # A console script does not look for modules in the working directory.
        sys.path.insert(0, os.getcwd())
    try:
        names = _names(arguments)
        options = _options(arguments, api)
        for path in (arguments.json, arguments.markdown, arguments.plot):
            if path and not Path(path).absolute().parent.is_dir():
                raise ValueError(f"{path}: there is no such folder")
        reports = []
        for name, report in zip(
            names, _reports(names, arguments, options), strict=True
        ):
            reports.append(report)
            if len(names) > 1:
                _announce(name, report, len(reports), len(names))
        joined = Report.join(reports)
        print(joined.table())
        if arguments.json:
            write_atomically(arguments.json, joined.json())
        if arguments.markdown:
            write_atomically(arguments.markdown, joined.markdown())
        if arguments.plot:
            joined.plot(arguments.plot)
    except (ValueError, OSError) as error:
        print(f"jaxacts verify: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxacts verify: interrupted", file=sys.stderr)
        return 130
    return 0 if joined.passed else 1


# With fewer functions the start of further processes costs more than it saves.
_ENOUGH_TO_SHARE = 6


def _reports(
    names: Sequence[str], arguments: argparse.Namespace, options: dict[str, Any]
) -> Iterator[Any]:
    """One report a name, in their order; many are shared out to processes."""
    processes = min(os.cpu_count() or 1, 8)
    if len(names) < _ENOUGH_TO_SHARE or arguments.exhaustive or processes < 2:
        for name in names:
            with _progress_bar(name, arguments.exhaustive) as progress:
                yield _report(name, arguments.reference, options, progress)
        return
    spawn = multiprocessing.get_context("spawn")  # JAX has threads: no fork
    with concurrent.futures.ProcessPoolExecutor(processes, spawn) as pool:
        tasks = [pool.submit(_report, n, arguments.reference, options) for n in names]
        try:
            for task in tasks:
                yield task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _report(
    name: str, reference: str | None, options: dict[str, Any], progress: Any = None
) -> Any:
    from . import api

    return api.verify(name, reference, progress=progress, **options)


def _names(arguments: argparse.Namespace) -> Sequence[str]:
    if arguments.all == bool(arguments.function):
        raise ValueError("give the name of a function, or --all")
    if arguments.reference and len(arguments.function) != 1:
        raise ValueError("--reference goes with one function")
    if arguments.all:
        return [n for n in jaxacts.names() if jaxacts.spec(n).reference is not None]
    return list(arguments.function)


def _options(arguments: argparse.Namespace, api: Any) -> dict[str, Any]:
    if arguments.points < 100:
        raise ValueError(f"--points must be at least 100, got {arguments.points}")
    if arguments.chunks < 0:
        raise ValueError(f"--chunks must not be negative, got {arguments.chunks}")
    return {
        "dtypes": tuple(arguments.dtype or api.DTYPES),
        "orders": tuple(sorted(set(arguments.order or (0, 1, 2)))),
        "params": _parameters(arguments.param) or None,
        "against": arguments.against,
        "max_ulp": _bounds(arguments.max_ulp),
        "checks": tuple(arguments.check or api.CHECKS),
        "points": arguments.points,
        "chunks": arguments.chunks,
        "exhaustive": arguments.exhaustive,
        "keep_profile": bool(arguments.plot),
    }


def _parameters(settings: Sequence[str]) -> dict[str, Any]:
    words = {"true": True, "false": False, "none": None}
    found: dict[str, Any] = {}
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator or not name.isidentifier():
            raise ValueError(f"--param {setting!r}: expected NAME=VALUE")
        if text.lower() in words:
            found[name] = words[text.lower()]
            continue
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = text
    return found


def _bounds(settings: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for setting in settings:
        dtype, separator, text = setting.partition("=")
        try:
            figures = [float(part) for part in text.split(",")]
        except ValueError:
            figures = []
        if not separator or not 1 <= len(figures) <= 3:
            raise ValueError(f"--max-ulp {setting!r}: expected DTYPE=ULP[,ULP[,ULP]]")
        found[dtype] = figures[0] if len(figures) == 1 else figures
    return found


def _announce(name: str, report: Any, done: int, total: int) -> None:
    failed = len(report.failures)
    verdict = "passed" if report.passed else f"{failed} checks failed"
    print(f"[{done}/{total}] {name}: {verdict}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _progress_bar(name: str, wanted: bool) -> Iterator[Any]:
    """A bar on a terminal, a line for each tenth elsewhere."""
    if not wanted:
        yield None
        return
    if not sys.stderr.isatty():
        tenth = -1

        def line(done: int, total: int) -> None:
            nonlocal tenth
            if done * 10 // total > tenth:
                tenth = done * 10 // total
                print(f"{name}: {done / total:.0%} of float32", file=sys.stderr)

        yield line
        return
    from rich import console, progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True)) as bar:
        task = bar.add_task(f"{name}, all of float32")
        yield lambda done, total: bar.update(task, completed=done, total=total)
