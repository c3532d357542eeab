"""Smooth rectifiers built on the logistic function and on softplus."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _mish, _sigmoidal, _squareplus
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._logistic import (
    logistic_slope,
    swish_curvature,
    swish_slope,
    swish_value,
)
from jaxacts._numerics import Array
from jaxacts._spec import Limits, Parameter

_INF = float("inf")


@activation(
    family="smooth_rectifiers",
    formula=r"\log(1 + e^x)",
    reference=lambda m, x: m.log(1 + m.exp(x)),
    slope=_sigmoidal.sigmoid,
    curvature=_sigmoidal.sigmoid_slope,
    limits=lambda: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda: (0.0, _INF),
    monotonic=True,
    paper="Dugas et al., NIPS 2000",
)
def softplus(x: ArrayLike) -> Array:
    """Softplus, the integral of the logistic function.

    As in JAX there is no ``beta`` and no ``threshold``: PyTorch's default
    threshold of 20 returns x itself above.

    Example:
      >>> jaxacts.softplus(jnp.array([-1.0, 0.0, 100.0]))
      Array([  0.3133,   0.6931, 100.    ], dtype=float32)
      >>> f"{jaxacts.softplus(-80.0):.5g}"
      '1.8049e-35'
    """
    return _sigmoidal.softplus(x)


@activation(
    family="smooth_rectifiers",
    formula=r"\log \sigma(x) = -\log(1 + e^{-x})",
    reference=lambda m, x: -m.log(1 + m.exp(-x)),
    slope=lambda x: _sigmoidal.sigmoid(-x),
    curvature=lambda x: -_sigmoidal.sigmoid_slope(x),
    limits=lambda: Limits(
        minus_infinity=(-_INF, 1.0, -0.0), plus_infinity=(-0.0, 0.0, -0.0)
    ),
    value_range=lambda: (-_INF, 0.0),
    monotonic=True,
    paper="the logarithm of the logistic function",
)
def log_sigmoid(x: ArrayLike) -> Array:
    """Logarithm of the logistic function: -softplus(-x).

    Example:
      >>> jaxacts.log_sigmoid(jnp.array([-100.0, 0.0]))
      Array([-100.    ,   -0.6931], dtype=float32)
    """
    return -_sigmoidal.softplus(-x)


@activation(
    precise=("float16",),
    family="smooth_rectifiers",
    formula=r"x \, \sigma(x)",
    reference=lambda m, x: x / (1 + m.exp(-x)),
    slope=_sigmoidal.silu_slope,
    curvature=_sigmoidal.silu_curvature,
    limits=lambda: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda: (-0.27846455, _INF),
    paper="arXiv:1702.03118",
)
def silu(x: ArrayLike) -> Array:
    """Sigmoid-weighted linear unit, also called swish.

    Example:
      >>> jaxacts.silu(jnp.array([-1.0, 2.0]))
      Array([-0.2689,  1.7616], dtype=float32)
      >>> f"{jaxacts.silu(-80.0):.5g}"
      '-1.4439e-33'
    """
    return _sigmoidal.silu(x)


def _swish_argument(x: Array, beta: Array) -> tuple[Array, Array]:
    """(a, a_low) with a + a_low = βx where that is within the range of exp."""
    x, beta = jnp.broadcast_arrays(x, beta)
    largest = 120.0 if x.dtype == jnp.float32 else 800.0
    rough = x * beta
    outside = jnp.abs(rough) > largest
    high, low = num.product(jnp.where(outside, 1.0, x), jnp.where(outside, 1.0, beta))
    high = jnp.where(outside, num.clamp(rough, -largest, largest), high)
    return high + num.zero(rough), jnp.where(outside, 0.0, low)


def _swish_parameter(x: Array, beta: Array) -> Array:
    """x² σ'(βx)."""
    a, a_low = _swish_argument(x, beta)
    near = num.clamp(x, -1e4, 1e4)
    return logistic_slope(a, a_low, factor=near * near)


