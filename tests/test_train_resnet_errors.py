"""What cannot be done is one line on stderr, status 2, and nothing is written."""

import functools
import itertools
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import train_resnet
from _configuration import Configuration, UserError
from _data import Dataset, digits
from _folder import open_folder
from _prepare import prepare

import flax_models
from flax_models.checkpoint import Checkpoints

EXAMPLES = Path(__file__).parents[1] / "examples"
ONE_DEVICE = ["--devices", "1"]


def refused(capsys, arguments) -> str:
    """The line with which the command refuses these arguments."""
    with pytest.raises(SystemExit) as caught:
        train_resnet.main([str(a) for a in arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--activation", "mich"], "'mich' is unknown; did you mean 'mish'"),
        (["--activation", "leaky_relu(slope=1)"], "no setting 'slope'"),
        (["--activation", "leaky_relu("], "--activation: "),
        (["--model", "resnet21"], "name='resnet21' is no model; did you mean"),
        (["--data", "imagenet"], "accepted: cifar10, cifar100, digits, fashion-mnist"),
        (["--data-dir", "/tmp"], "takes no --data-dir"),
        (["--data", "cifar10"], "needs --data-dir"),
        (["--data", "folder"], "needs --data-dir"),
        (["--data", "cifar10", "--data-dir", "/no/where"], "there is no /no/where"),
        (["--image-size", "16"], "--image-size is for --data folder alone"),
        (["--schedule", "linear"], "accepted: cosine, constant, step"),
        (["--dtype", "float16"], "accepted: float32, bfloat16"),
        (["--augment", "rotate"], "accepted: none, crop, flip, crop+flip"),
        (["--stem", "mnist"], "accepted: cifar, imagenet"),
        (["--stem", "imagenet"], "8x8x1: images have shape (1, 8, 8, 1), smaller"),
        (["--activation", "glu"], "resnet20 with glu does not take images of 8x8x1"),
        (["--batch-size", "1443"], "1443 is larger than the data: there are 1442"),
        (["--batch-size", "0"], "--batch-size is 0; it must be positive"),
        (["--epochs", "-3"], "--epochs is -3; it must be positive"),
        (["--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
        (["--learning-rate", "0"], "--learning-rate is 0.0; it must be positive"),
        (["--learning-rate", "nan"], "argument --learning-rate: nan is not finite"),
        (["--weight-decay", "-1"], "--weight-decay is -1.0; it must be 0 or more"),
        (["--warmup", "1"], "--warmup is 1.0; accepted: 0 <= x < 1"),
        (["--momentum", "1"], "--momentum is 1.0; accepted"),
        (["--label-smoothing", "-0.1"], "--label-smoothing is -0.1; accepted"),
        (["--seed", "-1"], "--seed is -1; accepted: 0 to"),
        (["--checkpoint-every", "0"], "argument --checkpoint-every: 0 is not positive"),
        (["--devices", "0"], "--devices is 0; it must be positive"),
        (["--devices", "64"], "--devices is 64 and this machine has"),
        (["--devices", "3"], "64 does not divide over 3 devices; 63 would"),
        (["--activatoin", "mish"], "unrecognized arguments: --activatoin mish"),
        (["--resume"], "holds no run"),
    ],
)
def test_a_wish_that_makes_no_sense(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, [*ONE_DEVICE, *arguments])
    assert not list(tmp_path.iterdir())


def test_images_too_small_for_the_model(tmp_path, capsys):
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    for part in ("train", "test"):
        (tmp_path / "data" / part / "a").mkdir(parents=True)
        image.new("RGB", (3, 3)).save(tmp_path / "data" / part / "a" / "1.png")
    arguments = ["--data", "folder", "--data-dir", tmp_path / "data"]
    arguments += ["--batch-size", "1", "--model", "resnet20", "--out", tmp_path / "run"]
    assert "at least 4" in refused(capsys, [*ONE_DEVICE, *arguments])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_folder_that_is_no_run_is_left_alone(tmp_path, capsys, resume):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    message = refused(capsys, ["--out", tmp_path, *resume])
    assert ("holds no run" if resume else "exists already: --resume") in message
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_out_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    message = refused(capsys, [*ONE_DEVICE, "--out", tmp_path / "file" / "run"])
    assert "cannot" in message
    assert (tmp_path / "file").read_text() == ""


def begun(folder: Path, **given) -> Path:
    """A run that was killed before its first checkpoint."""
    open_folder(prepare({"devices": 1, "epochs": 2, **given}, folder=folder))
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--activation", "gelu"], "activation='mish', not 'gelu'"),
        (["--epochs", "3"], "epochs=2, not 3"),
        (["--learning-rate", "0.2"], "learning_rate=0.1, not 0.2"),
        (["--data", "fashion-mnist"], "data='digits', not 'fashion-mnist'"),
        (["--dtype", "bfloat16"], "dtype='float32', not 'bfloat16'"),
        (["--devices", "2"], "devices=1, not 2"),
    ],
)
def test_resuming_with_another_configuration(tmp_path, capsys, arguments, message):
    folder = begun(tmp_path / "run", activation="mish")
    before = (folder / "config.json").read_bytes()
    line = refused(capsys, ["--resume", "--out", folder, *arguments])
    assert f"another configuration: it was made with {message}" in line
    assert [p.read_bytes() for p in folder.iterdir()] == [before]


