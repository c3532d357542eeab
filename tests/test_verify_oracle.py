"""The truth: against mpmath, in the tails, at zeros, ties and singularities."""

from __future__ import annotations

import math
import time

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest

from jaxacts.verify.expression import TraceError, trace
from jaxacts.verify.namespaces import mpmath_taylor
from jaxacts.verify.oracle import Oracle
from jaxacts.verify.special_values import limits_of

FORMULAS = {
    "mish": lambda m, x: x * m.tanh(m.log(1 + m.exp(x))),
    "gelu erf": lambda m, x: x * (1 + m.erf(x / m.sqrt(2))) / 2,
    "gelu tanh": lambda m, x: (
        x / 2 * (1 + m.tanh(m.sqrt(2 / m.pi) * (x + m.const("0.044715") * x**3)))
    ),
    "silu": lambda m, x: x / (1 + m.exp(-x)),
    "softplus": lambda m, x: m.log(1 + m.exp(x)),
    "elu": lambda m, x: m.piecewise(
        x, [(0, "left")], [lambda: m.exp(x) - 1, lambda: x]
    ),
    "squareplus": lambda m, x: (x + m.sqrt(x * x + 4)) / 2,
    "soft_sign": lambda m, x: x / (1 + abs(x)),
    "snake": lambda m, x: x + m.sin(x) ** 2,
    "golu": lambda m, x: x * m.exp(-m.exp(-x)),
    "cosine": lambda m, x: x * m.cos(x),
    "atan": lambda m, x: m.atan(x) * m.erfc(x),
    "phish": lambda m, x: x * m.tanh(m.sigmoid(x) + m.softplus(x) + m.log1p(x * x)),
    "relu6": lambda m, x: m.min(m.max(x, 0), 6),
    "power": lambda m, x: m.expm1(x) ** 3 / (2 + x * x) ** 1.5,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_truth_agrees_with_mpmath_to_the_last_bit(name):
    program = trace(FORMULAS[name])
    # Without the identities that keep the tails: an independent evaluation.
    plain = trace(FORMULAS[name], simplify=False)
    oracle = Oracle(program, 2)
    for x in (-7.25, -1.0625, -0.001, 0.3, 2.5, 7.75):
        expected = mpmath_taylor(plain, x, 3)
        for order, (high, _, sign) in enumerate(oracle.at(x)):
            wanted = expected[order] * math.factorial(order)
            if abs(wanted) < 1e-25:  # what differences leave of an exact zero
                assert abs(high) < 1e-25
                continue
            assert high == pytest.approx(float(wanted), rel=2.0**-52), (x, order)
            assert sign == mpmath.sign(wanted)


def test_float64_truth_has_a_hundred_bits():
    oracle = Oracle(trace(FORMULAS["mish"]), 2, double=True)
    with mpmath.workdps(60):
        for x in (-30.5, -1.25, 0.7, 12.5):
            for order, (high, low, _) in enumerate(oracle.at(x)):
                wanted = mpmath_taylor(trace(FORMULAS["mish"]), x, 3, digits=90)
                exact = wanted[order] * math.factorial(order)
                error = mpmath.mpf(high) + mpmath.mpf(low) - exact
                assert abs(error) <= abs(exact) * mpmath.mpf(2) ** -100
                assert high == float(exact)


def test_constants_are_exact_at_every_precision():
    # 0.044715 as a double differs from the decimal in the 57th bit.
    program = trace(lambda m, x: m.const("0.044715") * x - x * 0.044715)
    (high, _, _), *_ = Oracle(program, 0, double=True).at(1.0)
    assert high == pytest.approx(float(mpmath.mpf("0.044715") - 0.044715), rel=1e-3)
    assert high != 0


@pytest.mark.parametrize("name", ["mish", "gelu erf", "gelu tanh", "silu"])
@pytest.mark.parametrize("x", [-745.5, -1e4, -1e10, -3.4e38, -1e300])
def test_a_vanishing_tail_keeps_its_sign(name, x):
    for high, _, sign in Oracle(trace(FORMULAS[name]), 2, double=True).at(x):
        assert abs(high) < 2.0**-1020
        assert sign == -1
        assert math.copysign(1.0, high) == -1


@pytest.mark.parametrize("x", [-40.0, -300.0, -1e4, -1e30])
def test_cancellation_beyond_reach_still_proves_the_size(x):
    """Naively this needs as many bits as the result has leading zeros."""
    program = trace(lambda m, x: 1 - 1 / (1 + m.exp(x) * 1.5))
    ((high, _, sign),) = Oracle(program, 0).at(x)
    exact = 1.5 * math.exp(max(x, -740))
    assert high == pytest.approx(exact, rel=1e-12, abs=1e-300)
    assert sign in (0, 1)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("x", [1.7e308, -1.7e308, 5e-324, -5e-324, 1e38, -1e38])
def test_the_ends_of_the_range_take_no_time(name, x):
    started = time.perf_counter()
    Oracle(trace(FORMULAS[name]), 2, double=True).at(x)
    assert time.perf_counter() - started < 2


def test_overflow_is_infinite_with_its_sign():
    ((high, _, sign),) = Oracle(trace(lambda m, x: -m.exp(m.exp(x))), 0).at(10.0)
    assert (high, sign) == (-math.inf, -1)


def test_an_exact_zero_has_no_sign():
    program = trace(lambda m, x: m.sin(x) ** 2 + m.cos(x) ** 2 - 1)
    assert Oracle(program, 2).at(0.7) == [(0.0, 0.0, 0)] * 3


@pytest.mark.parametrize(
    ("reference", "minus", "plus"),
    [
        (lambda m, x: x / (1 + m.exp(-x)), -1, 1),
        (lambda m, x: x * m.tanh(x), 1, 1),
        (lambda m, x: -x, 1, -1),
        (lambda m, x: m.max(x, 0), 0, 1),
        (lambda m, x: m.piecewise(x, [(0, "left")], [lambda: 0, lambda: x]), 0, 1),
    ],
)
def test_zero_takes_its_sign_from_beside_it(reference, minus, plus):
    truth = Oracle(trace(reference), 1)(np.array([-0.0, 0.0]))
    assert truth.high[0].tolist() == [0, 0]
    assert truth.sign[0].tolist() == [minus, plus]


def test_a_derivative_is_open_at_a_tie_where_the_sides_differ():
    value, slope, curvature = Oracle(trace(lambda m, x: abs(x) * 2), 2).at(0.0)
    assert value[0] == 0
    assert math.isnan(slope[0])
    assert curvature == (0.0, 0.0, 0)


def test_a_derivative_is_known_at_a_tie_where_the_sides_agree():
    value, slope, curvature = Oracle(trace(FORMULAS["soft_sign"]), 2).at(0.0)
    assert (value[0], slope[0]) == (0.0, 1.0)
    assert math.isnan(curvature[0])


@pytest.mark.parametrize(("owner", "slope"), [("left", 0.25), ("right", 1.0)])
def test_the_owner_of_a_break_gives_its_derivatives(owner, slope):
    program = trace(
        lambda m, x: m.piecewise(x, [(0, owner)], [lambda: x / 4, lambda: x])
    )
    assert Oracle(program, 1).at(0.0)[1][0] == slope


def test_only_the_active_piece_is_evaluated():
    program = trace(
        lambda m, x: m.piecewise(
            x, [(1, "right")], [lambda: 2 * x, lambda: m.log(x - m.const("0.5"))]
        )
    )
    assert Oracle(program, 0).at(0.0)[0][0] == 0
    assert Oracle(program, 0).at(1.0)[0][0] == pytest.approx(math.log(0.5))


def test_outside_the_domain_nothing_is_claimed():
    for high, _, sign in Oracle(trace(lambda m, x: m.log(x)), 2).at(-1.0):
        assert math.isnan(high)
        assert sign == 0


def test_a_removable_singularity_is_removed():
    value, slope, curvature = Oracle(trace(lambda m, x: m.sin(x) / x), 2).at(0.0)
    assert (value[0], slope[0]) == (1.0, 0.0)
    assert curvature[0] == pytest.approx(-1 / 3)


def test_third_derivative():
    third = Oracle(trace(FORMULAS["silu"]), 3).at(1.5)[3][0]
    with mpmath.workdps(40):
        exact = mpmath.diff(lambda x: x / (1 + mpmath.exp(-x)), 1.5, 3)
    assert third == pytest.approx(float(exact), rel=1e-15)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (lambda m, x: x if x > 0 else 0, "cannot branch on x"),
        (lambda m, x: math.exp(x), "into a float"),
        (lambda m, x: m.gamma(x), "could not be traced"),
        (lambda m, x: m.const("zero"), "not a decimal"),
        (lambda m, x: m.piecewise(x, [(0, "left")], [lambda: x]), "one piece more"),
        (
            lambda m, x: m.piecewise(x, [(0, "up")], [lambda: x] * 2),
            "'left' or 'right'",
        ),
        (lambda m, x: "x", "type str"),
        (lambda m, x: x * math.inf, "constant inf"),
    ],
)
def test_a_reference_that_leaves_the_namespace_is_refused(reference, message):
    with pytest.raises(TraceError, match=message):
        trace(reference)


