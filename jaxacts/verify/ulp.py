"""Floating-point formats and errors in units in the last place."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["Format", "error_in_ulp", "format_of", "round_to"]


_FORMATS = (
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "float8_e4m3fn",
    "float8_e5m2",
)


@dataclasses.dataclass(frozen=True)
class Format:
    """What is needed to know of a binary floating-point type.

    Attributes:
      name: the dtype's name.
      precision: significant bits, the hidden one included.
      least_exponent: exponent of the smallest normal number.
      largest: the largest finite number.
      has_infinity: whether the type has infinities; float8_e4m3fn has none and
        overflows to NaN.
    """

    name: str
    precision: int
    least_exponent: int
    largest: float
    has_infinity: bool

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(getattr(ml_dtypes, self.name, None) or self.name)

    @property
    def bits(self) -> int:
        return 8 * self.dtype.itemsize

    @property
    def bit_type(self) -> np.dtype:
        return np.dtype(f"uint{self.bits}")

    @property
    def compute_dtype(self) -> str:
        """The type in which the value is computed before it is rounded once."""
        return "float64" if self.bits == 64 else "float32"

    @property
    def compute(self) -> Format:
        return format_of(self.compute_dtype)

    @property
    def smallest_normal(self) -> float:
        return 2.0**self.least_exponent

    @property
    def smallest_ulp(self) -> float:
        """Distance of subnormal numbers, the smallest positive number."""
        return float(np.ldexp(1.0, self.least_exponent - self.precision + 1))

    @property
    def overflow(self) -> float:
        """The number after the largest finite one, were there one more.

        An infinity counts as this number, so that the largest number and
        infinity are neighbours, one ULP apart. Infinite for float64.
        """
        step = 2.0 ** (np.frexp(self.largest)[1] - self.precision)
        with np.errstate(over="ignore"):
            return float(np.float64(self.largest) + step)

    def all_inputs(self) -> np.ndarray:
        """Every number of an 8- or 16-bit type, in the order of its bits."""
        if self.bits > 16:
            raise ValueError(f"{self.name} has too many numbers to list")
        return np.arange(2**self.bits, dtype=self.bit_type).view(self.dtype)


@functools.cache
def format_of(dtype: Any) -> Format:
    """The format of a floating-point dtype, given as a dtype or its name."""
    try:
        found = np.dtype(getattr(ml_dtypes, str(dtype), None) or dtype)
    except TypeError:
        found = np.dtype(bool)
    if not dtype or found.name not in _FORMATS:
        accepted = ", ".join(_FORMATS)
        raise ValueError(
            f"dtype must be a floating-point type ({accepted}), got {dtype!r}"
        )
    info = ml_dtypes.finfo(found)
    # Converting infinity gives infinity, or NaN where there is none.
    beyond = np.asarray(np.inf, np.float32).astype(found).astype(np.float64)
    return Format(
        name=found.name,
        precision=int(info.nmant) + 1,
        least_exponent=int(info.minexp),
        largest=float(info.max),
        has_infinity=bool(np.isinf(beyond)),
    )


def round_to(values: Any, form: Format) -> np.ndarray:
    """Rounds doubles to the nearest number of a format, once, ties to even."""
    # ml_dtypes goes from double by way of float32 and so rounds twice.
    values = np.asarray(values, np.float64)
    if form.bits == 64:
        return values
    if form.bits == 32:
        with np.errstate(over="ignore", under="ignore"):
            return values.astype(np.float32)
    step = ulp_of(values, form)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.rint(values / step) * step
        rounded = np.where(np.isfinite(values), rounded, values)
        rounded = np.where(
            np.abs(rounded) >= form.overflow,
            np.copysign(np.inf, values),
            np.copysign(rounded, values),
        )
        rounded = np.where(np.isnan(values), np.nan, rounded)
        return rounded.astype(np.float32).astype(form.dtype)


def ulp_of(values: Any, form: Format) -> np.ndarray:
    """The unit in the last place at the exponent of each value."""
    size = np.minimum(np.abs(np.asarray(values, np.float64)), form.largest)
    exponent = np.frexp(size)[1] - 1
    exponent = np.where(size == 0, form.least_exponent, exponent)
    exponent = np.maximum(exponent, form.least_exponent)
    return np.ldexp(1.0, exponent - form.precision + 1)


def error_in_ulp(
    got: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    form: Format,
    *,
    at_least_one: bool = False,
) -> np.ndarray:
    """Distance of results from the truth ``high + low``, in ULP of the truth.

    Args:
      got: results as doubles.
      high: truths rounded to doubles.
      low: their remainders.
      form: the format of the results.
      at_least_one: take the ULP at ``max(|truth|, 1)``.

    Returns:
      Errors; infinite where the result is NaN and the truth is not, and NaN
      where the truth is NaN.
    """
    if form.bits == 64:
        return _double_error(got, high, low, form, at_least_one)
    limit = form.overflow
    if not form.has_infinity:
        got = np.where(np.isnan(got) & (np.abs(high) >= form.largest), np.inf, got)
        got = np.copysign(got, np.where(np.isinf(got), high, got))
    got = np.clip(got, -limit, limit)
    truth = np.clip(high, -limit, limit)
    scale = np.maximum(np.abs(truth), 1.0) if at_least_one else truth
    error = np.abs((got - truth) - low) / ulp_of(scale, form)
    return np.where(np.isnan(got) & ~np.isnan(truth), np.inf, error)


def _double_error(got, high, low, form: Format, at_least_one: bool) -> np.ndarray:
    # Scaled by 2^-2 so that the number after the largest is finite.
    limit = 2.0**1022
    quarter = np.ldexp(1.0, -2)
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        small = np.abs(high) < 1.0
        scale = np.where(small, 1.0, quarter)
        y = np.clip(got * scale, -limit, limit)
        t = np.clip(high * scale, -limit, limit)
        size = np.maximum(np.abs(high), 1.0) if at_least_one else high
        error = np.abs((y - t) - low * scale) / (ulp_of(size, form) * scale)
        return np.where(np.isnan(got) & ~np.isnan(high), np.inf, error)
