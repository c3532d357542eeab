"""The ResNet of Flax's ImageNet example, written anew from its description.

ResNet v1.5: a 7x7 stem of stride 2 and a 3x3 max-pool of stride 2; bottlenecks whose
stride is on the 3x3 convolution, the last norm of each starting at a scale of zero; a
projection with a norm where the shape changes; the mean over the image; one dense
layer. Batch norm has momentum 0.9, epsilon 1e-5 and, as is Flax's default, the variance
of one pass, E[x²] - E[x]². Windows inside blocks and the pool pad as XLA does ("SAME").

Parameters have the names of ``flax_models.ResNet50``, so that one state fits both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

__all__ = ["FlaxExample"]


class _Setting(nn.Module, kw_only=True):
    """Functions of layers with what all of them share."""

    activation: Callable[[Any], Any]
    dtype: Any = jnp.float32

    def conv(self, features: int, kernel: int, **settings: Any) -> nn.Module:
        window = (kernel, kernel)
        return nn.Conv(features, window, use_bias=False, dtype=self.dtype, **settings)

    def norm(self, train: bool, **settings: Any) -> nn.Module:
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            dtype=self.dtype,
            **settings,
        )


class _Bottleneck(_Setting, kw_only=True):
    """1x1, 3x3 and 1x1 to four times the channels, beside a shortcut."""

    filters: int
    stride: int

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        wide, strides = 4 * self.filters, (self.stride, self.stride)
        y = self.conv(self.filters, 1, name="conv1")(x)
        y = self.activation(self.norm(train, name="norm1")(y))
        y = self.conv(self.filters, 3, strides=strides, name="conv2")(y)
        y = self.activation(self.norm(train, name="norm2")(y))
        y = self.conv(wide, 1, name="conv3")(y)
        y = self.norm(train, scale_init=nn.initializers.zeros, name="norm3")(y)
        if y.shape != x.shape:
            x = self.conv(wide, 1, strides=strides, name="shortcut_conv")(x)
            x = self.norm(train, name="shortcut_norm")(x)
        return self.activation(x + y)


class FlaxExample(_Setting, kw_only=True):
    """The network; by default of 50 layers, for the classes of ImageNet.

    Attributes:
      activation: a function of one array.
      num_classes: size of the output.
      stage_sizes: blocks in each stage; each after the first halves the image.
      width: filters of the first stage, and channels of the stem.
      dtype: of all but parameters and the logits.
    """

    num_classes: int = 1000
    stage_sizes: Sequence[int] = (3, 4, 6, 3)
    width: int = 64

    @nn.compact
    def __call__(self, images: Any, train: bool = False) -> Any:
        x = jnp.asarray(images, self.dtype)
        stem: dict[str, Any] = {"strides": (2, 2), "padding": 3}
        x = self.conv(self.width, 7, **stem, name="stem_conv")(x)
        x = self.activation(self.norm(train, name="stem_norm")(x))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        block = functools.partial(
            _Bottleneck, activation=self.activation, dtype=self.dtype
        )
        for stage, blocks in enumerate(self.stage_sizes):
            for i in range(blocks):
                x = block(
                    filters=self.width << stage,
                    stride=2 if stage and not i else 1,
                    name=f"stage{stage + 1}_block{i + 1}",
                )(x, train)
        x = nn.Dense(self.num_classes, dtype=self.dtype, name="head")(x.mean((1, 2)))
        return x.astype(jnp.float32)
