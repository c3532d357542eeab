"""Data sets for the examples: real files in, uint8 images and labels out.

Each module reads one format and checks all of it before anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from _data import cifar, digits, folder, idx
from _data.dataset import DataError, Dataset

__all__ = ["LOADERS", "DataError", "Dataset", "load"]

LOADERS: dict[str, Callable[[Path | None, int | None], Dataset]] = {
    "digits": digits.load,
    "fashion-mnist": idx.load,
    "cifar10": cifar.load_cifar10,
    "cifar100": cifar.load_cifar100,
    "folder": folder.load,
}
"""Name to loader: ``load(data_dir, image_size)``."""


def load(name: str, data_dir: Path | None, image_size: int | None = None) -> Dataset:
    """Reads and checks a data set.

    Args:
      name: a key of ``LOADERS``.
      data_dir: where its files are; ``None`` for the default place, if it has one.
      image_size: side to which a folder of images is cropped and scaled.

    Raises:
      DataError: something is missing or damaged; the message is one line.
    """
    if name not in LOADERS:
        raise DataError(f"--data {name!r} is unknown; accepted: {', '.join(LOADERS)}")
    if image_size is not None and name != "folder":
        raise DataError(
            f"--image-size is for --data folder alone, and the data is {name}"
        )
    return LOADERS[name](data_dir, image_size)
