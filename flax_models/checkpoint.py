"""Checkpoints that a kill at any moment leaves whole: arrays and a record.

Orbax writes a step into a temporary folder and renames it when it is complete,
so the newest step listed is always one that was finished. The record (JSON: the
configuration, the history so far) and a digest of the arrays travel in the same
rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp

__all__ = ["CheckpointError", "Checkpoints", "digest"]

PyTree = Any


class CheckpointError(Exception):
    """A checkpoint that cannot be read or does not fit; the message is one line."""


def _layout(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)


def digest(tree: PyTree) -> str:
    """SHA-256 over paths, dtypes, shapes and bytes of all arrays in ``tree``.

    Equal digests mean equal bits: -0.0 differs from 0.0, and a NaN equals itself.

    >>> import numpy as np
    >>> digest({"a": np.float32(0.0)}) == digest({"a": np.float32(-0.0)})
    False
    """
    hashed = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(tree)):
        array = np.asarray(leaf)
        label = f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape};"
        hashed.update(label.encode())
        hashed.update(array.tobytes())
    return hashed.hexdigest()


class Checkpoints:
    """The checkpoints of one run, in one folder; the newest ``keep`` remain.

    Example::

      with Checkpoints("runs/mish/checkpoints") as checkpoints:
          checkpoints.save(100, state, {"history": history})
          step = checkpoints.latest_step()
          history = checkpoints.record(step)["history"]
          state = checkpoints.restore(step, like=state)
    """

    def __init__(self, folder: str | os.PathLike[str], *, keep: int = 2) -> None:
        self.folder = Path(folder).absolute()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self.folder,
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=keep,
                    # What a killed run left half-written goes at the next start.
                    cleanup_tmp_directories=True,
                    enable_async_checkpointing=False,
                ),
            )
        except OSError as error:
            raise CheckpointError(
                f"cannot use the checkpoint folder {self.folder}: {_reason(error)}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases orbax's threads."""
        self._manager.close()

    def latest_step(self) -> int | None:
        """The newest complete step, or ``None``."""
        return self._manager.latest_step()

    def save(self, step: int, state: PyTree, record: dict[str, Any]) -> None:
        """Writes one step; returns when it is complete on disk.

        Args:
          step: larger than any step saved before.
          state: a pytree of arrays.
          record: anything that JSON holds; floats come back bit for bit.

        Raises:
          CheckpointError: the step is not newer than the latest, or the disk
            refused.
          TypeError, ValueError: the record is not JSON, or holds a NaN.
        """
        latest = self.latest_step()
        if latest is not None and step <= latest:
            raise CheckpointError(f"step {step} is not newer than step {latest}")
        envelope = {"digest": digest(state), "record": record}
        # A record that is not JSON is the caller's error, not the disk's.
        json.dumps(envelope, allow_nan=False)
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    record=ocp.args.JsonSave(envelope),
                ),
            )
        # Tensorstore reports a full disk as a ValueError, among others.
        except Exception as error:
            raise CheckpointError(
                f"cannot save step {step} in {self.folder}: {_reason(error)}"
            ) from error

    def record(self, step: int) -> dict[str, Any]:
        """The record of one step.

        Raises:
          CheckpointError: it cannot be read.
        """
        return self._envelope(step)["record"]

    def restore(self, step: int, like: PyTree) -> PyTree:
        """The state of one step, laid out as ``like``.

        Args:
          step: a step that was saved.
          like: a pytree of arrays, or of ``jax.ShapeDtypeStruct`` with shardings.

        Raises:
          CheckpointError: it cannot be read, has other arrays than ``like``, or
            its bits are not those that were saved.
        """
        expected = self._envelope(step)["digest"]
        try:
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(jax.tree.map(_layout, like))
                ),
            )
            state = restored["state"]
        # Orbax and tensorstore raise many types here; each means the same to us.
        except Exception as error:
            raise self._damaged(step, error) from error
        if digest(state) != expected:
            raise self._damaged(step, ValueError("the arrays' bits have changed"))
        return state

    def restore_as_saved(self, step: int) -> PyTree:
        """The state of one step as nested dicts of numpy arrays, whatever it was.

        For looking into a checkpoint without the code that made it.

        Raises:
          CheckpointError: it cannot be read.
        """
        try:
            restored = self._manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore())
            )
            return jax.device_get(restored["state"])
        except Exception as error:
            raise self._damaged(step, error) from error

    def _envelope(self, step: int) -> dict[str, Any]:
        try:
            restored = self._manager.restore(
                step, args=ocp.args.Composite(record=ocp.args.JsonRestore())
            )
            envelope = restored["record"]
            if not {"digest", "record"} <= envelope.keys():
                raise ValueError("it holds no record of a run")
        except Exception as error:
            raise self._damaged(step, error) from error
        return envelope

    def _damaged(self, step: int, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"cannot read the checkpoint {self.folder / str(step)}: {_reason(error)}"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    # Tensorstore nests its messages, the cause last, and adds its whole specification.
    text = re.split(r" \[(?:tensorstore_spec|os_error_code)", text)[0]
    return text if len(text) <= 120 else text.rsplit(": ", 1)[-1][:200]
