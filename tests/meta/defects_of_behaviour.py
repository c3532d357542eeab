"""Small activations, each with one defect that needs no formula to be found."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from defect import Defect, with_slope
from jax import lax

# -- parameters ---------------------------------------------------------------


def upcast_by_parameter(x, beta):
    return x * jax.nn.sigmoid(beta * x)


@jax.custom_jvp
def parameter_gradient_zero(x, beta):
    return x * jnp.tanh(beta * x)


@parameter_gradient_zero.defjvp
def _(primals, tangents):
    x, beta = primals
    tanh = jnp.tanh(beta * x)
    slope = tanh + beta * x * (1 - tanh) * (1 + tanh)
    return x * tanh, slope * tangents[0]


def branch_on_parameter(x, slope):
    return jnp.where(x > 0, x, slope * x) if slope > 0 else jnp.maximum(x, 0)


# -- transformations ----------------------------------------------------------


@jax.custom_vjp
def no_forward_mode(x):
    return jnp.sin(x)


no_forward_mode.defvjp(
    lambda x: (jnp.sin(x), jnp.cos(x)), lambda cos, bar: (bar * cos,)
)


def python_branch(x):
    if jnp.all(x > 20):
        return x
    return jax.nn.softplus(x)


def numpy_inside(x):
    return x * np.tanh(x)


def not_vectorised(x):
    """A callback that does not say how to map over a batch."""
    shape = jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x))
    return jax.pure_callback(lambda x: np.maximum(x, 0), shape, x)


_LEAKED: list[Any] = []


def leaks_a_tracer(x):
    y = jnp.sin(x)
    _LEAKED.append(y)
    return y


nan_on_the_way = jax.custom_jvp(lambda x: jnp.where(x > 0, jnp.log(x) * 0 + x, 0))
"""Masked in the result, but `jax_debug_nans` stops at the logarithm."""
nan_on_the_way.defjvps(lambda dot, y, x: jnp.where(x > 0, dot, jnp.zeros_like(dot)))


def looks_at_neighbours(x):
    return x * jax.nn.sigmoid(x - jnp.mean(x) * 1e-2)


def mixes_dtypes(x):
    return (jnp.sin(x) * jnp.ones((), jnp.float32)).astype(jnp.result_type(x))


def frozen_at_float32(x):
    return jnp.sin(jnp.asarray(x).astype(jnp.float32))


def gathers(x):
    """Asks for the whole array on every device."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return jnp.sin(x)
    return lax.with_sharding_constraint(jnp.sin(x), jax.sharding.PartitionSpec())


# -- shapes and inputs --------------------------------------------------------


def shape_dependent(x):
    """A cheaper formula for long arrays."""
    if jnp.size(x) > 1000:
        return x * jnp.clip(x / 6 + 0.5, 0, 1)
    return x * jax.nn.sigmoid(x)


def fails_for_scalars(x):
    return jnp.stack([jnp.sin(row) for row in x]) if len(x) < 8 else jnp.sin(x)


def fails_for_empty(x):
    return jnp.sin(x) + 0 * lax.stop_gradient(jnp.max(x))


def pads_to_eight(x):
    """Leaves the padding of a kernel on the result."""
    x = jnp.asarray(x)
    if x.ndim != 1 or x.size % 8 == 0 or x.size > 8:
        return jnp.sin(x)
    return jnp.sin(jnp.pad(x, (0, 8 - x.size)))


def refuses_python_numbers(x):
    return jnp.sin(x).astype(x.dtype)


def strong_for_weak(x):
    return jnp.asarray(jnp.sin(x), jnp.result_type(x)).astype(jnp.result_type(x))


def keeps_integers_unasked(x):
    return jnp.maximum(x, 0)


# -- backward pass ------------------------------------------------------------


@jax.custom_vjp
def saves_two_arrays(x):
    return x * jax.nn.sigmoid(x)


saves_two_arrays.defvjp(
    lambda x: (x * jax.nn.sigmoid(x), (x, jax.nn.sigmoid(x))),
    lambda kept, bar: (bar * kept[1] * (1 + kept[0] * (1 - kept[1])),),
)


@jax.custom_jvp
def saves_in_float32(x):
    return jnp.sin(x)


@saves_in_float32.defjvp
def _(primals, tangents):
    (x,), (dot,) = primals, tangents
    slope = jnp.cos(x.astype(jnp.float32))
    return jnp.sin(x), (dot.astype(jnp.float32) * slope).astype(x.dtype)


