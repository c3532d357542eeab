"""Truth for every float32 at once: Taylor polynomials with Arb coefficients.

A float32 axis is cut into chunks of 2^20 consecutive numbers, a chunk into equal
patches. In each patch the reference is replaced by its Taylor polynomial about
the middle, whose coefficients Arb gives to full double precision however badly
the formula is conditioned. Value and both derivatives come from the same
coefficients.

The remainder is bounded rigorously, by the Taylor coefficient over the whole
patch as a ball, wherever that ball is tight enough: such a patch is *proven*.
Where a formula that cancels makes the ball useless, the remainder is estimated
from the last coefficients and the polynomial is checked against Arb at both ends
of the patch, where it is worst: such a patch is *checked*. A patch that is
neither, because a kink lies inside, is halved; at the smallest size its numbers
are left to Arb one by one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math

import flint
import numpy as np
from flint import arb

from . import cache
from .expression import Program
from .namespaces import SeriesEvaluator, Undecided, working_precision
from .oracle import ORACLE_VERSION
from .workers import run_in_workers

__all__ = ["CHUNKS", "CHUNK_SIZE", "TERMS", "Patches", "patches_of"]

CHUNK_SIZE = 1 << 20
CHUNKS = 2 * (0x7F800000 // CHUNK_SIZE)  # finite numbers, positive then negative
TERMS = 15
ORDERS = 3

_SMALLEST = 1 << 10
# Error of evaluating a polynomial of degree 14 by Horner's rule in doubles, and of
# rounding its coefficients, relative to the sum of their sizes: 2·14·2^-53 for
# the rule (Higham, Accuracy and Stability, 5.1) and 2^-52 for the coefficients.
_EVALUATION = 2.0**-47
# Far below a thousandth of the smallest float32, an error does not matter.
_IRRELEVANT = 2.0**-170
_MOST_BITS = 1 << 13
# Halving a patch divides its remainder by 2^15 and tightens the ball: a remainder
# this many bits too large is worth halving for.
_NEARLY = 24
# Coefficients are scaled at this precision, which adds nothing to their radii.
_SCALING_BITS = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Patches:
    """The patches of one chunk, in the order of the numbers' bits.

    Attributes:
      centre: middle of each patch, shape ``(p,)``.
      scale: a power of two; ``|x - centre| <= scale``.
      coefficients: of ``((x - centre)/scale)^k``, shape ``(ORDERS, p, TERMS)``.
      error: bound of the absolute error, shape ``(ORDERS, p)``.
      sign: sign of the middle's value, where it is too small for a double.
      usable: False where the numbers are left to Arb, shape ``(p,)``.
      proven: whether the bound is rigorous, shape ``(p,)``.
    """

    centre: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    error: np.ndarray
    sign: np.ndarray
    usable: np.ndarray
    proven: np.ndarray

    def __len__(self) -> int:
        return len(self.centre)

    def repeated(self, times: int) -> Patches:
        """The same function on patches cut into ``times`` parts."""
        fields = [getattr(self, f.name) for f in dataclasses.fields(Patches)]
        return Patches(*(np.repeat(v, times, axis=_patch_axis(v)) for v in fields))


def chunk_start(chunk: int) -> int:
    """The bits of the first number of a chunk."""
    half = CHUNKS // 2
    sign = 0 if chunk < half else 1 << 31
    return sign + (chunk % half) * CHUNK_SIZE


def patches_of(program: Program, chunks: list[int]) -> dict[int, Patches]:
    """Patches of several chunks, from the store or computed by all processors."""
    found: dict[int, Patches] = {}
    keys = {}
    for chunk in chunks:
        text = f"patches {ORACLE_VERSION} {flint.__version__} {program.key} {chunk}"
        keys[chunk] = hashlib.sha256(text.encode()).hexdigest()
        arrays = cache.load(keys[chunk])
        if arrays is not None:
            found[chunk] = Patches(**arrays)
    missing = [chunk for chunk in chunks if chunk not in found]
    tasks = [(build, (program, chunk)) for chunk in missing]
    for chunk, patches in zip(missing, run_in_workers(tasks), strict=True):
        found[chunk] = patches
        fields = [f.name for f in dataclasses.fields(patches)]
        cache.store(keys[chunk], {name: getattr(patches, name) for name in fields})
    return found


_evaluators: dict[str, SeriesEvaluator] = {}


def build(program: Program, chunk: int) -> Patches:
    """The patches of one chunk, all of one size, as large as the hardest allows."""
    if program.key not in _evaluators:
        _evaluators.clear()
        _evaluators[program.key] = SeriesEvaluator(program)
    evaluator = _evaluators[program.key]
    with working_precision(_SCALING_BITS, TERMS), np.errstate(over="ignore"):
        pieces = _cut(evaluator, chunk_start(chunk), CHUNK_SIZE)
    # All are brought to the size of the smallest by repetition.
    smallest = min(piece.size for piece in pieces)
    same = [piece.repeated(piece.size // smallest) for piece in pieces]
    joined = {}
    for field in dataclasses.fields(Patches):
        parts = [getattr(piece, field.name) for piece in same]
        joined[field.name] = np.concatenate(parts, axis=_patch_axis(parts[0]))
    return Patches(**joined)


def _patch_axis(value: np.ndarray) -> int:
    return 0 if value.ndim == 1 else 1


@dataclasses.dataclass(frozen=True, eq=False)
class _Piece(Patches):
    """One patch, with the count of its numbers."""

    size: int = 0


def _cut(evaluator: SeriesEvaluator, start: int, size: int) -> list[_Piece]:
    piece = _piece(evaluator, start, size)
    if piece is not None:
        return [piece]
    if size <= _SMALLEST or (size == CHUNK_SIZE and _hopeless(evaluator, start)):
        return [_unusable(start, size)]
    half = size // 2
    return _cut(evaluator, start, half) + _cut(evaluator, start + half, half)


def _hopeless(evaluator: SeriesEvaluator, start: int) -> bool:
    """Whether even the smallest patches fail, as on a sine of huge numbers."""
    places = [start + CHUNK_SIZE * k // 4 + 3 * _SMALLEST for k in range(4)]
    return all(_piece(evaluator, place, _SMALLEST) is None for place in places)


def _number(bits: int) -> float:
    return float(np.uint32(bits).view(np.float32))


def _unusable(start: int, size: int) -> _Piece:
    one = np.ones(1)
    return _Piece(
        np.array([_number(start)]),
        one,
        np.zeros((ORDERS, 1, TERMS)),
        np.zeros((ORDERS, 1)),
        np.zeros((ORDERS, 1), np.int8),
        np.zeros(1, bool),
        np.zeros(1, bool),
        size,
    )


def _piece(evaluator: SeriesEvaluator, start: int, size: int) -> _Piece | None:
    """A patch over these numbers, or ``None`` if no polynomial follows them."""
    first, last = _number(start), _number(start + size - 1)
    centre = (first + last) / 2
    half_width = abs(last - first) / 2
    exponent = math.frexp(half_width)[1]
    points = _point_series(evaluator, arb(centre), exponent, TERMS)
    if points is None:
        return None
    ends = [_point_series(evaluator, arb(x), 0, ORDERS) for x in (first, last)]
    if None in ends:
        return None
    ball = arb(centre, half_width)
    coefficients = np.zeros((ORDERS, 1, TERMS))
    error = np.zeros((ORDERS, 1))
    sign = np.zeros((ORDERS, 1), np.int8)
    rigorous = _remainder(evaluator, ball, exponent)
    proven = True
    for order in range(ORDERS):
        row = _derived(points, order, exponent)
        total = float(np.sum(np.abs(row)))
        if not np.all(np.isfinite(row)):
            return None
        estimate = 4 * float(np.max(np.abs(row[TERMS - 2 - order : TERMS - order])))
        if estimate > max(total * _EVALUATION, _IRRELEVANT):
            return None
        bound = 2 * total * _EVALUATION
        limit = rigorous[order] if rigorous is not None else math.inf
        wanted = max(4 * total * _EVALUATION, _IRRELEVANT)
        if limit <= wanted:
            bound += limit
        elif limit * 2.0**-_NEARLY <= wanted and size > _SMALLEST:
            return None
        else:
            proven = False
        for x, truth in zip((first, last), ends, strict=True):
            t = math.ldexp(x - centre, -exponent)
            want = float(truth[order]) * math.factorial(order)  # type: ignore[index]
            found = float(np.polynomial.polynomial.polyval(t, row))
            if not abs(found - want) <= bound + abs(want) * 2.0**-50:
                return None
        coefficients[order, 0] = row
        error[order, 0] = bound
        middle = points[order]
        sign[order, 0] = 1 if middle > 0 else -1 if middle < 0 else 0
    return _Piece(
        np.array([centre]),
        np.array([math.ldexp(1.0, exponent)]),
        coefficients,
        error,
        sign,
        np.ones(1, bool),
        np.array([proven]),
        size,
    )


def _point_series(
    evaluator: SeriesEvaluator, x: arb, exponent: int, terms: int
) -> list[arb] | None:
    """Taylor coefficients at a point, times ``2^(exponent·k)``, to 60 bits.

    A coefficient may be known less well if it is small beside those after it in
    every order that it enters.
    """
    bits = 128
    while bits <= _MOST_BITS:
        try:
            balls, tied = evaluator.coefficients(x, terms, bits)
        except (Undecided, ValueError, ZeroDivisionError):
            bits *= 4
            continue
        if tied:
            return None
        scaled = [ball * arb(2) ** (exponent * k) for k, ball in enumerate(balls)]
        if all(ball.is_finite() for ball in scaled) and _known(scaled):
            return scaled
        bits *= 4
    return None


def _known(scaled: list[arb]) -> bool:
    largest = arb(0)
    radius = arb(0)
    for k in range(len(scaled) - 1, -1, -1):
        size = scaled[k].abs_upper()
        largest = size if size > largest else largest
        rad = scaled[k].rad()
        radius = rad if rad > radius else radius
        if k < ORDERS and not (
            radius <= largest * arb(2) ** -58 or largest < arb(2) ** -600
        ):
            return False
    return True


def _derived(scaled: list[arb], order: int, exponent: int) -> np.ndarray:
    """Coefficients of a derivative in ``t = (x - centre)/2^exponent``."""
    row = np.zeros(TERMS)
    unit = arb(2) ** (-exponent * order)
    for k in range(order, TERMS):
        row[k - order] = float(scaled[k] * math.perm(k, order) * unit)
    return row


def _remainder(
    evaluator: SeriesEvaluator, ball: arb, exponent: int
) -> list[float] | None:
    """Rigorous bounds of what the polynomials of each order leave out."""
    try:
        balls, _ = evaluator.coefficients(ball, TERMS + 1, 128)
    except (Undecided, ValueError, ZeroDivisionError):
        return None
    last = balls[TERMS]
    if not last.is_finite():
        return None
    # The remainder of order j is f^(TERMS)(ξ)/(TERMS-j)! · |x - centre|^(TERMS-j).
    return [
        float(
            (
                last.abs_upper()
                * math.perm(TERMS, order)
                * arb(2) ** (exponent * (TERMS - order))
            ).upper()
        )
        for order in range(ORDERS)
    ]
