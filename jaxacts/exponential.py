"""Units that are linear for x > 0 and exponential for x < 0."""

# mypy: disable-error-code="arg-type,operator,no-untyped-def"
# Public signatures say what a caller may pass; the decorator hands arrays in.

from __future__ import annotations

import math
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxacts import _numerics as num
from jaxacts import _sigmoidal, _xielu
from jaxacts._elementwise import activation
from jaxacts._exact import is_rough
from jaxacts._numerics import Array
from jaxacts._spec import Kink, Limits, Parameter

_INF = float("inf")


def _decay(x: Array, factor: Array | float, x_low: Array | None = None) -> Array:
    """factor · e^x for x < 0."""
    below = num.clamp(x, None, 0.0)
    t, s1, s2 = num.exp_parts(below, jnp.zeros_like(x) if x_low is None else x_low)
    return num.scale(factor + factor * t, s1, s2)


# What the power of two carries, so that α e^x is normal where it can be, and from
# where on it is 0.
_FACTOR = {"float32": 2.0**100, "float64": 2.0**500}
_LEAST = {"float32": -157.3, "float64": -1055.66}


def _short_decay(x: Array, factor: Array | float, low: Array | float = 0.0) -> Array:
    """(factor + low) e^x for x < 0, in few operations."""
    scale = _FACTOR[str(x.dtype)]
    below = num.clamp(x, _LEAST[str(x.dtype)], 0.0)
    t, p = _sigmoidal.expm1_parts(_sigmoidal.exponent(below), scale)
    return ((factor + (factor * t + low)) * p) * (1.0 / scale)


def _one_minus_exp(x: Array) -> Array:
    """1 - e^x for x < 0, and 0 for both zeros."""
    below = num.clamp(x, -_sigmoidal.NEGLIGIBLE, 0.0)
    t, p = _sigmoidal.expm1_parts(_sigmoidal.exponent(below))
    # p t is exact, and 1 - p to the last place.
    return (1.0 - p) - p * t


def _elu_reference(m, x, alpha=1):
    pieces = [lambda: alpha * m.expm1(x), lambda: x]
    return m.piecewise(x, [(0, "left")], pieces)


