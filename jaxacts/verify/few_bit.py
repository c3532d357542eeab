"""How far the slope of a few-bit activation is from the true one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxacts import compressed

from .api import targets_of
from .candidate import Candidate
from .oracle import Oracle
from .target import Target
from .ulp import format_of

__all__ = ["SlopeError", "slope_error"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
# Beyond, the density of the standard normal distribution is below 1e-22.
_FAR = 10.0


@dataclasses.dataclass(frozen=True)
class SlopeError:
    """The error of a few-bit slope.

    Attributes:
      levels: how many there are.
      rms: the root of the mean square error for a standard normal input.
      largest: the largest error of all inputs tried, and at the infinities; ``inf``
        where the record says that the true slope has no bound.
      at: where that is.
    """

    levels: int
    rms: float
    largest: float
    at: float


def slope_error(
    activation: str | Callable[..., Any],
    bits: int,
    reference: str | Callable[..., Any] | None = None,
) -> SlopeError:
    """Measures a few-bit slope, as float32 code computes it, against exact truth.

    The mean is by Gauss quadrature between the steps and the kinks; the largest
    error is looked for at the same points, on both sides of each step and kink, and
    from 1/64 to 1/64 up to ±16; the limits at the infinities count too, where the
    record has them.

    Args:
      activation, bits: as in `jaxacts.compressed.few_bit`.
      reference: the exact formula, as in `jaxacts.verify.verify`; a registered
        function brings its own.

    Raises:
      ValueError: as `few_bit` and `jaxacts.verify.verify`.

    Example:
      >>> from jaxacts.verify.few_bit import slope_error
      >>> found = slope_error("tanh", 3)
      >>> found.levels, round(found.rms, 3), round(found.largest, 2)
      (8, 0.064, 0.15)
    """
    form = format_of("float32")
    (target,), _ = targets_of(activation, reference, {})
    found = compressed.steps(activation, bits)
    truth = Oracle(target.program(form), orders=1)
    slopes = Candidate(compressed.few_bit(activation, bits), form)
    corners = [k.at for k in target.corners(form)]
    if found.of == "x":
        corners += found.thresholds

    def error(x: np.ndarray) -> np.ndarray:
        got = slopes(x.astype(np.float32), 1)
        return got - truth(x.astype(np.float32).astype(np.float64)).high[1]

    nodes, weights = _quadrature(corners)
    errors = error(nodes)
    rms = math.sqrt(np.sum(weights * errors**2) / np.sum(weights))
    x = np.concatenate([nodes, _beside(corners), np.arange(-1024, 1025) / 64.0])
    # Where the truth is NaN, in a kink, nothing is claimed.
    sizes = np.nan_to_num(np.abs(error(x)), nan=0.0, posinf=np.inf)
    worst = int(sizes.argmax())
    largest, at = float(sizes[worst]), float(x[worst])
    for end, size in _at_infinities(target, found).items():
        if size > largest:
            largest, at = size, end
    return SlopeError(len(found.levels), rms, largest, at)


def _quadrature(corners: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes between the corners, and their weights with the normal density."""
    inside = [c for c in corners if abs(c) < _FAR]
    edges = np.union1d(np.arange(-2 * _FAR, 2 * _FAR + 1) / 2, inside)
    half = 0.5 * np.diff(edges)[:, None]
    x = 0.5 * (edges[:-1] + edges[1:])[:, None] + half * _NODES
    weights = half * _WEIGHTS * np.exp(-0.5 * x * x)
    return x.ravel(), weights.ravel()


def _beside(corners: list[float]) -> np.ndarray:
    """The normal numbers of float32 about each corner."""
    at = np.asarray(corners, np.float32)
    below = np.nextafter(at, np.float32(-np.inf))
    above = np.nextafter(at, np.float32(np.inf))
    x = np.concatenate([below, above])
    # Compilers take subnormal numbers for 0.
    tiny = np.finfo(np.float32).smallest_normal
    x = np.where((np.abs(x) < tiny) & (x != 0), np.copysign(tiny, x), x)
    return x.astype(np.float64)


def _at_infinities(target: Target, found: compressed.Steps) -> dict[float, float]:
    if target.limits is None or found.of == "slope":
        return {}
    limits = target.limits(**target.settings(format_of("float32")))
    return {
        -math.inf: abs(limits.minus_infinity[1] - found.levels[0]),
        math.inf: abs(limits.plus_infinity[1] - found.levels[-1]),
    }
