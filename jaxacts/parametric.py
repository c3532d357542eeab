"""Functions whose shape is learned: APTx, ACON-C, smooth maximum units."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts import _pairs as pairs
from jaxacts._elementwise import activation
from jaxacts._gaussian import ROOT_TWO, Tail, lower_slope, lower_tail, tail
from jaxacts._logistic import (
    logistic_slope,
    swish_curvature,
    swish_slope,
    swish_value,
)
from jaxacts._numerics import Array
from jaxacts._spec import Limits, Parameter

_INF = float("inf")


def _argument(x: Array, factor: Array) -> tuple[Array, Array]:
    """(a, a_low) with a + a_low = x times a factor, cut to the range of exp."""
    x, factor = jnp.broadcast_arrays(x, factor)
    largest = 120.0 if x.dtype == jnp.float32 else 800.0
    rough = x * factor
    outside = jnp.abs(rough) > largest
    high, low = pairs.exact_product(
        jnp.where(outside, 1.0, x), jnp.where(outside, 1.0, factor)
    )
    high = jnp.where(outside, num.clamp(rough, -largest, largest), high)
    return high + num.zero(rough), jnp.where(outside, 0.0, low)


def _line(x: Array, factor: Array) -> tuple[Array, Array]:
    """x times a factor, and how much more it is, relative to itself."""
    x, factor = jnp.broadcast_arrays(x, factor)
    rough = x * factor
    usual = (jnp.abs(rough) > 1e-12) & (jnp.abs(rough) < 1e4)
    high, low = pairs.exact_product(
        jnp.where(usual, x, 1.0), jnp.where(usual, factor, 1.0)
    )
    return jnp.where(usual, high, rough), jnp.where(usual, low / high, 0.0)


# --- aptx: (α + tanh(βx)) γx = 2γx σ(2βx) + (α - 1) γx -------------------------------


def _aptx_slope(x: Array, alpha: Array, beta: Array, gamma: Array) -> Array:
    y = swish_slope(*_argument(x, 2.0 * beta), factor=2.0 * gamma)
    return jnp.where(alpha == 1.0, y, y + gamma * (alpha - 1.0))


def _aptx_curvature(x: Array, alpha: Array, beta: Array, gamma: Array) -> Array:
    return swish_curvature(*_argument(x, 2.0 * beta), factor=4.0 * beta * gamma)


def _aptx_alpha(x: Array, alpha: Array, beta: Array, gamma: Array) -> Array:
    return gamma * x + 0.0 * (alpha * beta)


def _aptx_beta(x: Array, alpha: Array, beta: Array, gamma: Array) -> Array:
    """γ x²/cosh²(βx)."""
    near = num.clamp(x, -1e4, 1e4)
    return logistic_slope(*_argument(x, 2.0 * beta), factor=4.0 * gamma * (near * near))


def _aptx_gamma(x: Array, alpha: Array, beta: Array, gamma: Array) -> Array:
    return _aptx_value(x, alpha, beta, jnp.ones_like(gamma))


def _aptx_value(x: Array, alpha: Array, beta: Array, gamma: Array) -> Array:
    straight, delta = _line(x, 2.0 * gamma)
    y = swish_value(straight, *_argument(x, 2.0 * beta), delta)
    y = jnp.where(alpha == 1.0, y, y + (alpha - 1.0) * (gamma * x))
    # Half of a small number may be flushed to zero.
    return jnp.where(jnp.abs(x) < 1e-30, (alpha * gamma) * x, y)


def _aptx_limits(alpha=1.0, beta=1.0, gamma=0.5):
    down, up = gamma * (alpha - 1), gamma * (alpha + 1)
    left = (-0.0, -0.0, -0.0) if alpha == 1 else (-down * _INF, down, -0.0)
    return Limits(minus_infinity=left, plus_infinity=(up * _INF, up, -0.0))


@activation(
    family="parametric",
    formula=r"(\alpha + \tanh(\beta x)) \, \gamma x",
    reference=lambda m, x, alpha=1, beta=1, gamma=0.5: (
        (alpha + m.tanh(beta * x)) * gamma * x
    ),
    parameters=(
        Parameter(name="alpha", default=1.0, initial=1.0, description="the offset α"),
        Parameter(
            name="beta", default=1.0, initial=1.0, description="the steepness β > 0"
        ),
        Parameter(
            name="gamma", default=0.5, initial=0.5, description="the slope γ > 0"
        ),
    ),
    cases=({}, {"beta": 0.7, "gamma": 0.8}),
    slope=_aptx_slope,
    curvature=_aptx_curvature,
    parameter_slopes={"alpha": _aptx_alpha, "beta": _aptx_beta, "gamma": _aptx_gamma},
    limits=_aptx_limits,
    paper="arXiv:2209.06119",
)
def aptx(
    x: ArrayLike, alpha: ArrayLike = 1.0, beta: ArrayLike = 1.0, gamma: ArrayLike = 0.5
) -> Array:
    """APTx; with the defaults x σ(2x), close to mish.

    With α other than 1 the slope and the value have zeros that move with the
    parameters, and lose digits beside them.

    Example:
      >>> jaxacts.aptx(jnp.array([-1.0, 2.0]))
      Array([-0.1192,  1.964 ], dtype=float32)
    """
    return _aptx_value(x, alpha, beta, gamma)


# --- acon_c: (p1 - p2) x σ(β (p1 - p2) x) + p2 x -------------------------------------


def _acon_argument(x: Array, p1: Array, p2: Array, beta: Array) -> tuple[Array, Array]:
    return _argument(x, beta * (p1 - p2))


def _acon_slope(x: Array, p1: Array, p2: Array, beta: Array) -> Array:
    y = swish_slope(*_acon_argument(x, p1, p2, beta), factor=p1 - p2)
    return jnp.where(p2 == 0, y, y + p2)


def _acon_curvature(x: Array, p1: Array, p2: Array, beta: Array) -> Array:
    d = p1 - p2
    return swish_curvature(*_acon_argument(x, p1, p2, beta), factor=(d * d) * beta)


def _acon_value(x: Array, p1: Array, p2: Array, beta: Array) -> Array:
    straight, delta = _line(x, p1 - p2)
    y = swish_value(straight, *_acon_argument(x, p1, p2, beta), delta)
    y = jnp.where(p2 == 0, y, y + p2 * x)
    # Half of a small number may be flushed to zero.
    return jnp.where(jnp.abs(x) < 1e-30, (0.5 * (p1 + p2)) * x, y)


def _acon_p1(x: Array, p1: Array, p2: Array, beta: Array) -> Array:
    """x times the slope of a σ(a) in a."""
    return x * swish_slope(*_acon_argument(x, p1, p2, beta))


def _acon_p2(x: Array, p1: Array, p2: Array, beta: Array) -> Array:
    a, a_low = _acon_argument(x, p1, p2, beta)
    return x * swish_slope(-a, -a_low)


def _acon_beta(x: Array, p1: Array, p2: Array, beta: Array) -> Array:
    """(d x)² σ'(β d x), d = p1 - p2."""
    near = num.clamp((p1 - p2) * x, -1e4, 1e4)
    return logistic_slope(*_acon_argument(x, p1, p2, beta), factor=near * near)


