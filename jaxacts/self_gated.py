"""x times a gate of σ(x): logish and smish."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients_gated as table
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._numerics import Array
from jaxacts._spec import Limits

_INF = float("inf")
_FAR = 1e3  # beyond, e^-|x| times any power of x is 0


def _parts(x: Array):
    """(x cut, whether x < 0, the parts of e = e^-|x|, e)."""
    t, s1, s2 = num.exp_parts(-num.magnitude(x), jnp.zeros_like(x))
    e = num.scale(1.0 + t, s1, s2)
    return num.clamp(x, -_FAR, _FAR), x < 0, (t, s1, s2), e


def _late(y: Array, parts, here: Array) -> Array:
    """y e^-|x| where asked, else y."""
    t, s1, s2 = parts
    small = num.scale(y + y * t, s1, s2)
    return jnp.where(here, small, y)


# --- logish: x log(1 + σ(x)), log(1 + σ) = 2 atanh(u/(2 + 3u)), u = e^x -------------


def _log_factor(below: Array, e: Array) -> tuple[Array, Array]:
    """(y, c) with log(1 + σ) = y + y c, divided by u for x < 0."""
    d = jnp.where(below, 2.0 + 3.0 * e, 3.0 + 2.0 * e)
    q = num.reciprocal(d)
    z = jnp.where(below, e, 1.0) * q
    return 2.0 * q, (z * z) * num.fit("LOG1P", z * z)


def _logish_slope(x: Array) -> Array:
    near, below, parts, e = _parts(x)
    y, c = _log_factor(below, e)
    gate = y + y * c
    # (1 + u)(1 + 2u), and for x > 0 (1 + e)(2 + e).
    d = jnp.where(below, 1.0 + e * (3.0 + 2.0 * e), 2.0 + e * (3.0 + e))
    q = num.reciprocal(d)
    left = num.near_zero(near, "LOGISH_SLOPE", d * gate + near, 0.4, table=table)
    return jnp.where(below, _late(left * q, parts, below), gate + near * (e * q))


def _logish_curvature(x: Array) -> Array:
    near, below, parts, e = _parts(x)
    d = jnp.where(below, 1.0 + e * (3.0 + 2.0 * e), 2.0 + e * (3.0 + e))
    bend = jnp.where(below, 1.0 - 2.0 * (e * e), e * e - 2.0)
    y = 2.0 * d + near * bend
    y = num.near_zero(near, "LOGISH_CURVATURE_NEGATIVE", y, 0.6, table=table)
    y = num.near_zero(near, "LOGISH_CURVATURE_POSITIVE", y, 0.4, table=table)
    q = num.reciprocal(d)
    return _late(y * (q * q), parts, jnp.ones_like(below))


@activation(
    family="self_gated",
    formula=r"x \log(1 + \sigma(x))",
    reference=lambda m, x: x * m.log(1 + 1 / (1 + m.exp(-x))),
    slope=_logish_slope,
    curvature=_logish_curvature,
    limits=lambda: Limits(
        minus_infinity=(-0.0, -0.0, -0.0),
        plus_infinity=(_INF, 0.6931471805599453, -0.0),
    ),
    value_range=lambda: (-0.30191, _INF),
    paper="Zhu et al., Logish, Neurocomputing, 2021",
)
def logish(x: ArrayLike) -> Array:
    """Logish: x times log(1 + σ(x)).

    Example:
      >>> jaxacts.logish(jnp.array([-1.0, 2.0]))
      Array([-0.2381,  1.264 ], dtype=float32)
    """
    near, below, parts, e = _parts(x)
    y, c = _log_factor(below, e)
    left = near * y
    left = _late(left + left * c, parts, below)
    return jnp.where(below, left, x * (y + y * c))


# --- smish: x n/d, n = u(2 + 3u), d = 2 + 6u + 5u², u = e^x --------------------------


def _smish_parts(below: Array, e: Array) -> tuple[Array, Array, Array]:
    """(n, 1/d, (1 + u)(1 + 2u)), by u for x < 0 and by e for x > 0."""
    n = jnp.where(below, 2.0 + 3.0 * e, 3.0 + 2.0 * e)
    d = jnp.where(below, 2.0 + e * (6.0 + 5.0 * e), 5.0 + e * (6.0 + 2.0 * e))
    k = jnp.where(below, 1.0 + e * (3.0 + 2.0 * e), 2.0 + e * (3.0 + e))
    return n, d, k


def _smish_slope(x: Array) -> Array:
    near, below, parts, e = _parts(x)
    n, d, k = _smish_parts(below, e)
    q = num.reciprocal(d)
    left = n * d + 4.0 * (near * k)
    left = num.near_zero(near, "SMISH_SLOPE", left, 0.4, table=table) * (q * q)
    right = n * q + (4.0 * near * e) * (k * (q * q))
    return jnp.where(below, _late(left, parts, below), right)


def _smish_curvature(x: Array) -> Array:
    near, below, parts, e = _parts(x)
    _, d, k = _smish_parts(below, e)
    left = 2.0 + e * (6.0 - e * (3.0 + e * (18.0 + 10.0 * e)))
    right = -10.0 - e * (18.0 + e * (3.0 - e * (6.0 + 2.0 * e)))
    y = 2.0 * (k * d) + near * jnp.where(below, left, right)
    y = num.near_zero(near, "SMISH_CURVATURE_NEGATIVE", y, 0.5, table=table)
    y = num.near_zero(near, "SMISH_CURVATURE_POSITIVE", y, 0.4, table=table)
    q = num.reciprocal(d)
    return _late((4.0 * y) * ((q * q) * q), parts, jnp.ones_like(below))


@activation(
    family="self_gated",
    formula=r"x \tanh(\log(1 + \sigma(x)))",
    reference=lambda m, x: x * m.tanh(m.log(1 + 1 / (1 + m.exp(-x)))),
    slope=_smish_slope,
    curvature=_smish_curvature,
    limits=lambda: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(_INF, 0.6, -0.0)
    ),
    value_range=lambda: (-0.29, _INF),
    paper="Wang et al., Smish, Electronics 11(4):540, 2022",
)
def smish(x: ArrayLike) -> Array:
    """Smish: x times the hyperbolic tangent of log(1 + σ(x)).

    Example:
      >>> jaxacts.smish(jnp.array([-1.0, 2.0]))
      Array([-0.2334,  1.117 ], dtype=float32)
    """
    near, below, parts, e = _parts(x)
    n, d, _ = _smish_parts(below, e)
    gate = n * num.reciprocal(d)
    return jnp.where(below, _late(near * gate, parts, below), x * gate)
