"""Functions of e^(e^x): the Gompertz function and tanh of an exponential."""

# mypy: disable-error-code="arg-type,operator,union-attr,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients_nested as _table
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._nested import inner_exp
from jaxacts._numerics import Array
from jaxacts._spec import Limits

_INF = float("inf")
# Below, the functions are lines, and parts of a sum would underflow.
_TINY = 1e-30

# --- golu: x G(x), G = e^-w, w = e^-x; G' = w G ----------------------------------

# Below, G times any power of w is 0.
_GOLU_FAR = {"float32": -5.1, "float64": -7.2}


def _golu_parts(x: Array):
    """(x cut, w, the parts of w, the parts of G)."""
    near = num.clamp(x, _GOLU_FAR[str(x.dtype)], 1e3)
    inner = inner_exp(-near)
    return near, inner, num.exp_parts(-inner.w, -inner.w_low)


def _golu_slope(x: Array) -> Array:
    near, inner, (t, s1, s2) = _golu_parts(x)
    change, change_low = num.product(near, inner.w, 0.0, inner.w_low)
    one = num.opaque(1.0, near)
    y = one + change
    low = num.sum_low(change, one, y) + change_low
    at = num.distance(near, "GOLU_SLOPE", table=_table)
    return num.finish(*num.patched(at, (y, low), 0.2), t, s1, s2)


def _golu_curvature(x: Array) -> Array:
    near, inner, (t, s1, s2) = _golu_parts(x)
    y = 2.0 + near * (inner.w - 1.0)
    y = num.near_zero(near, "GOLU_CURVATURE_NEGATIVE", y, 0.3, table=_table)
    y = num.near_zero(near, "GOLU_CURVATURE_POSITIVE", y, 0.6, table=_table)
    # (1 + t)(1 + inner.t) - 1, so that y is rounded once
    change = t + (inner.t + t * inner.t)
    y = num.scale(y + y * change, inner.s1, inner.s2)
    return num.scale(y, s1, s2)


@activation(
    family="nested",
    formula=r"x \, e^{-e^{-x}}",
    reference=lambda m, x: x * m.exp(-m.exp(-x)),
    slope=_golu_slope,
    curvature=_golu_curvature,
    limits=lambda: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda: (-0.09727, _INF),
    paper="arXiv:2502.03654",
)
def golu(x: ArrayLike) -> Array:
    """Gompertz linear unit: x times the Gompertz function.

    Example:
      >>> jaxacts.golu(jnp.array([-1.0, 2.0]))
      Array([-0.066 ,  1.7468], dtype=float32)
    """
    near, _, (t, s1, s2) = _golu_parts(x)
    whole = num.clamp(x, _GOLU_FAR[str(x.dtype)])
    y = num.scale(jnp.where(t == 0, whole, whole + near * t), s1, s2)
    return jnp.where(jnp.abs(x) < _TINY, math.exp(-1.0) * x, y)


# --- tanhexp: x tanh(u), u = e^x ---------------------------------------------------

# Above, 1 - tanh(u) times any power of u is 0.
_TANHEXP_FAR = {"float32": 4.4, "float64": 6.5}
# To the left tanh(u) = u (1 + u² p(u²)).
_SEAM = -0.52


def _tanhexp_parts(x: Array):
    """(x cut, the parts of u, tanh(u)/u - 1 to the left, the parts of e^-2u)."""
    near = num.clamp(x, -1e3, _TANHEXP_FAR[str(x.dtype)])
    inner = inner_exp(near)
    u = num.clamp(inner.w, None, 0.6)
    more = (u * u) * num.fit("TANH", u * u)
    outer = num.logistic_parts(-2.0 * inner.w, -2.0 * inner.w_low)
    return near, inner, more, outer


def _far_from_one(p: num.Logistic) -> Array:
    """1 - tanh(u)."""
    y = 2.0 * p.q
    return num.finish(y, y * p.delta, p.t, p.s1, p.s2)


def _square_secant(p: num.Logistic, factor: Array | float) -> Array:
    """factor/cosh²(u)."""
    y = (4.0 * p.q * p.q) * factor
    return num.scale(y + y * (p.t + 2.0 * p.delta * (1.0 + p.t)), p.s1, p.s2)


def _tanhexp_slope(x: Array) -> Array:
    near, inner, more, p = _tanhexp_parts(x)
    rise, fall = _square_secant(p, near * inner.w), -_far_from_one(p)
    change = rise + fall
    right = (1.0 + change) + num.sum_low(rise, fall, change)
    # tanh(u)/u + x (1 - tanh²(u)), from 1 + x on.
    tangent = inner.w * (1.0 + more)
    one, change = num.opaque(1.0, near), more - near * (tangent * tangent)
    start = one + near
    left = start + change
    low = num.sum_low(one, near, start) + num.sum_low(start, change, left)
    at = num.distance(near, "TANHEXP_SLOPE", table=_table)
    y = num.patched(at, (left, low), 0.8)
    left = num.finish(*y, inner.t, inner.s1, inner.s2)
    return jnp.where(near < -0.35, left, right)


_TANHEXP_ZEROS = {"TANHEXP_CURVATURE_NEGATIVE": 0.6, "TANHEXP_CURVATURE_POSITIVE": 0.25}


def _tanhexp_curvature(x: Array) -> Array:
    near, inner, more, p = _tanhexp_parts(x)
    # 2 + x - 2xu tanh(u); to the right tanh(u) = 1 - r.
    xu, xu_low = num.product(near, inner.w, 0.0, inner.w_low)
    rest = 2.0 * ((xu + xu_low) * _far_from_one(p) - xu_low)
    below = near < _SEAM
    change = -2.0 * ((near * inner.w) * (inner.w * (1.0 + more)))
    change = jnp.where(below, change, -2.0 * xu)
    rest = jnp.where(below, 0.0, rest)
    two = num.opaque(2.0, near)
    start = two + near
    middle = start + change
    y = middle + rest
    low = num.sum_low(two, near, start) + num.sum_low(start, change, middle)
    low = low + num.sum_low(middle, rest, y)
    for name, width in _TANHEXP_ZEROS.items():
        at = num.distance(near, name, table=_table)
        y, low = num.patched(at, (y, low), width)
    square = 4.0 * (p.q * p.q)
    w = y * square
    # Both exponentials in one step; that of e^-2u is the one that underflows.
    t = inner.t + (p.t + inner.t * p.t)
    y = num.finish(w, low * square + 2.0 * w * p.delta, t, inner.s1, inner.s2)
    return num.scale(y, p.s1, p.s2)


@activation(
    family="nested",
    formula=r"x \tanh(e^x)",
    reference=lambda m, x: x * m.tanh(m.exp(x)),
    slope=_tanhexp_slope,
    curvature=_tanhexp_curvature,
    limits=lambda: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda: (-0.3533, _INF),
    paper="arXiv:2003.09855, arXiv:2412.20269",
    aliases=("telu",),
)
def tanhexp(x: ArrayLike) -> Array:
    """x times the hyperbolic tangent of e^x, also published as TeLU.

    Another package's ``TeLU`` is x tanh(elu(αx)), a different function.

    Example:
      >>> jaxacts.tanhexp(jnp.array([-1.0, 2.0]))
      Array([-0.3521,  2.    ], dtype=float32)
    """
    near, inner, more, p = _tanhexp_parts(x)
    right = jnp.where(x > near, x, x - near * _far_from_one(p))
    right = jnp.where(jnp.abs(x) < _TINY, math.tanh(1.0) * x, right)
    left = num.finish(near, near * more, inner.t, inner.s1, inner.s2)
    return jnp.where(near < _SEAM, left, right)
