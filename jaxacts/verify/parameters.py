"""Parameters: differentiable, mapped over, traced, and never widening the result."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._compare import Broken, Outcome, attempt, neutral
from ._finding import Finding
from ._subject import Baseline, Subject, resolve, selected

__all__ = ["CHECKS", "check", "finite_differences"]

CHECKS = ("dtype", "jit", "broadcast", "vmap", "jvp", "grad", "grad of scan")

# Derivatives in a parameter against differences in float64, in units of
# ulp(max(|t|, 1)): loose enough for a formula that cancels a little, and forty
# times tighter than an error of 0.05%.
_GRADIENT_ULP = 64.0
# In 16 bits a naive gradient may round after every operation.
_NARROW_GRADIENT_ULP = 8.0


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
    """Tries every floating parameter of a function.

    Derivatives in a parameter are compared with finite differences of the
    function itself in float64, so that one that is silently zero stands out.

    Args:
      function, dtypes, max_ulp, floor: as in `jaxacts.verify.transforms.check`.
      params: keyword arguments; floating numbers and arrays of shape () among
        them are taken as differentiable parameters, all others as fixed.
      keeps_integers: accepted for uniformity; parameters do not meet integers.
      only: names out of "dtype", "jit", "broadcast", "vmap", "jvp", "grad" and
        "grad of scan"; all of them by default.

    Returns:
      Findings with ``check="parameter"``, a subject such as "beta: grad".

    Raises:
      ValueError: for an unknown name in ``only`` or an address that leads nowhere.

    >>> from jaxacts.verify import parameters
    >>> def scaled(x, slope):
    ...     return x * slope
    >>> [f.subject for f in parameters.check(scaled, params={"slope": 0.5},
    ...                                      only=["grad"])]
    ['slope: grad']
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
        for parameter in subject.differentiable:
            if np.ndim(subject.parameters[parameter]) != 0:
                continue
            case = _Case(subject, parameter)
            for name in names:
                body = _BODIES[name]
                if name in _NEEDS_DERIVATIVE and not subject.has_derivatives:
                    continue
                findings.append(
                    attempt(
                        "parameter",
                        f"{parameter}: {name}",
                        functools.partial(body, case),
                        dtype=dtype,
                    )
                )
    return findings


class _Case:
    """A subject and one of its parameters."""

    def __init__(self, subject: Subject, name: str):
        self.subject = subject
        self.name = name
        self.value = float(subject.parameters[name])
        self.baseline = Baseline(subject, zero=False)
        self.points = self.baseline.points

    @property
    def x(self) -> jax.Array:
        return jnp.asarray(self.points)

    @property
    def p(self) -> jax.Array:
        return jnp.asarray(
            self.value, "float64" if self.subject.dtype == "float64" else "float32"
        )

    def at(self, x: Any, p: Any) -> Any:
        return self.subject.at(x, **{self.name: p})

    @functools.cached_property
    def differences(self) -> np.ndarray:
        """The derivative in the parameter, NaN where differences do not settle."""
        with neutral("float64"):
            x = jnp.asarray(self.points.astype(np.float64))

            def along(p: float) -> Any:
                return self.at(x, jnp.asarray(p, jnp.float64))

            return finite_differences(along, self.value)


def finite_differences(function: Callable[[float], Any], at: float) -> np.ndarray:
    """The derivative of a smooth function of one number, in float64.

    Two central differences extrapolated: an error of order h**4, about 1e-11
    here. Where the two disagree, beside a kink, the result is NaN.
    """
    step = 2e-3 * max(abs(at), 1.0)
    results = []
    for h in (step, step / 2):
        above, below = function(at + h), function(at - h)
        for result in (above, below):
            dtype = getattr(result, "dtype", type(result).__name__)
            if dtype != np.float64:
                raise Broken(f"float64 input with x64 enabled gives {dtype}")
        results.append((np.asarray(above) - np.asarray(below)) / (2 * h))
    wide, narrow = results
    settled = np.abs(wide - narrow) <= 1e-3 * np.maximum(np.abs(narrow), 1.0)
    return np.where(settled, (4 * narrow - wide) / 3, np.nan)


def _close(case: _Case, way: str, got: Any) -> Outcome:
    """Compares a derivative in the parameter with the differences."""
    want = case.differences
    settled = np.isfinite(want)
    if not settled.any():
        raise Broken(f"no point at which differences in {case.name} settle")
    dtype = jnp.dtype(case.subject.dtype)
    wide = dtype.itemsize > 2
    bound = _GRADIENT_ULP if wide else _NARROW_GRADIENT_ULP
    # float64 is compared with what differences can resolve: 1e-9.
    unit = max(float(jnp.finfo(dtype).eps), 1e-9 / bound)
    result = np.asarray(got).astype(np.float64)
    error = np.abs(result - want) / (unit * np.maximum(np.abs(want), 1.0))
    error = np.where(settled, np.where(np.isnan(error), np.inf, error), 0.0)
    worst = int(np.argmax(error))
    if error[worst] > bound:
        x = float(case.points[worst])
        zero = " (silently zero)" if not result[settled].any() else ""
        raise Broken(
            f"{way} in {case.name} = {case.value!r} at x = {x!r} ({x.hex()}) gives "
            f"{float(result[worst])!r}{zero}, finite differences in float64 give "
            f"{want[worst]:.9g}",
            measured=float(error[worst]),
            bound=bound,
            input=x.hex(),
        )
    return Outcome(
        f"agrees with finite differences at {int(settled.sum())} points",
        measured=float(error[worst]),
        bound=bound,
    )


