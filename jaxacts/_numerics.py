"""The arithmetic that activations share, in float32 and float64.

Written for what compilers do to float code: a constant is never added and
subtracted again, powers of two are applied last, and a product that must be
exact is a product of short factors. Everything here is differentiated by JAX to
any order: what handles bits is locally constant, or has a rule beside it.

For results of 16 bits and less all is done `roughly`, by the same functions.

A name ending in ``_low`` is the rounding error of the number before it: the two
stand for their unevaluated sum.
"""

from __future__ import annotations

import math
from fractions import Fraction
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxacts import _coefficients
from jaxacts._exact import (
    Array,
    high_part,
    is_rough,
    product,
    product_with_constant,
    roughly,
    sum_low,
)

__all__ = [
    "LARGER",
    "LOG2E",
    "Distance",
    "Logistic",
    "clamp",
    "complement_parts",
    "constant",
    "distance",
    "exp",
    "exp_parts",
    "expm1",
    "finish",
    "fit",
    "fit_low",
    "folded",
    "high_part",
    "horner",
    "inverse",
    "ln2_parts",
    "logistic_parts",
    "magnitude",
    "near_zero",
    "opaque",
    "patched",
    "product",
    "product_with_constant",
    "reciprocal",
    "reciprocal_guess",
    "roughly",
    "scale",
    "scaled_distance",
    "sign_bit",
    "sum_low",
    "zero",
]


def fit(name: str, x: Array, table: ModuleType = _coefficients) -> Array:
    """The committed polynomial ``name`` of a table at x, in the precision of x."""
    return horner(x, getattr(table, name)[str(x.dtype)])


def fit_low(
    name: str, x: Array, table: ModuleType = _coefficients
) -> tuple[Array, Array]:
    """`fit`, and the rounding errors of its last two sums: most of its error."""
    coefficients = getattr(table, name)[str(x.dtype)]
    if is_rough():
        return horner(x, coefficients), jnp.zeros_like(x)
    total, low = horner(x, coefficients[2:]), jnp.zeros_like(x)
    for c in coefficients[1::-1]:
        rest, first = x * total, jnp.full_like(x, c)
        total = rest + first
        low = x * low + sum_low(rest, first, total)
    return total, low


def horner(x: Array, coefficients: tuple[float, ...]) -> Array:
    """c0 + c1 x + c2 x² + ..., lowest order first."""
    total = x * coefficients[-1] + coefficients[-2]
    for c in coefficients[-3::-1]:
        total = total * x + c
    return total


def constant(text: str, dtype: np.dtype) -> tuple[float, float]:
    """A decimal constant as an unevaluated sum of two numbers of ``dtype``."""
    exact = Fraction(text)
    kind = np.dtype(dtype).type
    high = float(kind(float(exact)))
    return high, float(kind(float(exact - Fraction(high))))


def magnitude(x: Array) -> Array:
    """|x|, with slope 1 at 0, so that smooth even functions stay smooth there."""
    return jnp.where(x < 0, -x, x)


@jax.custom_jvp
def folded(x: Array) -> Array:
    """|x|, with slope -1 at -0.0: for odd functions that take their sign from x's."""
    return jnp.abs(x)


@folded.defjvp
def _folded_jvp(primals, tangents):
    (x,), (t,) = primals, tangents
    return folded(x), jnp.where(sign_bit(x), -t, t)


def clamp(x: Array, low: float | None = None, high: float | None = None) -> Array:
    """x cut to [low, high]; NaN stays NaN."""
    if low is not None:
        x = lax.max(x, jnp.full_like(x, low))
    if high is not None:
        x = lax.min(x, jnp.full_like(x, high))
    return x


# What a result that may be small is multiplied by while it is corrected, by its value:
# corrections must not underflow, where no multiply-add hides them.
LARGER = 2.0**60

# --- exponential --------------------------------------------------------------

# Reduction a = n ln 2 + r, |r| <= ln(2)/2. The high part of ln 2 is short enough
# for n * high to be exact over the clamped range of n.
_LN2 = {
    "float32": (0.693359375, -2.12194440054690583e-4),
    "float64": (6.93147180369123816490e-01, 1.90821492927058770002e-10),
}
LOG2E = 1.4426950408889634
# Below, even e^a times the largest float of an activation's bounded factor is
# under the smallest subnormal; above, e^a overflows.
_EXP_RANGE = {"float32": (-170.0, 90.0), "float64": (-1400.0, 712.0)}


