"""Activations that keep a few bits for backward: value exact, slope as stated."""

import doctest
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from activation_cases import CASES
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxacts
from jaxacts import compressed
from jaxacts.verify.residuals import residuals, scan_bytes

# Steps that are found once serve several tests.
pytestmark = pytest.mark.xdist_group("compressed")
FLOATS = ("float16", "bfloat16", "float32")


def grid(dtype="float32", count=1021):
    """Numbers of both signs, with zero, in no regular order of size."""
    x = np.sinh(np.linspace(-4.0, 4.0, count))
    return jnp.asarray(np.random.default_rng(0).permutation(x), dtype)


def gradient(f, x):
    return jax.grad(lambda x: f(x).astype(jnp.float32).sum())(x)


@functools.cache
def few_bit(name, bits):
    return compressed.few_bit(name, bits)


# Of a function that compiles in no time, where it does not matter which.
TANH = functools.partial(few_bit, jnp.tanh)


# --- the value ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("gelu", "float32"),
        ("elu", "bfloat16"),
        ("relu", "float16"),
        ("relu", "float8_e5m2"),
    ],
)
def test_the_value_is_that_of_the_function_to_the_last_bit(name, dtype):
    x = grid(dtype)
    y = few_bit(name, 3)(x)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, getattr(jaxacts, name)(x))
    got, _ = jax.vjp(few_bit(name, 3), x)
    np.testing.assert_array_equal(got, y)


def test_dtypes_weak_types_and_integers_are_those_of_the_function():
    f = few_bit("gelu", 3)
    assert f(1.0).weak_type
    assert f(1.0).dtype == jnp.float32
    assert f(jnp.arange(3)).dtype == jnp.float32
    assert few_bit("relu", 3)(jnp.arange(-2, 3)).dtype == jnp.int32
    slope = jax.grad(f)(1.0)
    assert slope.dtype == jnp.float32
    assert slope.shape == ()


@pytest.mark.parametrize("shape", [(), (7,), (3, 0), (5, 3), (3, 130)])
def test_every_shape_gives_every_element_its_own_level(shape):
    f, found = TANH(3), compressed.steps(jnp.tanh, 3)
    x = jnp.resize(grid(), shape)
    place = np.searchsorted(found.thresholds, np.asarray(x), side="right")
    expected = np.asarray(found.levels, np.float32)[place]
    np.testing.assert_array_equal(gradient(f, x), expected)
    assert f(x).shape == shape


# --- the slope ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "dtype"),
    [(1, "float16"), (3, "bfloat16"), (6, "float32"), (4, "float64")],
)
def test_the_slope_is_the_level_of_its_interval_in_every_dtype(bits, dtype, x64):
    found = compressed.steps(jnp.tanh, bits)
    x = grid(dtype)
    place = np.searchsorted(found.thresholds, np.asarray(x, np.float64), side="right")
    expected = np.asarray(found.levels)[place].astype(x.dtype)
    np.testing.assert_array_equal(gradient(TANH(bits), x), expected)


@pytest.mark.parametrize("f", [jnp.tanh, jax.nn.elu])
def test_no_other_steps_are_nearer_to_the_slope(f):
    """tanh' is even, elu' has a kink: both are approximated along x."""
    x = np.linspace(-8.0, 8.0, 100_001)
    slope = np.asarray(gradient(f, jnp.asarray(x, jnp.float32)))
    weight = np.exp(-0.5 * x * x)

    def error(thresholds, levels):
        steps = np.asarray(levels)[np.searchsorted(thresholds, x, side="right")]
        return np.average((slope - steps) ** 2, weights=weight)

    found = compressed.steps(f, 2)
    best = error(found.thresholds, found.levels)
    generator = np.random.default_rng(0)
    for _ in range(20):
        thresholds = np.sort(found.thresholds + generator.normal(0, 0.05, 3))
        levels = found.levels + generator.normal(0, 0.01, 4)
        assert error(thresholds, levels) > best
    # From anywhere else, moving to the best place beside the neighbours ends higher.
    for _ in range(20):
        thresholds = np.sort(generator.normal(0, 1.5, 3))
        places = np.searchsorted(thresholds, x, side="right")
        mass = np.bincount(places, weight, 4)
        levels = np.bincount(places, weight * slope, 4) / np.maximum(mass, 1e-30)
        assert error(thresholds, levels) > best


def test_the_steps_of_a_linear_slope_are_those_that_max_published():
    found = compressed.steps(lambda x: 0.5 * x * x, 2)
    np.testing.assert_allclose(found.thresholds, [-0.9816, 0, 0.9816], atol=1e-3)
    np.testing.assert_allclose(
        found.levels, [-1.510, -0.4528, 0.4528, 1.510], atol=1e-3
    )


