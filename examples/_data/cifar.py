"""CIFAR-10 and CIFAR-100 from the "python version", folder or archive.

Its files are pickles, and a pickle can run any code. Here none is run: the
unpickler knows no Python object but a bare record of what numpy's arrays were made
from, and the bytes are checked and turned into an array afterwards. The archive is
read member by member and never unpacked.
"""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from _data.dataset import DataError, Dataset, reason

HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"
PIXELS = 3 * 32 * 32
# The largest file (CIFAR-100's "train") has 155 MB.
LARGEST_FILE = 1 << 28

Read = Callable[[str], bytes]


def load_cifar10(data_dir: Path | None, image_size: int | None) -> Dataset:
    """60,000 colour images of 32x32 pixels in 10 classes."""
    where, read = source("cifar10", data_dir, "cifar-10-batches-py", "cifar-10-python")
    parts = [
        batch(f"{where}: data_batch_{i}", read(f"data_batch_{i}"), b"labels")
        for i in range(1, 6)
    ]
    test = batch(f"{where}: test_batch", read("test_batch"), b"labels")
    names = class_names(where, "batches.meta", read, b"label_names", 10)
    return Dataset(
        "cifar10",
        np.concatenate([images for images, _ in parts]),
        np.concatenate([labels for _, labels in parts]),
        *test,
        class_names=names,
    )


def load_cifar100(data_dir: Path | None, image_size: int | None) -> Dataset:
    """60,000 colour images of 32x32 pixels in 100 classes (the fine labels)."""
    where, read = source("cifar100", data_dir, "cifar-100-python", "cifar-100-python")
    train = batch(f"{where}: train", read("train"), b"fine_labels")
    test = batch(f"{where}: test", read("test"), b"fine_labels")
    names = class_names(where, "meta", read, b"fine_label_names", 100)
    return Dataset("cifar100", *train, *test, class_names=names)


def source(
    name: str, data_dir: Path | None, folder: str, archive: str
) -> tuple[Path, Read]:
    """Where the files are, and a function from a file's name to its bytes.

    ``data_dir`` may be the folder of the files, one that holds it, the archive, or a
    folder that holds the archive.
    """
    if data_dir is None:
        raise DataError(
            f"--data {name} needs --data-dir, a folder with {folder}/ or "
            f"{archive}.tar.gz, from {HOME}"
        )
    if not data_dir.exists():
        raise DataError(f"there is no {data_dir}")
    if data_dir.is_file():
        return data_dir, archive_reader(data_dir, folder)
    if (data_dir / folder).is_dir():
        return data_dir / folder, folder_reader(data_dir / folder)
    for suffix in (".tar.gz", ".tar"):
        if (path := data_dir / f"{archive}{suffix}").is_file():
            return path, archive_reader(path, folder)
    # Its name may have been changed: the first file to be read will tell.
    return data_dir, folder_reader(data_dir)


def folder_reader(folder: Path) -> Read:
    def read(name: str) -> bytes:
        path = folder / name
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise DataError(f"{path} is too large for a CIFAR file")
            return path.read_bytes()
        except FileNotFoundError as error:
            raise DataError(f"{folder} has no file {name}") from error
        except OSError as error:
            raise DataError(f"cannot read {path}: {reason(error)}") from error

    return read


def archive_reader(path: Path, folder: str) -> Read:
    contents: dict[str, bytes] = {}
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (
            gzip.open(path) if packed else path.open("rb") as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            for member in archive:
                inside, _, name = member.name.removeprefix("./").partition("/")
                if inside != folder or "/" in name or not member.isreg():
                    continue
                if member.size > LARGEST_FILE:
                    raise DataError(f"{path}: {name} is too large for a CIFAR file")
                member_file = archive.extractfile(member)
                assert member_file is not None, "a regular member has a file"
                contents[name] = member_file.read()
            # To the end, where gzip compares its checksum; tar stops before it.
            while stream.read(1 << 20):
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error

    def read(name: str) -> bytes:
        if name not in contents:
            raise DataError(f"{path} has no file {folder}/{name}")
        return contents[name]

    return read


def batch(
    where: str, content: bytes, labels_key: bytes
) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(n, 32, 32, 3)`` and labels of one file."""
    entries = unpickle(where, content)
    for key in (b"data", labels_key):
        if key not in entries:
            raise DataError(f"{where} has no entry {key.decode()!r}")
    pixels = as_pixels(where, entries[b"data"])
    labels = entries[labels_key]
    if not isinstance(labels, list) or not all(type(n) is int for n in labels):
        raise DataError(f"{where}: {labels_key.decode()!r} is no list of integers")
    if len(labels) != len(pixels):
        raise DataError(f"{where}: {len(pixels)} images have {len(labels)} labels")
    if any(not 0 <= n < 1000 for n in labels):
        raise DataError(f"{where}: a label is out of range")
    # Stored as three planes; the models want the channels last.
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.asarray(labels, np.int32)


def class_names(
    where: Path, file: str, read: Read, key: bytes, count: int
) -> tuple[str, ...]:
    """The names of the classes, from the file that holds them."""
    names = unpickle(f"{where}: {file}", read(file)).get(key)
    if (
        not isinstance(names, list)
        or len(names) != count
        or not all(isinstance(name, bytes) for name in names)
    ):
        raise DataError(f"{where}: {file} has no {count} names of classes")
    return tuple(name.decode("utf-8", "replace") for name in names)


class ArrayRecord:
    """Stands in for numpy's array and its state; holds data and does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class TypeRecord(ArrayRecord):
    """Stands in for numpy's dtype."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self.code = arguments[0] if arguments else None


class Unpickler(pickle.Unpickler):
    """Knows what CIFAR's files hold and nothing else."""

    KNOWN = {  # noqa: RUF012
        ("numpy", "ndarray"): ArrayRecord,
        ("numpy", "dtype"): TypeRecord,
        ("numpy.core.multiarray", "_reconstruct"): ArrayRecord,
        ("numpy._core.multiarray", "_reconstruct"): ArrayRecord,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no CIFAR file does"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it asks for an object outside the file")


def unpickle(where: str, content: bytes) -> dict[bytes, Any]:
    """The dictionary of one file."""
    try:
        value = Unpickler(io.BytesIO(content), encoding="bytes").load()
    # A damaged stream raises nearly anything: IndexError, KeyError, OverflowError …
    except Exception as error:
        raise DataError(f"{where} is no CIFAR file: {reason(error)}") from error
    if not isinstance(value, dict):
        raise DataError(f"{where} is no CIFAR file: it holds no dictionary")
    return value


def as_pixels(where: str, record: Any) -> np.ndarray:
    """The array that a record describes, if it is rows of 3072 unsigned bytes."""
    state = record.state if isinstance(record, ArrayRecord) else None
    if not isinstance(state, tuple) or len(state) != 5:
        raise DataError(f"{where}: 'data' is no array")
    _, shape, dtype, fortran_order, content = state
    code = dtype.code if isinstance(dtype, TypeRecord) else None
    if (
        code not in ("u1", b"u1")
        or not isinstance(content, bytes)
        or not isinstance(shape, tuple)
        or len(shape) != 2
        or shape[1] != PIXELS
        or shape[0] * PIXELS != len(content)
    ):
        raise DataError(
            f"{where}: 'data' is not one row of {PIXELS} unsigned bytes an image"
        )
    order = "F" if fortran_order else "C"
    return np.frombuffer(content, np.uint8).reshape(shape, order=order)