@jax.custom_jvp
def exp_parts(a: Array, a_low: Array) -> tuple[Array, Array, Array]:
    """(t, s1, s2) with e^(a + a_low) = (1 + t) s1 s2 and |t| < 0.45.

    s1 and s2 are powers of two. t is right to about a quarter ULP of 1 + t and,
    for |a| < ln(2)/2, to one ULP of itself: it is expm1 there. Multiply by s1
    and s2 last, one after the other: e^a alone may underflow where the product
    does not. Needs |a_low| < 0.01.
    """
    precision = str(a.dtype)
    a = clamp(a, *_EXP_RANGE[precision])
    ln2_high, ln2_low = _LN2[precision]
    n = lax.round(a * LOG2E, lax.RoundingMethod.TO_NEAREST_EVEN)
    whole_part, rest = a - n * ln2_high, a_low - n * ln2_low
    r = whole_part + rest
    if is_rough():
        rest, whole_part = jnp.zeros_like(r), r
    t = r + ((rest - (r - whole_part)) + (r * r) * fit("EXP", r))
    whole = n.astype(jnp.int32)
    half = whole >> 1
    return t, _power_of_two(half, a.dtype), _power_of_two(whole - half, a.dtype)


@exp_parts.defjvp
def _exp_parts_jvp(primals, tangents):
    # s1 s2 is locally constant, so the whole slope is that of 1 + t.
    t, s1, s2 = exp_parts(*primals)
    t_dot = (1.0 + t) * (tangents[0] + tangents[1])
    return (t, s1, s2), (t_dot, jnp.zeros_like(s1), jnp.zeros_like(s2))


def ln2_parts(dtype: np.dtype) -> tuple[float, float]:
    """ln 2 as (high, low), high so short that small multiples are exact."""
    return _LN2[str(np.dtype(dtype))]


def _power_of_two(n: Array, dtype: np.dtype) -> Array:
    """2^n of an int32 n in the normal range."""
    if dtype == jnp.float32:
        return lax.bitcast_convert_type((n + 127) << 23, jnp.float32)
    wide = (n + 1023).astype(jnp.int64) << 52
    return lax.bitcast_convert_type(wide, jnp.float64)


def scale(x: Array, s1: Array, s2: Array) -> Array:
    """x s1 s2, in two steps so that nothing underflows before the end."""
    return (x * s1) * s2


def exp(a: Array) -> Array:
    """e^a."""
    t, s1, s2 = exp_parts(a, jnp.zeros_like(a))
    return scale(1.0 + t, s1, s2)


def expm1(a: Array, a_low: Array | None = None) -> Array:
    """e^(a + a_low) - 1 for a <= 0."""
    t, s1, s2 = exp_parts(a, jnp.zeros_like(a) if a_low is None else a_low)
    s = s1 * s2
    y = (s - 1.0) + s * t  # s t is exact, and s - 1 to the last place
    return jnp.where(a == 0, a, y)  # with its sign


class Logistic(NamedTuple):
    """e^a = (1 + t) s1 s2 and 1/(1 + e^a) = q (1 + delta), for a <= 0.

    delta is the rounding error of q, for the last step of a product that has q
    in it: q^k = q^k + q^k (k delta).
    """

    t: Array
    s1: Array
    s2: Array
    q: Array
    delta: Array

    @property
    def e(self) -> Array:
        return scale(1.0 + self.t, self.s1, self.s2)

    @property
    def one_minus_e(self) -> Array:
        """1 - e^a without cancellation."""
        s = self.s1 * self.s2
        return (1.0 - s) - s * self.t


# Bits of the first guess, minus those of d: within 12% of 1/d for every d.
_RECIPROCAL_GUESS = {"float32": 0x7EF311C3, "float64": 0x7FDE623822FC16E6}


