"""Mish and two derivatives, in e = e^-|x|.

tanh(softplus(x)) = N e/D for x < 0 and N/D for x > 0, N = 2 + e and 1 + 2e,
D = N + e (1 + e) and N + 2e².
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from jaxacts import _numerics as num
from jaxacts._numerics import Array

__all__ = ["curvature", "slope", "value"]


class _Parts(NamedTuple):
    """e = e^-|x| = (1 + t) s1 s2; N, D and 1/D = q, with rounding errors."""

    e: Array
    t: Array
    s1: Array
    s2: Array
    n: Array
    n_low: Array
    d: Array
    d_low: Array
    q: Array
    delta: Array

    def over_d(self, top: Array, top_low: Array) -> tuple[Array, Array]:
        """(top + top_low)/D and its rounding error."""
        high, low = num.product(top, self.q, top_low, self.q * self.delta)
        return high, low


def _parts(x: Array) -> _Parts:
    t, s1, s2 = num.exp_parts(-num.magnitude(x), jnp.zeros_like(x))
    s = s1 * s2
    below = x < 0
    ones, step = jnp.where(below, 2.0, 1.0), jnp.where(below, s, 2.0 * s)
    # Below 2^-20 the exponential is short against a sum that must be exact.
    large = s > 1e-6
    base = jnp.where(large, ones + step, ones)
    rest = jnp.where(large, step * t, step + step * t)
    n = base + rest
    n_low = rest - (n - base)
    e = num.scale(1.0 + t, s1, s2)
    more = e * jnp.where(below, 1.0 + e, 2.0 * e)
    d = n + more
    d_low = (more - (d - n)) + n_low
    return _Parts(e, t, s1, s2, n, n_low, d, d_low, *num.inverse(d, d_low))


def _linear(e: Array, largest: float, z: Array, name: str) -> Array:
    """e (A + z B) for fitted A and B of e up to ``largest``."""
    small = num.clamp(e, None, largest)
    a, b = num.fit(f"{name}_CONSTANT", small), num.fit(f"{name}_LINEAR", small)
    return small * (a + z * b)


def value(x: Array) -> Array:
    """x tanh(softplus(x))."""
    p = _parts(x)
    below = x < 0
    ratio, ratio_low = p.over_d(p.n, p.n_low)
    # Below, e underflows against every x; above, 1 - tanh is lost.
    near, t = num.clamp(x, -1e4, 20.0), jnp.where(below, p.t, 0.0)
    high, low = num.product(near, ratio, 0.0, ratio_low)
    y = num.finish(
        high, low, t, jnp.where(below, p.s1, 1.0), jnp.where(below, p.s2, 1.0)
    )
    # Where halves of x underflow.
    y = jnp.where(jnp.abs(x) < 1e-20, x * (ratio + ratio_low), y)
    return jnp.where(x > 20.0, x, y)


def slope(x: Array) -> Array:
    """Its derivative."""
    p = _parts(x)
    e, z = p.e, num.clamp(num.magnitude(x), None, 1e3)
    below = x < 0
    # (N + 4 x e² (1 + e)/D)/D to the right, e (N + 4 x (1 + e)/D)/D just left of 0.
    extra = ((z * jnp.where(below, -1.0, e * e)) * (4.0 + 4.0 * e)) * p.q
    total = p.n + extra
    right = p.over_d(total, (extra - (total - p.n)) + p.n_low)
    # Over e: a polynomial around the zero, (1 + x) + e (...) further down.
    far = x < -1.9
    tail = (1.0 - z) + _linear(e, 0.157, z, "MISH_TAIL")
    w = jnp.where(far, tail, right[0])
    left = num.patched(
        num.distance(-z, "MISH_SLOPE"),
        (w, jnp.where(far, 0.0, right[1])),
        0.75,
    )
    return num.finish(
        jnp.where(below, left[0], right[0]),
        jnp.where(below, left[1], right[1]),
        jnp.where(below, p.t, 0.0),
        jnp.where(below, p.s1, 1.0),
        jnp.where(below, p.s2, 1.0),
    )


def curvature(x: Array) -> Array:
    """Its second derivative."""
    p = _parts(x)
    e, near = p.e, num.clamp(x, -1e3, 1e3)
    below = x < 0
    # Around 0, 4 e B/D³ for x < 0 and 4 e² B/D³ for x > 0.
    left = (4.0 + 2.0 * near) + e * (
        (8.0 + 2.0 * near) + e * ((6.0 - 3.0 * near) + e * (2.0 - 2.0 * near))
    )
    right = (2.0 - 2.0 * near) + e * (
        (6.0 - 3.0 * near) + e * ((8.0 + 2.0 * near) + e * (4.0 + 2.0 * near))
    )
    w = jnp.where(below, left, right) * (4.0 * (p.q * (p.q * p.q)))
    # Beyond the two zeros, e (2 + x + e ...) and e² (8 - 8 x + e ...).
    tail = jnp.where(
        below,
        (2.0 + near) + _linear(e, 0.0302, -near, "MISH_LEFT"),
        (8.0 - 8.0 * near) + _linear(e, 0.0672, near, "MISH_RIGHT"),
    )
    far = jnp.abs(x - 0.43) > 2.34  # x < -1.9 or x > 2.7: around or beyond a zero
    low = jnp.where(far, 0.0, w * (3.0 * p.delta))
    w = jnp.where(far, tail, w)
    # One factor e of the right side's e²; the other is multiplied in the end.
    s = p.s1 * p.s2
    low = jnp.where(below, low, s * (low + p.t * (w + low)))
    w = jnp.where(below, w, s * w)
    w, low = num.patched(
        num.distance(near, "MISH_CURVATURE_NEGATIVE"),
        (w, low),
        1.4,
    )
    w, low = num.patched(
        num.distance(near, "MISH_CURVATURE_POSITIVE"),
        (w, low),
        1.3,
    )
    return num.finish(w, low, p.t, p.s1, p.s2)
