"""Smooth rectifiers built on the logistic function and on softplus."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._logistic import (
    logistic,
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
    slope=logistic,
    curvature=logistic_slope,
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
    return num.clamp(x, 0.0) + num.log1p_exp(-num.magnitude(x))


@activation(
    family="smooth_rectifiers",
    formula=r"\log \sigma(x) = -\log(1 + e^{-x})",
    reference=lambda m, x: -m.log(1 + m.exp(-x)),
    slope=lambda x: logistic(-x),
    curvature=lambda x: -logistic_slope(x),
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
    return num.clamp(x, None, 0.0) - num.log1p_exp(-num.magnitude(x))


@activation(
    family="smooth_rectifiers",
    formula=r"x \, \sigma(x)",
    reference=lambda m, x: x / (1 + m.exp(-x)),
    slope=lambda x: swish_slope(x, jnp.zeros_like(x)),
    curvature=lambda x: swish_curvature(x, jnp.zeros_like(x)),
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
    return swish_value(x, x, jnp.zeros_like(x))


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
    return swish_curvature(*_quick_argument(x), float(_QUICK))


@activation(
    family="smooth_rectifiers",
    formula=r"x \, \sigma(1.702 x)",
    reference=lambda m, x: x / (1 + m.exp(-m.const(_QUICK) * x)),
    slope=lambda x: swish_slope(*_quick_argument(x)),
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


# --- Mish, in u = e^x: tanh(softplus(x)) = u(u + 2)/D = 1 - 2/D,
# D = u² + 2u + 2 ---------------------------------------------------------------

# To the right of this u >= 0.42, and 1 - 2/D does not cancel.
_MISH_SEAM = -0.87


def _mish_parts(x: Array):
    """(t, s1, s2, u, q): e^x = (1 + t) s1 s2 = u up to x = 20, and q = 1/D."""
    t, s1, s2 = num.exp_parts(num.clamp(x, -170.0, 20.0), jnp.zeros_like(x))
    u = num.scale(1.0 + t, s1, s2)
    return t, s1, s2, u, num.reciprocal(2.0 + u * (u + 2.0))


def _mish_slope(x: Array) -> Array:
    t, s1, s2, u, q = _mish_parts(x)
    near = num.clamp(x, -170.0, 20.0)
    right = 1.0 + 2.0 * q * (2.0 * near * ((u * (u + 1.0)) * q) - 1.0)
    bracket = 4.0 * (1.0 + near) + u * ((6.0 + 4.0 * near) + u * (4.0 + u))
    left = num.near_zero(near, "MISH_SLOPE", bracket, 0.6) * (q * q)
    left = num.scale(left + left * t, s1, s2)
    return jnp.where(x > -0.5, right, left)


def _mish_curvature(x: Array) -> Array:
    z = num.magnitude(x)
    t, s1, s2 = num.exp_parts(-z, jnp.zeros_like(z))
    e = num.scale(1.0 + t, s1, s2)
    near = num.clamp(x, -1e3, 1e3)
    left = 4.0 + e * (8.0 + e * (6.0 + 2.0 * e))
    left = left + near * (2.0 + e * (2.0 - e * (3.0 + 2.0 * e)))
    left = num.near_zero(near, "MISH_CURVATURE_NEGATIVE", left, 0.8)
    right = 2.0 + e * (6.0 + e * (8.0 + 4.0 * e))
    right = right - near * (2.0 + e * (3.0 - e * (2.0 + 2.0 * e)))
    right = num.near_zero(near, "MISH_CURVATURE_POSITIVE", right, 0.8)
    below = x < 0
    # D for x < 0; D e² for x > 0, where one more factor e stands outside.
    q = num.reciprocal(jnp.where(below, 2.0 + e * (2.0 + e), 1.0 + e * (2.0 + 2.0 * e)))
    w = jnp.where(below, left, right + right * t) * (4.0 * q * q * q)
    w = num.scale(w + w * t, s1, s2)
    return num.scale(w, jnp.where(below, 1.0, s1), jnp.where(below, 1.0, s2))


@activation(
    family="smooth_rectifiers",
    formula=r"x \tanh(\log(1 + e^x))",
    reference=lambda m, x: x * m.tanh(m.log(1 + m.exp(x))),
    slope=_mish_slope,
    curvature=_mish_curvature,
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
    t, s1, s2, u, q = _mish_parts(x)
    right = jnp.where(jnp.abs(x) < 1e-30, x * (1.0 - 2.0 * q), x - x * (2.0 * q))
    near = num.clamp(x, -1e3, 20.0)
    # u (1 - c) = u(u + 2)/D, with c small on the left.
    c = (u * (u + 1.0)) * q
    left = num.scale(near + near * (t - (c + c * t)), s1, s2)
    right = jnp.where(x > 20.0, x, right)
    return jnp.where(x > _MISH_SEAM, right, left)


# --- squareplus ---------------------------------------------------------------


# Beyond, b <= 1e6 is lost in x² + b, and further on x² overflows.
_SQUAREPLUS_FAR = 1e12


def _hypotenuse(x: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    """(x, |x|, x² + b, its root), with x cut to where b still counts."""
    x = num.clamp(x, -_SQUAREPLUS_FAR, _SQUAREPLUS_FAR)
    square = x * x + b
    return x, num.magnitude(x), square, jnp.sqrt(square)


def _squareplus_slope(x: Array, b: Array) -> Array:
    near, z, square, root = _hypotenuse(x, b)
    ratio = near / root
    # (h - z)/(2h) = b/(2(h² + hz)) where 1/2 + x/(2h) would cancel.
    tail = (0.5 * b) / (square + root * z)
    close = jnp.where(ratio > -0.4, 0.5 + 0.5 * ratio, tail)
    return jnp.where(x < -_SQUAREPLUS_FAR, (0.25 * b / x) / x, close)


def _squareplus_curvature(x: Array, b: Array) -> Array:
    _, _, square, root = _hypotenuse(x, b)
    # Cut for the sake of reverse mode, which multiplies the zero that flows into
    # the branch not taken by its slope.
    away = num.clamp(jnp.abs(x), _SQUAREPLUS_FAR)
    far = ((0.5 * b / away) / away) / away
    return jnp.where(jnp.abs(x) > _SQUAREPLUS_FAR, far, (0.5 * b) / (square * root))


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
    slope=_squareplus_slope,
    curvature=_squareplus_curvature,
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
    _, z, _, root = _hypotenuse(x, b)
    close = jnp.where(x < 0, (0.5 * b) / (root + z), 0.5 * (z + root))
    far = jnp.where(x < 0, -(0.25 * b) / x, x)
    return jnp.where(jnp.abs(x) > _SQUAREPLUS_FAR, far, close)


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
