"""Kernels replayed: what they compute, in which shapes, and what is left to JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from activation_cases import each_function

from jaxacts import _exact
from jaxacts._program import replayed


def operations(function, *arguments):
    """How many there are, in functions within functions too."""

    def count(jaxpr):
        inner = [v.jaxpr for e in jaxpr.eqns for v in e.params.values() if is_jaxpr(v)]
        return len(jaxpr.eqns) + sum(map(count, inner))

    def is_jaxpr(value):
        return hasattr(value, "jaxpr")

    return count(jax.make_jaxpr(function)(*arguments).jaxpr)


@jax.custom_jvp
def cube(x):
    return x * x * x


cube.defjvps(lambda t, y, x: t * 3 * x * x)


def kernel(x, p):
    negative = jnp.where(x < 0, jnp.full_like(x, 2.0), p)
    return cube(x) * negative + jnp.maximum(x, 0.5) * (x * 1.0) - (x - 3.0)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 1, 4)])
def test_every_shape_has_the_values_of_the_kernel(shape):
    x = jax.random.normal(jax.random.key(0), shape)
    p = jnp.float32(1.5)
    again = replayed(kernel)
    np.testing.assert_array_equal(again(x, p), kernel(x, p))
    np.testing.assert_array_equal(jax.jit(again)(x, p), jax.jit(kernel)(x, p))


def test_a_parameter_of_many_numbers_broadcasts_as_in_the_kernel():
    x, p = jnp.linspace(-2, 2, 12).reshape(4, 3), jnp.arange(3.0).reshape(1, 3)
    np.testing.assert_array_equal(replayed(kernel)(x, p), kernel(x, p))


def test_the_kernel_is_run_once_for_a_dtype_whatever_the_shapes():
    runs = []

    def counted(x):
        runs.append(x.dtype)
        return x * x

    again = replayed(counted)
    for shape in [(2,), (3, 4), ()]:
        again(jnp.ones(shape))
    assert runs == [jnp.float32]
    with jax.enable_x64(True):
        again(jnp.ones(3, jnp.float64))
    assert runs == [jnp.float32, jnp.float64]


def test_equal_and_unused_operations_are_left_out():
    def wasteful(x):
        unused = jnp.sin(x)
        del unused
        return (x * x + 1.0) * (x * x + 1.0) * 1.0

    assert operations(replayed(wasteful), jnp.ones(3)) == 3
    assert operations(wasteful, jnp.ones(3)) > 3


def test_a_difference_from_a_constant_is_not_taken_for_zero():
    # The first two numbers of a program are called 0 and 1.
    def near(x, p):
        return (x - 0.0) + (p - 1.0)

    y = replayed(near, rough=True)(jnp.float32(2.0), jnp.float32(5.0))
    assert y == 6.0


def test_roughly_drops_what_is_a_rounding_error():
    def compensated(x):
        total = x + x * 0.1
        return total + _exact.sum_low(x, x * 0.1, total)

    x = jnp.ones(3)
    assert operations(replayed(compensated, rough=True), x) == 2
    assert operations(replayed(compensated), x) > 4


def test_an_operation_along_an_axis_is_left_to_the_kernel():
    def along(x):
        return x - jnp.sum(jnp.stack([x, x]), axis=0)

    x = jnp.arange(4.0)
    np.testing.assert_array_equal(replayed(along)(x), -x)


def test_a_constant_that_is_nan_is_no_error_under_debug_nans_but_a_result_is():
    root = replayed(lambda x: jnp.where(x < 0, jnp.float32(np.nan), jnp.sqrt(x)))
    with jax.debug_nans(True):
        assert root(jnp.float32(4.0)) == 2.0
        with pytest.raises(FloatingPointError):
            root(jnp.float32(-4.0))


def test_a_constant_result_takes_the_shape_of_the_input():
    assert replayed(jnp.ones_like)(jnp.zeros((2, 3))).shape == (2, 3)


@each_function
def test_every_registered_kernel_is_replayed(case):
    kernels = []
    name = case.spec.name
    ours = {name, f"{name}_slope", f"{name}_curvature"}

    def find(jaxpr):
        for equation in jaxpr.eqns:
            inner = [v for v in equation.params.values() if hasattr(v, "jaxpr")]
            if equation.params.get("name") in ours:
                kernels.extend(v.jaxpr for v in inner)
            for v in inner:
                find(v.jaxpr)

    curvature = jax.grad(jax.grad(case.function))
    find(jax.make_jaxpr(curvature)(jnp.float32(0.3)).jaxpr)
    assert kernels
    for kernel in kernels:  # a kernel that is left to JAX has functions within
        names = {equation.primitive.name for equation in kernel.eqns}
        assert not names & {"jit", "pjit", "custom_jvp_call", "broadcast_in_dim"}
