"""Killed or stopped at any moment and resumed, a run ends with the same bits."""

import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

if os.name != "posix":
    pytest.skip("signals and limits of POSIX", allow_module_level=True)

EXAMPLES = Path(__file__).parents[1] / "examples"

# Runs the real command with a model that compiles in a moment, and sends itself a
# signal (or fills its disk) at a chosen moment. An audit hook sees the renames of
# orbax without a change to it.
HARNESS = """
import functools, os, resource, runpy, signal, sys
moment, number, sent, *sys.argv = sys.argv[1:]
left = [int(number)]
def strike(name):
    if name == moment:
        left[0] -= 1
        if left[0] == 0 and sent == "full disk":
            # An array does not fit in it; nor would the cache of this test.
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 1e9)
            resource.setrlimit(resource.RLIMIT_FSIZE, (800, 800))
        elif left[0] == 0:
            os.kill(os.getpid(), getattr(signal, sent))
def hook(event, arguments):
    if event == "os.rename":
        source, target = map(str, arguments[:2])
        if source.endswith(".orbax-checkpoint-tmp") and "checkpoints/" in source:
            if os.path.basename(target).isdigit():
                strike("checkpoint rename")
        if source.endswith(".partial"):
            strike("result rename")
sys.addaudithook(hook)
sys.path.insert(0, os.path.dirname(sys.argv[0]))
import flax_models, jax
flax_models.get = lambda name: functools.partial(
    flax_models.ResNet, stage_sizes=(1,), width=8)
import _run, _trainer
# The picture takes a second of each run and has a test of its own.
_run.plot_curves = lambda path, *arguments: path.write_bytes(b"")
train = _trainer.Trainer.train
def counted(self, chosen):
    strike("step")
    train(self, chosen)
_trainer.Trainer.train = counted
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# 5 steps an epoch, 15 in all.
OPTIONS = ["--batch-size", "16", "--epochs", "3", "--activation", "mish"]
OPTIONS += ["--augment", "crop+flip", "--label-smoothing", "0.1", "--seed", "3"]
OPTIONS += ["--checkpoint-every", "2"]


class Command:
    """The command on small data, its compiled steps shared by all its runs."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.data = folder / "data"
        self.data.mkdir()
        generator = np.random.default_rng(0)
        for part, count in (("train", 80), ("t10k", 23)):
            images = generator.integers(0, 256, (count, 8, 8), dtype=np.uint8)
            labels = np.arange(count, dtype=np.uint8) % 10
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                header = struct.pack(
                    f">{1 + array.ndim}I", 2048 + array.ndim, *array.shape
                )
                packed = gzip.compress(header + array.tobytes())
                (self.data / f"{part}-{kind}-ubyte.gz").write_bytes(packed)

    def fresh(self, folder, **settings):
        data = ["--data", "fashion-mnist", "--data-dir", self.data]
        return self(*data, *OPTIONS, "--out", folder, **settings)

    def __call__(self, *arguments, moment="never", number=1, sent=""):
        environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        environment["JAX_COMPILATION_CACHE_DIR"] = str(self.cache)
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        # jax 0.9 complains of every program that it takes from the cache.
        environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
        return subprocess.run(
            [sys.executable, "-c", HARNESS, moment, str(number), sent]
            + [str(a) for a in (EXAMPLES / "train_resnet.py", *arguments)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> Command:
    return Command(tmp_path_factory.mktemp("command"))


def results(folder: Path) -> dict:
    """What two runs must share: all but the times."""
    found = json.loads((folder / "results.json").read_text())
    assert len(found["epochs"]) == 3
    assert len(found["timing"].pop("epochs")) == 3
    del found["timing"]
    return found


@pytest.fixture(scope="module")
def never_interrupted(tmp_path_factory, command) -> dict:
    folder = tmp_path_factory.mktemp("reference") / "run"
    done = command.fresh(folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return results(folder)


@pytest.mark.parametrize(
    ("moment", "number", "resumes_at"),
    [
        # Before the ninth step; checkpoints are at 2, 4, 5 (the epoch), 6, 8, 10 ...
        ("step", 9, 8),
        # While the third checkpoint, of step 5, gets its name.
        ("checkpoint rename", 3, 4),
        # All is trained and saved, and results.json gets its name.
        ("result rename", 2, 15),
    ],
)
def test_a_killed_run_that_is_resumed_ends_with_the_same_bits(
    tmp_path, command, never_interrupted, moment, number, resumes_at
):
    folder = tmp_path / "run"
    killed = command.fresh(folder, moment=moment, number=number, sent="SIGKILL")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (folder / "results.json").exists()
    kept = folder / "checkpoints"
    assert max(int(p.name) for p in kept.iterdir() if p.name.isdigit()) == resumes_at
    resumed = command("--resume", "--out", folder)
    assert resumed.returncode == 0, resumed.stderr
    assert results(folder) == never_interrupted
    assert not list(kept.glob("*tmp*"))


def test_a_run_that_is_stopped_saves_its_step_and_says_how_to_go_on(
    tmp_path, command, never_interrupted
):
    folder = tmp_path / "a run"
    # Asked during the ninth step, which no regular checkpoint follows.
    stopped = command.fresh(folder, moment="step", number=9, sent="SIGINT")
    assert stopped.returncode == 130, stopped.stderr
    expected = "stopped after step 9 of 15 (epoch 2); to go on: python "
    assert expected in stopped.stderr
    assert stopped.stderr.endswith(f"--resume --out '{folder}'\n")
    assert "Traceback" not in stopped.stderr

    damaged = Path(shutil.copytree(folder, tmp_path / "damaged"))
    for path in (damaged / "checkpoints" / "9").rglob("d/*"):
        path.write_bytes(b"rubbish")
    refused = command("--resume", "--out", damaged)
    assert refused.returncode == 2
    assert "cannot read the checkpoint" in refused.stderr
    assert refused.stderr.count("\n") == 1, refused.stderr
    assert not (damaged / "results.json").exists()

    # The folder may move.
    moved = folder.rename(tmp_path / "moved")
    resumed = command("--resume", "--out", moved)
    assert resumed.returncode == 0, resumed.stderr
    assert results(moved) == never_interrupted


def test_a_full_disk_while_saving_is_one_line_and_status_2(tmp_path, command):
    stopped = command.fresh(tmp_path / "run", moment="step", sent="full disk")
    assert stopped.returncode == 2, stopped.stderr
    assert "cannot save step 2" in stopped.stderr
    assert stopped.stderr.endswith("File too large\n")
    assert stopped.stderr.count("\n") == 1, stopped.stderr
