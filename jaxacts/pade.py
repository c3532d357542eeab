"""Rational functions whose coefficients are learned: Padé activation units.

P/(1 + |Q|) is evaluated as N(u)/(|M(u)| + E(u)): u = x and E = 1 for |x| <= 4;
beyond, u = 1/x, the coefficients in reverse and E = |u|^n, so that powers neither
overflow nor cancel. The sums have about 2.5 times the digits, as zeros of the
numerators need; beyond 4, where 1/x is a pair, twice.
"""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts import _pairs as pairs
from jaxacts import _triples as triples
from jaxacts._elementwise import activation
from jaxacts._exact import is_rough
from jaxacts._numerics import Array
from jaxacts._spec import Kink, Limits, Parameter
from jaxacts._triples import Parts

_INF = float("inf")
# In [-4, 4] powers of x itself are summed, beyond those of 1/x.
_NEAR = 4.0
Pair = tuple[Array, Array]
Coefficients = tuple[Array, ...]


def _short(*decimals: float) -> tuple[float, ...]:
    """Numbers of float32, the same in every precision."""
    return tuple(float(np.float32(c)) for c in decimals)


# For leaky_relu with slope 0.01, as public code gives them from the paper's Table 6.
_NUMERATOR = _short(
    0.02979246, 0.61837738, 2.32335207, 3.0520266, 1.48548002, 0.25103717
)
_DENOMINATOR = _short(1.14201226, 4.39322834, 0.8715445, 0.34720652)


def _times(a: Pair, b: Pair) -> Pair:
    high, low = pairs.exact_product(a[0], b[0])
    return high, low + (a[0] * b[1] + a[1] * b[0])


def _minus(a: Pair) -> Pair:
    return -a[0], -a[1]


def _leading(cs: list[Array]) -> tuple[list[Array], Array]:
    """The coefficients from the highest down, zeros in front moved to the end, and
    how many were moved."""
    moved = jnp.zeros_like(cs[0])
    for _ in range(len(cs) - 1):
        empty = cs[0] == 0
        shifted = [*cs[1:], jnp.zeros_like(cs[0])]
        cs = [jnp.where(empty, s, c) for s, c in zip(shifted, cs, strict=True)]
        moved = moved + jnp.where(empty, 1.0, 0.0).astype(moved.dtype)
    return cs, moved


def _raised(y: Array, x: Array, inverse: Array, k: Array) -> Array:
    """y x^k for whole -7 <= k <= 7; y where k is 0, whatever x is."""
    base = jnp.where(k < 0, inverse, x)
    k = jnp.abs(k)
    # One factor after the other: a power may underflow where the product does not.
    for times, wanted in ((1, k % 2 == 1), (2, k % 4 >= 2), (4, k >= 4)):
        factor = jnp.where(wanted, base, 1.0)
        for _ in range(times):
            y = y * factor
    return y


def _sign_near_zero(x: Array, b: Coefficients) -> Array:
    """The sign of Q where only its first term is left, which may underflow."""
    odd, first = jnp.sign(x), jnp.zeros_like(x)
    for k in range(len(b), 0, -1):
        own = jnp.sign(b[k - 1])
        first = jnp.where(b[k - 1] == 0, first, own * odd if k % 2 else own)
    return jnp.where(x == 0, 0.0, first)


class _Parts(NamedTuple):
    """N and D = |M| + E with their Taylor coefficients in u, both multiplied by the
    power of two that brings D to [1, 2); 1/D = q (1 + delta); and what makes f of it.

    f = ``side`` x^r N/D, where r is 0 and ``side`` 1 for |x| <= 4.
    """

    far: Array
    u: Pair
    inverse: Array
    r: Array
    n: Array
    side: Array
    sign: Array
    q: Array
    delta: Array
    unit: Array
    ns: list[Parts]
    ds: list[Parts]


