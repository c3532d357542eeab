"""A reference formula as a graph: traced once, evaluated in any arithmetic.

A reference is an ordinary function ``reference(m, x, **parameters)``. Called
with ``m = Symbols()`` it leaves a graph of exact operations behind, and the
graph is what is evaluated on Arb balls, on power series and with mpmath, what
is sent to worker processes, and what the cache of truths is keyed by.

Where the naive formula cancels completely in a tail (``1 + tanh(y)`` for
``y -> -inf``) the graph holds the identity that does not (``2 sigmoid(2y)``).
These are identities, not approximations; ``Symbols(simplify=False)`` leaves
them out, and the cross-check with mpmath uses that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import numbers
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["Expression", "Program", "Symbols", "TraceError", "trace"]

# Largest integer power that is expanded; beyond it a mistyped exponent would
# build a graph or a ball of astronomical size.
_LARGEST_POWER = 1024


class TraceError(ValueError):
    """A reference formula that cannot be traced or evaluated."""


class Expression:
    """One node: an operation on earlier nodes of the same graph."""

    __array_ufunc__ = None
    __slots__ = ("arguments", "graph", "index", "operation", "payload")

    def __init__(
        self,
        graph: Symbols,
        index: int,
        operation: str,
        arguments: tuple[Expression, ...],
        payload: Any,
    ):
        self.graph = graph
        self.index = index
        self.operation = operation
        self.arguments = arguments
        self.payload = payload

    def __add__(self, other: Any) -> Expression:
        return self.graph.add(self, self.graph.wrap(other))

    def __radd__(self, other: Any) -> Expression:
        return self.graph.add(self.graph.wrap(other), self)

    def __sub__(self, other: Any) -> Expression:
        return self.graph.subtract(self, self.graph.wrap(other))

    def __rsub__(self, other: Any) -> Expression:
        return self.graph.subtract(self.graph.wrap(other), self)

    def __mul__(self, other: Any) -> Expression:
        return self.graph.multiply(self, self.graph.wrap(other))

    def __rmul__(self, other: Any) -> Expression:
        return self.graph.multiply(self.graph.wrap(other), self)

    def __truediv__(self, other: Any) -> Expression:
        return self.graph.divide(self, self.graph.wrap(other))

    def __rtruediv__(self, other: Any) -> Expression:
        return self.graph.divide(self.graph.wrap(other), self)

    def __pow__(self, other: Any) -> Expression:
        return self.graph.power(self, self.graph.wrap(other))

    def __rpow__(self, other: Any) -> Expression:
        return self.graph.power(self.graph.wrap(other), self)

    def __neg__(self) -> Expression:
        return self.graph.negative(self)

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return self.graph.abs(self)

    # Parameters are known numbers, so a reference may branch on them; x is not.
    def _order(self, other: Any) -> int:
        other = self.graph.wrap(other)
        if self.operation != "constant" or other.operation != "constant":
            raise TraceError(
                "a reference cannot branch on x with a Python comparison; "
                "write m.piecewise, m.max, m.min or m.abs"
            )
        return (self.payload > other.payload) - (self.payload < other.payload)

    def __lt__(self, other: Any) -> bool:
        return self._order(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._order(other) <= 0

    def __gt__(self, other: Any) -> bool:
        return self._order(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._order(other) >= 0

    def __eq__(self, other: Any) -> bool:
        return self is other or self._order(other) == 0

    def __hash__(self) -> int:
        return hash((id(self.graph), self.index))

    def __bool__(self) -> bool:
        raise TraceError("a reference cannot use a traced number as a condition")

    def __float__(self) -> float:
        raise TraceError(
            "a reference cannot turn a traced number into a float; use the "
            "functions of the namespace m"
        )


class Symbols:
    """The namespace ``m`` that records what a reference does.

    Args:
      simplify: replace sub-formulas that cancel by identities that do not.
    """

    def __init__(self, simplify: bool = True):
        self.simplify = simplify
        self.nodes: list[Expression] = []
        self._known: dict[tuple[Any, ...], Expression] = {}

    def _node(self, operation: str, *arguments: Expression, payload: Any = None):
        key = (operation, tuple(a.index for a in arguments), payload)
        if key not in self._known:
            node = Expression(self, len(self.nodes), operation, arguments, payload)
            self.nodes.append(node)
            self._known[key] = node
        return self._known[key]

    def wrap(self, value: Any) -> Expression:
        """Takes a Python or NumPy number exactly, and an expression as it is."""
        if isinstance(value, Expression):
            if value.graph is not self:
                raise TraceError("an expression of another reference was used")
            return value
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, numbers.Rational):
            return self._node("constant", payload=Fraction(value))
        if isinstance(value, float):
            if not np.isfinite(value):
                raise TraceError(f"a reference cannot use the constant {value}")
            return self._node("constant", payload=Fraction(value))
        raise TraceError(
            f"a reference cannot use a value of type {type(value).__name__}: {value!r}"
        )

    def const(self, text: str | int | float) -> Expression:
        """The exact value of a decimal or a fraction, such as "0.044715"."""
        try:
            return self._node("constant", payload=Fraction(text))
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise TraceError(f"{text!r} is not a decimal number") from error

    def variable(self) -> Expression:
        return self._node("x")

    @property
    def pi(self) -> Expression:
        return self._node("pi")

    # -- arithmetic ---------------------------------------------------------

    def add(self, a: Expression, b: Expression) -> Expression:
        if a.operation == b.operation == "constant":
            return self._node("constant", payload=a.payload + b.payload)
        if _is(a, 0):
            return b
        if _is(b, 0):
            return a
        if self.simplify:
            for one, other in ((a, b), (b, a)):
                if _is(one, 1):
                    if other.operation == "tanh":
                        return 2 * self.sigmoid(2 * other.arguments[0])
                    if other.operation == "erf":
                        return self.erfc(-other.arguments[0])
                if _is(one, -1) and other.operation == "exp":
                    return self.expm1(other.arguments[0])
                if other.operation == "negative":
                    return self.subtract(one, other.arguments[0])
        return self._node("add", a, b)

    def subtract(self, a: Expression, b: Expression) -> Expression:
        if a.operation == b.operation == "constant":
            return self._node("constant", payload=a.payload - b.payload)
        if a is b:
            return self.wrap(0)
        if _is(b, 0):
            return a
        if self.simplify:
            if _is(a, 1):
                if b.operation == "tanh":
                    return 2 * self.sigmoid(-2 * b.arguments[0])
                if b.operation == "erf":
                    return self.erfc(b.arguments[0])
                if b.operation == "sigmoid":
                    return self.sigmoid(-b.arguments[0])
            if _is(b, 1) and a.operation == "exp":
                return self.expm1(a.arguments[0])
            if b.operation == "negative":
                return self.add(a, b.arguments[0])
        return self._node("subtract", a, b)

    def multiply(self, a: Expression, b: Expression) -> Expression:
        if a.operation == b.operation == "constant":
            return self._node("constant", payload=a.payload * b.payload)
        if _is(a, 1):
            return b
        if _is(b, 1):
            return a
        return self._node("multiply", a, b)

    def divide(self, a: Expression, b: Expression) -> Expression:
        if _is(b, 0):
            raise TraceError("a reference divides by the constant zero")
        if a.operation == b.operation == "constant":
            return self._node("constant", payload=a.payload / b.payload)
        if _is(b, 1):
            return a
        if self.simplify and b.operation == "add":
            for one, other in (b.arguments, b.arguments[::-1]):
                if _is(one, 1) and other.operation == "exp":
                    if a is other:
                        return self.sigmoid(other.arguments[0])
                    return self.multiply(a, self.sigmoid(-other.arguments[0]))
        return self._node("divide", a, b)

    def negative(self, a: Expression) -> Expression:
        if a.operation == "constant":
            return self._node("constant", payload=-a.payload)
        if a.operation == "negative":
            return a.arguments[0]
        return self._node("negative", a)

    def power(self, a: Expression, b: Expression) -> Expression:
        if b.operation == "constant" and b.payload.denominator == 1:
            exponent = int(b.payload)
            if abs(exponent) > _LARGEST_POWER:
                raise TraceError(f"the power {exponent} is too large")
            if a.operation == "constant" and _size(a.payload) * abs(exponent) > 1e5:
                raise TraceError(f"the power {exponent} of a constant is too large")
            if a.operation == "constant" and (exponent >= 0 or a.payload != 0):
                return self._node("constant", payload=a.payload**exponent)
            if exponent < 0:
                return self.divide(self.wrap(1), self.power(a, self.wrap(-exponent)))
            if exponent == 0:
                return self.wrap(1)
            return self._node("integer_power", a, payload=exponent)
        if b.operation == "constant" and b.payload == Fraction(1, 2):
            return self.sqrt(a)
        return self.exp(self.multiply(b, self.log(a)))

    # -- functions ----------------------------------------------------------

    def _unary(self, operation: str, a: Any) -> Expression:
        return self._node(operation, self.wrap(a))

    def exp(self, a: Any) -> Expression:
        return self._unary("exp", a)

    def expm1(self, a: Any) -> Expression:
        return self._unary("expm1", a)

    def log(self, a: Any) -> Expression:
        a = self.wrap(a)
        if self.simplify and a.operation == "add":
            for one, other in (a.arguments, a.arguments[::-1]):
                if _is(one, 1):
                    return self.log1p(other)
        return self._unary("log", a)

    def log1p(self, a: Any) -> Expression:
        a = self.wrap(a)
        if self.simplify and a.operation == "exp":
            return self.softplus(a.arguments[0])
        return self._unary("log1p", a)

    def sqrt(self, a: Any) -> Expression:
        return self._unary("sqrt", a)

    def tanh(self, a: Any) -> Expression:
        return self._unary("tanh", a)

    def sin(self, a: Any) -> Expression:
        return self._unary("sin", a)

    def cos(self, a: Any) -> Expression:
        return self._unary("cos", a)

    def atan(self, a: Any) -> Expression:
        return self._unary("atan", a)

    def erf(self, a: Any) -> Expression:
        return self._unary("erf", a)

    def erfc(self, a: Any) -> Expression:
        return self._unary("erfc", a)

    def sigmoid(self, a: Any) -> Expression:
        return self._unary("sigmoid", a)

    def softplus(self, a: Any) -> Expression:
        return self._unary("softplus", a)

    def abs(self, a: Any) -> Expression:
        a = self.wrap(a)
        if a.operation == "constant":
            return self._node("constant", payload=abs(a.payload))
        return self._unary("abs", a)

    def max(self, a: Any, b: Any) -> Expression:
        return self._extremum("max", max, a, b)

    def min(self, a: Any, b: Any) -> Expression:
        return self._extremum("min", min, a, b)

    def _extremum(self, name: str, pick: Callable[..., Any], a: Any, b: Any):
        a, b = self.wrap(a), self.wrap(b)
        if a.operation == b.operation == "constant":
            return self._node("constant", payload=pick(a.payload, b.payload))
        return a if a is b else self._node(name, a, b)

    def piecewise(
        self,
        x: Any,
        breaks: Sequence[tuple[Any, str]],
        pieces: Sequence[Callable[[], Any]],
    ) -> Expression:
        """A function given piece by piece.

        Args:
          x: what decides which piece is active.
          breaks: ascending ``(point, owner)``; the owner, "left" or "right", is
            the piece whose value and derivatives hold at the point itself.
          pieces: one zero-argument callable more than there are breaks.
        """
        if len(pieces) != len(breaks) + 1:
            raise TraceError(
                f"piecewise takes one piece more than breaks; {len(breaks)} breaks "
                f"and {len(pieces)} pieces came"
            )
        for _, owner in breaks:
            if owner not in ("left", "right"):
                raise TraceError(
                    f"the owner of a break is 'left' or 'right', not {owner!r}"
                )
        points = [self.wrap(point) for point, _ in breaks]
        traced = [self.wrap(piece()) for piece in pieces]
        owners = tuple(owner for _, owner in breaks)
        return self._node("piecewise", self.wrap(x), *points, *traced, payload=owners)


def _size(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _is(node: Expression, value: int) -> bool:
    return node.operation == "constant" and node.payload == value


@dataclasses.dataclass(frozen=True)
class Program:
    """A traced reference: plain data, in an order that can be executed.

    Attributes:
      instructions: ``(operation, argument indices, payload)``, arguments first.
      root: index of the instruction whose value is the function's.
    """

    instructions: tuple[tuple[str, tuple[int, ...], Any], ...]
    root: int

    @property
    def key(self) -> str:
        """Identifies the formula with all its constants, across processes."""
        text = repr((self.instructions, self.root))
        return hashlib.sha256(text.encode()).hexdigest()

    def dependencies(self, index: int) -> tuple[int, ...]:
        """Arguments that are evaluated whatever x is: not a piece's body."""
        operation, arguments, payload = self.instructions[index]
        if operation == "piecewise":
            return arguments[: 1 + len(payload)]
        return arguments


