"""Rectifiers that are quadratic for x > 0."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._numerics import Array, zero
from jaxacts._spec import Kink, Limits, Parameter

_INF = float("inf")


def _rectified(x: Array) -> Array:
    return num.clamp(x, 0.0)


@activation(
    family="quadratic",
    formula=r"\max(x, 0)^2",
    reference=lambda m, x: m.piecewise(
        x, [(0, "left")], [lambda: 0 * x, lambda: x * x]
    ),
    slope=lambda x: 2.0 * _rectified(x),
    curvature=lambda x: jnp.where(x > 0, 2.0, zero(x)),
    kinks=lambda: (Kink(at=0.0, curvature=0.0),),
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(_INF, _INF, 2.0)
    ),
    value_range=lambda: (0.0, _INF),
    monotonic=True,
    paper="arXiv:2109.08668",
)
def relu_squared(x: ArrayLike) -> Array:
    """Squared rectified linear unit.

    Example:
      >>> jaxacts.relu_squared(jnp.array([-2.0, 0.5, 3.0]))
      Array([0.  , 0.25, 9.  ], dtype=float32)
    """
    r = _rectified(x)
    return r * r


# --- star ReLU ----------------------------------------------------------------

# Outside, s x² and b are too far apart to cancel, and products of the halves of x
# may overflow or underflow.
_STAR_RANGE = (1e-9, 1e9)


def _twice(a: Array, b: Array, a_low: Array | float) -> tuple[Array, Array]:
    """(a + a_low) b as an unevaluated sum, to the square of the precision."""
    a_high, b_high = num.high_part(a), num.high_part(b)
    a_rest, b_rest = a - a_high, b - b_high
    first, second, third = a_high * b_high, a_high * b_rest, a_rest * b_high
    middle = second + third
    middle_low = num.sum_low(second, third, middle)
    total = first + middle
    total_low = num.sum_low(first, middle, total)
    return total, total_low + (middle_low + (a_rest * b_rest + a_low * b))


def _star_reference(m, x, scale, bias):
    return m.piecewise(
        x, [(0, "left")], [lambda: bias + 0 * x, lambda: scale * x * x + bias]
    )


@activation(
    family="quadratic",
    formula=r"s \max(x, 0)^2 + b",
    reference=_star_reference,
    parameters=(
        Parameter(
            name="scale", default=0.8944, initial=0.8944, description="the factor s"
        ),
        Parameter(
            name="bias", default=-0.4472, initial=-0.4472, description="the shift b"
        ),
    ),
    cases=(
        {"scale": 0.8944, "bias": -0.4472},
        {"scale": 1.5, "bias": 0.25},
    ),
    slope=lambda x, scale, bias: 2.0 * scale * _rectified(x) + zero(bias),
    curvature=lambda x, scale, bias: jnp.where(
        x > 0, 2.0 * scale + zero(x + bias), zero(x + bias)
    ),
    parameter_slopes={
        "scale": lambda x, scale, bias: _rectified(x) * _rectified(x) + zero(scale),
        "bias": lambda x, scale, bias: 1.0 + zero(x) + zero(bias),
    },
    kinks=lambda **_: (Kink(at=0.0, curvature=0.0),),
    limits=lambda scale=0.8944, bias=-0.4472: Limits(
        minus_infinity=(bias, 0.0, 0.0), plus_infinity=(_INF, _INF, 2.0 * scale)
    ),
    value_range=lambda scale=0.8944, bias=-0.4472: (bias, _INF),
    monotonic=True,
    paper="arXiv:2210.13452",
)
def star_relu(
    x: ArrayLike, scale: ArrayLike = 0.8944, bias: ArrayLike = -0.4472
) -> Array:
    """StarReLU: a squared rectified linear unit with a learned scale and shift.

    With the defaults, a standard normal x gives mean 0 and variance 1.

    Example:
      >>> jaxacts.star_relu(jnp.array([-2.0, 0.5, 3.0]))
      Array([-0.4472, -0.2236,  7.6024], dtype=float32)
    """
    r = _rectified(x)
    direct = (scale * r) * r + bias
    # s x² + b has a zero that moves with s and b, so the sum is taken in twice the
    # precision.
    low, high = _STAR_RANGE
    near = num.clamp(r, low, high)
    square, square_low = _twice(*_twice_scaled(near, scale))
    total = square + bias
    total_low = num.sum_low(square, bias + jnp.zeros_like(square), total)
    summed = total + (total_low + square_low)
    return jnp.where((r > low) & (r < high), summed, direct)


def _twice_scaled(x: Array, scale: Array) -> tuple[Array, Array, Array]:
    p, p_low = _twice(x, scale + jnp.zeros_like(x), 0.0)
    return p, x, p_low
