"""The measurement of errors: what it lets pass and what it catches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxacts import Kink
from jaxacts.verify import accuracy
from jaxacts.verify.accuracy import compare, findings, measure
from jaxacts.verify.candidate import EvaluationError, derivative, flushes
from jaxacts.verify.oracle import Truth
from jaxacts.verify.target import Target
from jaxacts.verify.ulp import format_of


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "verify-accuracy"
    monkeypatch.setenv("JAXACTS_CACHE_DIR", str(folder))


def identity(m, x):
    return x


def target(function, reference=identity, **claims):
    return Target(name="f", function=function, reference=reference, **claims)


def one(function, reference=identity, dtype="bfloat16", order=0, **options):
    claims = {k: options.pop(k) for k in list(options) if k in ("kinks", "keywords")}
    options.setdefault("points", 500)
    subject = target(function, reference, **claims)
    (found,) = measure(subject, dtype, [order], **options)
    return found


def failures(measured):
    return [f.message for f in findings(measured) if not f.passed]


@pytest.mark.parametrize(
    "dtype",
    ["bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"],
)
def test_an_exact_function_has_no_error_in_any_dtype(dtype):
    found = one(lambda x: x, dtype=dtype)
    assert (found.ulp, found.scaled, found.subnormal) == (None, None, None)
    assert found.nan_count == found.wrong_zero_count == found.unclaimed == 0
    assert found.exhaustive == (format_of(dtype).bits <= 16)
    assert found.passed


def test_one_ulp_at_one_input_is_found_with_input_result_and_expectation():
    def wrong(x):
        return jnp.where(x == 1.5, x + jnp.asarray(2.0**-7, x.dtype), x)

    found = one(wrong)
    assert found.ulp is not None
    assert found.ulp.error == 1
    assert float.fromhex(found.ulp.input) == 1.5
    assert (found.ulp.got, found.ulp.expected) == (1.5078125, 1.5)
    (message,) = failures(found)
    assert "f(0x1.8000000000000p+0) = 1.5078125, expected 1.5: 1 ULP" in message


def test_a_single_float32_input_is_found_when_it_is_named():
    bad = float.fromhex("0x1.234568p+3")

    def wrong(x):
        return jnp.where(x == bad, x * 2, x)

    assert one(wrong, dtype="float32").ulp is None
    found = one(wrong, dtype="float32", extra=[bad])
    assert found.ulp is not None
    assert float.fromhex(found.ulp.input) == bad


def test_a_flush_of_a_normal_truth_scores_its_full_ulp():
    def flushing(x):
        return jnp.where(jnp.abs(x) < 1e-30, x * 0, x)

    found = one(flushing, dtype="float32")
    assert found.ulp is not None
    assert found.ulp.error == pytest.approx(2.0**24, rel=1e-2)


def test_a_flush_that_the_backend_makes_is_allowed():
    assert flushes("float32"), "the CPU backend is known to flush; see NUMERICS"
    found = one(lambda x: x / 4, lambda m, x: x / 4, dtype="float32")
    assert found.passed
    assert found.subnormal is None


def test_a_flush_that_the_backend_does_not_make_is_an_error():
    def flushing(x):
        small = jnp.abs(x.astype(jnp.float32)) < 2.0**-14
        return jnp.where(small, x * 0, x)

    assert not flushes("float16")
    found = one(flushing, dtype="float16")
    assert found.ulp is None
    assert found.subnormal is not None
    assert found.subnormal.error == 1023
    assert any("subnormal" in message for message in failures(found))


def test_a_zero_of_the_wrong_sign_is_told_apart():
    found = one(lambda x: jnp.where(x == 0, jnp.zeros_like(x), x), dtype="float16")
    assert found.wrong_zero == ("-0x0.0p+0",)
    assert failures(found) == [
        "zero of the wrong sign at 1 inputs, the first -0x0.0p+0"
    ]


def test_nan_is_counted_and_does_not_hide_the_largest_error():
    def wrong(x):
        y = jnp.where(x == 2, x * jnp.asarray(1.25, x.dtype), x)
        return jnp.where(x == 3, jnp.full_like(x, jnp.nan), y)

    found = one(wrong)
    assert found.nan == ((3.0).hex(),)
    assert found.ulp is not None
    assert found.ulp.error == 32
    assert len(failures(found)) == 2


def test_infinity_where_the_truth_is_finite_is_an_error():
    found = one(lambda x: x * 2 / 2, dtype="float16")
    assert found.ulp is not None
    assert found.ulp.got == np.inf or found.ulp.got == -np.inf
    assert not found.passed


def test_only_jit_is_wrong_and_the_path_says_so():
    def wrong(x):
        return x * 2 if isinstance(x, jax.core.Tracer) else x

    found = one(wrong)
    assert found.ulp is not None
    assert found.ulp.path == "jit"


@pytest.mark.parametrize(
    ("shape", "path"), [((7,), "length 7"), ((1,), "length 1"), ((), "scalar")]
)
def test_only_a_short_array_is_wrong_and_the_path_says_so(shape, path):
    found = one(lambda x: x * 2 if x.shape == shape else x, dtype="float32")
    assert found.ulp is not None
    assert found.ulp.path == path


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_only_an_array_of_length_seven_is_wrong_in_sixteen_bits(dtype):
    found = one(lambda x: x * 2 if x.shape == (7,) else x, dtype=dtype)
    assert found.ulp is not None
    assert found.ulp.path == "length 7"


def test_only_the_remainder_of_a_short_array_is_wrong():
    def wrong(x):
        if x.shape != (3,):
            return x
        return x * jnp.asarray([1, 1, 2], x.dtype)

    found = one(wrong, dtype="float32")
    assert found.ulp is not None
    assert found.ulp.path == "end of length 3"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.astype(jnp.float32), "gave shape .* and dtype float32"),
        (lambda x: x[:1], r"gave shape \(1,\)"),
        (lambda x: x if x.sum() > 0 else -x, "TracerBoolConversionError"),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda x: "y", "TypeError: .* returned a value of type"),
    ],
)
def test_a_function_that_does_not_run_is_reported(function, message):
    with pytest.raises(EvaluationError, match=message):
        one(function)


def test_a_wrong_slope_is_found():
    @jax.custom_jvp
    def half(x):
        return x / 2

    @half.defjvp
    def _(primals, tangents):
        return half(*primals), tangents[0] * jnp.asarray(0.5005, primals[0].dtype)

    assert one(half, lambda m, x: x / 2, dtype="float32").passed
    found = one(half, lambda m, x: x / 2, dtype="float32", order=1)
    assert found.ulp is not None
    assert found.ulp.error == pytest.approx(0.0005 * 2**24, rel=1e-3)


def test_a_function_without_forward_mode_is_measured_by_reverse():
    @jax.custom_vjp
    def triple(x):
        return 3 * x

    triple.defvjp(lambda x: (3 * x, None), lambda _, g: (3 * g,))
    found = one(triple, lambda m, x: 3 * x, dtype="float32", order=1)
    assert found.ulp is None


def test_the_convention_at_a_kink_is_checked_exactly():
    def kinks(**_):
        return (Kink(at=0.0, slope=0.0, curvature=0.0),)

    def reference(m, x):
        return m.max(x, 0)

    assert one(jax.nn.relu, reference, order=1, kinks=kinks).passed
    split = one(lambda x: jnp.maximum(x, 0), reference, order=1, kinks=kinks)
    assert split.ulp is not None
    assert (split.ulp.got, split.ulp.expected) == (0.5, 0)
    # Without a convention nothing is claimed there.
    free = one(lambda x: jnp.maximum(x, 0), reference, order=1)
    assert free.passed
    assert free.unclaimed == 2  # -0 and +0


def test_numbers_are_rounded_to_the_type_that_computes():
    def scaled(x, beta):
        return (x.astype(jnp.float32) * jnp.float32(beta)).astype(x.dtype)

    found = one(scaled, lambda m, x, beta: beta * x, keywords={"beta": 0.1})
    assert found.passed
    assert found.ulp is not None
    assert found.ulp.error <= 0.5


def test_the_third_derivative_is_held_loosely():
    def inside(x):
        return jnp.sin(jnp.clip(x, -9, 9))

    def clipped(m, x):
        return m.sin(m.max(m.min(x, 9), -9))

    assert one(inside, clipped, dtype="float32", order=3).passed
    found = one(lambda x: inside(x) + x * x * x / 500, clipped, "float32", order=3)
    assert not found.passed
    assert "relative" in failures(found)[0]


def test_kernels_are_measured_in_the_place_of_derivatives():
    wrong = target(lambda x: x, derivatives=(lambda x: x, lambda x: x * 0 + 2))
    value, slope = measure(wrong, "bfloat16", [0, 1])
    assert value.ulp is None
    assert slope.ulp is not None
    assert (slope.ulp.got, slope.ulp.expected) == (2, 1)


def test_a_profile_has_the_error_of_every_input():
    found = one(lambda x: x, keep_profile=True)
    assert found.profile is not None
    assert found.profile.ulp.shape == found.profile.inputs.shape == (65280,)


def test_bounds_fall_back_to_the_goals_of_the_project():
    assert one(lambda x: x).bound == 0.51
    bounded = target(lambda x: x, max_ulp={"bfloat16": (3.0,)})
    (found,) = measure(bounded, "bfloat16", [0])
    assert found.bound == 3.0
    assert one(lambda x: x, dtype="float32", order=2).bound == 4.0


def test_the_neighbourhoods_of_zeros_and_thresholds_are_tried():
    ground = accuracy.Ground(
        target(None, lambda m, x: m.exp(x) - 2), format_of("float32"), 1
    )
    grid = ground.grid(1000, [])
    root = np.float32(np.log(2))
    near = np.nextafter(root, np.float32(1)), np.nextafter(root, np.float32(0))
    assert set(near) <= set(grid.tolist())
    largest = np.float32(88.72283)  # the last x with e^x a float32
    assert np.abs(grid - largest).min() < 1e-5


def test_derivative_is_elementwise():
    cube = derivative(lambda x: x * x * x, 2)
    np.testing.assert_allclose(cube(jnp.array([1.0, 2.0])), [6.0, 12.0])


def judge(got, truth, sign, x, dtype="float32", zero_sign=0):
    zero = Truth(np.zeros(1), np.zeros(1), np.array([zero_sign], np.int8))
    given = Truth(np.array([truth]), np.zeros(1), np.array([sign], np.int8))
    form = format_of(dtype)
    return compare(np.array([got]), np.array([x]), given, (zero, zero), form)


def test_subnormal_truths_are_counted_apart():
    errors = judge(0.0, 2.0**-140, 1, 3.0)
    assert (errors.ulp[0], errors.subnormal[0]) == (0, 0)
    errors = judge(-0.0, 2.0**-140, 1, 3.0)
    assert errors.wrong_zero[0]
    errors = judge(2.0**-126, 2.0**-127, 1, 3.0)
    assert (errors.ulp[0], errors.subnormal[0]) == (0, 2.0**22)


def test_a_truth_one_rounding_above_the_smallest_normal_may_be_flushed():
    just_above = 2.0**-126 * (1 + 2.0**-23)
    assert judge(0.0, just_above, 1, 3.0).ulp[0] == 0
    assert judge(0.0, 2.0**-126 * (1 + 2.0**-20), 1, 3.0).ulp[0] > 2.0**23


def test_a_subnormal_input_may_be_taken_for_zero():
    # f(0) = 0 is as right as f(x) = 2^100 x.
    tiny = 2.0**-130
    assert judge(0.0, tiny * 2.0**100, 1, tiny).subnormal[0] == 0
    assert judge(1.0, tiny * 2.0**100, 1, tiny).subnormal[0] > 1


def test_a_subnormal_input_taken_for_zero_keeps_the_sign_of_that_zero():
    tiny = 2.0**-130
    assert judge(-0.0, tiny, 1, tiny, zero_sign=1).wrong_zero[0]
    assert not judge(0.0, tiny, 1, tiny, zero_sign=1).wrong_zero[0]
    # Where f(0) = 0 has no sign of its own, neither zero is wrong.
    assert not judge(-0.0, tiny, 1, tiny, zero_sign=0).wrong_zero[0]


def test_an_exact_zero_must_be_zero_of_either_sign():
    assert judge(0.0, 0.0, 0, -3.0).ulp[0] == 0
    errors = judge(-0.0, 0.0, 0, -3.0)
    assert (errors.ulp[0], errors.wrong_zero[0]) == (0, False)
    assert judge(1e-30, 0.0, 0, -3.0).ulp[0] > 1e14
