"""How long the verifier takes, from a cold start, with its peak memory.

python benchmarks/verification.py small       # every function, all 16-bit inputs
python benchmarks/verification.py ci          # what the test suite runs of it
python benchmarks/verification.py exhaustive gelu silu
                                              # all 2^32 numbers of float32

Each run is a fresh process with an empty store of truths. The exhaustive runs
are added to docs/exhaustive.json, from which docs/accuracy.md is written.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORD = HERE.parent / "docs" / "exhaustive.json"


def timed(command: list[str]) -> dict[str, Any]:
    """Runs a command with an empty store and shows what it prints."""
    with tempfile.TemporaryDirectory() as store:
        environment = os.environ | {"JAXACTS_CACHE_DIR": store}
        before = _cpu_seconds()
        start = time.perf_counter()
        done = subprocess.run(command, env=environment, cwd=HERE.parent, check=False)
        seconds = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "cpu_seconds": _cpu_seconds() - before,
        "peak_mib": usage.ru_maxrss / 1024,
        "status": done.returncode,
    }


def _cpu_seconds() -> float:
    """Of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def show(what: str, run: dict[str, Any]) -> None:
    print(
        f"{what}: {run['seconds'] / 60:.1f} min wall, "
        f"{run['cpu_seconds'] / 60:.1f} min of CPU, "
        f"largest process {run['peak_mib']:.0f} MiB, exit status {run['status']}; "
        f"{os.cpu_count()} cores, {platform.machine()}",
        flush=True,
    )


def small() -> int:
    command = [sys.executable, "-m", "jaxacts", "verify", "--all"]
    command += ["--dtype", "bfloat16", "--dtype", "float16", "--check", "accuracy"]
    run = timed(command)
    show("all functions, all 16-bit inputs, orders 0 to 2", run)
    return run["status"]


def continuous_integration() -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2"]
    command += ["tests/test_accuracy.py"]
    run = timed(command)
    show("the part of the test suite", run)
    return run["status"]


def exhaustive(names: list[str]) -> int:
    status = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.json"
            command = [sys.executable, "-m", "jaxacts", "verify", name]
            command += ["--dtype", "float32", "--exhaustive"]
            command += ["--check", "accuracy", "--check", "special values"]
            command += ["--json", str(path)]
            run = timed(command)
            show(f"{name}, all of float32, orders 0 to 2", run)
            if path.exists():
                record(json.loads(path.read_text()), run)
        status = max(status, run["status"])
    return status


def record(report: dict[str, Any], run: dict[str, Any]) -> None:
    """Adds the figures of one function to those of the others."""
    from jaxacts.verify.report import write_atomically

    kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    figures: dict[str, list[Any]] = {}
    missed = set()
    for m in report["measurements"]:
        worst = m["ulp"] or {"error": 0.0, "input": None}
        row = [worst["error"], worst["input"], m["nan_count"]]
        figures.setdefault(m["name"], []).append(row)
        if m["nan_count"] or worst["error"] > (m["bound"] or math.inf):
            missed.add(m["name"])
    for name, rows in figures.items():
        kept[name] = {
            "figures": rows,
            "passed": name not in missed,
            "seconds": round(run["seconds"]),
            "peak_mib": round(run["peak_mib"]),
            "environment": report["environment"],
        }
    text = json.dumps(dict(sorted(kept.items())), indent=1)
    write_atomically(RECORD, text + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("small", "ci", "exhaustive"))
    parser.add_argument("names", nargs="*", help="for exhaustive")
    arguments = parser.parse_args()
    if (arguments.what == "exhaustive") != bool(arguments.names):
        parser.error("exhaustive, and nothing else, takes names of functions")
    if arguments.what == "small":
        return small()
    if arguments.what == "ci":
        return continuous_integration()
    return exhaustive(arguments.names)


if __name__ == "__main__":
    sys.exit(main())
