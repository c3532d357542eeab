"""What every elementwise activation promises besides its numbers."""

import doctest
import functools
import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from activation_cases import (
    CASES,
    FAMILIES,
    Case,
    Float64Namespace,
    each_case,
    each_family,
    each_function,
    each_half,
    ladder,
    sample,
)
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxacts

FLOATS = ["float16", "bfloat16", "float32", "float8_e4m3fn", "float8_e5m2"]
KINKED = [case for case in CASES if case.spec.kinks(**case.settings)]
LIMITED = [case for case in CASES if case.spec.limits is not None]


def positive(case: Case, shape, dtype="float32"):
    """Arguments inside the domain of every function."""
    size = int(np.prod(shape))
    return jnp.linspace(0.3, 2.0, size).astype(dtype).reshape(shape)


# --- dtypes -------------------------------------------------------------------


@each_function
def test_dtype_and_shape_of_input_are_those_of_output_and_gradient(case):
    shapes = [(), (0,), (3,), (2, 0, 3), (2, 3, 4)]
    for dtype, shape in [
        *((d, (3,)) for d in FLOATS),
        *(("float32", s) for s in shapes),
    ]:
        x = positive(case, shape, dtype)
        y, slope = jax.eval_shape(lambda x: jax.jvp(case.function, (x,), (x,)), x)
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
        assert (slope.shape, slope.dtype) == (x.shape, x.dtype)


@each_function
def test_float64_stays_float64(case, x64):
    assert case.function(positive(case, (3,), "float64")).dtype == jnp.float64


@each_function
def test_integers_and_booleans_become_the_default_float_or_stay(case):
    y = case.function(jnp.array([1, 2, 7], "int32"))
    keeps = case.spec.keeps_integers and "n" not in case.settings
    if "n" not in case.settings:
        assert y.dtype == (jnp.int32 if keeps else jnp.float32)
    want = case.function(jnp.array([1.0, 2.0, 7.0]))
    if "n" not in case.settings or float(case.settings["n"]).is_integer():
        np.testing.assert_array_equal(np.float32(y), want)
    assert case.function(jnp.array([True])).dtype == jnp.float32


@each_function
def test_weak_types_stay_weak_and_strong_types_strong(case):
    assert case.function(0.5).weak_type
    assert not case.function(jnp.float32(0.5)).weak_type
    bound = jnp.bfloat16(2.0) * case.function(0.5)
    assert bound.dtype == jnp.bfloat16


@each_function
def test_python_numpy_and_jax_arguments_agree(case):
    want = case.function(jnp.float32(0.5))
    assert case.function(0.5) == want
    assert case.function(np.float32(0.5)) == want
    assert case.function(np.full(3, 0.5, np.float32))[0] == want


@each_function
def test_unusable_x_raises_a_type_error_that_names_it(case):
    for bad in ("text", 1j, None, [1.0, 2.0], {"a": 1.0}):
        with pytest.raises(TypeError, match=r"\bx\b"):
            case.function(bad)


def test_unusable_parameter_raises_a_type_error_that_names_it():
    with pytest.raises(TypeError, match="alpha"):
        jaxacts.elu(1.0, "text")
    with pytest.raises(TypeError, match="negative_slope"):
        jaxacts.leaky_relu(1.0, jnp.array(1j))
    with pytest.raises(TypeError, match="approximate='tanh'"):
        jaxacts.gelu(1.0, approximate="tanh")


def test_parameters_broadcast_and_never_change_the_dtype():
    x = jnp.ones((2, 3), jnp.bfloat16)
    slope = jnp.array([0.1, 0.2, 0.3], jnp.float32)
    assert jaxacts.prelu(-x, slope).dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.float32(jaxacts.prelu(-x, slope)), [[-0.1, -0.2, -0.3]] * 2, rtol=4e-3
    )
    grad = jax.grad(lambda s: jaxacts.prelu(-x, s).sum().astype("float32"))(slope)
    np.testing.assert_allclose(grad, [-2.0] * 3)


# --- special values -----------------------------------------------------------


@each_function
def test_nan_gives_nan_in_every_order(case):
    x = jnp.array([np.nan, 0.5, np.nan])
    for order, y in enumerate(jax.jit(ladder(case.function, 3))(x)):
        found = np.isnan(y).tolist()
        assert found == [True, False, True], f"{case} order {order}"


