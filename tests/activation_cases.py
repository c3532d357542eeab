"""Every elementwise activation with each of its verified settings, for tests."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxacts
from jaxacts import Spec


@dataclasses.dataclass(frozen=True)
class Case:
    spec: Spec
    settings: dict[str, Any]

    @property
    def function(self) -> Callable[..., Any]:
        """The public function with this case's settings."""
        return functools.partial(self.spec.function, **self.settings)

    @property
    def is_first(self) -> bool:
        """Whether this is the function's first, usual setting."""
        return self.settings == dict(self.spec.cases[0])

    @property
    def numbers(self) -> dict[str, float]:
        """The value of every parameter, defaults filled in."""
        defaults = {p.name: p.default for p in self.spec.parameters}
        known = {p.name for p in self.spec.parameters}
        return defaults | {k: v for k, v in self.settings.items() if k in known}

    @property
    def everything(self) -> dict[str, Any]:
        """Parameters and static settings."""
        return self.numbers | self.settings

    def __str__(self) -> str:
        inner = ",".join(f"{k}={v}" for k, v in self.settings.items())
        return f"{self.spec.name}({inner})" if inner else self.spec.name


CASES = [
    Case(jaxacts.spec(name), dict(settings))
    for name in jaxacts.names()
    if jaxacts.spec(name).elementwise
    for settings in jaxacts.spec(name).cases
]

# One function of every family: what the shared wrapper does, whatever it wraps.
FAMILIES = list({case.spec.family: case for case in reversed(CASES)}.values())


def each_case(test: Callable[..., None]) -> Callable[..., None]:
    return _parametrized(test, CASES, lambda case: True)


def each_function(test: Callable[..., None]) -> Callable[..., None]:
    """Every case, in CI the first of every function."""
    return _parametrized(test, CASES, lambda case: case.is_first)


def each_family(test: Callable[..., None]) -> Callable[..., None]:
    """Every function, in CI the first of every family."""
    first = [case for case in CASES if case.is_first]
    return _parametrized(test, first, lambda case: case in FAMILIES)


def each_half(test: Callable[..., None]) -> Callable[..., None]:
    """The first cases of all functions together; in CI without the further ones."""
    further = [case for case in CASES if not case.is_first]
    rows = [
        pytest.param([case for case in CASES if case.is_first], id="first settings"),
        pytest.param(further, id="further settings", marks=pytest.mark.slow),
    ]
    return pytest.mark.parametrize("cases", rows)(test)


def _parametrized(test: Any, cases: list[Case], fast: Callable[[Case], bool]) -> Any:
    slow = pytest.mark.slow
    rows = [
        pytest.param(case, id=str(case), marks=() if fast(case) else slow)
        for case in cases
    ]
    return pytest.mark.parametrize("case", rows)(test)


def sample(case: Case, dtype: Any = np.float64, count: int = 401) -> np.ndarray:
    """Points on both sides of zero, dense near it, without the kinks."""
    far = 12.0 if np.dtype(dtype).itemsize > 2 else 6.0
    x = np.sinh(np.linspace(-np.arcsinh(far), np.arcsinh(far), count)) + 0.01237
    if case.spec.name == "log1mexp":
        x = np.abs(x) + 0.01
    for kink in case.spec.kinks(**case.settings):
        x = x[np.abs(x - kink.at) > 1e-3]
    return x.astype(dtype)


def ladder(f, orders):
    """x -> (f, f', f'', ...) by forward mode; every rung goes through a rule."""
    rungs = [f]
    for _ in range(orders):
        rungs.append(_pushed(rungs[-1]))
    return lambda x: tuple(rung(x) for rung in rungs)


def pulled_ladder(f, orders):
    """The same by reverse mode alone."""
    rungs = [f]
    for _ in range(orders):
        rungs.append(_pulled(rungs[-1]))
    return lambda x: tuple(rung(x) for rung in rungs)


def _pulled(f):
    return lambda x: jax.vjp(f, x)[1](jnp.ones_like(x))[0]


def _pushed(f):
    return lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),))[1]


class Float64Namespace:
    """The reference formulas on float64 arrays of ``xp`` (numpy or jax.numpy)."""

    def __init__(self, xp: Any, erf: Callable[[Any], Any]):
        self.xp, self.erf = xp, erf
        self.pi = np.pi
        for name in (
            "exp",
            "expm1",
            "log",
            "log1p",
            "sqrt",
            "tanh",
            "abs",
            "sin",
            "cos",
        ):
            setattr(self, name, getattr(xp, name))
        self.max, self.min = xp.maximum, xp.minimum

    def const(self, text: str) -> float:
        return float(text)

    def piecewise(self, x: Any, breaks: Any, pieces: Any) -> Any:
        value = pieces[0]()
        for (point, owner), piece in zip(breaks, pieces[1:], strict=True):
            right = x >= point if owner == "right" else x > point
            value = self.xp.where(right, piece(), value)
        return value
