"""x times a sigmoidal function of another activation: serf and phish."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math
from types import ModuleType
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients_phish as _phish
from jaxacts import _coefficients_serf as _serf
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._gaussian import lower_slope, mills, tail
from jaxacts._numerics import Array
from jaxacts._spec import Limits

_INF = float("inf")
_FAR = 1e3  # beyond, e^-|x| times any power of x is 0
Pair = tuple[Array, Array]  # (high, low), for their sum
Parts = tuple[Array, Array, Array]  # of an exponential, as from `exp_parts`

# --- pairs -------------------------------------------------------------------------


def _single(x: Array) -> Pair:
    return x, jnp.zeros_like(x)


def _normal(a: Pair) -> Pair:
    """The same sum with low below a place of high."""
    total = a[0] + a[1]
    return total, a[1] - (total - a[0])


def _minus(a: Pair) -> Pair:
    return -a[0], -a[1]


def _double(a: Pair) -> Pair:
    return 2.0 * a[0], 2.0 * a[1]


def _sum(a: Pair, b: Pair) -> Pair:
    total = a[0] + b[0]
    return total, num.sum_low(a[0], b[0], total) + (a[1] + b[1])


def _product(a: Pair, b: Pair) -> Pair:
    return _normal(num.product(a[0], b[0], a[1], b[1]))


def _chosen(which: Array, a: tuple[Array, ...], b: tuple[Array, ...]):
    return tuple(jnp.where(which, p, q) for p, q in zip(a, b, strict=True))


def _patched(table: ModuleType, x: Array, zeros: dict[str, float], y: Pair) -> Pair:
    """y, from its factor beside each of its zeros."""
    for name, width in zeros.items():
        y = num.patched(num.distance(x, name, table=table), y, width)
    return y


def _inverse_low(q: Array, d: Pair) -> Array:
    """The error of q, the rounded inverse of d."""
    back, back_low = num.product(q, d[0], 0.0, d[1])
    return q * ((1.0 - back) - back_low)


def _times(y: Pair, parts: Parts) -> Pair:
    """y times an exponential."""
    t, s1, s2 = parts
    change = y[0] * t
    total = y[0] + change
    low = num.sum_low(y[0], change, total) + (y[1] + y[1] * t)
    return num.scale(total, s1, s2), num.scale(low, s1, s2)


# --- serf: x erf(s), s = softplus(x); u = e^x --------------------------------------
#
# For x < 0 u times polynomials in u and x; for x > 0 the distance to the line is
# e^(-x²) times a smooth function.

_TWO_OVER_ROOT_PI = "1.12837916709551257389615890312154517"


def _accurate(name: str, x: Array) -> Pair:
    """A fit with the errors of its last three sums and of their coefficients."""
    table, precision = getattr(_serf, name), str(x.dtype)
    coefficients = table[precision]
    total, low = num.horner(x, coefficients[3:]), jnp.zeros_like(x)
    for k in (2, 1, 0):
        high, rest = num.constant(repr(coefficients[k]), x.dtype)
        if precision == "float64":
            rest = table.get("float64_low", (0.0, 0.0, 0.0))[k]
        step, first = x * total, jnp.full_like(x, high)
        total = step + first
        low = (x * low + num.sum_low(step, first, total)) + rest
    return total, low


def _in_u(name: str, u: Pair, slope: float) -> Pair:
    """A fit in u - 1/2, whose derivative is about the slope given."""
    d, d_low = _sum(_single(num.opaque(-0.5, u[0])), u)
    y, low = _accurate(name, d)
    return y, low + slope * d_low


def _rounded_exp(parts: Parts) -> Pair:
    """An exponential as a number and its rounding error."""
    return _times(_single(num.opaque(1.0, parts[0])), parts)


def _minus_square(z: Array) -> Pair:
    z_high = num.high_part(z)
    rest = (z - z_high) * (z + z_high)
    return _sum(_single(-(z_high * z_high)), _single(-rest))


def _serf_parts(x: Array) -> tuple[Array, Array, Parts]:
    """(x cut to where it matters, x <= 0, the parts of e^x or of e^(-x²))."""
    near = num.clamp(x, -_FAR, _serf.STRETCH[str(x.dtype)][1])
    left = x <= 0
    high, low = _minus_square(jnp.where(near < 0, 0.0, near))
    parts = num.exp_parts(jnp.where(left, near, high), jnp.where(left, 0.0, low))
    return near, left, parts


def _one_less(name: str, near: Array, parts: Parts) -> Pair:
    """1 - e^(-x²) p(x)."""
    rest = _times(_accurate(name, jnp.where(near < 0, 0.0, near)), parts)
    return _sum(_single(num.opaque(1.0, near)), _minus(rest))


def _serf_slope(x: Array) -> Array:
    near, left, parts = _serf_parts(x)
    u = _rounded_exp(parts)
    rise, rise_low = _in_u("SERF_GATE_SLOPE", u, -1.0)
    change = num.product(near, rise, 0.0, rise_low)
    y = _sum(change, _in_u("SERF_GATE", u, -0.5))
    below = num.finish(*_patched(_serf, near, {"SERF_SLOPE": 0.7}, y), *parts)
    above, low = _one_less("SERF_SLOPE_REST", near, parts)
    return jnp.where(left, below, above + low)


def _outer(u: Pair) -> Pair:
    """2/√π/(1 + u)²."""
    d = _sum(_single(num.opaque(1.0, u[0])), u)
    q = num.reciprocal(d[0])
    inverse = q, _inverse_low(q, d)
    return num.product_with_constant(_TWO_OVER_ROOT_PI, *_product(inverse, inverse))


def _serf_right(z: Array, u: Pair) -> tuple[Pair, Parts]:
    """2 (1 + e) + x (e - 2 s) and the parts of e^(-s²), for u = e = e^-x."""
    ratio, ratio_low = _in_u("LOG_RATIO", u, -0.4)
    logarithm = num.product(u[0], ratio, u[1], ratio_low)  # s - x
    twice = _single(2.0 * z)
    more = _product(logarithm, _sum(twice, logarithm))  # s² - x²
    parts = num.exp_parts(*_sum(_minus_square(z), _minus(more)))
    inner = _sum(_sum(u, _minus(twice)), _minus(_double(logarithm)))
    push = num.product(z, inner[0], 0.0, inner[1])
    two = _single(num.opaque(2.0, z))
    return _sum(_sum(two, push), _double(u)), parts


_SERF_ZEROS = {"SERF_CURVATURE_NEGATIVE": 0.8, "SERF_CURVATURE_POSITIVE": 0.7}


def _serf_curvature(x: Array) -> Array:
    left, near = x < 0, num.clamp(x, -_FAR, 30.0)
    parts = num.exp_parts(-num.magnitude(near), jnp.zeros_like(x))
    u = _rounded_exp(parts)
    # For x < 0, e^x p(u) (2 + x b(u)).
    bend, bend_low = _in_u("SERF_BEND", u, -1.1)
    push = num.product(near, bend, 0.0, bend_low)
    below = _sum(_single(num.opaque(2.0, near)), push)
    above, parts_right = _serf_right(jnp.where(near < 0, 0.0, near), u)
    y = _patched(_serf, near, _SERF_ZEROS, _chosen(left, below, above))
    factor = _chosen(left, _in_u("SERF_GATE_SLOPE", u, -1.0), _outer(u))
    high, low = num.product(y[0], factor[0], y[1], factor[1])
    return num.finish(high, low, *_chosen(left, parts, parts_right))


@activation(
    precise=("float16",),
    family="composed",
    formula=r"x \operatorname{erf}(\log(1 + e^x))",
    reference=lambda m, x: x * m.erf(m.log(1 + m.exp(x))),
    slope=_serf_slope,
    curvature=_serf_curvature,
    limits=lambda: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda: (-0.34844, _INF),
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


# --- phish: x tanh(g), g = gelu(x); with z = |x|, Φ(-z) = E m, E = e^(-z²/2) --------
#
# For x < 0 |g| <= 0.17, and all is E times a sum that differs little from that of
# gelu. For x > 0, g = z - z E m.

_DENSITY_AT_0 = "0.398942280401432677939946059934381868"  # 1/√(2π)


class _Phish(NamedTuple):
    """What the three orders share.

    near and right are x and max(x, 0), cut to where they matter; slope is
    G = gelu'(-z)/E; g is |gelu(x)|, and tanh(g) = g (1 + c) where g < 1/2.
    """

    near: Array
    right: Array
    z: Array
    parts: Parts
    m: Pair
    slope: Pair
    g: Pair
    c: Array

    @property
    def small_tangent(self) -> Array:
        """tanh |g| where |g| < 1/2."""
        small = num.clamp(self.g[0], None, 0.6)
        return small + small * self.c

    @property
    def rise(self) -> Pair:
        """g' for x > 0."""
        rest = _times(self.slope, self.parts)
        return _sum(_single(num.opaque(1.0, self.near)), _minus(rest))


