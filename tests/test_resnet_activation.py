"""The activation asked for stands at every nonlinearity, with its own parameters."""

import functools
import itertools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from resnet_cases import BLOCKS, draw, pictures, quick_jit, run, shapes, tiny

import flax_models
import jaxacts
import jaxacts.linen
from flax_models import resnet

SLOPES = ("negative_slope", "beta")


def _learned(tree):
    """Path to value of every parameter of an activation."""
    return {
        "/".join(key.key for key in path): leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
        if path[-1].key in SLOPES
    }


def _places(block):
    """Where activations stand in `tiny`."""
    each = 3 if block.expansion == 4 else 2
    ends = {"head_act"} if block.preactivation else {"stem_act"}
    return ends | {
        f"stage{stage}_block1/act{i + 1}" for stage in (1, 2) for i in range(each)
    }


@pytest.mark.parametrize("shortcut", ["projection", "pad"])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_linear_activation_leaves_no_nonlinearity_at_all(block, shortcut):
    a, b = pictures(seed=1), pictures(seed=2)
    images = jnp.concatenate([a, b, 0.3 * a + 0.7 * b])

    def departure_from_affine(activation):
        model = tiny(activation, block=block, shortcut=shortcut)
        at_a, at_b, mixed = run(model, draw(model, a), images).reshape(3, 2, 3)
        return float(jnp.abs(0.3 * at_a + 0.7 * at_b - mixed).max())

    assert departure_from_affine(lambda x: 0.5 * x) < 1e-5
    assert departure_from_affine(jax.nn.relu) > 1e-3


@pytest.mark.parametrize("block", BLOCKS)
def test_changing_the_activation_at_any_one_place_changes_the_logits(block):
    count = len(_places(block))

    def summed_logits(weights, variables, images):
        unused = iter(weights)
        # Place i computes relu(x) + weights[i] tanh(x).
        model = tiny(lambda x: jax.nn.relu(x) + next(unused) * jnp.tanh(x), block=block)
        logits = model.apply(variables, images)
        assert next(unused, None) is None, "fewer places than expected"
        return logits[0, 0]

    variables = draw(tiny(block=block), images := pictures())
    change = quick_jit(jax.grad(summed_logits))(jnp.zeros(count), variables, images)
    assert float(jnp.abs(change).min()) > 1e-4, change


@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_module_class_makes_parameters_of_its_own_at_each_named_place(block, remat):
    variables = shapes(tiny(nn.PReLU, block=block, remat=remat), pictures())
    slopes = _learned(variables["params"])
    assert set(slopes) == {f"{place}/negative_slope" for place in _places(block)}


@pytest.mark.parametrize(
    "factory",
    [
        nn.PReLU,
        functools.partial(nn.PReLU, negative_slope_init=0.1),
        lambda: nn.PReLU(negative_slope_init=0.1),
        lambda slope=0.1: nn.PReLU(negative_slope_init=slope),
        jaxacts.linen.PReLU,
        jaxacts.linen.Swish,
        functools.partial(jaxacts.linen.Swish, beta_init=2.0),
        "prelu",
        jaxacts.prelu,
    ],
)
def test_every_kind_of_factory_makes_one_module_a_place(factory):
    slopes = _learned(shapes(tiny(factory), pictures())["params"])
    places = {path.rpartition("/")[0] for path in slopes}
    assert places == _places(resnet.BasicBlock)


def test_a_factory_may_make_nested_modules():
    model = tiny(lambda: nn.Sequential([nn.PReLU(), jnp.tanh]))
    slopes = _learned(shapes(model, pictures())["params"])
    places = {path.partition("/layers_0")[0] for path in slopes}
    assert places == _places(resnet.BasicBlock)


def test_a_factory_that_hands_out_one_instance_shares_nothing():
    instance = nn.PReLU()
    slopes = _learned(shapes(tiny(lambda: instance), pictures())["params"])
    assert len(slopes) == len(_places(resnet.BasicBlock))


