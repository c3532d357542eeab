"""x times a gate of σ(x): logish and smish."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients_gated as _table
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._numerics import Array
from jaxacts._spec import Limits

_INF = float("inf")
Pair = tuple[Array, Array]
_Width = float | tuple[float, float]
_FAR = 1e3  # beyond, e^-|x| times any power of x is 0


class _Parts(NamedTuple):
    """x cut, whether x < 0, e^-|x| = (1 + t) s1 s2 = e + e_low."""

    x: Array
    below: Array
    t: Array
    s1: Array
    s2: Array
    e: Array
    e_low: Array


def _parts(x: Array, factor: float = 1.0) -> _Parts:
    """The parts of e^-|factor x|."""
    a = num.magnitude(x) * -factor
    t, s1, s2 = num.exp_parts(a, jnp.zeros_like(x))
    one = num.opaque(1.0, t)
    total = one + t
    e_low = num.scale(t - (total - one), s1, s2)
    near = num.clamp(x, -_FAR, _FAR)
    return _Parts(near, x < 0, t, s1, s2, num.scale(total, s1, s2), e_low)


def _polynomial(v: _Parts, left: tuple[float, ...], right: tuple[float, ...]) -> Pair:
    """A polynomial of e, for x < 0 and x > 0, with the errors of its sums."""
    cs = [jnp.where(v.below, a, b) for a, b in zip(left, right, strict=True)]
    total, low = cs[-1].astype(v.e.dtype), jnp.zeros_like(v.e)
    for c in cs[-2::-1]:
        first, rest = c.astype(v.e.dtype), v.e * total
        low = v.e * low + v.e_low * total
        total = first + rest
        low = low + num.sum_low(rest, first, total)
    return total, low


def _inverse(d: Array, d_low: Array) -> Pair:
    """(q, delta) with 1/(d + d_low) = q (1 + delta)."""
    return num.inverse(d, d_low)


def _sum(a: Pair, b: Pair) -> Pair:
    total = a[0] + b[0]
    return total, num.sum_low(a[0], b[0], total) + (a[1] + b[1])


def _product(a: Pair, b: Pair) -> Pair:
    return num.product(a[0], b[0], a[1], b[1])


def _patched(x: Array, zeros: Mapping[str, _Width], y: Pair) -> Pair:
    """y, from its factor beside each of its zeros."""
    for name, width in zeros.items():
        y = num.patched(num.distance(x, name, table=_table), y, width)
    return y


def _finish(v: _Parts, y: Pair, small: Array) -> Array:
    """y, times e^-|x| where asked."""
    t, s1, s2 = (
        jnp.where(small, part, other)
        for part, other in ((v.t, 0.0), (v.s1, 1.0), (v.s2, 1.0))
    )
    return num.finish(*y, t, s1, s2)


# --- logish: x log(1 + σ(x)), log(1 + σ) = 2 atanh(u/(2 + 3u)), u = e^x -------------


def _log_factor(v: _Parts) -> Pair:
    """log(1 + σ), divided by u for x < 0."""
    q, delta = _inverse(*_polynomial(v, (2.0, 3.0), (3.0, 2.0)))
    z = jnp.where(v.below, v.e, 1.0) * q
    y = 2.0 * q
    return y, y * ((z * z) * num.fit("LOG1P", z * z) + delta)


def _logish_slope(x: Array) -> Array:
    v = _parts(x)
    # (1 + u)(1 + 2u), and for x > 0 (1 + e)(2 + e).
    q, delta = _inverse(*_polynomial(v, (1.0, 3.0, 2.0), (2.0, 3.0, 1.0)))
    factor = jnp.where(v.below, 1.0, v.e) * q
    gate = _log_factor(v)
    change = num.product(v.x, factor, 0.0, factor * delta)
    y, low = _sum(gate, change)
    # The zero is that of y times the divisor.
    at = num.distance(v.x, "LOGISH_SLOPE", table=_table)
    near, near_low = num.patched(at, (jnp.zeros_like(y), jnp.zeros_like(y)), 0.8)
    near, near_low = num.product(near, q, near_low, q * delta)
    inside = jnp.abs(at.d) < 0.8
    y, low = jnp.where(inside, near, y), jnp.where(inside, near_low, low)
    return _finish(v, (y, low), v.below)


def _logish_curvature(x: Array) -> Array:
    v = _parts(x)
    d, d_low = _polynomial(v, (1.0, 3.0, 2.0), (2.0, 3.0, 1.0))
    bend = _polynomial(v, (1.0, 0.0, -2.0), (-2.0, 0.0, 1.0))
    whole = _sum((2.0 * d, 2.0 * d_low), num.product(v.x, bend[0], 0.0, bend[1]))
    zeros = {"LOGISH_CURVATURE_NEGATIVE": 0.8, "LOGISH_CURVATURE_POSITIVE": 0.6}
    y, low = _patched(v.x, zeros, whole)
    q, delta = _inverse(d, d_low)
    square = q * q
    w = y * square
    return num.finish(w, low * square + 2.0 * w * delta, v.t, v.s1, v.s2)


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
      Array([-0.2382,  1.2634], dtype=float32)
    """
    v = _parts(x)
    y, low = _log_factor(v)
    left = num.finish(*num.product(v.x, y, 0.0, low), v.t, v.s1, v.s2)
    y = jnp.where(v.below, left, x * (y + low))
    return jnp.where(jnp.abs(x) < 1e-30, x * math.log(1.5), y)