def test_a_reference_may_branch_on_its_parameters():
    def reference(m, x, slope):
        return x if slope > 0 else -x

    assert Oracle(trace(reference, {"slope": -2.0}), 0).at(3.0)[0][0] == -3


def test_the_key_tells_formulas_and_constants_apart():
    def reference(m, x, beta):
        return m.tanh(beta * x)

    keys = {
        trace(reference, {"beta": 1.0}).key,
        trace(reference, {"beta": 1.5}).key,
        trace(lambda m, x, beta: m.tanh(beta + x), {"beta": 1.5}).key,
    }
    assert len(keys) == 3
    again = trace(lambda m, x, beta: m.tanh(beta * x), {"beta": 1.5})
    assert again.key == trace(reference, {"beta": 1.5}).key


@pytest.mark.parametrize(
    ("name", "minus", "plus"),
    [
        ("silu", (-0.0, -0.0, -0.0), (math.inf, 1.0, -0.0)),
        ("gelu erf", (-0.0, -0.0, -0.0), (math.inf, 1.0, -0.0)),
        ("elu", (-1.0, 0.0, 0.0), (math.inf, 1.0, 0.0)),
        ("soft_sign", (-1.0, 0.0, 0.0), (1.0, 0.0, -0.0)),
        ("cosine", (None, None, None), (None, None, None)),
    ],
)
def test_limits_are_read_off_the_formula(name, minus, plus):
    found = limits_of(trace(FORMULAS[name]))
    for side, wanted in ((-1, minus), (1, plus)):
        for got, want in zip(found[side], wanted, strict=True):
            if want is None:
                assert got is None
            else:
                assert got == want
                assert math.copysign(1, got) == math.copysign(1, want)
