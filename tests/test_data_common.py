"""Digits, normalisation and augmentation."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from _data import DataError, Dataset, augment, load


def test_digits_are_split_the_same_way_each_time_with_every_class_in_its_share():
    data = load("digits", None)
    assert data.train_images.shape == (1442, 8, 8, 1)
    assert data.test_images.shape == (355, 8, 8, 1)
    train, test = np.bincount(data.train_labels), np.bincount(data.test_labels)
    np.testing.assert_allclose(test / (train + test), 0.2, atol=0.005)
    assert data.train_images.max() == 16
    assert data.sha256() == load("digits", None).sha256()


def test_no_digit_is_in_both_parts_more_often_than_the_data_repeats_it():
    data = load("digits", None)
    both = np.concatenate([data.train_images, data.test_images]).reshape(1797, -1)
    # scikit-learn's 1797 images are all different.
    assert len(np.unique(both, axis=0)) == 1797


def test_digits_take_neither_a_place_nor_a_size(tmp_path):
    with pytest.raises(DataError, match="takes no --data-dir"):
        load("digits", tmp_path)
    with pytest.raises(DataError, match="--image-size is for --data folder alone"):
        load("digits", None, image_size=16)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match="'imagenet' is unknown; accepted: digits, fa"):
        load("imagenet", None)


def colours() -> Dataset:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
    images[..., 1] //= 2
    images[..., 2] = 9
    labels = np.zeros(40, np.int32)
    return Dataset("colours", images, labels, images[:7], labels[:7], ("a",))


def test_normalised_training_images_have_mean_0_and_deviation_1_in_each_channel():
    data = colours()
    mean, deviation = data.mean_and_deviation()
    np.testing.assert_allclose(mean, data.train_images.mean(axis=(0, 1, 2)), rtol=1e-6)
    preprocess = augment.make_preprocess(mean, deviation)
    images = np.asarray(preprocess(jax.random.key(0), data.train_images))
    assert images.dtype == np.float32
    np.testing.assert_allclose(images.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    # The third channel never varies: it becomes 0, not 0/0.
    np.testing.assert_allclose(images.std(axis=(0, 1, 2)), [1, 1, 0], atol=1e-5)


def test_the_hash_sees_one_pixel_one_label_and_one_name():
    data = colours()
    hashes = {data.sha256()}
    images, labels = data.test_images.copy(), data.train_labels.copy()
    images[3, 2, 1, 0] ^= 1
    rest = (data.train_images, data.train_labels)
    hashes.add(Dataset("x", *rest, images, data.test_labels, ("a",)).sha256())
    rest = (data.train_images, labels, data.test_images, data.test_labels)
    hashes.add(Dataset("x", *rest, ("a", "b")).sha256())
    labels[0] = 1
    hashes.add(Dataset("x", *rest, ("a", "b")).sha256())
    assert len(hashes) == 4


def numbered() -> np.ndarray:
    # Every pixel another value, none of them 0.
    return np.arange(1, 1 + 64 * 9 * 9 * 2).reshape(64, 9, 9, 2).astype(np.int32)


def test_a_random_crop_is_the_image_shifted_with_zeros_coming_in():
    images = numbered()
    cropped = np.asarray(augment.random_crop(jax.random.key(0), images, 2))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    shifts = []
    for image, crop in zip(padded, cropped, strict=True):
        found = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(image[i : i + 9, j : j + 9], crop)
        ]
        assert len(found) == 1
        shifts += found
    # 64 images, 25 shifts: all rows and columns occur.
    assert {i for i, _ in shifts} == {j for _, j in shifts} == set(range(5))


def test_a_random_flip_mirrors_about_half_of_the_images_whole():
    images = numbered()
    flipped = np.asarray(augment.random_flip(jax.random.key(0), images))
    mirrored = [
        np.array_equal(a[:, ::-1], b) for a, b in zip(images, flipped, strict=True)
    ]
    same = [np.array_equal(a, b) for a, b in zip(images, flipped, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_augmentation_depends_on_the_key_alone_and_none_changes_nothing(name):
    images = colours().train_images
    preprocess = augment.make_preprocess(np.zeros(3), np.ones(3, np.float32), name)
    first = np.asarray(preprocess(jax.random.key(1), images))
    again = np.asarray(jax.jit(preprocess)(jax.random.key(1), images))
    other = np.asarray(preprocess(jax.random.key(2), images))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (name == "none")
    assert np.array_equal(first, images) == (name == "none")


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match=r"'rotate'; accepted: none, crop"):
        augment.make_preprocess(np.zeros(3), np.ones(3), "rotate")
