"""Evaluating a traced reference: on Arb power series and with mpmath."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import flint
import mpmath  # type: ignore[import-untyped]
from flint import arb, arb_series

from .expression import Program

__all__ = [
    "SeriesEvaluator",
    "Undecided",
    "mpmath_taylor",
    "nearest_double",
    "working_precision",
]


class Undecided(ArithmeticError):
    """A comparison that the balls do not decide at this precision."""


# The working precision is global to the process, not to the thread.
_context_lock = threading.RLock()


@contextlib.contextmanager
def working_precision(bits: int, terms: int) -> Iterator[None]:
    with _context_lock:
        old = flint.ctx.prec, flint.ctx.cap
        flint.ctx.prec, flint.ctx.cap = bits, terms
        try:
            yield
        finally:
            flint.ctx.prec, flint.ctx.cap = old


def nearest_double(ball: arb) -> float:
    """The double nearest to the midpoint; ``float`` alone truncates."""
    with working_precision(256, flint.ctx.cap):
        high = float(ball)
        return high + float(ball - arb(high)) if math.isfinite(high) else high


def _constant(value: arb) -> arb_series:
    return arb_series([value], flint.ctx.cap)


def _with_constant_term(series: arb_series, value: arb) -> arb_series:
    return arb_series([value, *series.coeffs()[1:]], flint.ctx.cap)


def _expm1(a: arb_series) -> arb_series:
    return _with_constant_term(a.exp(), a[0].expm1())


def _log1p(a: arb_series) -> arb_series:
    return _with_constant_term((1 + a).log(), a[0].log1p())


def _tanh(a: arb_series) -> arb_series:
    # u/(2+u) with u = expm1(-2|a|) loses nothing at either end, in no order.
    if a[0] < 0:
        u = _expm1(2 * a)
        return u / (2 + u)
    u = _expm1(-2 * a)
    return -u / (2 + u)


def _sigmoid(a: arb_series) -> arb_series:
    if a[0] < 0:
        u = a.exp()
        return u / (1 + u)
    return 1 / (1 + (-a).exp())


def _softplus(a: arb_series) -> arb_series:
    if a[0] < 0:
        return _log1p(a.exp())
    return a + _log1p((-a).exp())


def _erfc(a: arb_series) -> arb_series:
    found = a.erfc()
    if not found[0].contains(0) or found[0].is_zero():
        return found
    # Far out Arb only bounds erfc, and the sign is lost. For y > 0 it lies between
    # exp(-y²)/(y√π)·(1 - 1/(2y²)) and the same without the last factor; its
    # derivative -2/√π·exp(-y²) is integrated for the other coefficients.
    y = a[0]
    if not y > 1:
        return found
    root_pi = arb.pi().sqrt()
    gauss = (-(a * a)).exp()
    missing = 1 / (2 * y * y)
    value = gauss[0] / (y * root_pi) * (1 - missing.union(arb(0)))
    rest = ((-2 / root_pi) * gauss * a.derivative()).integral()
    return _with_constant_term(rest, value)


_SERIES_FUNCTIONS: dict[str, Callable[[arb_series], arb_series]] = {
    "negative": lambda a: -a,
    "exp": lambda a: a.exp(),
    "expm1": _expm1,
    "log": lambda a: a.log(),
    "log1p": _log1p,
    "sqrt": lambda a: a.sqrt(),
    "tanh": _tanh,
    "sin": lambda a: a.sin(),
    "cos": lambda a: a.cos(),
    "atan": lambda a: a.atan(),
    "erf": lambda a: a.erf(),
    "erfc": _erfc,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
}


class SeriesEvaluator:
    """Taylor coefficients of a traced reference, as Arb balls.

    Every coefficient comes with a rigorous radius. Precision is the caller's to
    raise; constants are rebuilt at each precision.
    """

    def __init__(self, program: Program):
        self.program = program
        self._constants: dict[tuple[int, int], list[Any]] = {}
        instructions = program.instructions
        depends = [False] * len(instructions)
        for i, (operation, arguments, _) in enumerate(instructions):
            depends[i] = operation == "x" or any(depends[a] for a in arguments)
        self._depends = depends
        operations = [operation for operation, _, _ in instructions]
        self._variable = operations.index("x") if "x" in operations else None
        self._steps = [self._step(i) for i in range(len(instructions))]
        self._order = self._schedule(program.root)
        self._side = 0
        self._tied = False

    def _schedule(self, root: int) -> list[int]:
        """What must be evaluated before ``root``, bodies of pieces left out."""
        needed: set[int] = set()
        stack = [root]
        while stack:
            i = stack.pop()
            if i not in needed:
                needed.add(i)
                stack.extend(self.program.dependencies(i))
        return sorted(needed)

    def _run(self, order: list[int], values: list[Any]) -> None:
        steps = self._steps
        for i in order:
            if values[i] is None:
                values[i] = steps[i](values)

    def _step(self, index: int) -> Callable[[list[Any]], Any]:
        operation, arguments, payload = self.program.instructions[index]
        if operation == "constant":
            numerator, denominator = payload.numerator, payload.denominator
            return lambda v: _constant(arb(flint.fmpq(numerator, denominator)))
        if operation == "pi":
            return lambda v: _constant(arb.pi())
        if operation == "x":
            return lambda v: None
        if operation in _SERIES_FUNCTIONS:
            function, a = _SERIES_FUNCTIONS[operation], arguments[0]
            return lambda v: function(v[a])
        if operation == "integer_power":
            a = arguments[0]
            if payload == 2:
                return lambda v: v[a] * v[a]
            return lambda v: v[a] ** payload
        if operation == "abs":
            a = arguments[0]
            return lambda v: v[a] if self._sign(v[a]) >= 0 else -v[a]
        if operation == "piecewise":
            return self._piecewise_step(arguments, payload)
        a, b = arguments
        binary: dict[str, Callable[[list[Any]], Any]] = {
            "add": lambda v: v[a] + v[b],
            "subtract": lambda v: v[a] - v[b],
            "multiply": lambda v: v[a] * v[b],
            "divide": lambda v: v[a] / v[b],
            "max": lambda v: v[a] if self._sign(v[a] - v[b]) >= 0 else v[b],
            "min": lambda v: v[a] if self._sign(v[a] - v[b]) <= 0 else v[b],
        }
        return binary[operation]

    def _piecewise_step(self, arguments: tuple[int, ...], owners: tuple[str, ...]):
        x, points = arguments[0], arguments[1 : 1 + len(owners)]
        pieces = arguments[1 + len(owners) :]
        orders = [self._schedule(piece) for piece in pieces]

        def step(values: list[Any]) -> Any:
            position = values[x][0]
            active = 0
            for point, owner in zip(points, owners, strict=True):
                difference = position - values[point][0]
                if difference > 0 or (difference.is_zero() and owner == "right"):
                    active += 1
                elif not (difference <= 0):
                    raise Undecided
            self._run(orders[active], values)
            return values[pieces[active]]

        return step

    def _sign(self, value: arb_series) -> int:
        """The sign just beside x; at a tie, on the side asked for."""
        constant = value[0]
        if constant > 0:
            return 1
        if constant < 0:
            return -1
        if not constant.is_zero():
            raise Undecided
        for power, coefficient in enumerate(value.coeffs()):
            if coefficient > 0 or coefficient < 0:
                self._tied = True
                sign = 1 if coefficient > 0 else -1
                return sign if self._side > 0 or power % 2 == 0 else -sign
            if not coefficient.is_zero():
                raise Undecided
        return 0

    def coefficients(self, x: arb, terms: int, bits: int, side: int = 1):
        """The first Taylor coefficients at ``x``.

        Args:
          x: an exact point.
          terms: how many coefficients.
          bits: the working precision.
          side: at a tie of ``max``, ``min`` or ``abs``, the side of the
            derivative: +1 or -1.

        Returns:
          The coefficients, and whether a tie was met.

        Raises:
          Undecided: if a comparison needs more bits.
        """
        # As `working_precision`, but this is called millions of times.
        context = flint.ctx
        with _context_lock:
            old = context.prec, context.cap
            context.prec, context.cap = bits, terms
            try:
                return self._coefficients(x, terms, bits, side)
            finally:
                context.prec, context.cap = old

    def _coefficients(self, x: arb, terms: int, bits: int, side: int):
        self._side, self._tied = side, False
        constants = self._constants.get((bits, terms))
        if constants is None:
            constants = [None] * len(self._steps)
            self._run([i for i in self._order if not self._depends[i]], constants)
            self._constants[bits, terms] = constants
        values = constants.copy()
        if self._variable is not None:
            values[self._variable] = arb_series([x, 1], terms)
        self._run(self._order, values)
        result = values[self.program.root]
        found = result.coeffs()[:terms]
        # What a division by a series without constant term leaves unknown.
        known = min(terms, result.prec)
        found += [arb(0)] * (known - len(found)) + [arb.nan()] * (terms - known)
        return found, self._tied


def mpmath_taylor(program: Program, x: float, terms: int, digits: int = 60):
    """The same coefficients from mpmath, by differences: slow, independent."""

    def at(point: Any) -> Any:
        values: dict[int, Any] = {}

        def value(i: int) -> Any:
            if i not in values:
                values[i] = _mpmath_step(program.instructions[i], value, point)
            return values[i]

        return value(program.root)

    with mpmath.workdps(digits):
        return mpmath.taylor(at, mpmath.mpf(x), terms - 1)


def _mpmath_step(instruction: Any, value: Callable[[int], Any], x: Any) -> Any:
    operation, arguments, payload = instruction
    if operation == "x":
        return x
    if operation == "constant":
        return mpmath.mpf(payload.numerator) / payload.denominator
    if operation == "pi":
        return +mpmath.pi
    if operation == "piecewise":
        position, active = value(arguments[0]), 0
        for point, owner in zip(arguments[1:], payload, strict=False):
            limit = value(point)
            active += position > limit or (position == limit and owner == "right")
        return value(arguments[1 + len(payload) + active])
    a = [value(i) for i in arguments]
    table: dict[str, Callable[..., Any]] = {
        "add": lambda: a[0] + a[1],
        "subtract": lambda: a[0] - a[1],
        "multiply": lambda: a[0] * a[1],
        "divide": lambda: a[0] / a[1],
        "negative": lambda: -a[0],
        "integer_power": lambda: a[0] ** payload,
        "max": lambda: max(a),
        "min": lambda: min(a),
        "abs": lambda: abs(a[0]),
        "log1p": lambda: mpmath.log1p(a[0]),
        "sigmoid": lambda: 1 / (1 + mpmath.exp(-a[0])),
        "softplus": lambda: mpmath.log1p(mpmath.exp(a[0])),
    }
    if operation in table:
        return table[operation]()
    return getattr(mpmath, operation)(a[0])
