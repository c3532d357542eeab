"""Small activations, each with one defect of its numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from defect import Defect, with_slope


def one_ulp_at_one_input(x):
    y = jnp.maximum(x, 0)
    return jnp.where(x == 1.5, jnp.nextafter(y, jnp.full_like(y, 2)), y)


slope_of_half_wrong = with_slope(lambda x: 0.5 * x, lambda x: x * 0 + 0.5 * 1.0005)


@jax.custom_jvp
def gradient_zero_in_tail(x):
    return jnp.where(x > 0, x, jnp.expm1(jnp.minimum(x, 0)))


@gradient_zero_in_tail.defjvp
def _(primals, tangents):
    """y + 1 for e^x: nothing is left of it below -17."""
    (x,), (dot,) = primals, tangents
    y = gradient_zero_in_tail(x)
    return y, dot * jnp.where(x > 0, 1, y + 1)


def nan_at_minus_infinity(x):
    return x * jax.nn.sigmoid(x)


def nan_swallowed(x):
    return jnp.where(x > 0, x, jnp.zeros_like(x))


def zero_of_wrong_sign(x):
    return 0.5 * x + 0.0


def kink_swapped(x):
    return jnp.where(x >= 0, x, x * 0)


def computed_in_bfloat16(x):
    return x * jnp.tanh(jax.nn.softplus(x))


second_derivative_of_square_wrong = with_slope(
    lambda x: 0.5 * x * x, with_slope(lambda x: x, lambda x: x * 0 + 1.0005)
)


def constant_frozen(x):
    return x * np.float32(0.1).astype(jnp.result_type(x))


ACCURACY = [
    Defect(
        name="one ULP too many at a single bfloat16 input",
        function=one_ulp_at_one_input,
        reference=lambda m, x: m.max(x, 0),
        groups=["accuracy"],
        check="accuracy",
        subject="bfloat16 order 0",
        message="f(0x1.8000000000000p+0) = 1.5078125, expected 1.5: 1 ULP",
        options={"dtypes": ["bfloat16"], "orders": [0]},
    ),
    Defect(
        name="slope wrong by 0.05%",
        function=slope_of_half_wrong,
        reference=lambda m, x: x / 2,
        groups=["accuracy"],
        check="accuracy",
        subject="float32 order 1",
        message="expected 0.5: 4194 ULP",
        options={"dtypes": ["float32"], "orders": [1]},
    ),
    Defect(
        name="gradient zero in the tail",
        function=gradient_zero_in_tail,
        reference=lambda m, x: m.piecewise(
            x, [(0, "left")], [lambda: m.exp(x) - 1, lambda: x]
        ),
        groups=["accuracy"],
        check="accuracy",
        subject="float32 order 1",
        message=" = 0, expected ",
        options={"dtypes": ["float32"], "orders": [1]},
    ),
    Defect(
        name="NaN at -inf",
        function=nan_at_minus_infinity,
        reference=lambda m, x: x / (1 + m.exp(-x)),
        groups=["special values"],
        check="special value",
        subject="float32 order 0",
        message="f(-inf) must be -0; got nan",
        options={"dtypes": ["float32"], "orders": [0]},
    ),
    Defect(
        name="NaN swallowed",
        function=nan_swallowed,
        reference=lambda m, x: m.max(x, 0),
        groups=["special values"],
        check="special value",
        subject="float32 order 0",
        message="NaN in must give NaN out; got 0",
        options={"dtypes": ["float32"], "orders": [0]},
    ),
    Defect(
        name="zero of the wrong sign",
        function=zero_of_wrong_sign,
        reference=lambda m, x: x / 2,
        groups=["accuracy"],
        check="accuracy",
        subject="bfloat16 order 0",
        message="zero of the wrong sign at ",
        options={"dtypes": ["bfloat16"], "orders": [0]},
    ),
    Defect(
        name="kink convention swapped",
        function=kink_swapped,
        reference=lambda m, x: m.piecewise(x, [(0, "left")], [lambda: 0, lambda: x]),
        groups=["accuracy"],
        check="accuracy",
        subject="bfloat16 order 1",
        message="f'(0x0.0p+0) = 1, expected 0",
        options={"dtypes": ["bfloat16"], "orders": [1]},
    ),
    Defect(
        name="bfloat16 computed in bfloat16",
        function=computed_in_bfloat16,
        reference=lambda m, x: x * m.tanh(m.log(1 + m.exp(x))),
        groups=["accuracy"],
        check="accuracy",
        subject="bfloat16 order 0",
        message="ULP, the largest of all",
        options={"dtypes": ["bfloat16"], "orders": [0]},
    ),
    Defect(
        name="right first and wrong second derivative",
        function=second_derivative_of_square_wrong,
        reference=lambda m, x: x * x / 2,
        groups=["accuracy"],
        check="accuracy",
        subject="float32 order 2",
        message="expected 1: 4194 ULP",
        options={"dtypes": ["float32"], "orders": [1, 2]},
    ),
    Defect(
        name="constant frozen at float32 in float64",
        function=constant_frozen,
        reference=lambda m, x: x * m.const("0.1"),
        groups=["accuracy"],
        check="accuracy",
        subject="float64 order 0",
        message="ULP, the largest of",
        options={"dtypes": ["float64"], "orders": [0]},
    ),
]
