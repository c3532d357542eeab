"""Which inputs are tried: uniform in ULP, dense where functions go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from .ulp import Format

__all__ = ["around", "bisect_changes", "ordinals", "stratified", "values"]


def ordinals(x: np.ndarray, form: Format) -> np.ndarray:
    """Numbers as integers in the same order, adjacent where they are adjacent.

    Both zeros are told apart: -0 is -1 and +0 is 0.
    """
    bits = np.asarray(x, form.dtype).view(form.bit_type)
    magnitude = (bits & form.bit_type.type(2 ** (form.bits - 1) - 1)).astype(np.int64)
    return np.where(
        bits >> form.bit_type.type(form.bits - 1) == 1, ~magnitude, magnitude
    )


def values(ordinal: np.ndarray, form: Format) -> np.ndarray:
    """The numbers that belong to ``ordinals``."""
    ordinal = np.asarray(ordinal, np.int64)
    magnitude = np.where(ordinal < 0, ~ordinal, ordinal).astype(form.bit_type)
    sign = (ordinal < 0).astype(form.bit_type) << form.bit_type.type(form.bits - 1)
    return (magnitude | sign).view(form.dtype)


def largest_ordinal(form: Format) -> int:
    return int(ordinals(np.asarray([form.largest]), form)[0])


def around(points: Iterable[float], form: Format, radius: int) -> np.ndarray:
    """All numbers within ``radius`` steps of the given points."""
    centre = [p for p in points if np.isfinite(p) and abs(p) <= form.largest]
    with np.errstate(over="ignore"):
        start = ordinals(np.asarray(centre, np.float64).astype(form.dtype), form)
    near = start[:, None] + np.arange(-radius, radius + 1)
    top = largest_ordinal(form)
    return values(np.clip(near, ~top, top).ravel(), form)


def stratified(form: Format, count: int, seed: int = 0) -> np.ndarray:
    """Finite numbers uniform in ULP: one at random from each of equal strata.

    Args:
      form: the format.
      count: about how many.
      seed: of the choice within a stratum; the same seed gives the same grid.

    Returns:
      Sorted numbers of ``form``, with both zeros, both largest numbers, the
      smallest normals and subnormals, and the ends of every binade.
    """
    top = largest_ordinal(form)
    edges = np.linspace(~top, top + 1, count + 1).astype(np.int64)
    random = np.random.default_rng(seed).random(count)
    inner = edges[:-1] + (random * (edges[1:] - edges[:-1])).astype(np.int64)
    exponents = np.arange(form.least_exponent, np.frexp(form.largest)[1])
    powers = np.ldexp(1.0, exponents)
    marks = [0.0, form.smallest_ulp, form.smallest_normal, form.largest, *powers]
    fixed = ordinals(around([*marks, *(-m for m in marks)], form, 2), form)
    return values(np.unique(np.concatenate([inner, fixed])), form)


def bisect_changes(
    classify: Callable[[np.ndarray], np.ndarray],
    grid: np.ndarray,
    labels: np.ndarray,
    form: Format,
    most: int = 64,
) -> np.ndarray:
    """Pairs of adjacent numbers between which a label changes.

    Args:
      classify: labels of an array of numbers.
      grid: sorted numbers.
      labels: their labels.
      form: the format.
      most: no more than this many changes are followed.

    Returns:
      The numbers on both sides of every change found.
    """
    change = np.flatnonzero(labels[1:] != labels[:-1])[:most]
    low, high = ordinals(grid[change], form), ordinals(grid[change + 1], form)
    left = labels[change]
    while len(change) and np.any(high - low > 1):
        middle = low + (high - low) // 2
        same = classify(values(middle, form)) == left
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return values(np.concatenate([low, high]), form)