def test_a_jump_of_the_slope_is_a_threshold_to_the_last_bit():
    def kinked(x):
        return jnp.where(x > 0.3, 2.0 * x - 0.3, x) + 0.01 * jnp.sin(x)

    found = compressed.steps(kinked, 2)
    # The number after 0.3, and as float32 the one after float32(0.3) or itself.
    assert np.nextafter(0.3, 1.0) in found.thresholds
    # Zero, which is frequent, is on the side where the slope has it.
    for is_right in (jnp.greater, jnp.greater_equal):
        bent = compressed.few_bit(
            lambda x, is_right=is_right: jnp.where(is_right(x, 0), x, 0.1 * jnp.sin(x)),
            2,
        )
        assert jax.grad(bent)(1e-6) > 0.9
        assert jax.grad(bent)(-1e-6) < 0.2
        assert (jax.grad(bent)(0.0) > 0.9) == (is_right is jnp.greater_equal)


@pytest.mark.parametrize("kink", [-3.0, 3.0])
def test_a_threshold_is_on_the_same_side_of_a_kink_in_float32(kink):
    """The next number of float64 is the same one in float32."""
    f = compressed.few_bit(
        lambda x: jnp.where(x > kink, 2 * x, 0.1 * jnp.sin(x)) - kink, 2
    )
    x = np.float32(kink)
    assert jax.grad(f)(jnp.nextafter(x, np.float32(9))) > 1.5
    assert jax.grad(f)(x) < 0.2


def is_two_slopes(case):
    try:
        compressed.one_bit(case.function)
    except ValueError:
        return False
    return True


@pytest.mark.slow
def test_the_functions_with_two_slopes_are_found():
    found = {case.spec.name for case in CASES if is_two_slopes(case)}
    assert {"relu", "leaky_relu", "prelu", "relu6", "hard_tanh", "soft_shrink"} <= found
    assert not {"gelu", "leaky_relu6", "elu", "hard_silu"} & found


# Functions of which the output decides the slope, or x does, with a parameter and
# without; the others are slow.
SHOWN = ("relu", "relu6", "leaky_relu")
TWO_SLOPES = [
    pytest.param(
        case,
        id=str(case),
        marks=() if case.is_first and case.spec.name in SHOWN else pytest.mark.slow,
    )
    for case in CASES
    if case.spec.family == "rectifiers" and case.spec.name != "leaky_relu6"
]


@pytest.mark.parametrize("case", TWO_SLOPES)
def test_one_bit_gives_the_very_gradient_of_two_slopes(case):
    f = compressed.one_bit(case.function)
    for dtype in FLOATS:
        corners = [k.at for k in case.spec.kinks(**case.settings)]
        x = jnp.concatenate([grid(dtype), jnp.asarray([*corners, -0.0], dtype)])
        t = grid(dtype, count=x.size)
        y, pull = jax.vjp(f, x)
        expected, expected_pull = jax.vjp(case.function, x)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(pull(t)[0], expected_pull(t)[0])


def test_three_slopes_are_exact_in_two_bits():
    x = grid()
    f = few_bit("leaky_relu6(negative_slope=0.2)", 2)
    expected = jaxacts.get("leaky_relu6(negative_slope=0.2)")
    np.testing.assert_array_equal(gradient(f, x), gradient(expected, x))
    assert residuals(f).bytes_per_element == pytest.approx(2 / 8, rel=0.01)


def test_nan_gives_nan_and_infinities_the_outermost_levels():
    found = compressed.steps("gelu", 3)
    f = few_bit("gelu", 3)
    x = jnp.asarray([jnp.nan, -jnp.inf, jnp.inf])
    y, pull = jax.vjp(f, x)
    assert jnp.isnan(y[0])
    expected = [found.levels[0], found.levels[0], found.levels[-1]]
    np.testing.assert_array_equal(pull(jnp.ones(3))[0], np.float32(expected))
    # A loss of such a value is NaN, and so is the gradient that comes back.
    assert jnp.isnan(jax.grad(lambda x: f(x) ** 2)(jnp.nan))


# --- transformations ----------------------------------------------------------------


def test_every_way_to_differentiate_agrees():
    f, x = TANH(3), grid()
    slope = gradient(f, x)

    # One compilation for all of them: the transformations are what is tested.
    @jax.jit
    def ways(x):
        columns = jax.vmap(lambda x: gradient(f, x), in_axes=1, out_axes=1)
        return {
            "jvp": jax.jvp(f, (x,), (jnp.ones_like(x),))[1],
            "jit": gradient(f, x),
            "vmap of grad": jax.vmap(jax.grad(f))(x),
            "grad of vmap": gradient(jax.vmap(f), x),
            "vmap over columns": columns(jnp.stack([x, 2 * x], axis=1))[:, 0],
            "linearize": jax.linearize(f, x)[1](jnp.ones_like(x)),
            "checkpoint": gradient(jax.checkpoint(f), x),
            "jacfwd": jnp.diagonal(jax.jacfwd(f)(x)),
        }

    for way, found in ways(x).items():
        np.testing.assert_array_equal(found, slope, way)


