"""What backward keeps of each activation, beside jax.nn.

    python benchmarks/memory.py [FUNCTION ...] [--dtype bfloat16]

Two figures from XLA's and JAX's own account, not from a clock: bytes an element
that `jax.vjp` keeps, and the peak temporary memory of the gradient of twelve dense
layers of width 1024 in a scan, batch 256.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from _usual import USUAL, label
from jax import lax

import jaxacts
from jaxacts.verify.residuals import residuals

LAYERS, WIDTH, BATCH = 12, 1024, 256


def kept(function: Callable[[Any], Any], dtype: str) -> float:
    """Bytes an element that the backward pass of a jitted call needs."""
    return residuals(function, dtype=dtype, jit="inside").bytes_per_element


def scan_mebibytes(function: Callable[[Any], Any], dtype: str) -> float:
    """Temporary memory of the gradient in the weights of a deep network."""

    def loss(weights: Any, x: Any) -> Any:
        y, _ = lax.scan(lambda x, w: (function(x @ w), None), x, weights)
        return jnp.sum(y.astype(jnp.float32))

    weights = jax.ShapeDtypeStruct((LAYERS, WIDTH, WIDTH), jnp.dtype(dtype))
    x = jax.ShapeDtypeStruct((BATCH, WIDTH), jnp.dtype(dtype))
    compiled = jax.jit(jax.grad(loss)).lower(weights, x).compile()
    analysis = compiled.memory_analysis()
    if analysis is None:
        raise SystemExit("this backend gives no account of its memory")
    return analysis.temp_size_in_bytes / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="FUNCTION")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    options = parser.parse_args()
    for name in options.names:
        if name not in jaxacts.names():
            parser.error(f"no function is named {name!r}; see `jaxacts list`")
    chosen = [(name, {}) for name in options.names] or list(USUAL)
    print(f"jax {jax.__version__}, {jax.default_backend()}, {options.dtype}")
    print(f"{'':26}  bytes an element kept     MiB of a scan over {LAYERS} layers")
    print(f"{'':26}   jaxacts    jax.nn          jaxacts    jax.nn")
    for name, settings in chosen:
        row = []
        for library in (jaxacts, jax.nn):
            function = getattr(library, name, None)
            if function is None:
                row += [float("nan")] * 2
                continue
            call = functools.partial(function, **settings)
            row += [kept(call, options.dtype), scan_mebibytes(call, options.dtype)]
        ours, our_scan, theirs, their_scan = row
        print(
            f"{label(name, settings):26} {ours:9.3g} {theirs:9.3g}       "
            f"{our_scan:9.1f} {their_scan:9.1f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
