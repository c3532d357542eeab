"""Recomputed blocks change the memory of a training step and nothing else."""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec
from resnet_cases import BLOCKS, draw, pictures, quick_jit, shapes, tiny

import flax_models
import jaxacts.linen
from flax_models import resnet, training
from flax_models.checkpoint import Checkpoints, digest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import _run
import train_resnet
from _folder import completed
from _prepare import prepare

DOUBLE = {"dtype": jnp.float64, "param_dtype": jnp.float64}
# Of the sums of float64 in another order; a wrong term would be 1 and more.
NEAR = {"rtol": 1e-9, "atol": 1e-11}


def both(activation, **settings):
    """The same network without and with recomputed blocks."""
    return [tiny(activation, remat=remat, **settings) for remat in (False, True)]


def learn(model, variables, images, rngs=None):
    """Gradients in parameters and images; new running statistics and logits."""

    def loss_of(params, images):
        logits, new = model.apply(
            {**variables, "params": params},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs=rngs,
        )
        return jnp.sum(jnp.sin(logits)), (new, logits)

    return jax.grad(loss_of, (0, 1), has_aux=True)(variables["params"], images)


CASES = [
    (resnet.BasicBlock, nn.PReLU),
    *(
        pytest.param(block, activation, marks=pytest.mark.slow)
        for block in BLOCKS
        for activation in ("mish", nn.PReLU)
        if (block, activation) != (resnet.BasicBlock, nn.PReLU)
    ),
]


@pytest.mark.parametrize(("block", "activation"), CASES)
def test_gradients_statistics_and_logits_are_the_same(x64, block, activation):
    models = both(activation, block=block, **DOUBLE)
    images = jnp.asarray(pictures(4), jnp.float64)
    variables = draw(models[0], images)
    chex.assert_trees_all_equal_shapes_and_dtypes(
        *(shapes(model, images) for model in models)
    )
    plain, recomputed = (
        quick_jit(functools.partial(learn, model))(variables, images)
        for model in models
    )
    chex.assert_trees_all_close(plain, recomputed, **NEAR)
    before, after = variables["batch_stats"], recomputed[1][0]["batch_stats"]
    moved = jax.tree.map(
        lambda old, new: jnp.abs(old - new).max() > 1e-4, before, after
    )
    assert all(jax.tree.leaves(moved)), "every statistic is updated"


@pytest.mark.parametrize("train", [False, True])
def test_the_forward_pass_has_the_same_bits(train):
    models = both(jnp.tanh, block=resnet.PreActivationBasicBlock, stage_sizes=(1,))
    variables = draw(models[0], images := pictures())
    how = {"train": train, "mutable": ["batch_stats"] if train else False}
    plain, recomputed = (
        quick_jit(lambda v, x, model=model: model.apply(v, x, **how))(variables, images)
        for model in models
    )
    assert digest(plain) == digest(recomputed)


def test_initial_variables_have_the_same_names_and_bits():
    plain, recomputed = (
        quick_jit(model.init)(jax.random.key(3), pictures())
        for model in both(nn.PReLU, stage_sizes=(1,))
    )
    assert digest(plain) == digest(recomputed)


def test_a_random_activation_draws_the_same_numbers_again(x64):
    dropout = functools.partial(
        jaxacts.linen.AlphaDropout, rate=0.3, deterministic=False
    )

    def both_ways():
        return nn.Sequential([jnp.tanh, dropout()])

    models = both(both_ways, stage_sizes=(1,), **DOUBLE)
    images = jnp.asarray(pictures(), jnp.float64)
    variables = draw(models[0], images)
    plain, recomputed = (quick_jit(functools.partial(learn, m)) for m in models)
    plain, recomputed, other = (
        gradient(variables, images, rngs={"dropout": jax.random.key(seed)})
        for gradient, seed in ((plain, 5), (recomputed, 5), (recomputed, 6))
    )
    chex.assert_trees_all_close(plain, recomputed, **NEAR)
    assert float(jnp.abs(plain[1][1] - other[1][1]).max()) > 1e-3


@pytest.mark.skipif("jax.device_count() < 8", reason="needs 8 (forced host) devices")
def test_statistics_over_devices_are_recomputed_over_devices(x64):
    model, recomputed = both(jnp.tanh, stage_sizes=(1,), **DOUBLE)
    images = jnp.asarray(pictures(16), jnp.float64)
    variables = draw(model, images)
    _, (whole, _) = quick_jit(functools.partial(learn, model))(variables, images)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split, same = PartitionSpec("data"), PartitionSpec()

    def over_devices(model):
        mapped = jax.shard_map(
            functools.partial(learn, model.copy(axis_name="data")),
            mesh=mesh,
            in_specs=(same, split),
            out_specs=((same, split), (same, split)),
        )
        return quick_jit(mapped)(variables, images)

    plain, again = over_devices(model), over_devices(recomputed)
    chex.assert_trees_all_close(plain, again, **NEAR)
    chex.assert_trees_all_close(again[1][0], whole, **NEAR)


