"""Sparsemax, entmax15, maxout, softmin and gumbel_softmax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxacts

SPARSE = {"sparsemax": 2.0, "entmax15": 1.5}


def by_bisection(row, alpha):
    """The definition: the threshold at which the entries sum to 1, in float64."""
    z = (alpha - 1) * np.asarray(row, np.float64)
    low, high = z.max() - 1, z.max()

    def entries(t):
        return np.maximum(z - t, 0) ** (1 / (alpha - 1))

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if entries(middle).sum() > 1 else (low, middle)
    return entries(low)


def scores(shape=(3, 4, 5), scale=1.5, dtype="float32"):
    return (scale * jax.random.normal(jax.random.key(1), shape)).astype(dtype)


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("axis", [-1, 0, 1, (0, 2), None])
def test_each_row_is_the_solution_found_by_bisection(name, axis):
    x = scores()
    axes = (0, 1, 2) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    size = int(np.prod([x.shape[a] for a in axes]))

    def rows(y):
        last = tuple(range(-len(axes), 0))
        return np.moveaxis(np.asarray(y), axes, last).reshape(-1, size)

    got = getattr(jaxacts, name)(x, axis=axis)
    assert got.shape == x.shape
    want = [by_bisection(row, SPARSE[name]) for row in rows(x)]
    np.testing.assert_allclose(rows(got), want, atol=3e-7)
    if axis == -1:
        assert (np.asarray(got) == 0).any()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", SPARSE)
def test_rows_sum_to_one_and_gradients_to_zero_within_the_dtype(name, dtype):
    f = getattr(jaxacts, name)
    eps = float(jnp.finfo(dtype).eps)
    for x in (scores((4, 16), 0.3, dtype), 100 * scores((4, 16), 1.0, dtype)):
        y, pull = jax.vjp(f, x)
        (slope,) = pull(scores((4, 16), 1.0, dtype))
        assert y.dtype == slope.dtype == dtype
        np.testing.assert_allclose(np.float64(y).sum(-1), 1.0, atol=4 * eps)
        np.testing.assert_allclose(np.float64(slope).sum(-1), 0.0, atol=8 * eps)


@pytest.mark.parametrize("name", SPARSE)
def test_a_long_row_sums_to_one(name):
    # A running sum of so many numbers has lost three digits.
    x = scores((1, 20_000), 1e-4)
    y = getattr(jaxacts, name)(x)
    np.testing.assert_allclose(np.float64(y).sum(), 1.0, atol=3e-6)


@pytest.mark.parametrize("name", SPARSE)
def test_derivatives_agree_with_differences_of_the_definition(name, x64):
    f = getattr(jaxacts, name)
    x = jnp.array([0.3, -0.2, 0.75, -3.0, 0.1])

    def difference(g, direction, h=1e-5):
        return (g(x + h * direction) - g(x - h * direction)) / (2 * h)

    jacobian = jax.jit(jax.jacrev(f))
    by_definition = functools.partial(by_bisection, alpha=SPARSE[name])
    for direction, column in zip(jnp.eye(5), jacobian(x).T, strict=True):
        want = difference(by_definition, direction)
        np.testing.assert_allclose(column, want, atol=1e-9)
    np.testing.assert_allclose(jax.jacfwd(f)(x), jacobian(x), atol=1e-15)
    second = jax.jit(jax.jacfwd(jax.jacrev(f)))(x)
    np.testing.assert_allclose(second, jax.jacrev(jax.jacrev(f))(x), atol=1e-14)
    for i, direction in enumerate(jnp.eye(5)):
        want = difference(jacobian, direction)
        np.testing.assert_allclose(second[..., i], want, atol=1e-8)
    assert (np.asarray(second) == 0).all() == (name == "sparsemax")


@pytest.mark.parametrize("name", [*SPARSE, "softmin"])
def test_where_leaves_out_entries_as_if_they_were_not_there(name):
    f = getattr(jaxacts, name)
    x = scores((2, 4))
    where = jnp.array([[True, False, True, True], [False] * 4])
    y, pull = jax.vjp(functools.partial(f, where=where), x)
    np.testing.assert_allclose(y[0, [0, 2, 3]], f(x[0, jnp.array([0, 2, 3])]))
    assert float(y[0, 1]) == 0
    (slope,) = pull(jnp.arange(8.0).reshape(2, 4))
    assert float(slope[0, 1]) == 0
    assert np.abs(slope[0]).max() > 0
    np.testing.assert_array_equal(y[1], 0)
    np.testing.assert_array_equal(slope[1], 0)


@pytest.mark.parametrize("name", SPARSE)
def test_infinities_and_nan(name):
    inf, nan = np.inf, np.nan
    x = jnp.array([[-inf, 0.2, 0.1], [inf, 0.0, 0.0], [nan, 0.0, 0.0], [-inf] * 3])
    y = np.asarray(getattr(jaxacts, name)(x))
    assert y[0, 0] == 0
    np.testing.assert_allclose(y[0, 1:], getattr(jaxacts, name)(x[0, 1:]))
    assert np.isnan(y[1:]).all()
    slope = jax.grad(lambda x: getattr(jaxacts, name)(x)[1])(x[0])
    assert np.isfinite(slope).all()
    ignored = getattr(jaxacts, name)(x, where=jnp.isfinite(x))
    assert np.isfinite(ignored).all()


@pytest.mark.parametrize("name", SPARSE)
def test_equal_entries_share_and_huge_ones_do_not_overflow(name):
    f = getattr(jaxacts, name)
    np.testing.assert_allclose(f(jnp.full(8, 3e38)), np.full(8, 0.125), rtol=1e-6)
    np.testing.assert_array_equal(f(jnp.array([-3e38, 3e38, 0.0])), [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(f(jnp.array([7.0])), [1.0])
    assert f(jnp.ones((2, 0))).shape == (2, 0)


def test_an_entry_at_the_edge_of_the_support_counts_as_outside():
    at_edge = jax.jacrev(jaxacts.sparsemax)(jnp.array([1.0, 0.0]))
    np.testing.assert_array_equal(at_edge, 0)


@pytest.mark.parametrize("name", SPARSE)
def test_backward_keeps_one_array(name):
    x = scores((4, 8))
    leaves = jax.tree.leaves(jax.vjp(getattr(jaxacts, name), x)[1])
    assert len([a for a in leaves if np.size(a) > 1]) == 1


@pytest.mark.parametrize("name", SPARSE)
def test_under_vmap_jit_and_bad_arguments(name):
    f = getattr(jaxacts, name)
    x = scores()
    np.testing.assert_array_equal(jax.jit(jax.vmap(f))(x), f(x))
    with pytest.raises(ValueError, match=rf"{name}: axis=3"):
        f(x, axis=3)
    with pytest.raises(TypeError, match=rf"{name}: x"):
        f(jnp.ones(2, complex))


def test_softmin_is_softmax_of_the_negative():
    x = scores()
    np.testing.assert_array_equal(jaxacts.softmin(x, 1), jaxacts.softmax(-x, 1))


# --- Gumbel softmax ---------------------------------------------------------------


def test_hard_samples_are_single_ones_as_often_as_softmax_says():
    p = jnp.array([0.5, 0.3, 0.2, 0.0])
    logits = jnp.broadcast_to(jnp.log(p), (4000, 4))
    y = jaxacts.gumbel_softmax(jax.random.key(0), logits, hard=True)
    np.testing.assert_array_equal(np.sort(y, -1), np.eye(4)[[3] * 4000])
    np.testing.assert_allclose(y.mean(0), p, atol=0.025)
    again = jaxacts.gumbel_softmax(jax.random.key(0), logits, hard=True)
    np.testing.assert_array_equal(y, again)


@pytest.mark.parametrize("axis", [0, -1])
def test_hard_is_the_largest_soft_entry_and_has_its_derivative(axis):
    key, x, t = jax.random.key(2), scores((3, 4)), jnp.float32(0.7)

    def sample(hard):
        return lambda x, t: jaxacts.gumbel_softmax(key, x, t, hard, axis)

    soft, pull = jax.vjp(sample(False), x, t)
    hard, hard_pull = jax.vjp(sample(True), x, t)
    np.testing.assert_array_equal(hard, soft == soft.max(axis, keepdims=True))
    weights = scores((3, 4), 1.0)
    for got, want in zip(hard_pull(weights), pull(weights), strict=True):
        np.testing.assert_array_equal(got, want)
        assert np.abs(want).max() > 0
    np.testing.assert_allclose(soft.sum(axis), 1.0, rtol=1e-6)


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_with_where_nan_and_16_bit(hard):
    x = jnp.array([[9.0, 0.0, 1.0], [0.0, 0.0, 0.0], [np.nan, 0.0, 0.0]], "bfloat16")
    where = jnp.array([[False, True, True], [False] * 3, [True] * 3])
    y = jaxacts.gumbel_softmax(jax.random.key(0), x, hard=hard, where=where)
    assert y.dtype == jnp.bfloat16
    assert float(y[0, 0]) == 0
    np.testing.assert_allclose(np.float32(y[0]).sum(), 1.0, rtol=1e-2)
    np.testing.assert_array_equal(np.float32(y[1]), 0)
    assert np.isnan(np.float32(y[2])).all()


def test_a_low_temperature_sharpens():
    x, key = scores((5, 6)), jax.random.key(0)
    warm, cold = (jaxacts.gumbel_softmax(key, x, t) for t in (1.0, 0.1))
    assert (cold.max(-1) > warm.max(-1)).all()


# --- maxout -----------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_maxout_is_the_largest_of_neighbours(axis):
    x = scores((6, 4, 8))
    got = jaxacts.maxout(x, 2, axis=axis)
    first, second = (jnp.take(x, jnp.arange(i, x.shape[axis], 2), axis) for i in (0, 1))
    np.testing.assert_array_equal(got, jnp.maximum(first, second))
    slope = jax.grad(lambda x: jaxacts.maxout(x, 2, axis=axis).sum())(x)
    assert float(slope.sum()) == got.size


def test_maxout_names_bad_arguments():
    with pytest.raises(ValueError, match="num_pieces=3 does not divide the length 4"):
        jaxacts.maxout(jnp.ones((2, 4)), 3)
    with pytest.raises(ValueError, match="axis=2 does not exist"):
        jaxacts.maxout(jnp.ones((2, 4)), 2, axis=2)
