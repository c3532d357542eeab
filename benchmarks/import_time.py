"""What ``import jaxacts`` adds to ``import jax``, in fresh processes.

    python benchmarks/import_time.py [--repeats 10]

Interleaved: jax alone, then jax and jaxacts, in turn; the median difference.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

_TIMED = """
import time
start = time.perf_counter()
import jax
between = time.perf_counter()
{extra}
print(between - start, time.perf_counter() - between)
"""


def run(extra: str) -> tuple[float, float]:
    """Seconds for ``import jax`` and for what follows, in a new process."""
    # Byte code is written as it is by an installation.
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    out = subprocess.run(
        [sys.executable, "-c", _TIMED.format(extra=extra)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout
    jax_seconds, rest = map(float, out.split())
    return jax_seconds, rest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    run("import jaxacts")
    alone, both, inside = [], [], []
    for _ in range(repeats):
        alone.append(sum(run("pass")))
        jax_seconds, own = run("import jaxacts")
        both.append(jax_seconds + own)
        inside.append(own)
    print(f"import jax            {1e3 * statistics.median(alone):7.1f} ms")
    print(f"import jax, jaxacts   {1e3 * statistics.median(both):7.1f} ms")
    print(f"jaxacts alone         {1e3 * statistics.median(inside):7.1f} ms (median)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
