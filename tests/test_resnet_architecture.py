"""The networks are the published ones: sizes, shapes, padding, shortcuts, start."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from resnet_cases import (
    BLOCKS,
    draw,
    parameter_count,
    pictures,
    quick_jit,
    run,
    shapes,
    tiny,
)

import flax_models
from flax_models import resnet
from flax_models._layers import group_count

# torchvision's counts for v1, the count of the published checkpoints for
# resnet50v2, and table 6 of 1512.03385 (0.27M, 0.46M, 0.66M, 0.85M, 1.7M).
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet50v2": 25_549_352,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
}


@pytest.mark.parametrize("name", flax_models.names())
def test_every_named_model_has_its_layers_shapes_and_size(name):
    calls = 0

    def counting_relu(x):
        nonlocal calls
        calls += 1
        return jax.nn.relu(x)

    model = flax_models.get(name)(activation=counting_relu)
    large = model.stem == "imagenet"
    side, classes = (64, 1000) if large else (32, 10)
    images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    (logits, features), variables = jax.eval_shape(
        lambda key, x: model.init_with_output(key, x, return_features=True),
        jax.random.key(0),
        images,
    )
    chex.assert_shape(logits, (2, classes))

    expansion = model.block.expansion
    stages = len(model.stage_sizes)
    expected = {
        "stem": (
            2,
            side // (4 if large else 1),
        )
        * 1
    }
    size = side // 4 if large else side
    expected = {"stem": (2, size, size, model.width)}
    for stage in range(stages):
        channels = model.width * 2**stage * expansion
        expected[f"stage{stage + 1}"] = (2, size, size, channels)
        size //= 2
    expected["pooled"] = (2, channels)
    assert {k: v.shape for k, v in features.items()} == expected

    # The name counts the layers with weights that are not on a shortcut.
    depth = int(name.removeprefix("resnet").partition("v")[0])
    each = 3 if expansion == 4 else 2
    assert depth == each * sum(model.stage_sizes) + 2
    # One activation behind each of them but the head.
    assert calls == depth - 1

    if name in PARAMETERS:
        assert parameter_count(variables) == PARAMETERS[name]


def test_the_table_of_published_sizes_names_only_models_that_exist():
    assert set(PARAMETERS) <= set(flax_models.names())


def test_a_projection_shortcut_adds_its_kernel_and_norm():
    def count(shortcut):
        model = flax_models.ResNet20(shortcut=shortcut, activation=jax.nn.relu)
        return parameter_count(shapes(model, pictures(1, 32, 3)))

    added = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    assert count("projection") - count("pad") == added


def test_get_ignores_case_and_builds_what_the_named_function_builds():
    assert flax_models.get("ResNet50V2") is flax_models.ResNet50V2
    assert flax_models.get("resnet50v2") is flax_models.ResNet50V2


def test_a_setting_overrides_the_default_of_a_named_model():
    model = flax_models.ResNet18(stem="cifar", num_classes=7, width=16)
    assert (model.stem, model.num_classes, model.width) == ("cifar", 7, 16)
    assert model.stage_sizes == (2, 2, 2, 2)


def _convolution_by_loops(image, kernel, stride, before):
    size, _, channels = image.shape
    k = kernel.shape[0]
    out = -(-size // stride)
    padded = np.zeros((size + 2 * k, size + 2 * k, channels))
    padded[before : before + size, before : before + size] = image
    result = np.zeros((out, out, kernel.shape[-1]))
    for i in range(out):
        for j in range(out):
            window = padded[i * stride : i * stride + k, j * stride : j * stride + k]
            result[i, j] = np.einsum("ijc,ijcf->f", window, kernel)
    return result


# An even size at stride 2: XLA pads 2 pixels before and 3 behind, torch 3 and 3.
@pytest.mark.parametrize(("padding", "before"), [("torch", 3), ("SAME", 2)])
def test_padding_of_the_stem_is_symmetric_as_in_torch_or_xlas(padding, before):
    model = tiny(
        stem="imagenet",
        padding=padding,
        stage_sizes=(1,),
        block=resnet.PreActivationBasicBlock,
    )
    images = pictures(1, 8, 2)
    variables = draw(model, images)
    _, features = run(model, variables, images, return_features=True)
    kernel = np.asarray(variables["params"]["stem_conv"]["kernel"], np.float64)
    convolved = _convolution_by_loops(np.asarray(images[0]), kernel, 2, before)
    # A 3x3 max-pool of stride 2 on 4x4: torch pads one pixel before, XLA none.
    start = -1 if padding == "torch" else 0
    rows = [slice(max(i, 0), i + 3) for i in (start, start + 2)]
    pooled = [[convolved[i, j].max((0, 1)) for j in rows] for i in rows]
    np.testing.assert_allclose(features["stem"][0], pooled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_strides_on_its_first_3x3_convolution(block):
    module = block(filters=4, stride=2, activation=jax.nn.relu)
    variables = draw(module, x := pictures(1, 8, 8))
    strides: dict[int, list[int]] = {1: [], 3: []}
    for equation in jax.make_jaxpr(module.apply)(variables, x).eqns:
        if equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape[0]
            strides[kernel].append(equation.params["window_strides"][0])
    bottleneck = block.expansion == 4
    assert strides[3] == ([2] if bottleneck else [2, 1])
    # The projection is the only strided 1x1 convolution.
    assert sorted(strides[1]) == ([1, 1, 2] if bottleneck else [2])


def test_the_padded_shortcut_subsamples_and_appends_zero_channels():
    model = tiny(shortcut="pad")
    variables = draw(model, images := pictures())
    last = variables["params"]["stage2_block1"]["norm2"]
    last.update(jax.tree.map(jnp.zeros_like, last))
    _, features = run(model, variables, images, return_features=True)
    stage1, stage2 = features["stage1"], features["stage2"]
    chex.assert_trees_all_equal(stage2[..., :4], stage1[:, ::2, ::2])
    chex.assert_trees_all_equal(stage2[..., 4:], jnp.zeros((2, 4, 4, 4)))


@pytest.mark.parametrize("zero_init", [True, False])
@pytest.mark.parametrize("block", BLOCKS)
def test_zero_init_makes_a_block_its_shortcut_at_the_start(block, zero_init):
    module = block(filters=2, activation=jax.nn.relu, zero_init=zero_init)
    x = jnp.abs(pictures(2, 6, 2 * block.expansion))

    @quick_jit
    def start(key, x):
        evaluated, variables = module.init_with_output(key, x, False)
        trained, _ = module.apply(variables, x, True, mutable="batch_stats")
        return evaluated, trained

    for y in start(jax.random.key(0), x):
        if zero_init:
            chex.assert_trees_all_equal(y, x)
        else:
            assert float(jnp.abs(y - x).max()) > 0.01


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_that_starts_at_zero_can_leave_it(block):
    # A zero scale before a relu would give no gradient at all.
    module = block(filters=2, activation=jax.nn.relu)
    x = pictures(2, 6, 2 * block.expansion)

    end = ("conv" if block.preactivation else "norm") + "23"[block.expansion == 4]
    leaf = "kernel" if block.preactivation else "scale"
    variables = draw(module, x)
    params = variables["params"]

    def output(value):
        changed = {**params, end: {**params[end], leaf: value}}
        both = {**variables, "params": changed}
        y, _ = module.apply(both, x, True, mutable="batch_stats")
        return jnp.sum(y * x)

    slope = quick_jit(jax.grad(output))(jnp.zeros_like(params[end][leaf]))
    assert float(jnp.abs(slope).min()) > 0


def test_without_a_head_the_pooled_features_come_out():
    model = tiny(num_classes=None)
    variables = draw(model, images := pictures())
    pooled, features = run(model, variables, images, return_features=True)
    assert "head" not in variables["params"]
    chex.assert_shape(pooled, (2, 8))
    chex.assert_trees_all_equal(pooled, features["pooled"])
    chex.assert_trees_all_close(pooled, features["stage2"].mean(axis=(1, 2)), rtol=1e-5)


def test_convolutions_start_with_he_normal_of_fan_out():
    module = resnet.BasicBlock(filters=64, activation=jax.nn.relu)
    x = pictures(1, 4, 16)
    kernel = quick_jit(module.init)(jax.random.key(0), x)["params"]["conv1"]["kernel"]
    chex.assert_shape(kernel, (3, 3, 16, 64))
    # 9,216 draws: the standard error of the deviation is 0.7%.
    expected = (2 / (3 * 3 * 64)) ** 0.5
    assert float(kernel.std()) == pytest.approx(expected, rel=0.03)


def test_group_norm_divides_every_width_and_keeps_two_channels_a_group():
    for channels in range(1, 300):
        groups = group_count(channels)
        assert channels % groups == 0, channels
        assert groups <= 32, channels
        assert groups == 1 or channels // groups >= 2, channels


def test_group_norm_has_the_published_32_groups_at_the_published_widths():
    assert {group_count(64 * 2**i) for i in range(6)} == {32}
