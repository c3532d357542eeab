"""Networks train: under jit, over devices, in 16 bits, with any norm."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from resnet_cases import BLOCKS, draw, pictures, quick_jit, run, shapes, tiny

from flax_models import resnet

DEVICES = 8
needs_devices = pytest.mark.skipif(
    jax.device_count() < DEVICES, reason=f"needs {DEVICES} devices"
)


def _train(model, variables, images):
    """Logits and new running statistics of one forward pass in training."""
    return model.apply(variables, images, train=True, mutable="batch_stats")


def test_a_few_plain_jit_steps_fit_a_handful_of_images():
    model = tiny()
    images = pictures(12)
    labels = jnp.arange(12) % 3
    variables = draw(model, images)

    @jax.jit
    def step(variables):
        def loss_of(params):
            logits, new = _train(model, {**variables, "params": params}, images)
            chosen = jnp.take_along_axis(nn.log_softmax(logits), labels[:, None], 1)
            return -chosen.mean(), new["batch_stats"]

        (loss, stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            variables["params"]
        )
        params = jax.tree.map(lambda p, g: p - 0.1 * g, variables["params"], gradients)
        return {"params": params, "batch_stats": stats}, loss

    start, first = step(variables)
    chex.assert_trees_all_equal_shapes_and_dtypes(start, variables)
    for old, new in zip(
        jax.tree.leaves(variables), jax.tree.leaves(start), strict=True
    ):
        assert not np.array_equal(old, new)
    for _ in range(30):
        start, loss = step(start)
    assert float(loss) < 0.3 * float(first)


def test_running_statistics_move_by_a_tenth_towards_those_of_the_batch():
    model = tiny(stage_sizes=(1,), block=resnet.PreActivationBasicBlock)
    images = pictures(4)
    variables = draw(model, images)
    _, new = quick_jit(functools.partial(_train, model))(variables, images)
    _, features = run(model, variables, images, return_features=True)
    stem = np.asarray(features["stem"], np.float64)
    old, moved = (
        stats["batch_stats"]["stage1_block1"]["norm1"] for stats in (variables, new)
    )
    mean, var = stem.mean((0, 1, 2)), stem.var((0, 1, 2))
    np.testing.assert_allclose(moved["mean"], 0.9 * old["mean"] + 0.1 * mean, 1e-5)
    np.testing.assert_allclose(moved["var"], 0.9 * old["var"] + 0.1 * var, 1e-5)


def test_batch_variance_survives_a_mean_far_from_zero():
    # E[x^2] - E[x]^2 in float32 would be wrong by a factor here.
    module = resnet.PreActivationBasicBlock(filters=1, activation=jax.nn.relu)
    x = 1e4 + pictures(4)
    _, new = quick_jit(functools.partial(_train_block, module))(draw(module, x), x)
    old = draw(module, x)["batch_stats"]["norm1"]["var"]
    moved = new["batch_stats"]["norm1"]["var"]
    expected = 0.9 * old + 0.1 * np.asarray(x, np.float64).var()
    np.testing.assert_allclose(moved, expected, rtol=1e-3)


def _train_block(module, variables, x):
    return module.apply(variables, x, True, mutable="batch_stats")


def _over_devices(how, model, variables, images):
    """One training pass with the batch split over the devices."""
    train = functools.partial(_train, model)
    if how == "pmap":
        split = images.reshape(DEVICES, -1, *images.shape[1:])
        logits, new = jax.pmap(train, axis_name="data", in_axes=(None, 0))(
            variables, split
        )
        for leaf in jax.tree.leaves(new):
            np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape))
        return logits.reshape(-1, logits.shape[-1]), jax.tree.map(lambda a: a[0], new)
    mesh = jax.make_mesh((DEVICES,), ("data",), axis_types=(AxisType.Auto,))
    split, whole = PartitionSpec("data"), PartitionSpec()
    if how == "shard_map":
        mapped = jax.shard_map(
            train, mesh=mesh, in_specs=(whole, split), out_specs=(split, whole)
        )
        return jax.jit(mapped)(variables, images)
    return jax.jit(train)(
        jax.device_put(variables, NamedSharding(mesh, whole)),
        jax.device_put(images, NamedSharding(mesh, split)),
    )


@needs_devices
@pytest.mark.parametrize(
    ("how", "axis_name"), [("pmap", "data"), ("shard_map", "data"), ("jit", None)]
)
def test_statistics_over_devices_are_those_of_the_whole_batch(how, axis_name):
    images = pictures(2 * DEVICES)
    alone = tiny(stage_sizes=(1,))
    variables = draw(alone, images)
    logits, new = quick_jit(functools.partial(_train, alone))(variables, images)
    model = tiny(stage_sizes=(1,), axis_name=axis_name)
    split_logits, split_new = _over_devices(how, model, variables, images)
    chex.assert_trees_all_close(split_logits, logits, rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(split_new, new, rtol=1e-5, atol=1e-6)


@needs_devices
def test_without_an_axis_name_each_device_has_its_own_statistics():
    images = pictures(2 * DEVICES)
    model = tiny(stage_sizes=(1,))
    variables = draw(model, images)
    split = images.reshape(DEVICES, -1, *images.shape[1:])
    _, new = jax.pmap(functools.partial(_train, model), in_axes=(None, 0))(
        variables, split
    )
    mean = new["batch_stats"]["stem_norm"]["mean"]
    assert float(jnp.abs(mean - mean[:1]).max()) > 1e-3


@needs_devices
@pytest.mark.parametrize("norm", ["group", nn.LayerNorm])
def test_a_norm_of_single_examples_never_mixes_devices(norm):
    images = pictures(DEVICES)
    model = tiny(stage_sizes=(1,), norm=norm, axis_name="data")
    variables = draw(model, images)
    logits, _ = jax.pmap(
        functools.partial(_train, model), axis_name="data", in_axes=(None, 0)
    )(variables, images[:, None])
    alone = run(tiny(stage_sizes=(1,), norm=norm), variables, images)
    chex.assert_trees_all_close(logits[:, 0], alone, rtol=1e-4, atol=1e-5)


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            if hasattr(inner := getattr(value, "jaxpr", value), "eqns"):
                yield from _equations(inner)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("block", BLOCKS)
def test_16_bit_networks_convolve_in_16_bits_and_normalise_in_float32(block, dtype):
    model = tiny(block=block, dtype=dtype)
    images = pictures()
    variables = shapes(model, images)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(variables)}
    assert dtypes == {jnp.dtype(jnp.float32)}

    def train(variables, images):
        return model.apply(
            variables, images, train=True, return_features=True, mutable="batch_stats"
        )

    (logits, features), new = jax.eval_shape(train, variables, images)
    assert logits.dtype == features.pop("pooled").dtype == jnp.float32
    assert {feature.dtype for feature in features.values()} == {jnp.dtype(dtype)}
    chex.assert_trees_all_equal_shapes_and_dtypes(
        new["batch_stats"], variables["batch_stats"]
    )
    seen: dict[str, set] = {"conv_general_dilated": set(), "rsqrt": set()}
    for equation in _equations(jax.make_jaxpr(train)(variables, images).jaxpr):
        if equation.primitive.name in seen:
            seen[equation.primitive.name].add(equation.invars[0].aval.dtype)
        if equation.primitive.name in ("reduce_sum", "dot_general"):
            assert equation.invars[0].aval.dtype == jnp.float32
    assert seen == {
        "conv_general_dilated": {jnp.dtype(dtype)},
        "rsqrt": {jnp.dtype(jnp.float32)},
    }


def test_a_bfloat16_network_agrees_with_float32_to_bfloat16_precision():
    images = pictures(8)
    variables = draw(tiny(), images)
    full, _ = quick_jit(functools.partial(_train, tiny()))(variables, images)
    half, _ = quick_jit(functools.partial(_train, tiny(dtype=jnp.bfloat16)))(
        variables, images
    )
    assert float(jnp.abs(full - half).max()) < 0.05 * float(jnp.abs(full).max())


def test_bfloat16_parameters_leave_norms_in_float32():
    variables = shapes(tiny(param_dtype=jnp.bfloat16), pictures())
    for path, leaf in jax.tree.leaves_with_path(variables):
        in_norm = path[0].key == "batch_stats" or path[-2].key.endswith("_norm")
        in_norm = in_norm or path[-2].key.startswith("norm")
        assert leaf.dtype == (jnp.float32 if in_norm else jnp.bfloat16), path


def test_a_float64_network_is_float64_throughout():
    with jax.enable_x64(True):
        model = tiny(dtype=jnp.float64, param_dtype=jnp.float64)
        images = jnp.asarray(pictures(), jnp.float64)
        variables = shapes(model, images)
        logits, new = jax.eval_shape(
            functools.partial(_train, model), variables, images
        )
        leaves = jax.tree.leaves((variables, logits, new))
        assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float64)}


@pytest.mark.parametrize(
    "norm",
    [
        "group",
        nn.LayerNorm,
        functools.partial(nn.GroupNorm, num_groups=2),
        lambda: nn.GroupNorm(num_groups=None, group_size=2),
    ],
)
def test_a_norm_without_running_statistics_needs_no_batch(norm):
    model = tiny(norm=norm, stage_sizes=(1,))
    images = pictures()
    variables = draw(model, images)
    assert set(variables) == {"params"}
    both = run(model, variables, images, train=True)
    one = run(model, variables, images[:1], train=True)
    chex.assert_trees_all_close(both[:1], one, rtol=1e-5)


def test_a_batch_norm_from_a_factory_follows_train_axis_and_zero_init():
    momentum = functools.partial(nn.BatchNorm, momentum=0.5)
    model = tiny(norm=momentum, stage_sizes=(1,), zero_init=True)
    images = pictures(4)
    variables = draw(model, images)
    _, usual = quick_jit(functools.partial(_train, tiny(stage_sizes=(1,))))(
        variables, images
    )
    _, new = quick_jit(functools.partial(_train, model))(variables, images)
    old = variables["batch_stats"]["stem_norm"]["mean"]
    step = new["batch_stats"]["stem_norm"]["mean"] - old
    usual_step = usual["batch_stats"]["stem_norm"]["mean"] - old
    chex.assert_trees_all_close(step, 5 * usual_step, rtol=1e-4)


def test_zero_init_reaches_a_norm_from_a_factory():
    model = tiny(norm=nn.LayerNorm, stage_sizes=(1,))
    params = quick_jit(model.init)(jax.random.key(0), pictures())["params"]
    scales = params["stage1_block1"]
    assert float(jnp.abs(scales["norm2"]["scale"]).max()) == 0
    assert float(scales["norm1"]["scale"].min()) == 1