# -- derivatives --------------------------------------------------------------


slope_off_by_half_a_thousandth = with_slope(jnp.sin, lambda x: jnp.cos(x) * 1.0005)
second_derivative_wrong = with_slope(
    jnp.sin, with_slope(jnp.cos, lambda x: -jnp.sin(x) * 1.01)
)


@jax.custom_jvp
def reverse_mode_differs(x):
    return jnp.sin(x)


@reverse_mode_differs.defjvp
def _(primals, tangents):
    (x,), (dot,) = primals, tangents
    pushed = jax.custom_derivatives.linear_call(
        lambda x, dot: dot * jnp.cos(x), lambda x, bar: bar * jnp.cos(2 * x), x, dot
    )
    return jnp.sin(x), pushed


def _cosine_with_a_root(x):
    """-cos' has a root in it whose slope at zero is infinite."""
    return -jnp.sin(x) + 0 * jnp.sqrt(x - lax.stop_gradient(x))


third_derivative_infinite = with_slope(
    jnp.sin, with_slope(jnp.cos, _cosine_with_a_root)
)


# -- backends -----------------------------------------------------------------


def no_tpu(x):
    return lax.platform_dependent(x, cpu=jnp.sin, cuda=jnp.sin, rocm=jnp.sin)


def needs_fma(x):
    """An exponential whose argument reduction is exact only with FMA.

    n*ln2 has 32 significant bits: one rounding too many, and the difference
    from x keeps 10 bits fewer than it should.
    """
    high = np.float32(math.log(2))
    low = np.float32(math.log(2) - float(high))
    x = jnp.clip(jnp.asarray(x), -80, 80)
    n = lax.round(x * np.float32(1 / math.log(2)))
    r = (x - n * high) - n * low
    p = r / 5040 + 1 / 720
    for coefficient in (1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        p = p * r + coefficient
    return jnp.ldexp(p, n.astype(jnp.int32))


BEHAVIOUR = [
    Defect(
        name="output upcast by a float32 parameter",
        function=upcast_by_parameter,
        groups=["parameters"],
        check="parameter",
        subject="beta: dtype",
        message="with beta as a NumPy float32 gives float32, not bfloat16",
        options={"dtypes": ["bfloat16"], "params": {"beta": 1.5}},
    ),
    Defect(
        name="parameter gradient silently zero",
        function=parameter_gradient_zero,
        groups=["parameters"],
        check="parameter",
        subject="beta: grad",
        message="gives 0.0 (silently zero), finite differences in float64 give",
        options={"params": {"beta": 1.5}},
    ),
    Defect(
        name="parameter gradient silently zero under scan",
        function=parameter_gradient_zero,
        groups=["parameters"],
        check="parameter",
        subject="beta: grad of scan",
        message="(silently zero)",
        options={"params": {"beta": 1.5}},
    ),
    Defect(
        name="Python branch on a parameter",
        function=branch_on_parameter,
        groups=["parameters"],
        check="parameter",
        subject="slope: vmap",
        message="TracerBoolConversionError",
        options={"params": {"slope": 0.1}},
    ),
    Defect(
        name="custom_vjp that breaks forward mode",
        function=no_forward_mode,
        groups=["transforms"],
        check="transform",
        subject="jvp",
        message="(jvp) to a custom_vjp function",
    ),
    Defect(
        name="Python branch on a traced value",
        function=python_branch,
        groups=["transforms"],
        check="transform",
        subject="jit",
        message="TracerBoolConversionError",
        options={"only": {"transforms": ["jit", "grad"]}},
    ),
    Defect(
        name="NumPy in the place of jax.numpy",
        function=numpy_inside,
        groups=["transforms"],
        check="transform",
        subject="jit",
        message="TracerArrayConversionError",
    ),
    Defect(
        name="not vectorised under vmap",
        function=not_vectorised,
        groups=["transforms"],
        check="transform",
        subject="vmap",
        message="vmap is only supported",
    ),
    Defect(
        name="leaked tracer",
        function=leaks_a_tracer,
        groups=["transforms"],
        check="transform",
        subject="leak checking",
        message="Leaked trac",
        options={"only": {"transforms": ["leak checking"]}},
    ),
    Defect(
        name="NaN on the way under debug_nans",
        function=nan_on_the_way,
        groups=["transforms"],
        check="transform",
        subject="debug_nans",
        message="FloatingPointError: invalid value (nan) encountered in log",
        options={"only": {"transforms": ["debug_nans"]}},
    ),
    Defect(
        name="result depends on neighbours",
        function=looks_at_neighbours,
        groups=["transforms"],
        check="transform",
        subject="jacrev",
        message="the function is not elementwise",
        options={"only": {"transforms": ["jacrev", "jit"]}},
    ),
    Defect(
        name="mixed dtypes under strict promotion",
        function=mixes_dtypes,
        groups=["transforms"],
        check="transform",
        subject="strict dtype promotion",
        message="no available implicit dtype promotion path",
        options={
            "only": {"transforms": ["strict dtype promotion"]},
            "dtypes": ["bfloat16"],
        },
    ),
    Defect(
        name="float64 comes back as float32",
        function=frozen_at_float32,
        groups=["transforms"],
        check="transform",
        subject="x64",
        message="with x64 enabled float64 input gives float32",
        options={"only": {"transforms": ["x64"]}},
    ),
    Defect(
        name="sharded input comes back gathered",
        function=gathers,
        groups=["devices"],
        check="transform",
        subject="NamedSharding",
        message="gathers the result",
    ),
    Defect(
        name="shape-dependent result",
        function=shape_dependent,
        groups=["shapes"],
        check="shape",
        subject="shape (1025,)",
        message="ULP apart",
    ),
    Defect(
        name="fails for scalars",
        function=fails_for_scalars,
        groups=["shapes"],
        check="shape",
        subject="shape ()",
        message="shape () raised TypeError",
    ),
    Defect(
        name="fails for empty",
        function=fails_for_empty,
        groups=["shapes"],
        check="shape",
        subject="shape (2, 0, 3)",
        message="zero-size array to reduction operation max",
    ),
    Defect(
        name="padding left on the result",
        function=pads_to_eight,
        groups=["shapes"],
        check="shape",
        subject="shape (7,)",
        message="on shape (7,) gives shape (8,), not (7,)",
    ),
    Defect(
        name="Python numbers refused",
        function=refuses_python_numbers,
        groups=["shapes"],
        check="input",
        subject="Python float",
        message="'float' object has no attribute 'dtype'",
    ),
    Defect(
        name="weak type turned strong",
        function=strong_for_weak,
        groups=["shapes"],
        check="input",
        subject="weak type",
        message="gives a strongly typed float32",
    ),
    Defect(
        name="integers kept unasked",
        function=keeps_integers_unasked,
        groups=["shapes"],
        check="input",
        subject="integers",
        message="int32 input gives int32, not float32",
    ),
    Defect(
        name="an extra saved array",
        function=saves_two_arrays,
        groups=["residuals"],
        check="residuals",
        subject="vjp",
        message="keeps the input (float32) and 1 new array (float32)",
    ),
    Defect(
        name="saved array in float32 for a 16-bit input",
        function=saves_in_float32,
        groups=["residuals"],
        check="residuals",
        subject="vjp",
        message="keeps 1 new array (float32), 4 bytes an element; allowed is 1 array "
        "of bfloat16, 2 bytes",
        options={"dtypes": ["bfloat16"]},
    ),
    Defect(
        name="slope wrong by 0.05%, found without a formula",
        function=slope_off_by_half_a_thousandth,
        groups=["derivatives"],
        check="derivative",
        subject="finite differences",
        message="derivative 1 at x = ",
    ),
    Defect(
        name="right first and wrong second derivative, found without a formula",
        function=second_derivative_wrong,
        groups=["derivatives"],
        check="derivative",
        subject="finite differences",
        message="derivative 2 at x = ",
    ),
    Defect(
        name="reverse mode differs from forward mode",
        function=reverse_mode_differs,
        groups=["derivatives"],
        check="derivative",
        subject="jvp and vjp",
        message="vjp on shape (36,)",
    ),
    Defect(
        name="third derivative not finite",
        function=third_derivative_infinite,
        groups=["derivatives"],
        check="derivative",
        subject="third derivative",
        message="the third derivative at x = ",
    ),
    Defect(
        name="does not lower for TPU",
        function=no_tpu,
        groups=["lowering"],
        check="lowering",
        subject="tpu: value",
        message="tpu: value raised",
    ),
    Defect(
        name="right with FMA and wrong without",
        function=needs_fma,
        groups=["processors"],
        check="processors",
        subject="order 0 without FMA",
        message="a processor without FMA",
    ),
]
