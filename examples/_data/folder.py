"""Images in folders named by class: ``train/<class>/*.png``, ``test/<class>/*.png``."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from _data.dataset import DataError, Dataset, reason

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def load(data_dir: Path | None, image_size: int | None) -> Dataset:
    """All images as RGB, in memory.

    The classes are the folders in ``train``, sorted by name. Files that start with
    a dot or have another suffix than an image are passed over.

    Args:
      data_dir: the folder that holds ``train`` and ``test``.
      image_size: crop the largest square in the middle and scale it to this side.
        ``None`` asks that all images have one size.
    """
    if data_dir is None:
        raise DataError(
            "--data folder needs --data-dir, a folder with train/<class>/ and "
            "test/<class>/"
        )
    try:
        classes = class_folders(data_dir / "train")
        unknown = set(class_folders(data_dir / "test")) - set(classes)
        if unknown:
            raise DataError(
                f"{data_dir / 'test'} has the class {min(unknown)!r}, which "
                f"{data_dir / 'train'} has not"
            )
        parts: list[np.ndarray] = []
        for part in ("train", "test"):
            parts += read_part(data_dir / part, classes, image_size)
    except OSError as error:
        raise DataError(f"cannot read {data_dir}: {reason(error)}") from error
    return Dataset("folder", *parts, class_names=tuple(classes))


def class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )
    if not names:
        raise DataError(f"{folder} has no folders, one a class")
    return names


def read_part(
    folder: Path, classes: list[str], image_size: int | None
) -> list[np.ndarray]:
    """Images and labels of ``train`` or ``test``."""
    images: list[np.ndarray] = []
    labels: list[int] = []
    first: Path | None = None
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue
        for path in sorted((folder / name).iterdir()):
            if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            image = read_image(path, image_size)
            first = first or path
            if images and image.shape != images[0].shape:
                height, width = image.shape[:2]
                raise DataError(
                    f"{path} has {width}x{height} pixels and {first} "
                    f"{images[0].shape[1]}x{images[0].shape[0]}: "
                    "--image-size makes them equal"
                )
            images.append(image)
            labels.append(label)
    if not images:
        raise DataError(f"{folder} has no images ({', '.join(sorted(SUFFIXES))})")
    return [np.stack(images), np.asarray(labels, np.int32)]


def read_image(path: Path, image_size: int | None) -> np.ndarray:
    """One image, ``(height, width, 3)`` uint8."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise DataError("--data folder needs pillow: pip install pillow") from error
    try:
        # Pillow warns of an image so large that it may be meant to fill the memory.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                image = file.convert("RGB")
    except Image.DecompressionBombWarning as error:
        raise DataError(f"{path} has too many pixels") from error
    # Pillow's decoders raise OSError, SyntaxError, ValueError and more.
    except Exception as error:
        raise DataError(f"cannot read the image {path}: {reason(error)}") from error
    if image_size is not None:
        image = ImageOps.fit(image, (image_size, image_size))
    return np.asarray(image, np.uint8)