# --- smish: x n/d, n = u(2 + 3u), d = 2 + 6u + 5u², u = e^x --------------------------


def _smish_parts(v: _Parts) -> tuple[Pair, Pair, Pair]:
    """n, d and (1 + u)(1 + 2u), by u for x < 0 and by e for x > 0."""
    n = _polynomial(v, (2.0, 3.0), (3.0, 2.0))
    d = _polynomial(v, (2.0, 6.0, 5.0), (5.0, 6.0, 2.0))
    k = _polynomial(v, (1.0, 3.0, 2.0), (2.0, 3.0, 1.0))
    return n, d, k


def _smish_slope(x: Array) -> Array:
    v = _parts(x)
    n, d, k = _smish_parts(v)
    change, change_low = num.product(4.0 * v.x, k[0], 0.0, k[1])
    small = jnp.where(v.below, 1.0, v.e)
    change, change_low = change * small, change_low * small
    y, low = _sum(_product(n, d), (change, change_low))
    y, low = _patched(v.x, {"SMISH_SLOPE": (0.6, 0.4)}, (y, low))
    q, delta = _inverse(*d)
    inverse = q, q * delta
    return _finish(v, _product(_product((y, low), inverse), inverse), v.below)


def _smish_curvature(x: Array) -> Array:
    v = _parts(x)
    _, d, k = _smish_parts(v)
    first, first_low = _product(k, d)
    bend = _polynomial(
        v, (2.0, 6.0, -3.0, -18.0, -10.0), (-10.0, -18.0, -3.0, 6.0, 2.0)
    )
    whole = _sum(
        (2.0 * first, 2.0 * first_low), num.product(v.x, bend[0], 0.0, bend[1])
    )
    zeros = {"SMISH_CURVATURE_NEGATIVE": 0.5, "SMISH_CURVATURE_POSITIVE": 0.25}
    y, low = _patched(v.x, zeros, whole)
    q, delta = _inverse(*d)
    w, low = _product((4.0 * y, 4.0 * low), (q, q * delta))
    square = q * q
    return num.finish(
        w * square, low * square + 2.0 * (w * square) * delta, v.t, v.s1, v.s2
    )


