"""e^x to more digits than it has, for exponentials of exponentials.

The relative error of e^(-w) is the absolute one of w, which is large where w is:
w has to be known to a hundred times better than its last place.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxacts import _coefficients_nested as table
from jaxacts import _numerics as num
from jaxacts import _pairs as pairs
from jaxacts._numerics import Array

__all__ = ["Inner", "inner_exp"]


class Inner(NamedTuple):
    """e^x = (1 + t) s1 s2 = w + w_low, for moderate x."""

    t: Array
    s1: Array
    s2: Array
    w: Array
    w_low: Array


@jax.custom_jvp
def inner_exp(x: Array) -> Inner:
    """The parts of e^x; w is right to 2^-32 in float32, to 2^-63 in float64."""
    t, s1, s2 = num.exp_parts(x, jnp.zeros_like(x))
    ln2, ln2_low = num.ln2_parts(x.dtype)
    reach = num.clamp(x, -80.0, 80.0)
    n = jnp.round(reach * 1.4426950408889634)
    start = reach - n * ln2  # exact
    r, r_low = pairs.two_sum(start, -n * ln2_low)
    y = num.fit("EXP_TAIL", r, table), jnp.zeros_like(r)
    for text in ("1/6", "1/2", "1", "1"):
        y = pairs.horner_step(text, (r, r_low), y)
    scale = s1 * s2
    return Inner(t, s1, s2, y[0] * scale, y[1] * scale)


@inner_exp.defjvp
def _inner_exp_jvp(primals, tangents):
    y = inner_exp(*primals)
    none = jnp.zeros_like(y.t)
    dot = tangents[0]
    return y, Inner((1.0 + y.t) * dot, none, none, y.w * dot, none)