class _Tangent(NamedTuple):
    """tanh g for x > 0, the parts of e^-2g, and 1/(1 + e^-2g)."""

    value: Pair
    parts: Parts
    q: Pair


def _phish_parts(x: Array) -> _Phish:
    v = tail(x)
    near = num.clamp(x, -_FAR, _FAR)
    right, parts = jnp.where(near < 0, 0.0, near), (v.t, v.s1, v.s2)
    m = _product(mills(v), (v.r, _inverse_low(v.r, (v.bottom, v.bottom_low))))
    rest = _times(_product(_single(v.z), m), parts)
    above = _sum(_single(right), _minus(rest))
    g = _normal(_chosen(x < 0, rest, above))
    square = num.clamp(g[0], None, 0.6) ** 2
    c = square * num.fit("TANH", square)
    slope = _normal(lower_slope(v))
    return _Phish(near, right, v.z, parts, m, slope, g, c)


def _tangent(v: _Phish) -> _Tangent:
    parts = t, s1, s2 = num.exp_parts(-2.0 * v.g[0], -2.0 * v.g[1])
    one, s = num.opaque(1.0, v.near), s1 * s2
    rest = _sum(_single(one - s), _single(-(s * t)))
    d = _sum(_single(one), _rounded_exp(parts))
    inverse = num.reciprocal(d[0])
    q = inverse, _inverse_low(inverse, d)
    near = _sum(_single(v.g[0]), (v.g[0] * v.c, v.g[1] + v.g[1] * v.c))
    value = _chosen(v.g[0] < 0.5, near, _product(rest, q))
    return _Tangent(value, parts, q)


