"""Whole stretches of float32 where a grid found the largest errors.

A grid of some ten thousand numbers meets the largest error of a smooth region
only by luck: errors of rounding are as good as random from one number to the
next. Trying all 2^20 numbers of the worst chunks costs seconds and comes close to
what trying all of float32 finds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from . import exhaustive
from .accuracy import Extreme, Measurement
from .candidate import Candidate
from .patches import CHUNK_SIZE, CHUNKS
from .target import Target

__all__ = ["sharpen"]


def sharpen(
    target: Target,
    measurements: Sequence[Measurement],
    chunks: int,
    candidate: Candidate | None = None,
) -> list[Measurement]:
    """Adds all numbers of the worst chunks to measurements of a float32 grid.

    Args:
      target: the function.
      measurements: of the grid, with profiles.
      chunks: how many chunks of 2^20 numbers are tried, shared by the orders.
      candidate: the compiled function, if there is one.

    Returns:
      The measurements, each with the larger of both errors.
    """
    low = [m for m in measurements if m.order <= 2]
    share = max(1, chunks // max(1, len(low)))
    chosen = {chunk for m in low for chunk in _worst_chunks(m, share)}
    if not chosen:
        return list(measurements)
    orders = [m.order for m in low]
    found, _ = exhaustive.measure(
        target, orders, chunks=sorted(chosen), candidate=candidate
    )
    dense = {m.order: m for m in found}
    return [_joined(m, dense[m.order]) if m.order in dense else m for m in measurements]


def _worst_chunks(measured: Measurement, count: int) -> list[int]:
    """The chunks with the largest errors of normal results on the grid."""
    profile = measured.profile
    if profile is None:
        return []
    bits = profile.inputs.astype(np.float32).view(np.uint32)
    place = (bits & np.uint32(0x7FFFFFFF)) // np.uint32(CHUNK_SIZE)
    place = place.astype(int) + np.where(np.signbit(profile.inputs), CHUNKS // 2, 0)
    largest = np.zeros(CHUNKS)
    np.maximum.at(largest, place, np.nan_to_num(profile.ulp, nan=0.0))
    worst = np.argsort(-largest, kind="stable")[:count]
    return [int(chunk) for chunk in worst if largest[chunk] > 0]


def _joined(grid: Measurement, dense: Measurement) -> Measurement:
    def larger(a: Extreme | None, b: Extreme | None) -> Extreme | None:
        return max(filter(None, (a, b)), key=lambda e: e.error, default=None)

    more_nan = dense if dense.nan_count > grid.nan_count else grid
    more_zero = dense if dense.wrong_zero_count > grid.wrong_zero_count else grid
    return dataclasses.replace(
        grid,
        inputs=grid.inputs + dense.inputs,
        ulp=larger(grid.ulp, dense.ulp),
        scaled=larger(grid.scaled, dense.scaled),
        subnormal=larger(grid.subnormal, dense.subnormal),
        nan=more_nan.nan,
        nan_count=more_nan.nan_count,
        wrong_zero=more_zero.wrong_zero,
        wrong_zero_count=more_zero.wrong_zero_count,
    )
