"""Fashion-MNIST from its four idx files, packed by gzip or not.

The format (LeCun, "The MNIST database"): two zero bytes, a type (8 for uint8), the
number of dimensions, each dimension as a big-endian 32-bit integer, the bytes.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from _data.dataset import DataError, Dataset, reason

# Where Debian's package dataset-fashion-mnist puts them.
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load(data_dir: Path | None, image_size: int | None) -> Dataset:
    """The images and labels of a folder with the four files."""
    folder = DEBIAN if data_dir is None else data_dir
    if not folder.is_dir():
        hint = (
            "; on Debian and Ubuntu: apt install dataset-fashion-mnist; "
            "else name a folder by --data-dir"
        )
        raise DataError(
            f"there is no folder {folder}{hint if data_dir is None else ''}"
        )
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(find(folder, f"{part}-images-idx3-ubyte"), dimensions=3)
        labels = read_idx(find(folder, f"{part}-labels-idx1-ubyte"), dimensions=1)
        parts += [images[..., np.newaxis], labels.astype(np.int32)]
    return Dataset("fashion-mnist", *parts, class_names=CLASSES)


def find(folder: Path, name: str) -> Path:
    """The packed file, or the plain one."""
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise DataError(f"{folder} has no {name}.gz")


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """One idx file of unsigned bytes with this many dimensions."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(4 + 4 * dimensions)
            if len(header) < 4 + 4 * dimensions:
                raise DataError(f"{path} is cut off: it ends within its header")
            magic = bytes([0, 0, 8, dimensions])
            if header[:4] != magic:
                raise DataError(
                    f"{path} is no idx file of {dimensions} dimensions: it starts "
                    f"with {header[:4].hex()}, not {magic.hex()}"
                )
            shape = struct.unpack(f">{dimensions}I", header[4:])
            size = math.prod(shape)
            # One byte more than there should be, so that a longer file shows; read
            # in pieces, so that a header that lies claims no memory.
            data = bytearray()
            while len(data) <= size and (piece := file.read(1 << 20)):
                data += piece
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
    if len(data) != size:
        found = f"{len(data)} bytes" if len(data) < size else "more"
        raise DataError(
            f"{path} promises {'x'.join(map(str, shape))} = {size} bytes and has "
            f"{found}"
        )
    return np.frombuffer(bytes(data), np.uint8).reshape(shape)
