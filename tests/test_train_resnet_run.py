"""A run from start to end: what it learns, writes and shows."""

import contextlib
import functools
import importlib.metadata
import io
import json
import math
import os
import re
import signal
import struct
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import train_resnet
from _prepare import prepare
from _progress import PlainProgress, RichProgress, epoch_line, make_progress
from _trainer import epoch_order

import flax_models
from flax_models.checkpoint import Checkpoints


@pytest.fixture(scope="module")
def tiny():
    """Every model is one that compiles in a moment."""
    model = functools.partial(flax_models.ResNet, stage_sizes=(1,), width=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flax_models, "get", lambda name: model)
        yield


def train(folder: Path, *arguments: object) -> dict:
    given = ["--out", folder, *arguments]
    assert train_resnet.main([str(a) for a in given]) == 0
    return json.loads((folder / "results.json").read_text())


SMALL = ["--batch-size", 256, "--epochs", 2, "--label-smoothing", 0.1]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny):
    """A run on one device: its folder, its results, and what it wrote on stdout."""
    folder = tmp_path_factory.mktemp("small") / "runs" / "deep" / "run"
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        results = train(folder, *SMALL, "--devices", 1)
    return folder, results, stdout.getvalue()


def test_five_epochs_of_resnet20_read_at_least_95_percent_of_the_digits(tmp_path):
    results = train(
        *(tmp_path / "run", "--activation", "mish", "--epochs", 5),
        *("--augment", "none", "--devices", 1),
    )
    assert results["final_test_accuracy"] >= 0.95
    assert results["epochs"][-1]["train_loss"] < results["epochs"][0]["train_loss"] / 5


def test_the_results_say_what_was_done_and_how_sure_they_are(run):
    folder, results, out = run
    accuracy = results["final_test_accuracy"]
    # 355 is no multiple of the batch: every image counts, and none twice.
    assert results["test_images"] == 355
    assert accuracy * 355 == pytest.approx(round(accuracy * 355), abs=1e-9)
    expected = math.sqrt(accuracy * (1 - accuracy) / 355)
    assert results["final_test_accuracy_standard_error"] == pytest.approx(expected)
    assert results["epochs"][-1]["test_accuracy"] == accuracy

    assert results["activation"] == results["configuration"]["activation"] == "relu"
    assert results["versions"]["jax"] == jax.__version__
    assert results["versions"]["flax"] == importlib.metadata.version("flax")
    assert [e["step"] for e in results["epochs"]] == [5, 10]
    assert results["steps"] == 10
    assert results["timing"]["wall_seconds"] > results["timing"]["compile_seconds"] > 0

    with Checkpoints(folder / "checkpoints") as checkpoints:
        assert checkpoints.latest_step() == 10
        params = checkpoints.restore_as_saved(10)["state"]["params"]
    count = sum(np.size(leaf) for leaf in jax.tree.leaves(params))
    assert results["parameter_count"] == count

    lines = out.splitlines()
    assert lines[0].startswith("resnet20, relu, digits: 2 epochs of batch 256")
    assert re.fullmatch(r"compiled in \d+ s; step 0 of 10, 5 an epoch", lines[1])
    assert lines[2].startswith("epoch 1/2  train loss ")
    assert lines[3].startswith("epoch 2/2  train loss ")
    assert lines[4].startswith(f"final test accuracy {accuracy:.2%} ± ")
    assert len(lines) == 5


