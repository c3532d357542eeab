"""What every loader returns, and the error that every loader raises."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np


class DataError(Exception):
    """Data that is missing, damaged or unfit; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels, split for training and test.

    Attributes:
      name: as given on the command line.
      train_images: uint8, ``(n, height, width, channels)``.
      train_labels: int32, ``(n,)``, in ``[0, len(class_names))``.
      test_images: as ``train_images``.
      test_labels: as ``train_labels``.
      class_names: one a class.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        classes = len(self.class_names)
        for part, images, labels in (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            if len(images) != len(labels):
                raise DataError(
                    f"{self.name}: {len(images)} {part} images have "
                    f"{len(labels)} labels"
                )
            if len(images) == 0:
                raise DataError(f"{self.name}: there are no {part} images")
            if labels.min() < 0 or labels.max() >= classes:
                raise DataError(
                    f"{self.name}: a {part} label is "
                    f"{labels.max() if labels.max() >= classes else labels.min()}, "
                    f"and the labels are 0 to {classes - 1}"
                )
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"{self.name}: training images are "
                f"{shape_text(self.train_images.shape[1:])} and test images "
                f"{shape_text(self.test_images.shape[1:])}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    def mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel over the training images.

        From counts of the 256 values, so exact up to one rounding whatever the
        order of the images. A channel that never varies gets deviation 1.
        """
        values = np.arange(256, dtype=np.float64)
        means, deviations = [], []
        for channel in range(self.image_shape[2]):
            pixels = self.train_images[..., channel].ravel()
            share = np.bincount(pixels, minlength=256) / pixels.size
            mean = float(share @ values)
            deviation = float(np.sqrt(share @ (values - mean) ** 2))
            means.append(mean)
            deviations.append(deviation or 1.0)
        return np.float32(means), np.float32(deviations)

    def sha256(self) -> str:
        """What the data is, whatever folder or archive it was read from."""
        hashed = hashlib.sha256(repr(self.class_names).encode())
        for array in (
            self.train_images,
            self.train_labels,
            self.test_images,
            self.test_labels,
        ):
            hashed.update(f"{array.dtype} {array.shape};".encode())
            hashed.update(np.ascontiguousarray(array).data)
        return hashed.hexdigest()


def shape_text(shape: tuple[int, ...]) -> str:
    """``(28, 28, 1)`` as "28x28x1"."""
    return "x".join(str(n) for n in shape)


def reason(error: BaseException) -> str:
    """An exception as a few words for the end of a one-line message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
