"""Special values, range, monotonicity and symmetry."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxacts import Limits
from jaxacts.verify import special_values
from jaxacts.verify.target import Target

INF = float("inf")


def check(function, reference, dtype="float32", orders=(0, 1), **claims):
    target = Target(name="f", function=function, reference=reference, **claims)
    return special_values.check(target, dtype, orders)


def failures(*arguments, **options):
    return [f.message for f in check(*arguments, **options) if not f.passed]


def clipped(m, x):
    return m.max(m.min(x, 1), -1)


def clip(x):
    return jnp.clip(x, -1, 1)


def claims_of_clip(**changes):
    limits = Limits(minus_infinity=(-1.0, 0.0, 0.0), plus_infinity=(1.0, 0.0, 0.0))
    claims = {
        "limits": lambda: limits,
        "value_range": lambda: (-1.0, 1.0),
        "monotonic": True,
        "symmetry": "odd",
    }
    return {**claims, **changes}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float8_e4m3fn"])
def test_true_claims_hold(dtype):
    def function(x):  # derivatives of jnp.clip swallow NaN
        return jnp.where(x != x, x, clip(x))

    found = check(function, clipped, dtype, orders=[0], **claims_of_clip())
    assert len(found) >= 4
    assert not [f.message for f in found if not f.passed]


def test_a_swallowed_nan_is_found_in_each_order():
    messages = failures(clip, clipped, **claims_of_clip())
    assert messages == [
        "NaN in must give NaN out; got 0 (jit, eager, length 7, end of length 7, "
        "length 3, end of length 3, length 1, scalar)"
    ]


def test_limits_are_those_of_the_formula_where_no_record_claims_them():
    messages = failures(
        lambda x: x * jax.nn.sigmoid(x), lambda m, x: x / (1 + m.exp(-x)), orders=[0]
    )
    assert len(messages) == 1
    assert messages[0].startswith("f(-inf) must be -0; got nan (jit, eager")


def test_the_sign_of_a_limit_that_is_zero_counts():
    def zero(x):
        return jnp.where(x < -100, x * 0 - 0.0, jnp.exp(jnp.minimum(x, 80.0)))

    def function(x):
        return jnp.where(x == -jnp.inf, -jnp.zeros_like(x), zero(x))

    messages = failures(function, lambda m, x: m.exp(m.min(x, 80)), orders=[0])
    assert len(messages) == 1
    assert messages[0].startswith("f(-inf) must be 0; got -0")


def test_a_record_overrides_the_formula_at_infinity():
    wrong = Limits(minus_infinity=(-2.0, 0.0, 0.0), plus_infinity=(1.0, 0.0, 0.0))
    claims = claims_of_clip(limits=lambda: wrong)
    messages = failures(clip, clipped, orders=[0], **claims)
    assert any(m.startswith("f(-inf) must be -2; got -1") for m in messages)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: clip(x) * 1.01, "the value lies in [-1, 1], but f("),
        (lambda x: clip(x) - jnp.where(x > 3, 1e-4, 0.0), "the value never decreases"),
        (lambda x: jnp.where(x == 0, 0.0, clip(x)), "the function is odd, but f("),
        (lambda x: jnp.where(x < 0, clip(x) * 0.999, clip(x)), "the function is odd"),
    ],
)
def test_a_false_claim_is_found(function, message):
    messages = failures(function, clipped, orders=[0], **claims_of_clip())
    assert [m for m in messages if m.startswith(message)], messages


def test_an_even_function_is_told_from_an_odd_one():
    claims = {"symmetry": "even"}
    assert not failures(lambda x: x * x, lambda m, x: x * x, orders=[0], **claims)
    assert failures(lambda x: x, lambda m, x: x, orders=[0], **claims)


def test_a_step_down_within_the_bound_of_both_neighbours_is_no_defect():
    up = np.float32(1) + np.float32(2**-23)

    def function(x):
        return jnp.where(x == up, jnp.float32(1 - 2**-24), x)

    claims = {"monotonic": True}
    assert not failures(function, lambda m, x: x, orders=[0], **claims)


def test_a_monotonic_function_may_start_at_minus_infinity():
    def function(x):  # NaN below 0, -inf there
        return jnp.log(x)

    found = check(
        function, lambda m, x: m.log(x), "float16", orders=[0], monotonic=True
    )
    (claim,) = [f for f in found if "never decreases" in f.message]
    assert claim.passed, claim.message
