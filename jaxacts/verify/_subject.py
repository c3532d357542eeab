"""The function under test, and its plain eager values that all else must match."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._compare import Broken, Outcome, attempt, compare, describe, neutral
from ._finding import Finding

__all__ = ["Baseline", "Subject", "address", "points", "resolve", "selected", "tile"]


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A function with its parameters and the dtype it is tried in.

    Attributes:
      function: ``function(x, **parameters)``.
      parameters: keyword arguments; the floating ones are differentiable.
      dtype: name of the dtype of ``x``.
      max_ulp: largest difference allowed between two ways to evaluate the
        value; four times that for the slope, sixteen times for the curvature,
        because differentiated formulas cancel more.
      floor: differences are counted in units of ``ulp(max(|result|, floor))``.
      keeps_integers: integer input gives integer output.
    """

    function: Callable[..., Any]
    parameters: Mapping[str, Any]
    dtype: str
    max_ulp: float = 2.0
    floor: float = 1.0
    keeps_integers: bool = False

    def __call__(self, x: Any) -> Any:
        return self.function(x, **self.parameters)

    def at(self, x: Any, **changed: Any) -> Any:
        """Evaluates with some parameters changed."""
        return self.function(x, **{**self.parameters, **changed})

    def allowed(self, order: int) -> float:
        """The largest difference allowed in the derivative of this order."""
        return self.max_ulp * 4**order

    @property
    def differentiable(self) -> tuple[str, ...]:
        """Names of the parameters that are floating numbers or arrays."""
        return tuple(n for n, v in self.parameters.items() if _is_floating(v))

    @property
    def has_derivatives(self) -> bool:
        """False for the 8-bit types, in which only the value is promised."""
        return jnp.dtype(self.dtype).itemsize > 1


def _is_floating(value: Any) -> bool:
    if isinstance(value, bool | str) or not isinstance(
        value, float | np.ndarray | np.generic | jax.Array
    ):
        return False
    return bool(jnp.issubdtype(jnp.result_type(value), jnp.floating))


def points(dtype: str) -> np.ndarray:
    """37 points of both signs from 0.013 to 19.7, and zero.

    37 shares no factor with a vector length, so in a tiled array every point
    meets every lane. No point but zero lies on a usual kink (1, 3, 6, ...).
    """
    magnitudes = np.geomspace(0.013, 19.7, 18)
    signed = np.stack([magnitudes, -magnitudes[::-1]], axis=1).ravel()
    return np.append(signed, 0.0).astype(jnp.dtype(dtype))