def _polynomial(cs: list[Array], u: Pair, count: int) -> list[Parts]:
    """The polynomial and ``count`` - 1 of its Taylor coefficients at u."""
    none = jnp.zeros_like(u[0])
    orders: list[Parts] = []
    for c in reversed(cs):
        following = [(c + none,), *orders][:count]
        orders = [
            triples.horner_step(f, *u, orders[i]) if i < len(orders) else f
            for i, f in enumerate(following)
        ]
    return orders


def _outer(u: Pair, n: Array, side: Array, count: int) -> list[Parts]:
    """``side`` u^n for n = 0 ... 4, and ``count`` - 1 of its Taylor coefficients."""
    square = _times(u, u)
    none = jnp.zeros_like(u[0])
    one = jnp.ones_like(u[0]), none
    powers = [one, u, square, _times(square, u), _times(square, square)]
    found: list[Parts] = []
    for i in range(count):
        high, low = none, none
        for k in range(i, 5):
            factor = math.comb(k, i)
            own = powers[k - i]
            if factor in (3, 6):
                own = pairs.add((2.0 * own[0], 2.0 * own[1]), own)
                factor //= 3
            high, low = (
                jnp.where(n == k, factor * p, q)
                for p, q in zip(own, (high, low), strict=True)
            )
        found.append((side * high, side * low, none))
    return found


def _inverse_power(d: Array) -> Array:
    """2^-k for d in [2^k, 2^(k + 1))."""
    if d.dtype == jnp.float32:
        bits = lax.bitcast_convert_type(d, jnp.int32) & np.int32(0x7F800000)
        bits = jnp.maximum(np.int32(0x7F000000) - bits, np.int32(0x00800000))
    else:
        bits = lax.bitcast_convert_type(d, jnp.int64) & np.int64(0x7FF0000000000000)
        least = np.int64(0x0010000000000000)
        bits = jnp.maximum(np.int64(0x7FE0000000000000) - bits, least)
    return lax.bitcast_convert_type(bits, d.dtype)


def _scaled(x: Array) -> Pair:
    """x times a power of two, for a reciprocal in range, and the power."""
    small = x.dtype == jnp.float32
    edge, power = (2.0**64, 2.0**-32) if small else (2.0**512, 2.0**-512)
    unit = jnp.where(jnp.abs(x) > edge, power, 1.0)
    largest = float(jnp.finfo(x.dtype).max)
    return num.clamp(x, -largest, largest) * unit, unit


def _parts(
    x: Array, a: Coefficients, b: Coefficients, count: int, near: float = _NEAR
) -> _Parts:
    x = x + jnp.zeros_like(a[0] * b[0])
    far = jnp.abs(x) > near
    divisor, unit = _scaled(jnp.where(far, x, 1.0))
    size = num.reciprocal(num.magnitude(divisor))
    inverse = jnp.where(divisor < 0, -size, size)
    back, back_low = pairs.exact_product(inverse, divisor)
    inverse_low = inverse * ((1.0 - back) - back_low)
    inverse = jnp.where(jnp.abs(x) == _INF, 0.0 * inverse, unit * inverse)
    inverse_low = jnp.where(inverse == 0, 0.0, unit * inverse_low)
    u = jnp.where(far, inverse, x), jnp.where(far, inverse_low, 0.0)

    reversed_a, reversed_b = [*reversed(a)], [*reversed(b), jnp.zeros_like(b[0])]
    top, top_moved = _leading(reversed_a)
    bottom, bottom_moved = _leading(reversed_b)
    # Not before powers of u underflow: a coefficient of 0 that is moved away has no
    # slope in the derivatives of f.
    extreme = jnp.abs(x) > (2.0**12 if x.dtype == jnp.float32 else 2.0**100)
    m = 5.0 - jnp.where(extreme, top_moved, 0.0)
    n = 4.0 - jnp.where(extreme, bottom_moved, 0.0)
    numerator, inner = (
        [
            jnp.where(far, jnp.where(extreme, p, q), c)
            for p, q, c in zip(*each, strict=True)
        ]
        for each in (
            (top, reversed_a, [*a]),
            (bottom, reversed_b, [jnp.zeros_like(b[0]), *b]),
        )
    )
    odd = (x < 0) & (n % 2 == 1)
    side = jnp.where(far & odd, -1.0, 1.0)
    n = jnp.where(far, n, 0.0)

    ns = _polynomial(numerator, u, count)
    ms = _polynomial(inner, u, count)
    es = _outer(u, n, side, count)
    inner_sum = sum(triples.pair(ms[0]))
    lost = (inner_sum == 0) & (jnp.abs(x) < 1e-6)
    sign = jnp.where(lost, _sign_near_zero(x, b), jnp.sign(inner_sum))
    ds = [triples.add(triples.scaled(m, sign), e) for m, e in zip(ms, es, strict=True)]
    unit = _inverse_power(ds[0][0])
    ns = [triples.scaled(part, unit) for part in ns]
    ds = [triples.scaled(part, unit) for part in ds]
    q, delta = num.inverse(*triples.pair(ds[0]))
    return _Parts(
        *(far, u, inverse, jnp.where(far, m - n, 0.0), n, side, sign),
        *(q, delta, unit, ns, ds),
    )


