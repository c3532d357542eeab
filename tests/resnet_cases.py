"""Tiny networks and quick parameters for the tests of `flax_models.resnet`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import flax_models
from flax_models import resnet

BLOCKS = (
    resnet.BasicBlock,
    resnet.BottleneckBlock,
    resnet.PreActivationBasicBlock,
    resnet.PreActivationBottleneckBlock,
)

# Most of the time of these tests is LLVM's, most of that spent on random bits:
# without its optimisations a network's ``init`` compiles about ten times faster.
quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def tiny(activation=jax.nn.relu, **settings):
    """Two stages of one block, made for 8x8 images."""
    defaults = {"stage_sizes": (1, 1), "width": 4, "stem": "cifar", "num_classes": 3}
    return flax_models.ResNet(activation=activation, **{**defaults, **settings})


def pictures(batch=2, side=8, channels=1, seed=7):
    shape = (batch, side, side, channels)
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def shapes(model, images):
    return jax.eval_shape(model.init, jax.random.key(0), images)


def draw(model, images):
    """Variables of random size everywhere, without compiling ``init``."""
    rng = np.random.default_rng(0)

    def leaf(path, like):
        name = path[-1].key
        noise = rng.normal(size=like.shape)
        if name == "kernel":
            fan_out = np.prod(like.shape) / like.shape[-2]
            noise *= np.sqrt(2 / fan_out)
        else:
            centre = {"scale": 1.0, "var": 1.0, "negative_slope": 0.2, "beta": 1.0}
            noise = centre.get(name, 0.0) + 0.1 * np.clip(noise, -1.5, 1.5)
        return jnp.asarray(noise, like.dtype)

    return jax.tree.map_with_path(leaf, shapes(model, images))


def run(model, variables, images, **how):
    return quick_jit(lambda v, x: model.apply(v, x, **how))(variables, images)


def parameter_count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
