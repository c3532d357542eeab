"""Residual networks whose every nonlinearity is the activation you ask for.

Two families of He et al.: for ImageNet (a 7x7 stem of stride 2 with a max-pool,
four stages) and for CIFAR (a 3x3 stem, three stages, 6n+2 layers); each as
published first (v1, norm and activation after a convolution, 1512.03385) and with
pre-activation (v2, before it, 1603.05027).

Images are ``[batch, height, width, channels]`` throughout.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from flax_models._layers import Layered, choose

__all__ = [
    "BasicBlock",
    "BottleneckBlock",
    "PreActivationBasicBlock",
    "PreActivationBottleneckBlock",
    "ResNet",
    "ResNet18",
    "ResNet18V2",
    "ResNet20",
    "ResNet20V2",
    "ResNet32",
    "ResNet32V2",
    "ResNet34",
    "ResNet34V2",
    "ResNet44",
    "ResNet44V2",
    "ResNet50",
    "ResNet50V2",
    "ResNet56",
    "ResNet56V2",
    "ResNet101",
    "ResNet101V2",
    "ResNet110",
    "ResNet110V2",
    "ResNet152",
    "ResNet152V2",
    "get",
    "names",
]


class Block(Layered, kw_only=True):
    """The fields of a residual block.

    Attributes:
      filters: channels of the block's 3x3 convolutions.
      stride: stride of the block; it stands on a 3x3 convolution, in bottlenecks
        too (torch does the same; the paper had it on the first 1x1).
      expansion: channels of the output for each of ``filters``.
      preactivation: whether the network must activate the last block's output.
    """

    filters: int
    stride: int = 1

    expansion: ClassVar[int] = 1
    preactivation: ClassVar[bool] = False

    def shortcut_after(self, x: jax.Array, train: bool) -> jax.Array:
        """The shortcut of a v1 block: a projection has a norm of its own."""
        features = self.filters * self.expansion

        def project() -> jax.Array:
            y = self.convolve(x, features, 1, "shortcut_conv", self.stride)
            return self.normalize(y, train, "shortcut_norm")

        return self.carry(x, features, self.stride, project)

    def shortcut_before(self, x: jax.Array, activated: jax.Array) -> jax.Array:
        """The shortcut of a v2 block: a projection takes the activated input."""
        features = self.filters * self.expansion

        def project() -> jax.Array:
            return self.convolve(activated, features, 1, "shortcut_conv", self.stride)

        return self.carry(x, features, self.stride, project)


class BasicBlock(Block, kw_only=True):
    """Two 3x3 convolutions: conv-norm-act, conv-norm, sum, act."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        y = self.convolve(x, self.filters, 3, "conv1", self.stride)
        y = self.normalize(y, train, "norm1")
        y = self.activate(y, "act1")
        y = self.convolve(y, self.filters, 3, "conv2")
        y = self.normalize(y, train, "norm2", last=True)
        return self.activate(y + self.shortcut_after(x, train), "act2")


class BottleneckBlock(Block, kw_only=True):
    """1x1, 3x3 (with the stride) and 1x1 to four times the channels."""

    expansion: ClassVar[int] = 4

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        y = self.convolve(x, self.filters, 1, "conv1")
        y = self.normalize(y, train, "norm1")
        y = self.activate(y, "act1")
        y = self.convolve(y, self.filters, 3, "conv2", self.stride)
        y = self.normalize(y, train, "norm2")
        y = self.activate(y, "act2")
        y = self.convolve(y, self.filters * self.expansion, 1, "conv3")
        y = self.normalize(y, train, "norm3", last=True)
        return self.activate(y + self.shortcut_after(x, train), "act3")


class PreActivationBasicBlock(Block, kw_only=True):
    """Twice norm-act-conv, and a sum that nothing follows."""

    preactivation: ClassVar[bool] = True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        y = self.normalize(x, train, "norm1")
        activated = y = self.activate(y, "act1")
        y = self.convolve(y, self.filters, 3, "conv1", self.stride)
        y = self.normalize(y, train, "norm2")
        y = self.activate(y, "act2")
        y = self.convolve(y, self.filters, 3, "conv2", last=True)
        return y + self.shortcut_before(x, activated)


class PreActivationBottleneckBlock(Block, kw_only=True):
    """Norm-act-conv three times, 1x1, 3x3 (with the stride) and 1x1."""

    expansion: ClassVar[int] = 4
    preactivation: ClassVar[bool] = True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        y = self.normalize(x, train, "norm1")
        activated = y = self.activate(y, "act1")
        y = self.convolve(y, self.filters, 1, "conv1")
        y = self.normalize(y, train, "norm2")
        y = self.activate(y, "act2")
        y = self.convolve(y, self.filters, 3, "conv2", self.stride)
        y = self.normalize(y, train, "norm3")
        y = self.activate(y, "act3")
        y = self.convolve(y, self.filters * self.expansion, 1, "conv3", last=True)
        return y + self.shortcut_before(x, activated)