def _quotient(v: _Parts, top: Pair, power: int) -> Array:
    """A numerator over D^power, rounded once or twice."""
    high, low = top
    q, q_low = v.q, jnp.zeros_like(v.q)
    for _ in range(power - 1):
        first, second = num.product(q, v.q, q_low)
        q, q_low = pairs.two_sum(first, second)
    first, second = num.product(high, q, low, q_low)
    y = first + (second + first * (power * v.delta))
    return jnp.where(high == 0, high, y)  # keeps the sign of a zero


def _value(x: Array, a: Coefficients, b: Coefficients) -> Array:
    v = _parts(x, a, b, 1)
    y = _quotient(v, triples.pair(v.ns[0]), 1)
    return jnp.where(v.far, v.side * _raised(y, x, v.inverse, v.r), y)


def _first(v: _Parts) -> Parts:
    """G' D² = N' D - N D'."""
    rest = triples.multiply(v.ns[0], v.ds[1])
    return triples.add(triples.multiply(v.ns[1], v.ds[0]), triples.negative(rest))


def _second(v: _Parts, first: Parts) -> Parts:
    """G'' D³/2 = D (N2 D - N D2) - D' (N' D - N D') for G'' = 2 G2, and so on."""
    (n, _, n2), (d, d1, d2) = v.ns, v.ds
    rest = triples.negative(triples.multiply(n, d2))
    bend = triples.add(triples.multiply(n2, d), rest)
    rest = triples.negative(triples.multiply(d1, first))
    return triples.add(triples.multiply(d, bend), rest)


def _slope(x: Array, a: Coefficients, b: Coefficients) -> Array:
    """G', and in terms of 1/x: x^(r - 1) (r G - u G')."""
    v = _parts(x, a, b, 2)
    first = triples.pair(_first(v))
    r = v.r + jnp.zeros_like(x)
    g = _times(triples.pair(v.ns[0]), triples.pair(v.ds[0]))
    flat = _times(g, (r, jnp.zeros_like(r)))
    beyond = pairs.add(flat, _minus(_times(v.u, first)))
    y = _quotient(v, _either(v.far, beyond, first), 2)
    return jnp.where(v.far, v.side * _raised(y, x, v.inverse, r - 1.0), y)


def _either(far: Array, beyond: Pair, near: Pair) -> Pair:
    return jnp.where(far, beyond[0], near[0]), jnp.where(far, beyond[1], near[1])


