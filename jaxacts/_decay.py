"""e^-|x| and 1/(1 + e^-|x|) for functions of one exponential, in few operations.

`jaxacts._numerics.exp_parts` serves every argument and every factor; here the
argument is not positive, the factor is below 1e4, and half of the work goes.

Quotients are divisions, by `_quotient`. XLA does not repeat a division that two of
its loops need, it stores the result: hence value and slope of a function must not
divide the same number by the same, and the slopes here divide by (1 + e)².
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxacts import _coefficients
from jaxacts import _numerics as num
from jaxacts._exact import Array, is_rough

__all__ = [
    "log1p_exp",
    "sigmoid",
    "sigmoid_slope",
    "silu",
    "silu_slope",
    "tanh",
]

_FAR = 1e4  # the largest factor of an exponential that is out of range

# Below, e^a times every such factor is 0.
_LEAST = {"float32": -128.0, "float64": -1000.0}
# The last bits of n + this are the integer n.
_ALIGN = {"float32": 1.5 * 2**23, "float64": 1.5 * 2**52}
# e^a = (1 + t) s c, s = 2^n/c: s is a normal number for the least n.
_C = {"float32": 2.0**-64, "float64": 2.0**-512}


class Decay(NamedTuple):
    """e^a = (1 + t) s c = e + e_low; s is a power of two, c a constant one."""

    t: Array
    s: Array
    c: float
    e: Array
    e_low: Array

    def times(self, y: Array, where: Array | None = None) -> Array:
        """y s c; outside of ``where``, y."""
        if where is None:
            return (y * self.s) * self.c
        return (y * jnp.where(where, self.s, 1.0)) * jnp.where(where, self.c, 1.0)

    @property
    def one_minus_e(self) -> Array:
        """1 - e^a without cancellation."""
        power = self.s * self.c
        return (1.0 - power) - power * self.t


def decay(a: Array) -> Decay:
    """e^a for a <= 0."""
    t, s = _decay(a)
    c = _C[str(a.dtype)]
    power = s * c
    more = power * t  # exact
    e = power + more
    e_low = jnp.zeros_like(e) if is_rough() else more - (e - power)
    return Decay(t, s, c, e, e_low)


@jax.custom_jvp
def _decay(a: Array) -> tuple[Array, Array]:
    precision = str(a.dtype)
    a = lax.max(a, jnp.full_like(a, _LEAST[precision]))
    ln2_high, ln2_low = num.ln2_parts(a.dtype)
    n = lax.round(a * num.LOG2E, lax.RoundingMethod.TO_NEAREST_EVEN)
    whole, rest = a - n * ln2_high, n * ln2_low
    r = whole - rest
    change = (r * r) * num.fit("EXP", r)
    if not is_rough():
        change = ((whole - r) - rest) + change
    return r + change, _power(n + _ALIGN[precision])


@_decay.defjvp
def _decay_jvp(primals, tangents):
    t, s = _decay(*primals)
    return (t, s), ((1.0 + t) * tangents[0], jnp.zeros_like(s))


def _power(aligned: Array) -> Array:
    """2^n/c of aligned n."""
    if aligned.dtype == jnp.float32:
        bits = lax.bitcast_convert_type(aligned, jnp.int32) + np.int32(127 + 64)
        return lax.bitcast_convert_type(bits << 23, jnp.float32)
    bits = lax.bitcast_convert_type(aligned, jnp.int64) + np.int64(1023 + 512)
    return lax.bitcast_convert_type(bits << 52, jnp.float64)


def sum_with_one(v: Decay) -> tuple[Array, Array]:
    """d = 1 + e with its error."""
    d = 1.0 + v.e
    if is_rough():
        return d, v.e_low
    return d, (v.e - (d - num.opaque(1.0, d))) + v.e_low


def rough_inverse(v: Decay) -> Array:
    """1/(1 + e) within an eighth: enough for a correction."""
    return 1.0 - 0.5 * v.e


class Square(NamedTuple):
    """(1 + e)² = d2 (1 + rest), and 1/d2 within an eighth."""

    d2: Array
    rest: Array
    inverse: Array


def with_one_squared(v: Decay) -> Square:
    """(1 + e)²."""
    d, d_low = sum_with_one(v)
    d2 = d * d
    inverse = 1.0 - v.e * (1.25 - 0.5 * v.e)
    if is_rough():
        return Square(d2, d_low, inverse)
    d_high = num.high_part(d)
    low = (d_high * d_high - d2) + (d - d_high) * (d + d_high)
    return Square(d2, d_low * (2.0 - v.e) + low * inverse, inverse)


def _quotient(a: Array | float, b: Array) -> Array:
    """a/b, for several uses.

    Of a division with several users XLA makes several divisions, or an array in
    memory; of a maximum it does not.
    """
    least = -float(jnp.finfo(b.dtype).max)
    return lax.max(a / b, jnp.full_like(b, least))


# --- the logistic function and what is made of it -------------------------------


def sigmoid(x: Array) -> Array:
    """σ(x)."""
    v, below = decay(-jnp.abs(x)), x < 0
    d, d_low = sum_with_one(v)
    q = _quotient(1.0, d)
    return v.times(q + q * (jnp.where(below, v.t, 0.0) - d_low * q), below)


def sigmoid_slope(x: Array, factor: float = 1.0) -> Array:
    """factor σ'(x) = factor e^-|x|/(1 + e^-|x|)², for a power of two."""
    v = decay(-jnp.abs(x))
    square = with_one_squared(v)
    w = _quotient(factor, square.d2)
    return v.times(w + w * (v.t - square.rest * (1.0 + v.t)))


