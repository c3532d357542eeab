"""σ(a), tanh, softplus, x σ(a) and their slopes, in few operations.

`jaxacts._numerics.exp_parts` serves every argument and every factor; here e^a is a
term of a sum, and half of the work goes. Errors are those of few roundings: where
three remain, the result is right to 2 ULP without a compensation.

e^a = 2^n e^r = p (1 + t) with a power of two p: products with p are exact. For n up
to 150, p carries a constant factor ``one``, as do the sums that have p in them.

Quotients of several uses are made by `_quotient`. XLA does not repeat a division that
two of its loops need, it stores the result: hence value and slope of a function
must not divide the same number by the same.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxacts import _coefficients_sigmoidal
from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough

__all__ = [
    "NEGLIGIBLE",
    "Exponent",
    "expm1_parts",
    "expm1_terms",
    "exponent",
    "largest",
    "sigmoid",
    "sigmoid_curvature",
    "sigmoid_slope",
    "silu",
    "silu_curvature",
    "silu_slope",
    "softplus",
    "tanh",
]


class _Scale(NamedTuple):
    """one: the factor that p carries; largest: beyond, e^-a is 0 for every use."""

    one: float
    largest: float
    bias: int
    bits: int


_SCALES = {
    "float32": _Scale(2.0**-36, 109.0, 127, 23),
    "float64": _Scale(2.0**-128, 760.0, 1023, 52),
}
# Beyond, e^-z is not normal.
_LEAST_NORMAL = {"float32": 88.0, "float64": 709.0}
# Here e^-a is lost in 1 + e^-a.
NEGLIGIBLE = 40.0


def _scale(x: Array) -> _Scale:
    return _SCALES[str(x.dtype)]


def largest(x: Array) -> float:
    """z from where e^-z is 0 for every use, and e^z is not yet out of range."""
    return _scale(x).largest


def _fit(name: str, x: Array) -> Array:
    table = getattr(_coefficients_sigmoidal, name)
    return num.horner(x, table["rough" if is_rough() else str(x.dtype)])


class Exponent(NamedTuple):
    """n ln 2 + r, with a whole number n and |r| <= ln(2)/2."""

    n: Array
    r: Array


def exponent(a: Array) -> Exponent:
    n = lax.round(a * num.LOG2E, lax.RoundingMethod.TO_NEAREST_EVEN)
    high, low = num.ln2_parts(a.dtype)
    r = a - n * (high + low) if is_rough() else (a - n * high) - n * low
    return Exponent(n, r)


def _power_bits(n: Array, factor: float) -> Array:
    """The bits of 2^n times factor, a power of two."""
    s = _scale(n)
    # The last bits of a whole number plus this are the number.
    align = 1.5 * 2.0**s.bits + (s.bias + float(np.log2(factor)))
    integer = jnp.int32 if n.dtype == jnp.float32 else jnp.int64
    return lax.bitcast_convert_type(n + align, integer) << s.bits


def _beyond_linear(r: Array) -> Array:
    """e^r - 1 - r"""
    return (r * r) * _fit("EXP", r)


def expm1_parts(a: Exponent, factor: float = 1.0) -> tuple[Array, Array]:
    """(t, p) with e^a = (1 + t) p/factor, factor a power of two.

    For exponents of p that exist: with factor 1, -88 <= a <= 88 in float32.
    """
    r, more, p = expm1_terms(a, factor)
    return r + more, p


def expm1_terms(a: Exponent, factor: float = 1.0) -> tuple[Array, Array, Array]:
    """(r, more, p) with e^a = (1 + r + more) p/factor; one rounding less."""
    bits = _power_bits(a.n, factor)
    return a.r, _beyond_linear(a.r), lax.bitcast_convert_type(bits, a.n.dtype)


def _quotient(a: Array | float, b: Array) -> Array:
    """a/b, for several uses.

    Of a division with several users XLA makes several divisions, or an array in
    memory; of a maximum it does not.
    """
    least = -float(jnp.finfo(b.dtype).max)
    return lax.max(a / b, jnp.full_like(b, least))


# --- 1 + e^a --------------------------------------------------------------------


def _one_plus_exp(a: Exponent) -> Array:
    """one (1 + e^a), for a of either sign, rounded once or twice."""
    one = _scale(a.n).one
    t, p = expm1_parts(a, one)
    if is_rough():
        return (one + p) + p * t
    # one + p is not exact for a large p, whose larger part is added last.
    short = lax.min(p, jnp.full_like(p, 2.0**20 * one))
    return ((one + short) + p * t) + (p - short)


def sigmoid(x: Array) -> Array:
    """σ(x)."""
    s = _scale(x)
    minus = num.clamp(-x, -NEGLIGIBLE, s.largest)
    return (1.0 / _one_plus_exp(exponent(minus))) * s.one


def silu(x: Array) -> Array:
    """x σ(x)."""
    x = num.clamp(x, -_scale(x).largest)
    d = _one_plus_exp(exponent(num.clamp(-x, -NEGLIGIBLE)))
    return jnp.where(x > NEGLIGIBLE, x, (x / d) * _scale(x).one)


# --- derivatives of σ and x σ ---------------------------------------------------------


def sigmoid_slope(x: Array, factor: float = 1.0) -> Array:
    """factor σ'(x) = factor e/(1 + e (2 + e)), for a power of two."""
    one = _scale(x).one
    z = num.clamp(jnp.abs(x), None, largest(x))
    t, p = expm1_parts(exponent(-z), 1.0 / one)
    scaled = p + p * t
    e = scaled * one
    if is_rough():
        d = 1.0 + e
        return (scaled / (d * d)) * (factor * one)
    more = e * e + (e + e)
    d = 1.0 + more
    y = _quotient(scaled, d)
    d_low = more - (d - lax.max(jnp.ones_like(z), -z))  # a 1 that XLA cannot see
    return (y - y * (d_low * num.reciprocal_guess(d))) * (factor * one)


