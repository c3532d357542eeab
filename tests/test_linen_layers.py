"""Layers of learnable activations follow from the register alone."""

import pickle

import chex
import jax
import jax.numpy as jnp
import pytest

import jaxacts
import jaxacts.linen
from jaxacts import _registry
from jaxacts._spec import Parameter, Spec


def _x(*shape):
    size = 1
    for n in shape:
        size *= n
    return (jnp.arange(float(size)) - size / 2 + 0.25).reshape(shape)


def _parameters(module, x):
    return module.init(jax.random.key(0), x).get("params", {})


@pytest.mark.parametrize("name", jaxacts.linen.layers())
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_every_layer_starts_as_its_function_at_the_initial_parameters(name, dtype):
    spec = jaxacts.spec(name)
    x = _x(2, 3, 4).astype(dtype)
    for axes in ((), (-1,)):
        module = jaxacts.linen.layer(name)(axes=axes)
        y, variables = module.init_with_output(jax.random.key(0), x)
        expected = spec.function(x, **{p.name: p.initial for p in spec.learnable})
        assert y.dtype == dtype
        # A parameter that is kept above a bound passes through softplus and back.
        exact = all(p.above is None for p in spec.learnable)
        rtol = 0 if exact else 8 * float(jnp.finfo(dtype).eps)
        chex.assert_trees_all_close(y, expected, rtol=rtol, atol=0)
        assert set(variables["params"]) == {p.name for p in spec.learnable}
        for p in spec.learnable:
            leaf = variables["params"][p.name]
            several = (len(p.initial),) if isinstance(p.initial, tuple) else ()
            assert leaf.shape == (() if not axes else (4,)) + several
            assert leaf.dtype == jnp.float32


@pytest.mark.parametrize("name", jaxacts.linen.layers())
def test_every_parameter_of_every_layer_has_a_gradient(name):
    module = jaxacts.linen.layer(name)(axes=(-1,))
    # The sharpness of smu starts so high that it is felt beside 0 alone.
    x = jnp.array([[-1.5, -0.75], [0.5, 1.25], [-1e-7, 1e-7]])
    params = _parameters(module, x)
    gradients = jax.grad(lambda p: (module.apply({"params": p}, x) ** 2).sum())(params)
    for gradient in gradients.values():
        assert float(jnp.abs(gradient).min()) > 0


def test_layers_are_the_registered_functions_with_a_learnable_parameter():
    expected = {n for n in jaxacts.names() if jaxacts.spec(n).learnable}
    assert set(jaxacts.linen.layers()) == expected
    assert {"prelu", "swish"} <= expected


def test_prelu_and_swish_are_found_by_class_name():
    assert jaxacts.linen.PReLU is jaxacts.linen.layer("prelu")
    assert jaxacts.linen.Swish is jaxacts.linen.layer(jaxacts.swish)
    assert jaxacts.linen.PReLU.__name__ == "PReLU"
    assert jaxacts.linen.SMU.__name__ == "SMU"
    assert {"PReLU", "Swish", "SMU"} <= set(dir(jaxacts.linen))


def test_coefficients_of_rational_are_one_set_a_channel_and_learn():
    x = jnp.linspace(-2.0, 2.0, 40).reshape(20, 2)
    module = jaxacts.linen.Rational(
        axes=(-1,), denominator_init=(0.0, 0.5, 0.0, 0.1), param_dtype=jnp.float32
    )
    params = _parameters(module, x)
    assert params["numerator"].shape == (2, 6)
    expected = jnp.broadcast_to(jnp.array([0.0, 0.5, 0.0, 0.1]), (2, 4))
    chex.assert_trees_all_equal(params["denominator"], expected)
    target = jnp.stack([jnp.tanh(x[:, 0]), jnp.abs(x[:, 1])], axis=1)

    def loss(params):
        return ((module.apply({"params": params}, x) - target) ** 2).mean()

    start = loss(params)
    step = jax.jit(
        lambda p: jax.tree.map(lambda a, g: a - 0.02 * g, p, jax.grad(loss)(p))
    )
    for _ in range(200):
        params = step(params)
    assert float(loss(params)) < 0.05 * float(start)
    # Each channel has its own coefficients.
    y = module.apply({"params": params}, x)
    for channel in (0, 1):
        own = [params[name][channel] for name in ("numerator", "denominator")]
        chex.assert_trees_all_equal(
            y[:, channel], jaxacts.rational(x[:, channel], *own)
        )


def test_a_layer_class_survives_pickling():
    assert pickle.loads(pickle.dumps(jaxacts.linen.PReLU)) is jaxacts.linen.PReLU


@pytest.fixture
def planted(monkeypatch):
    """A registered activation with two learnable parameters and a fixed one."""
    for register in ("_SPECS", "_ALIASES", "_BY_FUNCTION"):
        monkeypatch.setattr(_registry, register, dict(getattr(_registry, register)))

    def twin_relu(x, gain, shift=0.5, cap=6.0):
        return jnp.minimum(jnp.maximum(gain * x + shift, 0.0), cap)

    _registry.register(
        Spec(
            name="twin_relu",
            family="planted",
            formula=r"\min(\max(gx + s, 0), c)",
            function=twin_relu,
            parameters=(
                Parameter(name="gain", default=None, initial=2.0, description="any"),
                Parameter(name="shift", default=0.5, initial=0.25, description="any"),
                Parameter(name="cap", default=6.0, description="positive"),
            ),
        )
    )
    yield twin_relu
    jaxacts.linen._layer.cache_clear()


