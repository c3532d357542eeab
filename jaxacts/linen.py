"""Flax linen layers: activations that can learn, and what stands beside them.

`AlphaDropout` goes with selu; `DyT` and `Derf` stand in the place of a normalization.
Besides, there is a layer for every registered activation with a learnable
parameter, made from its record alone: ``jaxacts.linen.PReLU`` from
``jaxacts.prelu``. Its class name is the registered name in CamelCase, where
``relu``, ``elu``, ``lu`` and ``smu`` at the end of a word become ``ReLU``, ``ELU``,
``LU`` and ``SMU``. Case and underscores do not matter for finding it, so the
spelling of a paper finds it too.

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
from jaxacts._elementwise import compute_dtype
from jaxacts._gaussian import erf
from jaxacts._spec import Parameter, Spec

__all__ = ["AlphaDropout", "Derf", "DyT", "LearnableActivation", "layer", "layers"]

Initializer = Callable[..., jax.Array]


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
        parameter has the shape of ``x`` on these axes, in this order; one of
        several numbers, such as the coefficients of rational, has a last axis
        of them.
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
        settings = {name: getattr(self, name) for name in _settings(self.spec)}
        values = dict(settings)
        # Bounds that are parameters themselves come before what they bound.
        for parameter in sorted(
            self.spec.learnable, key=lambda p: isinstance(p.above, str)
        ):
            values[parameter.name] = self._value(parameter, shape, values)
        for name, value in values.items():
            if shape and name not in settings:
                inner = tuple(range(len(shape), value.ndim))
                values[name] = value.transpose((*order, *inner)).reshape(
                    (*spread, *value.shape[len(shape) :])
                )
        return self.spec.function(x, **values)

    def _value(
        self, parameter: Parameter, shape: tuple[int, ...], values: dict[str, Any]
    ) -> jax.Array:
        initial = getattr(self, f"{parameter.name}_init")
        if not callable(initial):
            initial = _filled(initial)
        if isinstance(parameter.initial, tuple):
            shape = (*shape, len(parameter.initial))
        bound = parameter.above
        if bound is None:
            return self.param(parameter.name, initial, shape, self.param_dtype)
        low = jnp.asarray(
            values[bound] if isinstance(bound, str) else bound, self.param_dtype
        )

        def stored(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
            above = initial(key, shape, dtype) - low
            # The inverse of softplus.
            return above + _registry.spec("log1mexp").function(above)

        raw = self.param(parameter.name, stored, shape, self.param_dtype)
        return low + _registry.spec("softplus").function(raw)

    def _checked_axes(self, rank: int) -> tuple[int, ...]:
        inside = [axis % rank for axis in self.axes if -rank <= axis < rank]
        if len(set(inside)) != len(self.axes):
            raise ValueError(
                f"axes={self.axes} for x of rank {rank}; accepted are different "
                f"axes from {-rank} to {rank - 1}"
            )
        return self.axes


class _ScaledSigmoid(nn.Module, kw_only=True):
    """f(αx + s)·γ + β, in float32 for 16-bit inputs and rounded once."""

    alpha_init: float = 0.5
    scale_init: Initializer = nn.initializers.ones_init()
    bias_init: Initializer = nn.initializers.zeros_init()
    dtype: Any = None
    param_dtype: Any = jnp.float32

    shifted: ClassVar[bool]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = jnp.asarray(x, self.dtype)
        if not jnp.issubdtype(x.dtype, jnp.floating) or x.ndim == 0:
            raise TypeError(
                f"{type(self).__name__}: x has dtype {x.dtype} and shape {x.shape}; "
                "give a floating array with an axis of features"
            )
        wide = compute_dtype(x.dtype)
        constant = nn.initializers.constant
        known: list[tuple[str, Initializer, tuple[int, ...]]] = [
            ("alpha", constant(self.alpha_init), ()),
            ("scale", self.scale_init, x.shape[-1:]),
            ("bias", self.bias_init, x.shape[-1:]),
        ]
        if self.shifted:
            known.append(("shift", constant(0.0), ()))
        # A leading axis of 1 for each other axis of x, for strict rank promotion.
        p = {
            name: self.param(name, init, shape, self.param_dtype)
            .astype(wide)
            .reshape((1,) * (x.ndim - len(shape)) + shape)
            for name, init, shape in known
        }
        inner = p["alpha"] * x.astype(wide)
        if self.shifted:
            inner = inner + p["shift"]
        return (self._sigmoid(inner) * p["scale"] + p["bias"]).astype(x.dtype)

    @staticmethod
    def _sigmoid(x: jax.Array) -> jax.Array:
        raise NotImplementedError


class DyT(_ScaledSigmoid, kw_only=True):
    """Dynamic tanh, tanh(αx)·γ + β, in the place of a normalization.

    Zhu et al., Transformers without Normalization, 2025. α is one number, γ and β
    (``scale`` and ``bias``) are one a feature, the last axis.

    Args:
      x: floating array of one axis or more.

    Returns:
      An array of the shape of ``x``, of ``dtype`` or else of the dtype of ``x``.

    Raises:
      TypeError: ``x`` is not floating, or has no axis.

    Attributes:
      alpha_init: where α starts.
      scale_init, bias_init: initializers of γ and β.
      dtype: the dtype to return; ``None`` for that of ``x``.
      param_dtype: the dtype in which the parameters are kept.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxacts.linen
      >>> x = jnp.array([[-100.0, 0.0, 2.0]])
      >>> y, _ = jaxacts.linen.DyT().init_with_output(jax.random.key(0), x)
      >>> [round(float(v), 4) for v in y[0]]
      [-1.0, 0.0, 0.7616]
    """

    shifted: ClassVar[bool] = False

    @staticmethod
    def _sigmoid(x: jax.Array) -> jax.Array:
        return _registry.spec("tanh").function(x)


class Derf(_ScaledSigmoid, kw_only=True):
    """Dynamic erf, erf(αx + s)·γ + β, in the place of a normalization.

    arXiv:2512.10938. α and s (``shift``) are one number each, γ and β (``scale`` and
    ``bias``) one a feature, the last axis. s starts at 0. See `DyT` for the fields.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxacts.linen
      >>> x = jnp.array([[-100.0, 0.0, 2.0]])
      >>> y, _ = jaxacts.linen.Derf().init_with_output(jax.random.key(0), x)
      >>> [round(float(v), 4) for v in y[0]]
      [-1.0, 0.0, 0.8427]
    """

    shifted: ClassVar[bool] = True

    @staticmethod
    def _sigmoid(x: jax.Array) -> jax.Array:
        return erf(x)


class AlphaDropout(nn.Module):
    """Dropout that keeps mean 0 and variance 1, for layers with selu.

    Klambauer et al., arXiv:1706.02515. What is dropped becomes selu's limit on the
    left, -1.7581, and the whole is scaled and shifted back. Dropping zeros, as
    ``nn.Dropout`` does, moves the variance instead.

    Args:
      x: floating array of any shape.
      deterministic: with True, ``x`` comes back; overrides the field.

    Returns:
      An array of the shape and dtype of ``x``.

    Raises:
      ValueError: ``rate`` is not in [0, 1), or ``deterministic`` is given neither
        here nor as a field.

    Attributes:
      rate: the probability to drop, 0 <= rate < 1.
      broadcast_dims: axes along which all is dropped or nothing.
      deterministic: whether nothing is dropped.
      rng_collection: the name of the random stream.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import jaxacts.linen
      >>> dropout = jaxacts.linen.AlphaDropout(0.5, deterministic=False)
      >>> y = dropout.apply({}, jnp.zeros(4), rngs={"dropout": jax.random.key(0)})
      >>> sorted({round(float(v), 4) for v in y})
      [-0.7792, 0.7792]
    """

    rate: float
    broadcast_dims: tuple[int, ...] = ()
    deterministic: bool | None = None
    rng_collection: str = "dropout"

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool | None = None) -> jax.Array:
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate={self.rate}; give 0 <= rate < 1")
        if deterministic is None:
            deterministic = self.deterministic
        if deterministic is None:
            raise ValueError(
                "deterministic is given neither as a field nor at the call; "
                "give True or False"
            )
        if deterministic or self.rate == 0:
            return x
        limits = _registry.spec("selu").limits
        assert limits is not None
        dropped = limits().minus_infinity[0]
        keep = 1.0 - self.rate
        factor = (keep + dropped**2 * keep * self.rate) ** -0.5
        shift = -factor * self.rate * dropped
        axes = {axis % x.ndim for axis in self.broadcast_dims}
        shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
        kept = jax.random.bernoulli(self.make_rng(self.rng_collection), keep, shape)
        constant = jnp.asarray(factor * dropped + shift, x.dtype)
        return jnp.where(kept, factor * x + shift, constant)


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
    lines = [f"  {p.name}_init: {_described(p)}" for p in spec.learnable]
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


def _filled(value: Any) -> Initializer:
    """The initializer to one number, or to an array that broadcasts."""

    def initializer(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray(value, dtype), shape)

    return initializer


def _described(parameter: Parameter) -> str:
    if parameter.above is None:
        return parameter.description
    return (
        f"{parameter.description}; kept above {parameter.above}, as the inverse "
        "softplus of the difference"
    )


def _settings(spec: Spec) -> dict[str, Any]:
    """The parameters that nobody trains, with their defaults."""
    return {p.name: p.default for p in spec.parameters if p.initial is None}


def _class_name(name: str) -> str:
    endings = {"relu": "ReLU", "elu": "ELU", "lu": "LU", "smu": "SMU", "": ""}

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
