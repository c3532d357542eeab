"""Timings that survive a shared machine: contenders in turn, ratios within a turn."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

__all__ = ["Ratio", "interleaved", "ratio"]


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A median of paired ratios, and where it lies with 95% confidence."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}"


def interleaved(
    contenders: Mapping[str, Callable[[], None]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of every contender in every round: A B C, B C A, C A B, and so on."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for call in contenders.values():
        call()
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            call = contenders[name]
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """The median of the pairs' ratios, with its interval by order statistics."""
    ratios = sorted(a / b for a, b in zip(numerators, denominators, strict=True))
    count = len(ratios)
    # The number of pairs below the median is binomial.
    reach = round(0.98 * count**0.5 + 0.5)
    low = max(0, count // 2 - reach)
    high = min(count - 1, (count - 1) // 2 + reach)
    return Ratio(statistics.median(ratios), ratios[low], ratios[high])
