"""Images from uint8 to what a model sees, on the device and from a key alone."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

AUGMENTATIONS = ("none", "crop", "flip", "crop+flip")


def crop_padding(height: int, width: int) -> int:
    """How far a crop may shift: an eighth of the side, 4 of 32 pixels as usual."""
    return max(1, min(height, width) // 8)


def random_crop(key: jax.Array, images: jax.Array, padding: int) -> jax.Array:
    """Shifts each image by up to ``padding`` pixels each way, zeros coming in.

    Args:
      key: a key from ``jax.random.key``.
      images: ``(batch, height, width, channels)``.
      padding: the largest shift.
    """
    batch, height, width, channels = images.shape
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(images, around)
    corners = jax.random.randint(key, (batch, 2), 0, 2 * padding + 1)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        start = (corner[0], corner[1], jnp.zeros_like(corner[0]))
        return jax.lax.dynamic_slice(image, start, (height, width, channels))

    return jax.vmap(crop)(padded, corners)


def random_flip(key: jax.Array, images: jax.Array) -> jax.Array:
    """Mirrors each image left to right, or not, with equal chance."""
    flip = jax.random.bernoulli(key, 0.5, (images.shape[0], 1, 1, 1))
    return jnp.where(flip, images[:, :, ::-1], images)


def make_preprocess(
    mean: np.ndarray, deviation: np.ndarray, augmentation: str = "none"
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """``(key, uint8 images) -> float32 images``: augment, then normalise.

    Args:
      mean: of each channel, float32.
      deviation: of each channel, float32.
      augmentation: one of ``AUGMENTATIONS``.
    """
    if augmentation not in AUGMENTATIONS:
        raise ValueError(
            f"augmentation is {augmentation!r}; accepted: {', '.join(AUGMENTATIONS)}"
        )
    mean = np.reshape(mean, (1, 1, 1, -1))
    scale = np.reshape(1 / deviation, (1, 1, 1, -1))

    def preprocess(key: jax.Array, images: jax.Array) -> jax.Array:
        crop_key, flip_key = jax.random.split(key)
        if "crop" in augmentation:
            padding = crop_padding(images.shape[1], images.shape[2])
            images = random_crop(crop_key, images, padding)
        if "flip" in augmentation:
            images = random_flip(flip_key, images)
        return (images.astype(jnp.float32) - mean) * scale

    return preprocess
