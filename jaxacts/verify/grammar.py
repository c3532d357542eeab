"""Reference formulas as text, in a small arithmetic grammar.

::

    formula    = sum [ ("<" | "<=" | ">" | ">=") sum ]        (inside where only)
    sum        = product { ("+" | "-") product }
    product    = sign { ("*" | "/") sign }
    sign       = { "+" | "-" } power
    power      = atom [ ("**" | "^") sign ]
    atom       = number | name | name "(" formula { "," formula } ")" | "(" sum ")"

Names are ``x``, ``pi``, the parameters, and the functions of the namespace.
``where(x > 0, a, b)`` is ``a`` where the comparison holds and ``b`` elsewhere.
Numbers are taken as exact decimals. Nothing is ever evaluated as Python.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["FormulaError", "parse"]

_FUNCTIONS = {
    **dict.fromkeys(("exp", "expm1", "log", "log1p", "sqrt", "tanh"), 1),
    **dict.fromkeys(("sin", "cos", "atan", "erf", "erfc", "abs"), 1),
    **dict.fromkeys(("sigmoid", "softplus"), 1),
    **dict.fromkeys(("max", "min"), 2),
    "where": 3,
}

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<symbol>\*\*|<=|>=|[-+*/^(),<>]))"
)

# Parsing and tracing recurse; a formula this deep is a mistake or an attack.
_DEEPEST = 100
_LONGEST = 10_000
_EXPONENT_DIGITS = 4

_Node = Callable[[Any, dict[str, Any]], Any]


class FormulaError(ValueError):
    """A formula that does not follow the grammar.

    Attributes:
      column: where, counted from 1.
    """

    def __init__(self, text: str, position: int, message: str):
        self.column = position + 1
        start = max(0, position - 40)
        line = text[start : position + 40]
        pointer = " " * (position - start) + "^"
        super().__init__(f"column {self.column}: {message}\n  {line}\n  {pointer}")


def parse(text: str, parameters: Iterable[str] = ()) -> Callable[..., Any]:
    """Turns a formula into a reference function.

    Args:
      text: the formula, such as ``"x*tanh(log(1+exp(x)))"``.
      parameters: names that may occur besides ``x`` and ``pi``.

    Returns:
      ``reference(m, x, **parameters)``.

    Raises:
      FormulaError: where the formula breaks the grammar.

    Example:
      >>> from jaxacts.verify.expression import trace
      >>> len(trace(parse("x/(1 + exp(-beta*x))", ["beta"]), {"beta": 1.5}).key)
      64
    """
    if len(text) > _LONGEST:
        raise FormulaError(text, _LONGEST, "the formula is too long")
    parser = _Parser(text, parameters)
    node = parser.sum()
    parser.expect_end()

    def reference(m: Any, x: Any, **values: Any) -> Any:
        return node(m, {"x": x, "pi": m.pi, **values})

    return reference


class _Parser:
    def __init__(self, text: str, parameters: Iterable[str]):
        self.text = text
        self.names = {"x", "pi", *parameters}
        self.position = 0
        self.depth = 0
        self._next()

    def _next(self) -> None:
        match = _TOKEN.match(self.text, self.position)
        if match:
            self.kind = match.lastgroup or ""
            self.token = match.group(self.kind)
            self.start = match.start(self.kind)
            self.position = match.end()
            return
        rest = self.text[self.position :]
        self.start = self.position + len(rest) - len(rest.lstrip())
        if rest.strip():
            self.fail(f"unexpected {rest.strip()[0]!r}")
        self.kind, self.token = "end", ""

    def fail(self, message: str, at: int | None = None) -> None:
        raise FormulaError(self.text, self.start if at is None else at, message)

    def accept(self, *symbols: str) -> str:
        """The symbol, if it is one of these, and moves past it."""
        if self.kind == "symbol" and self.token in symbols:
            token = self.token
            self._next()
            return token
        return ""

    def expect(self, symbol: str) -> None:
        if not self.accept(symbol):
            self.fail(f"expected {symbol!r}, found {self._found()}")

    def expect_end(self) -> None:
        if self.kind != "end":
            self.fail(f"expected an operator or the end, found {self._found()}")

    def _found(self) -> str:
        return repr(self.token) if self.kind != "end" else "the end"

    def sum(self) -> _Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail("the formula is nested too deeply")
        first, rest = self.product(), []
        while symbol := self.accept("+", "-"):
            rest.append((symbol, self.product()))
        self.depth -= 1
        return _chain(first, rest)

    def product(self) -> _Node:
        first, rest = self.sign(), []
        while symbol := self.accept("*", "/"):
            rest.append((symbol, self.sign()))
        return _chain(first, rest)

    def sign(self) -> _Node:
        negative = False
        while symbol := self.accept("+", "-"):
            negative ^= symbol == "-"
        node = self.power()
        if not negative:
            return node
        return lambda m, names: -node(m, names)

    def power(self) -> _Node:
        base = self.atom()
        if not self.accept("**", "^"):
            return base
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail("the formula is nested too deeply")
        exponent = self.sign()
        self.depth -= 1
        return lambda m, names: base(m, names) ** exponent(m, names)

    def atom(self) -> _Node:
        token, start = self.token, self.start
        if self.kind == "number":
            if len(token.lower().partition("e")[2].lstrip("+-")) > _EXPONENT_DIGITS:
                self.fail(f"the exponent of {token} is too large")
            self._next()
            return lambda m, names: m.const(token)
        if self.kind == "name":
            self._next()
            if self.accept("("):
                return self.call(token, start)
            if token not in self.names:
                self._unknown(token, start)
            return lambda m, names: names[token]
        if self.accept("("):
            node = self.sum()
            self.expect(")")
            return node
        self.fail(f"expected a number, a name or '(', found {self._found()}")
        raise AssertionError

    def _unknown(self, name: str, start: int) -> None:
        if name in _FUNCTIONS:
            self.fail(f"{name} is a function; write {name}(...)", start)
        near = difflib.get_close_matches(name, [*self.names, *_FUNCTIONS], 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        known = ", ".join(sorted(self.names))
        self.fail(f"unknown name {name!r}{hint} (known: {known})", start)

    def call(self, name: str, start: int) -> _Node:
        if name not in _FUNCTIONS:
            near = difflib.get_close_matches(name, _FUNCTIONS, 3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            self.fail(f"unknown function {name!r}{hint}", start)
        condition = self.comparison() if name == "where" else None
        arguments = [] if condition else [self.sum()]
        while self.accept(","):
            arguments.append(self.sum())
        wanted = _FUNCTIONS[name] - (condition is not None)
        if len(arguments) != wanted:
            came = len(arguments) + (condition is not None)
            self.fail(f"{name} takes {_FUNCTIONS[name]} arguments, got {came}", start)
        self.expect(")")
        if condition:
            return _where(*condition, *arguments)
        return lambda m, names: getattr(m, name)(*(a(m, names) for a in arguments))

    def comparison(self) -> tuple[str, _Node, _Node]:
        left = self.sum()
        symbol = self.accept("<", "<=", ">", ">=")
        if not symbol:
            self.fail(f"expected a comparison, found {self._found()}")
        return symbol, left, self.sum()


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def _chain(first: _Node, rest: list[tuple[str, _Node]]) -> _Node:
    """A sum or product from left to right, without a recursion for each term."""
    if not rest:
        return first

    def node(m: Any, names: dict[str, Any]) -> Any:
        value = first(m, names)
        for symbol, term in rest:
            value = _OPERATIONS[symbol](value, term(m, names))
        return value

    return node


def _where(symbol: str, left: _Node, right: _Node, yes: _Node, no: _Node) -> _Node:
    below, above = (yes, no) if symbol in ("<", "<=") else (no, yes)
    owner = "left" if symbol in ("<=", ">") else "right"

    def node(m: Any, names: dict[str, Any]) -> Any:
        return m.piecewise(
            left(m, names) - right(m, names),
            [(0, owner)],
            [lambda: below(m, names), lambda: above(m, names)],
        )

    return node