@pytest.mark.parametrize("case", LIMITED, ids=str)
def test_limits_at_the_infinities_are_exact_with_their_sign(case):
    limits = case.spec.limits(**case.settings)
    for dtype in ("float32", "bfloat16"):
        x = jnp.array([-np.inf, np.inf], dtype)
        for order, y in enumerate(jax.jit(ladder(case.function, 2))(x)):
            ends = [limits.minus_infinity[order], limits.plus_infinity[order]]
            got = np.float64(y)
            want = np.float64(jnp.asarray(ends, "float32").astype(dtype))
            message = f"{case} {dtype} order {order}"
            np.testing.assert_array_equal(got, want, err_msg=message)
            zero = want == 0
            signs = np.signbit(got[zero]).tolist(), np.signbit(want[zero]).tolist()
            assert signs[0] == signs[1], f"{message}: sign of zero, {ends}"


@pytest.mark.parametrize("case", KINKED, ids=str)
def test_slope_and_curvature_at_kinks_are_the_documented_ones(case):
    for kink in case.spec.kinks(**case.settings):
        x = jnp.float32(kink.at)
        slope = jax.grad(case.function)
        if kink.slope is not None:
            assert slope(x) == np.float32(kink.slope)
        if kink.curvature is not None:
            assert jax.grad(slope)(x) == np.float32(kink.curvature)


SHARED = sorted(set(jaxacts.names()) & set(dir(jax.nn)))


@pytest.mark.parametrize(
    "case", [c for c in KINKED if c.spec.name in SHARED and not c.settings], ids=str
)
def test_slope_at_kinks_is_that_of_jax_nn(case):
    theirs = getattr(jax.nn, case.spec.name)
    for kink in case.spec.kinks():
        assert jax.grad(case.function)(kink.at) == jax.grad(theirs)(kink.at)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_range_monotonicity_and_symmetry_hold_where_they_are_claimed(case):
    x = jnp.asarray(np.unique(sample(case, np.float32, 2001)))
    y = np.asarray(case.function(x))
    if case.spec.value_range is not None:
        low, high = case.spec.value_range(**case.settings)
        assert np.float32(low) * (1 + 1e-5) <= y.min() or y.min() >= low
        assert y.max() <= np.float32(high)
    if case.spec.monotonic:
        assert (np.diff(y) >= 0).all()
    if case.spec.symmetry == "odd":
        np.testing.assert_array_equal(case.function(-x), -y)


# --- jax.nn's names and signatures ----------------------------------------------


def test_every_elementwise_and_softmax_function_of_jax_nn_is_here():
    not_activations = {
        "dot_product_attention",
        "get_scaled_dot_general_config",
        "initializers",
        "scaled_dot_general",
        "scaled_matmul",
    }
    public = {name for name in dir(jax.nn) if not name.startswith("_")}
    assert public - not_activations <= set(dir(jaxacts))


@pytest.mark.parametrize("name", SHARED)
def test_signature_begins_with_that_of_jax_nn(name):
    import inspect

    theirs = inspect.signature(getattr(jax.nn, name)).parameters
    ours = inspect.signature(getattr(jaxacts, name)).parameters
    # standardize defaults to the algorithm that does not cancel.
    changed = {("standardize", "algorithm")}
    for key, parameter in theirs.items():
        assert key in ours
        if (name, key) not in changed:
            assert ours[key].default == parameter.default, key


def test_values_agree_with_jax_nn_where_jax_nn_is_accurate():
    x = jnp.linspace(-3.0, 3.0, 41)
    for name in SHARED:
        record = jaxacts.spec(name)
        if not record.elementwise or name == "log1mexp":
            continue
        theirs = getattr(jax.nn, name)(x)
        np.testing.assert_allclose(
            getattr(jaxacts, name)(x), theirs, rtol=2e-5, atol=1e-6, err_msg=name
        )


# --- transformations ------------------------------------------------------------