@jax.custom_jvp
def _curvature(x: Array, a: Coefficients, b: Coefficients) -> Array:
    """G'', and in terms of 1/x: x^(r - 2) times what `_bent` says."""
    v = _parts(x, a, b, 3)
    wronskian = _first(v)
    second = triples.pair(triples.scaled(_second(v, wronskian), 2.0))
    d = triples.pair(v.ds[0])
    first = _times(triples.pair(wronskian), d)
    g = _times(_times(triples.pair(v.ns[0]), d), d)
    y = _quotient(v, _either(v.far, _bent(v, g, first, second), second), 3)
    return jnp.where(v.far, v.side * _raised(y, x, v.inverse, v.r - 2.0), y)


@_curvature.defjvp
def _curvature_jvp(primals, tangents):
    # Tangents are not compensated: so they cancel less.
    return _curvature(*primals), jax.jvp(_curvature_by_series, primals, tangents)[1]


def _curvature_by_series(x: Array, a: Coefficients, b: Coefficients) -> Array:
    """f'' from the Taylor coefficients of a quotient, one after the other."""
    v = _parts(x, a, b, 3, near=1.0)
    orders: list[Pair] = []
    for i in range(3):
        total = triples.pair(v.ns[i])
        for j in range(i):
            part = _times(orders[j], triples.pair(v.ds[i - j]))
            total = pairs.add(total, _minus(part))
        orders.append(_times(total, (v.q, v.q * v.delta)))
    g, first, (high, low) = orders
    beyond = _bent(v, g, first, (2.0 * high, 2.0 * low))
    y = beyond[0] + beyond[1]
    beyond_y = v.side * _raised(y, x, v.inverse, v.r - 2.0)
    return jnp.where(v.far, beyond_y, 2.0 * (high + low))


def _bent(v: _Parts, g: Pair, first: Pair, second: Pair) -> Pair:
    """r (r - 1) G - 2 (r - 1) u G' + u² G''."""
    r = v.r + jnp.zeros_like(v.u[0])
    none = jnp.zeros_like(r)
    slope_part = _times(first, _times(v.u, (2.0 - 2.0 * r, none)))
    flat = pairs.add(_times(g, (r * (r - 1.0), none)), slope_part)
    bend = _times(_times(v.u, v.u), second)
    # For r = 1 the rest is 0; the product has its sign where it underflows.
    return _either(r == 1, bend, pairs.add(flat, bend))


# The slopes in ten coefficients have these parts in common: they are traced once.
_parts_traced_once = jax.jit(_parts, static_argnames="count")


def _parts_of_value(x: Array, a: Coefficients, b: Coefficients) -> _Parts:
    parts = _parts if is_rough() else _parts_traced_once
    return parts(x, a, b, count=1)


def _over_denominator(y: Array, x: Array, v: _Parts, k: int) -> Array:
    """y x^k/(1 + |Q|)."""
    q = v.unit * (v.q + v.q * v.delta)
    return v.side * _raised(y * q, x, v.inverse, k - v.n)


def _numerator_slope(
    x: Array, a: Coefficients, b: Coefficients, *, index: int
) -> Array:
    v = _parts_of_value(x, a, b)
    return _over_denominator(jnp.ones_like(v.side), x, v, index)


def _denominator_slope(
    x: Array, a: Coefficients, b: Coefficients, *, index: int
) -> Array:
    v = _parts_of_value(x, a, b)
    # The sign of M is that of Q but for the sign of x^n.
    y = -_quotient(v, triples.pair(v.ns[0]), 1) * (v.sign * v.side)
    return v.side * _raised(_over_denominator(y, x, v, index + 1), x, v.inverse, v.r)


# --- the record -------------------------------------------------------------------


def _reference(m, x, numerator=_NUMERATOR, denominator=_DENOMINATOR):
    def horner(cs):
        total = cs[-1]
        for c in cs[-2::-1]:
            total = total * x + c
        return total

    top = horner([numerator[k] for k in range(6)])
    return top / (1 + m.abs(x * horner([denominator[k] for k in range(4)])))


