"""What must come out at NaN, at the infinities and at every input alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb

from . import grids
from ._finding import Finding
from .candidate import Candidate
from .expression import Program
from .namespaces import SeriesEvaluator, Undecided, nearest_double
from .target import Target
from .ulp import Format, error_in_ulp, format_of, ulp_of

__all__ = ["check", "limits_of"]

# Exponents of two at which a limit is read off: enough that an oscillation does
# not look like one.
_FAR = (6000, 6501, 7003, 7507, 8009, 8501, 9001, 12000)
_MOST_BITS = 1 << 16


def limits_of(program: Program, orders: int = 2) -> dict[int, tuple[Any, ...]]:
    """Limits of value and derivatives at -inf and +inf, as the formula shows them.

    Evaluated far out, between ``±2^6000`` and ``±2^12000``. A figure that is
    nothing or huge at every place, or the same at all, is taken for the limit.

    Returns:
      -1 and +1 to one limit an order; ``None`` where none is evident.
    """
    evaluator = SeriesEvaluator(program)
    found: dict[int, tuple[Any, ...]] = {}
    for side in (-1, 1):
        places = [
            _far_coefficients(evaluator, side * arb(2) ** power, orders)
            for power in _FAR
        ]
        found[side] = tuple(
            _limit([place[order] for place in places], order)
            for order in range(orders + 1)
        )
    return found


def _far_coefficients(evaluator: SeriesEvaluator, x: arb, orders: int) -> list[Any]:
    bits = 256
    while True:
        try:
            balls, _ = evaluator.coefficients(x, orders + 1, bits)
            if all(_is_settled(ball) for ball in balls):
                break
        except (Undecided, ValueError, ZeroDivisionError):
            balls = [None] * (orders + 1)
        if bits >= _MOST_BITS:
            break
        bits *= 4
    return balls


def _is_settled(ball: arb) -> bool:
    return ball.is_finite() and (
        ball.is_zero() or (ball.rel_accuracy_bits() > 64 and not ball.contains(0))
    )


def _limit(balls: Sequence[arb | None], order: int) -> float | None:
    """The limit of a derivative from its Taylor coefficients far out."""
    known = [ball for ball in balls if ball is not None and _is_settled(ball)]
    if len(known) < len(balls):
        return None
    if all(ball.is_zero() for ball in known):
        return 0.0
    signs = {1.0 if ball > 0 else -1.0 for ball in known}
    if len(signs) > 1 or any(ball.is_zero() for ball in known):
        return None
    sign = signs.pop()
    sizes = [abs(ball) for ball in known]
    if all(size < arb(2) ** -1000 for size in sizes):
        return sign * 0.0
    if all(size > arb(2) ** 1000 for size in sizes):
        return sign * np.inf
    numbers = {nearest_double(ball) for ball in known}
    return numbers.pop() * math.factorial(order) if len(numbers) == 1 else None


def check(
    target: Target,
    dtype: Any,
    orders: Sequence[int],
    candidate: Candidate | None = None,
) -> list[Finding]:
    """NaN, infinities, range, monotonicity and symmetry, each as a finding.

    Args:
      target: the function and what is claimed of it.
      dtype: a floating-point dtype.
      orders: orders of derivative.
      candidate: the compiled function, if another check has it already.

    Raises:
      EvaluationError: if the function raises or changes shape or dtype.
    """
    form = format_of(dtype)
    candidate = candidate or Candidate.of(target, form)
    orders = [k for k in orders if k == 0 or form.bits > 8]
    found = []
    limits = _expected_limits(target, form)
    for order in orders:
        results = _results(candidate, order)
        found.append(_nan_finding(form, order, results[NAN]))
        if form.has_infinity and order <= 2:
            for side, x in ((-1, -np.inf), (1, np.inf)):
                want = limits[side][order]
                if want is not None:
                    found.append(
                        _limit_finding(target, form, order, x, want, results[x])
                    )
    if 0 in orders:
        found += _claims(target, candidate)
    return found


NAN = "nan"


def _finding(form: Format, order: int, x: float, passed: bool, message: str) -> Finding:
    return Finding(
        check="special value",
        subject=f"{form.name} order {order}",
        passed=passed,
        message=message,
        dtype=form.name,
        order=order,
        input=float(x).hex(),
    )


def _results(candidate: Candidate, order: int) -> dict[Any, dict[str, float]]:
    """Results at NaN and the infinities by every path of execution."""
    points = {NAN: np.nan, -np.inf: -np.inf, np.inf: np.inf}
    with np.errstate(invalid="ignore"):
        inputs = np.array(list(points.values()), np.float32)
        inputs = inputs.astype(candidate.form.dtype)
    runs = {
        "jit": candidate(inputs, order),
        "eager": candidate(inputs, order, jit=False),
        **candidate.short(inputs, order),
    }
    return {
        point: {path: float(values[i]) for path, values in runs.items()}
        for i, point in enumerate(points)
    }


def _nan_finding(form: Format, order: int, results: dict[str, float]) -> Finding:
    wrong = {path: y for path, y in results.items() if not np.isnan(y)}
    message = "NaN in gives NaN out"
    if wrong:
        message = f"NaN in must give NaN out; got {_list(wrong)}"
    return _finding(form, order, np.nan, not wrong, message)


def _list(results: dict[str, float]) -> str:
    """Results with the paths that gave them, equal results together."""
    paths: dict[str, list[str]] = {}
    for path, y in results.items():
        paths.setdefault(f"{y:.9g}", []).append(path)
    return "; ".join(f"{y} ({', '.join(where)})" for y, where in paths.items())


def _expected_limits(target: Target, form: Format) -> dict[int, tuple[Any, ...]]:
    if target.limits is None:
        return limits_of(target.program(form))
    claimed = target.limits(**target.settings(form))
    return {-1: claimed.minus_infinity, 1: claimed.plus_infinity}


def _limit_finding(
    target: Target,
    form: Format,
    order: int,
    x: float,
    want: float,
    results: dict[str, float],
) -> Finding:
    # Without a record the sign of a zero slope is nobody's claim.
    signed = target.limits is not None or order == 0
    bound = max(target.bound(form, order) or 0.0, 0.5)
    wrong = {
        path: y
        for path, y in results.items()
        if not _agrees(y, want, form, bound, signed)
    }
    where = f"f{chr(39) * order}({x:+})"
    message = f"{where} is {want:.9g}"
    if wrong:
        message = f"{where} must be {want:.9g}; got {_list(wrong)}"
    return _finding(form, order, x, not wrong, message)


def _agrees(y: float, want: float, form: Format, bound: float, signed: bool) -> bool:
    if np.isnan(want):
        return bool(np.isnan(y))
    if want == 0 or np.isinf(want):
        return y == want and (not signed or np.signbit(y) == np.signbit(want))
    error = error_in_ulp(np.array([y]), np.array([want]), np.zeros(1), form)
    return bool(error[0] <= bound)


def _claims(target: Target, candidate: Candidate) -> list[Finding]:
    """Range, monotonicity and symmetry of the value over a grid."""
    form = candidate.form
    if form.bits <= 16:
        inputs = form.all_inputs()
        with np.errstate(invalid="ignore"):
            inputs = inputs[np.isfinite(inputs.astype(np.float64))]
        inputs = inputs[np.argsort(grids.ordinals(inputs, form), kind="stable")]
    else:
        inputs = grids.stratified(form, 20_000)
    values = candidate(inputs, 0)
    exact = inputs.astype(np.float64)
    slack = max(target.bound(form, 0) or 0.0, 0.5)
    found = []

    def report(claim: str, wrong: np.ndarray, explain: Callable[[int], str]) -> None:
        if wrong.any():
            at = int(np.argmax(wrong))
            message = f"{claim}, but {explain(at)} ({int(wrong.sum()):,} inputs)"
            found.append(_finding(form, 0, float(exact[at]), False, message))
        else:
            message = f"{claim} at {len(inputs):,} inputs"
            found.append(_finding(form, 0, 0.0, True, message))

    if target.value_range is not None:
        low, high = target.value_range(**target.settings(form))
        with np.errstate(invalid="ignore"):
            below = values < low - _slack(low, slack, form)
            above = values > high + _slack(high, slack, form)
        report(
            f"the value lies in [{low:.9g}, {high:.9g}]",
            below | above,
            lambda at: f"f({exact[at].hex()}) = {values[at]:.9g}",
        )
    if target.monotonic:
        step = np.zeros(len(values))
        highest = np.maximum.accumulate(np.where(np.isnan(values), -np.inf, values))
        highest = highest[:-1]
        with np.errstate(invalid="ignore", over="ignore"):
            step[1:] = (highest - values[1:]) / ulp_of(values[1:], form)
        # Two neighbours may each be wrong by the bound, in opposite directions.
        report(
            "the value never decreases",
            step > 2 * slack,
            lambda at: (
                f"f({exact[at].hex()}) = {values[at]:.9g} lies {step[at]:.4g} ULP "
                "below an earlier value"
            ),
        )
    if target.symmetry is not None:
        mirrored = candidate(-inputs, 0)
        wanted = -values if target.symmetry == "odd" else values
        differs = mirrored != wanted
        differs |= np.signbit(mirrored) != np.signbit(wanted)
        differs &= ~(np.isnan(mirrored) & np.isnan(wanted))
        report(
            f"the function is {target.symmetry}",
            differs,
            lambda at: (
                f"f({exact[at].hex()}) = {values[at]:.9g} and "
                f"f({(-exact[at]).hex()}) = {mirrored[at]:.9g}"
            ),
        )
    return found


def _slack(limit: float, bound: float, form: Format) -> float:
    if not np.isfinite(limit) or limit == 0:
        return 0.0
    return float(bound * ulp_of(np.array([limit]), form)[0])