class ResNet(Layered, kw_only=True):
    """A residual network; the named models below are settings of this one.

    The fields of ``Layered`` (``activation``, ``norm``, ``shortcut``, ``padding``,
    ``zero_init``, ``axis_name``, ``dtype``, ``param_dtype``) belong to it as well.

    Attributes:
      stage_sizes: number of blocks in each stage. Every stage after the first
        halves the image and doubles the channels.
      block: one of the four block classes.
      num_classes: size of the output; ``None`` for a network without a head,
        which returns the pooled features.
      width: filters in the first stage, and channels of the stem.
      stem: ``"imagenet"``, a 7x7 convolution of stride 2 and a 3x3 max-pool of
        stride 2; ``"cifar"``, a 3x3 convolution. With a pre-activation block
        the stem has no norm and no activation of its own: those of the first
        block follow it.
      remat: recompute each block in the backward pass instead of keeping what
        is inside it: less memory, about a third more work. Parameters, their
        names and running statistics are the same. On CPU the memory is only
        saved under ``training.compiler_options(model)``.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import flax_models
      >>> model = flax_models.ResNet(
      ...     stage_sizes=(1,), width=8, stem="cifar", num_classes=10,
      ...     activation="mish",
      ... )
      >>> images = jnp.zeros((2, 8, 8, 1))
      >>> variables = model.init(jax.random.key(0), images)
      >>> model.apply(variables, images, train=False).shape
      (2, 10)
    """

    stage_sizes: Sequence[int]
    block: type[Block] = BasicBlock
    num_classes: int | None = 1000
    width: int = 64
    stem: str = "imagenet"
    remat: bool = False

    def __post_init__(self) -> None:
        choose("stem", self.stem, ("imagenet", "cifar"))
        sizes = self.stage_sizes
        if not isinstance(sizes, Sequence) or not sizes or not all(map(_counts, sizes)):
            raise ValueError(
                f"stage_sizes={sizes!r}; accepted are one or more positive integers"
            )
        if not (isinstance(self.block, type) and issubclass(self.block, Block)):
            raise TypeError(
                f"block={self.block!r}; accepted are the block classes of "
                "flax_models.resnet"
            )
        if not _counts(self.width):
            raise ValueError(f"width={self.width!r}; accepted are positive integers")
        if self.num_classes is not None and not _counts(self.num_classes):
            raise ValueError(
                f"num_classes={self.num_classes!r}; accepted are positive integers, "
                "or None for a network without a head"
            )
        if not isinstance(self.remat, bool):
            raise TypeError(f"remat={self.remat!r}; accepted are True and False")
        super().__post_init__()

    @property
    def reduction(self) -> int:
        """How many pixels of an image's side one pixel of the last stage spans."""
        stem = 4 if self.stem == "imagenet" else 1
        return stem * 2 ** (len(self.stage_sizes) - 1)

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False, return_features: bool = False
    ) -> Any:
        """Classifies images.

        Args:
          images: float array ``[batch, height, width, channels]``, height and
            width at least ``reduction``.
          train: normalise by the statistics of the batch and update the running
            ones (make ``batch_stats`` mutable), instead of using the latter.
          return_features: return ``(logits, features)``.

        Returns:
          Logits ``[batch, num_classes]`` in float32 (float64 where ``dtype`` is);
          without a head, the pooled features. ``features`` maps ``"stem"``,
          ``"stage1"``, ``"stage2"`` and so on to ``[batch, height, width,
          channels]`` in ``dtype``, as they leave the stage (of a pre-activation
          network: before the next activation), and ``"pooled"`` to what the head
          receives, ``[batch, channels]`` in float32.

        Raises:
          ValueError: for images of another rank or dtype, or too small ones.
        """
        self._check(images)
        features: dict[str, jax.Array] = {}
        x = features["stem"] = self._stem(jnp.asarray(images, self.dtype), train)
        block = nn.remat(self.block, static_argnums=(2,)) if self.remat else self.block
        for stage, blocks in enumerate(self.stage_sizes):
            for i in range(blocks):
                x = block(
                    filters=self.width * 2**stage,
                    stride=2 if stage > 0 and i == 0 else 1,
                    name=f"stage{stage + 1}_block{i + 1}",
                    **self.settings(),
                )(x, train)
            features[f"stage{stage + 1}"] = x
        if self.block.preactivation:
            x = self.normalize(x, train, "head_norm")
            x = self.activate(x, "head_act")
        x = features["pooled"] = x.astype(self.full_dtype).mean(axis=(1, 2))
        if self.num_classes is not None:
            x = nn.Dense(
                self.num_classes,
                dtype=self.full_dtype,
                param_dtype=self.param_dtype,
                name="head",
            )(x)
        return (x, features) if return_features else x

    def _stem(self, x: jax.Array, train: bool) -> jax.Array:
        large = self.stem == "imagenet"
        kernel, stride = (7, 2) if large else (3, 1)
        x = self.convolve(x, self.width, kernel, "stem_conv", stride)
        if not self.block.preactivation:
            x = self.normalize(x, train, "stem_norm")
            x = self.activate(x, "stem_act")
        return nn.max_pool(x, (3, 3), (2, 2), self.pads(3)) if large else x

    def _check(self, images: jax.Array) -> None:
        shape, dtype = jnp.shape(images), jnp.result_type(images)
        if len(shape) != 4:
            raise ValueError(
                f"images have shape {shape}; accepted is "
                "[batch, height, width, channels]"
            )
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                f"images have dtype {dtype}; accepted are floats: scale integer "
                "pixels first, such as images.astype('float32') / 255"
            )
        if min(shape[1:3]) < self.reduction:
            hint = " or stem='cifar'" if self.stem == "imagenet" else ""
            raise ValueError(
                f"images have shape {shape}, smaller than this network can halve; "
                f"accepted are height and width of at least {self.reduction}{hint}"
            )


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_MODELS: dict[str, Callable[..., ResNet]] = {}