def _end(numerator, denominator, side: int) -> tuple[float, float, float]:
    """The limits at one end: f is a series of falling powers there."""
    top = np.trim_zeros(np.asarray(numerator, np.float64), "b")[::-1]
    inner = np.trim_zeros(np.asarray([0.0, *denominator], np.float64), "b")[::-1]
    if not len(top):
        return 0.0, 0.0, 0.0
    bottom = inner if len(inner) else np.zeros(1)
    n = len(bottom) - 1
    bottom = bottom * np.sign(bottom[0]) * (side if n % 2 else 1)
    bottom[-1] += 1.0
    degree = len(top) - 1 - n
    terms: list[float] = []
    for j in range(16):
        known = sum(terms[i] * bottom[j - i] for i in range(j) if j - i <= n)
        terms.append(((top[j] if j < len(top) else 0.0) - known) / bottom[0])

    def limit(order: int) -> float:
        for j, term in enumerate(terms):
            power = degree - j
            for step in range(order):
                term *= power - step
            power -= order
            if term != 0:
                end = float(term) * float(side) ** power
                return end if power == 0 else end * (_INF if power > 0 else 0.0)
        return 0.0

    return limit(0), limit(1), limit(2)


def _limits(numerator=_NUMERATOR, denominator=_DENOMINATOR) -> Limits:
    return Limits(
        minus_infinity=_end(numerator, denominator, -1),
        plus_infinity=_end(numerator, denominator, 1),
    )


def _kinks(numerator=_NUMERATOR, denominator=_DENOMINATOR) -> tuple[Kink, ...]:
    """Where Q changes its sign; at 0, where it is exactly 0, it counts as constant."""
    roots = np.roots(np.asarray(denominator, np.float64)[::-1])
    real = sorted(float(z.real) for z in roots if abs(z.imag) < 1e-9)
    a = [float(c) for c in numerator]
    origin = Kink(at=0.0, slope=a[1], curvature=2.0 * a[2])
    return (origin, *(Kink(at=root) for root in real if root != 0))


@activation(
    precise=("bfloat16", "float16"),
    family="pade",
    formula=r"\frac{a_0 + a_1 x + \dots + a_5 x^5}"
    r"{1 + |b_1 x + b_2 x^2 + b_3 x^3 + b_4 x^4|}",
    reference=_reference,
    parameters=(
        Parameter(
            name="numerator",
            default=_NUMERATOR,
            initial=_NUMERATOR,
            description="the coefficients a0 ... a5",
        ),
        Parameter(
            name="denominator",
            default=_DENOMINATOR,
            initial=_DENOMINATOR,
            description="the coefficients b1 ... b4",
        ),
    ),
    slope=_slope,
    curvature=_curvature,
    parameter_slopes={"numerator": _numerator_slope, "denominator": _denominator_slope},
    kinks=_kinks,
    limits=_limits,
    paper="arXiv:1907.06732",
)
def rational(
    x: ArrayLike,
    numerator: ArrayLike | Sequence[ArrayLike] = _NUMERATOR,
    denominator: ArrayLike | Sequence[ArrayLike] = _DENOMINATOR,
) -> Array:
    """Padé activation unit: a rational function without poles.

    The default coefficients are the paper's for leaky_relu with slope 0.01, from
    which it differs by 0.07 at most for |x| <= 3.

    Where Q is 0, as it is at 0, the slope of |Q| counts as 0. The result and two
    derivatives are right to 4 ULP, except where their numerators nearly cancel: there
    the error is 2^-54 of the sum of the terms' sizes in float32, 2^-112 in float64;
    beyond 4, 2^-43 and 2^-101.

    Example:
      >>> jaxacts.rational(jnp.array([-1.0, 2.0]))
      Array([-0.0222,  2.0002], dtype=float32)
      >>> jaxacts.rational(2.0, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0], jnp.zeros(4))
      Array(2., dtype=float32, weak_type=True)
    """
    return _value(x, numerator, denominator)