def test_the_gradient_of_a_scan_is_that_of_the_loop():
    f = TANH(3)

    def layer(x, w):
        return f(x * w), None

    weights = jnp.asarray([0.7, -1.3, 2.1])
    x = grid(count=333)

    def looped(w):
        y = x
        for k in range(3):
            y = f(y * w[k])
        return y.sum()

    got = jax.grad(lambda w: lax.scan(layer, x, w)[0].sum())(weights)
    np.testing.assert_allclose(got, jax.grad(looped)(weights), rtol=1e-5)


def test_a_sharded_batch_stays_where_it_is():
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("batch"))
    f, x = TANH(3), jnp.resize(grid(), (16, 129))
    there = jax.device_put(x, sharding)
    codes = jax.jit(lambda x: jax.vjp(f, x)[1])
    compiled = codes.lower(there).compile().as_text()
    for moving in ("all-gather", "all-to-all", "collective-permute", "all-reduce"):
        assert moving not in compiled
    got = jax.jit(lambda x: gradient(f, x))(there)
    np.testing.assert_array_equal(got, gradient(f, x))
    local = jax.shard_map(
        lambda x: gradient(f, x),
        mesh=mesh,
        in_specs=PartitionSpec("batch"),
        out_specs=PartitionSpec("batch"),
    )
    np.testing.assert_array_equal(local(x), gradient(f, x))


def test_a_second_derivative_is_refused_where_it_would_be_wrong():
    with pytest.raises(TypeError, match="no second derivative"):
        jax.grad(jax.grad(TANH(3)))(1.0)
    assert jax.grad(jax.grad(compressed.one_bit("relu")))(1.0) == 0


# --- memory -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "dtype"), [(1, "float32"), (3, "bfloat16"), (4, "float32")]
)
def test_backward_keeps_the_bits_and_no_more(bits, dtype):
    f = TANH(bits)
    for jit in ("eager", "inside", "across"):
        kept = residuals(f, dtype=dtype, jit=jit)
        (array,) = kept.arrays
        assert array.dtype == "uint8"
        # 1021 elements are padded to 1024.
        assert kept.bytes_per_element == bits * 1024 / 8 / 1021


def test_a_scan_over_layers_takes_the_bits_and_no_more():
    assert scan_bytes(TANH(4)) == pytest.approx(4 / 8, abs=0.1)


def scan_temporary(f, layers=8, elements=4096):
    def loss(w, x):
        return lax.scan(lambda x, w: (f(x * w), None), x, w)[0].sum()

    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((layers,), (elements,))]
    analysis = jax.jit(jax.grad(loss)).lower(*shapes).compile().memory_analysis()
    return 8 * analysis.temp_size_in_bytes / (layers * elements)


def test_levels_do_not_become_arrays_that_a_scan_keeps_beside_its_loop():
    # Bits an element and layer; one array of float32 would be 4 of 8 layers.
    assert scan_temporary(TANH(4)) - scan_temporary(TANH(1)) == pytest.approx(3, abs=1)


# --- errors -------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0, 9, -1, 2.0, True, "4", None])
def test_bad_bits_are_refused(bits):
    with pytest.raises(ValueError, match=r"bits=.*1 to 8"):
        compressed.few_bit("gelu", bits)


@pytest.mark.parametrize(
    ("activation", "error", "words"),
    [
        ("geluu", ValueError, "did you mean"),
        ("gelu(wrong=1)", ValueError, "no setting 'wrong'"),
        ("softmax", ValueError, "not elementwise"),
        (lambda x: x - x.mean(), ValueError, "not elementwise"),
        (lambda x: x[:3], ValueError, "not elementwise"),
        ("prelu", ValueError, r"negative_slope, fixed .* 'prelu\(negative_slope="),
        (jaxacts.prelu, ValueError, "needs a value of negative_slope"),
        ("log1mexp", ValueError, "no finite slope at -8"),
        (np.tanh, TypeError, "JAX can differentiate"),
        (3, TypeError, "activation=3"),
    ],
)
def test_what_cannot_be_compressed_is_refused_by_name(activation, error, words):
    with pytest.raises(error, match=words):
        compressed.few_bit(activation, 3)


def test_learned_parameters_are_refused():
    with pytest.raises(TypeError, match="cannot be learned"):
        compressed.few_bit("leaky_relu", 1)(1.0, negative_slope=0.2)

    def loss(slope):
        return compressed.few_bit(lambda x: jaxacts.prelu(x, slope), 1)(-1.0)

    with pytest.raises(TypeError, match="cannot be learned"):
        jax.grad(loss)(0.2)


def test_one_bit_refuses_more_than_two_slopes():
    with pytest.raises(ValueError, match="more than two values"):
        compressed.one_bit("gelu")
    with pytest.raises(ValueError, match="more than two values"):
        compressed.one_bit("leaky_relu6")


def test_steps_are_computed_once():
    assert compressed.steps("gelu", 3) is compressed.steps("gelu", 3)


def test_the_examples_run():
    found = doctest.testmod(compressed)
    assert found.attempted > 8
    assert found.failed == 0
