"""What a training run is: every choice that changes its result, and its checks."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _data import LOADERS
from _data.augment import AUGMENTATIONS

from flax_models.training import SCHEDULES


class UserError(Exception):
    """A wish that cannot be met; the message is one line for the user."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration:
    """All that decides the numbers of a run; two equal ones give equal bits.

    Where the data lies, where the output goes and how often to save are no part.
    """

    data: str = "digits"
    data_sha256: str = ""
    image_size: int | None = None
    activation: str = "relu"
    model: str = "resnet20"
    stem: str | None = None
    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 0.1
    schedule: str = "cosine"
    warmup: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    augment: str = "crop"
    seed: int = 0
    dtype: str = "float32"
    remat: bool = False
    devices: int = 1

    def title(self) -> str:
        """The run in one line, for people."""
        return (
            f"{self.model}, {self.activation}, {self.data}: {self.epochs} epochs of "
            f"batch {self.batch_size}, {self.schedule} learning rate "
            f"{self.learning_rate:g}, seed {self.seed}, {self.dtype}"
            f"{', blocks recomputed' if self.remat else ''}"
        )

    def folder_name(self) -> str:
        """The name of the run's folder where the user gives none."""
        activation = re.sub(r"[^\w.=-]+", "-", self.activation).strip("-")
        return f"{self.data}-{self.model}-{activation}-seed{self.seed}"


# What differs from the defaults above where the user does not say otherwise. Digits
# are not flipped: a mirrored 2 is no digit.
RECIPES: dict[str, dict[str, Any]] = {
    "digits": {},
    "fashion-mnist": {"epochs": 30, "batch_size": 128, "augment": "crop+flip"},
    "cifar10": {"epochs": 100, "batch_size": 128, "augment": "crop+flip"},
    "cifar100": {"epochs": 100, "batch_size": 128, "augment": "crop+flip"},
    "folder": {"model": "resnet18", "epochs": 60, "augment": "crop+flip"},
}
assert RECIPES.keys() == LOADERS.keys()


def option(key: str) -> str:
    """The option of a configuration's key: "data_sha256" has none."""
    return f"--{key.replace('_', '-')}"


def fill(given: Mapping[str, Any]) -> dict[str, Any]:
    """Adds what the user left open, by the data set's recipe."""
    data = given.get("data", Configuration.data)
    if data not in RECIPES:
        raise UserError(
            f"--data {data!r} is unknown; accepted: {', '.join(sorted(RECIPES))}"
        )
    defaults = dataclasses.asdict(Configuration())
    return {**defaults, **RECIPES[data], **given}


def check(configuration: Configuration) -> None:
    """Refuses numbers and words that mean nothing, before any data is read."""
    c = configuration
    for key in ("epochs", "batch_size", "devices"):
        if getattr(c, key) < 1:
            raise UserError(f"{option(key)} is {getattr(c, key)}; it must be positive")
    if c.image_size is not None and c.image_size < 1:
        raise UserError(f"--image-size is {c.image_size}; it must be positive")
    if not (math.isfinite(c.learning_rate) and c.learning_rate > 0):
        raise UserError(f"--learning-rate is {c.learning_rate}; it must be positive")
    if not (math.isfinite(c.weight_decay) and c.weight_decay >= 0):
        raise UserError(f"--weight-decay is {c.weight_decay}; it must be 0 or more")
    for key in ("warmup", "momentum", "label_smoothing"):
        if not 0 <= getattr(c, key) < 1:
            raise UserError(f"{option(key)} is {getattr(c, key)}; accepted: 0 <= x < 1")
    if not 0 <= c.seed < 2**31:
        raise UserError(f"--seed is {c.seed}; accepted: 0 to {2**31 - 1}")
    for key, accepted in (
        ("schedule", SCHEDULES),
        ("augment", AUGMENTATIONS),
        ("stem", ("cifar", "imagenet", None)),
        ("dtype", ("float32", "bfloat16")),
    ):
        if getattr(c, key) not in accepted:
            raise UserError(
                f"{option(key)} {getattr(c, key)!r} is unknown; accepted: "
                f"{', '.join(filter(None, accepted))}"
            )
    if c.batch_size % c.devices:
        raise UserError(
            f"--batch-size {c.batch_size} does not divide over {c.devices} devices; "
            f"{c.batch_size - c.batch_size % c.devices or c.devices} would, and "
            "--devices 1 takes any"
        )


def read(path: Path) -> dict[str, Any]:
    """The file that a run's folder keeps: the configuration, and the data's place.

    Raises:
      UserError: it is missing or damaged.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        configuration = Configuration(**stored["configuration"])
    except FileNotFoundError:
        raise UserError(f"{path.parent} holds no run: it has no {path.name}") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged: {error!r}") from error
    return {**stored, "configuration": dataclasses.asdict(configuration)}


def with_defaults(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of any age: what it does not know was as by default."""
    return {**dataclasses.asdict(Configuration()), **stored}


def difference(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first key in which ``wanted`` differs, told as a clause; or ``None``."""
    for key, value in wanted.items():
        if key not in stored or stored[key] != value:
            return f"it was made with {key}={stored.get(key)!r}, not {value!r}"
    return None
