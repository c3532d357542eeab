"""CIFAR files: the layout that Python 2 wrote is read, and nothing in it is run."""

import io
import os
import pickle
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from _data import DataError, load

TEN = [f"class {i}".encode() for i in range(10)]
HUNDRED = [f"class {i}".encode() for i in range(100)]


def string(text: bytes) -> bytes:
    if len(text) < 256:
        return b"U" + bytes([len(text)]) + text
    return b"T" + struct.pack("<i", len(text)) + text


def integer(n: int) -> bytes:
    if 0 <= n < 256:
        return b"K" + bytes([n])
    return (
        b"M" + struct.pack("<H", n) if 0 <= n < 65536 else b"J" + struct.pack("<i", n)
    )


def array(rows: np.ndarray, *, dtype: bytes = b"u1") -> bytes:
    minus_one = b"J" + struct.pack("<i", -1)
    kind = (
        b"cnumpy\ndtype\n"
        + (string(dtype) + integer(0) + integer(1) + b"\x87R")
        + (b"(" + integer(3) + string(b"|") + b"NNN" + 2 * minus_one)
        + (integer(0) + b"tb")
    )
    return (
        (b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n")
        + (integer(0) + b"\x85" + string(b"b") + b"\x87R")
        + (b"(" + integer(1) + b"".join(map(integer, rows.shape)) + b"\x86" + kind)
        + (b"\x89" + string(rows.tobytes()) + b"tb")
    )


def items(values) -> bytes:
    encode = string if values and isinstance(values[0], bytes) else integer
    return b"](" + b"".join(map(encode, values)) + b"e"


def python2_pickle(entries: dict[bytes, bytes]) -> bytes:
    """Protocol 2 as Python 2 wrote it, opcode by opcode: strings, not unicode."""
    pairs = b"".join(string(key) + value for key, value in entries.items())
    return b"\x80\x02}(" + pairs + b"u."


def pixels(count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 3072), dtype=np.uint8)


def batch_file(rows: np.ndarray, labels: list[int], key: bytes = b"labels") -> bytes:
    return python2_pickle(
        {
            b"batch_label": string(b"training batch 1 of 5"),
            key: items(labels),
            b"data": array(rows),
            b"filenames": items([b"leptodactylus_pentadactylus_s_000004.png"]),
        }
    )


def cifar10_files() -> dict[str, bytes]:
    files = {
        f"data_batch_{i}": batch_file(pixels(3, i), [i, 0, 9]) for i in range(1, 6)
    }
    files["test_batch"] = batch_file(pixels(4, 6), [1, 2, 3, 4])
    files["batches.meta"] = python2_pickle({b"label_names": items(TEN)})
    return files


def cifar100_files() -> dict[str, bytes]:
    return {
        "train": batch_file(pixels(3, 1), [99, 0, 50], b"fine_labels"),
        "test": batch_file(pixels(2, 2), [7, 8], b"fine_labels"),
        "meta": python2_pickle({b"fine_label_names": items(HUNDRED)}),
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path: Path, inside: str, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("place", ["folder", "parent", "archive", "beside"])
def test_cifar10_is_read_from_folder_and_archive(tmp_path, place):
    inside = "cifar-10-batches-py"
    if place in ("folder", "parent"):
        where = write_folder(tmp_path / inside, cifar10_files())
        where = where if place == "folder" else tmp_path
    else:
        where = write_archive(
            tmp_path / "cifar-10-python.tar.gz", inside, cifar10_files()
        )
        where = where if place == "archive" else tmp_path
    data = load("cifar10", where)
    assert data.train_images.shape == (15, 32, 32, 3)
    assert data.test_labels.tolist() == [1, 2, 3, 4]
    assert data.train_labels.tolist() == [n for i in range(1, 6) for n in (i, 0, 9)]
    assert data.class_names == tuple(name.decode() for name in TEN)
    assert data.train_images.dtype == np.uint8
    # Plane by plane in the file, channel last in the image.
    first = pixels(3, 1)[0]
    assert data.train_images[0, 2, 5].tolist() == [
        first[2 * 32 + 5],
        first[1024 + 2 * 32 + 5],
        first[2048 + 2 * 32 + 5],
    ]


def test_cifar100_has_the_fine_labels(tmp_path):
    where = write_folder(tmp_path / "cifar-100-python", cifar100_files())
    data = load("cifar100", where)
    assert data.train_labels.tolist() == [99, 0, 50]
    assert data.test_images.shape == (2, 32, 32, 3)
    assert len(data.class_names) == 100


# Old pickles name numpy.core, which numpy may come to call private.
@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
def test_the_fixture_is_what_pickle_reads_as_a_cifar_file():
    entries = pickle.loads(cifar10_files()["data_batch_1"], encoding="bytes")
    np.testing.assert_array_equal(entries[b"data"], pixels(3, 1))
    assert entries[b"labels"] == [1, 0, 9]


def test_a_file_written_by_python_3_is_read_too(tmp_path):
    files = cifar10_files()
    files["test_batch"] = pickle.dumps({b"data": pixels(2, 8), b"labels": [5, 6]}, 4)
    data = load("cifar10", write_folder(tmp_path / "c", files))
    assert data.test_labels.tolist() == [5, 6]


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", ["whole", "entry"])
def test_code_in_a_pickle_is_not_run(tmp_path, protocol, where):
    trace = tmp_path / "trace"
    attack = Attack(f"touch {trace}")
    value = attack if where == "whole" else {"data": attack, "labels": [1]}
    content = pickle.dumps(value, protocol)
    pickle.loads(content)
    assert trace.exists(), "the attack works on a plain unpickler"
    trace.unlink()
    files = cifar10_files() | {"data_batch_3": content}
    with pytest.raises(DataError, match=r"data_batch_3 is no CIFAR file.*system"):
        load("cifar10", write_folder(tmp_path / "c", files))
    assert not trace.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c__main__\n__builtins__\n.",
        b"cnumpy\nfromfile\n.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"P1\n.",
    ],
)
def test_anything_but_the_few_known_names_is_refused(tmp_path, opcodes):
    files = cifar10_files() | {"test_batch": opcodes}
    with pytest.raises(DataError, match="test_batch is no CIFAR file: it asks for"):
        load("cifar10", write_folder(tmp_path / "c", files))