@activation(
    family="exponential",
    formula=r"x \text{ for } x > 0, \quad \alpha (e^x - 1) \text{ for } x \le 0",
    reference=_elu_reference,
    parameters=(
        Parameter(name="alpha", default=1.0, description="-α is the limit on the left"),
    ),
    cases=({}, {"alpha": 0.5}),
    slope=lambda x, alpha: jnp.where(x > 0, 1.0, _short_decay(x, alpha)),
    curvature=lambda x, alpha: jnp.where(x > 0, 0.0, _short_decay(x, alpha)),
    kinks=lambda alpha=1.0: (Kink(at=0.0, slope=alpha, curvature=alpha),),
    limits=lambda alpha=1.0: Limits(
        minus_infinity=(-alpha, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda alpha=1.0: (-alpha, _INF),
    monotonic=True,
    paper="arXiv:1511.07289",
)
def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """Exponential linear unit.

    Example:
      >>> jaxacts.elu(jnp.array([-1.0, 2.0]))
      Array([-0.6321,  2.    ], dtype=float32)
    """
    # By the sign's bit: a compiler that takes subnormal numbers for 0 says of none
    # that it is below 0, and would pass it as it is.
    return jnp.where(num.sign_bit(x), -alpha * _one_minus_exp(x), x)


# --- CELU: the exponent is a quotient, kept with its rounding error ------------


def _over(x: Array, alpha: Array) -> tuple[Array, Array]:
    """(v, v_low) with v + v_low = min(x, 0)/α."""
    below, alpha = jnp.broadcast_arrays(num.clamp(x, -1e4, 0.0), alpha)
    inverse = 1.0 / alpha
    v = num.clamp(below * inverse, -1400.0)
    high, low = num.product(v, alpha)
    rest = ((below - high) - low) * inverse
    return v, jnp.where(v > -1400.0, rest, 0.0)


def _celu_slope(x: Array, alpha: Array) -> Array:
    v, v_low = _over(x, alpha)
    return jnp.where(x > 0, 1.0, _decay(v, jnp.ones_like(v), v_low) + num.zero(x))


def _celu_curvature(x: Array, alpha: Array) -> Array:
    v, v_low = _over(x, alpha)
    return jnp.where(x > 0, 0.0, _decay(v, 1.0 / alpha, v_low) + num.zero(x))


# (k - 1)/k!: e^v - 1 - v e^v = -v² (c0 + c1 v + ...), to 1e-17 for |v| < 1.
_CELU_ALPHA = tuple((k - 1) / math.factorial(k) for k in range(2, 20))


def _celu_alpha_slope(x: Array, alpha: Array) -> Array:
    v, v_low = _over(x, alpha)
    near = num.clamp(v, -1.0)
    series = -(near * near) * num.horner(near, _CELU_ALPHA)
    direct = num.expm1(v, v_low) - _decay(v, v, v_low)
    return jnp.where(x > 0, 0.0, jnp.where(v > -1.0, series, direct))


def _celu_reference(m, x, alpha=1):
    pieces = [lambda: alpha * m.expm1(x / alpha), lambda: x]
    return m.piecewise(x, [(0, "left")], pieces)


@activation(
    family="exponential",
    formula=r"\max(x, 0) + \alpha \left(e^{\min(x, 0)/\alpha} - 1\right)",
    reference=_celu_reference,
    parameters=(
        Parameter(
            name="alpha",
            default=1.0,
            description="-α is the limit on the left, α > 0",
        ),
    ),
    cases=({}, {"alpha": 0.3}),
    slope=_celu_slope,
    curvature=_celu_curvature,
    parameter_slopes={"alpha": _celu_alpha_slope},
    kinks=lambda alpha=1.0: (Kink(at=0.0, curvature=1.0 / alpha),),
    limits=lambda alpha=1.0: Limits(
        minus_infinity=(-alpha, 0.0, 0.0), plus_infinity=(_INF, 1.0, 0.0)
    ),
    value_range=lambda alpha=1.0: (-alpha, _INF),
    monotonic=True,
    paper="arXiv:1704.07483",
)
def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """Continuously differentiable exponential linear unit.

    Example:
      >>> jaxacts.celu(jnp.array([-1.0, 2.0]), 0.5)
      Array([-0.4323,  2.    ], dtype=float32)
    """
    v, v_low = _over(x, alpha)
    below = alpha * num.expm1(v, v_low) + num.zero(x)
    # v_low underflows near 0, where the function is x to the last digit.
    return jnp.where(x > -1e-20, x, below)


# --- SELU ---------------------------------------------------------------------

_SCALE = "1.0507009873554804934193349852946"
_ALPHA = "1.6732632423543772848170429916717"
_SCALE_ALPHA = "1.7580993408473768599402175208123"  # the product of the two


def _selu_reference(m, x):
    scale, alpha = m.const(_SCALE), m.const(_ALPHA)
    pieces = [lambda: scale * alpha * m.expm1(x), lambda: scale * x]
    return m.piecewise(x, [(0, "left")], pieces)


def _rounded_down(text: str, dtype: np.dtype) -> tuple[float, float]:
    """A constant in two parts, neither negative: with both, a zero keeps its sign."""
    high = num.constant(text, dtype)[0]
    if Fraction(high) > Fraction(text):
        high = float(np.nextafter(dtype.type(high), dtype.type(0)))
    return high, float(Fraction(text) - Fraction(high))


def _selu_value(x: Array) -> Array:
    e, negative = _one_minus_exp(x), num.sign_bit(x)
    high, low = _rounded_down(_SCALE, x.dtype)
    high_below, low_below = _rounded_down(_SCALE_ALPHA, x.dtype)
    if is_rough():
        return jnp.where(negative, e * -high_below, x * high)
    # No inf - inf.
    above = x * high + num.clamp(x, None, 1e30) * low
    return jnp.where(negative, e * -high_below + e * -low_below, above)


def _selu_decay(x: Array) -> Array:
    return _short_decay(x, *num.constant(_SCALE_ALPHA, x.dtype))


@activation(
    family="exponential",
    formula=r"\lambda x \text{ for } x > 0, \quad "
    r"\lambda \alpha (e^x - 1) \text{ for } x \le 0",
    reference=_selu_reference,
    slope=lambda x: jnp.where(x > 0, float(_SCALE), _selu_decay(x)),
    curvature=lambda x: jnp.where(x > 0, 0.0, _selu_decay(x)),
    kinks=lambda: (
        Kink(at=0.0, slope=float(_SCALE_ALPHA), curvature=float(_SCALE_ALPHA)),
    ),
    limits=lambda: Limits(
        minus_infinity=(-float(_SCALE_ALPHA), 0.0, 0.0),
        plus_infinity=(_INF, float(_SCALE), 0.0),
    ),
    value_range=lambda: (-float(_SCALE_ALPHA), _INF),
    monotonic=True,
    paper="arXiv:1706.02515",
)
def selu(x: ArrayLike) -> Array:
    """Scaled exponential linear unit, which keeps mean 0 and variance 1.

    λ = 1.0507009873554805 and α = 1.6732632423543773. The fixed point needs
    weights of variance 1/fan_in (``lecun_normal``).

    Example:
      >>> jaxacts.selu(jnp.array([-1.0, 2.0]))
      Array([-1.1113,  2.1014], dtype=float32)
    """
    return _selu_value(x)


# --- PELU -----------------------------------------------------------------------


def _pelu_parts(
    x: Array, a: Array, b: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """(v, v_low) with v + v_low = min(x, 0)/b, (c, c_low) = a/b, and 1/b."""
    inverse = 1.0 / b
    below = num.clamp(x, -1e30, 0.0)
    v = num.clamp(below * inverse, -1400.0)
    high, low = num.product(v, jnp.broadcast_to(b, v.shape))
    v_low = jnp.where(v > -1400.0, ((below - high) - low) * inverse, 0.0)
    c = a * inverse
    high, low = num.product(c, b + jnp.zeros_like(c))
    return v, v_low, c, ((a - high) - low) * inverse, inverse


def _pelu_line(x: Array, c: Array, c_low: Array) -> Array:
    line, rest = x * c, num.clamp(x, -1e30, 1e30) * c_low
    return jnp.where(rest == 0, line, line + rest)  # keeps the sign of a zero


def _pelu_slope(x: Array, a: Array, b: Array) -> Array:
    v, v_low, c, c_low, _ = _pelu_parts(x, a, b)
    t, s1, s2 = num.exp_parts(v, v_low)
    below = num.scale(c + (c * t + c_low * (1.0 + t)), s1, s2)
    return jnp.where(x >= 0, c + c_low, below + num.zero(x))


def _pelu_curvature(x: Array, a: Array, b: Array) -> Array:
    v, v_low, c, c_low, inverse = _pelu_parts(x, a, b)
    below = _decay(v, (c + c_low) * inverse, v_low)
    return jnp.where(x >= 0, 0.0, below + num.zero(x))


def _pelu_b_slope(x: Array, a: Array, b: Array) -> Array:
    """-a x/b² times 1 or e^(x/b)."""
    v, v_low, c, c_low, inverse = _pelu_parts(x, a, b)
    factor = -(c + c_low) * inverse
    below = _decay(v, factor * num.clamp(x, -1e30, 0.0), v_low)
    return jnp.where(x >= 0, factor * x, below)


def _pelu_reference(m, x, a, b):
    pieces = [lambda: a * m.expm1(x / b), lambda: a / b * x]
    return m.piecewise(x, [(0, "right")], pieces)


@activation(
    family="exponential",
    formula=r"\tfrac{a}{b} x \text{ for } x \ge 0, \quad "
    r"a \left(e^{x/b} - 1\right) \text{ for } x < 0",
    reference=_pelu_reference,
    parameters=(
        Parameter(
            name="a",
            default=1.0,
            initial=1.0,
            description="-a is the limit on the left, a > 0",
        ),
        Parameter(
            name="b",
            default=1.0,
            initial=1.0,
            description="the scale on which it is reached, b > 0",
        ),
    ),
    cases=({"a": 1.0, "b": 1.0}, {"a": 1.25, "b": 0.75}),
    slope=_pelu_slope,
    curvature=_pelu_curvature,
    parameter_slopes={"b": _pelu_b_slope},
    kinks=lambda **_: (Kink(at=0.0, curvature=0.0),),
    limits=lambda a=1.0, b=1.0: Limits(
        minus_infinity=(-a, 0.0, 0.0), plus_infinity=(_INF, a / b, 0.0)
    ),
    value_range=lambda a=1.0, b=1.0: (-a, _INF),
    monotonic=True,
    paper="Trottier, Giguère and Chaib-draa, 2016",
)
def pelu(x: ArrayLike, a: ArrayLike = 1.0, b: ArrayLike = 1.0) -> Array:
    """Parametric exponential linear unit: smooth at 0 for every a and b.

    Example:
      >>> jaxacts.pelu(jnp.array([-1.0, 2.0]), 1.0, 0.5)
      Array([-0.8647,  4.    ], dtype=float32)
    """
    v, v_low, c, c_low, _ = _pelu_parts(x, a, b)
    below = a * num.expm1(v, v_low) + num.zero(x)
    # v_low underflows near 0, where the function is a line to the last digit.
    return jnp.where(x > -1e-20, _pelu_line(x, c, c_low), below)


# --- xIELU ----------------------------------------------------------------------


def _xielu_slope(x: Array, alpha_p: Array, alpha_n: Array, beta: Array) -> Array:
    below = _xielu.slope(num.clamp(x, None, 0.0), alpha_n, beta)
    return jnp.where(x > 0, 2.0 * alpha_p * x + beta, below)


def _xielu_reference(m, x, alpha_p=0.8, alpha_n=0.8, beta=0.5):
    pieces = [
        lambda: alpha_n * (m.expm1(x) - x) + beta * x,
        lambda: alpha_p * x * x + beta * x,
    ]
    return m.piecewise(x, [(0, "left")], pieces)


def _xielu_limits(alpha_p=0.8, alpha_n=0.8, beta=0.5) -> Limits:
    fall = beta - alpha_n
    end = -alpha_n if fall == 0 else -math.copysign(_INF, fall)
    return Limits(
        minus_infinity=(end, fall, 0.0), plus_infinity=(_INF, _INF, 2.0 * alpha_p)
    )


@activation(
    precise=("bfloat16", "float16"),
    family="exponential",
    formula=r"\alpha_p x^2 + \beta x \text{ for } x > 0, \quad "
    r"\alpha_n (e^x - 1 - x) + \beta x \text{ for } x \le 0",
    reference=_xielu_reference,
    parameters=(
        Parameter(
            name="alpha_p",
            default=0.8,
            initial=0.8,
            description="the bend α_p > 0 for x > 0",
        ),
        Parameter(
            name="alpha_n",
            default=0.8,
            initial=0.8,
            description="the bend α_n > 0 for x < 0",
        ),
        Parameter(name="beta", default=0.5, description="the slope β > 0 at 0"),
    ),
    cases=({}, {"alpha_p": 0.5, "alpha_n": 0.375, "beta": 0.5}),
    slope=_xielu_slope,
    curvature=lambda x, alpha_p, alpha_n, beta: (
        jnp.where(x > 0, 2.0 * alpha_p, _decay(x, alpha_n)) + num.zero(beta)
    ),
    parameter_slopes={
        "alpha_p": lambda x, alpha_p, alpha_n, beta: (
            num.clamp(x, 0.0) * num.clamp(x, 0.0)
        ),
        "alpha_n": lambda x, alpha_p, alpha_n, beta: _xielu.expm1_and_rest(
            num.clamp(x, None, 0.0)
        )[2],
        "beta": lambda x, alpha_p, alpha_n, beta: x,
    },
    kinks=lambda alpha_p=0.8, alpha_n=0.8, beta=0.5: (Kink(at=0.0, curvature=alpha_n),),
    limits=_xielu_limits,
    max_ulp={
        # Float32's result may round to a tie of float8.
        "float8_e4m3fn": (0.501,),
    },
    paper="arXiv:2411.13010",
)
def xielu(
    x: ArrayLike,
    alpha_p: ArrayLike = 0.8,
    alpha_n: ArrayLike = 0.8,
    beta: ArrayLike = 0.5,
) -> Array:
    """xIELU: quadratic for x > 0, and the integral of an ELU for x < 0.

    The bends are given as they act; the paper learns them through a softplus. For
    α_n > β > 0 the value and the slope have a zero below 0 that moves with the
    parameters: the result is right to its last places there too.

    Example:
      >>> jaxacts.xielu(jnp.array([-1.0, 2.0]))
      Array([-0.2057,  4.2   ], dtype=float32)
    """
    near = num.clamp(x, 0.0, 1e12)
    p, p_low = num.product(near, alpha_p + jnp.zeros_like(near))
    g = p + beta
    g_low = num.sum_low(p, beta + jnp.zeros_like(p), g) + p_low
    above = jnp.where(x < 1e12, near * g + near * g_low, x * (alpha_p * x + beta))
    return jnp.where(x > 0, above, _xielu.value(num.clamp(x, None, 0.0), alpha_n, beta))