@each_family
def test_every_transformation_gives_the_same_values(case):
    f = case.function
    slope = jax.vmap(jax.vmap(jax.grad(f)))

    # One compilation for all of them: the transformations are what is tested.
    @jax.jit
    def everything(x):
        row, ones = x[0], jnp.ones_like(x)
        values = {
            "vmap": jax.vmap(f)(x),
            "vmap in_axes": jax.vmap(jax.vmap(f), in_axes=1, out_axes=1)(x),
            "scan": jax.lax.scan(lambda c, r: (c, f(r)), 0, x)[1],
            "checkpoint": jax.checkpoint(f)(x),
            "cond": jax.lax.cond(x[0, 0] > 0, f, lambda x: x, x),
            "while": jax.lax.while_loop(
                lambda s: s[0] < 1, lambda s: (1, f(x)), (0, x)
            )[1],
        }
        slopes = {
            "grad": slope(x),
            "vjp": jax.vjp(f, x)[1](ones)[0],
            "jvp": jax.jvp(f, (x,), (ones,))[1],
            "linearize": jax.linearize(f, x)[1](ones),
            "grad of checkpoint": jax.vjp(jax.checkpoint(f), x)[1](ones)[0],
            "grad of scan": jax.grad(
                lambda x: jax.lax.scan(lambda c, r: (c + f(r).sum(), None), 0.0, x)[0]
            )(x),
        }
        jacobians = {
            "jacfwd": jnp.diag(jax.jacfwd(f)(row)),
            "jacrev": jnp.diag(jax.jacrev(f)(row)),
        }
        forward_over_reverse = jax.jacfwd(jax.jacrev(f))(row)
        reverse_over_forward = jax.jacrev(jax.jacfwd(f))(row)
        return values, slopes, jacobians, (forward_over_reverse, reverse_over_forward)

    x = positive(case, (4, 3))
    values, slopes, jacobians, (forward, reverse) = everything(x)
    close = functools.partial(np.testing.assert_allclose, rtol=5e-7, atol=1e-7)
    for name, y in values.items():
        close(y, f(x), err_msg=name)
    eager = jax.vjp(f, x)[1](jnp.ones_like(x))[0]
    for name, y in slopes.items():
        close(y, eager, err_msg=name)
    for name, y in jacobians.items():
        close(y, eager[0], err_msg=name)
    np.testing.assert_allclose(forward, reverse, rtol=2e-6, atol=1e-6)


def test_sharded_over_eight_devices():
    x = positive(FAMILIES[0], (16, 3))
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("batch")
    sharding = NamedSharding(mesh, spec)

    def everything(x):
        return [case.function(x) for case in FAMILIES]

    want = jax.jit(everything)(x)
    placed = jax.jit(everything)(jax.device_put(x, sharding))
    mapped = jax.pmap(everything)(x.reshape(8, 2, 3))
    inside = jax.shard_map(everything, mesh=mesh, in_specs=spec, out_specs=spec)
    shards = jax.jit(inside)(x)
    for i, case in enumerate(FAMILIES):
        assert placed[i].sharding.is_equivalent_to(sharding, 2)
        for got in (placed[i], mapped[i].reshape(16, 3), shards[i]):
            np.testing.assert_allclose(got, want[i], rtol=5e-7, err_msg=str(case))


@each_half
def test_strict_modes_debug_nans_and_leak_checks_pass(cases):
    x = jnp.linspace(0.2, 3.0, 8)

    def total(x):
        return sum(case.function(x).sum() for case in cases)

    # Leak checks collect garbage at each trace, of what is new only: kernels are traced
    # before.
    with jax.debug_nans(True):
        jax.eval_shape(jax.grad(total), x)
    gc.freeze()
    try:
        with jax.debug_nans(True), jax.checking_leaks():
            value, slope = jax.jit(jax.value_and_grad(total))(x)
    finally:
        gc.unfreeze()
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


