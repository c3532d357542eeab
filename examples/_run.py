"""A training run from start or checkpoint to results: epochs, saving, stopping."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from typing import Any

import jax
from _configuration import UserError, difference, with_defaults
from _curves import plot_curves
from _folder import open_folder, versions, write_beside
from _prepare import Run
from _progress import Progress, epoch_line
from _trainer import Trainer, epoch_order

from flax_models import training
from flax_models.checkpoint import Checkpoints, digest

# Seconds between two looks at the losses: each look waits for the device.
REFRESH = 0.2


@dataclasses.dataclass(frozen=True)
class Stopped:
    """The run was asked to stop; its state is saved."""

    step: int
    epoch: int


def execute(
    run: Run,
    progress: Progress,
    *,
    started: float,
    checkpoint_every: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | Stopped:
    """Trains to the end, or until ``stop()``, from the newest checkpoint if any.

    Args:
      run: from ``prepare``.
      progress: what is told to the user.
      started: ``time.monotonic()`` when the program began.
      checkpoint_every: save after so many steps too, not only after each epoch.
      stop: asked before each step.

    Returns:
      What ``results.json`` holds, or where the run was stopped.

    Raises:
      UserError, CheckpointError: one line for the user.
    """
    if not run.resumed:
        open_folder(run)
    with Checkpoints(run.folder / "checkpoints") as checkpoints:
        session = _Session(run, progress, checkpoints, started, checkpoint_every)
        try:
            return session.run_all(stop)
        finally:
            progress.stop()


class _Session:
    """From one start of the program to its end."""

    def __init__(
        self,
        run: Run,
        progress: Progress,
        checkpoints: Checkpoints,
        started: float,
        checkpoint_every: int | None,
    ) -> None:
        self.run = run
        self.progress = progress
        self.checkpoints = checkpoints
        self.started = started
        self.checkpoint_every = checkpoint_every
        self.history: list[dict[str, Any]] = []
        self.timing: list[dict[str, float]] = []
        self.seconds_before = 0.0
        self.step = 0

    def _read_record(self, step: int) -> None:
        record = self.checkpoints.record(step)
        wanted = dataclasses.asdict(self.run.configuration)
        stored = with_defaults(record.get("configuration", {}))
        if clause := difference(stored, wanted):
            raise UserError(
                f"the checkpoint {self.checkpoints.folder / str(step)} is of another "
                f"configuration: {clause}"
            )
        self.history = record["history"]
        self.timing = record["timing"]
        self.seconds_before = record["seconds"]
        changed = difference(record["versions"], versions())
        if changed:
            self.progress.warning(
                f"note: the checkpoint is of other versions ({changed}): the same "
                "bits are not promised"
            )
        self.step = step

    def run_all(self, stop: Callable[[], bool]) -> dict[str, Any] | Stopped:
        """All that is left to do."""
        run = self.run
        latest = self.checkpoints.latest_step()
        if latest is not None:
            self._read_record(latest)
        self.progress.start(run.total_steps, self.step)
        compiling = time.monotonic()
        self.trainer = Trainer(run)
        self.compile_seconds = time.monotonic() - compiling
        if latest is not None:
            saved = self.checkpoints.restore(latest, like=self.trainer.saved())
            self.trainer.restore(saved)
        self.progress.line(
            f"compiled in {self.compile_seconds:.0f} s; step {self.step} of "
            f"{run.total_steps}, {run.steps_per_epoch} an epoch"
        )
        for epoch in range(len(self.history), run.configuration.epochs):
            if not self._train_epoch(epoch, stop):
                return Stopped(self.step, epoch + 1)
        return self._finish()

    def _train_epoch(self, epoch: int, stop: Callable[[], bool]) -> bool:
        """One epoch, or the rest of one; False where it was stopped."""
        run, size = self.run, self.run.configuration.batch_size
        count = len(run.dataset.train_labels)
        order = epoch_order(run.configuration.seed, epoch, count)
        begun = looked = time.monotonic()
        first = looked_step = self.step
        last = (epoch + 1) * run.steps_per_epoch
        while self.step < last:
            if stop():
                self._check_finite(epoch)
                if self.step > (self.checkpoints.latest_step() or 0):
                    self._save()
                return False
            position = self.step - epoch * run.steps_per_epoch
            self.trainer.train(order[position * size : (position + 1) * size])
            self.step += 1
            now = time.monotonic()
            if now - looked > REFRESH:
                self._check_finite(epoch)
                metrics = self.trainer.metrics
                self.progress.update(
                    step=self.step,
                    epoch=epoch + 1,
                    loss=metrics.mean_loss(),
                    accuracy=metrics.accuracy(),
                    speed=(self.step - looked_step) * size / (now - looked),
                )
                looked, looked_step = now, self.step
            every = self.checkpoint_every
            if every and self.step % every == 0 and self.step < last:
                self._check_finite(epoch)
                self._save()
        self._check_finite(epoch)
        train, trained = self.trainer.take_metrics(), time.monotonic()
        test = self.trainer.test()
        self._check_test_loss(test)
        self.history.append(
            {
                "epoch": epoch + 1,
                "step": self.step,
                "learning_rate": float(run.schedule(self.step - 1)),
                "train_loss": train.mean_loss(),
                "train_accuracy": train.accuracy(),
                "test_loss": test.mean_loss(),
                "test_accuracy": test.accuracy(),
            }
        )
        speed = (self.step - first) * size / max(trained - begun, 1e-9)
        self.timing.append(
            {"seconds": time.monotonic() - begun, "images_per_second": speed}
        )
        self._save()
        self.progress.line(
            epoch_line(self.history[-1], run.configuration.epochs, self.timing[-1])
        )
        return True

    def _check_finite(self, epoch: int) -> None:
        metrics = self.trainer.metrics
        if not bool(metrics.failed):
            return
        step, loss = int(metrics.failed_step), float(metrics.failed_loss)
        what = (
            f"the gradient is not finite (the loss is {loss:.4g})"
            if math.isfinite(loss)
            else f"the loss is {loss}"
        )
        raise UserError(f"{what} at step {step} (epoch {epoch + 1}): {self._kept()}")

    def _check_test_loss(self, test: training.Metrics) -> None:
        if not math.isfinite(test.mean_loss()):
            raise UserError(
                f"the test loss is {test.mean_loss()} after step {self.step}: "
                f"{self._kept()}"
            )

    def _kept(self) -> str:
        latest = self.checkpoints.latest_step()
        kept = (
            "there is no checkpoint yet"
            if latest is None
            else f"the last good checkpoint, of step {latest}, is in "
            f"{self.checkpoints.folder}"
        )
        return f"stopped; {kept}; a smaller --learning-rate may help"

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def _save(self) -> None:
        self.checkpoints.save(
            self.step,
            self.trainer.saved(),
            {
                "configuration": dataclasses.asdict(self.run.configuration),
                "versions": versions(),
                "history": self.history,
                "timing": self.timing,
                "seconds": self._seconds(),
            },
        )

    def _finish(self) -> dict[str, Any]:
        run, folder = self.run, self.run.folder
        final = self.history[-1]["test_accuracy"]
        count = len(run.dataset.test_labels)
        standard_error = math.sqrt(final * (1 - final) / count)
        device = jax.local_devices()[0]
        results = {
            "activation": run.configuration.activation,
            "model": run.configuration.model,
            "final_test_accuracy": final,
            "final_test_accuracy_standard_error": standard_error,
            "test_images": count,
            "train_images": len(run.dataset.train_labels),
            "image_shape": list(run.dataset.image_shape),
            "class_names": list(run.dataset.class_names),
            "parameter_count": training.parameter_count(self.trainer.state.params),
            "steps": self.step,
            "state_sha256": digest(self.trainer.state),
            "configuration": dataclasses.asdict(run.configuration),
            "versions": versions(),
            "device": f"{run.configuration.devices} x {device.device_kind}",
            "epochs": self.history,
            "timing": {
                "wall_seconds": self._seconds(),
                "compile_seconds": self.compile_seconds,
                "epochs": self.timing,
            },
        }
        write_beside(
            folder / "curves.png",
            lambda path: plot_curves(
                path, run.configuration, self.history, standard_error
            ),
        )
        # Last: where results.json stands, the run is complete.
        text = json.dumps(results, indent=2, allow_nan=False) + "\n"
        write_beside(
            folder / "results.json", lambda path: path.write_text(text, "utf-8")
        )
        return results