def _phish_slope(x: Array) -> Array:
    v = _phish_parts(x)
    # For x < 0, x E (m (1 + c) + G (1 - tanh²(g))).
    change = v.m[0] * v.c - v.slope[0] * v.small_tangent**2
    y = _sum(_sum(v.m, v.slope), _single(change))
    y = _patched(_phish, -v.near, {"PHISH_SLOPE": 0.6}, y)
    below = num.finish(*num.product(-v.z, y[0], 0.0, y[1]), *v.parts)
    # For x > 0, tanh(g) + 4 x g' e^-2g/(1 + e^-2g)².
    r = _tangent(v)
    push = _product(_product(_single(4.0 * v.right), v.rise), _product(r.q, r.q))
    high, low = _sum(r.value, _times(push, r.parts))
    above = jnp.where(x < 0, below, high + low)
    return jnp.where(jnp.abs(x) < 1e-18, x, above)


_PHISH_ZEROS = {"PHISH_CURVATURE_LEFT": 0.6, "PHISH_CURVATURE_CENTRE": 0.3}


def _phish_left_curvature(v: _Phish, bend: Pair) -> Array:
    """(2 G - bend - 2 z E G² tanh|g|) E/cosh²(g), for bend = z g''/E."""
    t, s1, s2 = v.parts
    bow = (v.z * v.small_tangent) * (v.slope[0] * v.slope[0])
    bow = num.scale(bow + bow * t, s1, s2)
    y = _sum(_sum(_double(v.slope), _minus(bend)), _single(-2.0 * bow))
    high, low = _patched(_phish, -v.near, _PHISH_ZEROS, y)
    return num.finish(high, low - (high + low) * v.small_tangent**2, *v.parts)


def _phish_right_curvature(v: _Phish, bend: Pair) -> Array:
    """(2 g' + x g'' - 2 x g'² tanh(g))/cosh²(g)."""
    r, rise = _tangent(v), v.rise
    push = _product(_single(v.right), _product(_product(rise, rise), r.value))
    y = _sum(_double(_sum(rise, _minus(push))), _times(bend, v.parts))
    y = _patched(_phish, v.near, {"PHISH_CURVATURE_RIGHT": 0.5}, y)
    y = _product(y, _product(r.q, r.q))
    return num.finish(4.0 * y[0], 4.0 * y[1], *r.parts)


def _phish_curvature(x: Array) -> Array:
    v = _phish_parts(x)
    z, two = _single(v.z), _single(num.opaque(2.0, v.near))
    bend = _product(z, _sum(two, _minus(_product(z, z))))
    bend = _normal(num.product_with_constant(_DENSITY_AT_0, *bend))
    left, right = _phish_left_curvature(v, bend), _phish_right_curvature(v, bend)
    return jnp.where(x < 0, left, right)


@activation(
    family="composed",
    formula=r"x \tanh\left(\tfrac{x}{2}\left(1 + "
    r"\operatorname{erf}(x/\sqrt2)\right)\right)",
    reference=lambda m, x: x * m.tanh(x * (1 + m.erf(x / m.sqrt(m.const("2")))) / 2),
    slope=_phish_slope,
    curvature=_phish_curvature,
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda: (0.0, _INF),
    paper="Naveen, Phish: A Novel Hyper-Optimizable Activation Function, 2022",
)
def phish(x: ArrayLike) -> Array:
    """Phish: x times the hyperbolic tangent of gelu in its exact form.

    Never negative: to the left of 0 both factors are negative.

    Example:
      >>> jaxacts.phish(jnp.array([-1.0, 2.0]))
      Array([0.1573, 1.9213], dtype=float32)
    """
    v = _phish_parts(x)
    y, low = _product(_single(v.z), _product(_single(v.z), v.m))
    below = num.finish(y, low + y * v.c, *v.parts)
    tangent, low = _tangent(v).value
    above = x * tangent + num.clamp(x, None, _FAR) * low
    y = jnp.where(x < 0, below, above)
    close = (x * x) * (0.5 + x * float(_DENSITY_AT_0))
    return jnp.where(jnp.abs(x) < 1e-9, close, y)