def test_the_folder_of_a_run_holds_no_leftovers_and_a_picture(run):
    folder, _, _ = run
    assert sorted(p.name for p in folder.iterdir()) == [
        *("checkpoints", "config.json", "curves.png", "results.json")
    ]
    assert [p.name for p in folder.parent.iterdir()] == ["run"]
    png = (folder / "curves.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width > 1000
    assert height > 400


def test_a_complete_run_is_told_again_and_not_written_again(run, capsys):
    folder, results, _ = run
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert train_resnet.main(["--resume", "--quiet", "--out", str(folder)]) == 0
    told = f"final test accuracy {results['final_test_accuracy']:.2%} ± "
    out = capsys.readouterr().out
    assert out.startswith(told)
    assert out.count("\n") == 1, "quiet: the result alone"
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_a_run_goes_where_its_choices_say():
    given = {"activation": "leaky_relu(negative_slope=0.2)", "devices": 1, "seed": 4}
    name = "digits-resnet20-leaky_relu-negative_slope=0.2-seed4"
    assert prepare(given).folder == Path("runs") / name


@pytest.mark.skipif("jax.device_count() < 8", reason="needs 8 (forced host) devices")
def test_eight_devices_learn_what_one_learns(run, tmp_path):
    _, one, _ = run
    eight = train(tmp_path / "eight", *SMALL, "--quiet")
    assert eight["configuration"]["devices"] == 8
    for a, b in zip(one["epochs"], eight["epochs"], strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)
        assert a["test_loss"] == pytest.approx(b["test_loss"], rel=1e-3)
        assert a["test_accuracy"] == pytest.approx(b["test_accuracy"], abs=3 / 355)


def test_bfloat16_trains_with_parameters_in_float32(run, tmp_path):
    _, wide, _ = run
    narrow = train(tmp_path / "run", *SMALL, "--devices", 1, "--dtype", "bfloat16")
    losses = [r["epochs"][-1]["train_loss"] for r in (wide, narrow)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
        state = checkpoints.restore_as_saved(10)["state"]
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(state["params"])}
    assert dtypes == {np.dtype(np.float32)}


def test_the_order_of_the_images_is_a_permutation_from_seed_and_epoch():
    first = epoch_order(0, 0, 100)
    np.testing.assert_array_equal(np.sort(first), np.arange(100))
    np.testing.assert_array_equal(first, epoch_order(0, 0, 100))
    for seed, epoch in ((0, 1), (1, 0), (1, 1)):
        assert not np.array_equal(first, epoch_order(seed, epoch, 100))


def test_the_first_signal_asks_and_the_second_interrupts(capfd):
    before = signal.getsignal(signal.SIGINT)  # a shell's background job ignores it
    with train_resnet.StopSignal() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        assert stop.number == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert "once more to stop at once" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_anything_was_written_says_so(tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["_prepare"], "prepare", interrupt)
    assert train_resnet.main(["--out", str(tmp_path / "run")]) == 130
    assert capsys.readouterr().err == "stopped at once; nothing was written\n"


def test_the_bar_shows_loss_accuracy_speed_and_time_left():
    from rich.console import Console

    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=140, color_system=None)
    progress = RichProgress(console)
    progress.start(total_steps=100, step=20)
    progress.update(step=50, epoch=3, loss=0.1234, accuracy=0.875, speed=987.6)
    progress.line("epoch 3/5  [no markup]")
    progress.stop()
    text = shown.getvalue()
    for part in ("epoch 3", "50%", "loss 0.1234", "accuracy 87.5%", "988 images/s"):
        assert part in text
    assert "left" in text
    assert "epoch 3/5  [no markup]" in text


def test_where_there_is_no_terminal_there_are_plain_lines(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert isinstance(make_progress(quiet=False), PlainProgress)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert isinstance(make_progress(quiet=False), RichProgress)
    assert isinstance(make_progress(quiet=True), PlainProgress)


def test_an_epoch_is_one_line():
    record = {"epoch": 3, "train_loss": 0.25, "train_accuracy": 0.9}
    record |= {"test_loss": 0.125, "test_accuracy": 0.9555}
    timing = {"seconds": 2.04, "images_per_second": 1234.5}
    assert epoch_line(record, 15, timing) == (
        "epoch  3/15  train loss 0.2500 accuracy 90.00%  test loss 0.1250 accuracy "
        "95.55%  1234 images/s  2.0 s"
    )
