"""Normalizers against exact arithmetic: rows, truths and the errors between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flint
import jax
import jax.numpy as jnp
import numpy as np

import jaxacts
from jaxacts.verify.ulp import format_of

DTYPES = ("bfloat16", "float16", "float32", "float64")
EPSILON = 1e-5
_PRECISION = 200


def _softmax(row: list[Any]) -> list[Any]:
    e = [v.exp() for v in row]
    total = sum(e, flint.arb(0))
    return [v / total for v in e]


def _log_softmax(row: list[Any]) -> list[Any]:
    (total,) = _logsumexp(row)
    return [v - total for v in row]


def _logsumexp(row: list[Any]) -> list[Any]:
    return [sum((v.exp() for v in row), flint.arb(0)).log()]


def _logmeanexp(row: list[Any]) -> list[Any]:
    return [_logsumexp(row)[0] - flint.arb(len(row)).log()]


def _standardize(row: list[Any]) -> list[Any]:
    mean = sum(row, flint.arb(0)) / len(row)
    centred = [v - mean for v in row]
    variance = sum((v * v for v in centred), flint.arb(0)) / len(row)
    # The default is a number of the dtype that computes.
    return [v / (variance + flint.arb(EPSILON)).sqrt() for v in centred]


def _sparsemax(row: list[Any]) -> list[Any]:
    total, threshold = flint.arb(0), None
    for k, v in enumerate(sorted(row, key=float, reverse=True), 1):
        total += v
        if 1 + k * v > total:
            threshold = (total - 1) / k
    return [v - threshold if v > threshold else flint.arb(0) for v in row]


def _entmax15(row: list[Any]) -> list[Any]:
    half = [v / 2 for v in row]
    total = square = flint.arb(0)
    threshold = None
    for k, v in enumerate(sorted(half, key=float, reverse=True), 1):
        total, square = total + v, square + v * v
        inside = (1 - (square - total * total / k)) / k
        if inside >= 0 and total / k - inside.sqrt() <= v:
            threshold = total / k - inside.sqrt()
    return [(v - threshold) ** 2 if v > threshold else flint.arb(0) for v in half]


TRUTHS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "softmax": _softmax,
    "softmin": lambda row: _softmax([-v for v in row]),
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "logmeanexp": _logmeanexp,
    "sparsemax": _sparsemax,
    "entmax15": _entmax15,
    "standardize": _standardize,
}


def rows(dtype: str) -> Iterator[np.ndarray]:
    """Rows of every kind: short and long, close and wide, far from zero."""
    random = np.random.default_rng(0)
    for length in (1, 3, 17, 200):
        for scale, offset in ((1, 0), (0.01, 0), (30, 0), (1, 100), (3, -8)):
            values = offset + scale * random.standard_normal(length)
            yield np.asarray(jnp.asarray(values, dtype))
    yield np.asarray(jnp.zeros(9, dtype))
    yield np.asarray(jnp.asarray(random.standard_normal(3000), dtype))


def apply(name: str, x: Any) -> jax.Array:
    return getattr(jaxacts, name)(x, axis=-1)


def error_in_ulp(name: str, x: np.ndarray, y: np.ndarray) -> float:
    """The largest error of a row, in ULP of its largest component.

    Of one number for a row, in ULP of what it is made of: the largest |x| or it.
    """
    form = format_of(str(y.dtype))
    with flint.ctx.workprec(_PRECISION):
        exact = [flint.arb(float(v)) for v in x]
        truth = TRUTHS[name](exact)
        got = [flint.arb(float(v)) for v in np.atleast_1d(y)]
        away = max(float((a - b).abs_lower()) for a, b in zip(got, truth, strict=True))
        size = max(float(abs(v)) for v in truth)
    if y.ndim == 0:
        size = max(size, float(np.max(np.abs(x.astype(np.float64)))))
    exponent = np.floor(np.log2(max(size, form.smallest_normal)))
    return away / 2.0 ** (exponent - (form.precision - 1))


def largest_error(name: str, dtype: str) -> tuple[float, str]:
    """The largest error over all rows, and where it is."""
    worst = 0.0, ""
    with jax.enable_x64(dtype == "float64"):
        for i, row in enumerate(rows(dtype)):
            y = np.asarray(apply(name, jnp.asarray(row)))
            where = f"row {i}, {len(row)} numbers near {float(row[0]):.3g}"
            worst = max(worst, (error_in_ulp(name, row, y), where))
    return worst
