"""Flax linen layers of the activations that can learn.

There is a layer for every registered activation with a learnable parameter, made
from its record alone: ``jaxacts.linen.PReLU`` from ``jaxacts.prelu``. Its class
name is the registered name in CamelCase, where ``relu``, ``elu`` and ``lu`` at
the end of a word become ``ReLU``, ``ELU`` and ``LU``. Case and underscores do
not matter for finding it, so the spelling of a paper finds it too.

Needs the extra ``linen``.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxacts import _registry
from jaxacts._spec import Spec

__all__ = ["LearnableActivation", "layer", "layers"]


class LearnableActivation(nn.Module, kw_only=True):
    """An activation whose parameters are trained: the base of every layer here.

    A layer has two kinds of fields besides those below, all by keyword: for a
    learnable parameter ``p`` the field ``p_init``, a number or an initializer
    ``(key, shape, dtype) -> array``; for any other parameter ``q`` the field
    ``q``, its value.

    Args:
      x: float array of any shape.

    Returns:
      An array of the shape of ``x``, of ``dtype`` or else of the dtype of ``x``.

    Raises:
      ValueError: ``axes`` names no axis of ``x``, or one twice.

    Attributes:
      axes: the axes of ``x`` along which the parameters vary; ``()`` for one
        number shared by all of ``x``, ``(-1,)`` for one number a channel. A
        parameter has the shape of ``x`` on these axes, in this order.
      dtype: the dtype to compute and return; ``None`` for that of ``x``.
      param_dtype: the dtype in which the parameters are kept.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxacts.linen
      >>> prelu = jaxacts.linen.PReLU(axes=(-1,), negative_slope_init=0.25)
      >>> y, variables = prelu.init_with_output(jax.random.key(0), -jnp.ones((2, 3)))
      >>> y[0].tolist(), variables["params"]["negative_slope"].shape
      ([-0.25, -0.25, -0.25], (3,))
    """

    axes: tuple[int, ...] = ()
    dtype: Any = None
    param_dtype: Any = jnp.float32

    spec: ClassVar[Spec]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = jnp.asarray(x, self.dtype)
        shape = tuple(x.shape[axis] for axis in self._checked_axes(x.ndim))
        # Sizes of the axes in the order of x, with 1 where parameters are shared.
        order = sorted(range(len(shape)), key=lambda i: self.axes[i] % x.ndim)
        spread = [1] * x.ndim
        for axis, size in zip(self.axes, shape, strict=True):
            spread[axis] = size
        values = {name: getattr(self, name) for name in _settings(self.spec)}
        for parameter in self.spec.learnable:
            initial = getattr(self, f"{parameter.name}_init")
            if not callable(initial):
                initial = nn.initializers.constant(initial)
            value = self.param(parameter.name, initial, shape, self.param_dtype)
            if shape:
                value = value.transpose(order).reshape(spread)
            values[parameter.name] = value
        return self.spec.function(x, **values)

    def _checked_axes(self, rank: int) -> tuple[int, ...]:
        inside = [axis % rank for axis in self.axes if -rank <= axis < rank]
        if len(set(inside)) != len(self.axes):
            raise ValueError(
                f"axes={self.axes} for x of rank {rank}; accepted are different "
                f"axes from {-rank} to {rank - 1}"
            )
        return self.axes


def layers() -> tuple[str, ...]:
    """The registered names of all activations that have a layer, sorted.

    Example:
      >>> import jaxacts.linen
      >>> "prelu" in jaxacts.linen.layers(), "relu" in jaxacts.linen.layers()
      (True, False)
    """
    return tuple(n for n in _registry.names() if _registry.spec(n).learnable)


def layer(activation: str | Callable[..., Any]) -> type[LearnableActivation]:
    """The module class of an activation that can learn.

    Args:
      activation: a registered name or alias, or the function itself.

    Returns:
      A subclass of ``LearnableActivation``; the same one at every call.

    Raises:
      ValueError: the name is unknown, or the activation has nothing to learn.
      TypeError: neither a name nor a registered function.

    Example:
      >>> import jaxacts
      >>> jaxacts.linen.layer("prelu") is jaxacts.linen.PReLU
      True
    """
    spec = _registry.spec(activation)
    if not spec.learnable:
        raise ValueError(
            f"activation={activation!r} has no learnable parameter; "
            f"accepted are {', '.join(layers())}"
        )
    return _layer(spec.name)


@functools.cache
def _layer(name: str) -> type[LearnableActivation]:
    spec = _registry.spec(name)
    fields = dict(_settings(spec))
    fields.update({f"{p.name}_init": p.initial for p in spec.learnable})
    class_name = _class_name(name)
    lines = [f"  {p.name}_init: {p.description}" for p in spec.learnable]
    namespace = {
        "__module__": __name__,
        "__qualname__": class_name,
        "__annotations__": dict.fromkeys(fields, Any),
        "__doc__": f"The layer that learns ``jaxacts.{name}``: ``{spec.formula}``.\n\n"
        "See ``LearnableActivation`` for the fields that all layers have.\n\n"
        "Attributes:\n" + "\n".join(lines),
        "spec": spec,
        **fields,
    }
    made = types.new_class(
        class_name,
        (LearnableActivation,),
        {"kw_only": True},
        lambda body: body.update(namespace),
    )
    return made


def _settings(spec: Spec) -> dict[str, Any]:
    """The parameters that nobody trains, with their defaults."""
    return {p.name: p.default for p in spec.parameters if p.initial is None}


def _class_name(name: str) -> str:
    endings = {"relu": "ReLU", "elu": "ELU", "lu": "LU", "": ""}

    def word(text: str) -> str:
        ending = next(e for e in endings if text.endswith(e))
        return text.removesuffix(ending).capitalize() + endings[ending]

    return "".join(word(text) for text in name.split("_"))


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def __getattr__(name: str) -> type[LearnableActivation]:
    # A lower-case name is a function's; a dunder is looked up by the machinery.
    if not name.startswith("_") and name != name.lower():
        for registered in layers():
            if _plain(registered) == _plain(name):
                return _layer(registered)
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; its layers are "
        f"{', '.join(_class_name(n) for n in layers())}"
    )


def __dir__() -> list[str]:
    return sorted([*__all__, *(_class_name(name) for name in layers())])
