"""Gains by quadrature, and signals that keep their size through fifty layers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxacts
from jaxacts import initializers

ELEMENTWISE = [n for n in jaxacts.names() if jaxacts.spec(n).elementwise]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", 1.0),
        ("relu", 1.712859),
        ("tanh", 1.592537),
        ("selu", 1.0),
        ("mish", 1.592025),
        ("hard_swish", 1.813872),
    ],
)
def test_centered_gain_is_the_published_one(name, expected):
    got = initializers.gain(name, centered=True)
    assert got == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("activation", "mean", "square"),
    [
        (jax.nn.relu, 1 / math.sqrt(2 * math.pi), 0.5),
        (jnp.exp, math.exp(0.5), math.exp(2)),
        (jnp.square, 1.0, 3.0),
        (lambda x: jnp.exp(0.2 * x * x), math.sqrt(1 / 0.6), math.sqrt(1 / 0.2)),
        (lambda x: jnp.sin(30 * x), 0.0, 0.5 * (1 - math.exp(-1800))),
        # A jump at a place that nobody announces.
        (
            lambda x: jnp.where(x > 0.123456, 1.0, 0.0),
            *[0.5 * math.erfc(0.123456 / math.sqrt(2))] * 2,
        ),
        (lambda x: x > 0, 0.5, 0.5),
    ],
)
def test_gain_is_the_closed_form(activation, mean, square):
    plain = initializers.gain(activation)
    assert plain == pytest.approx(1 / math.sqrt(square), rel=1e-9)
    centered = initializers.gain(activation, centered=True)
    assert centered == pytest.approx(1 / math.sqrt(square - mean**2), rel=1e-8)


def test_a_function_in_single_precision_has_a_gain_to_single_precision():
    got = initializers.gain(lambda x: jnp.tanh(x.astype(jnp.float32)))
    assert got == pytest.approx(initializers.gain("tanh"), rel=1e-6)


def test_settings_are_in_text_or_by_keyword_and_kinks_follow_them():
    want = math.sqrt(2 / (1 + 0.3**2))
    by_text = initializers.gain("leaky_relu(negative_slope=0.3)")
    by_keyword = initializers.gain("leaky_relu", negative_slope=0.3)
    by_array = initializers.gain(jaxacts.leaky_relu, negative_slope=np.array(0.3))
    assert by_text == by_keyword == pytest.approx(want, rel=1e-9)
    assert by_array == pytest.approx(want, rel=1e-9)


def test_a_parameter_without_default_takes_its_initial_value():
    initial = jaxacts.spec("prelu").learnable[0].initial
    want = initializers.gain("prelu", negative_slope=initial)
    assert initializers.gain(jaxacts.prelu) == want


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        ("softmax", "softmax is not elementwise"),
        (jax.nn.softmax, "softmax is not elementwise"),
        (jnp.cumsum, "cumsum is not elementwise"),
        (lambda x: x[:1], "not elementwise"),
        (lambda x: (x, x), "not elementwise"),
        ("log1mexp", "log1mexp is not a number at -"),
        (lambda x: jnp.exp(x * x / 2), "no finite mean square"),
        (lambda x: jnp.exp(jnp.exp(x)), "no finite mean square"),
        (lambda x: jnp.sin(1e6 * x), "does not converge"),
        (lambda x: 0 * x, "is zero"),
        ("relu_n", "relu_n needs a value of n"),
        ("relo", "unknown; did you mean"),
        ("leaky_relu(", "expected name"),
    ],
)
def test_what_has_no_gain_is_refused(activation, message):
    with pytest.raises(ValueError, match=message):
        initializers.gain(activation)


def test_a_constant_has_no_centered_gain():
    assert initializers.gain(jnp.ones_like) == pytest.approx(1.0, rel=1e-9)
    with pytest.raises(ValueError, match="is constant"):
        initializers.gain(jnp.ones_like, centered=True)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize(
    ("family", "activation"),
    [("he", "relu"), ("lecun", "identity"), ("lecun", "selu")],
)
def test_initializers_are_those_of_jax_where_jax_has_them(kind, family, activation):
    name = f"{family}_{kind}"
    axes = {"in_axis": 1, "out_axis": 2, "batch_axis": 0, "dtype": jnp.bfloat16}
    ours = getattr(initializers, name)(activation, **axes)
    theirs = getattr(jax.nn.initializers, name)(**axes)
    key = jax.random.key(1)
    np.testing.assert_array_equal(ours(key, (3, 8, 4)), theirs(key, (3, 8, 4)))


@pytest.mark.parametrize("name", ["he_normal", "he_uniform"])
def test_weights_have_the_variance_of_the_gain(name):
    # Made inside jit, as by a layer that is initialised there.
    def draw(key):
        return getattr(initializers, name)("mish")(key, (512, 512))

    weights = jax.jit(draw)(jax.random.key(0))
    want = initializers.gain("mish") ** 2 / 512
    assert float(weights.var()) == pytest.approx(want, rel=0.02)


# --- fifty layers ---------------------------------------------------------------

WIDTH, DEPTH, NETWORKS = 512, 50, 4
GRID = np.linspace(-9.0, 9.0, 3601)


@functools.cache
def unit_weights():
    init = initializers.lecun_normal(in_axis=-2, batch_axis=(0, 1))
    draw = jax.jit(lambda key: init(key, (DEPTH, NETWORKS, WIDTH, WIDTH)))
    return draw(jax.random.key(0))


def propagated(activation, factor):
    """The mean square of the last layer's inputs of each network, and f(GRID)."""

    @jax.jit
    def run(x, weights):
        def layer(z, w):
            return factor * jnp.einsum("nbi,nij->nbj", activation(z), w), None

        last = jax.lax.scan(layer, x, weights)[0]
        return (last**2).mean((1, 2)), activation(jnp.float32(GRID))

    x = jax.random.normal(jax.random.key(1), (NETWORKS, 2, WIDTH))
    return (np.asarray(y, np.float64) for y in run(x, unit_weights()))