good = cifar10_files()["data_batch_1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no CIFAR file"),
        (good[:50], "is no CIFAR file"),
        (good[:-2000], "is no CIFAR file"),
        (b"\x00" * 99, "is no CIFAR file"),
        (b"\x80\x02].", "holds no dictionary"),
        (python2_pickle({b"labels": items([1])}), "no entry 'data'"),
        (python2_pickle({b"data": array(pixels(1, 0))}), "no entry 'labels'"),
        (batch_file(pixels(3, 0), [1, 2]), "3 images have 2 labels"),
        (batch_file(pixels(1, 0), [-1]), "out of range"),
        (batch_file(pixels(1, 0)[:, :3071], [1]), "one row of 3072"),
        (
            python2_pickle(
                {b"data": array(pixels(1, 0), dtype=b"i1"), b"labels": items([1])}
            ),
            "unsigned bytes",
        ),
        (
            python2_pickle(
                {b"data": array(pixels(1, 0), dtype=b"O8"), b"labels": items([1])}
            ),
            "unsigned bytes",
        ),
        (python2_pickle({b"data": items([1]), b"labels": items([1])}), "is no array"),
        (
            python2_pickle({b"data": array(pixels(1, 0)), b"labels": items([b"x"])}),
            "no list of integers",
        ),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path, content, message):
    files = cifar10_files() | {"data_batch_2": content}
    with pytest.raises(DataError, match=message) as caught:
        load("cifar10", write_folder(tmp_path / "c", files))
    assert "data_batch_2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_label_beyond_the_classes_is_refused(tmp_path):
    files = cifar10_files() | {"test_batch": batch_file(pixels(1, 0), [10])}
    with pytest.raises(
        DataError, match="a test label is 10, and the labels are 0 to 9"
    ):
        load("cifar10", write_folder(tmp_path / "c", files))


@pytest.mark.parametrize("name", ["data_batch_4", "test_batch", "batches.meta"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_missing_file_is_named(tmp_path, name, packed):
    files = cifar10_files()
    del files[name]
    if packed:
        where = write_archive(tmp_path / "c.tar.gz", "cifar-10-batches-py", files)
    else:
        where = write_folder(tmp_path / "c", files)
    with pytest.raises(DataError, match=f"has no file .*{name}"):
        load("cifar10", where)


def test_an_archive_is_not_unpacked_and_its_tricks_do_nothing(tmp_path):
    files = cifar10_files()
    path = tmp_path / "in" / "c.tar.gz"
    path.parent.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(files["test_batch"])
    with tarfile.open(path, "w:gz") as archive:
        for name in (
            "../evil",
            str(tmp_path / "evil"),
            "cifar-10-batches-py/../../evil",
            *(f"./cifar-10-batches-py/{name}" for name in files if name[0] != "t"),
        ):
            content = files.get(Path(name).name, b"evil")
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("cifar-10-batches-py/test_batch")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)
    with pytest.raises(DataError, match="has no file cifar-10-batches-py/test_batch"):
        load("cifar10", path)
    assert {p.name for p in tmp_path.rglob("*")} == {"in", "c.tar.gz", "secret"}


@pytest.mark.parametrize("damage", ["cut", "flip", "no archive"])
def test_a_damaged_archive_is_one_clear_line(tmp_path, damage):
    path = write_archive(tmp_path / "c.tar.gz", "cifar-10-batches-py", cifar10_files())
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 0xFF
    else:
        content = b"no archive at all"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*c\.tar\.gz") as caught:
        load("cifar10", path)
    assert "\n" not in str(caught.value)


def test_without_a_place_the_message_says_what_to_fetch():
    with pytest.raises(DataError, match=r"needs --data-dir.*cifar-10-python\.tar\.gz"):
        load("cifar10", None)


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*nowhere"):
        load("cifar100", tmp_path / "nowhere")