@activation(
    family="parametric",
    formula=r"(p_1 - p_2) x \, \sigma(\beta (p_1 - p_2) x) + p_2 x",
    reference=lambda m, x, p1=1, p2=0, beta=1: (
        (p1 - p2) * x / (1 + m.exp(-beta * (p1 - p2) * x)) + p2 * x
    ),
    parameters=(
        Parameter(
            name="p1", default=1.0, initial=1.0, description="the slope p1 far right"
        ),
        Parameter(
            name="p2", default=0.0, initial=0.0, description="the slope p2 far left"
        ),
        Parameter(
            name="beta", default=1.0, initial=1.0, description="the steepness β > 0"
        ),
    ),
    cases=({}, {"p1": 1.25, "p2": 0.25}),
    slope=_acon_slope,
    curvature=_acon_curvature,
    parameter_slopes={"p1": _acon_p1, "p2": _acon_p2, "beta": _acon_beta},
    limits=lambda p1=1.0, p2=0.0, **_: Limits(
        minus_infinity=(-p2 * _INF if p2 else -0.0, p2 if p2 else -0.0, -0.0),
        plus_infinity=(p1 * _INF, p1, -0.0),
    ),
    paper="Ma et al., Activate or Not, CVPR 2021",
)
def acon_c(
    x: ArrayLike, p1: ArrayLike = 1.0, p2: ArrayLike = 0.0, beta: ArrayLike = 1.0
) -> Array:
    """ACON-C: a smooth maximum of p1 x and p2 x; with the defaults silu.

    Where p2 is not 0 the slope may have zeros that move with the parameters, and
    loses digits beside them.

    Example:
      >>> jaxacts.acon_c(jnp.array([-1.0, 2.0]), 1.25, 0.25)
      Array([-0.5189,  2.2616], dtype=float32)
    """
    return _acon_value(x, p1, p2, beta)


