"""What the argument ``activation`` of a model may be, and what it then does.

Three kinds are told apart by what they are, never by trying them out:

* a **function** of one array (``jax.nn.relu``, a name such as ``"mish"``);
* a **factory** of modules: a module class, ``functools.partial`` of one, or a
  callable that needs no argument and returns a module. It is called anew at
  every place, so each place has its own parameters;
* a module **instance**: the explicit way to share one set of parameters among
  all places.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

import jaxacts

__all__ = ["at_place", "resolve"]

_ACCEPTED = (
    "a name such as 'mish' or 'leaky_relu(negative_slope=0.2)', a function of one "
    "array, a flax.linen module class or another factory of modules that needs no "
    "argument, or a flax.linen module instance to be shared by all places"
)


def _reject(activation: Any, reason: str) -> TypeError:
    return TypeError(f"activation={activation!r} {reason}; accepted are {_ACCEPTED}")


def _is_module_class(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, nn.Module)


def _required(function: Callable[..., Any]) -> tuple[list[str], bool]:
    """Arguments without default, and whether ``*args`` takes any number more."""
    parameters = inspect.signature(function).parameters.values()
    open_ended = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    required = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return required, open_ended


def _layer_of(function: Callable[..., Any], missing: list[str]) -> Any:
    """The layer that learns every missing argument, or ``None``."""
    try:
        spec = jaxacts.spec(function)
    except (TypeError, ValueError):
        return None
    if not set(missing) <= {parameter.name for parameter in spec.learnable}:
        return None
    from jaxacts import linen

    return linen.layer(spec.name)


def resolve(activation: Any) -> tuple[str, Any]:
    """Tells what kind of activation this is, or raises.

    Args:
      activation: see the top of this file.

    Returns:
      ``("function", f)``, ``("factory", make)`` or ``("shared", module)``.

    Raises:
      ValueError: for an unknown name.
      TypeError: for anything that is none of the three kinds.
    """
    if isinstance(activation, nn.Module):
        return "shared", activation
    value = jaxacts.get(activation) if isinstance(activation, str) else activation
    if not callable(value):
        raise _reject(activation, f"is of type {type(value).__name__}")
    target = value.func if isinstance(value, functools.partial) else value
    if _is_module_class(target):
        return "factory", value
    if isinstance(target, type):
        raise _reject(activation, "is a class, and not of a flax.linen module")
    try:
        required, open_ended = _required(value)
    except (TypeError, ValueError):
        # Some compiled callables show no signature; only functions do that.
        return "function", value
    if len(required) == 1 or (open_ended and not required):
        return "function", value
    if not required:
        return "factory", value
    layer = _layer_of(value, required[1:])
    if layer is not None:
        return "factory", layer
    raise _reject(activation, f"needs the arguments {', '.join(required)}")


def at_place(activation: Any, name: str, param_dtype: Any) -> Callable[..., Any]:
    """What to apply at one place of a model: call it inside a compact method.

    Args:
      activation: see the top of this file.
      name: the name of the place, which names the parameters of a new module.
      param_dtype: the dtype of the parameters of a layer chosen by its name.

    Returns:
      A callable of one array.
    """
    kind, value = resolve(activation)
    if kind != "factory":
        return value
    if value is not activation and _is_module_class(value):
        value = functools.partial(value, param_dtype=param_dtype)
    module = value()
    if not isinstance(module, nn.Module):
        raise _reject(
            activation,
            f"needs no argument and returned {type(module).__name__}, not a module",
        )
    # A copy takes the name of its place, and is a new one even where a factory
    # hands out the same instance twice.
    return module.copy(name=name)


def apply_at_place(
    activation: Any, x: jax.Array, name: str, param_dtype: Any
) -> jax.Array:
    """Applies an activation at one place and keeps shape and dtype of ``x``."""
    y = at_place(activation, name, param_dtype)(x)
    if not isinstance(y, jax.Array):
        raise _reject(activation, f"returned {type(y).__name__} for an array")
    if y.shape != x.shape:
        raise ValueError(
            f"activation={activation!r} turned the shape {x.shape} into {y.shape}; "
            "accepted are activations that keep the shape"
        )
    return y.astype(x.dtype)
