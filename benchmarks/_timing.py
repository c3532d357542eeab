"""Timings that survive a shared machine: contenders in turn, ratios within a turn."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

__all__ = ["FEWEST_ROUNDS", "Ratio", "interleaved", "ratio"]

# With fewer pairs not even their whole range holds the median with 95% confidence.
FEWEST_ROUNDS = 6


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A median of paired ratios, and where it lies with 95% confidence."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}"

    def rounded(self) -> list[float]:
        """The three numbers to four digits, for a record."""
        return [float(f"{v:.4g}") for v in (self.median, self.low, self.high)]


def interleaved(
    contenders: Mapping[str, Callable[[], None]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of every contender in every round, each after a first untimed call.

    The order is drawn anew for each round: what one leaves behind, in caches and in
    threads that still spin, falls on all others alike.
    """
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    draw = random.Random(0)
    for call in contenders.values():
        call()
    for _ in range(rounds):
        for name in draw.sample(names, len(names)):
            call = contenders[name]
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """The median of the pairs' ratios, with its interval by order statistics.

    With fewer than `FEWEST_ROUNDS` pairs the interval is their range, and the
    confidence is less than 95%.
    """
    ratios = sorted(a / b for a, b in zip(numerators, denominators, strict=True))
    cut = _left_out(len(ratios))
    return Ratio(statistics.median(ratios), ratios[cut], ratios[-1 - cut])


def _left_out(count: int) -> int:
    """How many of the sorted pairs the interval leaves out at each end."""
    cut, tail = 0, 2 * 0.5**count
    # How many pairs lie below the median is binomial.
    while (tail := tail + 2 * math.comb(count, cut + 1) * 0.5**count) <= 0.05:
        cut += 1
    return cut
