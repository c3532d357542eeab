"""Dynamic tanh and erf in the place of a normalization, and dropout for selu."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxacts
from jaxacts import initializers
from jaxacts._gaussian import erf
from jaxacts.linen import AlphaDropout, Derf, DyT

PLAIN = {DyT: math.tanh, Derf: math.erf}


@pytest.mark.parametrize("layer", [DyT, Derf])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_a_dynamic_sigmoid_is_its_formula_at_every_feature(layer, dtype):
    x = jnp.linspace(-3.0, 3.0, 24).reshape(2, 4, 3).astype(dtype)
    params = {
        "alpha": jnp.float32(0.75),
        "scale": jnp.array([1.0, -2.0, 0.5]),
        "bias": jnp.array([0.0, 3.0, 1.0]),
    }
    shift = 0.0
    if layer is Derf:
        params["shift"] = jnp.float32(0.25)
        shift = 0.25
    inner = 0.75 * np.asarray(x, np.float64) + shift
    want = np.vectorize(PLAIN[layer])(inner) * np.asarray(params["scale"], np.float64)
    want = want + np.asarray(params["bias"], np.float64)
    module = layer()
    got = module.apply({"params": params}, x)
    assert got.dtype == dtype
    # One rounding to the dtype; the sum with the bias may cancel in float32.
    eps = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(got.astype(jnp.float32), want, rtol=eps, atol=4e-7)


@pytest.mark.parametrize("layer", [DyT, Derf])
def test_a_dynamic_sigmoid_starts_as_published_and_learns_everything(layer):
    x = jnp.linspace(-3.0, 3.0, 10).reshape(2, 5)
    params = layer(param_dtype=jnp.float16).init(jax.random.key(0), x)["params"]
    start = {name: set(np.asarray(p).ravel().tolist()) for name, p in params.items()}
    known = {"alpha": {0.5}, "scale": {1.0}, "bias": {0.0}}
    assert start == known | ({"shift": {0.0}} if layer is Derf else {})
    assert params["alpha"].shape == ()
    assert params["scale"].shape == (5,)
    assert all(p.dtype == jnp.float16 for p in params.values())

    def loss(params):
        return ((layer().apply({"params": params}, x) - x - 1.0) ** 2).sum()

    for gradient in jax.tree.leaves(jax.jit(jax.grad(loss))(params)):
        assert float(jnp.abs(gradient).min()) > 0


@pytest.mark.parametrize("layer", [DyT, Derf])
def test_a_dynamic_sigmoid_returns_its_dtype_and_refuses_integers(layer):
    module = layer(dtype=jnp.bfloat16)
    y, _ = module.init_with_output(jax.random.key(0), jnp.ones((2, 3)))
    assert y.dtype == jnp.bfloat16
    for x in (jnp.arange(3), jnp.float32(1.0)):
        with pytest.raises(TypeError, match=rf"{layer.__name__}: x has dtype"):
            layer().init(jax.random.key(0), x)


def test_erf_and_its_slope_are_right_to_the_last_places():
    x = np.concatenate([np.linspace(-6.0, 6.0, 6001), np.geomspace(1e-30, 1.0, 999)])
    x = x.astype(np.float32)
    one = jnp.ones_like(x)
    value, slope = jax.jit(lambda x: jax.jvp(erf, (x,), (one,)))(x)
    wide = x.astype(np.float64)
    truth = np.array([math.erf(v) for v in wide])
    np.testing.assert_allclose(value, truth, rtol=2.0**-22, atol=0)
    truth = 2 / math.sqrt(math.pi) * np.exp(-wide * wide)
    np.testing.assert_allclose(slope, truth, rtol=2.0**-22, atol=0)


def test_erf_has_limits_keeps_the_sign_of_zero_and_is_nan_at_nan():
    y = jax.jit(erf)(jnp.array([-jnp.inf, -0.0, jnp.inf, jnp.nan]))
    np.testing.assert_array_equal(y, [-1.0, -0.0, 1.0, np.nan])
    assert np.signbit(y[1])
    x = jnp.array([-jnp.inf, jnp.inf, jnp.nan, 1e30])
    slopes = jax.jit(jax.vmap(jax.grad(erf)))(x)
    np.testing.assert_array_equal(slopes, [0.0, 0.0, np.nan, 0.0])


def test_second_derivatives_of_erf_are_right(x64):
    x = jnp.linspace(-4.0, 4.0, 33)
    got = jax.jit(jax.vmap(jax.grad(jax.grad(erf))))(x)
    want = -4 / math.sqrt(math.pi) * x * jnp.exp(-x * x)
    np.testing.assert_allclose(got, want, rtol=1e-13)


# --- AlphaDropout ---------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_alpha_dropout_keeps_mean_0_and_variance_1(rate):
    x = jax.random.normal(jax.random.key(0), (1000, 1000))
    dropout = AlphaDropout(rate, deterministic=False)
    y = dropout.apply({}, x, rngs={"dropout": jax.random.key(1)})
    assert float(y.mean()) == pytest.approx(0.0, abs=5e-3)
    assert float(y.var()) == pytest.approx(1.0, abs=1e-2)
    _, counts = np.unique(np.asarray(y), return_counts=True)
    assert counts.max() / y.size == pytest.approx(rate, abs=2e-3)


def test_fifty_selu_layers_with_alpha_dropout_keep_mean_0_and_variance_1():
    width, depth = 512, 50
    draw = initializers.lecun_normal("selu", batch_axis=(0,))
    weights = draw(jax.random.key(0), (depth, width, width))
    keys = jax.random.split(jax.random.key(1), depth)

    def last(x, dropout):
        def layer(x, step):
            w, key = step
            y = dropout.apply({}, jaxacts.selu(x @ w), rngs={"dropout": key})
            return y, None

        return jax.lax.scan(layer, x, (weights, keys))[0]

    def size(dropout):
        y = last(jax.random.normal(jax.random.key(2), (64, width)), dropout)
        return float(y.mean()), float(y.var())

    last = jax.jit(last, static_argnums=1)
    mean, variance = size(AlphaDropout(0.1, deterministic=False))
    assert abs(mean) < 0.1
    assert 0.7 < variance < 1.4
    # Dropped to zero, the usual way, the signal is another one.
    _, other = size(nn.Dropout(0.1, deterministic=False))
    assert abs(math.log(other)) > 2 * abs(math.log(variance))


def test_alpha_dropout_does_nothing_when_deterministic_or_at_rate_0():
    x = jnp.arange(3.0)
    assert AlphaDropout(0.5, deterministic=True).apply({}, x) is x
    assert AlphaDropout(0.0).apply({}, x, deterministic=False) is x
    overridden = AlphaDropout(0.5, deterministic=False)
    assert overridden.apply({}, x, deterministic=True) is x


def test_alpha_dropout_broadcasts_and_keeps_the_dtype():
    x = jnp.ones((4, 5, 6), jnp.bfloat16)
    dropout = AlphaDropout(0.5, broadcast_dims=(1, -1), deterministic=False)
    y = dropout.apply({}, x, rngs={"dropout": jax.random.key(0)})
    assert y.dtype == jnp.bfloat16
    assert all(len(set(row.ravel().tolist())) == 1 for row in np.asarray(y, float))
    assert len(set(np.asarray(y, float).ravel().tolist())) == 2


def test_what_was_dropped_has_gradient_0():
    dropout = AlphaDropout(0.5, deterministic=False)

    def total(x):
        return dropout.apply({}, x, rngs={"dropout": jax.random.key(0)}).sum()

    slopes = set(np.asarray(jax.grad(total)(jnp.arange(20.0))).tolist())
    assert len(slopes) == 2
    assert 0.0 in slopes


def test_alpha_dropout_refuses_bad_arguments():
    for rate in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"rate={rate}; give 0 <= rate < 1"):
            AlphaDropout(rate, deterministic=False).apply({}, jnp.ones(3))
    with pytest.raises(ValueError, match="deterministic is given neither"):
        AlphaDropout(0.5).apply({}, jnp.ones(3))
