"""Reference formulas as text: what they mean, and where they go wrong."""

from __future__ import annotations

import numpy as np
import pytest

from jaxacts.verify.expression import TraceError, trace
from jaxacts.verify.grammar import FormulaError, parse
from jaxacts.verify.oracle import Oracle


def value(text, x, **parameters):
    program = trace(parse(text, parameters), parameters)
    return Oracle(program, 0).at(x)[0][0]


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        ("x*tanh(log(1+exp(x)))", 1.0, np.tanh(np.log1p(np.e))),
        ("-x^2", 3.0, -9.0),
        ("(-x)^2", 3.0, 9.0),
        ("2^3^2", 0.0, 512.0),
        ("2**-x", 2.0, 0.25),
        ("1 - 2 - 3", 0.0, -4.0),
        ("12/3/2", 0.0, 2.0),
        ("2 + 3*4", 0.0, 14.0),
        (" - - x ", 5.0, 5.0),
        (".5e1*x", 2.0, 10.0),
        ("1.e-1*x", 10.0, 1.0),
        ("max(x, min(2, 3)) + abs(-1)", 0.0, 3.0),
        ("pi", 0.0, np.pi),
        ("erf(x) + erfc(x)", 0.3, 1.0),
        ("sqrt(x)*x**0.5", 2.0, 2.0),
        ("where(x > 0, x, exp(x) - 1)", 0.0, 0.0),
        ("where(x < 0, 1, 2)", 0.0, 2.0),
        ("where(x <= 0, 1, 2)", 0.0, 1.0),
        ("where(x >= 0, 1, 2)", 0.0, 1.0),
        ("where(x > 0, 1, 2)", 0.0, 2.0),
        ("where(2*x > x + 1, 1, 2)", 1.5, 1.0),
    ],
)
def test_formula_means_what_mathematics_says(text, x, expected):
    assert value(text, x) == pytest.approx(expected, rel=1e-15)


def test_decimals_are_exact_and_not_doubles():
    assert value("0.1*10 - 1", 0.0) == 0
    # The double 0.1 lies above one tenth.
    assert value("0.1 - tenth", 0.0, tenth=0.1) == pytest.approx(-5.55e-18, rel=1e-3)


def test_parameters_are_names_of_their_own():
    assert value("beta*x", 2.0, beta=1.5) == 3.0


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("x + ", 5, "expected a number, a name or '(', found the end"),
        ("x*(1+x", 7, "expected ')', found the end"),
        ("x)", 2, "expected an operator or the end, found ')'"),
        ("x $ 2", 3, "unexpected '$'"),
        ("2 x", 3, "expected an operator or the end, found 'x'"),
        ("tan(x)", 1, "unknown function 'tan'"),
        ("x*thanh(x)", 3, "did you mean tanh"),
        ("x + bta", 5, "unknown name 'bta'"),
        ("exp", 1, "write exp(...)"),
        ("max(x)", 1, "max takes 2 arguments, got 1"),
        ("exp(x, 2)", 1, "exp takes 1 arguments, got 2"),
        ("where(x, 1, 2)", 8, "expected a comparison, found ','"),
        ("x < 1", 3, "expected an operator or the end, found '<'"),
        ("1e99999*x", 1, "the exponent of 1e99999 is too large"),
        ("", 1, "found the end"),
        ("__import__(x)", 1, "unknown function '__import__'"),
        ("x.__class__", 2, "unexpected '.'"),
        ("(" * 200 + "x" + ")" * 200, 101, "nested too deeply"),
        ("-" * 9999 + "x", 10001, None),
        ("x" + "+x" * 6000, 10001, "too long"),
    ],
)
def test_an_error_names_the_column(text, column, message):
    if message is None:
        assert value(text, 1.0) == -1.0
        return
    with pytest.raises(FormulaError) as caught:
        parse(text, ["beta"])
    assert caught.value.column == column
    assert message in str(caught.value)


def test_the_pointer_stands_below_the_column():
    with pytest.raises(FormulaError) as caught:
        parse("x*tan(x)")
    _, line, pointer = str(caught.value).splitlines()
    assert line[pointer.index("^") :].startswith("tan(x)")


def test_a_long_sum_is_no_recursion():
    assert value("x" + "+x" * 4000, 1.0) == 4001.0


@pytest.mark.parametrize("text", ["9**9**9", "x**99999", "2**1000000", "x**-99999"])
def test_a_power_of_astronomical_size_is_refused(text):
    with pytest.raises(TraceError, match="too large"):
        trace(parse(text))


def test_division_by_the_constant_zero_is_refused():
    with pytest.raises(TraceError, match="divides by the constant zero"):
        trace(parse("x/(1 - 1)"))
