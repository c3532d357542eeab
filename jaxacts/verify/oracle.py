"""The truth: value and derivatives of a reference, decided by Arb balls.

Precision is raised until every ball decides the result: its relative radius is
below the resolution asked for, or it lies wholly below the smallest or above
the largest number of any interest. What the balls prove is kept as the nearest
double plus, for float64, a second double with the remainder.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import arb

from .expression import Program
from .namespaces import SeriesEvaluator, Undecided

__all__ = ["ORACLE_VERSION", "Oracle", "Truth"]

# Resolution in bits: of the truth for types up to 32 bits (an error of 2^-28
# ULP in float32), and for float64 (2^-50 ULP).
# Raised whenever truths stored by an earlier version are not to be used again.
ORACLE_VERSION = 1

_SINGLE_BITS = 56
_DOUBLE_BITS = 106

# A truth below 2^-1200 is nothing in every type, one above 2^1100 infinite.
_NOTHING_EXPONENT = -1200
_HUGE_EXPONENT = 1100

# Where cancellation eats more than this, only the size is claimed, not the sign.
_SIGN_BITS = 4096
_MOST_BITS = 1 << 15

# Sizes that are surely neither nothing nor huge, read without further ado.
_ORDINARY_LEAST, _ORDINARY_LARGEST = 1e-290, 1e290


@dataclasses.dataclass(frozen=True)
class Truth:
    """True values at many inputs, one row an order of derivative.

    Attributes:
      high: the truth rounded to a double; ``nan`` where nothing is claimed.
      low: the remainder as a double, zero unless asked for.
      sign: +1 or -1, or 0 where the truth is zero or its sign unknown.
    """

    high: np.ndarray
    low: np.ndarray
    sign: np.ndarray

    def __getitem__(self, index: Any) -> Truth:
        return Truth(self.high[index], self.low[index], self.sign[index])

    @staticmethod
    def join(parts: Sequence[Truth]) -> Truth:
        return Truth(
            *(
                np.concatenate([getattr(part, name) for part in parts], axis=-1)
                for name in ("high", "low", "sign")
            )
        )


def _exponent(x: arb) -> int:
    mantissa, exponent = x.man_exp()
    return int(exponent) + int(abs(mantissa)).bit_length()


class Oracle:
    """True values and derivatives of a traced reference.

    Args:
      program: the traced reference.
      orders: how many derivatives, the value not counted.
      double: resolve float64 instead of types up to 32 bits.
    """

    def __init__(self, program: Program, orders: int = 2, double: bool = False):
        self.program = program
        self.orders = orders
        self.need = _DOUBLE_BITS if double else _SINGLE_BITS
        self.double = double
        self._evaluator = SeriesEvaluator(program)
        self._nothing = arb(2) ** _NOTHING_EXPONENT
        self._huge = arb(2) ** _HUGE_EXPONENT

    def __call__(self, inputs: np.ndarray) -> Truth:
        """True values at finite inputs, shape ``(n,)``, as ``(orders + 1, n)``."""
        inputs = np.asarray(inputs, np.float64)
        found = np.array([self.at(x) for x in inputs.tolist()])
        high, low, sign = found.reshape(-1, self.orders + 1, 3).transpose(2, 1, 0)
        high, low, sign = high.copy(), low.copy(), sign.astype(np.int8)
        for negative in (True, False):
            here = (inputs == 0) & (np.signbit(inputs) == negative) & (high[0] == 0)
            if here.any():
                beside = self._sign_beside_zero(negative)
                sign[0, here] = beside
                high[0, here] = math.copysign(0.0, beside or 1)
        return Truth(high, low, sign)

    def _sign_beside_zero(self, negative: bool) -> int:
        """The sign that f(+0) or f(-0) = 0 takes over from its neighbourhood."""
        beside = arb(-1 if negative else 1) * arb(2) ** -5000
        return self._decide(beside, tiny=arb(2) ** -40000)[0][2]

    def at(self, x: float) -> list[tuple[float, float, int]]:
        """``(high, low, sign)`` of every order at one finite input."""
        return self._decide(arb(x), self._nothing)

    def _decide(self, x: arb, tiny: arb) -> list[tuple[float, float, int]]:
        # A product of x with itself, in an exponential, must be known absolutely.
        bits = self.need + 16 + 3 * max(0, _exponent(x))
        while True:
            last = bits >= _MOST_BITS
            try:
                balls, tied = self._coefficients(x, bits)
                decided = [self._read(ball, bits, tiny, last) for ball in balls]
                if None not in decided:
                    break
            except (Undecided, ValueError, ZeroDivisionError):
                # A comparison or a division by a ball that holds zero: either
                # more bits decide it, or the reference has no value here.
                if last:
                    return [(math.nan, 0.0, 0)] * (self.orders + 1)
            bits = min(4 * bits, _MOST_BITS)
        if tied:
            other, _ = self._coefficients(x, bits, side=-1)
            for order, (left, right) in enumerate(zip(other, balls, strict=True)):
                if not left.overlaps(right):
                    decided[order] = (math.nan, 0.0, 0)
        return [
            item if order < 2 or item is None else self._times_factorial(item, order)
            for order, item in enumerate(decided)
        ]

    def _coefficients(self, x: arb, bits: int, side: int = 1):
        wanted = self.orders + 1
        balls, tied = self._evaluator.coefficients(x, wanted, bits, side)
        if any(ball.is_nan() for ball in balls):
            # At a removable singularity such as sin(x)/x at 0 a division uses
            # terms up; there are more where these came from.
            more, tied = self._evaluator.coefficients(x, wanted + 4, bits, side)
            balls = more[:wanted]
        return balls, tied

    @staticmethod
    def _times_factorial(item: tuple[float, float, int], order: int):
        # Exact for order 2, and right to a rounding of a double for order 3.
        factor = math.factorial(order)
        return item[0] * factor, item[1] * factor, item[2]

    def _read(self, ball: arb, bits: int, tiny: arb, last: bool):
        """What a ball proves, or ``None`` if more bits are needed."""
        if ball.rel_accuracy_bits() >= self.need:
            high = float(ball)
            if not self.double and _ORDINARY_LEAST < abs(high) < _ORDINARY_LARGEST:
                return high, 0.0, 1 if high > 0 else -1
            sign = 1 if ball > 0 else -1 if ball < 0 else 0
            if sign == 0:
                return (0.0, 0.0, 0)
            size = ball.abs_upper()
            if size < tiny:
                return (math.copysign(0.0, sign), 0.0, sign)
            if size > self._huge:
                return (math.copysign(math.inf, sign), 0.0, sign)
            return self._split(ball, sign)
        if not ball.is_finite():
            # An exponential of a huge number needs its argument resolved first;
            # a logarithm of a negative number never gets better.
            return None if bits < _SIGN_BITS else (math.nan, 0.0, 0)
        size = ball.abs_upper()
        if size < tiny:
            sign = 1 if ball > 0 else -1 if ball < 0 else 0
            if sign == 0 and bits < _SIGN_BITS:
                return None
            return (math.copysign(0.0, sign or 1), 0.0, sign)
        if ball.abs_lower() > self._huge:
            sign = 1 if ball > 0 else -1
            return (math.copysign(math.inf, sign), 0.0, sign)
        return (math.nan, 0.0, 0) if last else None

    def _split(self, ball: arb, sign: int) -> tuple[float, float, int]:
        high = float(ball)
        if not self.double or math.isinf(high):
            return high, 0.0, sign
        low = float(ball - arb(high))
        # float() of a ball truncates; renormalise so that high is the nearest.
        total = high + low
        return total, low - (total - high), sign