@activation(
    precise=("float16",),
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
      Array([-0.2338,  1.1184], dtype=float32)
    """
    v = _parts(x)
    n, d, _ = _smish_parts(v)
    q, delta = _inverse(*d)
    gate, low = num.product(n[0], q, n[1], q * delta)
    left = num.finish(*num.product(v.x, gate, 0.0, low), v.t, v.s1, v.s2)
    y = jnp.where(v.below, left, x * (gate + low))
    return jnp.where(jnp.abs(x) < 1e-30, x * (5.0 / 13.0), y)


# --- sqrt_softplus, in h = e^(-|x|/2): e^x itself underflows too early ---------------


def _root_parts(x: Array) -> tuple[_Parts, Pair]:
    """The parts of h with e = h², and softplus, divided by e^x for x < 0."""
    v = _parts(x, 0.5)
    high, low = num.product(v.e, v.e, v.e_low, v.e_low)
    e = high + low
    v = v._replace(e=e, e_low=low - (e - high))
    q, delta = _inverse(*_polynomial(v, (2.0, 1.0), (2.0, 1.0)))
    z = e * q
    ratio = 2.0 * q  # log(1 + e)/e
    ratio_low = ratio * ((z * z) * num.fit("LOG1P", z * z) + delta)
    near = jnp.where(v.below, 0.0, v.x)
    part, part_low = num.product(ratio, e, ratio_low, v.e_low)
    total, total_low = _sum((near, part_low), (part, jnp.zeros_like(e)))
    total = jnp.where(x > _FAR, x, total)
    return v, (
        jnp.where(v.below, ratio, total),
        jnp.where(v.below, ratio_low, total_low),
    )


def _inverse_root(y: Pair) -> Pair:
    """(r, delta) with 1/sqrt(y) = r (1 + delta)."""
    total = y[0] + y[1]
    r = 1.0 / jnp.sqrt(total)
    usual = total < 1e30  # else the logarithm is x, and r² may underflow
    cut = jnp.where(usual, r, 1.0)
    square = num.product(cut, cut)
    back, back_low = num.product(
        square[0], jnp.where(usual, y[0], 1.0), square[1], jnp.where(usual, y[1], 0.0)
    )
    return r, jnp.where(usual, 0.5 * ((1.0 - back) - back_low), 0.0)


def _root_slope(x: Array) -> Array:
    """σ/(2 softplus^(1/2))."""
    v, y = _root_parts(x)
    q, delta = _inverse(*_polynomial(v, (1.0, 1.0), (1.0, 1.0)))
    r, r_delta = _inverse_root(y)
    w = (0.5 * q) * r
    return _finish(v, (w, w * (delta + r_delta)), v.below)


def _root_curvature(x: Array) -> Array:
    """σ² (2 e^-x softplus - 1)/(4 softplus^(3/2))."""
    v, y = _root_parts(x)
    q, delta = _inverse(*_polynomial(v, (1.0, 1.0), (1.0, 1.0)))
    small = jnp.where(v.below, 1.0, v.e)
    ratio, ratio_low = num.clamp(y[0], None, _FAR) * small, y[1] * small
    less = num.opaque(-1.0, v.x)
    twice = 2.0 * ratio
    bracket = twice + less
    low = num.sum_low(twice, less, bracket) + 2.0 * ratio_low
    w, low = _patched(v.x, {"ROOT_CURVATURE": 1.4}, (bracket, low))
    r, r_delta = _inverse_root(y)
    # Far to the right r³ is so small that corrections would be flushed to zero.
    far, square = x > 1e6, r * r
    factor = (0.25 * (q * q)) * (jnp.where(far, 1.0, square) * r)
    w, low = w * factor, low * factor
    out = _finish(v, (w, low + w * (2.0 * delta + 3.0 * r_delta)), v.below)
    return jnp.where(far, out * square, out)


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
    paper="the square root of softplus, as in routers of experts",
)
def sqrt_softplus(x: ArrayLike) -> Array:
    """The square root of softplus, a score of experts that grows slowly.

    Example:
      >>> jaxacts.sqrt_softplus(jnp.array([-1.0, 2.0]))
      Array([0.5597, 1.4584], dtype=float32)
    """
    v, (y, low) = _root_parts(x)
    root = jnp.sqrt(y + low)
    small = num.finish(root, jnp.zeros_like(root), v.t, v.s1, v.s2)
    return jnp.where(v.below, small, root)
