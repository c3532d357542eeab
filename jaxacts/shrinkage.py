"""Shrinkage, which takes small values to zero, and the cap, which bounds large ones."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxacts import _coefficients_remainders as remainders
from jaxacts import _numerics as num
from jaxacts._elementwise import activation
from jaxacts._logistic import logistic_curvature, logistic_slope
from jaxacts._numerics import Array, zero
from jaxacts._spec import Kink, Limits, Parameter

_INF = float("inf")

_LAMBDA = Parameter(
    name="lambda_", default=0.5, description="the half-width λ >= 0 of the dead zone"
)


def _dead(x: Array, lambda_: Array) -> Array:
    """0 with the sign of x; NaN where either is."""
    return num.clamp(x, -1.0, 1.0) * zero(lambda_)


def _shrunk_slope(x: Array, lambda_: Array) -> Array:
    return jnp.where(jnp.abs(x) > lambda_, 1.0, zero(x) + zero(lambda_))


def _shrunk_kinks(lambda_: float = 0.5) -> tuple[Kink, ...]:
    return (
        Kink(at=-lambda_, slope=0.0, curvature=0.0),
        Kink(at=lambda_, slope=0.0, curvature=0.0),
    )


def _shrunk_limits(**_: float) -> Limits:
    return Limits(minus_infinity=(-_INF, 1.0, 0.0), plus_infinity=(_INF, 1.0, 0.0))


@activation(
    family="shrinkage",
    formula=r"\operatorname{sign}(x) \max(|x| - \lambda, 0)",
    reference=lambda m, x, lambda_=0.5: m.piecewise(
        x,
        [(-lambda_, "right"), (lambda_, "left")],
        [lambda: x + lambda_, lambda: 0 * x, lambda: x - lambda_],
    ),
    parameters=(_LAMBDA,),
    cases=({}, {"lambda_": 1.25}),
    slope=_shrunk_slope,
    curvature=lambda x, lambda_: zero(x) + zero(lambda_),
    kinks=_shrunk_kinks,
    limits=_shrunk_limits,
    monotonic=True,
    symmetry="odd",
    paper="Donoho, 1995",
)
def soft_shrink(x: ArrayLike, lambda_: ArrayLike = 0.5) -> Array:
    """Soft shrinkage: nearer to zero by λ, and 0 within λ of it.

    Default and slope at ±λ are those of ``torch.nn.Softshrink``.

    Example:
      >>> jaxacts.soft_shrink(jnp.array([-2.0, 0.25, 2.0]))
      Array([-1.5,  0. ,  1.5], dtype=float32)
    """
    outside = jnp.where(x > 0, x - lambda_, x + lambda_)
    return jnp.where(jnp.abs(x) > lambda_, outside, _dead(x, lambda_))


@activation(
    family="shrinkage",
    formula=r"x \text{ for } |x| > \lambda, \quad 0 \text{ for } |x| \le \lambda",
    reference=lambda m, x, lambda_=0.5: m.piecewise(
        x,
        [(-lambda_, "right"), (lambda_, "left")],
        [lambda: x, lambda: 0 * x, lambda: x],
    ),
    parameters=(_LAMBDA,),
    cases=({}, {"lambda_": 1.25}),
    slope=_shrunk_slope,
    curvature=lambda x, lambda_: zero(x) + zero(lambda_),
    kinks=_shrunk_kinks,
    limits=_shrunk_limits,
    monotonic=True,
    symmetry="odd",
    paper="Donoho and Johnstone, 1994",
)
def hard_shrink(x: ArrayLike, lambda_: ArrayLike = 0.5) -> Array:
    """Hard shrinkage: 0 within λ of zero, and x itself beyond.

    Default, value and slope at ±λ are those of ``torch.nn.Hardshrink``. The
    derivative in λ is 0: λ moves nothing but the jump.

    Example:
      >>> jaxacts.hard_shrink(jnp.array([-2.0, 0.25, 2.0]))
      Array([-2.,  0.,  2.], dtype=float32)
    """
    return jnp.where(jnp.abs(x) > lambda_, x, _dead(x, lambda_))


# --- x - tanh x -----------------------------------------------------------------


def _coefficients(name: str, x: Array) -> tuple[float, ...]:
    return getattr(remainders, name)[str(x.dtype)]


def _square_times(name: str, z: Array) -> tuple[Array, Array]:
    """w p(w) of a committed polynomial at w = z² as (high, low).

    Its first coefficient is of the size of p, and its rounding would show.
    """
    high, low = num.product(z, z)
    w = high + low
    w_low = low - (w - high)
    first, *rest = _coefficients(name, w)
    first_high, first_low = num.constant(repr(first), w.dtype)
    # Not a constant, or its sum with the rest and the error of that would fold.
    start = first_high + zero(w)
    step = w * num.horner(w, tuple(rest))
    p = start + step
    p_low = num.sum_low(start, step, p)
    high, low = num.product(w, p)
    return high, low + (w_low * p + (w * p_low + w * first_low))


def _tanh_shrink_slope(x: Array) -> Array:
    """tanh², from the series below 1 and from 1 - sech² above."""
    z = num.magnitude(x)
    high, low = _square_times("TANH_SQUARE", num.clamp(z, None, 1.0))
    # The halves of a square underflow where the square does not.
    close = jnp.where(z < 1e-10, z * z, high + low)
    return jnp.where(z < 1.0, close, 1.0 - logistic_slope(2.0 * z, factor=4.0))


def _tanh_shrink_curvature(x: Array) -> Array:
    near = num.clamp(x, -0.5, 0.5)
    w = near * near
    close = near * num.horner(w, _coefficients("TANH_CURVATURE", w))
    far = -logistic_curvature(2.0 * x, factor=8.0)
    return jnp.where(num.magnitude(x) < 0.5, 2.0 * close, far)


@activation(
    family="shrinkage",
    formula=r"x - \tanh(x)",
    reference=lambda m, x: x - m.tanh(x),
    slope=_tanh_shrink_slope,
    curvature=_tanh_shrink_curvature,
    limits=lambda: Limits(
        minus_infinity=(-_INF, 1.0, -0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    monotonic=True,
    symmetry="odd",
    # Float32's result may round to a tie of float8.
    max_ulp={"float8_e5m2": (0.501,)},
    paper="torch.nn.Tanhshrink",
)
def tanh_shrink(x: ArrayLike) -> Array:
    """The argument less its hyperbolic tangent: x³/3 near 0.

    Example:
      >>> jaxacts.tanh_shrink(jnp.array([-2.0, 0.5]))
      Array([-1.036 ,  0.0379], dtype=float32)
      >>> f"{jaxacts.tanh_shrink(1e-9):.5g}"
      '3.3333e-28'
    """
    z = num.magnitude(x)
    near = num.clamp(z, None, 1.0)
    high, low = _square_times("TANH_REMAINDER", near)
    close = near * (high + low)
    # 1 - tanh(z) = 2 e/(1 + e), e = e^-2z, is not small beside z - 1 at 1.
    parts = num.logistic_parts(-2.0 * z)
    double = 2.0 * parts.q
    rest = double + double * (parts.t + parts.delta * (1.0 + parts.t))
    far = (z - 1.0) + num.scale(rest, parts.s1, parts.s2)
    y = jnp.where(z < 1.0, close, far)
    return jnp.where(x < 0, -y, y)


# --- soft cap -------------------------------------------------------------------


def _over_cap(x: Array, cap: Array) -> tuple[Array, Array]:
    """(v, v_low) with v + v_low = x/cap, cut to where tanh is ±1 to all digits."""
    largest = 120.0 if x.dtype == jnp.float32 else 800.0
    inverse = 1.0 / cap
    v = num.clamp(x * inverse, -largest, largest)
    high, low = num.product(v, jnp.broadcast_to(cap, v.shape))
    rest = ((num.clamp(x, -1e30, 1e30) - high) - low) * inverse
    # The halves of a product underflow where the product does not.
    sure = (jnp.abs(v) < largest) & (jnp.abs(x) > 1e-25)
    return v, jnp.where(sure, rest, 0.0)


def _softcap_slope(x: Array, cap: Array) -> Array:
    v, v_low = _over_cap(x, cap)
    return logistic_slope(2.0 * v, 2.0 * v_low, 4.0)


def _softcap_curvature(x: Array, cap: Array) -> Array:
    v, v_low = _over_cap(x, cap)
    inverse = 1.0 / cap
    near = num.clamp(v, -0.5, 0.5)
    w = near * near
    p = -2.0 * num.horner(w, _coefficients("TANH_CURVATURE", w))
    close = inverse * (near * p + v_low * p)
    high, low = num.product(inverse, cap)
    delta = (1.0 - high) - low
    far = logistic_curvature(2.0 * v, 8.0 * inverse, 2.0 * v_low, delta)
    return jnp.where(num.magnitude(v) < 0.5, close, far)


def _softcap_cap_slope(x: Array, cap: Array) -> Array:
    """tanh(v) - v sech²(v), as an odd power series in v near 0."""
    v, _ = _over_cap(x, cap)
    z = num.magnitude(v)
    near = num.clamp(z, None, 1.0)
    w = near * near
    # v (1 - sech²(v)) - (v - tanh(v))
    close = (near * w) * (
        num.horner(w, _coefficients("TANH_SQUARE", w))
        - num.horner(w, _coefficients("TANH_REMAINDER", w))
    )
    parts = num.logistic_parts(-2.0 * z)
    eq = parts.e * parts.q
    far = 1.0 - eq * (2.0 + 4.0 * (z * parts.q))
    y = jnp.where(z < 1.0, close, far)
    return jnp.where(v < 0, -y, y)


@activation(
    family="shrinkage",
    formula=r"c \tanh(x / c)",
    reference=lambda m, x, cap: cap * m.tanh(x / cap),
    parameters=(
        Parameter(
            name="cap",
            default=None,
            description="the bound c > 0; Gemma 2 has 30 for its final logits and 50 "
            "in attention",
        ),
    ),
    cases=({"cap": 30.0}, {"cap": 0.7}),
    slope=_softcap_slope,
    curvature=_softcap_curvature,
    parameter_slopes={"cap": _softcap_cap_slope},
    limits=lambda cap: Limits(
        minus_infinity=(-cap, 0.0, 0.0), plus_infinity=(cap, 0.0, -0.0)
    ),
    value_range=lambda cap: (-cap, cap),
    monotonic=True,
    symmetry="odd",
    # Float32's result may round to a tie of float8.
    max_ulp={"float8_e5m2": (0.501,)},
    paper="Gemma 2, arXiv:2408.00118",
)
def softcap(x: ArrayLike, cap: ArrayLike) -> Array:
    """Soft cap: x near 0, and never beyond ±c.

    Example:
      >>> jaxacts.softcap(jnp.array([-1.0, 30.0, 1000.0]), 30.0)
      Array([-0.9996, 22.8478, 30.    ], dtype=float32)
    """
    v, v_low = _over_cap(x, cap)
    z, z_low = num.magnitude(v), jnp.where(v < 0, -v_low, v_low)
    parts = num.logistic_parts(-2.0 * z, -2.0 * z_low)
    far = cap - cap * (2.0 * (parts.e * parts.q))
    far = jnp.where(v < 0, -far, far)
    near = num.clamp(z, None, 1.0)
    w = near * near + 2.0 * near * z_low
    kept = num.clamp(x, -1e30, 1e30)
    close = kept - kept * (w * num.horner(w, _coefficients("TANH_REMAINDER", w)))
    close = jnp.where(z < 1e-12, x, close)  # keeps the sign of a zero
    return jnp.where(z < 1.0, close, far)
