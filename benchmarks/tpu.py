"""What a TPU would do for each activation, by its compiler's own account.

    pip install -c constraints.txt -e '.[verify]' libtpu
    python benchmarks/tpu.py --save

No TPU is needed: libtpu (optional, under a licence of its own; not for all platforms)
compiles ahead of time for a described one. Value and vjp together of 2^24 elements,
ours beside jax.nn: flops, bytes accessed and transcendentals as the compiler counts
them, and temporary memory. Transcendentals are jax.nn's: ours are polynomials, and
count as flops. Nothing is run, so nothing here is a time.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

# Before JAX starts: no TPU is looked for, here or by asking the cloud.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import _records
import jax
from _usual import add_names, call_of, chosen, fail, label, with_progress

import jaxacts

RECORD = Path(__file__).parents[1] / "docs" / "tpu.json"
ELEMENTS = 1 << 24
DTYPES = ("float32", "bfloat16")
LIBRARIES = {"jaxacts": jaxacts, "jax.nn": jax.nn}


def device(topology: str) -> Any:
    """A chip that is described, not there."""
    if not importlib.util.find_spec("libtpu"):
        fail(
            "libtpu is not installed: `pip install libtpu` gets it, under its own "
            "licence; nothing else of this repository needs it"
        )
    from jax.experimental import topologies

    try:
        found = topologies.get_topology_desc(platform="tpu", topology_name=topology)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        fail(
            f"--topology {topology}: libtpu knows none of this name, "
            f"such as v5e:2x2 or v6e:2x2 ({reason})"
        )
    return found.devices[0]


def account(function: Any, dtype: str, chip: Any) -> dict[str, float]:
    """What the compiled value and vjp of one function costs."""

    def both(x: Any, g: Any) -> tuple[Any, Any]:
        y, pullback = jax.vjp(function, x)
        return y, pullback(g)[0]

    sharding = jax.sharding.SingleDeviceSharding(chip)
    x = jax.ShapeDtypeStruct((ELEMENTS,), dtype, sharding=sharding)
    compiled = jax.jit(both).lower(x, x).compile()
    cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
    if cost is None or memory is None:
        fail("this compiler gives no account of cost and memory")
    return {
        "flops": cost.get("flops", 0.0),
        "bytes": cost.get("bytes accessed", 0.0),
        "transcendentals": cost.get("transcendentals", 0.0),
        "temporary": memory.temp_size_in_bytes,
    }


def shown(row: dict[str, Any]) -> str:
    """A row in units of an element."""
    parts = []
    for who in LIBRARIES:
        if found := row.get(who):
            flops, moved, calls = (
                found[k] / ELEMENTS for k in ("flops", "bytes", "transcendentals")
            )
            parts.append(
                f"{who} {flops:.0f} flops {moved:.1f} bytes {calls:.0f} transcendentals"
                f" {found['temporary'] / 2**20:.0f} MiB"
            )
    return f"{row['name']:26} {row['dtype']:9} " + "   ".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_names(parser)
    parser.add_argument("--topology", default="v5e:2x2")
    parser.add_argument(
        "--save", action="store_true", help=f"keep in docs/{RECORD.name}"
    )
    options = parser.parse_args()
    chip = device(options.topology)
    run = {
        "command": _records.command_line(__file__),
        **_records.environment("libtpu", device=chip.device_kind),
    }
    work = [
        (dtype, *function) for dtype in DTYPES for function in chosen(options.names)
    ]
    for dtype, name, settings in with_progress(work):
        row = {"name": label(name, settings), "dtype": dtype, "elements": ELEMENTS}
        row["topology"] = options.topology
        for who, library in LIBRARIES.items():
            if call := call_of(library, name, settings):
                row[who] = account(call, dtype, chip)
        print(shown(row), flush=True)
        if options.save:
            _records.save(RECORD, [row], ("name", "dtype", "topology"), run)
    return 0


if __name__ == "__main__":
    sys.exit(_records.run(main))