@activation(
    precise=("float16",),
    family="smooth_rectifiers",
    formula=r"x \, \sigma(\beta x)",
    reference=lambda m, x, beta=1: x / (1 + m.exp(-beta * x)),
    parameters=(
        Parameter(
            name="beta",
            default=1.0,
            initial=1.0,
            description="the steepness β; 0 gives x/2, a large one relu",
        ),
    ),
    cases=({}, {"beta": 1.5}, {"beta": -0.5}),
    slope=lambda x, beta: swish_slope(*_swish_argument(x, beta)),
    curvature=lambda x, beta: swish_curvature(*_swish_argument(x, beta), beta),
    parameter_slopes={"beta": _swish_parameter},
    limits=lambda beta=1.0: Limits(
        minus_infinity=(-0.0, -0.0, -0.0) if beta > 0 else (-_INF, 1.0, 0.0),
        plus_infinity=(_INF, 1.0, -0.0) if beta > 0 else (0.0, -0.0, 0.0),
    ),
    paper="arXiv:1710.05941",
)
def swish(x: ArrayLike, beta: ArrayLike = 1.0) -> Array:
    """Swish: silu with a steepness that can be learned.

    ``swish(x)`` is `silu`, as in JAX. ``jaxacts.linen.Swish`` learns β.

    Example:
      >>> jaxacts.swish(jnp.array([-1.0, 2.0]), 1.5)
      Array([-0.1824,  1.9051], dtype=float32)
    """
    return swish_value(x, *_swish_argument(x, beta))


# --- quick GELU ---------------------------------------------------------------

_QUICK = "1.702"


def _quick_argument(x: Array) -> tuple[Array, Array]:
    return num.product_with_constant(_QUICK, num.clamp(x, -1e3, 1e3))


def _quick_curvature(x: Array) -> Array:
    z = num.magnitude(num.clamp(x, -1e3, 1e3))
    at = num.scaled_distance(_QUICK, z, "SILU_CURVATURE")
    return swish_curvature(*_quick_argument(x), float(_QUICK), at)


def _quick_slope(x: Array) -> Array:
    at = num.scaled_distance(_QUICK, num.clamp(x, -1e3, 1e3), "SILU_SLOPE")
    return swish_slope(*_quick_argument(x), at=at)


@activation(
    family="smooth_rectifiers",
    formula=r"x \, \sigma(1.702 x)",
    reference=lambda m, x: x / (1 + m.exp(-m.const(_QUICK) * x)),
    slope=_quick_slope,
    curvature=_quick_curvature,
    limits=lambda: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda: (-0.16361, _INF),
    paper="arXiv:1606.08415, section 2",
)
def quick_gelu(x: ArrayLike) -> Array:
    """The sigmoid approximation of GELU that CLIP uses.

    Example:
      >>> jaxacts.quick_gelu(jnp.array([-1.0, 2.0]))
      Array([-0.1542,  1.9357], dtype=float32)
    """
    return swish_value(x, *_quick_argument(x))


# --- Mish -----------------------------------------------------------------------


@activation(
    family="smooth_rectifiers",
    formula=r"x \tanh(\log(1 + e^x))",
    reference=lambda m, x: x * m.tanh(m.log(1 + m.exp(x))),
    slope=_mish.slope,
    curvature=_mish.curvature,
    limits=lambda: Limits(
        minus_infinity=(-0.0, -0.0, -0.0), plus_infinity=(_INF, 1.0, -0.0)
    ),
    value_range=lambda: (-0.30884, _INF),
    paper="arXiv:1908.08681",
)
def mish(x: ArrayLike) -> Array:
    """Mish: x times the hyperbolic tangent of softplus.

    Example:
      >>> jaxacts.mish(jnp.array([-1.0, 2.0]))
      Array([-0.3034,  1.944 ], dtype=float32)
      >>> f"{jaxacts.mish(-80.0):.5g}"
      '-1.4439e-33'
    """
    return _mish.value(x)


# --- squareplus ---------------------------------------------------------------


