"""Fashion-MNIST's idx files, packed and plain, whole and damaged."""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from _data import DataError, idx, load


def content(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": generator.integers(0, 256, (20, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(20) % 10,
        "t10k-images-idx3-ubyte": generator.integers(0, 256, (7, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(7),
    }


def write(folder: Path, *, packed: bool = True) -> Path:
    for name, array in arrays().items():
        data = content(array)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_images_and_labels_are_read(tmp_path, packed):
    data = load("fashion-mnist", write(tmp_path, packed=packed))
    assert data.image_shape == (28, 28, 1)
    expected = arrays()
    np.testing.assert_array_equal(
        data.train_images[..., 0], expected["train-images-idx3-ubyte"]
    )
    np.testing.assert_array_equal(data.test_labels, np.arange(7))
    assert data.class_names[9] == "Ankle boot"


@pytest.mark.skipif(not idx.DEBIAN.is_dir(), reason="dataset-fashion-mnist not there")
def test_the_files_of_debian_are_found_and_read():
    data = load("fashion-mnist", None)
    assert data.train_images.shape == (60000, 28, 28, 1)
    assert np.bincount(data.test_labels).tolist() == [1000] * 10


def damaged(name, change):
    def apply(folder):
        path = folder / f"{name}.gz"
        path.write_bytes(change(path.read_bytes()))

    return apply


def repacked(name, change):
    return damaged(name, lambda data: gzip.compress(change(gzip.decompress(data))))


IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged(IMAGES, lambda d: d[: len(d) // 2]), "cannot read .*ended before"),
        (damaged(IMAGES, lambda d: d[:-8] + bytes(8)), "cannot read .*CRC"),
        (damaged(IMAGES, lambda d: b"plain"), "cannot read .*gzip"),
        (damaged(IMAGES, lambda d: b""), "cut off"),
        (repacked(IMAGES, lambda d: d[:7]), "cut off"),
        (repacked(IMAGES, lambda d: b"\x00\x00\x0d\x03" + d[4:]), "starts with 00000d"),
        (repacked(IMAGES, lambda d: b"\x00\x00\x08\x01" + d[4:]), "of 3 dimensions"),
        (repacked(IMAGES, lambda d: d[:-1]), "20x28x28 = 15680 bytes and has 15679"),
        (repacked(IMAGES, lambda d: d + b"0"), "= 15680 bytes and has more"),
        (
            repacked(IMAGES, lambda d: d[:4] + b"\xff" * 12 + d[16:]),
            "promises 4294967295x4294967295x4294967295",
        ),
        (
            repacked(LABELS, lambda d: content(np.arange(6))),
            "7 test images have 6 labels",
        ),
        (repacked(LABELS, lambda d: content(np.full(7, 10))), "a test label is 10"),
        (lambda folder: (folder / f"{LABELS}.gz").unlink(), f"has no {LABELS}.gz"),
        (
            repacked(
                "t10k-images-idx3-ubyte", lambda d: content(np.zeros((7, 20, 28)))
            ),
            "training images are 28x28x1 and test images 20x28x1",
        ),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path, damage, message):
    damage(write(tmp_path))
    with pytest.raises(DataError, match=message) as caught:
        load("fashion-mnist", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        load("fashion-mnist", tmp_path / "nowhere")


def test_where_debian_has_none_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "DEBIAN", tmp_path / "nowhere")
    with pytest.raises(DataError, match="apt install dataset-fashion-mnist"):
        load("fashion-mnist", None)


def test_no_training_image_is_refused(tmp_path):
    write(tmp_path)
    empty = {IMAGES: np.zeros((0, 28, 28)), "train-labels-idx1-ubyte": np.zeros(0)}
    for name, array in empty.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content(array)))
    with pytest.raises(DataError, match="there are no training images"):
        load("fashion-mnist", tmp_path)
