"""x times or plus a wave: sine, cosine and tanh."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients_periodic as _table
from jaxacts import _numerics as num
from jaxacts import _pairs as pairs
from jaxacts._elementwise import activation
from jaxacts._logistic import swish_curvature
from jaxacts._numerics import Array
from jaxacts._spec import Limits, Parameter
from jaxacts._trigonometric import scaled_product, sin_cos

_INF = float("inf")
_NAN = float("nan")

# --- snake ----------------------------------------------------------------------


def _turned(x: Array, a: Array, eighth: bool = False):
    """sin_cos of ax, the product exact."""
    return sin_cos(*scaled_product(x, a), eighth=eighth)


def _snake_slope(x: Array, a: Array) -> Array:
    """1 + sin(2ax) = 2 sin²(ax + π/4)."""
    s, s_low, _, _ = _turned(x, a, eighth=True)
    return 2.0 * (s * s + 2.0 * (s * s_low))


def _snake_curvature(x: Array, a: Array) -> Array:
    """2a cos(2ax)."""
    s, s_low, c, c_low = _turned(x, a, eighth=True)
    return (4.0 * a) * (s * c + (s_low * c + s * c_low))


def _snake_ratio(x: Array, a: Array, s: Array) -> Array:
    """sin(ax)/a."""
    return jnp.where(a == 0, x, s / jnp.where(a == 0, 1.0, a))


def _snake_parameter(x: Array, a: Array) -> Array:
    """(x sin(2ax) - sin²(ax)/a)/a."""
    s, _, c, _ = _turned(x, a)
    ratio = _snake_ratio(x, a, s)
    return ratio * (2.0 * c * x - ratio)


@activation(
    precise=("bfloat16", "float16"),
    family="periodic",
    formula=r"x + \frac{\sin^2(a x)}{a}",
    reference=lambda m, x, a=1: x + m.sin(a * x) * m.sin(a * x) / a,
    parameters=(
        Parameter(
            name="a",
            default=1.0,
            initial=1.0,
            description="the frequency a; 0 gives x",
        ),
    ),
    cases=({}, {"a": 0.3}),
    slope=_snake_slope,
    curvature=_snake_curvature,
    parameter_slopes={"a": _snake_parameter},
    limits=lambda a=1.0: Limits(
        minus_infinity=(-_INF, _NAN, _NAN), plus_infinity=(_INF, _NAN, _NAN)
    ),
    monotonic=True,
    paper="arXiv:2006.08195",
)
def snake(x: ArrayLike, a: ArrayLike = 1.0) -> Array:
    """Snake: a line with a periodic part, for series that repeat.

    Example:
      >>> jaxacts.snake(jnp.array([-1.0, 2.0]))
      Array([-0.2919,  2.8268], dtype=float32)
    """
    s, s_low, _, _ = _turned(x, a)
    ratio = _snake_ratio(x, a, s)
    part = s * ratio
    # The error of s ratio: of the product, of the quotient and of s.
    high, low = num.product(s, ratio)
    error = (high - part) + low
    back, back_low = num.product(ratio, a)
    wrong = ((s - back) - back_low) + 2.0 * s_low
    error = error + ratio * wrong
    error = jnp.where(jnp.abs(part) < 1e30, error, 0.0)
    total = x + part
    total = total + (num.sum_low(x, part, total) + error)
    return jnp.where(jnp.isinf(x) | (part == 0), x, total)


# --- sine -----------------------------------------------------------------------


def _sine_slope(x: Array, omega: Array) -> Array:
    return omega * _turned(x, omega)[2]


def _sine_curvature(x: Array, omega: Array) -> Array:
    return -(omega * omega) * _turned(x, omega)[0]


@activation(
    family="periodic",
    formula=r"\sin(\omega x)",
    reference=lambda m, x, omega=1: m.sin(omega * x),
    parameters=(
        Parameter(
            name="omega",
            default=1.0,
            description="the frequency ω; SIREN takes 30",
        ),
    ),
    cases=({}, {"omega": 30.0}),
    slope=_sine_slope,
    curvature=_sine_curvature,
    parameter_slopes={"omega": lambda x, omega: x * _turned(x, omega)[2]},
    limits=lambda **_: Limits(
        minus_infinity=(_NAN, _NAN, _NAN), plus_infinity=(_NAN, _NAN, _NAN)
    ),
    value_range=lambda **_: (-1.0, 1.0),
    symmetry="odd",
    paper="Sitzmann et al., NeurIPS 2020",
)
def sine(x: ArrayLike, omega: ArrayLike = 1.0) -> Array:
    """Sine of ωx, exact for the largest arguments too; NaN at the infinities.

    Example:
      >>> jaxacts.sine(jnp.array([-1.0, 2.0]))
      Array([-0.8415,  0.9093], dtype=float32)
      >>> jaxacts.sine(1e30)
      Array(-0.7912, dtype=float32, weak_type=True)
    """
    return _turned(x, omega)[0]


# --- x tanh(x) = 2x σ(2x) - x -----------------------------------------------------


def _lisht_slope(x: Array) -> Array:
    """tanh(x) + x/cosh²(x)."""
    z = num.clamp(num.magnitude(x), None, 1e3)
    p = num.logistic_parts(-2.0 * z)
    y = 1.0 + (2.0 * (p.e * p.q)) * (2.0 * z * p.q - 1.0)
    near = num.clamp(z, None, 0.6)
    bend = near * ((near * near) * num.fit("TANH", near * near))
    t = near + bend
    y = jnp.where(z < 0.6, 2.0 * near + (bend - (near * t) * t), y)
    return jnp.where(num.sign_bit(x), -y, y)


@activation(
    family="periodic",
    formula=r"x \tanh(x)",
    reference=lambda m, x: x * m.tanh(x),
    slope=_lisht_slope,
    curvature=lambda x: swish_curvature(2.0 * x, jnp.zeros_like(x), 4.0),
    limits=lambda: Limits(
        minus_infinity=(_INF, -1.0, -0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda: (0.0, _INF),
    symmetry="even",
    paper="arXiv:1901.05894",
)
def lisht(x: ArrayLike) -> Array:
    """Linearly scaled hyperbolic tangent: even, |x| far from 0.

    Example:
      >>> jaxacts.lisht(jnp.array([-1.0, 2.0]))
      Array([0.7616, 1.9281], dtype=float32)
    """
    z = num.magnitude(x)
    p = num.logistic_parts(-2.0 * z)
    # 1 - 2e/(1 + e), and near 0 the series.
    far = z - num.clamp(z, None, 1e3) * (2.0 * (p.e * p.q))
    near = num.clamp(z, None, 0.6)
    square = near * near
    close = square + (square * square) * num.fit("TANH", square)
    return jnp.where(z < 0.6, close, far)


# --- growing cosine unit ----------------------------------------------------------


def _gcu_slope(x: Array) -> Array:
    """cos(x) - x sin(x)."""
    s, s_low, c, c_low = sin_cos(x, long=True)
    p, p_low = pairs.multiply((x, jnp.zeros_like(x)), (-s, -s_low))
    total, rest = pairs.add((p, p_low), (c, c_low))
    z = num.magnitude(x)
    return num.near_zero(z, "GCU_SLOPE", total + rest, 0.3, table=_table)


def _gcu_curvature(x: Array) -> Array:
    """-2 sin(x) - x cos(x)."""
    s, s_low, c, c_low = sin_cos(x, long=True)
    p, p_low = pairs.multiply((x, jnp.zeros_like(x)), (-c, -c_low))
    total, rest = pairs.add((p, p_low), (-2.0 * s, -2.0 * s_low))
    whole = jnp.where(jnp.abs(x) < 1e-9, -3.0 * x, total + rest)
    z = num.magnitude(x)
    near = num.near_zero(z, "GCU_CURVATURE", jnp.ones_like(x), 0.3, table=_table)
    return jnp.where(jnp.abs(z - 2.2889) < 0.29, -x * near, whole)


@activation(
    family="periodic",
    formula=r"x \cos(x)",
    reference=lambda m, x: x * m.cos(x),
    slope=_gcu_slope,
    curvature=_gcu_curvature,
    limits=lambda: Limits(
        minus_infinity=(_NAN, _NAN, _NAN), plus_infinity=(_NAN, _NAN, _NAN)
    ),
    symmetry="odd",
    paper="Noel et al., Growing Cosine Unit, 2021",
)
def gcu(x: ArrayLike) -> Array:
    """Growing cosine unit; NaN at the infinities, where it has no limit.

    Example:
      >>> jaxacts.gcu(jnp.array([-1.0, 2.0]))
      Array([-0.5403, -0.8323], dtype=float32)
    """
    return x * sin_cos(x)[2]
