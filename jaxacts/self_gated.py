"""x times a gate of σ(x): logish and smish."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients_gated as _table
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


def _inverse(d: Array) -> tuple[Array, Array]:
    """(q, delta) with 1/d = q (1 + delta)."""
    q = num.reciprocal(d)
    return q, 1.0 - q * d


def _patched(near: Array, zeros: dict[str, float], y: Array, t: Array) -> Array:
    """y (1 + t), from its factor beside each of its zeros."""
    *others, last = zeros
    for name in others:
        none = jnp.zeros_like(y)
        y = num.times_near_zero(near, name, y, zeros[name], none, _table)
    return num.times_near_zero(near, last, y, zeros[last], t, _table)


# --- logish: x log(1 + σ(x)), log(1 + σ) = 2 atanh(u/(2 + 3u)), u = e^x -------------


def _log_factor(below: Array, e: Array) -> tuple[Array, Array]:
    """(y, c) with log(1 + σ) = y + y c, divided by u for x < 0."""
    d = jnp.where(below, 2.0 + 3.0 * e, 3.0 + 2.0 * e)
    q, delta = _inverse(d)
    z = jnp.where(below, e, 1.0) * q
    return 2.0 * q, (z * z) * num.fit("LOG1P", z * z) + delta


def _logish_slope(x: Array) -> Array:
    near, below, (t, s1, s2), e = _parts(x)
    y, c = _log_factor(below, e)
    gate = y + y * c
    # (1 + u)(1 + 2u), and for x > 0 (1 + e)(2 + e).
    d = jnp.where(below, 1.0 + e * (3.0 + 2.0 * e), 2.0 + e * (3.0 + e))
    q, delta = _inverse(d)
    more = t + delta * (1.0 + t)
    left = _patched(near, {"LOGISH_SLOPE": 0.8}, d * gate + near, more)
    return jnp.where(below, num.scale(left * q, s1, s2), gate + near * (e * q))


def _logish_curvature(x: Array) -> Array:
    near, below, (t, s1, s2), e = _parts(x)
    d = jnp.where(below, 1.0 + e * (3.0 + 2.0 * e), 2.0 + e * (3.0 + e))
    bend = jnp.where(below, 1.0 - 2.0 * (e * e), e * e - 2.0)
    q, delta = _inverse(d)
    zeros = {"LOGISH_CURVATURE_NEGATIVE": 0.8, "LOGISH_CURVATURE_POSITIVE": 0.6}
    more = t + 2.0 * delta * (1.0 + t)
    y = _patched(near, zeros, 2.0 * d + near * bend, more)
    return num.scale(y * (q * q), s1, s2)


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
    max_ulp={"float32": (2.6, 3.0, 5.0)},
    paper="Zhu et al., Logish, Neurocomputing, 2021",
)
def logish(x: ArrayLike) -> Array:
    """Logish: x times log(1 + σ(x)).

    Example:
      >>> jaxacts.logish(jnp.array([-1.0, 2.0]))
      Array([-0.2382,  1.2634], dtype=float32)
    """
    near, below, parts, e = _parts(x)
    y, c = _log_factor(below, e)
    left = near * y
    left = _late(left + left * c, parts, below)
    y = jnp.where(below, left, x * (y + y * c))
    return jnp.where(jnp.abs(x) < 1e-30, x * math.log(1.5), y)


# --- smish: x n/d, n = u(2 + 3u), d = 2 + 6u + 5u², u = e^x --------------------------


def _smish_parts(below: Array, e: Array) -> tuple[Array, Array, Array]:
    """(n, 1/d, (1 + u)(1 + 2u)), by u for x < 0 and by e for x > 0."""
    n = jnp.where(below, 2.0 + 3.0 * e, 3.0 + 2.0 * e)
    d = jnp.where(below, 2.0 + e * (6.0 + 5.0 * e), 5.0 + e * (6.0 + 2.0 * e))
    k = jnp.where(below, 1.0 + e * (3.0 + 2.0 * e), 2.0 + e * (3.0 + e))
    return n, d, k


def _smish_slope(x: Array) -> Array:
    near, below, (t, s1, s2), e = _parts(x)
    n, d, k = _smish_parts(below, e)
    q, delta = _inverse(d)
    more = t + 2.0 * delta * (1.0 + t)
    left = _patched(near, {"SMISH_SLOPE": 0.6}, n * d + 4.0 * (near * k), more)
    right = n * q + (4.0 * near * e) * (k * (q * q))
    return jnp.where(below, num.scale(left * (q * q), s1, s2), right)


def _smish_curvature(x: Array) -> Array:
    near, below, (t, s1, s2), e = _parts(x)
    _, d, k = _smish_parts(below, e)
    left = 2.0 + e * (6.0 - e * (3.0 + e * (18.0 + 10.0 * e)))
    right = -10.0 - e * (18.0 + e * (3.0 - e * (6.0 + 2.0 * e)))
    y = 2.0 * (k * d) + near * jnp.where(below, left, right)
    q, delta = _inverse(d)
    zeros = {"SMISH_CURVATURE_NEGATIVE": 0.5, "SMISH_CURVATURE_POSITIVE": 0.25}
    y = _patched(near, zeros, y, t + 3.0 * delta * (1.0 + t))
    return num.scale((4.0 * y) * ((q * q) * q), s1, s2)


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
    max_ulp={"float32": (3.5, 4.5, 10.0)},
    paper="Wang et al., Smish, Electronics 11(4):540, 2022",
)
def smish(x: ArrayLike) -> Array:
    """Smish: x times the hyperbolic tangent of log(1 + σ(x)).

    Example:
      >>> jaxacts.smish(jnp.array([-1.0, 2.0]))
      Array([-0.2338,  1.1184], dtype=float32)
    """
    near, below, parts, e = _parts(x)
    n, d, _ = _smish_parts(below, e)
    q, delta = _inverse(d)
    gate = n * q
    gate = gate + gate * delta
    y = jnp.where(below, _late(near * gate, parts, below), x * gate)
    return jnp.where(jnp.abs(x) < 1e-30, x * (5.0 / 13.0), y)


# --- sqrt_softplus, in h = e^(-|x|/2): e^x itself underflows too early ---------------


def _root_parts(x: Array):
    """(x < 0, softplus or its ratio to e^x, the other for x > 0, e, parts of h)."""
    t, s1, s2 = num.exp_parts(-0.5 * num.magnitude(x), jnp.zeros_like(x))
    h = num.scale(1.0 + t, s1, s2)
    e = h * h
    q, delta = _inverse(2.0 + e)
    v = (e * q) * (e * q)
    ratio = 2.0 * q
    ratio = ratio + ratio * (v * num.fit("LOG1P", v) + delta)  # log(1 + e)/e
    y = jnp.where(x < 0, ratio, num.clamp(x, 0.0) + ratio * e)
    return x < 0, y, e, (t, s1, s2)


def _root_slope(x: Array) -> Array:
    """σ/(2 softplus^(1/2))."""
    below, y, e, parts = _root_parts(x)
    q, delta = _inverse(1.0 + e)
    slope = (0.5 * (q + q * delta)) / jnp.sqrt(y)
    return _late(slope, parts, below)


def _root_curvature(x: Array) -> Array:
    """σ² (2 e^-x softplus - 1)/(4 softplus^(3/2))."""
    below, y, e, parts = _root_parts(x)
    q, delta = _inverse(1.0 + e)
    near = num.clamp(x, -_FAR, _FAR)
    ratio = jnp.where(below, y, num.clamp(y, None, _FAR) * e)
    bracket = 2.0 * ratio - 1.0
    w = _patched(near, {"ROOT_CURVATURE": 0.5}, bracket, 2.0 * delta)
    root = 1.0 / jnp.sqrt(y)
    return _late((0.25 * w * (q * q)) * ((root * root) * root), parts, below)


@activation(
    family="self_gated",
    formula=r"\sqrt{\log(1 + e^x)}",
    reference=lambda m, x: m.sqrt(m.log(1 + m.exp(x))),
    slope=_root_slope,
    curvature=_root_curvature,
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(_INF, 0.0, -0.0)
    ),
    value_range=lambda: (0.0, _INF),
    monotonic=True,
    max_ulp={"float32": (2.0, 2.5, 11.0)},
    paper="the square root of softplus, as in routers of experts",
)
def sqrt_softplus(x: ArrayLike) -> Array:
    """The square root of softplus, a score of experts that grows slowly.

    Example:
      >>> jaxacts.sqrt_softplus(jnp.array([-1.0, 2.0]))
      Array([0.5597, 1.4584], dtype=float32)
    """
    below, y, _, parts = _root_parts(x)
    return _late(jnp.sqrt(y), parts, below)
