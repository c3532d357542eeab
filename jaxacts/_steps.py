"""A slope as few steps: the best piecewise constant function for a normal input.

The error is ∫ (f'(x) - q(x))² φ(x) dx, φ the density of the standard normal
distribution, over all q with a given number of pieces (the idea of Novikov et al.,
arXiv:2202.00441). Pieces are intervals of x, so f' need not be monotone. Dynamic
programming on coarse cells finds the global optimum there; then each boundary in turn
goes to its best place between its neighbours on fine cells, and last to the very
number at which the nearer level changes, which is exact at a jump of f'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

__all__ = ["CELLS", "Steps", "at_least", "centres", "fitted", "small_numbers"]

CELLS = 1 << 16
_COARSE = 1 << 9
# Beyond, the density is below 1e-14.
_FAR = 8.0
_SWEEPS = 100

Slope = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Steps:
    """A piecewise constant slope.

    Attributes:
      of: what the thresholds are compared with: "x", or the "slope" itself where it
        has few values, which are then reproduced exactly.
      thresholds: ascending; the first belongs to the levels 0 and 1.
      levels: one more; number k holds from threshold k-1 on, up to and without
        threshold k.
    """

    of: str
    thresholds: tuple[float, ...]
    levels: tuple[float, ...]

    @property
    def planes(self) -> int:
        """Bits that tell the levels apart."""
        return (len(self.levels) - 1).bit_length()


def centres() -> np.ndarray:
    """The middles of the fine cells, where `fitted` wants to know the slope."""
    return (np.arange(CELLS) + 0.5) * (2 * _FAR / CELLS) - _FAR


def small_numbers() -> np.ndarray:
    """All finite numbers of bfloat16 but the subnormal ones."""
    numbers = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    size = np.abs(numbers)
    normal = size >= np.finfo(np.float32).smallest_normal
    return numbers[np.isfinite(numbers) & (normal | (size == 0))].astype(np.float64)


def fitted(slope: Slope, on_centres: np.ndarray, pieces: int) -> Steps:
    """The best steps.

    Args:
      slope: f' on an array of float64.
      on_centres: its values at `centres`, all finite.
      pieces: how many, at least 2.
    """
    x = centres()
    sums = _Sums(np.exp(-0.5 * x * x), on_centres)
    boundaries = _settled(sums, _optimal(sums, pieces))
    levels = sums.means(boundaries)
    wanted = 0.5 * (levels[:-1] + levels[1:])
    rising = levels[1:] > levels[:-1]
    inner = boundaries[1:-1]
    thresholds = _crossings(slope, x[inner - 1], x[inner], wanted, rising)
    return Steps("x", tuple(thresholds.tolist()), tuple(levels.tolist()))


class _Sums:
    """The error of one level on any run of cells, from sums over all before."""

    def __init__(self, weights: np.ndarray, values: np.ndarray):
        self.weights = weights / weights.sum()
        self.values = values
        self.powers = [
            np.concatenate([[0.0], np.cumsum(self.weights * values**k)])
            for k in range(3)
        ]

    def error(self, first: np.ndarray, end: np.ndarray) -> np.ndarray:
        mass, mean, square = (p[end] - p[first] for p in self.powers)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = square - np.where(mass > 0, mean * mean / mass, 0.0)
        return np.maximum(found, 0.0)

    def means(self, boundaries: np.ndarray) -> np.ndarray:
        # Not from the sums over all before: they cancel where the weight is small.
        starts = boundaries[:-1]
        mass = np.add.reduceat(self.weights, starts)
        return np.add.reduceat(self.weights * self.values, starts) / mass


def _coarse(sums: _Sums) -> np.ndarray:
    """Boundaries of coarse cells, close where those of many pieces would be.

    Of many pieces the best have a density of |f''|^(2/3) φ^(1/3) (Panter and Dite,
    1951). A quarter of the cells are spread evenly, for f' that is flat.
    """
    rise = np.abs(np.diff(sums.values, append=sums.values[-1]))
    dense = np.cumsum(rise ** (2 / 3) * sums.weights ** (1 / 3))
    even = np.arange(1, CELLS + 1) / CELLS
    share = 0.75 * dense / dense[-1] + 0.25 * even
    inner = np.searchsorted(share, np.arange(1, _COARSE) / _COARSE) + 1
    # Both sides of the cell in which a jump is.
    return np.unique(np.clip([0, CELLS, *inner, *(inner - 1)], 0, CELLS))


def _optimal(sums: _Sums, pieces: int) -> np.ndarray:
    """Boundaries of the best partition whose boundaries are those of coarse cells."""
    cells = _coarse(sums)
    error = sums.error(cells[:, None], cells[None, :])
    # A piece ends after it starts.
    error[np.tril_indices(len(cells))] = np.inf
    best = error[0]
    choices = []
    for _ in range(pieces - 1):
        total = best[:, None] + error
        choices.append(total.argmin(axis=0))
        best = total.min(axis=0)
    found = [len(cells) - 1]
    for choice in reversed(choices):
        found.append(int(choice[found[-1]]))
    return cells[[0, *found[::-1]]]


def _settled(sums: _Sums, boundaries: np.ndarray) -> np.ndarray:
    """Each boundary moved to its best place between its neighbours, until all rest."""
    boundaries = boundaries.copy()
    for _ in range(_SWEEPS):
        before = boundaries.copy()
        for i in range(1, len(boundaries) - 1):
            first, end = boundaries[i - 1], boundaries[i + 1]
            between = np.arange(first + 1, end)
            error = sums.error(first, between) + sums.error(between, end)
            boundaries[i] = between[error.argmin()]
        if (boundaries == before).all():
            break
    return boundaries


# --- the numbers between two cells -----------------------------------------------

_SIGN = np.int64(-(2**63))


def _ordered(x: np.ndarray) -> np.ndarray:
    """Integers that are ordered as the doubles are; both zeros are one."""
    bits = (np.asarray(x, np.float64) + 0.0).view(np.int64)
    return np.where(bits < 0, _SIGN - bits, bits)


def _doubles(ordered: np.ndarray) -> np.ndarray:
    return np.where(ordered < 0, _SIGN - ordered, ordered).view(np.float64)


def _crossings(
    slope: Slope,
    left: np.ndarray,
    right: np.ndarray,
    wanted: np.ndarray,
    rising: np.ndarray,
) -> np.ndarray:
    """The least numbers at which the slope is on the far side of the wanted one."""

    def beyond(x: np.ndarray) -> np.ndarray:
        return (slope(x) >= wanted) == rising

    between = ~beyond(left) & beyond(right)
    low, high = _ordered(left), _ordered(right)
    for _ in range(64):
        middle = low + (high - low) // 2
        far = beyond(_doubles(middle))
        low, high = np.where(far, low, middle), np.where(far, middle, high)
    return np.where(between, _doubles(high), 0.5 * (left + right))


def at_least(threshold: float, dtype: type[np.floating]) -> np.floating:
    """The number t of a dtype for which x >= t says what x >= threshold says.

    Subnormal numbers count as zero, as compilers have it.
    """
    tiny = np.finfo(dtype).smallest_normal
    if 0 < threshold < tiny:
        return tiny
    if -tiny < threshold <= 0:
        return dtype(0)
    rounded = dtype(threshold)
    # As doubles: NumPy would round the threshold before it compares.
    enough = float(rounded) >= threshold
    return rounded if enough else np.nextafter(rounded, dtype(np.inf))