def test_an_activation_gets_its_layer_by_its_record_alone(planted):
    assert "twin_relu" in jaxacts.linen.layers()
    layer = jaxacts.linen.TwinReLU
    x = jnp.array([[-1.0, 0.5, 5.0]])
    module = layer(cap=3.0, gain_init=1.5)
    y, variables = module.init_with_output(jax.random.key(0), x)
    chex.assert_trees_all_equal(y, planted(x, 1.5, 0.25, cap=3.0))
    assert {k: float(v) for k, v in variables["params"].items()} == {
        "gain": 1.5,
        "shift": 0.25,
    }


@pytest.fixture
def bounded(monkeypatch):
    """A registered activation whose parameters are kept above others."""
    for register in ("_SPECS", "_ALIASES", "_BY_FUNCTION"):
        monkeypatch.setattr(_registry, register, dict(getattr(_registry, register)))

    def two_slopes(x, left, right, bend, floor=0.5):
        return jnp.where(x > 0, right * x, left * x) + bend + 0 * floor

    _registry.register(
        Spec(
            name="two_slopes",
            family="planted",
            formula="x",
            function=two_slopes,
            parameters=(
                Parameter(
                    name="left",
                    default=None,
                    initial=0.8,
                    above="right",
                    description="",
                ),
                Parameter(name="right", default=None, initial=0.3, description=""),
                Parameter(
                    name="bend",
                    default=None,
                    initial=0.7,
                    above="floor",
                    description="",
                ),
                Parameter(name="floor", default=0.5, description=""),
            ),
        )
    )
    yield two_slopes
    jaxacts.linen._layer.cache_clear()


@pytest.mark.parametrize("axes", [(), (-1,), (-1, 0)])
def test_a_bounded_parameter_is_stored_as_inverse_softplus_above_its_bound(
    bounded, axes
):
    x = _x(2, 3)
    module = jaxacts.linen.TwoSlopes(axes=axes)
    y, variables = module.init_with_output(jax.random.key(0), x)
    chex.assert_trees_all_close(y, bounded(x, 0.8, 0.3, 0.7), rtol=1e-6)
    params = variables["params"]
    for name, difference in (("left", 0.5), ("bend", 0.2)):
        stored = params[name]
        assert stored.shape == tuple(x.shape[a] for a in axes)
        want = jnp.full_like(stored, jnp.log(jnp.expm1(difference)))
        chex.assert_trees_all_close(stored, want, rtol=1e-5)
    # Whatever is stored, the bound holds, and it moves with the other parameter.
    moved = params | {"left": params["left"] - 100.0, "right": params["right"] + 1.0}
    y = module.apply({"params": moved}, x)
    chex.assert_trees_all_close(y, bounded(x, 1.3, 1.3, 0.7), rtol=1e-6)


@pytest.mark.parametrize("spelling", ["TwinReLU", "TWINRELU", "twinReLU", "Twin_Relu"])
def test_case_and_underscores_do_not_matter(planted, spelling):
    assert getattr(jaxacts.linen, spelling) is jaxacts.linen.layer("twin_relu")


@pytest.mark.parametrize(
    ("axes", "shape"),
    [((), ()), ((-1,), (4,)), ((1,), (3,)), ((0, -1), (2, 4)), ((-1, 0), (4, 2))],
)
def test_axes_say_where_a_parameter_varies(axes, shape):
    x = -jnp.ones((2, 3, 4))

    def count_up(key, shape, dtype):
        size = 1
        for n in shape:
            size *= n
        return jnp.arange(float(size), dtype=dtype).reshape(shape)

    module = jaxacts.linen.PReLU(axes=axes, negative_slope_init=count_up)
    y, variables = module.init_with_output(jax.random.key(0), x)
    slopes = variables["params"]["negative_slope"]
    assert slopes.shape == shape
    for index in [(0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 3), (1, 2, 3)]:
        assert float(y[index]) == -float(slopes[tuple(index[a] for a in axes)])


def test_dtype_is_of_the_result_and_param_dtype_of_the_parameters():
    x = _x(2, 3)
    module = jaxacts.linen.PReLU(dtype=jnp.bfloat16, param_dtype=jnp.float16)
    y, variables = module.init_with_output(jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert variables["params"]["negative_slope"].dtype == jnp.float16


def test_a_slope_learns_what_it_is_asked_to():
    module = jaxacts.linen.PReLU()
    x = jnp.array([-2.0, -1.0, 1.0, 2.0])
    params = _parameters(module, x)

    def loss(params):
        return ((module.apply({"params": params}, x) - jnp.abs(x)) ** 2).mean()

    for _ in range(20):
        params = jax.tree.map(lambda p, g: p - 0.3 * g, params, jax.grad(loss)(params))
    assert float(params["negative_slope"]) == pytest.approx(-1.0, abs=1e-4)


@pytest.mark.parametrize("axes", [(2,), (-3,), (0, 0), (1, -1)])
def test_axes_that_x_has_not_or_twice_are_refused(axes):
    with pytest.raises(ValueError, match=r"axes=.* for x of rank 2; accepted are"):
        _parameters(jaxacts.linen.PReLU(axes=axes), _x(2, 3))


def test_an_activation_with_nothing_to_learn_has_no_layer():
    with pytest.raises(ValueError, match=r"activation='relu' .*accepted are .*prelu"):
        jaxacts.linen.layer("relu")


def test_an_unknown_activation_has_no_layer():
    with pytest.raises(ValueError, match=r"activation='prelo' is unknown.*'prelu'"):
        jaxacts.linen.layer("prelo")


@pytest.mark.parametrize("name", ["prelu", "NoSuchLayer", "__wrapped__"])
def test_a_missing_attribute_is_an_attribute_error_that_lists_the_layers(name):
    with pytest.raises(AttributeError, match=rf"{name}.*PReLU"):
        getattr(jaxacts.linen, name)
