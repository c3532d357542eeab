"""The folder of a run: how it appears, what is in it, how its files are written."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import platform
import shlex
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from _configuration import UserError, with_defaults
from _data.dataset import reason
from _prepare import Run

PACKAGES = ("jaxacts", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def open_folder(run: Run) -> None:
    """Makes the folder of a fresh run appear with its configuration in it.

    Killed before that, a run leaves no folder that would be in the way.
    """
    contents = {
        "configuration": dataclasses.asdict(run.configuration),
        "data_dir": None if run.data_dir is None else str(run.data_dir.resolve()),
    }
    folder = run.folder.resolve()
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        text = json.dumps(contents, indent=2) + "\n"
        (beside / "config.json").write_text(text, "utf-8")
        os.rename(beside, folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise UserError(f"cannot make the folder {folder}: {reason(error)}") from error


def write_beside(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file under another name and renames it when it is complete."""
    beside = path.with_name(f".{path.name}.partial")
    try:
        write(beside)
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {reason(error)}") from error


def completed(run: Run) -> dict[str, Any] | None:
    """What ``results.json`` holds where the run has come to its end before."""
    path = run.folder / "results.json"
    if not path.exists():
        return None
    try:
        results = json.loads(path.read_text("utf-8"))
        stored = with_defaults(results["configuration"])
        if stored != dataclasses.asdict(run.configuration):
            raise ValueError("it is of another configuration")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {reason(error)}") from error
    return results


def resume_command(program: str, run: Run) -> str:
    """What the user types to go on."""
    return (
        f"python {shlex.quote(program)} --resume --out {shlex.quote(str(run.folder))}"
    )


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            found.append((package, "not installed"))
    return tuple(found)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    return dict(_versions())
