"""The same functions in other libraries, for docs/accuracy.py to measure.

jax.nn is always there. torch and keras are measured where they are installed:

    pip install torch keras     # the CPU build of torch is enough
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import importlib.util
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import jaxacts
from jaxacts.verify import accuracy
from jaxacts.verify.candidate import EvaluationError
from jaxacts.verify.target import Target

ORDERS = (0, 1, 2)

# Our name to torch's call, where it is not torch.nn.functional's of that name.
_TORCH: Mapping[str, Callable[..., Any]] = {
    "elu": lambda t, x, alpha: t.nn.functional.elu(x, alpha),
    "celu": lambda t, x, alpha: t.nn.functional.celu(x, alpha),
    "gelu": lambda t, x, approximate: t.nn.functional.gelu(
        x, approximate="tanh" if approximate else "none"
    ),
    "hard_shrink": lambda t, x, lambd: t.nn.functional.hardshrink(x, lambd),
    "hard_sigmoid": lambda t, x: t.nn.functional.hardsigmoid(x),
    "hard_silu": lambda t, x: t.nn.functional.hardswish(x),
    "hard_tanh": lambda t, x: t.nn.functional.hardtanh(x),
    "leaky_relu": lambda t, x, negative_slope: t.nn.functional.leaky_relu(
        x, negative_slope
    ),
    "log_sigmoid": lambda t, x: t.nn.functional.logsigmoid(x),
    "mish": lambda t, x: t.nn.functional.mish(x),
    "relu": lambda t, x: t.relu(x),
    "relu6": lambda t, x: t.nn.functional.relu6(x),
    "selu": lambda t, x: t.nn.functional.selu(x),
    "sigmoid": lambda t, x: t.sigmoid(x),
    "silu": lambda t, x: t.nn.functional.silu(x),
    "soft_shrink": lambda t, x, lambd: t.nn.functional.softshrink(x, lambd),
    "soft_sign": lambda t, x: t.nn.functional.softsign(x),
    "softplus": lambda t, x: t.nn.functional.softplus(x),
    "tanh": lambda t, x: t.tanh(x),
    "tanh_shrink": lambda t, x: t.nn.functional.tanhshrink(x),
}


def torch_array(torch: Any, x: Any) -> Any:
    x = np.array(x)
    if x.dtype.name == "bfloat16":  # which NumPy does not know by itself
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def _numpy_array(torch: Any, y: Any, dtype: Any) -> np.ndarray:
    y = y.detach()
    if y.dtype == torch.bfloat16:
        return y.view(torch.int16).numpy().view(dtype)
    return y.numpy()


def _torch_derivative(call: Callable[..., Any], order: int) -> Callable[..., jax.Array]:
    """The derivative by torch's autograd, as a function of JAX arrays."""
    import torch

    def on_host(x: Any, **settings: Any) -> np.ndarray:
        at = torch_array(torch, x).requires_grad_()
        y = call(torch, at, **settings)
        for _ in range(order):
            if not y.requires_grad:
                y = torch.zeros_like(at)
                break
            (y,) = torch.autograd.grad(
                y, at, torch.ones_like(y), create_graph=True, materialize_grads=True
            )
        return _numpy_array(torch, y, np.asarray(x).dtype)

    def derivative(x: jax.Array, **settings: Any) -> jax.Array:
        here = functools.partial(on_host, **settings)
        return jax.pure_callback(here, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    return derivative


def torch_call(name: str, settings: Mapping[str, Any]) -> Callable[[Any], Any] | None:
    """torch's function of that name, where it is installed and has one."""
    call = _TORCH.get(name)
    if call is None or importlib.util.find_spec("torch") is None:
        return None
    import torch

    known = inspect.signature(call).parameters
    defaults = {p.name: p.default for p in jaxacts.spec(name).parameters}
    given = {k: v for k, v in (defaults | dict(settings)).items() if k in known}
    return functools.partial(call, torch, **given)


def _from_torch(target: Target) -> tuple[Callable[..., Any], ...] | None:
    call = _TORCH.get(target.name.partition("(")[0])
    if call is None or importlib.util.find_spec("torch") is None:
        return None
    return tuple(_torch_derivative(call, order) for order in ORDERS)


def _from_module(module: Any, target: Target) -> tuple[Callable[..., Any], ...] | None:
    """A function of JAX arrays; JAX differentiates it."""
    function = getattr(module, target.name.partition("(")[0], None)
    if not callable(function):
        return None
    try:
        inspect.signature(function).bind(None, **target.keywords)
    except (TypeError, ValueError):  # it has no such argument
        return None
    return (function,)


def _from_keras(target: Target) -> tuple[Callable[..., Any], ...] | None:
    if importlib.util.find_spec("keras") is None:
        return None
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    return _from_module(keras.activations, target)


_SOURCES: Mapping[str, Callable[[Target], tuple[Callable[..., Any], ...] | None]] = {
    "jax.nn": lambda target: _from_module(jax.nn, target),
    "torch": _from_torch,
    "keras": _from_keras,
}
NAMES = tuple(_SOURCES)


def _all_keywords(target: Target) -> dict[str, Any]:
    """The keywords with our defaults, which theirs may not be."""
    _, *rest = inspect.signature(target.function).parameters.values()
    defaults = {p.name: p.default for p in rest if p.default is not p.empty}
    return {**defaults, **target.keywords}


def measure(rival: str, target: Target, dtype: str) -> list[accuracy.Measurement]:
    """The errors of another library's function, empty where it has none."""
    target = dataclasses.replace(target, keywords=_all_keywords(target), max_ulp={})
    functions = _SOURCES[rival](target)
    if functions is None:
        return []
    theirs = dataclasses.replace(
        target,
        function=functions[0],
        derivatives=functions if len(functions) > 1 else None,
    )
    # A callback knows one way to run.
    paths = ("jit",) if len(functions) > 1 else accuracy.PATHS
    try:
        return accuracy.measure(theirs, dtype, ORDERS, paths=paths)
    except EvaluationError:  # not for this dtype
        return []


def versions() -> dict[str, str]:
    """Versions of the other libraries that are installed."""
    found = {}
    for name in ("torch", "keras"):
        if importlib.util.find_spec(name):
            found[name] = importlib.metadata.version(name)
    return found
