"""Traces for one shape, written again for others: the same equations, or none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxacts
from jaxacts import _program, _stamped
from jaxacts._stamped import stamped


def kernel(x, p):
    root = lax.select(x > 0, lax.full_like(x, 2.0), x * p)
    return lax.convert_element_type(root, jnp.float32) + 1.0


jitted = jax.jit(kernel)
written = stamped(jitted)
recomputed = jax.checkpoint(kernel, prevent_cse=False)


def equations(function, *arguments):
    return str(jax.make_jaxpr(function)(*arguments))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (5,), (2, 3, 4)])
@pytest.mark.parametrize("within", [jitted, recomputed], ids=["jit", "checkpoint"])
def test_equations_are_those_of_the_function(within, shape, dtype):
    arguments = jnp.ones(shape, dtype), jnp.ones((), dtype)
    found = equations(stamped(within), *arguments)
    assert found == equations(within, *arguments)
    full = jnp.ones(shape, dtype), jnp.full(shape, 0.5, dtype)
    assert equations(stamped(within), *full) == equations(within, *full)


def test_a_scalar_without_a_type_of_its_own_stays_weak():
    assert equations(written, 2.0, 0.5) == equations(jitted, 2.0, 0.5)


def test_the_function_is_run_once_for_all_shapes():
    runs = []

    @stamped
    @jax.jit
    def counted(x):
        runs.append(x.shape)
        return x * x

    for shape in [(2,), (3, 4), (7,)]:
        jax.make_jaxpr(counted)(jnp.ones(shape))
    assert len(runs) == 1


def test_values_and_derivatives_are_those_of_the_function():
    x, p = jnp.linspace(-2, 2, 12).reshape(4, 3), jnp.float32(0.3)
    for transformed in [
        jax.jit,
        lambda f: jax.jit(jax.vmap(f, (0, None))),
        lambda f: jax.vmap(jax.jit(f), (1, None)),
        lambda f: jax.jit(jax.grad(lambda x, p: jnp.sum(f(x, p)), (0, 1))),
    ]:
        ours, theirs = transformed(written)(x, p), transformed(jitted)(x, p)
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.sum(x) + x,
        lambda x: jnp.sin(jnp.cos(x)) + jnp.arange(3.0),
        jax.jit(lambda x: x + jnp.sum(x)),
        jax.jit(jax.nn.relu),
    ],
    ids=["two equations", "a constant", "a sum", "a rule for derivatives"],
)
def test_anything_else_is_left_as_it_is(function):
    x = jnp.linspace(-1, 1, 3)
    assert equations(stamped(function), x) == equations(function, x)


def test_shapes_that_broadcast_are_left_to_the_function():
    arguments = jnp.ones((4, 3)), jnp.ones((1, 3))
    assert equations(written, *arguments) == equations(jitted, *arguments)


def test_types_with_a_sharding_are_left_to_the_function():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(jnp.ones((4, 3)), NamedSharding(mesh, P("d")))
        assert jax.typeof(jax.jit(written)(x, 0.5)).sharding.spec == P("d", None)
        assert equations(written, x, 0.5) == equations(jitted, x, 0.5)


def test_a_trace_within_a_mesh_is_not_taken_for_one_without():
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,))
    again = stamped(jitted)
    with jax.set_mesh(mesh):
        jax.jit(again)(jnp.ones(4), 0.5)

    def mapped(x):
        return jax.shard_map(
            lambda x: again(x, 0.5), mesh=mesh, in_specs=P("d"), out_specs=P("d")
        )(x)

    x = jnp.linspace(-1, 1, 6)
    np.testing.assert_array_equal(jax.jit(mapped)(x), jitted(x, 0.5))
    np.testing.assert_array_equal(jax.jit(again)(x, 0.5), jitted(x, 0.5))


def test_dimensions_without_a_number_are_left_to_the_function():
    (size,) = jax.export.symbolic_shape("n")
    x = jax.ShapeDtypeStruct((size,), jnp.float32)
    exported = jax.export.export(jax.jit(lambda x: written(x, 0.5)))(x)
    x = jnp.linspace(-1, 1, 5)
    np.testing.assert_array_equal(exported.call(x), jitted(x, 0.5))


@pytest.mark.parametrize("name", ["relu", "silu", "leaky_relu"])
def test_no_operation_of_an_activation_is_traced_for_a_second_shape(name, monkeypatch):
    function = jaxacts.get(name)
    gradient = jax.grad(lambda x: jnp.sum(function(x)))
    jax.make_jaxpr(gradient)(jnp.ones(6))

    def again(*_):
        raise AssertionError("traced again")

    monkeypatch.setattr(_program, "_replay", again)
    jax.make_jaxpr(gradient)(jnp.ones((2, 5)))


def test_a_jax_with_other_equations_traces_as_usual(monkeypatch):
    def refuses(*_):
        raise AttributeError("Jaxpr has no attribute 'replace'")

    monkeypatch.setattr(_stamped, "_reshaped", refuses)
    x = jnp.linspace(-1, 1, 7)
    assert equations(written, x, 0.5) == equations(jitted, x, 0.5)