def trace(
    reference: Callable[..., Any],
    parameters: Mapping[str, Any] | None = None,
    static: Mapping[str, Any] | None = None,
    *,
    simplify: bool = True,
) -> Program:
    """Records what a reference computes.

    Args:
      reference: called as ``reference(m, x, **parameters, **static)``.
      parameters: numbers and tuples of numbers, taken exactly.
      static: keywords passed as they are, such as ``approximate=True``.
      simplify: as in ``Symbols``.

    Returns:
      The formula as a ``Program``.

    Raises:
      TraceError: for a reference that leaves the namespace.
    """
    m = Symbols(simplify)
    x = m.variable()
    numeric = {
        name: tuple(map(m.wrap, value)) if isinstance(value, tuple) else m.wrap(value)
        for name, value in (parameters or {}).items()
    }
    try:
        root = m.wrap(reference(m, x, **numeric, **(static or {})))
    except (AttributeError, TypeError) as error:
        name = getattr(reference, "__name__", "reference")
        raise TraceError(f"{name} could not be traced: {error}") from error
    return _prune(m, root)


def _prune(m: Symbols, root: Expression) -> Program:
    """Keeps what the root needs, renumbered in order of execution."""
    needed: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node.index not in needed:
            needed.add(node.index)
            stack.extend(node.arguments)
    order = sorted(needed)
    position = {index: place for place, index in enumerate(order)}
    instructions = tuple(
        (
            m.nodes[index].operation,
            tuple(position[a.index] for a in m.nodes[index].arguments),
            m.nodes[index].payload,
        )
        for index in order
    )
    return Program(instructions, position[root.index])
