"""rrelu, which draws its slopes, and crelu, which doubles an axis."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxacts


def test_rrelu_has_the_mean_slope_without_a_key():
    x = jnp.array([-24.0, 0.0, 3.0, jnp.nan])
    y = jaxacts.rrelu(x)
    np.testing.assert_array_equal(y[:3], [-5.5, 0.0, 3.0])
    assert np.isnan(y[3])
    np.testing.assert_allclose(jaxacts.rrelu(x, None, 0.5, 0.75)[0], -15.0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rrelu_draws_a_slope_an_entry_that_the_gradient_uses(dtype):
    x = jnp.concatenate([jnp.full(2000, -1.0), jnp.full(3, 2.0)]).astype(dtype)
    f = functools.partial(jaxacts.rrelu, key=jax.random.key(0))
    y, pull = jax.vjp(f, x)
    (slope,) = pull(jnp.ones_like(x))
    assert y.dtype == slope.dtype == dtype
    drawn = -np.float32(y[:2000])
    assert 0.124 <= drawn.min() < 0.13 < 0.32 < drawn.max() <= 0.335
    np.testing.assert_allclose(drawn.mean(), 11 / 48, atol=0.005)
    np.testing.assert_array_equal(np.float32(slope[:2000]), drawn)
    np.testing.assert_array_equal(np.float32(slope[2000:]), 1.0)
    assert len([a for a in jax.tree.leaves(pull) if np.size(a) > 1]) == 1


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_crelu_joins_both_signs_and_keeps_its_output(axis):
    x = jnp.array([[-2.0, 0.0, 3.0], [1.0, -0.5, 0.25]])
    y, pull = jax.vjp(functools.partial(jaxacts.crelu, axis=axis), x)
    np.testing.assert_array_equal(
        y, np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis)
    )
    ones = jnp.ones_like(y)
    np.testing.assert_array_equal(pull(ones)[0], np.sign(x))
    (kept,) = (a for a in jax.tree.leaves(pull) if np.size(a) > 1)
    np.testing.assert_array_equal(kept, y)


def test_crelu_passes_nan_on_and_names_a_bad_axis():
    assert np.isnan(jaxacts.crelu(jnp.array([jnp.nan]))).all()
    with pytest.raises(ValueError, match="crelu: axis=1 does not exist"):
        jaxacts.crelu(jnp.ones(2), axis=1)