def tanh(x: Array) -> Array:
    """(1 - E)/(1 + E), E = e^-2|x|."""
    v = decay(-2.0 * jnp.abs(x))
    d, d_low = sum_with_one(v)
    n, q = v.one_minus_e, rough_inverse(v)
    power = v.s * v.c
    n_low = ((1.0 - power) - n) - power * v.t
    y = _quotient(n, d)
    y = y + (n_low - n * (d_low * q)) * q
    return jnp.where(num.sign_bit(x), -y, y)


def log1p_exp(x: Array) -> Array:
    """log(1 + e^-|x|) = 2 atanh z, z = e/(2 + e)."""
    v = decay(-jnp.abs(x))
    d = 2.0 + v.e
    d_low = v.e_low
    if not is_rough():
        d_low = (v.e - (d - num.opaque(2.0, d))) + d_low
    q = _quotient(1.0, d)
    z = v.e * q
    more = (z * z) * num.fit("LOG1P", z * z)
    y = 2.0 * q
    return v.times(y + y * (v.t + (1.0 + v.t) * (more - d_low * q)))


def silu(x: Array) -> Array:
    """x σ(x)."""
    v, below = decay(-jnp.abs(x)), x < 0
    d, d_low = sum_with_one(v)
    factor = jnp.where(below, num.clamp(x, -_FAR), x)
    t = jnp.where(below, v.t, 0.0)
    # Where x is infinite, so must not be what is 0 then.
    near = num.clamp(factor, None, _FAR)
    n = factor + near * (t - (d_low * rough_inverse(v)) * (1.0 + t))
    return v.times(n / d, below)


def silu_slope(x: Array) -> Array:
    """F(|x|) for x < 0, else 1 - F(|x|); F(z) = e (1 - z + e)/(1 + e)²."""
    z = num.clamp(jnp.abs(x), None, _FAR)
    v = decay(-z)
    b, b_low = _silu_bracket(v, z)
    square = with_one_squared(v)
    w = _quotient(b, square.d2)
    y = w + (w * v.t + (b_low * square.inverse - w * square.rest) * (1.0 + v.t))
    y = v.times(y)
    return jnp.where(x < 0, y, 1.0 - y)


def _rest_of_first(name: str, dtype: np.dtype) -> float:
    """What rounding takes from the first coefficient of a fit."""
    first = getattr(_coefficients, name)[str(dtype)][0]
    return num.constant(repr(first), dtype)[1]


def _silu_bracket(v: Decay, z: Array) -> tuple[Array, Array]:
    """1 - z + e with its error, from its factor z - zero where that is small."""
    one = num.opaque(1.0, z)
    first = one - z
    b = first + v.e
    b_low = ((v.e - (b - first)) + ((one - first) - z)) + v.e_low
    zero, zero_low = num.constant(_coefficients.SILU_BRACKET_ZERO, z.dtype)
    d = z - zero
    p, p_low = num.fit_low("SILU_BRACKET", d)
    p_low = p_low + _rest_of_first("SILU_BRACKET", d.dtype)
    high, low = num.product(d, p, -zero_low, p_low)
    near = high + low
    inside = jnp.abs(d) < 0.3
    near_low = jnp.zeros_like(b) if is_rough() else low - (near - high)
    if is_rough():
        b_low = jnp.zeros_like(b)
    return jnp.where(inside, near, b), jnp.where(inside, near_low, b_low)
