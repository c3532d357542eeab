"""Errors of results against the truth, by the rules of the metric."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from .candidate import flushes
from .oracle import Truth
from .ulp import Format, error_in_ulp

__all__ = ["Errors", "compare", "level_nearby", "loosely"]


@dataclasses.dataclass(frozen=True, eq=False)
class Errors:
    """Errors at every input of one run."""

    ulp: np.ndarray
    scaled: np.ndarray
    subnormal: np.ndarray
    nan: np.ndarray
    wrong_zero: np.ndarray
    unclaimed: np.ndarray


def compare(
    got: np.ndarray,
    inputs: np.ndarray,
    truth: Truth,
    at_zero: tuple[Truth, Truth],
    form: Format,
) -> Errors:
    """Errors of results against the truth, by the rules of the metric.

    Args:
      got: results as doubles, shape ``(n,)``.
      inputs: the finite inputs as doubles.
      truth: truth of this order.
      at_zero: truth of this order at -0 and at +0, shape ``(1,)`` each: where
        the backend flushes subnormal inputs their result is as right.
      form: the format of the results.
    """
    flush = flushes(form.name)
    size = np.abs(truth.high)
    edge = form.smallest_normal
    if flush:
        # A result one rounding below the smallest normal number of the type it
        # is computed in is flushed too.
        computed = form.compute
        edge = max(edge, computed.smallest_normal * (1 + 8 * 2.0**-computed.precision))
    error = error_in_ulp(got, truth.high, truth.low, form)
    scaled = error_in_ulp(got, truth.high, truth.low, form, at_least_one=True)
    signed_zero = (got == 0) & (truth.sign != 0)
    wrong_zero = signed_zero & (np.signbit(got) != (truth.sign < 0)) & (size < edge)
    subnormal_truth = (size < edge) & (truth.sign != 0) & (inputs != 0)
    subnormal_input = (np.abs(inputs) < form.smallest_normal) & (inputs != 0)
    if flush:
        error = np.where(subnormal_truth & signed_zero, 0.0, error)
        for zero, side in zip(at_zero, (True, False), strict=True):
            here = subnormal_input & (np.signbit(inputs) == side)
            as_zero = error_in_ulp(got, zero.high, zero.low, form)
            as_zero = np.nan_to_num(as_zero, nan=0.0, posinf=np.inf)  # not claimed
            error = np.where(here, np.fmin(error, as_zero), error)
            as_zero_wrong = (zero.sign != 0) & (np.signbit(got) != (zero.sign < 0))
            wrong_zero &= ~here | as_zero_wrong
    apart = subnormal_truth | subnormal_input
    nan = np.isnan(got) & ~np.isnan(truth.high)
    if not form.has_infinity:
        nan &= size < form.largest
    # Counted for themselves, so that they do not hide the largest finite error.
    error, scaled = np.where(nan, 0.0, error), np.where(nan, 0.0, scaled)
    return Errors(
        ulp=np.where(apart, 0.0, error),
        scaled=np.where(apart, 0.0, scaled),
        subnormal=np.where(apart, error, 0.0),
        nan=nan,
        wrong_zero=wrong_zero,
        unclaimed=np.isnan(truth.high),
    )


def level_nearby(
    inputs: np.ndarray, truth: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """x to the largest |truth| at inputs from x/2 to 2x."""
    order = np.argsort(inputs, kind="stable")
    places = inputs[order]
    layers = [np.nan_to_num(np.abs(truth[order]), nan=0.0)]
    while 2 * (width := 2 ** (len(layers) - 1)) <= len(places):
        last = layers[-1]
        layers.append(np.maximum(last[:-width], last[width:]))

    def at(x: np.ndarray) -> np.ndarray:
        ends = np.sort([x / 2, x * 2], axis=0)
        start = np.searchsorted(places, ends[0], "left")
        stop = np.searchsorted(places, ends[1], "right")
        found = np.zeros(len(x))
        for i in np.flatnonzero(stop > start):
            layer = int(stop[i] - start[i]).bit_length() - 1
            pair = layers[layer][[start[i], stop[i] - 2**layer]]
            found[i] = np.max(pair)
        return found

    return at


def loosely(
    got: np.ndarray, inputs: np.ndarray, truth: Truth, form: Format, level: np.ndarray
) -> Errors:
    """Of the third derivative: relative, beside a zero to a part of the level."""
    none = np.zeros(len(got), bool)
    size = np.maximum(np.abs(truth.high), 1e-3 * np.maximum(level, 1.0))
    with np.errstate(invalid="ignore", over="ignore"):
        relative = np.abs(got - truth.high) / size
    unclaimed = np.isnan(truth.high)
    nan = np.isnan(got) & ~unclaimed
    small = (np.abs(inputs) < form.smallest_normal) & (inputs != 0)
    beyond = np.abs(truth.high) > form.largest
    nan &= ~(beyond & small)  # flushed to a zero, where the truth is a pole
    overflow = beyond & (got == np.copysign(np.inf, got))
    overflow &= np.signbit(got) == np.signbit(truth.high)
    relative = np.where(nan | unclaimed | overflow | small, 0.0, relative)
    zero = np.zeros(len(got))
    return Errors(zero, relative, zero, nan, none, unclaimed)
