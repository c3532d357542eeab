"""xIELU beside the zeros of its value and slope, which move with the parameters."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jaxacts

# β/α from nearly 0 to nearly 1, where zeros are beside 0 and far away; of both signs.
PAIRS = [(0.8, 0.5), (1.5, 0.25), (0.55, 0.5), (3.0, 0.01), (0.5001, 0.5), (-0.7, -0.3)]
# What is compiled once serves several tests.
pytestmark = pytest.mark.xdist_group("xielu")
GOALS = {"float32": (2.0, 2.0), "float64": (4.0, 4.0)}


def exact(x, alpha_n, beta):
    """f, f' and e^x - 1 for x <= 0, to 60 digits."""
    x, a, b = (mpmath.mpf(float(v)) for v in (x, alpha_n, beta))
    y = mpmath.expm1(x)
    return a * (y - x) + b * x, a * y + b, y


def zeros(alpha_n, beta):
    """Of the value and of the slope, below 0."""
    k = mpmath.mpf(float(beta)) / mpmath.mpf(float(alpha_n))
    w = 1 - k
    # e^x = 1 + w x by Lambert's function: x = -1/w - W(-e^(-1/w)/w).
    of_value = -1 / w - mpmath.lambertw(-mpmath.exp(-1 / w) / w).real
    return of_value, mpmath.log(w)


def inputs(dtype, alpha_n, beta):
    """The floats beside both zeros, those further away, and a grid."""
    found = [-np.geomspace(1e-3, 60, 60)]
    for zero in zeros(alpha_n, beta):
        near = np.asarray(float(zero), dtype)
        place = float(np.spacing(np.abs(near)))
        steps = np.concatenate([np.arange(-4, 5), 2.0 ** np.arange(3, 20)])
        found += [near + place * steps, near - place * steps]
    x = np.concatenate(found).astype(dtype)
    return np.unique(x[x < 0])


def xielu(x, alpha_n, beta):
    return jaxacts.xielu(x, 0.8, alpha_n, beta)


@jax.jit
def value_and_slope(x, alpha_n, beta):
    return jax.jvp(lambda x: xielu(x, alpha_n, beta), (x,), (jnp.ones_like(x),))


def _each_x(f):
    return jax.vmap(f, (0, None, None))


@jax.jit
def derivatives(x, alpha_n, beta):
    """Value, gradient in all arguments, and the gradient of the slope in x."""
    given = x, alpha_n, beta
    slopes = _each_x(jax.grad(xielu, (0, 1, 2)))(*given)
    return xielu(*given), slopes, _each_x(jax.grad(jax.grad(xielu), (0, 1, 2)))(*given)


@pytest.mark.parametrize("dtype", GOALS)
@pytest.mark.parametrize(("alpha_n", "beta"), PAIRS)
def test_value_and_slope_meet_the_goals_beside_their_zeros(dtype, alpha_n, beta):
    with jax.enable_x64(dtype == "float64"), mpmath.workdps(60):
        a, b = np.asarray(alpha_n, dtype), np.asarray(beta, dtype)
        x = inputs(dtype, a, b)
        # Of one length, so that one compilation serves all.
        got = value_and_slope(np.resize(x, 256), a, b)
        assert len(x) <= 256
        truth = [exact(v, a, b) for v in x]
    for order in range(2):
        want = [orders[order] for orders in truth]
        place = np.spacing(np.abs(np.array(want, float)).astype(dtype))
        results = np.asarray(got[order])[: len(x)]
        error = [
            float(abs(mpmath.mpf(float(g)) - w) / float(p))
            for g, w, p in zip(results, want, place, strict=True)
        ]
        worst = int(np.argmax(error))
        assert error[worst] <= GOALS[dtype][order], (
            f"order {order}: at {x[worst]!r} got {results[worst]!r}, "
            f"expected {float(want[worst])!r}, {error[worst]:.2f} ULP"
        )


@pytest.mark.parametrize(
    ("alpha_n", "beta"),
    [(0.5, 0.5), (0.25, 0.5), (0.0, 0.5), (0.8, 0.0), (0.8, -0.5), (1e30, 1.0)],
)
def test_without_zeros_values_and_all_derivatives_are_finite_and_right(alpha_n, beta):
    x = jnp.linspace(-8.0, -0.125, 64)
    a, b = jnp.float32(alpha_n), jnp.float32(beta)
    value, slopes, mixed = derivatives(x, a, b)
    want = np.array([[float(v) for v in exact(v, a, b)] for v in np.asarray(x)])
    scale = float(abs(a) + abs(b)) * 10
    np.testing.assert_allclose(value, want[:, 0], atol=2e-7 * scale)
    np.testing.assert_allclose(slopes[0], want[:, 1], atol=2e-7 * scale)
    y = want[:, 2]
    for got, exactly in zip(mixed, (alpha_n * (y + 1), y, np.ones(64)), strict=True):
        np.testing.assert_allclose(got, exactly, rtol=1e-6)


def test_parameters_have_the_same_derivatives_beside_the_zeros():
    alpha_n, beta = jnp.float32(0.8), jnp.float32(0.5)
    x = np.resize(np.float32([float(z) for z in zeros(alpha_n, beta)]), 64)
    _, slopes, mixed = derivatives(x, alpha_n, beta)
    y = np.expm1(np.float64(x))
    np.testing.assert_allclose(slopes[1], y - np.float64(x), rtol=1e-6)
    np.testing.assert_array_equal(slopes[2], x)
    np.testing.assert_allclose(mixed[1], y, rtol=1e-6)
    np.testing.assert_array_equal(mixed[2], np.ones(64))


def test_parameters_of_channels_and_mapped_ones_are_those_of_scalars():
    x = jnp.linspace(-6.0, 1.0, 40).reshape(10, 4)
    alpha_n, beta = jnp.float32([0.8, 1.5, 0.25, 0.55]), jnp.float32(0.5)

    @jax.jit
    def mapped(x, alpha_n, beta):
        return jax.vmap(value_and_slope, (1, 0, None), 1)(x, alpha_n, beta)

    together = value_and_slope(x, alpha_n, beta)
    by_channel = mapped(x, alpha_n, beta)
    for channel in range(4):
        own = value_and_slope(x[:, channel], alpha_n[channel], beta)
        for one, each, other in zip(own, together, by_channel, strict=True):
            np.testing.assert_allclose(each[:, channel], one, rtol=3e-7)
            np.testing.assert_allclose(other[:, channel], one, rtol=3e-7)
