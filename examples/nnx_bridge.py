"""Activations that learn, in a model written with Flax NNX.

    python examples/nnx_bridge.py

The layers of jaxacts.linen become NNX modules through flax.nnx.bridge.ToNNX; the
functions need nothing of the kind. Trains a small network to tell two spirals apart
and prints what its activations have learned.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from flax import linen, nnx

import jaxacts
import jaxacts.linen

WIDTH = 32


def as_nnx(layer: linen.Module, x: jax.Array, rngs: nnx.Rngs) -> nnx.Module:
    """An NNX module of a linen layer, its parameters made for inputs like x."""
    return nnx.bridge.ToNNX(layer, rngs=rngs).lazy_init(x)


class Network(nnx.Module):
    """Two hidden layers: dynamic tanh before, a swish that learns β after each."""

    def __init__(self, rngs: nnx.Rngs):
        x = jnp.ones((1, WIDTH))
        swish = jaxacts.linen.Swish(axes=(-1,))  # one β a feature
        keep_size = jaxacts.initializers.he_normal("swish")
        self.enter = nnx.Linear(2, WIDTH, rngs=rngs)
        self.normalize = as_nnx(jaxacts.linen.DyT(), x, rngs)
        self.first = as_nnx(swish, x, rngs)
        self.middle = nnx.Linear(WIDTH, WIDTH, kernel_init=keep_size, rngs=rngs)
        self.second = as_nnx(swish, x, rngs)
        self.leave = nnx.Linear(WIDTH, 1, kernel_init=keep_size, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.first(self.normalize(self.enter(x)))
        x = self.second(self.middle(x))
        return self.leave(x)[:, 0]


def spirals(count: int, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points on two spirals, and which one each is on."""
    angle = jax.random.uniform(key, (count,), minval=0.5, maxval=9.0)
    label = jnp.float32(jnp.arange(count) % 2)
    turned = angle + jnp.pi * label
    points = jnp.stack([jnp.cos(turned), jnp.sin(turned)], axis=1)
    return points * angle[:, None] / 9.0, label


def loss(model: Network, x: jax.Array, label: jax.Array) -> jax.Array:
    """The mean cross-entropy of the two classes."""
    return jaxacts.softplus((1.0 - 2.0 * label) * model(x)).mean()


@nnx.jit
def step(model: Network, optimizer: nnx.Optimizer, x: jax.Array, label: jax.Array):
    value, gradients = nnx.value_and_grad(loss)(model, x, label)
    optimizer.update(model, gradients)
    return value


def train(steps: int, seed: int = 0) -> tuple[Network, list[float]]:
    """The trained network and its loss at every step."""
    model = Network(nnx.Rngs(seed))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    x, label = spirals(512, jax.random.key(seed))
    return model, [float(step(model, optimizer, x, label)) for _ in range(steps)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error(f"argument --steps: {options.steps}; give 1 or more")
    model, losses = train(options.steps, options.seed)
    print(f"loss {losses[0]:.3f} at the start, {losses[-1]:.3f} at the end")
    for name, layer in (("first", model.first), ("second", model.second)):
        beta = layer.beta[...]
        print(f"{name} swish: β from {beta.min():.2f} to {beta.max():.2f}")
    print(f"dynamic tanh: α = {model.normalize.alpha[...]:.2f}")


if __name__ == "__main__":
    main()