def _named(name: str, origin: str, **defaults: Any) -> Callable[..., ResNet]:
    """Registers a named model: a ``ResNet`` with other defaults."""

    def build(**settings: Any) -> ResNet:
        return ResNet(**{**defaults, **settings})

    shown = ", ".join(
        f"{field}={value.__name__ if isinstance(value, type) else repr(value)}"
        for field, value in defaults.items()
    )
    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"{name} of {origin}: ``ResNet({shown}, **settings)``."
    _MODELS[name.lower()] = build
    return build


def _imagenet(
    name: str, stage_sizes: tuple[int, ...], block: type[Block]
) -> Callable[..., ResNet]:
    origin = "1603.05027" if block.preactivation else "1512.03385"
    return _named(name, f"{origin} for ImageNet", stage_sizes=stage_sizes, block=block)


def _cifar(name: str, depth: int, block: type[Block]) -> Callable[..., ResNet]:
    # The papers use the shortcut without parameters on CIFAR.
    return _named(
        name,
        f"{'1603.05027' if block.preactivation else '1512.03385'} for CIFAR",
        stage_sizes=((depth - 2) // 6,) * 3,
        block=block,
        num_classes=10,
        width=16,
        stem="cifar",
        shortcut="pad",
    )


ResNet18 = _imagenet("ResNet18", (2, 2, 2, 2), BasicBlock)
ResNet34 = _imagenet("ResNet34", (3, 4, 6, 3), BasicBlock)
ResNet50 = _imagenet("ResNet50", (3, 4, 6, 3), BottleneckBlock)
ResNet101 = _imagenet("ResNet101", (3, 4, 23, 3), BottleneckBlock)
ResNet152 = _imagenet("ResNet152", (3, 8, 36, 3), BottleneckBlock)

ResNet18V2 = _imagenet("ResNet18V2", (2, 2, 2, 2), PreActivationBasicBlock)
ResNet34V2 = _imagenet("ResNet34V2", (3, 4, 6, 3), PreActivationBasicBlock)
ResNet50V2 = _imagenet("ResNet50V2", (3, 4, 6, 3), PreActivationBottleneckBlock)
ResNet101V2 = _imagenet("ResNet101V2", (3, 4, 23, 3), PreActivationBottleneckBlock)
ResNet152V2 = _imagenet("ResNet152V2", (3, 8, 36, 3), PreActivationBottleneckBlock)

ResNet20 = _cifar("ResNet20", 20, BasicBlock)
ResNet32 = _cifar("ResNet32", 32, BasicBlock)
ResNet44 = _cifar("ResNet44", 44, BasicBlock)
ResNet56 = _cifar("ResNet56", 56, BasicBlock)
ResNet110 = _cifar("ResNet110", 110, BasicBlock)

ResNet20V2 = _cifar("ResNet20V2", 20, PreActivationBasicBlock)
ResNet32V2 = _cifar("ResNet32V2", 32, PreActivationBasicBlock)
ResNet44V2 = _cifar("ResNet44V2", 44, PreActivationBasicBlock)
ResNet56V2 = _cifar("ResNet56V2", 56, PreActivationBasicBlock)
ResNet110V2 = _cifar("ResNet110V2", 110, PreActivationBasicBlock)


def names() -> tuple[str, ...]:
    """The names of all models, sorted by depth.

    Example:
      >>> import flax_models
      >>> flax_models.names()[:4]
      ('resnet18', 'resnet18v2', 'resnet20', 'resnet20v2')
    """
    return tuple(sorted(_MODELS, key=lambda n: (int(n[6:].partition("v")[0]), n)))


def get(name: str) -> Callable[..., ResNet]:
    """The function that builds a named model.

    Args:
      name: one of ``names()``, in any case.

    Returns:
      A function of keyword settings, the fields of ``ResNet``.

    Raises:
      ValueError: the name is unknown; the message has the nearest ones.
      TypeError: ``name`` is no string.

    Example:
      >>> import flax_models
      >>> model = flax_models.get("resnet20")(activation="gelu")
      >>> model.stage_sizes
      (3, 3, 3)
    """
    if not isinstance(name, str):
        raise TypeError(f"name={name!r}; accepted are {', '.join(names())}")
    try:
        return _MODELS[name.lower()]
    except KeyError:
        near = difflib.get_close_matches(name.lower(), names(), n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise ValueError(
            f"name={name!r} is no model; {hint}accepted are {', '.join(names())}"
        ) from None
