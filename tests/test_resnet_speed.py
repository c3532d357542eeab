"""The benchmark of training steps compares like with like, and says what it found."""

import copy
import sys
from pathlib import Path
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import pytest
from resnet_cases import draw, pictures, quick_jit, shapes

import flax_models
from flax_models import resnet as models

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

import _records
import resnet
import resnet_speed
from _flax_example import FlaxExample


@pytest.mark.parametrize("train", [False, True])
def test_the_example_of_flax_is_our_network_where_padding_is_no_matter(train):
    sizes = {"stage_sizes": (1, 2), "width": 8, "num_classes": 3}
    ours = flax_models.ResNet(
        **sizes, block=models.BottleneckBlock, activation=jnp.tanh
    )
    theirs = FlaxExample(**sizes, activation=jnp.tanh)
    # Of an odd side "SAME" pads both sides alike.
    variables = draw(ours, images := pictures(side=33))
    how = {"train": train, "mutable": ["batch_stats"] if train else False}
    one, other = (
        quick_jit(lambda v, x, model=model: model.apply(v, x, **how))(variables, images)
        for model in (ours, theirs)
    )
    chex.assert_trees_all_close(one, other, rtol=1e-4, atol=1e-5)


def test_one_state_fits_our_resnet50_and_that_of_flax():
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    ours, theirs = flax_models.ResNet50(), FlaxExample(activation=jax.nn.relu)
    chex.assert_trees_all_equal_shapes_and_dtypes(
        shapes(ours, images), shapes(theirs, images)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mihs"], "'mihs'"),
        (["glu"], "glu cannot stand in these networks"),
        (["relu_n"], "relu_n cannot stand in these networks"),
        (["relu", "prelu"], "prelu cannot stand in these networks"),
        (["--rounds", "3"], "--rounds is 3; accepted are 6 and more"),
        (["--batch", "0"], "argument --batch: 0 is not positive"),
        (["--model", "resnet21"], "invalid choice: 'resnet21'"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        resnet.main(arguments)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def asked(*arguments):
    return resnet.jobs(resnet.make_parser().parse_args(arguments))


def test_the_jobs_are_those_that_were_asked_for():
    assert {job.model for job in asked()} == set(resnet.SIZES)
    for job in asked("--all", "--against", *resnet.AGAINST):
        assert ("flax" in job.against) == (job.model == "resnet50")
        assert "jax.nn" in job.against
    usual = [resnet.label(*each) for each in resnet.USUAL]
    for model in resnet.SIZES:
        found = [job.function for job in asked("--all") if job.model == model]
        assert sorted(found) == sorted(usual)
    # jax.nn has no such function.
    (job,) = asked(
        "tanhexp", "telu", "--model", "resnet50", "--against", "jax.nn", "remat"
    )
    assert job.against == ("remat",)


def test_another_network_than_ours_is_found_by_its_loss(capsys):
    def step(loss):
        return SimpleNamespace(metrics=SimpleNamespace(mean_loss=lambda: loss))

    resnet.same_loss({"jaxacts": step(2.0), "remat": step(2.001)}, "float32")
    resnet.same_loss({"jaxacts": step(2.0), "flax": step(9.0)}, "float32")
    for wrong in (2.1, float("nan")):
        with pytest.raises(SystemExit):
            resnet.same_loss({"jaxacts": step(2.0), "jax.nn": step(wrong)}, "float32")
        assert f"the first loss of jax.nn is {wrong}" in capsys.readouterr().err


def test_a_run_prints_and_keeps_its_figures(tmp_path, monkeypatch, capsys):
    def tiny(**settings):
        return flax_models.ResNet(stage_sizes=(1,), width=4, stem="cifar", **settings)

    monkeypatch.setattr(flax_models, "get", lambda name: tiny)
    monkeypatch.setattr(resnet, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(resnet, "start", resnet.start.__wrapped__)
    measure, measured = resnet.measure, []

    def once(*job):
        if not measured:
            measured.append(measure(*job))
        return measured[0]

    monkeypatch.setattr(resnet, "measure", once)
    arguments = ["relu", "--model", "resnet20", "--batch", "4", "--side", "8"]
    for _ in range(2):
        assert resnet.main([*arguments, "--rounds", "6", "--save"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]
    (row,) = _records.read(tmp_path / "record.json")
    command = "python benchmarks/resnet.py relu --model resnet20 --batch 4 --side 8"
    assert row["run"]["command"].startswith(command)
    assert row["run"].keys() >= {
        "jax",
        "flax",
        "optax",
        "processor",
        "processes running before",
    }
    assert (row["batch"], row["side"], row["dtype"]) == (4, 8, "float32")
    for figures in row["figures"].values():
        assert min(figures.values()) > 0
        assert figures["mebibytes"] > figures["temporary_mebibytes"]
    median, low, high = row["takes"]["jax.nn"]
    assert low <= median <= high
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2 * 3
    assert "resnet20  relu                    jax.nn" in out
    assert "of 1 measured" in resnet_speed.page([row])


# --- the page ------------------------------------------------------------------------


SIZE = {"model": "resnet50", "batch": 8, "side": 96, "dtype": "float32"}


def row(function, takes, temporary):
    """A row as the record holds it; the time and memory of jax.nn beside 100 MiB."""

    def figures(mebibytes):
        return {
            "images_per_second": 10.0,
            "temporary_mebibytes": mebibytes,
            "gigaflops": 1.0,
        }

    low, median, high = takes
    return {
        **SIZE,
        "run": {"command": "x", "jax": "1"},
        "function": function,
        "rounds": 9,
        "figures": {"jaxacts": figures(100.0), "jax.nn": figures(temporary)},
        "takes": {"jax.nn": [median, low, high]},
    }


FASTER = row("mish", (1.1, 1.2, 1.3), 150.0)
EQUAL = row("relu", (0.96, 1.0, 1.1), 100.0)
UNSURE = row("silu", (0.8, 1.0, 1.1), 100.0)
SLOWER = row("elu", (0.8, 0.9, 0.99), 90.0)


def test_never_slower_holds_where_no_interval_reaches_far_below_one():
    text = resnet_speed.verdict([FASTER, EQUAL], "jax.nn")
    assert (
        "**Never slower than jax.nn holds**: of 2 measured, ours is faster in" in text
    )
    assert (
        "in 1 and slower in 0; 1 cannot be told apart (there ours takes up to" in text
    )
    assert "up to 1.04 times as long" in text
    assert "In the geometric mean jax.nn takes 1.10 times" in text
    assert "1.00 to 1.50 times ours, never less than ours by more than 1%" in text


def test_intervals_that_reach_far_below_one_decide_nothing():
    text = resnet_speed.verdict([FASTER, EQUAL, UNSURE], "jax.nn")
    assert "**Never slower than jax.nn is not decided**: of 3 measured" in text
    assert "2 cannot be told apart (there ours takes up to 1.25 times as long" in text


def test_where_it_does_not_hold_the_figures_say_where():
    text = resnet_speed.verdict([FASTER, UNSURE, SLOWER], "jax.nn")
    assert "**Never slower than jax.nn does not hold**: of 3 measured" in text
    assert "slower in 1 (`elu` in ResNet-50, 0.90 [0.80, 0.99]); 1 cannot" in text
    assert "0.90 to 1.50 times ours." in text


def test_recomputed_blocks_have_their_cost_and_their_saving():
    saved = copy.deepcopy(EQUAL)
    saved["takes"] = {"remat": [1.3, 1.2, 1.4]}
    saved["figures"]["remat"] = {
        **saved["figures"].pop("jax.nn"),
        "temporary_mebibytes": 30.0,
        "gigaflops": 1.33,
    }
    page = resnet_speed.page([saved])
    cells = "1.30 [1.20, 1.40] | +33% | 100 | 30 | -70% |"
    assert f"| ResNet-50 | `relu` | with the option | {cells}" in page
    assert "jax.nn" not in page.partition("## ")[2]
