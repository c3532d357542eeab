"""Sine and cosine of any argument, with their rounding errors.

The argument is reduced in integers by as many bits of 2/π as it needs (Payne and
Hanek's method), so that it is exact at 1e38 as at 1. Both results come as
(high, low) pairs, for formulas that cancel.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxacts import _coefficients_periodic as table
from jaxacts import _numerics as num
from jaxacts import _pairs as pairs
from jaxacts._numerics import Array

__all__ = ["scaled_product", "sin_cos"]

_HALF_PI = "1.57079632679489661923132169163975144209858469968755291"
_QUARTER_PI = "0.785398163397448309615660845819875721049292349843776455"

# Unsigned and signed words, and their size.
_WORD: dict[str, tuple[Any, Any, int]] = {
    "float32": (np.uint32, np.int32, 32),
    "float64": (np.uint64, np.int64, 64),
}
_TINY = 2.0**-40  # below, sin(x) is x
# Bits of the significand, and the exponent of its last bit at biased exponent 0.
_LAYOUT = {"float32": (23, 150), "float64": (52, 1075)}


def _words(precision: str) -> list[np.integer]:
    """2/π as words, one word of zeros before the binary point."""
    kind, _, size = _WORD[precision]
    digits = table.TWO_OVER_PI
    count = {"float32": 8, "float64": 20}[precision]
    step = size // 4
    words = [digits[i * step : (i + 1) * step] for i in range(count)]
    return [kind(0), *(kind(int(word, 16)) for word in words)]


def _four_words(index: Array, precision: str) -> list[Array]:
    """The words at index, index + 1, ..., index + 3, without a table in memory."""
    words: list = _words(precision)
    bit = 16 if len(words) > 12 else 4
    while bit:
        taken = (index & bit) != 0
        left = 3 + bit
        kept = [
            jnp.where(taken, words[min(i + bit, len(words) - 1)], words[i])
            for i in range(min(left, len(words)))
        ]
        words, bit = kept, bit >> 1
    return words


def _upper_product(a: Array, b: Array, size: int) -> Array:
    """The upper word of the product of two words, a below 2^(7/8 of the size)."""
    half = a.dtype.type(size // 2)
    mask = a.dtype.type(2 ** (size // 2) - 1)
    a_high, a_low, b_high, b_low = a >> half, a & mask, b >> half, b & mask
    low, middle, other = a_low * b_low, a_low * b_high, a_high * b_low
    carry = ((low >> half) + (middle & mask) + (other & mask)) >> half
    return a_high * b_high + (middle >> half) + (other >> half) + carry


def _reduced(x: Array, far: Array, eighth: bool) -> tuple[Array, Array, Array]:
    """(n, r, r_low) with y, or y + π/4, equal to n π/2 + r modulo 2π; |r| <= π/4.

    y is x, or x 2^size where far.
    """
    precision = str(x.dtype)
    kind, signed, size = _WORD[precision]
    significant, offset = _LAYOUT[precision]
    bits = lax.bitcast_convert_type(x, kind)
    biased = ((bits << kind(1)) >> kind(significant + 1)).astype(jnp.int32)
    hidden = kind(2**significant)
    m = (bits & kind(2**significant - 1)) | hidden
    # So many bits of 2/π count whole turns only.
    start = biased + jnp.where(far, 2 * size - 2 - offset, size - 2 - offset)
    start = jnp.maximum(start, 0)
    log = 5 if size == 32 else 6
    w = _four_words(start >> log, precision)
    shift = (start & (size - 1)).astype(kind)
    back = kind(size - 1) - shift
    w = [(a << shift) | ((b >> kind(1)) >> back) for a, b in itertools.pairwise(w)]
    # The product with the significand, in quarter turns, modulo 4.
    carried = _upper_product(m, w[2], size)
    low = m * w[1] + carried
    high = m * w[0] + _upper_product(m, w[1], size)
    high = high + (low < carried).astype(kind)
    negative = num.sign_bit(x)
    high = jnp.where(negative, ~high + (low == 0).astype(kind), high)
    low = jnp.where(negative, kind(0) - low, low)
    if eighth:
        high = high + kind(2 ** (size - 3))
    n = (high + kind(2 ** (size - 3))) >> kind(size - 2)
    fraction = lax.bitcast_convert_type(high - (n << kind(size - 2)), signed)
    quarters, quarters_low = _as_float(fraction, low, x.dtype)
    r, r_low = pairs.times_constant(_HALF_PI, (quarters, quarters_low))
    return n.astype(jnp.int32), r, r_low


def _as_float(fraction: Array, low: Array, dtype: np.dtype) -> tuple[Array, Array]:
    """fraction + low/2^size, in units of 2^(2 - size), as (high, low)."""
    kind, signed, size = _WORD[str(dtype)]
    cut, half = (6, 16) if size == 32 else (10, 32)
    mask = signed(2**cut - 1)
    first = (fraction & ~mask).astype(dtype) * 2.0 ** (2 - size)
    upper = lax.bitcast_convert_type(low >> kind(half), signed)
    second = ((fraction & mask) << signed(half)) | upper
    second = second.astype(dtype) * 2.0 ** (2 - size - half)
    third = lax.bitcast_convert_type(low & kind(2**half - 1), signed)
    third = third.astype(dtype) * 2.0 ** (2 - 2 * size)
    rest = second + third
    total = first + rest
    return total, (rest - (total - first)) + (third - (rest - second))


def _reduced_near(x: Array, far: Array, eighth: bool) -> tuple[Array, Array, Array]:
    """As `_reduced`, but exact for small arguments too."""
    n, r, r_low = _reduced(x, far, eighth)
    x = jnp.where(far, x * 2.0 ** _WORD[str(x.dtype)][2], x)
    near = jnp.abs(x) < (2.0**-6 if eighth else 0.78)
    direct, direct_low = x, jnp.zeros_like(x)
    if eighth:
        c, c_low = num.constant(_QUARTER_PI, x.dtype)
        direct = x + c
        direct_low = num.sum_low(x, jnp.full_like(x, c), direct) + c_low
    n = jnp.where(near, 0, n)
    return n, jnp.where(near, direct, r), jnp.where(near, direct_low, r_low)


def _reduced_sum(
    x: Array, x_low: Array, far: Array, eighth: bool
) -> tuple[Array, Array, Array]:
    """As `_reduced_near`, of x + x_low, where x_low may be many turns."""
    n, a, a_low = _reduced_near(x, far, eighth)
    other, b, b_low = _reduced_near(x_low, far, False)
    r = a + b
    r_low = num.sum_low(a, b, r) + (a_low + b_low)
    # |r| <= π/2 now: a quarter turn more where it is above π/4.
    step = jnp.where(jnp.abs(r) > 0.8, jnp.sign(r), 0.0)
    c, c_low = num.constant(_HALF_PI, x.dtype)
    turned = r - step * c
    turned_low = num.sum_low(r, -step * c, turned) + (r_low - step * c_low)
    total = turned + turned_low
    n = n + other + step.astype(jnp.int32)
    return n, total, turned_low - (total - turned)


def _of_reduced(r: Array, r_low: Array) -> tuple[Array, Array, Array, Array]:
    """sin and cos of r + r_low, |r| <= 0.82, each with its rounding error."""
    z = r * r
    rest = r_low * (1.0 - 0.5 * z) + (r * z) * num.fit("SIN", z, table)
    s = r + rest
    s_low = rest - (s - r)
    square, square_low = num.product(r, r)
    half = 0.5 * square
    base = 1.0 - half
    rest = num.sum_low(-half, jnp.ones_like(z), base) - 0.5 * square_low
    rest = rest + ((z * z) * num.fit("COS", z, table) - r * r_low)
    c = base + rest
    return s, s_low, c, rest - (c - base)


def _of_reduced_long(r: Array, r_low: Array) -> tuple[Array, Array, Array, Array]:
    """As `_of_reduced`, with low parts right to nearly all their digits."""
    z = pairs.multiply((r, r_low), (r, r_low))
    none = jnp.zeros_like(r)
    s = num.fit("SIN_TAIL", z[0], table), none
    c = num.fit("COS_TAIL", z[0], table), none
    for text in ("-1/5040", "1/120", "-1/6", "1"):
        s = pairs.horner_step(text, z, s)
    for text in ("-1/720", "1/24", "-1/2", "1"):
        c = pairs.horner_step(text, z, c)
    return *pairs.multiply((r, r_low), s), *c


def scaled_product(x: Array, a: Array) -> tuple[Array, Array, Array]:
    """(high, low, far) with ax = high + low, times 2^size of its word where far."""
    x, a = jnp.broadcast_arrays(x, a)
    size = _WORD[str(x.dtype)][2]
    far = jnp.abs(x) > 2.0 ** (2 * size - 4)
    high, low = pairs.exact_product(jnp.where(far, x * 2.0**-size, x), a)
    # Where the product is small its low part would be flushed to zero in parts.
    rough = x * a
    tiny = jnp.abs(rough) < _TINY
    return jnp.where(tiny, rough, high), jnp.where(tiny, 0.0, low), far


def sin_cos(
    x: Array,
    x_low: Array | None = None,
    far: Array | None = None,
    *,
    eighth: bool = False,
    long: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """(sin, sin_low, cos, cos_low) of x + x_low, or of x + x_low + π/4.

    With x_low goes ``far``, see `scaled_product`. The low parts are right to some
    bits, enough for a factor; with ``long``, to about all, for sums that cancel.
    NaN at the infinities.
    """
    if x_low is None:
        far = jnp.zeros_like(x, bool)
        return _sin_cos(x, jnp.zeros_like(x), far, eighth, True, long)
    return _sin_cos(x, x_low, far, eighth, False, long)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4, 5))
def _sin_cos(
    x: Array, x_low: Array, far: Array, eighth: bool, whole: bool, long: bool
) -> tuple[Array, Array, Array, Array]:
    if whole:
        n, r, r_low = _reduced_near(x, far, eighth)
    else:
        n, r, r_low = _reduced_sum(x, x_low, far, eighth)
    r = jnp.where(jnp.isfinite(x), r, jnp.nan)
    of_reduced = _of_reduced_long if long else _of_reduced
    s, s_low, c, c_low = of_reduced(r, r_low)
    if not eighth:
        # The argument itself, a signed zero too.
        tiny = ~far & (jnp.abs(x) < _TINY)
        s, s_low = jnp.where(tiny, x, s), jnp.where(tiny, x_low, s_low)
    odd = (n & 1) != 0
    sine, sine_low = jnp.where(odd, c, s), jnp.where(odd, c_low, s_low)
    cosine, cosine_low = jnp.where(odd, s, c), jnp.where(odd, s_low, c_low)
    turn, cross = (n & 2) != 0, ((n + 1) & 2) != 0
    return (
        jnp.where(turn, -sine, sine),
        jnp.where(turn, -sine_low, sine_low),
        jnp.where(cross, -cosine, cosine),
        jnp.where(cross, -cosine_low, cosine_low),
    )


@_sin_cos.defjvp
def _sin_cos_jvp(eighth, whole, long, primals, tangents):
    s, s_low, c, c_low = _sin_cos(*primals, eighth, whole, long)
    t = tangents[0] + tangents[1]
    far = primals[2]
    t = jnp.where(far, t * 2.0 ** _WORD[str(t.dtype)][2], t)
    none = jnp.zeros_like(s)
    return (s, s_low, c, c_low), (t * c, none, -t * s, none)
