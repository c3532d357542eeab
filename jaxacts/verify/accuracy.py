"""How far values and derivatives are from the truth."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import grids
from ._errors import Errors, compare, level_nearby, loosely
from ._finding import Finding
from .candidate import Candidate
from .oracle import Truth
from .target import Target
from .ulp import Format, format_of, round_to
from .workers import true_values

__all__ = [
    "PATHS",
    "Extreme",
    "Ground",
    "Measurement",
    "Profile",
    "compare",
    "expected_result",
    "findings",
    "measure",
]

# The third derivative is autodiff of a rounded formula: it is held to a thousandth,
# not to ULP. Beside a zero, a thousandth of a thousandth of the largest |truth|
# nearby, or of 1.
_THIRD_ORDER = 1e-3

# Ways to run a function that XLA compiles differently.
PATHS = ("jit", "eager", "short")
_SHORT_INPUTS = 48
_REFINED_INPUTS = 12
_REFINED_SAMPLES = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extreme:
    """The input at which a figure is largest, and what came out there."""

    input: str
    got: float
    expected: float
    error: float
    path: str


@dataclasses.dataclass(frozen=True, eq=False)
class Profile:
    """Errors at every input tried, for plots."""

    inputs: np.ndarray
    ulp: np.ndarray
    nan: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """The errors of one function in one dtype and order, over many inputs.

    Attributes:
      name: the function.
      dtype: the dtype's name.
      order: order of the derivative.
      inputs: how many finite inputs were tried.
      exhaustive: whether these are all the finite inputs of the dtype.
      ulp: largest error over normal truths, in ULP of the truth.
      scaled: largest error in ULP of ``max(|truth|, 1)``; for the third order,
        the largest error relative to the truth, see ``loosely``.
      subnormal: largest error over subnormal truths and inputs, in ULP; a flush
        to zero does not count where the backend makes it.
      nan: where the result is NaN and the truth is not: first few and count.
      wrong_zero: where the result is a zero of the wrong sign, likewise.
      unclaimed: inputs at which the reference leaves the result open.
      bound: the largest error allowed in ULP, if any.
      profile: all errors, if they were asked for.
    """

    name: str
    dtype: str
    order: int
    inputs: int
    exhaustive: bool
    ulp: Extreme | None
    scaled: Extreme | None
    subnormal: Extreme | None
    nan: tuple[str, ...] = ()
    nan_count: int = 0
    wrong_zero: tuple[str, ...] = ()
    wrong_zero_count: int = 0
    unclaimed: int = 0
    bound: float | None = None
    profile: Profile | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def passed(self) -> bool:
        return all(finding.passed for finding in findings(self))


@dataclasses.dataclass(frozen=True, eq=False)
class _Run:
    """One way of computing one order at some inputs."""

    path: str
    inputs: np.ndarray
    truth: Truth
    got: np.ndarray
    errors: Errors


class Ground:
    """The truth of a subject in one format, with its conventions at kinks."""

    def __init__(self, target: Target, form: Format, orders: int):
        self.program = target.program(form)
        self.corners = target.corners(form)
        self.signed_zero = target.signed_zero
        self.form = form
        self.orders = orders
        self.at_zero = self(np.array([-0.0])), self(np.array([0.0]))

    def __call__(self, inputs: np.ndarray) -> Truth:
        truth = true_values(
            self.program, inputs, self.orders, double=self.form.bits == 64
        )
        high, low, sign = truth.high.copy(), truth.low.copy(), truth.sign.copy()
        if not self.signed_zero:
            sign[0, (inputs == 0) & (high[0] == 0)] = 0
        for corner in self.corners:
            here = inputs == corner.at
            high[3:, here] = np.nan  # no convention
            for order, value in ((1, corner.slope), (2, corner.curvature)):
                if value is not None and order <= self.orders:
                    high[order, here], low[order, here] = value, 0.0
                    sign[order, here] = np.sign(value)
        return Truth(high, low, sign)

    def grid(self, points: int, extra: Sequence[float]) -> np.ndarray:
        """All inputs of a small type; of a large one, a stratified grid with
        the neighbourhoods of kinks, of zeros and of the ends of the range."""
        form = self.form
        if form.bits <= 16:
            every = form.all_inputs()
            with np.errstate(invalid="ignore"):
                return every[np.isfinite(every.astype(np.float64))]
        base = grids.stratified(form, points)
        coarse = base[:: max(1, len(base) // 4000)]
        truth = self(coarse.astype(np.float64))
        marks = [corner.at for corner in self.corners] + list(extra)
        for order in range(self.orders + 1):
            labels = _category(truth[order], form)
            seams = grids.bisect_changes(
                functools.partial(self._categories, order=order), coarse, labels, form
            )
            marks.extend(seams.astype(np.float64))
        near = grids.around(marks, form, 64)
        joined = grids.ordinals(np.concatenate([base, near]), form)
        return grids.values(np.unique(joined), form)

    def _categories(self, inputs: np.ndarray, order: int) -> np.ndarray:
        return _category(self(inputs.astype(np.float64))[order], self.form)


def _category(truth: Truth, form: Format) -> np.ndarray:
    """Sign, and nothing, normal or overflow: it changes where errors lurk."""
    size = np.abs(truth.high)
    level = 1 + (size >= form.smallest_normal) + (size > form.largest)
    return np.where(np.isnan(truth.high), 9, level * truth.sign)


def measure(
    target: Target,
    dtype: Any = "float32",
    orders: Sequence[int] = (0, 1, 2),
    *,
    points: int = 20_000,
    extra: Sequence[float] = (),
    keep_profile: bool = False,
    candidate: Candidate | None = None,
    paths: Sequence[str] = PATHS,
) -> list[Measurement]:
    """Measures an elementwise function against its reference.

    Args:
      target: the function and what is claimed of it.
      dtype: a floating-point dtype. All inputs of 8- and 16-bit types are
        tried, and a grid of the larger ones.
      orders: orders of derivative.
      points: size of the grid of 32- and 64-bit types.
      extra: inputs tried together with their neighbourhoods, such as the worst
        of an earlier run.
      keep_profile: keep the error at every input.
      candidate: the compiled function, if another check has it already.
      paths: besides "jit", whether the function runs "eager", and on "short"
        arrays, which XLA compiles to other code.

    Returns:
      One measurement an order.

    Raises:
      EvaluationError: if the function raises or changes shape or dtype.
    """
    form = format_of(dtype)
    ground = Ground(target, form, max(orders))
    candidate = candidate or Candidate.of(target, form)
    inputs = ground.grid(points, extra)
    truth = ground(inputs.astype(np.float64))
    return [
        _measure_order(
            target, candidate, ground, inputs, truth, order, keep_profile, paths
        )
        for order in orders
    ]


def _measure_order(
    target: Target,
    candidate: Candidate,
    ground: Ground,
    inputs: np.ndarray,
    truth: Truth,
    order: int,
    keep_profile: bool,
    paths: Sequence[str],
) -> Measurement:
    form = ground.form
    at_zero = ground.at_zero[0][order], ground.at_zero[1][order]
    level = level_nearby(inputs.astype(np.float64), truth[order].high)

    def run(path: str, at: np.ndarray, true: Truth, got: np.ndarray) -> _Run:
        exact = at.astype(np.float64)
        if order == 3:
            errors = loosely(got, exact, true, form, level(exact))
        else:
            errors = compare(got, exact, true, at_zero, form)
        return _Run(path, exact, true, got, errors)

    here = truth[order]
    runs = [
        run(path, inputs, here, candidate(inputs, order, jit=path == "jit"))
        for path in ("jit", "eager")
        if path == "jit" or path in paths
    ]
    worst = _worst_indices(runs, _SHORT_INPUTS)
    if "short" in paths:
        for path, got in candidate.short(inputs[worst], order).items():
            runs.append(run(path, inputs[worst], here[worst], got))
    tried = len(inputs)
    if form.bits > 16:
        near = _neighbours(inputs[worst[:_REFINED_INPUTS]], form)
        true = ground(near.astype(np.float64))[order]
        runs.append(run("jit", near, true, candidate(near, order)))
        tried += len(near)
    return _summarize(target, form, order, runs, tried, keep_profile)


def _worst_indices(runs: Sequence[_Run], count: int) -> np.ndarray:
    """Half the worst inputs, half spread over all; where each is worst, first."""
    figures = np.max([np.nan_to_num(r.errors.ulp, nan=0.0) for r in runs], axis=0)
    worst = np.argsort(-figures, kind="stable")[: count // 2]
    spread = np.linspace(0, len(figures) - 1, count // 2).astype(int)
    return np.concatenate([worst, spread])


def _neighbours(inputs: np.ndarray, form: Format) -> np.ndarray:
    random = np.random.default_rng(1)
    centre = grids.ordinals(inputs, form)[:, None]
    shape = (len(inputs), _REFINED_SAMPLES)
    steps = random.integers(-4096, 4097, shape)
    top = grids.largest_ordinal(form)
    return grids.values(np.unique(np.clip(centre + steps, ~top, top)), form)


def _summarize(
    target: Target,
    form: Format,
    order: int,
    runs: Sequence[_Run],
    tried: int,
    keep_profile: bool,
) -> Measurement:
    def largest(figure: str) -> Extreme | None:
        best: Extreme | None = None
        for run in runs:
            errors = np.nan_to_num(getattr(run.errors, figure), nan=0.0, posinf=np.inf)
            at = int(np.argmax(errors))
            if errors[at] > (best.error if best else 0.0):
                best = Extreme(
                    input=float(run.inputs[at]).hex(),
                    got=float(run.got[at]),
                    expected=expected_result(run.truth[at : at + 1], form),
                    error=float(errors[at]),
                    path=run.path,
                )
        return best

    def places(figure: str) -> tuple[tuple[str, ...], int]:
        run = max(runs, key=lambda r: int(getattr(r.errors, figure).sum()))
        where = getattr(run.errors, figure)
        return tuple(float(v).hex() for v in run.inputs[where][:3]), int(where.sum())

    nan, nan_count = places("nan")
    wrong_zero, wrong_zero_count = places("wrong_zero")
    profile = None
    if keep_profile:
        whole = [run.errors for run in runs if run.path in ("jit", "eager")]
        whole = [errors for errors in whole if len(errors.ulp) == len(runs[0].inputs)]
        profile = Profile(
            runs[0].inputs,
            np.max([errors.ulp for errors in whole], axis=0),
            np.any([errors.nan for errors in whole], axis=0),
        )
    return Measurement(
        name=target.name,
        dtype=form.name,
        order=order,
        inputs=tried,
        exhaustive=form.bits <= 16,
        ulp=largest("ulp"),
        scaled=largest("scaled"),
        subnormal=largest("subnormal"),
        nan=nan,
        nan_count=nan_count,
        wrong_zero=wrong_zero,
        wrong_zero_count=wrong_zero_count,
        unclaimed=int(runs[0].errors.unclaimed.sum()),
        bound=target.bound(form, order),
        profile=profile,
    )


def expected_result(truth: Truth, form: Format) -> float:
    """The correctly rounded result of a truth of shape ``(1,)``."""
    rounded = float(round_to(truth.high, form).astype(np.float64)[0])
    if rounded == 0 and truth.sign[0]:
        return float(np.copysign(0.0, truth.sign[0]))
    return rounded


def findings(measured: Measurement) -> list[Finding]:
    """What a measurement says against the bounds."""
    subject = f"{measured.dtype} order {measured.order}"
    coverage = "all" if measured.exhaustive else f"{measured.inputs:,}"
    common: Mapping[str, Any] = {"dtype": measured.dtype, "order": measured.order}
    if measured.order == 3:
        bound: float | None = measured.bound
        bound = _THIRD_ORDER if bound is None else bound
        figures = [("relative", "", measured.scaled)]
    else:
        bound = measured.bound
        figures = [
            ("ULP", "", measured.ulp),
            ("ULP", " subnormal", measured.subnormal),
        ]
    found = []
    for unit, kind, extreme in figures:
        if extreme is None:
            if not kind:
                message = f"exact at {coverage} inputs"
                found.append(_finding(subject, True, message, 0.0, bound, None, common))
            continue
        # A double holds the truth to far less than this slack.
        passed = bound is None or extreme.error <= bound * (1 + 1e-9)
        among = " among subnormal numbers" if kind else ""
        message = (
            f"f{_PRIMES[measured.order]}({extreme.input}) = {extreme.got:.9g}, "
            f"expected {extreme.expected:.9g}: {extreme.error:.4g} {unit}, "
            f"the largest{among} of {coverage} inputs ({extreme.path})"
        )
        found.append(
            _finding(
                subject + kind,
                passed,
                message,
                extreme.error,
                bound,
                extreme.input,
                common,
            )
        )
    for what, inputs, count in (
        ("NaN where the truth is a number", measured.nan, measured.nan_count),
        ("zero of the wrong sign", measured.wrong_zero, measured.wrong_zero_count),
    ):
        if count:
            message = f"{what} at {count:,} inputs, the first {', '.join(inputs)}"
            found.append(
                _finding(subject, False, message, None, None, inputs[0], common)
            )
    return found


_PRIMES = ("", "'", "''", "'''")


def _finding(
    subject: str,
    passed: bool,
    message: str,
    measured: float | None,
    bound: float | None,
    input: str | None,
    common: Mapping[str, Any],
) -> Finding:
    return Finding(
        check="accuracy",
        subject=subject,
        passed=passed,
        message=message,
        measured=measured,
        bound=bound,
        input=input,
        **common,
    )
