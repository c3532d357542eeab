"""The front door: one call that verifies one function."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import types
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

import jaxacts
from jaxacts._registry import parse
from jaxacts._spec import Spec

from . import accuracy, behaviour, dense, exhaustive, grammar, special_values
from ._finding import Finding
from .accuracy import Measurement
from .candidate import Candidate, EvaluationError
from .report import Report
from .target import Target, cases, registered
from .ulp import Format, format_of
from .workers import processors

__all__ = ["CHECKS", "DTYPES", "resolve", "targets_of", "verify"]

DTYPES = ("bfloat16", "float16", "float32", "float64")
CHECKS = ("accuracy", "special values", *behaviour.GROUPS)

# How a function behaves under transformations does not depend on much but
# whether its type computes in itself or in another.
_BEHAVIOUR_DTYPES = ("float32", "bfloat16")


def verify(
    function: str | Callable[..., Any],
    reference: str | Callable[..., Any] | None = None,
    *,
    dtypes: Sequence[str] = DTYPES,
    orders: Sequence[int] = (0, 1, 2),
    params: Mapping[str, Any] | None = None,
    against: Any = None,
    max_ulp: Mapping[str, float | Sequence[float]] | None = None,
    checks: Sequence[str] = CHECKS,
    points: int = 20_000,
    chunks: int = 24,
    extra: Mapping[str, Sequence[float]] | None = None,
    exhaustive: bool = False,
    keep_profile: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Verifies an elementwise activation against its formula.

    Args:
      function: the name of a registered activation, with settings if need be, as
        in ``"gelu(approximate=False)"``; ``"package.module:name"``; or a callable
        ``function(x, **params)``.
      reference: the exact formula, as ``reference(m, x, **params)`` over the
        functions of a namespace ``m``, or as text such as
        ``"x*tanh(log(1+exp(x)))"``. A registered function brings its own, and so
        does another library's function of the same name.
      dtypes: names of floating-point dtypes.
      orders: which derivatives, from 0 to 3.
      params: keyword arguments; without them a registered function is verified
        in every setting that its record names.
      against: a module such as ``jax.nn``, its name, or a callable: measured
        beside the function, without judgement.
      max_ulp: dtype to the largest error allowed in ULP, one number or one an
        order; dtypes that it leaves out keep the bounds of the record, or the
        project's goals.
      checks: which kinds of check, from ``CHECKS``.
      points: size of the grid in float32 and float64; smaller types are tried on
        all their numbers.
      chunks: of float32, all numbers of as many chunks of 2^20 are tried, where
        the grid has the largest errors; 0 for the grid alone.
      extra: dtype to inputs that are tried together with their neighbourhoods.
      exhaustive: try all 2^32 numbers of float32.
      keep_profile: keep the error at every input, for ``Report.plot``.
      progress: called during an exhaustive run with the parts done and their
        number.

    Returns:
      The report; ``report.passed`` is the verdict.

    Raises:
      ValueError: for an unknown name, dtype, order or check, a malformed
        formula, or a function without a reference.

    Example:
      >>> import jax, jaxacts.verify
      >>> report = jaxacts.verify.verify(
      ...     jax.nn.relu, lambda m, x: m.max(x, 0), dtypes=["float8_e5m2"],
      ...     checks=["accuracy"],
      ... )
      >>> report.passed
      True
    """
    _validate(dtypes, orders, checks)
    targets, notes = targets_of(function, reference, params)
    bounds = _bounds(max_ulp)
    jobs: list[Callable[[], Report]] = []
    for target in targets:
        target = dataclasses.replace(target, max_ulp={**target.max_ulp, **bounds})
        other, missing = _competitor(target, against)
        notes += missing
        jobs += [
            functools.partial(
                _verify_dtype,
                target,
                other,
                dtype,
                orders,
                checks,
                chunks=chunks,
                points=points,
                extra=tuple((extra or {}).get(dtype, ())),
                keep_profile=keep_profile,
            )
            for dtype in dtypes
            if not (exhaustive and dtype == "float32")
        ]
        jobs += _behaviour_jobs(target, dtypes, checks)
    # Compilation by XLA takes most of the time and lets other threads run.
    with ThreadPoolExecutor(processors()) as pool:
        try:
            parts = list(pool.map(lambda job: job(), jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if exhaustive and "float32" in dtypes:
        parts += [_exhaust(t, orders, checks, progress) for t in targets]
    report = Report.join([Report(notes=tuple(notes)), *parts])
    name = None if against is None else _name_of(against)
    return dataclasses.replace(report, competitor=name)


def _validate(dtypes: Sequence[str], orders: Sequence[int], checks: Sequence[str]):
    for name, value in (("dtypes", dtypes), ("checks", checks)):
        if isinstance(value, str) or not value:
            raise ValueError(f"{name} must be a non-empty sequence, got {value!r}")
    for dtype in dtypes:
        format_of(dtype)
    if any(isinstance(order, bool) for order in orders):
        raise ValueError(f"orders must be numbers, got {orders!r}")
    if not orders or any(order not in (0, 1, 2, 3) for order in orders):
        raise ValueError(f"orders must be among 0, 1, 2 and 3, got {orders!r}")
    for check in checks:
        if check not in CHECKS:
            raise ValueError(f"checks must be among {CHECKS}, got {check!r}")


def _bounds(max_ulp: Any) -> dict[str, tuple[float, ...]]:
    found = {}
    for dtype, bound in (max_ulp or {}).items():
        name = format_of(dtype).name
        found[name] = (
            (float(bound),) * 3
            if isinstance(bound, (int, float))
            else tuple(map(float, bound))
        )
    return found


def resolve(address: str) -> Callable[..., Any]:
    """The object behind ``"package.module:name"``.

    Raises:
      ValueError: if there is no such module or name.
    """
    module_name, _, attribute = address.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"cannot import {module_name!r}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ValueError(f"module {module_name!r} has no {attribute!r}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{address!r} is not callable")
    return found


def targets_of(
    function: str | Callable[..., Any],
    reference: str | Callable[..., Any] | None,
    params: Mapping[str, Any] | None,
) -> tuple[list[Target], list[str]]:
    """What is to be verified, and notes on where the claims come from."""
    if isinstance(function, str) and ":" not in function:
        jaxacts.get(function)  # refuses an unknown name or setting
        function, settings = parse(function)
        params = {**settings, **(params or {})} if settings else params
    name, record = _identify(function)
    notes: list[str] = []
    if isinstance(function, str):
        function = resolve(function) if ":" in function else jaxacts.get(name)
    if isinstance(reference, str):
        reference = grammar.parse(reference, params or ())
    if reference is not None:
        return [
            Target(
                name=name,
                function=function,
                reference=reference,
                keywords=dict(params or {}),
            )
        ], notes
    if record is None:
        raise ValueError(
            f"reference is needed for {name}: give the formula, such as "
            '"x*tanh(log(1+exp(x)))"'
        )
    targets = cases(record) if params is None else [registered(record, params)]
    if function is not record.function:
        notes.append(f"{name} is held to the record of jaxacts.{record.name}")
        targets = [
            dataclasses.replace(
                t, function=function, name=t.name.replace(record.name, name, 1)
            )
            for t in targets
        ]
    return targets, notes


def _identify(function: str | Callable[..., Any]) -> tuple[str, Spec | None]:
    """The name of a function, and the record of the registered one like it."""
    if isinstance(function, str) and ":" not in function:
        return function, jaxacts.spec(function)
    if isinstance(function, str):
        name = function
        bare = function.rpartition(":")[2].rpartition(".")[2]
    elif callable(function):
        try:
            record = jaxacts.spec(function)
            return record.name, record
        except (TypeError, ValueError):
            name = bare = getattr(function, "__name__", repr(function))
    else:
        raise ValueError(
            f"function must be a name or a callable, got {type(function).__name__}"
        )
    try:
        return name, jaxacts.spec(bare)
    except ValueError:
        return name, None


def _name_of(against: Any) -> str:
    if isinstance(against, str):
        return against
    return getattr(against, "__name__", repr(against))


def _competitor(target: Target, against: Any) -> tuple[Target | None, list[str]]:
    if against is None:
        return None, []
    if isinstance(against, str):
        against = resolve(against) if ":" in against else _module(against)
    if isinstance(against, types.ModuleType):
        bare = target.name.partition("(")[0].rpartition(":")[2]
        function = getattr(against, bare, None)
        if function is None:
            return None, [f"{against.__name__} has no {bare}"]
    else:
        function = against
    other = dataclasses.replace(target, function=function, derivatives=None)
    try:
        form = format_of("float32")
        sample = jax.ShapeDtypeStruct((1,), form.dtype)
        jax.eval_shape(other.bound_function(form), sample)
    except TypeError as error:
        reason = str(error).splitlines()[0]
        return None, [f"{_name_of(against)} cannot do {target.name}: {reason}"]
    return other, []


def _module(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"cannot import {name!r}: {error}") from error


def _report(
    target: Target,
    measurements: Sequence[Measurement] = (),
    findings: Sequence[Finding] = (),
    against: Sequence[Measurement] = (),
    notes: Sequence[str] = (),
) -> Report:
    """A report that says of every finding which function it is about."""
    return Report(
        measurements=tuple(measurements),
        findings=tuple(findings),
        about=(target.name,) * len(findings),
        against=tuple(against),
        notes=tuple(notes),
    )


def _failed(check: str, form: Format, error: Exception, passed: bool = False):
    return Finding(
        check=check,
        subject=form.name,
        passed=passed,
        message=str(error),
        dtype=form.name,
    )


def _verify_dtype(
    target: Target,
    other: Target | None,
    dtype: str,
    orders: Sequence[int],
    checks: Sequence[str],
    chunks: int,
    **options: Any,
) -> Report:
    form = format_of(dtype)
    orders = [k for k in orders if k == 0 or form.bits > 8]
    measurements: list[Measurement] = []
    findings: list[Finding] = []
    against: list[Measurement] = []
    candidate = Candidate.of(target, form)
    if "accuracy" in checks and orders:
        measurements, failure = _measurable(
            target, candidate, orders, chunks, **options
        )
        for measured in measurements:
            findings += accuracy.findings(measured)
        if failure is not None:
            findings.append(_failed("accuracy", form, failure))
        if other is not None:
            try:
                rival = Candidate.of(other, form)
                against = _measure(other, rival, orders, chunks, **options)
            except EvaluationError as error:
                findings.append(_failed("competitor", form, error, passed=True))
    if "special values" in checks and orders:
        try:
            findings += special_values.check(target, dtype, orders, candidate)
        except EvaluationError as error:
            findings.append(_failed("special value", form, error))
    return _report(target, measurements, findings, against)


def _measurable(
    target: Target, candidate: Candidate, orders: Sequence[int], *rest: Any, **more: Any
) -> tuple[list[Measurement], EvaluationError | None]:
    """The orders below the first that cannot be evaluated, and why it cannot."""
    failure = None
    while orders:
        try:
            return _measure(target, candidate, orders, *rest, **more), failure
        except EvaluationError as error:
            failure, orders = error, orders[:-1]
    return [], failure


def _measure(
    target: Target,
    candidate: Candidate,
    orders: Sequence[int],
    chunks: int,
    keep_profile: bool,
    **options: Any,
) -> list[Measurement]:
    dtype = candidate.form.name
    sharper = chunks > 0 and dtype == "float32"
    found = accuracy.measure(
        target,
        dtype,
        orders,
        candidate=candidate,
        keep_profile=keep_profile or sharper,
        **options,
    )
    if sharper:
        found = dense.sharpen(target, found, chunks, candidate)
    if keep_profile:
        return found
    return [dataclasses.replace(m, profile=None) for m in found]


def _exhaust(
    target: Target,
    orders: Sequence[int],
    checks: Sequence[str],
    progress: Callable[[int, int], None] | None,
) -> Report:
    form = format_of("float32")
    candidate = Candidate.of(target, form)
    measurements: list[Measurement] = []
    findings: list[Finding] = []
    notes: list[str] = []
    try:
        measurements, notes = exhaustive.measure(
            target, orders, progress=progress, candidate=candidate
        )
        for measured in measurements:
            findings += accuracy.findings(measured)
        if "special values" in checks:
            findings += special_values.check(target, "float32", orders, candidate)
    except EvaluationError as error:
        findings.append(_failed("accuracy", form, error))
    return _report(target, measurements, findings, notes=notes)


def _behaviour_jobs(
    target: Target, dtypes: Sequence[str], checks: Sequence[str]
) -> list[Callable[[], Report]]:
    groups = [group for group in behaviour.GROUPS if group in checks]
    tried = [d for d in _BEHAVIOUR_DTYPES if d in dtypes]

    def job(dtype: str) -> Report:
        found = behaviour.check(
            target.function,
            dtypes=[dtype],
            params=target.keywords,
            keeps_integers=target.keeps_integers,
            reference=target.reference,
            groups=groups,
        )
        return _report(target, findings=found)

    return [functools.partial(job, dtype) for dtype in tried] if groups else []
