"""Gated units: which half is activated, derivatives, what is kept, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxacts

UNITS = jaxacts.names("gated")


def plain(name, first, second):
    """The formula of the paper in float64."""
    sigmoid = lambda z: 1 / (1 + jnp.exp(-z))  # noqa: E731
    if name == "glu":
        return first * sigmoid(second)
    if name == "swiglu":
        return first * sigmoid(first) * second
    if name == "geglu":
        inner = np.sqrt(8 / np.pi) * (first + 0.044715 * first**3)
        return first * sigmoid(inner) * second
    if name == "reglu":
        return jnp.where(first > 0, first, 0.0) * second
    if name == "bilinear":
        return first * second
    a = jnp.where(first > 7, 7.0, first)
    b = jnp.clip(second, -7, 7)
    return a * sigmoid(1.702 * a) * (b + 1)


def two(name):
    """The unit as a function of two arrays."""
    other = "gate" if name == "glu" else "value"
    return lambda a, b: getattr(jaxacts, name)(a, **{other: b})


def halves(dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(3))
    return [(5 * jax.random.normal(k, (4, 3))).astype(dtype) for k in keys]


@pytest.mark.parametrize("name", UNITS)
def test_values_and_two_derivatives_are_those_of_the_formula(name, x64):
    a, b = halves(jnp.float64)

    def orders(f):
        def total(a, b):
            return jnp.sum(jnp.sin(jnp.arange(12.0).reshape(4, 3)) * f(a, b))

        hessian = jax.hessian(lambda a, b: total(a, b) ** 2, argnums=(0, 1))
        return jax.jit(lambda: (f(a, b), jax.grad(total, (0, 1))(a, b), hessian(a, b)))

    got, want = orders(two(name))(), orders(functools.partial(plain, name))()
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("name", UNITS)
def test_one_array_is_its_first_and_second_half(name, axis):
    a, b = halves()
    joined = jnp.concatenate([a, b], axis)
    got = getattr(jaxacts, name)(joined, axis=axis)
    np.testing.assert_array_equal(got, two(name)(a, b))
    jvp = jax.jvp(functools.partial(getattr(jaxacts, name), axis=axis), [joined] * 1,
                  [jnp.ones_like(joined)])[1]  # fmt: skip
    both = jax.jvp(two(name), (a, b), (jnp.ones_like(a), jnp.ones_like(b)))[1]
    np.testing.assert_allclose(jvp, both, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", UNITS)
def test_backward_keeps_the_inputs_and_nothing_else(name, dtype):
    a, b = halves(dtype)

    def kept(f, *arguments):
        leaves = jax.tree.leaves(jax.vjp(f, *arguments)[1])
        return [np.asarray(x) for x in leaves if np.size(x) > 1]

    joined = jnp.concatenate([a, b], -1)
    (saved,) = kept(getattr(jaxacts, name), joined)
    np.testing.assert_array_equal(saved, joined)
    saved = kept(two(name), a, b)
    assert len(saved) == 2
    for x in saved:
        assert (x == a).all() or (x == b).all()


@pytest.mark.parametrize("name", UNITS)
def test_16_bit_inputs_are_rounded_once(name):
    a, b = halves(jnp.bfloat16)
    got = two(name)(a, b)
    assert got.dtype == jnp.bfloat16
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.float64(x)) for x in (a, b)]
        want = np.asarray(plain(name, *wide))
    place = np.exp2(np.floor(np.log2(np.maximum(np.abs(want), 1e-30))) - 7)
    assert (np.abs(np.float64(got) - want) <= 0.51 * place).all()


@pytest.mark.parametrize("name", UNITS)
def test_nan_in_either_half_gives_nan(name):
    nan, one = jnp.array([jnp.nan, 1.0]), jnp.array([1.0, jnp.nan])
    assert np.isnan(two(name)(nan, one)).all()
    assert np.isnan(two(name)(-nan, -one)).all()


def test_clamped_swiglu_takes_limit_and_alpha_and_slopes_at_the_limit_are_inside():
    x = jnp.array([2.0, 1.0, 3.0, -1.0])
    got = jaxacts.clamped_swiglu(x, limit=1.0, alpha=0.5)
    sigmoid = 1 / (1 + np.exp(-0.5))
    np.testing.assert_allclose(got, [2 * sigmoid, 0.0], rtol=1e-6)
    slope = jax.grad(lambda b: jaxacts.clamped_swiglu(jnp.ones(2), b).sum())
    at = slope(jnp.array([7.0, 7.5]))
    assert float(at[0]) > 0.8
    assert float(at[1]) == 0


def test_geglu_has_the_exact_form_too():
    a, b = halves()
    got = jaxacts.geglu(a, b, approximate=False)
    np.testing.assert_allclose(got, jaxacts.gelu(a, approximate=False) * b, rtol=1e-6)


@pytest.mark.parametrize("name", UNITS)
def test_bad_arguments_are_named(name):
    f = getattr(jaxacts, name)
    with pytest.raises(ValueError, match=rf"{name}: axis=-1 of x has length 3"):
        f(jnp.ones((2, 3)))
    with pytest.raises(ValueError, match=rf"{name}: axis=2 does not exist"):
        f(jnp.ones((2, 4)), axis=2)
    with pytest.raises(ValueError, match=r"has shape \(3,\) and x \(2,\)"):
        two(name)(jnp.ones(2), jnp.ones(3))
    with pytest.raises(TypeError, match=rf"{name}: x"):
        f(jnp.ones(2, complex))