def predicted_spread(f):
    """The standard deviation of log(mean square) after all layers.

    The mean square q of one layer's inputs gives that of the next one's as
    gain² E[f(√q z)²], whose logarithmic slope at q = 1 is E[f f' z]/E[f²]; a width of
    n adds the relative error of a mean of n squares, of f and of the weights' sums.
    Of each layer's error the later slopes keep their part: a slope above 1 magnifies
    it fifty times over.
    """
    density = np.exp(-GRID * GRID / 2) / math.sqrt(2 * math.pi) * (GRID[1] - GRID[0])
    square, fourth = (density * f**2).sum(), (density * f**4).sum()
    growth = (density * GRID * f * np.gradient(f, GRID)).sum() / square
    kept = sum(growth ** (2 * k) for k in range(DEPTH))
    return math.sqrt(kept * (fourth / square**2 - 1 + 2) / WIDTH)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_signals_keep_their_size_through_fifty_layers(name):
    spec = jaxacts.spec(name)
    settings = dict(spec.cases[0])
    try:
        factor = initializers.gain(name, **settings)
    except ValueError as reason:
        pytest.skip(f"{name} has no gain: {reason}")
    got, values = propagated(functools.partial(spec.function, **settings), factor)
    spread = predicted_spread(values)
    if not spread < 1:
        pytest.skip(f"{name} is unstable: signals spread by a factor of e^{spread:.1f}")
    # The mean of a lognormal q is kept, that of its logarithm falls by spread²/2.
    error = np.log(got).mean() + spread**2 / 2
    assert abs(error) < 4 * spread / math.sqrt(NETWORKS), (got, spread)


def test_without_the_gain_signals_vanish():
    got, _ = propagated(jaxacts.relu, 1.0)
    assert got.max() < 2.0 ** (8 - DEPTH)