def test_resuming_with_other_data(tmp_path, capsys, monkeypatch):
    folder = begun(tmp_path / "run")
    load = digits.load

    def changed(data_dir, image_size) -> Dataset:
        data = load(data_dir, image_size)
        data.test_images[0, 0, 0, 0] += 1
        return data

    monkeypatch.setitem(sys.modules["_data"].LOADERS, "digits", changed)
    line = refused(capsys, ["--resume", "--out", folder])
    assert "is the run of other data" in line


def test_a_checkpoint_of_another_configuration(tmp_path, capsys):
    folder = begun(tmp_path / "run", activation="mish")
    with Checkpoints(folder / "checkpoints") as checkpoints:
        other = json.loads((folder / "config.json").read_text())["configuration"]
        record = {"configuration": {**other, "seed": 5}}
        checkpoints.save(9, {"a": jnp.zeros(1)}, record)
    line = refused(capsys, ["--resume", "--out", folder])
    assert "checkpoints/9 is of another configuration: it was made with seed=5" in line


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"configuration": {"colour": "red"}}']
)
def test_a_damaged_configuration(tmp_path, capsys, content):
    (tmp_path / "config.json").write_text(content)
    line = refused(capsys, ["--resume", "--out", tmp_path])
    assert "config.json is damaged" in line


def test_a_folder_that_another_run_took_in_the_meantime(tmp_path):
    late = prepare({"devices": 1}, folder=tmp_path / "run")
    folder = begun(tmp_path / "run", seed=7)
    with pytest.raises(UserError, match=r"cannot make the folder .*run: "):
        open_folder(late)
    assert (
        json.loads((folder / "config.json").read_text())["configuration"]["seed"] == 7
    )
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"configuration": {}}'])
def test_damaged_results(tmp_path, capsys, content):
    folder = begun(tmp_path / "run")
    (folder / "results.json").write_text(content)
    line = refused(capsys, ["--resume", "--out", folder])
    assert "results.json is damaged" in line
    assert (folder / "results.json").read_text() == content


@pytest.fixture
def tiny(monkeypatch):
    """Every model is one that compiles in a moment."""
    model = functools.partial(flax_models.ResNet, stage_sizes=(1,), width=4)
    monkeypatch.setattr(flax_models, "get", lambda name: model)


def train(folder: Path, *arguments: object) -> list[str]:
    given = ["--batch-size", "256", "--epochs", "2", "--out", folder, *arguments]
    return [str(a) for a in (*ONE_DEVICE, *given)]


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_last_checkpoint(
    tmp_path, capsys, tiny, monkeypatch
):
    trainer = sys.modules["_trainer"].Trainer
    train_one, calls = trainer.train, itertools.count(1)

    def spoiled(self, chosen):
        # Five steps an epoch: from the fourth of the second, all weights are NaN.
        if next(calls) == 9:
            nans = jax.tree.map(lambda x: x * jnp.nan, self.state.params)
            self.state = self.state.replace(params=nans)
        train_one(self, chosen)

    monkeypatch.setattr(trainer, "train", spoiled)
    folder = tmp_path / "run"
    line = refused(capsys, train(folder))
    assert "the loss is nan at step 9 (epoch 2): stopped; the last good" in line
    assert "checkpoint, of step 5, is in" in line
    assert not (folder / "results.json").exists()
    with Checkpoints(folder / "checkpoints") as checkpoints:
        assert checkpoints.latest_step() == 5
        assert len(checkpoints.record(5)["history"]) == 1


def test_a_learning_rate_that_diverges_stops_the_run(tmp_path, capsys, tiny):
    line = refused(capsys, train(tmp_path / "run", "--learning-rate", "1e30"))
    assert "at step " in line or "after step " in line
    assert "smaller --learning-rate may help" in line


def test_every_option_stands_in_the_help_and_every_key_has_one():
    shown = train_resnet.make_parser().format_help()
    for key in Configuration.__dataclass_fields__:
        if key != "data_sha256":
            assert f"--{key.replace('_', '-')} " in shown
    assert np.all([len(line) <= 90 for line in shown.splitlines()])


def test_the_command_itself_ends_with_one_line_and_status_2(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "train_resnet.py", "--activation", "mich"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("train_resnet.py: --activation: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
