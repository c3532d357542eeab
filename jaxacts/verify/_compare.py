"""How two results compare, and how a check reports whatever happened."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._finding import Finding

__all__ = [
    "Broken",
    "Outcome",
    "attempt",
    "compare",
    "describe",
    "neutral",
    "ulp_difference",
]

_MESSAGE_LENGTH = 300


class Broken(Exception):
    """A contract that the function did not keep."""

    def __init__(
        self,
        message: str,
        *,
        measured: float | None = None,
        bound: float | None = None,
        input: str | None = None,
    ) -> None:
        super().__init__(message)
        self.measured = measured
        self.bound = bound
        self.input = input


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A contract that the function kept, with the figure that shows it."""

    message: str
    measured: float | None = None
    bound: float | None = None


@contextlib.contextmanager
def neutral(dtype: str = "float32") -> Iterator[None]:
    """JAX's own defaults, whatever the calling process has set.

    float64 is enabled where ``dtype`` needs it. Warnings of the function under
    test are not findings, and must not become errors under ``-W error``.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(dtype == "float64"))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
        stack.enter_context(jax.debug_nans(False))
        stack.enter_context(_quiet)
        yield


class _Quiet:
    """Warnings are off while any thread is inside.

    `warnings.catch_warnings` acts on the whole process: threads that leave it in
    another order than they came would leave the wrong filters behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters: warnings.catch_warnings[Any] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._filters is not None:
                self._filters.__exit__(None, None, None)


_quiet = _Quiet()


def attempt(
    check: str,
    subject: str,
    body: Callable[[], Outcome],
    *,
    dtype: str = "float32",
    order: int | None = None,
) -> Finding:
    """Runs a check; whatever the function under test raises becomes a finding."""
    measured = bound = place = None
    passed = False
    try:
        with neutral(dtype):
            outcome = body()
        passed = True
        message, measured, bound = outcome.message, outcome.measured, outcome.bound
    except Broken as error:
        message = str(error)
        measured, bound, place = error.measured, error.bound, error.input
    except Exception as error:
        message = f"{subject} raised {describe(error)}"
    return Finding(
        check=check,
        subject=subject,
        passed=passed,
        message=message,
        dtype=dtype,
        order=order,
        input=place,
        measured=measured,
        bound=bound,
    )


def describe(error: BaseException) -> str:
    """An exception in one line: its type and the beginning of its text."""
    text = " ".join(str(error).split())
    if len(text) > _MESSAGE_LENGTH:
        text = text[: _MESSAGE_LENGTH - 3] + "..."
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def ulp_difference(got: Any, want: Any, *, floor: float = 0.0) -> np.ndarray:
    """|got - want| in units of ulp(max(|want|, floor)) of the dtype of ``want``.

    NaN against NaN is no difference, NaN against a number an infinite one.
    Subnormal results count as zero: a backend may flush them.
    """
    finfo = jnp.finfo(np.asarray(want).dtype)
    smallest_normal = float(finfo.smallest_normal)
    with np.errstate(invalid="ignore", over="ignore"):
        a, b = (np.asarray(v).astype(np.float64) for v in (got, want))
        a, b = (np.where(np.abs(v) < smallest_normal, 0.0, v) for v in (a, b))
        scale = np.maximum(np.maximum(np.abs(b), floor), smallest_normal)
        exponent = np.frexp(np.where(np.isfinite(scale), scale, 1.0))[1] - 1
        units = np.ldexp(np.abs(a - b), int(finfo.nmant) - exponent)
        both_finite = np.isfinite(a) & np.isfinite(b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(both_finite, units, np.inf))


def compare(
    got: Any,
    want: np.ndarray,
    x: np.ndarray,
    *,
    floor: float,
    max_ulp: float,
    ways: tuple[str, str],
) -> float:
    """The largest difference in ULP of two ways to evaluate the same points.

    Raises:
      Broken: if the result is no array of the shape and dtype of ``want``, or
        differs from it by more than ``max_ulp``.
    """
    this, other = ways
    if not isinstance(got, jax.Array | np.ndarray | np.generic):
        raise Broken(f"{this} gives a {type(got).__name__}, not an array")
    if got.shape != want.shape:
        raise Broken(
            f"{this} on shape {x.shape} gives shape {got.shape}, not {want.shape}"
        )
    if got.dtype != want.dtype:
        raise Broken(f"{this} on {x.dtype} gives {got.dtype}, not {want.dtype}")
    if not want.size:
        return 0.0
    result = np.asarray(got)
    difference = ulp_difference(result, want, floor=floor)
    worst = int(np.argmax(difference))
    largest = float(difference.flat[worst])
    if largest > max_ulp:
        at = float(np.broadcast_to(x, want.shape).flat[worst])
        raise Broken(
            f"{this} on shape {x.shape} at x = {at!r} ({at.hex()}) gives "
            f"{float(result.flat[worst])!r}, {other} gives "
            f"{float(want.flat[worst])!r}: {largest:.4g} ULP apart, "
            f"{max_ulp:g} allowed",
            measured=largest,
            bound=max_ulp,
            input=at.hex(),
        )
    return largest