def reciprocal_guess(d: Array) -> Array:
    """1/d within 12%, for positive d far from the ends of the range.

    Locally constant.
    """
    guess = _RECIPROCAL_GUESS[str(d.dtype)]
    if d.dtype == jnp.float32:
        bits = np.int32(guess) - lax.bitcast_convert_type(d, jnp.int32)
    else:
        bits = np.int64(guess) - lax.bitcast_convert_type(d, jnp.int64)
    return lax.bitcast_convert_type(bits, d.dtype)


@jax.custom_jvp
def reciprocal(d: Array) -> Array:
    """1/d for 1/4 <= d <= 2^100, by Newton's iteration.

    Not a division: XLA counts division as too dear to compute twice, and splits a
    loop that uses one quotient in several places into several loops through
    memory. Multiplications it fuses without limit.
    """
    q = reciprocal_guess(d)
    # The relative error is squared each time: 0.12, 0.015, 2e-4, 5e-8, 3e-15.
    for _ in range(3 if d.dtype == jnp.float32 else 5):
        q = q * (2.0 - d * q)
    return q + q * (1.0 - d * q)


@reciprocal.defjvp
def _reciprocal_jvp(primals, tangents):
    q = reciprocal(*primals)
    return q, -(q * q) * tangents[0]


@jax.custom_jvp
def inverse(d: Array, d_low: Array) -> tuple[Array, Array]:
    """(q, delta) with 1/(d + d_low) = q (1 + delta), for d as in `reciprocal`.

    As right without fused multiply-add as with it: products of half-length numbers.
    """
    q = reciprocal_guess(d)
    for _ in range(2 if d.dtype == jnp.float32 else 3):
        q = q * (2.0 - d * q)
    if is_rough():
        return q + q * (1.0 - d * q), jnp.zeros_like(d)
    short, d_high = high_part(q), high_part(d)
    miss = (1.0 - short * d_high) - short * ((d - d_high) + d_low)
    more = short * (miss + miss * miss)
    q = short + more
    return q, (more - (q - short)) * d


@inverse.defjvp
def _inverse_jvp(primals, tangents):
    q, delta = inverse(*primals)
    return (q, delta), (-(q * q) * tangents[0], -q * tangents[1])


def _reciprocal_of_sum(c: float, t: Array, s1: Array, s2: Array) -> tuple[Array, Array]:
    """(q, delta) with 1/(c + (1 + t) s1 s2) = q (1 + delta), for |s1 s2| <= 1."""
    s = s1 * s2
    if is_rough():
        return inverse(c + (s + s * t), jnp.zeros_like(t))
    st = s * t  # exact
    # c + s is exact as long as s >= 2^-20; below, the exponential is short
    # against c. A sum of two variables, so that its error is not folded away.
    large = jnp.abs(s) > 1e-6
    base = jnp.where(large, c + s, c)
    rest = jnp.where(large, st, s + st)
    d = base + rest
    d_low = rest - (d - base)
    return inverse(d, d_low)


def logistic_parts(a: Array, a_low: Array | None = None) -> Logistic:
    """The parts of every function of e^a / (1 + e^a), for a <= 0."""
    t, s1, s2 = exp_parts(a, jnp.zeros_like(a) if a_low is None else a_low)
    return Logistic(t, s1, s2, *_reciprocal_of_sum(1.0, t, s1, s2))


def complement_parts(a: Array, c: float = 1.0) -> Logistic:
    """e^a as in `Logistic`, and 1/(c - e^a) = q (1 + delta), for a <= -1/2."""
    t, s1, s2 = exp_parts(a, jnp.zeros_like(a))
    return Logistic(t, s1, s2, *_reciprocal_of_sum(c, t, -s1, s2))


def near_zero(
    x: Array,
    name: str,
    bracket: Array,
    width: float,
    x_low: Array | float = 0.0,
    table: ModuleType = _coefficients,
) -> Array:
    """``bracket`` of x, from its fitted factor (x - zero) where |x - zero| < width.

    Far from its zero the bracket does not cancel, and stays as it is.
    """
    zero, zero_low = constant(getattr(table, f"{name}_ZERO"), x.dtype)
    d = (x - zero) + x_low
    inside = jnp.abs(d) < width
    d = clamp(d, -width, width)  # keeps the unused branch finite
    p = fit(name, d, table)
    # (d - zero_low) p would be folded to (x - (zero + zero_low)) p.
    return jnp.where(inside, d * p - zero_low * p, bracket)


