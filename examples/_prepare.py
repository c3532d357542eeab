"""Checks all that can be refused before a run writes anything."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from _configuration import (
    Configuration,
    UserError,
    check,
    difference,
    fill,
    read,
)
from _data import Dataset, load
from _data.dataset import reason, shape_text

import flax_models
import jaxacts
from flax_models import training

# Below this side the ImageNet stem, which divides by four, would leave too little.
SMALL_IMAGE = 64


@dataclasses.dataclass(frozen=True)
class Run:
    """A run whose wishes have all been found possible."""

    configuration: Configuration
    dataset: Dataset
    data_dir: Path | None
    folder: Path
    resumed: bool
    model: nn.Module
    optimizer: optax.GradientTransformation
    schedule: training.Schedule

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches; the few images left over are others in each epoch."""
        return len(self.dataset.train_labels) // self.configuration.batch_size

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.configuration.epochs


def prepare(
    given: Mapping[str, Any],
    *,
    folder: Path | None = None,
    data_dir: Path | None = None,
    resume: bool = False,
) -> Run:
    """Checks the wishes against the data, the model and what the folder holds.

    Args:
      given: the keys of ``Configuration`` that the user chose.
      folder: of the run; ``None`` for one in ``runs`` named by the choices.
      data_dir: where the data lies; ``None`` for its default or, resuming, for
        where it lay.
      resume: go on with the run in ``folder``: what ``given`` leaves open is as it
        was, and what it names must be as it was.

    Raises:
      UserError, DataError: one line for the user.
    """
    if folder is None:
        folder = Path("runs") / Configuration(**fill(given)).folder_name()
    stored: dict[str, Any] | None = None
    if resume:
        kept = read(folder / "config.json")
        stored = kept["configuration"]
        if clause := difference(stored, given):
            raise UserError(f"{folder} is the run of another configuration: {clause}")
        if data_dir is None and kept.get("data_dir") is not None:
            data_dir = Path(kept["data_dir"])
        settings = stored
    else:
        refuse_used(folder)
        settings = fill({"devices": jax.local_device_count(), **given})
    check(Configuration(**settings))
    if settings["devices"] > jax.local_device_count():
        raise UserError(
            f"--devices is {settings['devices']} and this machine has "
            f"{jax.local_device_count()}"
        )
    dataset = load(settings["data"], data_dir, settings["image_size"])
    if settings["stem"] is None:
        small = min(dataset.image_shape[:2]) < SMALL_IMAGE
        settings["stem"] = "cifar" if small else "imagenet"
    settings = {**settings, "data_sha256": dataset.sha256()}
    if stored is not None and (clause := difference(stored, settings)):
        raise UserError(f"{folder} is the run of other data: {clause}")
    model, optimizer, schedule = build(Configuration(**settings), dataset)
    return Run(
        configuration=Configuration(**settings),
        dataset=dataset,
        data_dir=data_dir,
        folder=folder,
        resumed=resume,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
    )


def refuse_used(folder: Path) -> None:
    """A fresh run goes into a folder that is new or empty."""
    try:
        used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise UserError(f"cannot use --out {folder}: {reason(error)}") from error
    if used:
        raise UserError(
            f"{folder} exists already: --resume goes on with the run in it, --out "
            "names another folder"
        )


def build(
    c: Configuration, dataset: Dataset
) -> tuple[nn.Module, optax.GradientTransformation, training.Schedule]:
    """Makes model and optimiser, and tries the model's shapes on the images."""
    images = len(dataset.train_labels)
    if c.batch_size > images:
        raise UserError(
            f"--batch-size {c.batch_size} is larger than the data: there are "
            f"{images} training images"
        )
    try:
        jaxacts.get(c.activation)
    except (ValueError, TypeError) as error:
        raise UserError(f"--activation: {reason(error)}") from error
    try:
        make = flax_models.get(c.model)
    except ValueError as error:
        raise UserError(f"--model: {reason(error)}") from error
    steps = (images // c.batch_size) * c.epochs
    schedule = training.make_schedule(
        c.schedule,
        c.learning_rate,
        total_steps=steps,
        warmup_steps=min(round(c.warmup * steps), steps - 1),
    )
    optimizer = training.make_optimizer(
        schedule, momentum=c.momentum, weight_decay=c.weight_decay
    )
    try:
        model = make(
            num_classes=len(dataset.class_names),
            activation=c.activation,
            stem=c.stem,
            dtype=jnp.dtype(c.dtype),
            remat=c.remat,
        )
        jax.eval_shape(
            functools.partial(training.create_state, model, optimizer),
            jax.random.key(0),
            jax.ShapeDtypeStruct((1, *dataset.image_shape), jnp.float32),
        )
    except (ValueError, TypeError, flax.errors.FlaxError) as error:
        raise UserError(
            f"{c.model} with {c.activation} does not take images of "
            f"{shape_text(dataset.image_shape)}: {reason(error)}"
        ) from error
    return model, optimizer, schedule