def sigmoid_curvature(x: Array, factor: float = 1.0) -> Array:
    """factor σ''(x), for a power of two: -+ e (1 - e)/(1 + e)³."""
    one = _scale(x).one
    z = num.clamp(num.folded(x), None, largest(x))
    t, p = expm1_parts(exponent(-z), 1.0 / one)
    scaled, unit = p + p * t, p * one
    e = scaled * one
    top = ((1.0 - unit) - unit * t) * scaled
    y = (top / (1.0 + e * (3.0 + e * (3.0 + e)))) * (factor * one)
    return jnp.where(num.sign_bit(x), y, -y)


def silu_slope(x: Array) -> Array:
    """F(-|x|) for x < 0, else 1 - F(-|x|); F(v) = (1 + v + e) e/(1 + e)², e = e^v."""
    one = _scale(x).one
    v = num.clamp(-jnp.abs(x), -largest(x))
    t, p = expm1_parts(exponent(v), 1.0 / one)
    grown = 1.0 + t
    scaled = grown * p
    e = scaled * one
    if is_rough():
        d = 1.0 + e
        y = (((v + d) * scaled) / (d * d)) * one
    else:
        first = 1.0 + v  # exact beyond 1/2
        b = first + e
        # (1 + t)/(1 + e)² = 1 + w; the rounding error of b counts only times w.
        more = e * (2.0 + e)
        w = t - grown * (more / (1.0 + more))
        tail = ((first + (e + b * w)) * p) * one
        y = jnp.where(v > -_SILU_NEAR, _silu_slope_near(v, first), tail)
    return jnp.where(num.sign_bit(x), y, 1.0 - y)


# Beyond, e is a quarter and less: its rounding error is small against 1 + v + e.
_SILU_NEAR = 111.0 / 64.0


def _silu_slope_near(v: Array, first: Array) -> Array:
    """F(v) down to -111/64, from its factor v + zero; first is 1 + v."""
    zero, zero_low = num.constant(_coefficients_sigmoidal.SILU_ZERO, v.dtype)
    constant = lax.max(v, jnp.full_like(v, zero))  # of which XLA cannot see that it is
    d = v + constant
    # The rounding error of d matters where F is not yet steep, and is 0 elsewhere.
    low = 0.390625 * (v - (d - constant))
    low = low + float(_coefficients_sigmoidal.SILU_SLOPE_SLOPE) * zero_low
    return 0.25 * d + (d * _fit("SILU_SLOPE", first) + low)


def silu_curvature(x: Array) -> Array:
    """e (2 + e (2 + z) - z)/(1 + e)³, e = e^-z, z = |x|."""
    one = _scale(x).one
    z = num.clamp(jnp.abs(x), None, largest(x))
    t, p = expm1_parts(exponent(-z), 1.0 / one)
    scaled = p + p * t
    e = scaled * one
    first, more = 2.0 - z, e * (2.0 + z)
    b = first + more
    if is_rough():
        d = 1.0 + e
        return ((b * scaled) / ((d * d) * d)) * one
    tail = first + (more + b * (e * _fit("CUBE_INVERSE", e)))
    zero, zero_low = num.constant(_coefficients_sigmoidal.SILU_CURVATURE_ZERO, z.dtype)
    near = _fit("SILU_CURVATURE", z - 0.375)
    near = (z - zero) * near - zero_low * near
    w = jnp.where(z < 2.7, near, tail)
    return ((w + w * t) * p) * one


# --- tanh and softplus --------------------------------------------------------------


def tanh(x: Array) -> Array:
    """(1 - E)/(1 + E), E = e^-2|x|."""
    if is_rough():
        return _rough_tanh(x)
    # From the limit on, E is lost against 1.
    z = num.clamp(jnp.abs(x), None, 20.0)
    t, p = expm1_parts(exponent(-2.0 * z))
    step = p * t  # exact
    top = (1.0 - p) - step
    return jnp.where(num.sign_bit(x), -top, top) / ((1.0 + p) + step)


def _rough_tanh(x: Array) -> Array:
    """x times a quotient of polynomials of x²; at the ends its last bits are lost."""
    end = float(_coefficients_sigmoidal.TANH_END)
    x = num.clamp(x, -end, end)
    square = x * x
    return (x * _fit("TANH_TOP", square)) / _fit("TANH_BOTTOM", square)


def softplus(x: Array) -> Array:
    """max(x, 0) + log(1 + e^-|x|)."""
    v = num.clamp(-jnp.abs(x), -_LEAST_NORMAL[str(x.dtype)])
    t, p = expm1_parts(exponent(v))
    grown = 1.0 + t
    e = p * grown  # not p + p t, of which p t may underflow
    if is_rough():
        positive = jnp.where(x < 0, 0.0, x)
        return e * (1.0 + e * _fit("LOG1P_ROUGH", e)) + positive
    # log(1 + e) = e (1 + part), with an e that is not yet rounded where that counts.
    part = e * _fit("LOG1P", e - 0.75)
    y = (part * grown + grown) * p
    return jnp.where(num.sign_bit(x), y, x + y)
