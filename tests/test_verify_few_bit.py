"""The engine measures few-bit slopes, and does not pass them as derivatives."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxacts import compressed
from jaxacts.verify import verify
from jaxacts.verify.few_bit import slope_error
from jaxacts.verify.residuals import residuals

SQUARE = "x*x/2"


def half_square(x):
    return 0.5 * x * x


def test_the_error_of_a_linear_slope_is_that_of_a_quantised_normal_variable():
    # Max (1960), table I: the mean square error of 4 levels is 0.1175.
    found = slope_error(half_square, 2, SQUARE)
    assert found.levels == 4
    assert found.rms == pytest.approx(math.sqrt(0.1175), abs=1e-4)
    # The largest of what is tried is at the ends of the grid.
    assert abs(found.at) == 16
    assert found.largest == pytest.approx(16 - 1.510, abs=1e-3)


def test_the_largest_error_stands_on_the_grid_and_bounds_others():
    found = slope_error("tanh", 3)
    x = np.linspace(-9.0, 9.0, 4001)
    steps = compressed.steps("tanh", 3)
    place = np.searchsorted(steps.thresholds, x, side="right")
    errors = np.abs(np.asarray(steps.levels)[place] - 1 / np.cosh(x) ** 2)
    assert errors.max() <= found.largest * 1.0001
    assert found.rms < found.largest


def test_exact_slopes_have_no_error():
    assert slope_error("relu", 1) == slope_error("relu", 4)
    assert slope_error("relu", 1).largest == 0


def test_verify_accepts_the_value_and_rejects_the_slope():
    report = verify(
        compressed.few_bit(half_square, 3),
        SQUARE,
        dtypes=["bfloat16"],
        checks=["accuracy"],
    )
    assert not report.passed
    by_order = {m.order: m for m in report.measurements}
    # The value is measured although there is no second derivative.
    assert set(by_order) == {0, 1}
    assert by_order[0].passed
    assert not by_order[1].passed
    messages = [f.message for f in report.failures]
    assert any("no second derivative" in message for message in messages)


def test_packed_bits_count_among_what_is_kept():
    kept = residuals(compressed.few_bit(jnp.tanh, 1))
    assert kept.bytes_per_element == 128 / 1021
    assert str(kept) == "1 new array (uint8)"
