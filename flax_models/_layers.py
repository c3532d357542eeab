"""What every block of a network shares: convolution, norm and activation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flax_models._activation import apply_at_place, resolve

__all__ = ["Layered", "group_count"]

# He et al. 2015 (1502.01852), the "fan out" form, from an untruncated normal as
# torch draws it.
_he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def group_count(channels: int, most: int = 32) -> int:
    """How many groups ``norm="group"`` makes of ``channels`` channels.

    The 32 of Wu and He (1803.08494), or the largest smaller number that divides
    ``channels`` and leaves two channels in each group: a group of one channel
    would lose every signal where an image has shrunk to one pixel.

    Example:
      >>> [group_count(channels) for channels in (256, 64, 48, 16, 7)]
      [32, 32, 24, 8, 1]
    """
    limit = max(1, min(most, channels // 2))
    return next(n for n in range(limit, 0, -1) if channels % n == 0)


def choose(argument: str, value: Any, accepted: tuple[str, ...]) -> None:
    """Raises ValueError where ``value`` is none of the accepted words."""
    if value not in accepted:
        words = ", ".join(repr(word) for word in accepted)
        raise ValueError(f"{argument}={value!r} is unknown; accepted are {words}")


def _check_norm(norm: Any) -> None:
    if isinstance(norm, str):
        choose("norm", norm, ("batch", "group"))
    elif isinstance(norm, nn.Module) or not callable(norm):
        raise TypeError(
            f"norm={norm!r} is not accepted; accepted are 'batch', 'group', a "
            "flax.linen module class or another factory of modules that needs no "
            "argument"
        )


def _check_dtype(argument: str, value: Any) -> None:
    accepted = "accepted are float dtypes, such as jax.numpy.bfloat16"
    try:
        dtype = jnp.dtype(value)
    except TypeError:
        raise TypeError(f"{argument}={value!r} is no dtype; {accepted}") from None
    if value is None or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{argument}={value!r}; {accepted}")


class Layered(nn.Module, kw_only=True):
    """The settings that a network hands to each of its blocks.

    Attributes:
      activation: a name (``"mish"``, ``"leaky_relu(negative_slope=0.2)"``), a
        function of one array, or a factory of modules: a module class,
        ``functools.partial`` of one, or a callable without arguments that
        returns a module. It stands at every nonlinearity. A factory is called
        anew at each place, so that each has parameters of its own; a module
        *instance* is shared by all places. A name whose function cannot be
        called without a parameter (``"prelu"``) stands for its layer from
        ``jaxacts.linen``.
      norm: ``"batch"`` (momentum 0.9 and epsilon 1e-5, which torch calls 0.1
        and 1e-5), ``"group"`` (see ``group_count``), or a factory of modules.
        Of a module from a factory the fields ``use_running_average``, ``dtype``
        and, where it keeps running statistics, ``axis_name`` are filled in if
        they are ``None``, and ``scale_init`` where ``zero_init`` asks for it.
      shortcut: what carries the input past a block that changes its shape:
        ``"projection"``, a strided 1x1 convolution (option B of 1512.03385), or
        ``"pad"``, every stride-th pixel with zeros for the new channels (option
        A, without parameters).
      padding: ``"torch"`` pads (k-1)/2 on both sides; ``"SAME"`` as XLA does,
        which at stride 2 pads an even size on the far side only.
      zero_init: start each block as its shortcut alone: the last norm's scale
        is zero. A pre-activation block has its last convolution zero instead:
        behind a zero scale stands an activation, and relu's slope of 0 at 0
        would keep the branch dead for ever.
      axis_name: the axis of ``pmap`` or ``shard_map`` over which batch
        statistics are averaged; ``None`` for plain ``jit``, where statistics
        are those of the whole batch anyway, sharded or not.
      dtype: the dtype of activations. Norms compute in at least float32.
      param_dtype: the dtype of parameters. Those of norms, and running
        statistics, have at least float32.
    """

    activation: Any = "relu"
    norm: Any = "batch"
    shortcut: str = "projection"
    padding: str = "torch"
    zero_init: bool = True
    axis_name: str | None = None
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        resolve(self.activation)
        _check_norm(self.norm)
        choose("shortcut", self.shortcut, ("projection", "pad"))
        choose("padding", self.padding, ("torch", "SAME"))
        _check_dtype("dtype", self.dtype)
        _check_dtype("param_dtype", self.param_dtype)
        super().__post_init__()

    def settings(self) -> dict[str, Any]:
        """The fields of this class, for a block of the same settings."""
        names = {field.name for field in dataclasses.fields(Layered)}
        return {name: getattr(self, name) for name in names - {"parent", "name"}}

    @property
    def full_dtype(self) -> Any:
        """The dtype of norms and of the head: at least float32."""
        return self.dtype if jnp.finfo(self.dtype).bits > 32 else jnp.float32

    def pads(self, kernel: int) -> Any:
        """The padding argument for a window of ``kernel`` pixels a side."""
        side = (kernel - 1) // 2
        return [(side, side)] * 2 if self.padding == "torch" else "SAME"

    def convolve(
        self,
        x: jax.Array,
        features: int,
        kernel: int,
        name: str,
        stride: int = 1,
        last: bool = False,
    ) -> jax.Array:
        """A convolution without bias: a norm follows, here or in the next block.

        ``last`` marks the end of a pre-activation branch.
        """
        zero = last and self.zero_init
        return nn.Conv(
            features,
            (kernel, kernel),
            (stride, stride),
            padding=self.pads(kernel),
            use_bias=False,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            kernel_init=nn.initializers.zeros if zero else _he_normal,
            name=name,
        )(x)

    def normalize(
        self, x: jax.Array, train: bool, name: str, last: bool = False
    ) -> jax.Array:
        """The norm at one place, in at least float32."""
        full = self.full_dtype
        norm: nn.Module
        if self.norm == "batch":
            norm = nn.BatchNorm(
                momentum=0.9,
                epsilon=1e-5,
                param_dtype=full,
                # E[x^2] - E[x]^2 cancels where the mean is large against the
                # deviation; the second pass costs a training step about 5% on CPU.
                use_fast_variance=False,
                # True would hold running statistics in float32 and mix them with
                # batch statistics in float64 where the whole model has float64.
                force_float32_reductions=full == jnp.float32,
                parent=None,
            )
        elif self.norm == "group":
            groups = group_count(x.shape[-1])
            norm = nn.GroupNorm(
                groups,
                epsilon=1e-5,
                param_dtype=full,
                use_fast_variance=False,
                parent=None,
            )
        else:
            norm = self.norm()
            if not isinstance(norm, nn.Module):
                raise TypeError(
                    f"norm={self.norm!r} returned {type(norm).__name__}; accepted "
                    "are factories that return a flax.linen module"
                )
        fields = {field.name for field in dataclasses.fields(norm)}
        fill: dict[str, Any] = {"dtype": full}
        if "use_running_average" in fields:
            fill["use_running_average"] = not train
            # Norms of single examples have this field as well, for examples that
            # are split over devices: there it would mix different examples.
            fill["axis_name"] = self.axis_name
        update = {
            field: value
            for field, value in fill.items()
            if field in fields and getattr(norm, field) is None
        }
        if last and self.zero_init and "scale_init" in fields:
            update["scale_init"] = nn.initializers.zeros
        norm = norm.copy(name=name, **update)
        return norm(x.astype(full)).astype(self.dtype)

    def activate(self, x: jax.Array, name: str) -> jax.Array:
        """The activation at one place."""
        return apply_at_place(self.activation, x, name, self.param_dtype)

    def carry(
        self,
        x: jax.Array,
        features: int,
        stride: int,
        project: Callable[[], jax.Array],
    ) -> jax.Array:
        """The input of a block in the shape of its output."""
        channels = x.shape[-1]
        if stride == 1 and channels == features:
            return x
        if self.shortcut == "projection":
            return project()
        if features < channels:
            raise ValueError(
                f"shortcut='pad' cannot lead {channels} channels into {features}; "
                "accepted are widths that do not fall, or shortcut='projection'"
            )
        new_channels = [(0, 0)] * 3 + [(0, features - channels)]
        return jnp.pad(x[:, ::stride, ::stride], new_channels)
