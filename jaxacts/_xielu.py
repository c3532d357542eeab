"""xIELU for x < 0: αe^x and a line, with two zeros that move with the parameters."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxacts import _numerics as num
from jaxacts import _pairs as pairs
from jaxacts._coefficients_remainders import EXP_REMAINDER
from jaxacts._expansion import Expansion, added, exp_minus, expansion_near
from jaxacts._numerics import Array

__all__ = ["expm1_and_rest", "slope", "value"]

# Of α and 1/α the largest, of β/α the least that is looked at.
_RATIOS = {"float32": (1e6, 1e-5), "float64": (1e50, 1e-9)}
# Below, with a zero beside, e^x is nothing to the other terms, even at 1/2 from it.
_LINEAR = {"float32": -25.0, "float64": -48.0}
# Outside, products of halves overflow or underflow, and no sum cancels.
_SMALL, _LARGE = 1e-12, 1e4


def expm1_and_rest(x: Array) -> tuple[Array, Array, Array, Array]:
    """(y, y_low) = e^x - 1 and (z, z_low) = e^x - 1 - x, for x <= 0."""
    t, s1, s2 = num.exp_parts(x, jnp.zeros_like(x))
    s = s1 * s2
    base, rest = s - 1.0, s * t
    y = base + rest
    y_low = num.sum_low(base, rest, y) + jnp.where(base == -1.0, s, 0.0)
    z = y - x
    z_low = num.sum_low(y, -x, z) + y_low
    near = num.clamp(x, -0.5)
    series = (near * near) * num.horner(near, EXP_REMAINDER[str(x.dtype)])
    close = x > -0.5
    return y, y_low, jnp.where(close, series, z), jnp.where(close, 0.0, z_low)


def _sum_of_products(
    a: Array, x: Array, x_low: Array, b: Array, y: Array
) -> tuple[Array, Array]:
    """a (x + x_low) + b y in twice the precision."""
    p, p_low = num.product(a + jnp.zeros_like(x), x)
    q, q_low = num.product(b + jnp.zeros_like(y), y)
    total = p + q
    return total, num.sum_low(p, q, total) + (p_low + q_low + a * x_low)


# --- the zeros ----------------------------------------------------------------------


class _Setting(NamedTuple):
    """Parameters with zeros below 0, others replaced by such; γ = α - β is a pair."""

    has_zeros: Array
    alpha: Array
    ratio: Array  # β/α
    gamma: tuple[Array, Array]
    left: Array  # γ/α


def _setting(alpha: Array, beta: Array) -> _Setting:
    alpha, beta = jnp.broadcast_arrays(alpha, beta)
    inside = (jnp.abs(beta) < jnp.abs(alpha)) & ((alpha > 0) == (beta > 0))
    # Beyond, bits of products underflow; the zeros are then as right as the rest.
    largest, least = _RATIOS[str(alpha.dtype)]
    size = jnp.abs(alpha)
    inside &= (size < largest) & (size > 1.0 / largest)
    inside &= jnp.abs(beta) > least * size
    alpha, beta = jnp.where(inside, alpha, 1.0), jnp.where(inside, beta, 0.5)
    gamma = pairs.two_sum(alpha, -beta)
    return _Setting(inside, alpha, beta / alpha, gamma, gamma[0] / alpha)


def _rest_beside_zero(x: Array) -> Array:
    """e^x - 1 - x for x > -1/2."""
    near = num.clamp(x, -0.5)
    return (near * near) * num.horner(near, EXP_REMAINDER[str(x.dtype)])


def _of_slope(at: _Setting) -> tuple[Array, Expansion]:
    """α (e^x - 1) + β about its zero log(1 - β/α)."""
    c = num.clamp(jnp.log(at.left), None, -1e-9)
    y = _rest_beside_zero(c) + c
    c = jnp.where(c > -0.5, c - (y + at.ratio) / (1.0 + y), c)
    value = exp_minus(at.alpha, c, (*at.gamma, jnp.zeros_like(c)))
    slope = pairs.add(value, at.gamma)
    return c, Expansion(value, slope, slope[0])


def _zero_of_value(at: _Setting) -> Array:
    """e^x - 1 = (γ/α) x, to some last places."""
    k, left = at.ratio, at.left
    # To 2% of the zero; it is about -2k near 0, and -1/(1 - k) near 1.
    x = -k * (2.0 - k * (2.0 + k) * (1.0 / 3.0)) / left
    for _ in range(2 if k.dtype == jnp.float32 else 3):
        close = x > -0.5
        z, e = _rest_beside_zero(x), jnp.exp(x)
        height = jnp.where(close, z + k * x, (e - 1.0) - left * x)
        x = x - height / jnp.where(close, (z + x) + k, e - left)
    return x


def _of_value(at: _Setting) -> tuple[Array, Expansion]:
    """αe^x - (α + γx) about its zero below 0."""
    c = _zero_of_value(at)
    high, low = at.gamma
    line, line_low = pairs.exact_product(high, c)
    v = added(at.alpha, line, line_low, *num.product(low, c))
    value = exp_minus(at.alpha, c, v)
    bend = pairs.add(value, v[:2])
    return c, Expansion(value, pairs.add(bend, (-high, -low)), bend[0])


def _beside_zero(
    x: Array,
    at: _Setting,
    expansion: tuple[Array, Expansion],
    otherwise: Array,
    width: float,
) -> Array:
    c, e = expansion
    # Beside zeros far away all is a line, and cancels over a long way.
    reach = jnp.where(
        c < _LINEAR[str(x.dtype)], -0.25 * c, jnp.where(c < -2.0, 0.5, width)
    )
    reach = jnp.where(at.has_zeros, reach, 0.0)
    # Halfway to 0 the bend cancels half of the slope; other terms no more than that.
    right = jnp.minimum(reach, -0.5 * c)
    return expansion_near(x, c, e, reach, right, otherwise)


# --- value and slope ----------------------------------------------------------------


def value(x: Array, alpha: Array, beta: Array) -> Array:
    """α (e^x - 1 - x) + βx for x <= 0."""
    near = num.clamp(x, -_LARGE, 0.0)
    _, _, z, z_low = expm1_and_rest(near)
    high, low = _sum_of_products(alpha, z, z_low, beta, near)
    line, bend = beta * x, alpha * z
    small = jnp.where(bend == 0, line, line + bend)  # keeps the sign of a zero
    # e^x - 1 is -1 to all digits: (β - α) x - α.
    gamma = beta - alpha
    gamma_low = num.sum_low(beta, -alpha, gamma)
    far = jnp.where(gamma == 0, 0.0, gamma * x)
    far = far + (gamma_low * num.clamp(x, -1e30) - alpha)
    middle = jnp.where(near > -_SMALL, small, high + low)
    y = jnp.where(x < -_LARGE, far, middle)
    at = _setting(alpha, beta)
    return _beside_zero(x, at, _of_value(at), y, 0.5)


@jax.custom_jvp
def slope(x: Array, alpha: Array, beta: Array) -> Array:
    """α (e^x - 1) + β for x <= 0."""
    near = num.clamp(x, -_LARGE, 0.0)
    y, y_low, _, _ = expm1_and_rest(near)
    high, low = _sum_of_products(alpha, y, y_low, beta, jnp.ones_like(y))
    otherwise = jnp.where(near > -_SMALL, alpha * y + beta, high + low)
    at = _setting(alpha, beta)
    return _beside_zero(x, at, _of_slope(at), otherwise, 0.25) + num.zero(x)


@slope.defjvp
def _slope_jvp(primals, tangents):
    # By itself: what finds the zero would be differentiated too.
    x, alpha, _ = primals
    x_dot, alpha_dot, beta_dot = tangents
    near = num.clamp(x, None, 0.0)
    steep = num.exp(near) * alpha * x_dot + num.expm1(near) * alpha_dot
    return slope(*primals), steep + beta_dot + num.zero(x)