# --- smu: αx + (1 - α) x Φ(√2 w), w = μ (1 - α) x ------------------------------------


class _Maximum(NamedTuple):
    """The parts of smu: 1 - α = d + d_low, μ (1 - α) = rate + rate_low and
    μ (1 - α) x = w + w_low + w_rest.

    f/x and f' are ``base`` + m times a function G of -|√2 w|, m = ±(1 - α) = m + m_low.
    """

    d: Array
    d_low: Array
    rate: Array
    rate_low: Array
    w: Array
    w_low: Array
    w_rest: Array
    below: Array
    base: Array
    m: Array
    m_low: Array
    tail: Tail


_TWO_OVER_ROOT_PI = "1.12837916709551257389615890312154517"


def _far(p: _Maximum) -> Array:
    """Whether e^(-w²) is lost against everything."""
    return jnp.abs(p.w) > (10.6 if p.w.dtype == jnp.float32 else 27.5)


def _finite(x: Array) -> Array:
    """x, cut to the largest floats."""
    largest = float(jnp.finfo(x.dtype).max)
    return num.clamp(x, -largest, largest)


def _maximum(x: Array, alpha: Array, mu: Array) -> _Maximum:
    one = num.opaque(1.0, alpha)
    d = one - alpha
    d_low = num.sum_low(one, -alpha, d)
    rate, rate_low = pairs.exact_product(mu, d)
    rate_low = rate_low + mu * d_low
    x = _finite(x)
    w, w_low = _argument(x, rate)
    w_rest = jnp.where(jnp.abs(w) < 100.0, x, 0.0) * rate_low
    high, low = num.product_with_constant(ROOT_TWO, w, w_low + w_rest)
    y = high + low
    v = tail(y, low - (y - high))
    below = y < 0
    return _Maximum(
        *(d, d_low, rate, rate_low, w, w_low, w_rest, below),
        jnp.where(below, alpha, 1.0),
        jnp.where(below, d, -d),
        jnp.where(below, d_low, -d_low),
        v,
    )


def _times(factor: tuple[Array, Array], m: Array, m_low: Array | float, v: Tail):
    """A function of the tail, times a factor that comes before underflow."""
    high, low = factor
    return num.finish(high * m, low * m + high * m_low, v.t, v.s1, v.s2)


def _smu_value(x: Array, alpha: Array, mu: Array) -> Array:
    p = _maximum(x, alpha, mu)
    # Where α = 0, all there is on the left is x Φ, which may be normal where Φ is not.
    bare = p.base == 0
    whole = jnp.where(_far(p), num.clamp(x, -1.0, 1.0), x)
    m, m_low = jnp.where(bare, whole, p.m), jnp.where(bare, 0.0, p.m_low)
    more = _times(lower_tail(p.tail), m, m_low, p.tail)
    gate = p.base + more
    low = num.sum_low(p.base, more, gate)
    # Outside, halves of a product underflow or overflow.
    usual = (jnp.abs(x) > 1e-30) & (jnp.abs(x) < 1e30)
    high, rest = num.product(jnp.where(usual, x, 1.0), gate, 0.0, low)
    y = jnp.where(usual, high + rest, x * gate)
    return jnp.where(bare, more, y)


def _smu_slope(x: Array, alpha: Array, mu: Array) -> Array:
    p = _maximum(x, alpha, mu)
    more = _times(lower_slope(p.tail), p.m, p.m_low, p.tail)
    return jnp.where(p.base == 0, more, p.base + more)


