"""Rational functions whose coefficients are learned: Padé activation units.

P/(1 + |Q|) is evaluated as N(u)/(|M(u)| + E(u)) with |u| <= 1: u = x and E = 1 for
|x| <= 1; beyond, u = 1/x, the coefficients in reverse and E = |u|^n, so that powers
neither overflow nor cancel. The sums are compensated, about twice the digits.
"""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts import _pairs as pairs
from jaxacts._elementwise import activation
from jaxacts._numerics import Array
from jaxacts._spec import Kink, Limits, Parameter

_INF = float("inf")
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
    """G = N/(|M| + E) with its derivatives in u, each a pair, and what makes f of it.

    f = ``side`` x^r G, where r is 0 and ``side`` 1 for |x| <= 1.
    """

    far: Array
    u: Pair
    inverse: Array
    r: Array
    n: Array
    side: Array
    sign: Array
    reciprocal: Pair
    orders: list[Pair]


def _polynomial(cs: list[Array], u: Pair, count: int) -> list[Pair]:
    """The polynomial and ``count`` - 1 of its Taylor coefficients at u."""
    none = jnp.zeros_like(u[0])
    orders: list[Pair] = []
    for c in reversed(cs):
        following = [(c + none, none), *orders][:count]
        orders = [
            pairs.add(_times(orders[i], u), f) if i < len(orders) else f
            for i, f in enumerate(following)
        ]
    return orders


def _outer(u: Pair, n: Array, side: Array, count: int) -> list[Pair]:
    """``side`` u^n for n = 0 ... 4, and ``count`` - 1 of its Taylor coefficients."""
    square = _times(u, u)
    one = jnp.ones_like(u[0]), jnp.zeros_like(u[0])
    powers = [one, u, square, _times(square, u), _times(square, square)]
    found = []
    for i in range(count):
        high, low = jnp.zeros_like(side), jnp.zeros_like(side)
        for k in range(i, 5):
            factor = side * math.comb(k, i)
            own = _times(powers[k - i], (factor, jnp.zeros_like(factor)))
            high, low = (
                jnp.where(n == k, p, q) for p, q in zip(own, (high, low), strict=True)
            )
        found.append((high, low))
    return found


def _scaled(x: Array) -> Pair:
    """x times a power of two, for a reciprocal in range, and the power."""
    small = x.dtype == jnp.float32
    edge, power = (2.0**64, 2.0**-32) if small else (2.0**512, 2.0**-512)
    unit = jnp.where(jnp.abs(x) > edge, power, 1.0)
    largest = float(jnp.finfo(x.dtype).max)
    return num.clamp(x, -largest, largest) * unit, unit


def _parts(x: Array, a: Coefficients, b: Coefficients, count: int) -> _Parts:
    x = x + jnp.zeros_like(a[0] * b[0])
    far = jnp.abs(x) > 1
    near, unit = _scaled(jnp.where(far, x, 1.0))
    size = num.reciprocal(num.magnitude(near))
    inverse = jnp.where(near < 0, -size, size)
    back, back_low = pairs.exact_product(inverse, near)
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
    lost = (ms[0][0] == 0) & (jnp.abs(x) < 1e-6)
    sign = jnp.where(lost, _sign_near_zero(x, b), jnp.sign(ms[0][0]))
    ds = [
        pairs.add((sign * high, sign * low), e)
        for (high, low), e in zip(ms, es, strict=True)
    ]
    d, d_low = ds[0]
    q = num.reciprocal(d)
    back, back_low = pairs.exact_product(q, d)
    rest = ((1.0 - back) - back_low) - q * d_low
    inverse_d = q, q * rest
    orders: list[Pair] = []
    # The Taylor coefficients of a quotient, one after the other.
    for i in range(count):
        total = ns[i]
        for j in range(i):
            total = pairs.add(total, _minus(_times(orders[j], ds[i - j])))
        orders.append(_times(total, inverse_d))
    return _Parts(
        *(far, u, inverse, jnp.where(far, m - n, 0.0), n, side, sign),
        inverse_d,
        orders,
    )


def _value(x: Array, a: Coefficients, b: Coefficients) -> Array:
    v = _parts(x, a, b, 1)
    high, low = v.orders[0]
    y = high + low
    return jnp.where(v.far, v.side * _raised(y, x, v.inverse, v.r), y)


def _slope(x: Array, a: Coefficients, b: Coefficients) -> Array:
    """G', and in terms of 1/x: x^(r - 1) (r G - u G')."""
    v = _parts(x, a, b, 2)
    g, first = v.orders
    r = v.r + jnp.zeros_like(x)
    high, low = pairs.add(_times(g, (r, jnp.zeros_like(r))), _minus(_times(v.u, first)))
    beyond = v.side * _raised(high + low, x, v.inverse, r - 1.0)
    return jnp.where(v.far, beyond, first[0] + first[1])


def _curvature(x: Array, a: Coefficients, b: Coefficients) -> Array:
    """G'', and in terms of 1/x: x^(r - 2) (r (r - 1) G - 2 (r - 1) u G' + u² G'')."""
    v = _parts(x, a, b, 3)
    g, first, second = v.orders  # the second Taylor coefficient is G''/2
    r = v.r + jnp.zeros_like(x)
    none = jnp.zeros_like(r)
    slope_part = _times(first, _times(v.u, (2.0 - 2.0 * r, none)))
    flat = pairs.add(_times(g, (r * (r - 1.0), none)), slope_part)
    bend = _times(_times(v.u, v.u), (2.0 * second[0], 2.0 * second[1]))
    high, low = pairs.add(flat, bend)
    # For r = 1 the rest is 0; the product has its sign where it underflows.
    only = jnp.where(bend[0] == 0, bend[0], bend[0] + bend[1])
    total = jnp.where(r == 1, only, high + low)
    beyond = v.side * _raised(total, x, v.inverse, r - 2.0)
    return jnp.where(v.far, beyond, 2.0 * (second[0] + second[1]))


def _over_denominator(y: Array, x: Array, v: _Parts, k: int) -> Array:
    """y x^k/(1 + |Q|)."""
    q = v.reciprocal[0] + v.reciprocal[1]
    return v.side * _raised(y * q, x, v.inverse, k - v.n)


def _numerator_slope(
    x: Array, a: Coefficients, b: Coefficients, *, index: int
) -> Array:
    v = _parts(x, a, b, 1)
    return _over_denominator(jnp.ones_like(v.side), x, v, index)


def _denominator_slope(
    x: Array, a: Coefficients, b: Coefficients, *, index: int
) -> Array:
    v = _parts(x, a, b, 1)
    # The sign of M is that of Q but for the sign of x^n.
    high, low = v.orders[0]
    y = -(high + low) * (v.sign * v.side)
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
    # Beside zeros of the numerators; the sums are right to twice the digits, not more.
    max_ulp={"float32": (16.0, 48.0, 320.0), "float64": (64.0, 64.0, 640.0)},
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
    the error is 2^-43 of the sum of the terms' sizes in float32, 2^-101 in float64.

    Example:
      >>> jaxacts.rational(jnp.array([-1.0, 2.0]))
      Array([-0.0222,  2.0002], dtype=float32)
      >>> jaxacts.rational(2.0, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0], jnp.zeros(4))
      Array(2., dtype=float32, weak_type=True)
    """
    return _value(x, numerator, denominator)