@pytest.mark.parametrize(
    ("block", "remat"),
    [(resnet.BasicBlock, True), (resnet.PreActivationBottleneckBlock, False)],
)
def test_own_parameters_have_own_gradients_and_a_shared_one_has_their_sum(block, remat):
    own = tiny(nn.PReLU, block=block, remat=remat, stage_sizes=(1,))
    shared = tiny(nn.PReLU(), block=block, remat=remat, stage_sizes=(1,))
    images = pictures()

    def slope_gradients(model, variables):
        def logit(slopes):
            def chosen(path, leaf):
                return slopes.get("/".join(key.key for key in path), leaf)

            params = jax.tree.map_with_path(chosen, variables["params"])
            return model.apply({**variables, "params": params}, images)[0, 0]

        return quick_jit(jax.grad(logit))(_learned(variables["params"]))

    def with_one_slope(path, leaf):
        return jnp.full_like(leaf, 0.2) if path[-1].key in SLOPES else leaf

    variables = jax.tree.map_with_path(with_one_slope, draw(own, images))
    each = sorted(float(v) for v in slope_gradients(own, variables).values())
    assert len(each) == 1 + (3 if block.expansion == 4 else 2)
    assert min(map(abs, each)) > 1e-5
    assert all(b - a > 1e-6 for a, b in itertools.pairwise(each))

    weights = {
        name: {k: v for k, v in tree.items() if not k.startswith("act")}
        for name, tree in variables["params"].items()
        if not name.endswith("_act")
    }
    weights["activation"] = {"negative_slope": jnp.float32(0.2)}
    chex.assert_trees_all_equal_shapes(shapes(shared, images)["params"], weights)
    together = slope_gradients(shared, {**variables, "params": weights})
    assert set(together) == {"activation/negative_slope"}
    assert float(*together.values()) == pytest.approx(sum(each), rel=1e-4)


def test_a_per_channel_layer_has_the_channels_of_its_place():
    model = tiny(functools.partial(jaxacts.linen.PReLU, axes=(-1,)))
    slopes = _learned(shapes(model, pictures())["params"])
    assert slopes["stem_act/negative_slope"].shape == (4,)
    assert slopes["stage2_block1/act1/negative_slope"].shape == (8,)


@pytest.mark.parametrize(
    ("asked", "same_as"),
    [
        ("mish", jaxacts.mish),
        ("swish", jax.nn.silu),
        ("leaky_relu(negative_slope=0.3)", lambda x: jnp.where(x < 0, 0.3 * x, x)),
        (lambda *args: jnp.tanh(*args), jnp.tanh),
        (functools.partial(nn.leaky_relu, negative_slope=0.3), "leaky_relu"),
    ],
)
def test_a_name_and_a_function_of_one_formula_give_one_network(asked, same_as):
    if same_as == "leaky_relu":
        same_as = "leaky_relu(negative_slope=0.3)"
    variables = draw(tiny(stage_sizes=(1,)), images := pictures())

    def logits(activation):
        return run(tiny(activation, stage_sizes=(1,)), variables, images)

    chex.assert_trees_all_close(logits(asked), logits(same_as), rtol=1e-5, atol=1e-6)


def test_a_layer_chosen_by_name_keeps_the_parameter_dtype_of_the_model():
    variables = shapes(tiny("prelu", param_dtype=jnp.bfloat16), pictures())
    dtypes = {leaf.dtype for leaf in _learned(variables["params"]).values()}
    assert dtypes == {jnp.dtype(jnp.bfloat16)}


def test_an_activation_that_upcasts_does_not_change_the_dtype_of_the_network():
    model = tiny(lambda x: jnp.tanh(x.astype(jnp.float32)), dtype=jnp.bfloat16)
    (_, features), _ = jax.eval_shape(
        lambda key, x: model.init_with_output(key, x, return_features=True),
        jax.random.key(0),
        pictures(),
    )
    assert features["stage1"].dtype == jnp.bfloat16


def test_an_unknown_name_is_refused_when_the_model_is_made():
    with pytest.raises(ValueError, match=r"activation='mihs' is unknown.*'mish'"):
        flax_models.ResNet18(activation="mihs")


class _Plain:
    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is of type NoneType"),
        (3, "is of type int"),
        (_Plain, "is a class, and not of a flax.linen module"),
        (functools.partial(_Plain), "is a class, and not of a flax.linen module"),
        (lambda x, y: x + y, "needs the arguments x, y"),
        (jaxacts.relu_n, "needs the arguments"),
        ("relu_n", "needs the arguments"),
    ],
)
def test_what_is_no_activation_is_refused_when_the_model_is_made(value, reason):
    with pytest.raises(TypeError, match=f"activation=.* {reason}.*accepted are"):
        flax_models.ResNet18(activation=value)


def test_an_object_that_can_be_called_is_a_function():
    assert "activation" not in shapes(tiny(_Plain()), pictures())["params"]


@pytest.mark.parametrize(
    ("value", "error", "reason"),
    [
        (lambda: 3, TypeError, "returned int, not a module"),
        (lambda x: nn.PReLU(), TypeError, "returned PReLU for an array"),
        (lambda x: x[..., :2], ValueError, "turned the shape"),
    ],
)
def test_what_turns_out_to_be_no_activation_is_refused_at_its_first_use(
    value, error, reason
):
    with pytest.raises(error, match=f"activation=.* {reason}"):
        shapes(tiny(value), pictures())