@each_half
def test_parameter_gradients_survive_scan(cases):
    # Not symmetric about 0: the gradients of odd functions would cancel.
    x = jnp.linspace(-2.0, 2.5, 12).reshape(4, 3)
    moving = {
        f"{case} {name}": (case, name, jnp.float32(value))
        for case in cases
        for name, value in case.numbers.items()
        if not case.spec.keeps_integers
    }

    def call(case, name, p, x):
        rest = {k: v for k, v in case.everything.items() if k != name}
        return case.spec.function(x, **rest, **{name: p}).sum()

    def scanned(at):
        def row_by_row(c, row):
            parts = [
                call(case, name, at[key], row)
                for key, (case, name, _) in moving.items()
            ]
            return c + sum(parts), None

        return jax.lax.scan(row_by_row, jnp.float32(0), x)[0]

    def direct(at):
        return sum(call(c, name, at[key], x) for key, (c, name, _) in moving.items())

    def formulas(at):
        m = Float64Namespace(jnp, jax.scipy.special.erf)
        return sum(
            jnp.sum(c.spec.reference(m, x, **(c.everything | {name: at[key]})))
            for key, (c, name, _) in moving.items()
        )

    at = {key: value for key, (_, _, value) in moving.items()}
    # The gradient outside of jit would compile forward and backward apart.
    got, want, plain = (jax.jit(jax.grad(f))(at) for f in (scanned, direct, formulas))
    # A threshold moves nothing but a jump; any other parameter moves the value.
    for key in moving:
        still = np.asarray(plain[key]) == 0
        np.testing.assert_array_equal(np.asarray(want[key]) == 0, still, err_msg=key)
        np.testing.assert_allclose(got[key], want[key], rtol=1e-5, err_msg=key)


# --- what is kept for backward ----------------------------------------------------


def kept(f, *arguments):
    leaves = jax.tree_util.tree_leaves(jax.vjp(f, *arguments)[1])
    return [a for a in leaves if hasattr(a, "dtype") and np.size(a) > 1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@each_case
def test_backward_keeps_at_most_one_array_of_x(case, dtype):
    x = positive(case, (64,), dtype)
    saved = kept(case.function, x)
    assert len(saved) <= 1
    assert all(a.dtype == x.dtype and a.shape == x.shape for a in saved)


@pytest.mark.parametrize("text", ["relu", "relu6", "leaky_relu", "leaky_relu6"])
def test_piecewise_linear_functions_keep_their_output_alone(text):
    f = jaxacts.get(text)
    x = jnp.linspace(-3.0, 8.0, 64)
    y, pull = jax.vjp(f, x)
    saved = [a for a in jax.tree_util.tree_leaves(pull) if np.size(a) > 1]
    assert len(saved) == 1
    np.testing.assert_array_equal(saved[0], y)


def test_a_setting_in_text_keeps_the_output_too():
    x = jnp.linspace(-3.0, 8.0, 64)
    saved = kept(jaxacts.get("leaky_relu(negative_slope=0.2)"), x)
    assert len(saved) == 1


def test_slope_from_output_is_right_where_the_product_underflows():
    x = jnp.array([-2e-38, -0.0, 0.0, 2e-38, -1.0])
    np.testing.assert_array_equal(
        jax.vmap(jax.grad(jaxacts.leaky_relu))(x),
        np.float32([0.01, 1.0, 1.0, 1.0, 0.01]),
    )
    negative = jax.vmap(jax.grad(lambda x: jaxacts.leaky_relu(x, -0.5)))(x)
    np.testing.assert_array_equal(negative, np.float32([-0.5, 1.0, 1.0, 1.0, -0.5]))


def test_with_a_moving_parameter_backward_keeps_x_and_the_parameter():
    x, beta = jnp.linspace(-3.0, 3.0, 64), jnp.full((64,), 1.5)
    saved = kept(jaxacts.swish, x, beta)
    assert len(saved) == 2


@pytest.mark.parametrize("shape", [(), (8,), (256, 1), (256, 8)])
def test_fixed_parameters_of_any_shape_do_not_add_to_what_is_kept(shape):
    x = jnp.linspace(-3.0, 3.0, 2048, dtype=jnp.bfloat16).reshape(256, 8)
    saved = kept(lambda x: jaxacts.elu(x, alpha=jnp.full(shape, 1.5)), x)
    assert sum(a.nbytes for a in saved) <= 1.125 * x.nbytes


# --- documentation ----------------------------------------------------------------


@pytest.mark.parametrize("name", jaxacts.names())
def test_docstring_is_whole_and_its_example_runs(name):
    record = jaxacts.spec(name)
    text = record.function.__doc__
    for part in ("Args:", "Returns:", "Example:", "Reference:", record.formula):
        if part != "Reference:" or record.paper:
            assert part in text, f"{name}: {part} is missing"
    examples = doctest.DocTestParser().get_doctest(
        text, {"jaxacts": jaxacts, "jax": jax, "jnp": jnp}, name, None, None
    )
    assert examples.examples
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    # The last digits printed depend on whether the machine fuses multiply-add.
    with np.printoptions(precision=4):
        result = runner.run(examples)
    assert result.failed == 0
