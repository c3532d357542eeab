"""What share of a GPU's bandwidth activations reach, beside jax.nn and torch.

    python benchmarks/gpu.py                                    # 2^28 bfloat16 numbers
    python benchmarks/gpu.py silu --elements 2**16 --device cpu  # to try the command

The unit is a device-to-device copy, timed in the same turns. A value reads one array
and writes one, as the copy does; value and vjp together read two and write two. The
share of bandwidth is the time that the copy would take for as many arrays over the
time taken: 100% is as fast as a copy, and the goal is 90%. torch and torch.compile are
timed where torch sees the device. A sample is several calls in a row, so that starting
them does not count.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# torch needs memory beside JAX; read when JAX starts.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import _records
import jax
import jax.numpy as jnp
import numpy as np
from _contenders import LIBRARIES, contenders, installed
from _timing import FEWEST_ROUNDS, Ratio, interleaved, ratio
from _usual import add_names, chosen, fail, label, with_progress

RECORD = Path(__file__).parents[1] / "docs" / "gpu.json"
GOAL = 0.9
# Arrays read and written, where a copy has two.
ARRAYS = {"value": 2, "vjp": 4}


def elements(text: str) -> int:
    """A count, or a power such as 2**28."""
    base, _, power = text.partition("**")
    try:
        count = int(base) ** int(power or 1)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count such as 2**28")
    return count


def shares(seconds: dict[str, list[float]], kind: str) -> dict[str, Ratio]:
    """Bandwidth of each contender over that of the copy."""
    scale = ARRAYS[kind] / 2
    copy = [scale * second for second in seconds["copy"]]
    return {who: ratio(copy, s) for who, s in seconds.items() if who != "copy"}


def device_of(platform: str) -> Any:
    try:
        return jax.devices(platform)[0]
    except RuntimeError:
        fail(
            f"JAX sees no {platform} here, only {jax.default_backend()}; "
            "--device cpu tries the command without one"
        )


def measure(
    function: str, settings: dict[str, Any], kind: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Times one function; a row of the record."""
    random = np.random.default_rng(0)
    count = options.elements
    # Few distinct numbers: drawing 2^28 takes longer than all that is timed.
    numbers = np.resize(random.standard_normal(min(count, 1 << 20)), count)
    x = jnp.asarray(numbers.astype(jnp.dtype(options.dtype)))
    libraries = installed(options.against, options.device)
    calls: dict[str, Callable[[], None]] = contenders(
        function,
        settings,
        kind,
        x,
        x[::-1],
        1,
        libraries,
        calls=options.calls,
        device=options.device,
    )
    seconds = interleaved(calls, options.rounds)
    moved = 2 * options.calls * x.nbytes
    return {
        "name": label(function, settings),
        "dtype": options.dtype,
        "kind": kind,
        "elements": count,
        "device": options.device,
        "rounds": options.rounds,
        "copy_gigabytes_a_second": moved / min(seconds["copy"]) / 1e9,
        "share": {who: r.rounded() for who, r in shares(seconds, kind).items()},
    }


def shown(row: dict[str, Any]) -> str:
    """A row as the command prints it."""
    cells = [
        f"{who} {100 * median:.0f}% [{100 * low:.0f}, {100 * high:.0f}]"
        for who, (median, low, high) in row["share"].items()
    ]
    verdict = "" if row["share"]["jaxacts"][0] >= GOAL else f"  below {GOAL:.0%}"
    speed = f"copy {row['copy_gigabytes_a_second']:.0f} GB/s"
    return f"{row['name']:26} {row['kind']:5} {speed}  {'  '.join(cells)}{verdict}"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_names(parser)
    parser.add_argument("--elements", type=elements, default=1 << 28, metavar="COUNT")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--device", default="gpu", choices=("gpu", "cpu"))
    parser.add_argument(
        "--kind", nargs="+", choices=tuple(ARRAYS), default=list(ARRAYS)
    )
    parser.add_argument(
        "--against", nargs="*", choices=LIBRARIES, default=list(LIBRARIES)
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=20, help="in a row, for a sample")
    parser.add_argument(
        "--save", action="store_true", help=f"keep in docs/{RECORD.name}"
    )
    options = parser.parse_args()
    fewest = FEWEST_ROUNDS if options.save else 1
    for name, least in (("rounds", fewest), ("calls", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name} {getattr(options, name)}: give {least} or more")
    return options


def main() -> int:
    options = parsed()
    device = device_of(options.device)
    run = {
        "command": _records.command_line(__file__),
        **_records.environment("torch", device=device.device_kind),
    }
    print(f"jax {jax.__version__}, {device.device_kind}; share of a copy's bandwidth")
    work = [(kind, *f) for kind in options.kind for f in chosen(options.names)]
    with jax.default_device(device):
        for kind, function, settings in with_progress(work):
            row = measure(function, settings, kind, options)
            print(shown(row), flush=True)
            if options.save:
                identity = ("name", "dtype", "kind", "elements", "device")
                _records.save(RECORD, [row], identity, run)
    return 0


if __name__ == "__main__":
    sys.exit(_records.run(main))