def opaque(value: float, like: Array) -> Array:
    """A constant that compilers cannot see, so that it is not summed with others."""
    if is_rough():
        return jnp.full_like(like, value)
    return jnp.where(like == math.inf, 0.0, jnp.full_like(like, value))


class Distance(NamedTuple):
    """d + d_low, the distance of an argument to the zero ``name`` of a table."""

    name: str
    d: Array
    d_low: Array
    table: ModuleType = _coefficients


def _distance(x: Array, zero: Fraction) -> tuple[Array, Array]:
    """x - zero as a sum of two, for a zero of three parts."""
    kind = np.dtype(x.dtype).type
    near, low = x, jnp.zeros_like(x)
    if is_rough():
        first = float(kind(float(zero)))
        return (x - first) - float(zero - Fraction(first)), low
    for _ in range(3):
        part = float(kind(float(zero)))
        zero -= Fraction(part)
        step = opaque(-part, x)
        total = near + step
        near, low = total, low + sum_low(near, step, total)
    return near, low


def distance(
    x: Array,
    name: str,
    x_low: Array | float = 0.0,
    table: ModuleType = _coefficients,
) -> Distance:
    """x + x_low minus the zero ``name``."""
    near, low = _distance(x, Fraction(getattr(table, f"{name}_ZERO")))
    if isinstance(x_low, float):
        return Distance(name, near, low, table)
    d = near + x_low
    return Distance(name, d, low + sum_low(near, x_low, d), table)


def scaled_distance(factor: str, x: Array, name: str) -> Distance:
    """A decimal factor times x minus the zero ``name``.

    Near the zero, factor * x as a sum of two numbers would not be exact enough.
    """
    zero = Fraction(getattr(_coefficients, f"{name}_ZERO")) / Fraction(factor)
    short, rest = product_with_constant(factor, *_distance(x, zero))
    d = short + rest
    return Distance(name, d, rest - (d - short))


def patched(
    at: Distance, otherwise: tuple[Array, Array], width: float | tuple[float, float]
) -> tuple[Array, Array]:
    """(value, low): the fitted d p(d) where the distance d to a zero is < width.

    Of two widths the first is for d < 0.

    Elsewhere ``otherwise``. low is added in the last step, see `finish`.
    """
    left, right = (width, width) if isinstance(width, float) else width
    inside = (at.d > -left) & (at.d < right)
    d = clamp(at.d, -left, right)  # keeps the unused branch finite
    p, p_low = fit_low(at.name, d, at.table)
    high, rest = product(d, p, at.d_low, p_low)
    value, low = otherwise
    if is_rough():
        return jnp.where(inside, high, _one_number(value, low)), jnp.zeros_like(low)
    return jnp.where(inside, high, value), jnp.where(inside, rest, low)


def _one_number(value: Array, low: Array) -> Array:
    """value + low, with the sign of value where both are 0."""
    total = value + low
    return jnp.where(total == 0, value, total)


def finish(value: Array, low: Array, t: Array | float, s1: Array, s2: Array) -> Array:
    """(value + low) (1 + t) s1 s2, rounded once before the powers of two."""
    if is_rough():
        return scale(_one_number(value, low) * (1.0 + t), s1, s2)
    y = value + (value * t + (low + low * t))
    # Where all is 0 the corrections must not change its sign.
    return scale(jnp.where(value + low == 0, value, y), s1, s2)


@jax.custom_jvp
def zero(x: Array) -> Array:
    """0 in the shape and dtype of x, NaN where x is NaN; so are its derivatives."""
    return jnp.where(x != x, x, jnp.zeros_like(x))


@zero.defjvp
def _zero_jvp(primals, tangents):
    y = zero(*primals)
    return y, y * tangents[0]


def sign_bit(x: Array) -> Array:
    """Whether the sign bit is set: true for -0.0 and for flushed negatives."""
    if x.dtype == jnp.float32:
        return lax.bitcast_convert_type(x, jnp.int32) < 0
    return lax.bitcast_convert_type(x, jnp.int64) < 0
