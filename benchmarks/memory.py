"""What backward keeps of each activation, beside jax.nn.

    python benchmarks/memory.py [FUNCTION ...] [--dtype bfloat16] [--bits 1 4]

Three figures from XLA's and JAX's own account, not from a clock: bytes an element
that `jax.vjp` keeps, and the peak temporary memory of the gradient of twelve dense
layers of width 1024, batch 256, in a scan and unrolled in one jit. Unrolled, XLA
computes again what it pleases, and what a rule keeps may not matter. With ``--bits``
each function follows again as `jaxacts.compressed.few_bit`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _records
import jax
import jax.numpy as jnp
from _usual import add_names, call_of, chosen, fail, label, with_progress
from jax import lax

import jaxacts
from jaxacts.verify.residuals import residuals

RECORD = Path(__file__).parents[1] / "docs" / "memory.json"
LAYERS, WIDTH, BATCH = 12, 1024, 256
LIBRARIES = {"jaxacts": jaxacts, "jax.nn": jax.nn}


def kept(function: Callable[[Any], Any], dtype: str) -> float:
    """Bytes an element that the backward pass of a jitted call needs."""
    return residuals(function, dtype=dtype, jit="inside").bytes_per_element


def mebibytes(function: Callable[[Any], Any], dtype: str, unrolled: bool) -> float:
    """Temporary memory of the gradient in the weights of a deep network."""

    def loss(weights: Any, x: Any) -> Any:
        if unrolled:
            for w in weights:
                x = function(x @ w)
            return jnp.sum(x.astype(jnp.float32))
        y, _ = lax.scan(lambda x, w: (function(x @ w), None), x, weights)
        return jnp.sum(y.astype(jnp.float32))

    weights = jax.ShapeDtypeStruct((LAYERS, WIDTH, WIDTH), jnp.dtype(dtype))
    x = jax.ShapeDtypeStruct((BATCH, WIDTH), jnp.dtype(dtype))
    compiled = jax.jit(jax.grad(loss)).lower(weights, x).compile()
    analysis = compiled.memory_analysis()
    if analysis is None:
        fail("this backend gives no account of its memory")
    return analysis.temp_size_in_bytes / 2**20


def figures(function: Callable[[Any], Any], dtype: str) -> dict[str, float]:
    """What is measured of one function."""
    return {
        "kept": kept(function, dtype),
        "scan": mebibytes(function, dtype, unrolled=False),
        "unrolled": mebibytes(function, dtype, unrolled=True),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_names(parser)
    dtypes = ("float32", "bfloat16")
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=dtypes)
    parser.add_argument(
        "--bits", nargs="+", type=int, default=[], metavar="N", choices=range(1, 9)
    )
    parser.add_argument(
        "--save", action="store_true", help=f"keep in docs/{RECORD.name}"
    )
    options = parser.parse_args()
    run = {
        "command": _records.command_line(__file__),
        **_records.environment(device=jax.default_backend()),
    }
    print(f"jax {jax.__version__}, {jax.default_backend()}; jaxacts / jax.nn")
    head = f"{'bytes kept':>16} {'MiB in a scan':>18} {'MiB unrolled':>18}"
    print(f"{'':36}{head}, {LAYERS} layers")
    work = [(dtype, *f) for dtype in options.dtype for f in chosen(options.names)]
    for dtype, name, settings in with_progress(work):
        row: dict[str, Any] = {"name": label(name, settings), "dtype": dtype}
        for who, library in LIBRARIES.items():
            if call := call_of(library, name, settings):
                row[who] = figures(call, dtype)
        found = [row[who] for who in LIBRARIES if who in row]
        cells = [
            " / ".join(f"{figure[key]:7.3g}" for figure in found)
            for key in ("kept", "scan", "unrolled")
        ]
        print(f"{row['name']:26} {dtype:9} {'   '.join(cells)}", flush=True)
        for bits in options.bits:
            few = figures(jaxacts.compressed.few_bit(row["name"], bits), dtype)
            cells = [f"{few[key]:7.3g}" + " " * 10 for key in few]
            print(f"{'  bits: ' + str(bits):26} {dtype:9} {'   '.join(cells)}")
        if options.save:
            _records.save(RECORD, [row], ("name", "dtype"), run)
    return 0


if __name__ == "__main__":
    sys.exit(_records.run(main))
