"""Errors in ULP, rounding and the order of floating-point numbers."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from jaxacts.verify import grids
from jaxacts.verify.ulp import error_in_ulp, format_of, round_to, ulp_of

ALL = ["bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"]


def error(got, truth, dtype, low=0.0, **options):
    return error_in_ulp(
        np.array([got]), np.array([truth]), np.array([low]), format_of(dtype), **options
    )[0]


@pytest.mark.parametrize(
    ("dtype", "precision", "smallest_normal", "smallest", "largest", "infinity"),
    [
        ("bfloat16", 8, 2.0**-126, 2.0**-133, 255 * 2.0**120, True),
        ("float16", 11, 2.0**-14, 2.0**-24, 65504.0, True),
        ("float32", 24, 2.0**-126, 2.0**-149, (2 - 2.0**-23) * 2.0**127, True),
        ("float64", 53, 2.0**-1022, 5e-324, 1.7976931348623157e308, True),
        ("float8_e4m3fn", 4, 2.0**-6, 2.0**-9, 448.0, False),
        ("float8_e5m2", 3, 2.0**-14, 2.0**-16, 57344.0, True),
    ],
)
def test_formats_are_those_of_the_standards(
    dtype, precision, smallest_normal, smallest, largest, infinity
):
    form = format_of(dtype)
    assert form.precision == precision
    assert form.smallest_normal == smallest_normal
    assert form.smallest_ulp == smallest
    assert form.largest == largest
    assert form.has_infinity == infinity


@pytest.mark.parametrize("dtype", ["int32", "float7", "complex64", "", 3.5])
def test_a_dtype_that_is_not_floating_is_refused_by_name(dtype):
    with pytest.raises(ValueError, match="dtype must be a floating-point type"):
        format_of(dtype)


@pytest.mark.parametrize(
    ("value", "ulp"),
    [
        (1.0, 2.0**-23),
        (-1.0, 2.0**-23),
        (np.nextafter(1.0, 0.0), 2.0**-24),
        (2.0**-126, 2.0**-149),
        (2.0**-140, 2.0**-149),
        (0.0, 2.0**-149),
        (2.0**127, 2.0**104),
        (2.0**130, 2.0**104),
    ],
)
def test_ulp_is_that_of_the_binade_and_ends_at_the_smallest_normal(value, ulp):
    assert ulp_of(np.array([value]), format_of("float32"))[0] == ulp


def test_neighbours_are_one_ulp_apart_in_every_format():
    for dtype in ALL:
        form = format_of(dtype)
        x = np.asarray([1.0, form.smallest_normal, form.largest / 2]).astype(form.dtype)
        up = grids.values(grids.ordinals(x, form) + 1, form)
        exact, above = x.astype(np.float64), up.astype(np.float64)
        found = error_in_ulp(above, exact, np.zeros(3), form)
        np.testing.assert_array_equal(found, 1.0, err_msg=dtype)


def test_truth_between_two_numbers_is_measured_exactly():
    assert error(1.0, 1 + 2.0**-24, "float32") == 0.5
    assert error(1.0, 1 + 2.0**-25, "float32") == 0.25
    # In float64 the remainder decides: 1 + 2^-53 - 2^-80 is below the midpoint.
    below = error(1.0, 1.0, "float64", low=2.0**-53 - 2.0**-80)
    assert below == 0.5 - 2.0**-28


def test_the_largest_number_and_infinity_are_neighbours():
    for dtype in ("float16", "bfloat16", "float32", "float64", "float8_e5m2"):
        form = format_of(dtype)
        assert error(np.inf, np.inf, dtype) == 0, dtype
        assert error(form.largest, np.inf, dtype) == 1, dtype
        assert error(np.inf, form.largest, dtype) == 1, dtype
        assert error(-np.inf, form.largest, dtype) > 1 / 2.0**-form.precision, dtype


def test_overflow_is_nan_only_where_the_format_has_no_infinity():
    assert error(np.nan, 1000.0, "float8_e4m3fn") == 0
    assert error(np.nan, -1000.0, "float8_e4m3fn") == 0
    assert error(448.0, 1000.0, "float8_e4m3fn") == 1
    assert error(np.nan, 100.0, "float8_e4m3fn") == np.inf
    assert error(np.nan, 1e6, "float8_e5m2") == np.inf


def test_a_normal_truth_returned_as_zero_scores_its_full_ulp():
    assert error(0.0, 2.0**-126, "float32") == 2.0**23
    assert error(0.0, 1.5, "bfloat16") == 192


def test_nan_never_passes_for_a_number_nor_for_a_claim():
    assert error(np.nan, 1.0, "float32") == np.inf
    assert np.isnan(error(1.0, np.nan, "float32"))


def test_scaled_error_takes_the_ulp_of_one_below_one():
    small = 2.0**-10
    assert error(small + 2.0**-33, small, "float32") == 1
    assert error(small + 2.0**-33, small, "float32", at_least_one=True) == 2.0**-10
    assert error(4 + 2.0**-21, 4.0, "float32", at_least_one=True) == 1


def test_rounding_happens_once():
    # By way of float32 the last bit is lost and the tie goes to even, down.
    value = np.array([1 + 2.0**-8 + 2.0**-40])
    assert value.astype(ml_dtypes.bfloat16)[0] == 1.0
    assert round_to(value, format_of("bfloat16"))[0] == 1 + 2.0**-7


@pytest.mark.parametrize("dtype", ALL)
def test_rounding_keeps_numbers_of_the_format_and_ties_go_to_even(dtype):
    form = format_of(dtype)
    if form.bits <= 16:
        numbers = form.all_inputs()
        with np.errstate(invalid="ignore"):
            exact = numbers.astype(np.float64)
        finite = np.isfinite(exact)
        back = round_to(exact[finite], form)
        np.testing.assert_array_equal(
            back.view(form.bit_type), numbers[finite].view(form.bit_type)
        )
    if form.bits < 64:
        odd = 1 + 2.0 ** (1 - form.precision)
        tie = (1 + odd) / 2
        assert round_to(np.array([tie]), form)[0].astype(np.float64) == 1
        next_tie = odd + (odd - 1) / 2
        assert round_to(np.array([next_tie]), form)[0].astype(np.float64) == 2 * odd - 1


@pytest.mark.parametrize(
    ("dtype", "value", "rounded"),
    [
        ("float16", 2.0**-25, 0.0),
        ("float16", 2.0**-25 * 1.001, 2.0**-24),
        ("float16", 65519.99, 65504.0),
        ("float16", 65520.0, np.inf),
        ("bfloat16", 2.0**-133 * 1.5, 2.0**-132),
        ("float8_e5m2", 61439.0, 57344.0),
        ("float8_e5m2", 61440.0, np.inf),
        ("float8_e4m3fn", 464.0, 448.0),
        ("float8_e4m3fn", 464.1, np.nan),
        ("float8_e4m3fn", -np.inf, np.nan),
        ("float32", 1e-50, 0.0),
    ],
)
def test_rounding_at_the_ends_of_the_range(dtype, value, rounded):
    with np.errstate(invalid="ignore"):
        found = round_to(np.array([value]), format_of(dtype)).astype(np.float64)[0]
    np.testing.assert_equal(found, rounded)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn"])
def test_ordinals_order_all_numbers_and_tell_the_zeros_apart(dtype):
    form = format_of(dtype)
    numbers = form.all_inputs()
    with np.errstate(invalid="ignore"):
        numbers = numbers[np.isfinite(numbers.astype(np.float64))]
    place = grids.ordinals(numbers, form)
    back = grids.values(place, form)
    np.testing.assert_array_equal(back.view(form.bit_type), numbers.view(form.bit_type))
    ordered = numbers[np.argsort(place)].astype(np.float64)
    assert np.all(np.diff(ordered) >= 0)
    assert np.all(np.diff(np.sort(place)) == 1)
    zeros = grids.ordinals(np.array([-0.0, 0.0]), form)
    assert zeros.tolist() == [-1, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stratified_grid_leaves_no_stratum_empty(dtype):
    form = format_of(dtype)
    grid = grids.stratified(form, 1000)
    place = grids.ordinals(grid, form)
    top = grids.largest_ordinal(form)
    edges = np.linspace(~top, top + 1, 1001)
    assert np.all(np.histogram(place, edges)[0] >= 1)
    exact = grid.astype(np.float64)
    for mark in (form.largest, form.smallest_normal, form.smallest_ulp, 1.0, 0.0):
        assert np.any(exact == mark)
        assert np.any(exact == -mark)
    assert np.all(np.isfinite(exact))
    assert np.all(np.diff(place) > 0)
    np.testing.assert_array_equal(grids.stratified(form, 1000), grid)


def test_bisection_ends_at_the_two_numbers_beside_a_change():
    form = format_of("float32")
    grid = grids.stratified(form, 100)

    def classify(x):
        return x.astype(np.float64) > np.pi

    found = grids.bisect_changes(classify, grid, classify(grid), form)
    below = np.float32(3.14159250259)
    assert sorted(found.tolist()) == [below, np.nextafter(below, np.float32(4))]