@activation(
    family="smooth_rectifiers",
    formula=r"\frac{x + \sqrt{x^2 + b}}{2}",
    reference=lambda m, x, b=4: (x + m.sqrt(x * x + b)) / 2,
    parameters=(
        Parameter(
            name="b",
            default=4.0,
            description="the roundness b, 0 < b < 1e6; 4 gives 1 at 0",
        ),
    ),
    cases=({}, {"b": 0.25}),
    slope=_squareplus.slope,
    curvature=_squareplus.curvature,
    parameter_slopes={"b": _squareplus.b_slope},
    limits=lambda **_: Limits(
        minus_infinity=(0.0, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda **_: (0.0, _INF),
    monotonic=True,
    paper="arXiv:2112.11687",
)
def squareplus(x: ArrayLike, b: ArrayLike = 4.0) -> Array:
    """Squareplus: an algebraic softplus, without exponentials.

    Example:
      >>> jaxacts.squareplus(jnp.array([-3.0, 0.0, 2.0]))
      Array([0.3028, 1.    , 2.4142], dtype=float32)
    """
    return _squareplus.value(x, b)


# --- log(1 - e^-x) --------------------------------------------------------------


@jax.custom_jvp
def _nan_below_zero(x: Array) -> Array:
    """NaN for x < 0 and for NaN, else 0; so are its derivatives.

    Not x * nan: reverse mode would multiply the zero that flows into the branch
    not taken by nan.
    """
    return jnp.where(x >= 0, 0.0, jnp.nan).astype(x.dtype)


@_nan_below_zero.defjvp
def _nan_below_zero_jvp(primals, tangents):
    y = _nan_below_zero(*primals)
    return y, y * tangents[0]


# The Bernoulli numbers B2, B4, ... by index. log(1 - e^-x) is log(x) - x/2 plus a
# series of these, as are its derivatives; the rest is below 1e-18 for x < 1.
_BERNOULLI = dict(
    zip(
        range(2, 24, 2),
        (
            *(1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6),
            *(-3617 / 510, 43867 / 798, -174611 / 330, 854513 / 138),
        ),
        strict=True,
    )
)
_LOG_SINH, _INVERSE_EXPM1, _INVERSE_SINH = (
    tuple(b * factor(k) / math.factorial(k) for k, b in _BERNOULLI.items())
    for factor in (lambda k: 1 / k, lambda k: 1, lambda k: 1 - k)
)
_LOG1MEXP_SEAM = 0.7


def _log1mexp_series(x: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    """(z, z² (c0 + c1 z² + ...)), z being x cut to the range of the series."""
    z = num.clamp(x, 0.0, 1.0)
    square = z * z
    count = 5 if x.dtype == jnp.float32 else len(coefficients)
    return z, square * num.horner(square, coefficients[:count])


def _log1mexp_parts(x: Array) -> num.Logistic:
    """e^-x and 1/(1 - e^-x), for x >= 1/2."""
    return num.complement_parts(-num.clamp(x, 0.5))


def _log1mexp_joined(x: Array, near: Array, far: Array) -> Array:
    joined = jnp.where(x < _LOG1MEXP_SEAM, near, far)
    return jnp.where(x >= 0, joined, _nan_below_zero(x))


def _log1mexp_slope(x: Array) -> Array:
    """e/(1 - e), e = e^-x."""
    z, series = _log1mexp_series(x, _INVERSE_EXPM1)
    near = ((1.0 - 0.5 * z) + series) / z
    p = _log1mexp_parts(x)
    far = num.scale(p.q + p.q * (p.t + p.delta * (1.0 + p.t)), p.s1, p.s2)
    return _log1mexp_joined(x, near, far)


def _log1mexp_curvature(x: Array) -> Array:
    """-e/(1 - e)²."""
    z, series = _log1mexp_series(x, _INVERSE_SINH)
    inverse = 1.0 / z
    near = ((-1.0 - series) * inverse) * inverse
    p = _log1mexp_parts(x)
    w = p.q * p.q
    far = -num.scale(w + w * (p.t + 2.0 * p.delta * (1.0 + p.t)), p.s1, p.s2)
    return _log1mexp_joined(x, near, far)


@activation(
    family="smooth_rectifiers",
    formula=r"\log(1 - e^{-x})",
    reference=lambda m, x: m.log(1 - m.exp(-x)),
    slope=_log1mexp_slope,
    curvature=_log1mexp_curvature,
    limits=lambda: Limits(
        minus_infinity=(math.nan, math.nan, math.nan),
        plus_infinity=(-0.0, 0.0, -0.0),
    ),
    value_range=lambda: (-_INF, 0.0),
    monotonic=True,
    paper="Mächler, the Rmpfr vignette log1mexp, 2012",
)
def log1mexp(x: ArrayLike) -> Array:
    """Logarithm of 1 - e^-x, for x >= 0; -inf at 0 and NaN for x < 0.

    Example:
      >>> jaxacts.log1mexp(jnp.array([0.0, 0.5, 5.0]))
      Array([   -inf, -0.9328, -0.0068], dtype=float32)
    """
    z, series = _log1mexp_series(x, _LOG_SINH)
    near = jnp.log(z) + (series - 0.5 * z)
    # -2 atanh(e/(2 - e)) = -2 z (1 + v).
    t, s1, s2, q, delta = num.complement_parts(-num.clamp(x, 0.5), 2.0)
    z = num.scale(1.0 + t, s1, s2) * q
    v = (z * z) * num.fit("LOG1P", z * z)
    y = -2.0 * q
    far = num.scale(y + y * (t + (1.0 + t) * (delta + v)), s1, s2)
    return _log1mexp_joined(x, near, far)