def test_the_checkpoint_of_one_is_trained_on_by_the_other(tmp_path):
    models = both(nn.PReLU, stage_sizes=(1,))
    images, labels = pictures(6), jnp.arange(6) % 3
    variables, optimizer = draw(models[0], images), training.make_optimizer(0.05)
    fresh = training.TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(variables["params"]),
    )
    metrics, key = training.Metrics.zero(), jax.random.key(0)
    plain, recomputed = (
        quick_jit(
            functools.partial(training.train_step, model=model, optimizer=optimizer)
        )
        for model in models
    )
    ends = []
    for number, (first, second) in enumerate(
        [(plain, recomputed), (recomputed, plain)]
    ):
        state, _ = first(fresh, metrics, images, labels, key)
        with Checkpoints(tmp_path / str(number)) as checkpoints:
            checkpoints.save(1, state, {})
            state = checkpoints.restore(1, like=fresh)
        ends.append(second(state, metrics, images, labels, key)[0])
    chex.assert_trees_all_close(*ends, rtol=1e-4, atol=1e-5)
    assert int(ends[0].step) == 2


def kept_mebibytes(model, images):
    """Temporary memory of a compiled gradient, by XLA's account."""
    gradient = jax.jit(
        functools.partial(learn, model),
        compiler_options={
            "xla_backend_optimization_level": 0,
            **(training.compiler_options(model) or {}),
        },
    )
    compiled = gradient.lower(shapes(model, images), images).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 2**20


def test_a_step_needs_less_memory():
    plain, recomputed = both(jnp.tanh, stage_sizes=(4,), width=8)
    images = jax.ShapeDtypeStruct((64, 16, 16, 3), jnp.float32)
    assert kept_mebibytes(recomputed, images) < 0.6 * kept_mebibytes(plain, images)


def test_only_recomputing_models_have_compiler_options_and_only_on_cpu(monkeypatch):
    plain, recomputed = both("relu")
    assert training.compiler_options(plain) is None
    assert training.compiler_options(nn.Dense(3)) is None
    assert training.compiler_options(recomputed)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert training.compiler_options(recomputed) is None


@pytest.mark.parametrize("value", [1, None, "block"])
def test_what_is_neither_true_nor_false_is_refused(value):
    with pytest.raises(TypeError, match=r"remat=.*accepted are True and False"):
        flax_models.ResNet20(remat=value)


# --- the example ---------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """Every model of the example is one that compiles in a moment."""
    model = functools.partial(flax_models.ResNet, stage_sizes=(1,), width=4)
    monkeypatch.setattr(flax_models, "get", lambda name: model)
    # The picture has a test of its own.
    monkeypatch.setattr(_run, "plot_curves", lambda path, *_: path.write_bytes(b""))


def test_a_run_with_remat_says_so_and_is_resumed_with_it(tmp_path, quick, capsys):
    folder = tmp_path / "run"
    given = ["--out", str(folder), "--devices", "1", "--batch-size", "512"]
    assert train_resnet.main([*given, "--epochs", "1", "--remat"]) == 0
    results = json.loads((folder / "results.json").read_text())
    assert results["configuration"]["remat"] is True
    assert "float32, blocks recomputed\n" in capsys.readouterr().out
    resumed = prepare({}, folder=folder, resume=True)
    assert resumed.configuration.remat is resumed.model.remat is True
    with pytest.raises(SystemExit, match="2"):
        train_resnet.main(["--resume", "--no-remat", "--out", str(folder)])
    assert "it was made with remat=True, not False" in capsys.readouterr().err


def test_a_run_of_before_the_option_goes_on_without_it(tmp_path, quick, capsys):
    folder = tmp_path / "run"
    made = prepare({"devices": 1, "seed": 3}, folder=folder)
    before = dataclasses.asdict(made.configuration)
    assert before.pop("remat") is False
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"configuration": before}))
    resumed = prepare({}, folder=folder, resume=True)
    assert resumed.configuration == made.configuration
    with Checkpoints(folder / "checkpoints") as checkpoints:
        # What comes after remat among the keys is what differs.
        record = {"configuration": {**before, "devices": 2}}
        checkpoints.save(9, {"a": jnp.zeros(1)}, record)
    with pytest.raises(SystemExit, match="2"):
        train_resnet.main(["--resume", "--out", str(folder)])
    assert "it was made with devices=2, not 1" in capsys.readouterr().err
    (folder / "results.json").write_text(json.dumps({"configuration": before}))
    assert completed(resumed) == {"configuration": before}
