"""Shapes and dtypes: scalars, empty arrays, integers, weak types, plain numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._compare import Broken, Outcome, attempt, compare
from ._finding import Finding
from ._subject import Baseline, Subject, resolve, selected, summed_gradient, tile

__all__ = ["CHECKS", "SHAPES", "check"]

# XLA takes other paths for a scalar, for lengths below a vector register, for
# what is left over beside whole registers, and for nothing at all.
SHAPES: tuple[tuple[int, ...], ...] = (
    (),
    (0,),
    (1,),
    (3,),
    (7,),
    (1025,),
    (2, 0, 3),
    (2, 3, 4, 5),
)

_Body = Callable[[Baseline], float]
_INPUTS: dict[str, _Body] = {}
_WIDE = ("float32", "float64")


def check(
    function: Callable[..., Any] | str,
    *,
    dtypes: Sequence[str] = ("float32",),
    params: Mapping[str, Any] | None = None,
    keeps_integers: bool = False,
    max_ulp: float = 2.0,
    floor: float = 1.0,
    only: Sequence[str] | None = None,
) -> list[Finding]:
    """Tries a function on many shapes and on every kind of input.

    An element of the result must depend on its own element of the input alone,
    not on the shape around it. Python numbers, integers and bools are tried
    where ``dtypes`` holds float32 or float64, the types that they become.

    Args:
      function, params, max_ulp, floor: as in `jaxacts.verify.transforms.check`.
      dtypes: names of the dtypes of ``x``; the result must have the same.
      keeps_integers: integer input gives integer output; otherwise integers and
        bools become the default float.
      only: names from `CHECKS`; all of them by default.

    Returns:
      Findings with ``check="shape"`` and ``check="input"``.

    Raises:
      ValueError: for an unknown name in ``only`` or an address that leads nowhere.

    >>> import jax
    >>> from jaxacts.verify import shapes
    >>> all(found.passed for found in shapes.check(jax.nn.silu, only=["shape ()"]))
    True
    """
    names = selected(CHECKS, only)
    function = resolve(function)
    findings = []
    for dtype in dtypes:
        subject = Subject(
            function=function,
            parameters=dict(params or {}),
            dtype=dtype,
            max_ulp=max_ulp,
            floor=floor,
            keeps_integers=keeps_integers,
        )
        baseline = Baseline(subject)
        found, orders = baseline.established(1)
        findings += found
        if not orders:
            continue
        tried = {_label(shape): shape for shape in SHAPES if _label(shape) in names}
        results = baseline.together(
            dict.fromkeys(tried, functools.partial(_value_and_slope, subject, orders)),
            tried,
        )
        for label, shape in tried.items():
            run = functools.partial(_on_shape, baseline, shape, results[label])
            findings.append(attempt("shape", label, run, dtype=dtype))
        for name, body in _INPUTS.items():
            if name in names and dtype in _WIDE:
                run = functools.partial(_on_input, body, baseline)
                findings.append(attempt("input", name, run, dtype=dtype))
    return findings


def _label(shape: tuple[int, ...]) -> str:
    return f"shape {shape}"


def _value_and_slope(f: Subject, orders: int, x: jax.Array) -> tuple[Any, ...]:
    return (f(x), summed_gradient(f)(x)) if orders > 1 else (f(x),)


def _on_shape(b: Baseline, shape: tuple[int, ...], jitted: Any) -> Outcome:
    largest = b.same("eager", b.subject(b.x(shape)), shape=shape)
    if isinstance(jitted, Exception):
        raise jitted
    largest = max(
        largest,
        *(
            b.same(way, got, order, shape)
            for order, (way, got) in enumerate(
                zip(("jit", "grad"), jitted, strict=False)
            )
        ),
    )
    return Outcome(
        f"within {largest:.3g} ULP of the same points one by one",
        measured=largest,
        bound=b.subject.max_ulp,
    )


def _on_input(body: _Body, b: Baseline) -> Outcome:
    largest = body(b)
    return Outcome("accepted", measured=largest, bound=b.subject.max_ulp)


def _input(name: str) -> Callable[[_Body], _Body]:
    def register(body: _Body) -> _Body:
        _INPUTS[name] = body
        return body

    return register


def _one(b: Baseline, way: str, got: Any, index: int) -> float:
    """Compares a result for a single point with the baseline."""
    return compare(
        got,
        b.order(0)[index],
        b.points[index],
        floor=b.subject.floor,
        max_ulp=b.subject.max_ulp,
        ways=(way, "the same point in an array"),
    )


@_input("Python float")
def _python_float(b: Baseline) -> float:
    return max(
        _one(b, way, function(float(b.points[i])), i)
        for way, function in (
            ("a Python float", b.subject),
            ("a Python float under jit", lambda x: b.run(b.subject, x)),
        )
        for i in (0, 1, 36)
    )


@_input("NumPy array")
def _numpy_array(b: Baseline) -> float:
    return max(
        b.same("a NumPy array", b.subject(b.points)),
        _one(b, "a NumPy scalar", b.subject(b.points[3]), 3),
    )


@_input("weak type")
def _weak_type(b: Baseline) -> float:
    for way, function in (
        ("eager", b.subject),
        ("jit", lambda x: b.run(b.subject, x)),
    ):
        weak, strong = function(0.5), function(jnp.asarray(0.5, b.subject.dtype))
        if not jax.typeof(weak).weak_type:
            raise Broken(
                f"{way} on a Python float (weakly typed) gives a strongly typed "
                f"{weak.dtype}, which would promote a narrower array it meets"
            )
        if jax.typeof(strong).weak_type:
            raise Broken(
                f"{way} on a {strong.dtype} array gives a weakly typed result, which "
                "would take the dtype of whatever array it meets"
            )
    return 0.0


@_input("integers")
def _integers(b: Baseline) -> float:
    whole = np.array([-3, -1, 0, 1, 2, 7], np.int32)
    want = np.asarray(b.subject(jnp.asarray(whole.astype(b.points.dtype))))
    largest = 0.0
    for way, function in (
        ("int32 input", b.subject),
        ("int32 input under jit", lambda x: b.run(b.subject, x)),
    ):
        got = function(jnp.asarray(whole))
        if b.subject.keeps_integers:
            if not jnp.issubdtype(got.dtype, jnp.integer):
                raise Broken(f"{way} gives {got.dtype}, not integers")
            got = got.astype(want.dtype)
        elif got.dtype not in (jnp.result_type(float), jnp.float32):
            # With x64 enabled, JAX's own functions turn int32 into float32.
            raise Broken(
                f"{way} gives {got.dtype}, not {jnp.result_type(float)}, the "
                "default float"
            )
        largest = max(largest, _small(b, way, got, want, whole))
    return largest


@_input("bools")
def _bools(b: Baseline) -> float:
    both = np.array([False, True])
    want = np.asarray(b.subject(jnp.asarray(both.astype(b.points.dtype))))
    got = b.subject(jnp.asarray(both))
    if not (jnp.issubdtype(got.dtype, jnp.floating) or b.subject.keeps_integers):
        raise Broken(
            f"bool input gives {got.dtype}, not {jnp.result_type(float)}, the "
            "default float"
        )
    return _small(b, "bool input", got.astype(want.dtype), want, both)


def _small(b: Baseline, way: str, got: Any, want: np.ndarray, x: np.ndarray) -> float:
    return compare(
        got,
        want,
        x,
        floor=b.subject.floor,
        max_ulp=b.subject.max_ulp,
        ways=(way, f"{want.dtype} input"),
    )


@_input("non-contiguous array")
def _non_contiguous(b: Baseline) -> float:
    strided = tile(b.points, (37, 3)).copy()[:, 1]
    want = b.subject(jnp.asarray(np.ascontiguousarray(strided)))
    return _small(
        b, "a strided NumPy array", b.subject(strided), np.asarray(want), strided
    )


CHECKS: tuple[str, ...] = (*map(_label, SHAPES), *_INPUTS)
