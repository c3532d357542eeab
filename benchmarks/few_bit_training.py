"""What a few-bit backward costs in test accuracy, and what it saves, on real images.

    python benchmarks/few_bit_training.py [--seeds 5] [--epochs 3] [--out FILE.json]

A dense network without normalization, of five hidden layers with 256 units, is
trained on Fashion-MNIST, with the exact activation and with its slope in few bits,
from the same weights and on the same batches for each seed: differences are paired.
The record is written after each run; a record of the same settings is gone on with.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import functools
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxacts
from jaxacts.verify.report import write_atomically

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))
from _data import DataError, Dataset, load  # noqa: E402

RECORD = ROOT / "docs" / "few-bit-training.json"
BATCH, RATE = 128, 1e-3
HIDDEN = (256,) * 5
EXACT = 0
BITS = {"gelu": (EXACT, 4, 3, 2), "silu": (EXACT, 4, 3, 2), "relu": (EXACT, 1)}

Function = Callable[[Any], Any]
Weights = list[tuple[jax.Array, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What must be equal for two records to be one."""

    data: str
    epochs: int
    batch: int = BATCH
    learning_rate: float = RATE
    hidden: tuple[int, ...] = HIDDEN
    jax: str = jax.__version__


def activation(name: str, bits: int) -> Function:
    if bits == EXACT:
        return jaxacts.get(name)
    if bits == 1:
        return jaxacts.compressed.one_bit(name)
    return jaxacts.compressed.few_bit(name, bits)


# --- the network --------------------------------------------------------------------


def weights_of(key: jax.Array, name: str, inputs: int, classes: int) -> Weights:
    """Weights that keep the size of signals through this activation."""
    first = jaxacts.initializers.lecun_normal()
    later = jaxacts.initializers.he_normal(name)
    widths = (inputs, *HIDDEN, classes)
    keys = jax.random.split(key, len(widths) - 1)
    return [
        ((later if layer else first)(k, widths[layer : layer + 2]), jnp.zeros(width))
        for layer, (k, width) in enumerate(zip(keys, widths[1:], strict=True))
    ]


def logits(f: Function, weights: Weights, x: jax.Array) -> jax.Array:
    *hidden, (kernel, bias) = weights
    for k, b in hidden:
        x = f(x @ k + b[None])
    return x @ kernel + bias[None]


def mean_loss(f: Function, weights: Weights, x: jax.Array, labels: jax.Array):
    losses = optax.softmax_cross_entropy_with_integer_labels(
        logits(f, weights, x), labels
    )
    return losses.mean()


def kept_bytes(f: Function, weights: Weights, x: jax.Array, labels: jax.Array) -> int:
    """What backward holds besides weights and images, each array once."""

    def identity(leaf: Any) -> tuple[str, bytes]:
        return str(leaf.dtype), np.asarray(leaf).tobytes()

    pulled = jax.jit(lambda w: jax.vjp(lambda w: mean_loss(f, w, x, labels), w)[1])
    known = {identity(leaf) for leaf in jax.tree.leaves((weights, x, labels))}
    found = {identity(leaf) for leaf in jax.tree.leaves(pulled(weights))}
    return sum(len(content) for _, content in found - known)


# --- a run --------------------------------------------------------------------------


class Trainer:
    """One activation: compiled once, run for each seed."""

    def __init__(self, name: str, bits: int, data: Dataset, epochs: int):
        self.name, self.f, self.data = name, activation(name, bits), data
        mean, deviation = data.mean_and_deviation()
        self.images, self.test_images = (
            jnp.asarray((images - mean) / deviation).reshape(len(images), -1)
            for images in (data.train_images, data.test_images)
        )
        self.labels = jnp.asarray(data.train_labels)
        self.steps = len(self.labels) // BATCH
        self.epochs = epochs
        self.optimizer = optax.adam(
            optax.cosine_decay_schedule(RATE, self.steps * epochs)
        )
        self.step = jax.jit(self._step, donate_argnums=0)
        self.predict = jax.jit(
            lambda w, x: jnp.argmax(logits(self.f, w, x), axis=-1).astype(jnp.int32)
        )

    def _step(self, state: Any, images: Any, labels: Any, rows: Any) -> Any:
        weights, moments = state
        slope = jax.grad(functools.partial(mean_loss, self.f))(
            weights, images[rows], labels[rows]
        )
        change, moments = self.optimizer.update(slope, moments, weights)
        return optax.apply_updates(weights, change), moments

    def start(self, seed: int) -> Weights:
        inputs, classes = self.images.shape[1], len(self.data.class_names)
        return weights_of(jax.random.key(seed), self.name, inputs, classes)

    def accuracy(self, seed: int) -> float:
        """Of the test images, after training."""
        weights = self.start(seed)
        state = (weights, self.optimizer.init(weights))
        order = np.random.default_rng(seed)
        for _ in range(self.epochs):
            rows = order.permutation(len(self.labels))[: self.steps * BATCH]
            for some in rows.astype(np.int32).reshape(self.steps, BATCH):
                state = self.step(state, self.images, self.labels, some)
        found = [
            np.asarray(self.predict(state[0], part))
            for part in np.array_split(self.test_images, 10)
        ]
        return float((np.concatenate(found) == self.data.test_labels).mean())

    def kept(self) -> int:
        rows = slice(0, BATCH)
        return kept_bytes(self.f, self.start(0), self.images[rows], self.labels[rows])


# --- the record ---------------------------------------------------------------------


def write(path: Path, record: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(record, indent=1) + "\n")


def opened(path: Path, settings: Settings) -> dict[str, Any]:
    """The record of these settings as far as it goes, or an empty one."""
    wanted = json.loads(json.dumps(dataclasses.asdict(settings)))
    if path.exists():
        record = json.loads(path.read_text("utf-8"))
        if record.get("settings") == wanted:
            return record
        print(f"{path} is of other settings and is begun anew", file=sys.stderr)
    return {"settings": wanted, "runs": {}}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=RECORD, metavar="FILE")
    given = parser.parse_args()
    for name in ("seeds", "epochs"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(given, name)}")
    if not given.out.absolute().parent.is_dir():
        parser.error(f"--out {given.out}: there is no such folder")
    return given


def main() -> int:
    given = arguments()
    try:
        data = load(given.data, given.data_dir)
        record = opened(given.out, Settings(given.data, given.epochs))
    except (DataError, OSError, ValueError) as error:
        print(f"few_bit_training: {error}", file=sys.stderr)
        return 2
    record |= {
        "command": "python benchmarks/few_bit_training.py "
        f"--seeds {given.seeds} --epochs {given.epochs} --data {given.data}",
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
    }
    for name, bits in ((n, b) for n in BITS for b in BITS[n]):
        run = record["runs"].setdefault(f"{name} {bits}", {"accuracy": {}})
        missing = [s for s in range(given.seeds) if str(s) not in run["accuracy"]]
        if not missing and "kept" in run:
            continue
        trainer = Trainer(name, bits, data, given.epochs)
        run["kept"] = trainer.kept()
        for seed in missing:
            start = time.perf_counter()
            run["accuracy"][str(seed)] = trainer.accuracy(seed)
            seconds = time.perf_counter() - start
            write(given.out, record)
            print(
                f"{name:5} {f'{bits} bits' if bits else 'exact':7} seed {seed}: "
                f"{run['accuracy'][str(seed)]:.2%}  {seconds:.1f} s, "
                f"{run['kept'] / BATCH / 1024:.1f} KiB an image",
                flush=True,
            )
    write(given.out, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