def tile(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The values repeated to fill a shape."""
    return np.resize(values, shape)


class Baseline:
    """Value, slope and curvature at `points`, one scalar at a time, without jit.

    A function that fails on scalars is evaluated on a vector instead: that it
    fails on scalars is for the check of shapes to say. Points at which the value
    is NaN lie outside its domain, and others take their place.

    Args:
      subject: the function.
      zero: whether zero, where kinks are, is among the points.
    """

    def __init__(self, subject: Subject, *, zero: bool = True):
        self.subject = subject
        self.points = points(subject.dtype)
        if not zero:
            self.points = self.points[self.points != 0]
        inside = self._domain()
        self.outside = int((~inside).sum())
        self.points = tile(self.points[inside], self.points.shape)
        self._orders: dict[int, np.ndarray] = {}

    def _domain(self) -> np.ndarray:
        """Where the value is not NaN; everywhere if it is so nowhere."""
        everywhere = np.ones(self.points.shape, bool)
        try:
            with neutral(self.subject.dtype):
                y = np.asarray(self.subject(jnp.asarray(self.points)))
            inside = ~np.isnan(y.astype(np.float64))
        except Exception:
            return everywhere
        return (
            inside if inside.shape == everywhere.shape and inside.any() else everywhere
        )

    def order(self, order: int) -> np.ndarray:
        if order not in self._orders:
            self._orders[order] = self._evaluate(order)
        return self._orders[order]

    def _evaluate(self, order: int) -> np.ndarray:
        function: Callable[[Any], Any] = self.subject
        for _ in range(order):
            function = jax.grad(function)
        try:
            found = [function(jnp.asarray(p)) for p in self.points]
        except Exception:
            found = []
        if found and all(_is_floating(y) and np.shape(y) == () for y in found):
            return np.stack([np.asarray(y) for y in found])
        function = self.subject
        for _ in range(order):
            function = summed_gradient(function)
        y = function(jnp.asarray(self.points))
        if not isinstance(y, jax.Array | np.ndarray):
            raise Broken(f"the function gives a {type(y).__name__}, not an array")
        if y.shape != self.points.shape:
            raise Broken(
                f"the function on shape {self.points.shape} gives shape {y.shape}"
            )
        if not jnp.issubdtype(y.dtype, jnp.floating):
            raise Broken(f"the function on {self.points.dtype} gives {y.dtype}")
        return np.asarray(y)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls under jit, which compiles once instead of once an operation.

        A function that jit refuses is called eagerly: that jit refuses it is
        for the check of jit to say.
        """
        if self.jits:
            return jax.jit(function)(*arguments)
        return function(*arguments)

    def trace(self, function: Callable[..., Any], x: Any) -> Any:
        """Shape and dtype of a result, which only takes tracing.

        A function that jit refuses is called.
        """
        if self.jits:
            return jax.eval_shape(function, x)
        return function(jnp.zeros(x.shape, x.dtype))

    def together(
        self,
        programs: Mapping[str, Callable[[Any], Any]],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> dict[str, Any]:
        """Results of several programs, compiled as one where that is possible.

        Where it is not, they run one by one, and the result of one that fails is
        the exception that it raised.

        Args:
          programs: by name, functions of one array.
          shapes: by name, the shape of that array.
        """

        def everything(arguments: Mapping[str, Any]) -> dict[str, Any]:
            return {name: run(arguments[name]) for name, run in programs.items()}

        results: dict[str, Any] = {}
        with neutral(self.subject.dtype):
            arguments = {name: self.x(shape) for name, shape in shapes.items()}
            if self.jits:
                try:
                    return jax.jit(everything)(arguments)
                except Exception:
                    pass  # one by one it will show which it was
            for name, run in programs.items():
                try:
                    results[name] = self.run(run, arguments[name])
                except Exception as error:
                    results[name] = error
        return results

    @functools.cached_property
    def jits(self) -> bool:
        """Whether the function can be traced at all."""
        try:
            jax.eval_shape(lambda x: self.subject(x), jnp.asarray(self.points))
        except Exception:
            return False
        return True

    def x(self, shape: tuple[int, ...]) -> jax.Array:
        return jnp.asarray(tile(self.points, shape))

    def same(
        self, way: str, got: Any, order: int = 0, shape: tuple[int, ...] = (37,)
    ) -> float:
        """Compares a result for ``x(shape)`` with the baseline."""
        return compare(
            got,
            tile(self.order(order), shape),
            tile(self.points, shape),
            floor=self.subject.floor,
            max_ulp=self.subject.allowed(order),
            ways=(way, "plain eager evaluation"),
        )

    def established(self, highest: int) -> tuple[list[Finding], int]:
        """Whether there is a baseline to compare with, up to a derivative.

        Returns:
          A finding on plain eager evaluation, one more for the first derivative
          that cannot be evaluated at all, and the number of orders that can.
        """
        highest = highest if self.subject.has_derivatives else 0
        findings = []
        for order in range(highest + 1):
            label = ("eager", "eager grad", "eager grad of grad")[order]
            finding = attempt(
                "transform",
                label,
                functools.partial(self._established, order),
                dtype=self.subject.dtype,
                order=order,
            )
            if order == 0 or not finding.passed:
                findings.append(finding)
            if order not in self._orders:
                missing = "nothing else was tried" if order == 0 else "not compared"
                findings[-1] = dataclasses.replace(
                    finding, message=f"{finding.message} ({missing})"
                )
                return findings, order
        return findings, highest + 1

    def _established(self, order: int) -> Outcome:
        got = self.order(order).dtype
        if got != self.points.dtype:
            raise Broken(
                f"{('the value', 'the slope', 'the curvature')[order]} for "
                f"{self.points.dtype} input is {got}, not {self.points.dtype}"
            )
        if self.outside:
            return Outcome(
                f"runs; NaN at {self.outside} of {self.points.size} points, which "
                "are left out"
            )
        return Outcome("runs")


def summed_gradient(function: Callable[[Any], Any]) -> Callable[[Any], jax.Array]:
    """The elementwise derivative, by reverse mode."""
    return jax.grad(lambda x: jnp.sum(function(x)))


def resolve(function: Callable[..., Any] | str) -> Callable[..., Any]:
    """A callable, ``"module:name"`` or the name of a registered activation.

    Raises:
      ValueError: if the name leads nowhere.
    """
    if not isinstance(function, str):
        return function
    module_name, colon, name = function.partition(":")
    if not colon:
        import jaxacts

        return jaxacts.get(function)
    try:
        module = importlib.import_module(module_name)
        found = functools.reduce(getattr, name.split("."), module)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"function={function!r} cannot be imported ({describe(error)}); "
            "give 'package.module:name'"
        ) from error
    if not callable(found):
        raise ValueError(
            f"function={function!r} names a {type(found).__name__}, not a callable"
        )
    return found


def address(function: Callable[..., Any]) -> str | None:
    """``"module:name"`` under which another process finds this very function."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if not module or not name or module == "__main__":
        return None
    try:
        found = resolve(f"{module}:{name}")
    except ValueError:
        return None
    return f"{module}:{name}" if found is function else None


def selected(names: Sequence[str], only: Sequence[str] | None) -> tuple[str, ...]:
    """The names to run, in their own order.

    Raises:
      ValueError: if ``only`` holds a name that does not exist.
    """
    if only is None:
        return tuple(names)
    unknown = [name for name in only if name not in names]
    if unknown:
        raise ValueError(
            f"only={unknown!r} names no check; accepted are {', '.join(names)}"
        )
    return tuple(name for name in names if name in only)