def _smu_curvature(x: Array, alpha: Array, mu: Array) -> Array:
    """(2/√π) μ (1 - α)² (1 - w²) e^(-w²), with 1 - |w| as exact as x and μ are."""
    p = _maximum(x, alpha, mu)
    one = num.opaque(1.0, x)
    size = num.magnitude(p.w)
    first = one - size
    first_low = num.sum_low(one, -size, first)
    sign = jnp.where(p.w < 0, 1.0, -1.0)
    near, near_low = pairs.two_sum(first, sign * p.w_low)
    near, rest = pairs.two_sum(near, sign * p.w_rest)
    low = rest + (near_low + first_low)
    factor = num.product(p.d, p.rate, p.d_low, p.rate_low)
    total = one + size
    other = num.product_with_constant(
        _TWO_OVER_ROOT_PI, total, num.sum_low(one, size, total)
    )
    other = num.product(other[0], factor[0], other[1], factor[1])
    high, low = num.product(near, other[0], low, other[1])
    v = p.tail
    return num.finish(high, low, v.t, v.s1, v.s2)


def _smu_alpha(x: Array, alpha: Array, mu: Array) -> Array:
    """x times the slope of x Φ(x) at -√2 w."""
    p = _maximum(x, alpha, mu)
    m = jnp.where(_far(p), num.clamp(x, -1.0, 1.0), _finite(x))
    m = jnp.where(p.below, 1.0, m)
    slope = _times(lower_slope(p.tail), m, 0.0, p.tail)
    y = jnp.where(p.w == 0, 0.5 * x, slope)
    return jnp.where(p.below, x * (1.0 - slope), y)


def _smu_mu(x: Array, alpha: Array, mu: Array) -> Array:
    """((1 - α) x)² e^(-w²)/√π."""
    p = _maximum(x, alpha, mu)
    v = p.tail
    width = p.d * _finite(x)
    y = num.scale((width * width) / math.sqrt(math.pi) * (1.0 + v.t), v.s1, v.s2)
    return jnp.where(_far(p), 0.0, y)


def _smu_reference(m, x, alpha=0.25, mu=1e6):
    return ((1 + alpha) * x + (1 - alpha) * x * m.erf(mu * (1 - alpha) * x)) / 2


def _smu_limits(alpha=0.25, mu=1e6):
    if mu * (1 - alpha) == 0:
        mean = (1 + alpha) / 2
        return Limits(
            minus_infinity=(-mean * _INF, mean, 0.0),
            plus_infinity=(mean * _INF, mean, 0.0),
        )
    bend = -0.0 if mu > 0 else 0.0
    left = (-alpha * _INF, alpha, bend) if alpha else (-0.0, -0.0, bend)
    return Limits(minus_infinity=left, plus_infinity=(_INF, 1.0, bend))


@activation(
    family="parametric",
    formula=r"\tfrac12 \left((1 + \alpha) x + (1 - \alpha) x \, "
    r"\operatorname{erf}(\mu (1 - \alpha) x)\right)",
    reference=_smu_reference,
    parameters=(
        Parameter(
            name="alpha",
            default=0.25,
            initial=0.25,
            description="the slope α far left, 0 <= α <= 1",
        ),
        Parameter(
            name="mu", default=1e6, initial=1e6, description="the sharpness μ >= 0"
        ),
    ),
    cases=({}, {"alpha": 0.25, "mu": 1.0}, {"alpha": 0.3, "mu": 2.5}),
    slope=_smu_slope,
    curvature=_smu_curvature,
    parameter_slopes={"alpha": _smu_alpha, "mu": _smu_mu},
    limits=_smu_limits,
    # The slope of f'' beside 0 is the difference of two that are alike, times μ².
    max_ulp={"float32": (2.0, 2.0, 4.0, 1.0)},
    paper="arXiv:2111.04682",
)
def smu(x: ArrayLike, alpha: ArrayLike = 0.25, mu: ArrayLike = 1e6) -> Array:
    """Smooth maximum unit: a smooth maximum of x and αx.

    With the defaults, from which the paper trains μ, it is leaky_relu with slope 1/4
    but for |x| < 4e-6. α = 1 is the identity, μ = 0 the line (1 + α)x/2. For α < 0.115
    the slope has zeros that move with the parameters, and loses digits beside them.

    Example:
      >>> jaxacts.smu(jnp.array([-1.0, 2.0]), mu=1.0)
      Array([-0.3583,  1.9746], dtype=float32)
    """
    return _smu_value(x, alpha, mu)
