"""x times a sigmoidal function of another activation: serf."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients_composed as _table
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._numerics import Array
from jaxacts._spec import Limits

_INF = float("inf")
_DENSITY = "1.12837916709551257389615890312154517"  # 2/√π
_FAR = 1e3  # beyond, e^-|x| times any power of x is 0
Pair = tuple[Array, Array]
Parts = tuple[Array, Array, Array]

# --- serf: x erf(s), s = softplus(x); u = e^x --------------------------------------
#
# For x < 0 u times polynomials in u and x; for x > 0 the distance to the line is
# e^(-x²) times a smooth function.


def _rounded_exp(parts: Parts) -> Pair:
    """An exponential as a number and its rounding error."""
    t, s1, s2 = parts
    one = num.opaque(1.0, t)
    total = one + t
    low = t - (total - one)
    return num.scale(total, s1, s2), num.scale(low, s1, s2)


def _chosen(which: Array, a: tuple[Array, ...], b: tuple[Array, ...]):
    return tuple(jnp.where(which, p, q) for p, q in zip(a, b, strict=True))


def _sum(a: Pair, b: Pair) -> Pair:
    total = a[0] + b[0]
    return total, num.sum_low(a[0], b[0], total) + (a[1] + b[1])


def _minus_square(z: Array, more: Pair | None = None) -> Pair:
    """-z² less more, which is of the size of 1."""
    z_high = num.high_part(z)
    rest = -((z - z_high) * (z + z_high))
    y = _sum((-(z_high * z_high), jnp.zeros_like(z)), (rest, jnp.zeros_like(z)))
    return y if more is None else _sum(y, (-more[0], -more[1]))


def _accurate(name: str, x: Array) -> Pair:
    """A fit, the errors of its last three sums and of their coefficients."""
    coefficients = getattr(_table, name)[str(x.dtype)]
    total, low = num.horner(x, coefficients[3:]), jnp.zeros_like(x)
    for c in coefficients[2::-1]:
        high, rest = num.constant(repr(c), x.dtype)
        step, first = x * total, jnp.full_like(x, high)
        total = step + first
        low = (x * low + num.sum_low(step, first, total)) + rest
    return total, low


def _in_u(name: str, u: Pair, slope: float) -> Pair:
    """A fit in u - 1/2, whose derivative is about the slope given."""
    d, d_low = _sum((num.opaque(-0.5, u[0]), jnp.zeros_like(u[0])), u)
    y, low = _accurate(name, d)
    return y, low + slope * d_low


def _times(y: Pair, parts: Parts) -> Pair:
    """y times an exponential, as (high, low)."""
    t, s1, s2 = parts
    value, low = y
    change = value * t
    total = value + change
    low = num.sum_low(value, change, total) + (low + low * t)
    return num.scale(total, s1, s2), num.scale(low, s1, s2)


def _serf_parts(x: Array) -> tuple[Array, Array, Parts]:
    """(x cut to where it matters, x <= 0, the parts of e^x or of e^(-x²))."""
    near = num.clamp(x, -_FAR, _table.FAR[str(x.dtype)][0])
    left = x <= 0
    high, low = _minus_square(num.clamp(near, 0.0))
    parts = num.exp_parts(jnp.where(left, near, high), jnp.where(left, 0.0, low))
    return near, left, parts


def _one_less(name: str, near: Array, parts: Parts) -> Pair:
    """1 - e^(-x²) p(x)."""
    high, low = _times(_accurate(name, num.clamp(near, 0.0)), parts)
    one = num.opaque(1.0, near)
    return _sum((one, jnp.zeros_like(near)), (-high, -low))


def _serf_slope(x: Array) -> Array:
    near, left, parts = _serf_parts(x)
    u = _rounded_exp(parts)
    rise, rise_low = _in_u("SERF_GATE_SLOPE", u, -1.0)
    change = num.product(near, rise, 0.0, rise_low)
    y = _sum(change, _in_u("SERF_GATE", u, -0.5))
    at = num.distance(near, "SERF_SLOPE", table=_table)
    below = num.finish(*num.patched(at, y, 0.7), *parts)
    above, low = _one_less("SERF_SLOPE_REST", near, parts)
    return jnp.where(left, below, above + low)


_SERF_ZEROS = {"SERF_CURVATURE_NEGATIVE": 0.8, "SERF_CURVATURE_POSITIVE": 0.7}


def _outer(u: Pair) -> Pair:
    """2/√π/(1 + u)²."""
    d, d_low = _sum((num.opaque(1.0, u[0]), jnp.zeros_like(u[0])), u)
    q = num.reciprocal(d)
    back, back_low = num.product(q, d, 0.0, d_low)
    q_low = q * ((1.0 - back) - back_low)
    high, low = num.product(q, q, q_low, q_low)
    square = high + low
    return num.product_with_constant(_DENSITY, square, low - (square - high))


def _serf_curvature(x: Array) -> Array:
    left = x <= 0
    near = num.clamp(x, -_FAR, 30.0)
    z = num.clamp(near, 0.0)
    none, two = jnp.zeros_like(x), num.opaque(2.0, x)
    first = num.exp_parts(-num.magnitude(near), none)
    u = _rounded_exp(first)
    # For x < 0, e^x p(u) (2 + x b(u)).
    bend, bend_low = _in_u("SERF_BEND", u, -1.1)
    below = _sum((two, none), num.product(near, bend, 0.0, bend_low))
    # For x > 0, e^(-s²) p(e) (2 (1 + e) + x (e - 2 s)), s = x + log(1 + e).
    ratio, ratio_low = _in_u("LOG_RATIO", u, -0.4)
    logarithm = num.product(u[0], ratio, u[1], ratio_low)
    double = _sum((2.0 * z, none), logarithm)
    more = num.product(logarithm[0], double[0], logarithm[1], double[1])
    second = num.exp_parts(*_minus_square(z, more))
    inner = _sum(u, (-2.0 * z, none))
    inner = _sum(inner, (-2.0 * logarithm[0], -2.0 * logarithm[1]))
    push = num.product(z, inner[0], 0.0, inner[1])
    above = _sum(_sum((two, none), push), (2.0 * u[0], 2.0 * u[1]))
    high, low = _chosen(left, below, above)
    for name, width in _SERF_ZEROS.items():
        at = num.distance(near, name, table=_table)
        high, low = num.patched(at, (high, low), width)
    factor = _chosen(left, _in_u("SERF_GATE_SLOPE", u, -1.0), _outer(u))
    high, low = num.product(high, factor[0], low, factor[1])
    return num.finish(high, low, *_chosen(left, first, second))


@activation(
    family="composed",
    formula=r"x \operatorname{erf}(\log(1 + e^x))",
    reference=lambda m, x: x * m.erf(m.log(1 + m.exp(x))),
    slope=_serf_slope,
    curvature=_serf_curvature,
    limits=lambda: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda: (-0.34845, _INF),
    paper="arXiv:2108.09598",
)
def serf(x: ArrayLike) -> Array:
    """Serf: x times the error function of softplus.

    Example:
      >>> jaxacts.serf(jnp.array([-1.0, 2.0]))
      Array([-0.3422,  1.9947], dtype=float32)
    """
    near, left, parts = _serf_parts(x)
    gate, low = _in_u("SERF_GATE", _rounded_exp(parts), -0.5)
    below = num.finish(*num.product(near, gate, 0.0, low), *parts)
    gate, low = _one_less("SERF_REST", near, parts)
    above = x * gate + num.clamp(x, None, _FAR) * low
    y = jnp.where(left, below, above)
    return jnp.where(jnp.abs(x) < 1e-30, x * math.erf(math.log(2.0)), y)
