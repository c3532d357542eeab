"""The compiled steps of a run, and the data they are fed.

Everything random comes from the seed and the step, so a run that was cut and
resumed repeats, bit for bit, the run that was not.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _data.augment import make_preprocess
from _prepare import Run

from flax_models import training

Batch = tuple[np.ndarray, ...]


def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The numbers 0 to count - 1 as an epoch (counted from 0) takes the images."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class Trainer:
    """The compiled steps of a run and the state they change."""

    def __init__(self, run: Run) -> None:
        c = run.configuration
        self.run = run
        mesh = training.data_mesh(jax.local_devices()[: c.devices])
        self._split = training.batch_sharding(mesh)
        self._everywhere = training.replicated(mesh)
        root = jax.random.key(c.seed)
        self._init_key = jax.random.fold_in(root, 0)
        self._step_key = jax.device_put(jax.random.fold_in(root, 1), self._everywhere)
        mean, deviation = run.dataset.mean_and_deviation()
        step = functools.partial(
            training.train_step,
            model=run.model,
            optimizer=run.optimizer,
            label_smoothing=c.label_smoothing,
            preprocess=make_preprocess(mean, deviation, c.augment),
        )
        evaluate = functools.partial(
            training.eval_step,
            model=run.model,
            preprocess=make_preprocess(mean, deviation),
        )
        self.state = self._fresh_state()
        self.metrics = self._no_metrics()
        images, labels, valid = self._put(next(self._test_batches()))
        # Compiled now, so that the time of an epoch is the time of its steps.
        self._train_step = (
            jax.jit(
                step,
                donate_argnums=0,
                out_shardings=self._everywhere,
                compiler_options=training.compiler_options(run.model),
            )
            .lower(self.state, self.metrics, images, labels, self._step_key)
            .compile()
        )
        self._eval_step = (
            jax.jit(evaluate, out_shardings=self._everywhere)
            .lower(self.state, self.metrics, images, labels, valid)
            .compile()
        )

    def _fresh_state(self) -> training.TrainState:
        run = self.run
        images = jnp.zeros((1, *run.dataset.image_shape), jnp.float32)
        create = functools.partial(training.create_state, run.model, run.optimizer)
        on_cpu = jax.local_devices()[0].platform == "cpu"
        return jax.jit(
            create,
            out_shardings=self._everywhere,
            # Random numbers that are drawn once are not worth the 14 s that XLA's CPU
            # compiler spends on them; the values are the same to the bit.
            compiler_options={"xla_backend_optimization_level": 1} if on_cpu else None,
        )(self._init_key, images)

    def _no_metrics(self) -> training.Metrics:
        return jax.device_put(training.Metrics.zero(), self._everywhere)

    def _put(self, batch: Batch) -> tuple[jax.Array, ...]:
        return jax.device_put(batch, self._split)

    def train(self, chosen: np.ndarray) -> None:
        """One step on the images with these numbers."""
        data = self.run.dataset
        images, labels = self._put(
            (data.train_images[chosen], data.train_labels[chosen])
        )
        before = self.metrics.count
        self.state, self.metrics = self._train_step(
            self.state, self.metrics, images, labels, self._step_key
        )
        # At most two steps in flight, or their batches would pile up.
        before.block_until_ready()

    def take_metrics(self) -> training.Metrics:
        """The sums so far, and starts again at zero."""
        taken, self.metrics = self.metrics, self._no_metrics()
        return taken

    def test(self) -> training.Metrics:
        """Sums over every test image, each counted once."""
        metrics = self._no_metrics()
        for batch in self._test_batches():
            metrics = self._eval_step(self.state, metrics, *self._put(batch))
        return metrics

    def _test_batches(self) -> Iterator[Batch]:
        data, size = self.run.dataset, self.run.configuration.batch_size
        count = len(data.test_labels)
        for start in range(0, count, size):
            numbers = np.arange(start, start + size)
            valid = numbers < count
            # The last batch is filled up with image 0, which does not count there.
            numbers = np.where(valid, numbers, 0)
            yield data.test_images[numbers], data.test_labels[numbers], valid

    def saved(self) -> dict[str, Any]:
        """What a checkpoint holds; in the middle of an epoch its sums matter too."""
        return {"state": self.state, "metrics": self.metrics}

    def restore(self, saved: dict[str, Any]) -> None:
        """Goes on from ``saved()``."""
        self.state, self.metrics = saved["state"], saved["metrics"]
