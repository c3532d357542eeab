"""What backward keeps of each activation, beside jax.nn.

    python benchmarks/memory.py [FUNCTION ...] [--dtype bfloat16] [--bits 1 4]

Figures from XLA's and JAX's own account, not from a clock: bytes an element that
`jax.vjp` keeps, and the peak temporary memory of the gradient of twelve dense layers
of width 1024, batch 256, in a scan and one after the other in one jit. With
``--bits`` each function follows again as `jaxacts.compressed.few_bit`.
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
    """Temporary memory of the gradient in the weights of layers in a scan."""

    def network(weights: Any, x: Any) -> Any:
        return lax.scan(lambda x, w: (function(x @ w), None), x, weights)[0]

    weights = jax.ShapeDtypeStruct((LAYERS, WIDTH, WIDTH), jnp.dtype(dtype))
    return temporary_mebibytes(network, weights)


def unrolled_mebibytes(function: Callable[[Any], Any], dtype: str) -> float:
    """The same, of layers that are written out."""

    def network(weights: Any, x: Any) -> Any:
        for w in weights:
            x = function(x @ w)
        return x

    weights = [jax.ShapeDtypeStruct((WIDTH, WIDTH), jnp.dtype(dtype))] * LAYERS
    return temporary_mebibytes(network, weights)


def temporary_mebibytes(network: Callable[[Any, Any], Any], weights: Any) -> float:
    """What XLA allots to the gradient besides its arguments and its result."""

    def loss(weights: Any, x: Any) -> Any:
        return jnp.sum(network(weights, x).astype(jnp.float32))

    dtype = jax.tree.leaves(weights)[0].dtype
    x = jax.ShapeDtypeStruct((BATCH, WIDTH), dtype)
    compiled = jax.jit(jax.grad(loss)).lower(weights, x).compile()
    analysis = compiled.memory_analysis()
    if analysis is None:
        raise SystemExit("this backend gives no account of its memory")
    return analysis.temp_size_in_bytes / 2**20


def show(
    name: str, ours: Callable[..., Any], theirs: Callable[..., Any] | None, dtype: str
) -> None:
    """One row."""
    row = f"{name:26}"
    for figure in (kept, scan_mebibytes, unrolled_mebibytes):
        cells = ["" if f is None else f"{figure(f, dtype):.3g}" for f in (ours, theirs)]
        row += f"   {cells[0]:>9} {cells[1]:>9}"
    print(row, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="FUNCTION")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument(
        "--bits", nargs="+", type=int, default=[], metavar="N", choices=range(1, 9)
    )
    options = parser.parse_args()
    for name in options.names:
        if name not in jaxacts.names():
            parser.error(f"no function is named {name!r}; see `jaxacts list`")
    chosen = [(name, {}) for name in options.names] or list(USUAL)
    print(f"jax {jax.__version__}, {jax.default_backend()}, {options.dtype}")
    print(
        f"{'':26}  bytes an element kept      MiB, scan of {LAYERS}       MiB, unrolled"
    )
    print(f"{'':26}" + f"   {'jaxacts':>9} {'jax.nn':>9}" * 3)
    for name, settings in chosen:
        given = label(name, settings)
        ours = functools.partial(getattr(jaxacts, name), **settings)
        other = getattr(jax.nn, name, None)
        theirs = other and functools.partial(other, **settings)
        show(given, ours, theirs, options.dtype)
        for bits in options.bits:
            few = jaxacts.compressed.few_bit(given, bits)
            show(f"  in {bits} bit{'s' if bits > 1 else ''}", few, None, options.dtype)
    return 0


if __name__ == "__main__":
    sys.exit(main())
