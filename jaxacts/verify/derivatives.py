"""Derivatives against each other: modes, differences, and the plain formula."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._compare import Broken, Outcome, attempt, compare, describe, neutral
from ._finding import Finding
from ._subject import Baseline, Subject, resolve, selected, summed_gradient
from .expression import Program, trace
from .parameters import finite_differences

__all__ = ["CHECKS", "check", "plain_derivative"]

CHECKS = (
    "jvp and vjp",
    "orders of differentiation",
    "finite differences",
    "third derivative",
    "plain formula",
)

# By size of the dtype, in units of ulp(max(|t|, 1)). A naive rule may cancel a
# little; an error of 0.05% is 4,000 in float32. In float64 differences resolve
# 1e-9, and a constant frozen at float32 is wrong by 1e-8.
_DIFFERENCES_ULP = {8: 2.0**24, 4: 64.0, 2: 8.0}
_FORMULA_ULP = {8: 2.0**16, 4: 64.0, 2: 8.0}
# The third derivative is promised to 1e-3 of max(|t|, 1).
_THIRD = 1e-3


def check(
    function: Callable[..., Any] | str,
    *,
    dtypes: Sequence[str] = ("float32",),
    params: Mapping[str, Any] | None = None,
    keeps_integers: bool = False,
    reference: Callable[..., Any] | None = None,
    max_ulp: float = 2.0,
    floor: float = 1.0,
    only: Sequence[str] | None = None,
) -> list[Finding]:
    """Compares the derivatives of a function with each other.

    Forward with reverse mode; the second derivative in all four orders of the
    modes; the first and second with finite differences in float64; all three
    with `jax.grad` of the plain formula in float64, where there is one.

    Args:
      function, dtypes, params, max_ulp, floor: as in
        `jaxacts.verify.transforms.check`. 8-bit types are passed over.
      keeps_integers: accepted for uniformity.
      reference: the plain formula ``reference(m, x, **params)``.
      only: names from `CHECKS`; all of them by default.

    Returns:
      Findings with ``check="derivative"``.

    Raises:
      ValueError: for an unknown name in ``only`` or an address that leads nowhere.

    >>> import jax
    >>> from jaxacts.verify import derivatives
    >>> found = derivatives.check(jax.nn.silu, only=["plain formula"],
    ...                           reference=lambda m, x: x / (1 + m.exp(-x)))
    >>> [finding.passed for finding in found]
    [True, True, True]
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
        if not subject.has_derivatives:
            continue
        case = _Case(subject, reference)
        tasks: list[tuple[str, int | None, Callable[[], Outcome]]] = [
            ("jvp and vjp", 1, case.modes),
            ("orders of differentiation", 2, case.mixed_modes),
            ("finite differences", 1, functools.partial(case.differences, 1)),
            ("finite differences", 2, functools.partial(case.differences, 2)),
            ("third derivative", 3, case.third),
        ]
        if reference is not None:
            tasks += [
                ("plain formula", order, functools.partial(case.formula, order))
                for order in (1, 2, 3)
            ]
        findings += [
            attempt("derivative", name, body, dtype=dtype, order=order)
            for name, order, body in tasks
            if name in names
        ]
    return findings


