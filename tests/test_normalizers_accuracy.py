"""Normalizers on rows of every kind, against exact arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from normalizer_cases import TRUTHS, apply, largest_error, rows

import jaxacts

PROBABILITIES = ("softmax", "softmin", "sparsemax", "entmax15")


@pytest.mark.parametrize(
    "dtype",
    [pytest.param("float16", marks=pytest.mark.slow), "bfloat16", "float32", "float64"],
)
@pytest.mark.parametrize("name", TRUTHS)
def test_a_row_is_within_four_ulp_of_its_largest_component(name, dtype):
    error, where = largest_error(name, dtype)
    assert error <= (0.51 if dtype in ("bfloat16", "float16") else 4), where


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_sum_to_one_and_their_gradients_to_zero(name, dtype):
    eps = float(jnp.finfo(dtype).eps)
    for row in rows(dtype):
        y, pull = jax.vjp(lambda x: apply(name, x), jnp.asarray(row))
        cotangent = np.cos(np.arange(len(row))).astype(row.dtype)
        slope = np.float64(pull(jnp.asarray(cotangent))[0])
        y = np.float64(y)
        assert np.all(y >= 0)
        # Every entry is rounded for itself.
        assert abs(y.sum() - 1) <= eps * (8 + len(row) * y.max())
        assert abs(slope.sum()) <= eps * (8 + len(row) * abs(slope).max())


@pytest.mark.parametrize("name", TRUTHS)
def test_any_axes_are_those_of_the_rows(name):
    x = 2 * jax.random.normal(jax.random.key(3), (3, 4, 5))
    f = getattr(jaxacts, name)
    keeps = {} if f(x, axis=-1).ndim == 3 else {"keepdims": True}
    for axis in (0, 1, -1, (0, 2), None):
        axes = (0, 1, 2) if axis is None else (axis,) if isinstance(axis, int) else axis
        last = tuple(range(-len(axes), 0))
        moved = jnp.moveaxis(x, axes, last)
        flat = f(moved.reshape(*moved.shape[: 3 - len(axes)], -1), axis=-1, **keeps)
        got = jnp.moveaxis(f(x, axis=axis, **keeps), axes, last)
        np.testing.assert_allclose(got.reshape(flat.shape), flat, rtol=2e-6, atol=2e-7)


def test_logmeanexp_of_infinities():
    inf = np.inf
    x = jnp.array([[-inf, -inf], [0, -inf], [inf, 0], [np.nan, inf], [-2000, -2000]])
    want = [-inf, -np.log(2), inf, np.nan, -2000]
    np.testing.assert_allclose(jaxacts.logmeanexp(x, -1), want, rtol=1e-6)
    none = jaxacts.logmeanexp(x, -1, where=jnp.zeros_like(x, bool))
    np.testing.assert_array_equal(none, np.full(5, -inf))


def test_standardize_far_from_zero_keeps_its_digits():
    x = np.float32(1e6) + np.arange(7, dtype=np.float32)
    want = (np.arange(7) - 3) / np.sqrt(4 + 1e-5)
    np.testing.assert_allclose(jaxacts.standardize(jnp.asarray(x)), want, rtol=3e-7)
