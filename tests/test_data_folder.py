"""A folder of images by class: read, resized where asked, refused where unfit."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from _data import DataError, load

Image = pytest.importorskip("PIL.Image", reason="needs pillow")


def write(folder: Path, *, size=(12, 12), classes=("cat", "dog")) -> Path:
    generator = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 2)):
        for name in classes:
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i}.png")
    return folder


def test_images_and_classes_are_read_in_order_of_name(tmp_path):
    data = load("folder", write(tmp_path))
    assert data.train_images.shape == (6, 12, 12, 3)
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.class_names == ("cat", "dog")
    with Image.open(tmp_path / "test" / "dog" / "1.png") as image:
        np.testing.assert_array_equal(data.test_images[3], np.asarray(image))


def test_grey_and_palette_images_and_other_files_do_no_harm(tmp_path):
    write(tmp_path)
    Image.new("L", (12, 12), 77).save(tmp_path / "train" / "cat" / "grey.PNG")
    Image.new("P", (12, 12), 3).save(tmp_path / "train" / "cat" / "palette.png")
    Image.new("RGBA", (12, 12)).save(tmp_path / "train" / "dog" / "alpha.png")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "cat" / "._0.png").write_text("no image")
    (tmp_path / "train" / ".hidden").mkdir()
    data = load("folder", tmp_path)
    assert data.train_images.shape == (9, 12, 12, 3)
    assert (data.train_images[3] == 77).all()


def test_a_size_that_is_asked_for_is_given(tmp_path):
    write(tmp_path)
    Image.new("RGB", (31, 17)).save(tmp_path / "train" / "cat" / "wide.jpg")
    data = load("folder", tmp_path, image_size=8)
    assert data.image_shape == (8, 8, 3)


def test_a_class_may_have_no_test_images(tmp_path):
    write(tmp_path)
    for path in (tmp_path / "test" / "cat").iterdir():
        path.unlink()
    (tmp_path / "test" / "cat").rmdir()
    assert load("folder", tmp_path).test_labels.tolist() == [1, 1]


def spoil_size(folder):
    Image.new("RGB", (13, 12)).save(folder / "train" / "dog" / "x.png")


def spoil_image(folder):
    path = folder / "train" / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:100])


def spoil_kind(folder):
    (folder / "test" / "dog" / "1.png").write_bytes(b"GIF, or so")


def spoil_class(folder):
    (folder / "test" / "bird").mkdir()


def spoil_all(folder):
    for path in folder.rglob("*.png"):
        path.unlink()


def spoil_part(folder):
    (folder / "test").rename(folder / "validation")


def spoil_classes(folder):
    (folder / "train").rename(folder / "old")
    (folder / "train").mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_size, r"x\.png has 13x12 pixels and .*0\.png 12x12: --image-size"),
        (spoil_image, r"cannot read the image .*1\.png"),
        (spoil_kind, r"cannot read the image .*1\.png"),
        (spoil_class, "has the class 'bird', which .*train has not"),
        (spoil_all, "train has no images"),
        (spoil_part, "there is no folder .*test"),
        (spoil_classes, "has no folders, one a class"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path, spoil, message):
    spoil(write(tmp_path))
    with pytest.raises(DataError, match=message) as caught:
        load("folder", tmp_path)
    assert "\n" not in str(caught.value)


def test_an_image_made_to_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="too many pixels"):
        load("folder", write(tmp_path))


def test_without_a_place_the_message_says_what_is_needed():
    with pytest.raises(
        DataError, match="needs --data-dir, a folder with train/<class>/"
    ):
        load("folder", None)