def _forward(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


_MODES = {"forward": _forward, "reverse": summed_gradient}


class _Case:
    """A subject, its plain formula, and the points without the one at zero."""

    def __init__(self, subject: Subject, reference: Callable[..., Any] | None):
        self.subject = subject
        self.reference = reference
        self.baseline = Baseline(subject, zero=False)
        self.points = self.baseline.points
        self._found: dict[int, np.ndarray] = {}

    def derivative(self, order: int) -> np.ndarray:
        if order not in self._found:
            function: Callable[[Any], Any] = self.subject
            for _ in range(order):
                function = summed_gradient(function)
            result = self.baseline.run(function, jnp.asarray(self.points))
            self._found[order] = np.asarray(result)
        return self._found[order]

    def modes(self) -> Outcome:
        """Forward and reverse mode read the same rule."""
        return self._agree({"jvp": ("forward",), "vjp": ("reverse",)}, 1)

    def mixed_modes(self) -> Outcome:
        ways = {
            "reverse over reverse": ("reverse", "reverse"),
            "forward over reverse": ("reverse", "forward"),
            "reverse over forward": ("forward", "reverse"),
            "forward over forward": ("forward", "forward"),
        }
        return self._agree(ways, 2)

    def _agree(self, ways: Mapping[str, Sequence[str]], order: int) -> Outcome:
        programs: dict[str, Callable[[Any], Any]] = {}
        for way, modes in ways.items():
            function: Callable[[Any], Any] = self.subject
            for mode in modes:
                function = _MODES[mode](function)
            programs[way] = function
        found = self.baseline.together(
            programs, dict.fromkeys(programs, self.points.shape)
        )
        for way, result in found.items():
            if isinstance(result, Exception):
                raise Broken(f"{way} raised {describe(result)}") from result
        first, *others = found
        largest = max(
            compare(
                found[other],
                np.asarray(found[first]),
                self.points,
                floor=self.subject.floor,
                max_ulp=self.subject.allowed(order),
                ways=(other, first),
            )
            for other in others
        )
        return Outcome(
            f"{', '.join(found)} agree within {largest:.3g} ULP",
            measured=largest,
            bound=self.subject.allowed(order),
        )

    def differences(self, order: int) -> Outcome:
        """The derivative against differences, in float64, of the one below it."""
        function: Callable[[Any], Any] = self.subject
        for _ in range(order - 1):
            function = summed_gradient(function)
        with neutral("float64"):
            wide = np.asarray(self.points).astype(np.float64)
            below = jax.jit(function) if self.baseline.jits else function
            # One shift for all points: differences in it are differences in x.
            want = finite_differences(
                lambda shift: below(jnp.asarray(wide) + shift), 0.0
            )
        return self._close(order, want, "finite differences give", _DIFFERENCES_ULP)

    def formula(self, order: int) -> Outcome:
        with neutral("float64"):
            want = plain_derivative(
                _program(self.reference, self.subject.parameters),
                np.asarray(self.points).astype(np.float64),
                order,
            )
        return self._close(order, want, "the plain formula gives", _FORMULA_ULP)

    def third(self) -> Outcome:
        got = self.derivative(3)
        bad = np.flatnonzero(~np.isfinite(got.astype(np.float64)))
        if bad.size:
            x = float(self.points[bad[0]])
            raise Broken(
                f"the third derivative at x = {x!r} ({x.hex()}) is {got[bad[0]]}",
                input=x.hex(),
            )
        return Outcome("finite")

    def _close(
        self, order: int, want: np.ndarray, source: str, bounds: Mapping[int, float]
    ) -> Outcome:
        """Compares a derivative with one in float64, NaN where that is unknown."""
        settled = np.isfinite(want)
        if not settled.any():
            raise Broken(f"{source} no finite number at any point")
        dtype = jnp.dtype(self.subject.dtype)
        bound = bounds[dtype.itemsize]
        if order == 3:
            bound = max(bound, _THIRD / float(jnp.finfo(dtype).eps))
        unit = float(jnp.finfo(dtype).eps) * np.maximum(np.abs(want), 1.0)
        got = self.derivative(order).astype(np.float64)
        error = np.abs(got - want) / unit
        error = np.where(settled, np.where(np.isnan(error), np.inf, error), 0.0)
        worst = int(np.argmax(error))
        if error[worst] > bound:
            x = float(self.points[worst])
            raise Broken(
                f"derivative {order} at x = {x!r} ({x.hex()}) is "
                f"{float(got[worst])!r}, "
                f"{source} {want[worst]:.9g}",
                measured=float(error[worst]),
                bound=bound,
                input=x.hex(),
            )
        return Outcome(
            f"agrees at {int(settled.sum())} points",
            measured=float(error[worst]),
            bound=bound,
        )


def _program(
    reference: Callable[..., Any] | None, parameters: Mapping[str, Any]
) -> Program:
    assert reference is not None
    numbers, fixed = {}, {}
    for name, value in parameters.items():
        if isinstance(value, bool | str) or value is None:
            fixed[name] = value
        else:
            numbers[name] = value.item() if hasattr(value, "item") else value
    return trace(reference, numbers, fixed)


def plain_derivative(program: Program, x: np.ndarray, order: int) -> np.ndarray:
    """`jax.grad` of a traced reference in float64.

    Points are taken together by the pieces they lie in, so that no derivative
    runs through a piece that is not theirs and may overflow there.

    Args:
      program: the plain formula.
      x: float64 points, shape (n,). x64 must be enabled.
      order: of the derivative.

    Returns:
      float64 of shape (n,).
    """
    pieces: dict[int, np.ndarray] = {}
    _evaluate(program, jnp.asarray(x), pieces, None)
    nodes = sorted(pieces)
    lies_in = np.stack([pieces[i] for i in nodes] or [np.zeros(x.shape, int)])
    result = np.empty(x.shape)
    for combination in np.unique(lies_in, axis=1).T:
        here = (lies_in == combination[:, None]).all(axis=0)
        chosen = dict(zip(nodes, combination.tolist(), strict=False))
        function: Callable[[Any], Any] = functools.partial(
            _evaluate, program, pieces={}, chosen=chosen
        )
        for _ in range(order):
            function = summed_gradient(function)
        result[here] = np.asarray(jax.jit(function)(jnp.asarray(x[here])))
    return result


def _evaluate(
    program: Program,
    x: Any,
    pieces: dict[int, np.ndarray],
    chosen: Mapping[int, int] | None,
) -> Any:
    """The value of a program.

    Args:
      pieces: filled with the piece in which each point lies, by instruction.
      chosen: the piece to take, by instruction; None to take each point's own.
    """
    values: dict[int, Any] = {}

    def value(index: int) -> Any:
        if index not in values:
            operation, arguments, payload = program.instructions[index]
            if operation == "x":
                values[index] = x
            elif operation == "constant":
                values[index] = float(payload)
            elif operation == "pi":
                values[index] = float(np.pi)
            elif operation == "piecewise":
                values[index] = piecewise(index, arguments, payload)
            else:
                operands = [value(i) for i in arguments]
                values[index] = _JAX[operation](*operands, *_extra(payload))
        return values[index]

    def piecewise(index: int, arguments: Any, owners: Any) -> Any:
        bodies = arguments[1 + len(owners) :]
        if chosen is not None:
            return value(bodies[chosen[index]])
        position, active = np.asarray(value(arguments[0])), 0
        for point, owner in zip(arguments[1:], owners, strict=False):
            limit = value(point)
            beyond = position >= limit if owner == "right" else position > limit
            active = active + beyond.astype(int)
        pieces[index] = np.broadcast_to(active, x.shape)
        return jnp.choose(pieces[index], [value(i) + 0 * x for i in bodies])

    return value(program.root) + 0 * x


def _extra(payload: Any) -> tuple[Any, ...]:
    return () if payload is None else (payload,)


_JAX: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "negative": lambda a: -a,
    "integer_power": lambda a, exponent: a**exponent,
    "max": jnp.maximum,
    "min": jnp.minimum,
    "abs": jnp.abs,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "sqrt": jnp.sqrt,
    "tanh": jnp.tanh,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "atan": jnp.arctan,
    "erf": jax.scipy.special.erf,
    "erfc": jax.scipy.special.erfc,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
}
