"""Units built on 1/√(1 + αx²)."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._numerics import Array, zero
from jaxacts._spec import Limits, Parameter

_INF = float("inf")
_PAPER = (
    "Carlile et al., Improving deep learning by inverse square root linear units, 2017"
)

# Where x is cut, a power of two: x² does not overflow, for α from 1e-4 to 1e4 the
# 1 is lost in 1 + αx², and the slope, of the size of x^-3, has underflowed.
_FAR = {"float32": 2.0**54, "float64": 2.0**400}
# Bits of the first guess, minus half of those of h: within 4% of 1/√h.
_ROOT_GUESS = {"float32": 0x5F3759DF, "float64": 0x5FE6EB50C7B537A9}


@jax.custom_jvp
def _inverse_root(h: Array) -> Array:
    """1/√h by Newton's iteration; multiplications alone, so that a loop stays one."""
    guess = _ROOT_GUESS[str(h.dtype)]
    if h.dtype == jnp.float32:
        bits = np.int32(guess) - (lax.bitcast_convert_type(h, jnp.int32) >> 1)
    else:
        bits = np.int64(guess) - (lax.bitcast_convert_type(h, jnp.int64) >> 1)
    r = lax.bitcast_convert_type(bits, h.dtype)
    # The relative error e becomes 1.5 e²: 0.035, 2e-3, 5e-6, 4e-11, 2e-21.
    for _ in range(3 if h.dtype == jnp.float32 else 4):
        r = r * (1.5 - (0.5 * h * r) * r)
    return r


@_inverse_root.defjvp
def _inverse_root_jvp(primals, tangents):
    r = _inverse_root(*primals)
    return r, (-0.5 * (r * r) * r) * tangents[0]


def _parts(x: Array, alpha: Array) -> tuple[Array, Array, Array, Array]:
    """(x, h, r, delta), x cut to ±_FAR, h = 1 + αx² and 1/√h = r (1 + delta)."""
    far = _FAR[str(x.dtype)]
    x, alpha = jnp.broadcast_arrays(num.clamp(x, -far, far), alpha)
    # g = αx² and h = 1 + g, each with its rounding error.
    square, square_low = num.product(x, x)
    rough = square + square_low
    rough_low = square_low - (rough - square)
    high, low = num.product(rough, alpha, rough_low)
    g = high + low
    one = jnp.ones_like(g) + zero(g)  # not a constant, whose sums are folded
    h = one + g
    h_low = num.sum_low(one, g, h) + (low - (g - high))
    r = _inverse_root(h)
    # 1 - h r², from exact products: h r = p + p_low, (p + p_low) r.
    p, p_low = num.product(h, r)
    p_high, r_high = num.high_part(p), num.high_part(r)
    rest = (p - p_high) * r_high
    small = p_low * r_high + (p + p_low) * (r - r_high)
    error = ((1.0 - p_high * r_high) - rest) - small
    return x, h, r, 0.5 * (error - (h_low * r) * r)


def _value(x: Array, alpha: Array) -> Array:
    near, _, r, delta = _parts(x, alpha)
    high, low = num.product(near, r)
    y = high + (low + (near * r) * delta)
    # Below, the product underflows where x does not, and x is the value.
    return jnp.where(jnp.abs(x) < 1e-12, x, y)


def _square(h: Array, r: Array) -> tuple[Array, Array]:
    """(s, delta) with r² = s (1 + delta)."""
    high, low = num.product(r, r)
    s = high + low
    return s, (low - (s - high)) * h


def _slope(x: Array, alpha: Array) -> Array:
    """r³."""
    _, h, r, delta = _parts(x, alpha)
    s, s_delta = _square(h, r)
    w = (s * num.LARGER) * r
    far = _FAR[str(x.dtype)]
    y = (w + w * (3.0 * delta + s_delta)) * (1.0 / num.LARGER)
    return jnp.where(jnp.abs(x) > far, zero(x), y)


def _curvature(x: Array, alpha: Array) -> Array:
    """-3 α x r⁵."""
    near, h, r, delta = _parts(num.magnitude(x), alpha)
    s, s_delta = _square(h, r)
    w = (((3.0 * alpha) * near) * r * s) * (s * num.LARGER)
    far = _FAR[str(x.dtype)]
    y = (w + w * (5.0 * delta + 2.0 * s_delta)) * (1.0 / num.LARGER)
    y = jnp.where(jnp.abs(x) > far, zero(x), y)
    return jnp.where(x < 0, y, -y)


def _alpha_slope(x: Array, alpha: Array) -> Array:
    """-(x r)³/2."""
    y = _value(x, alpha)
    return -0.5 * (y * y) * y


def _reference(m, x, alpha=1):
    return x / m.sqrt(1 + alpha * x * x)


_ALPHA = Parameter(
    name="alpha",
    default=1.0,
    description="±1/√α is the limit, 1e-4 <= α <= 1e4",
)


def _bound(alpha: float) -> float:
    return 1.0 / math.sqrt(alpha)


@activation(
    family="inverse_root",
    formula=r"\frac{x}{\sqrt{1 + \alpha x^2}}",
    reference=_reference,
    parameters=(_ALPHA,),
    cases=({}, {"alpha": 3.0}),
    slope=_slope,
    curvature=_curvature,
    parameter_slopes={"alpha": _alpha_slope},
    limits=lambda alpha=1.0: Limits(
        minus_infinity=(-_bound(alpha), 0.0, 0.0),
        plus_infinity=(_bound(alpha), 0.0, -0.0),
    ),
    value_range=lambda alpha=1.0: (-_bound(alpha), _bound(alpha)),
    monotonic=True,
    symmetry="odd",
    paper=_PAPER,
)
def isru(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """Inverse square root unit: bounded, without exponentials.

    Example:
      >>> jaxacts.isru(jnp.array([-1.0, 0.75, 1e30]))
      Array([-0.7071,  0.6   ,  1.    ], dtype=float32)
    """
    return _value(x, alpha)


def _below(x: Array) -> Array:
    return num.clamp(x, None, 0.0)


@activation(
    family="inverse_root",
    formula=r"x \text{ for } x \ge 0, \quad "
    r"\frac{x}{\sqrt{1 + \alpha x^2}} \text{ for } x < 0",
    reference=lambda m, x, alpha=1: m.piecewise(
        x, [(0, "right")], [lambda: _reference(m, x, alpha), lambda: x]
    ),
    parameters=(_ALPHA,),
    cases=({}, {"alpha": 3.0}),
    slope=lambda x, alpha: jnp.where(x >= 0, 1.0, _slope(x, alpha)),
    curvature=lambda x, alpha: jnp.where(x >= 0, 0.0, _curvature(x, alpha)),
    parameter_slopes={"alpha": lambda x, alpha: _alpha_slope(_below(x), alpha)},
    limits=lambda alpha=1.0: Limits(
        minus_infinity=(-_bound(alpha), 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda alpha=1.0: (-_bound(alpha), _INF),
    monotonic=True,
    paper=_PAPER,
)
def isrlu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """Inverse square root linear unit: x, bent towards -1/√α below 0.

    Example:
      >>> jaxacts.isrlu(jnp.array([-1.0, 2.0]))
      Array([-0.7071,  2.    ], dtype=float32)
    """
    return jnp.where(x >= 0, x, _value(_below(x), alpha))
