"""The layers as NNX modules, through flax.nnx.bridge."""

import importlib.util
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxacts
import jaxacts.linen

PATH = Path(__file__).parents[1] / "examples" / "nnx_bridge.py"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("nnx_bridge", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["nnx_bridge"] = module
    spec.loader.exec_module(module)
    # Optax's Adam raises a float to an int32 power, which "strict" forbids.
    with jax.numpy_dtype_promotion("standard"):
        yield module
    del sys.modules["nnx_bridge"]


def test_the_example_learns_and_says_what(example, capsys):
    example.main(["--steps", "150"])
    lines = capsys.readouterr().out.splitlines()
    start, end = (float(word) for word in lines[0].split() if word[0].isdigit())
    assert end < 0.5 * start
    assert "β from" in lines[1]
    assert "α = 0.50" not in lines[3]


def test_every_parameter_has_moved(example):
    before, after = (example.Network(nnx.Rngs(0)), example.train(3)[0])
    for name in ("normalize", "first", "second"):
        old, new = (nnx.state(getattr(m, name), nnx.Param) for m in (before, after))
        for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True):
            assert not np.array_equal(a, b)


@pytest.mark.parametrize("name", jaxacts.linen.layers())
def test_every_layer_crosses_the_bridge(name):
    layer = jaxacts.linen.layer(name)(axes=(-1,))
    x = jnp.linspace(-2.0, 2.0, 6).reshape(2, 3)
    model = nnx.bridge.ToNNX(layer, rngs=nnx.Rngs(0)).lazy_init(x)
    want = layer.init_with_output(jax.random.key(0), x)[0]
    np.testing.assert_allclose(model(x), want, rtol=1e-6)
    parameters = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert len(parameters) == len(jaxacts.spec(name).learnable)
    assert all(p.shape[:1] == (3,) for p in parameters)


def test_alpha_dropout_draws_anew_at_every_call():
    dropout = jaxacts.linen.AlphaDropout(0.5, deterministic=False)
    x = jnp.ones((4, 16))
    model = nnx.bridge.ToNNX(dropout, rngs=nnx.Rngs(0, dropout=1)).lazy_init(x)
    first, second = model(x), model(x)
    assert not np.array_equal(first, second)
    assert np.array_equal(model(x, deterministic=True), x)


def test_a_bad_number_of_steps_is_refused(example, capsys):
    with pytest.raises(SystemExit) as stop:
        example.main(["--steps", "0"])
    assert stop.value.code == 2
    assert "--steps: 0" in capsys.readouterr().err
