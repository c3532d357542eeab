"""What is timed: an activation in our words, in jax.nn's and in torch's."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from _usual import call_of
from jax import lax

import jaxacts

sys.path.append(str(Path(__file__).parents[1] / "docs"))
import rivals

__all__ = [
    "KINDS",
    "LIBRARIES",
    "WITHOUT_OPTIONS",
    "Donated",
    "Torch",
    "contenders",
    "installed",
]

KINDS = ("value", "vjp", "jvp", "second")
LIBRARIES = ("jax.nn", "torch", "torch.compile")
# Ours, where the others are compiled with options of XLA.
WITHOUT_OPTIONS = "jaxacts without options"

_Compute = tuple[Callable[[Any, Any], tuple[Any, ...]], int]


def installed(libraries: list[str], device: str = "cpu") -> tuple[str, ...]:
    """Those of the libraries that can be measured here."""
    has_torch = importlib.util.find_spec("torch") is not None
    if has_torch and device == "gpu":
        import torch

        has_torch = torch.cuda.is_available()
    return tuple(who for who in libraries if has_torch or who == "jax.nn")


def results(function: Callable[[Any], Any], kind: str) -> _Compute:
    """Of (x, g): the arrays that a kind computes, and how many they are."""

    def value_and_vjp(x: Any, g: Any) -> tuple[Any, ...]:
        y, pullback = jax.vjp(function, x)
        return y, pullback(g)[0]

    def slope(x: Any) -> Any:
        return jax.jvp(function, (x,), (jnp.ones_like(x),))[1]

    kinds: dict[str, _Compute] = {
        "copy": (lambda x, g: (x * jnp.asarray(1.01, x.dtype),), 1),
        "plain copy": (lambda x, g: (jnp.copy(x),), 1),
        "value": (lambda x, g: (function(x),), 1),
        "vjp": (value_and_vjp, 2),
        "jvp": (lambda x, g: jax.jvp(function, (x,), (g,)), 2),
        "slope": (lambda x, g: (slope(x),), 1),
        "second": (lambda x, g: (jax.jvp(slope, (x,), (jnp.ones_like(x),))[1],), 1),
    }
    return kinds[kind]


class Donated:
    """Runs jitted code into the memory of its last results, and waits."""

    def __init__(
        self,
        compute: _Compute,
        x: Any,
        g: Any,
        repeats: int,
        calls: int = 1,
        options: dict[str, Any] | None = None,
    ):
        body, count = compute

        def once(x: Any, g: Any, *old: Any) -> tuple[Any, ...]:
            return tuple(body(x, g))

        def often(x: Any, g: Any, *old: Any) -> tuple[Any, ...]:
            def step(k: Any, _: tuple[Any, ...]) -> tuple[Any, ...]:
                here, there = (
                    lax.dynamic_index_in_dim(rows, k % 2, keepdims=False)
                    for rows in (x, g)
                )
                return tuple(body(here, there))

            return lax.fori_loop(0, repeats, step, old)

        def in_turn(a: Any) -> Any:
            return jnp.stack([a, a[::-1]])

        # In a loop over one array XLA computes once, before the loop, and copies: it
        # drops an optimization barrier before it looks. Over two in turn it cannot.
        self.inputs = (x, g) if repeats == 1 else (in_turn(x), in_turn(g))
        self.calls = calls
        self.call = jax.jit(
            once if repeats == 1 else often,
            donate_argnums=range(2, 2 + count),
            keep_unused=True,
            compiler_options=options,
        )
        self.last = tuple(jnp.zeros_like(x) for _ in range(count))

    def __call__(self) -> None:
        for _ in range(self.calls):
            self.last = self.call(*self.inputs, *self.last)
        jax.block_until_ready(self.last)


class Torch:
    """The same in torch, forward and backward by its autograd, on "cpu" or "gpu"."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        kind: str,
        x: Any,
        g: Any,
        repeats: int,
        device: str = "cpu",
    ):
        import torch

        self.torch, self.function, self.kind = torch, function, kind
        self.on_gpu = device == "gpu"
        where = "cuda" if self.on_gpu else "cpu"
        x, g = (rivals.torch_array(torch, a).to(where) for a in (x, g))
        self.x, self.g = x.requires_grad_(kind == "vjp"), g
        self.repeats = repeats

    def __call__(self) -> None:
        for _ in range(self.repeats):
            y = self.function(self.x)
            if self.kind == "vjp":
                self.torch.autograd.grad(y, self.x, self.g)
        if self.on_gpu:
            self.torch.cuda.synchronize()


def compiled_torch(
    name: str, call: Callable[[Any], Any], made: Callable[[Any], Torch]
) -> Torch | None:
    """torch.compile's, or a line that says why not."""
    import torch

    # Past its limit of recompilations it would silently run as without it.
    torch.compiler.reset()
    contender = made(torch.compile(call))
    try:
        contender()
    except Exception as error:
        reason = " ".join(str(error).split())[:150]
        print(f"{name}: torch.compile does not work here: {reason}", file=sys.stderr)
        return None
    return contender


def contenders(
    name: str,
    settings: dict[str, Any],
    kind: str,
    x: Any,
    g: Any,
    repeats: int,
    libraries: tuple[str, ...],
    calls: int = 1,
    device: str = "cpu",
    options: dict[str, Any] | None = None,
) -> dict[str, Callable[[], None]]:
    """Ours, the copy, and whoever else has the function and was asked for.

    What is JAX's is compiled with the given options of XLA, and ours also without.

    For derivatives beyond the first, "value" is ours, the unit of their goal. The copy
    scales on the CPU, as a loop of XLA's; on a GPU it is the device's own.
    """

    def donated(
        function: Callable[[Any], Any],
        kind: str = kind,
        options: dict[str, Any] | None = options,
    ) -> Donated:
        return Donated(results(function, kind), x, g, repeats, calls, options)

    def in_torch(function: Callable[[Any], Any]) -> Torch:
        return Torch(function, kind, x, g, repeats * calls, device)

    ours = call_of(jaxacts, name, settings)
    assert ours is not None
    found: dict[str, Callable[[], None]] = {
        "copy": donated(ours, "copy" if device == "cpu" else "plain copy"),
        "jaxacts": donated(ours),
    }
    if options:
        found[WITHOUT_OPTIONS] = donated(ours, options=None)
    if kind in ("jvp", "second"):
        found["value"] = donated(ours, "value")
    theirs = call_of(jax.nn, name, settings)
    if "jax.nn" in libraries and theirs is not None:
        found["jax.nn"] = donated(theirs)
    # Whose jvp would be two backward passes.
    if kind in ("value", "vjp") and (call := rivals.torch_call(name, settings)):
        if "torch" in libraries:
            found["torch"] = in_torch(call)
        if "torch.compile" in libraries:
            compiled = compiled_torch(name, call, in_torch)
            if compiled is not None:
                found["torch.compile"] = compiled
    return found