def _dtype(case: _Case) -> Outcome:
    forms: list[tuple[str, Any]] = [
        ("Python float", case.value),
        ("NumPy float32", np.float32(case.value)),
        ("float32 array", jnp.asarray(case.value, jnp.float32)),
        (f"{case.subject.dtype} array", jnp.asarray(case.value, case.subject.dtype)),
    ]
    for form, p in forms:
        _keeps_dtype(case, form, p)
    with jax.enable_x64(True):
        _keeps_dtype(case, "float64 array", jnp.asarray(case.value, jnp.float64))
    return Outcome("never changes the dtype of the result")


def _keeps_dtype(case: _Case, form: str, p: Any) -> None:
    x = case.x
    for way, function in (("eager", case.at), ("jit", jax.jit(case.at))):
        got = function(x, p)
        if got.dtype != x.dtype:
            raise Broken(
                f"{way} on {x.dtype} with {case.name} as a {form} gives "
                f"{got.dtype}, not {x.dtype}"
            )


def _same(case: _Case, way: str, got: Any) -> Outcome:
    largest = case.baseline.same(way, got, shape=case.points.shape)
    return Outcome(
        f"within {largest:.3g} ULP of plain eager evaluation",
        measured=largest,
        bound=case.subject.max_ulp,
    )


def _jit(case: _Case) -> Outcome:
    got = jax.jit(case.at)(case.x, case.value)
    return _same(case, f"jit with {case.name} traced", got)


def _broadcast(case: _Case) -> Outcome:
    x = case.x
    row = jnp.broadcast_to(case.p.astype(x.dtype), x.shape)
    _same(case, f"{case.name} as an array of x's shape", case.at(x, row))
    column = case.at(x[None, :], row[:1, None])
    return _same(case, f"{case.name} broadcast from (1, 1)", column[0])


def _vmap(case: _Case) -> Outcome:
    x = case.x
    many = jnp.broadcast_to(case.p, x.shape)
    paired = jax.jit(jax.vmap(case.at))(x, many)
    _same(case, f"vmap over x and {case.name}", paired)
    outer = jax.jit(jax.vmap(case.at, in_axes=(None, 0)))(x, many[:3])
    return _same(case, f"vmap over {case.name} alone", outer[2])


def _jvp(case: _Case) -> Outcome:
    def push(x: jax.Array, p: jax.Array) -> jax.Array:
        return jax.jvp(lambda p: case.at(x, p), (p,), (jnp.ones_like(p),))[1]

    return _close(case, "jvp", jax.jit(push)(case.x, case.p))


def _grad(case: _Case) -> Outcome:
    one_by_one = jax.vmap(jax.grad(lambda p, x: case.at(x, p)), in_axes=(None, 0))
    outcome = _close(case, "grad", jax.jit(one_by_one)(case.p, case.x))
    gradient = jax.grad(lambda p: jnp.sum(case.at(case.x, p)))(case.p)
    if gradient.shape != () or gradient.dtype != case.p.dtype:
        raise Broken(
            f"grad in {case.name} gives {gradient.dtype} of shape {gradient.shape}, "
            f"not {case.p.dtype} of shape ()"
        )
    return outcome


def _grad_of_scan(case: _Case) -> Outcome:
    """The parameter as a constant of the loop, with one weight a point."""

    def loss(p: jax.Array, weights: jax.Array) -> jax.Array:
        def step(total: jax.Array, row: Any) -> tuple[jax.Array, None]:
            x, weight = row
            return total + weight * case.at(x, p), None

        zero = jnp.zeros((), case.subject.dtype)
        return lax.scan(step, zero, (case.x, weights))[0]

    each = jnp.eye(len(case.points), dtype=case.subject.dtype)
    gradients = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(case.p, each)
    return _close(case, "grad of scan", gradients)


_BODIES: dict[str, Callable[[_Case], Outcome]] = {
    "dtype": _dtype,
    "jit": _jit,
    "broadcast": _broadcast,
    "vmap": _vmap,
    "jvp": _jvp,
    "grad": _grad,
    "grad of scan": _grad_of_scan,
}
_NEEDS_DERIVATIVE = ("jvp", "grad", "grad of scan")
