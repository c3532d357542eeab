"""Derivatives to the fourth along curves, against balls and against jax's jet."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from activation_cases import each_family, sample
from jax.experimental.jet import jet as jax_jet

import jaxacts
from jaxacts import taylor

# Where a derivative is 0 or nearly so, its error counts against this size.
SMALL = 1e-2
TOLERANCE = 1e-8


def truth(case, x, dtype):
    """Orders 0 to 4 by power series of balls, at parameters rounded to dtype."""
    oracle = pytest.importorskip("jaxacts.verify.oracle")
    expression = pytest.importorskip("jaxacts.verify.expression")
    settings = {
        k: v if k in case.spec.static else np.asarray(v, dtype).astype(float).tolist()
        for k, v in case.everything.items()
    }
    program = expression.trace(lambda m, x: case.spec.reference(m, x, **settings))
    double = dtype == np.float64
    return oracle.Oracle(program, orders=4, double=double)(x.astype(np.float64)).high


@each_family
def test_four_derivatives_agree_with_balls_and_the_third_in_reverse_mode(case):
    dtype = np.float64

    def everything(x):
        def curvature(x):
            return taylor.derivatives(case.function, x, 2)[2].sum()

        forward = taylor.derivatives(case.function, x)
        return *forward, jax.grad(curvature)(x)

    with jax.enable_x64(True):
        x = sample(case, dtype, count=15)
        got = jax.jit(everything)(x)
    want = truth(case, x, dtype)
    orders = (0, 1, 2, 3, 4, 3)
    for order, y in zip(orders, got, strict=True):
        assert y.dtype == dtype
        exact = want[order]
        error = np.abs(np.asarray(y, np.float64) - exact)
        error /= np.maximum(np.abs(exact), SMALL)
        at = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
        assert error[at] <= TOLERANCE, (
            f"{case}, derivative {order} at {x[at]!r}: got {y[at]!r}, "
            f"expected {exact[at]!r}"
        )


@each_family
def test_the_fourth_derivative_in_float32(case):
    x = sample(case, np.float32, count=15)
    got = jax.jit(lambda x: taylor.derivatives(case.function, x)[4])(x)
    exact = truth(case, x, np.float32)[4]
    error = np.abs(np.asarray(got, np.float64) - exact)
    assert np.max(error / np.maximum(np.abs(exact), 1.0)) <= 1e-4


# --- the same as jax.experimental.jet, on functions that it can take ------------

ONES = np.ones(3)
CURVES = [
    (jnp.sin, (0.5,), ((1.0, 2.0, 3.0, 4.0),)),
    (jax.nn.silu, (np.arange(3.0),), ([ONES] * 4,)),
    (lambda x: jnp.tanh(x @ jnp.ones((3, 2))), (ONES,), ([ONES] * 2,)),
    (lambda x, y: {"a": x * jnp.exp(y), "b": [x]}, (1.0, 2.0), ([1.0, 0.5],) * 2),
    (lambda x: (x * x, 3.0), (2.0,), ((1.0, 0.0, 0.0),)),
    (jnp.exp, (1.0,), ((),)),
]


@pytest.mark.parametrize("factorial_scaled", [True, False])
@pytest.mark.parametrize(("fun", "primals", "series"), CURVES)
def test_jet_has_the_result_of_jax_jet(fun, primals, series, factorial_scaled, x64):
    want = jax_jet(fun, primals, series, factorial_scaled=factorial_scaled)
    got = taylor.jet(fun, primals, series, factorial_scaled=factorial_scaled)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert jnp.result_type(a) == jnp.result_type(b)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_jet_differentiates_a_network_along_a_curve(x64):
    key = jax.random.key(0)
    layers = jax.random.normal(key, (2, 5, 5)) / math.sqrt(5)

    def network(activation, x):
        for weights in layers:
            x = activation(x @ weights)
        return x

    x, *terms = jax.random.normal(jax.random.key(1), (4, 2, 5))
    jet_of = functools.partial(taylor.jet, primals=(x,), series=(terms,))
    got = jax.jit(lambda: jet_of(functools.partial(network, jaxacts.silu)))()
    # jax.nn.silu has no rule of its own, so that jax's jet can take it.
    want = jax_jet(functools.partial(network, jax.nn.silu), (x,), (terms,))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_jet_goes_through_jit_vmap_and_grad():
    x = jnp.linspace(-2.0, 2.0, 5)
    want = taylor.derivatives("mish", x, 3)
    under = jax.jit(jax.vmap(functools.partial(taylor.derivatives, "mish", order=2)))
    np.testing.assert_allclose(under(x)[2], want[2], rtol=1e-6)
    slope = jax.grad(lambda x: taylor.derivatives("mish", x, 2)[2].sum())(x)
    np.testing.assert_allclose(slope, want[3], rtol=1e-5)


def test_16_bit_arguments_keep_their_dtype():
    x = jnp.linspace(-2.0, 2.0, 5, dtype=jnp.bfloat16)
    found = taylor.derivatives("gelu", x, 2)
    assert all(y.dtype == jnp.bfloat16 for y in found)
    want = taylor.derivatives("gelu", x.astype(jnp.float32), 2)[2]
    np.testing.assert_allclose(found[2].astype(jnp.float32), want, rtol=0.01)


def test_an_integer_output_has_zero_terms():
    def f(x):
        return x * x, jnp.arange(3)

    _, (square, count) = taylor.jet(f, (3.0,), ((1.0, 0.0),))
    assert [float(y) for y in square] == [6.0, 2.0]
    assert [y.tolist() for y in count] == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("primals", "series", "error", "message"),
    [
        ((1,), ((1,),), TypeError, r"primals\[0\] has dtype int32"),
        (({"a": 1.0},), ((1.0,),), ValueError, r"primals\[0\] is a tree"),
        ((1.0, 2.0), ((1.0,),), ValueError, "terms for 1 arguments; primals are 2"),
        ((1.0, 2.0), ((1.0,), ()), ValueError, r"arguments of \[0, 1\] terms"),
        ((1.0,), ((np.ones(3),),), ValueError, r"series\[0\]\[0\] has shape \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(primals, series, error, message):
    with pytest.raises(error, match=message):
        taylor.jet(lambda *x: x, primals, series)


def test_derivatives_refuse_a_negative_order_and_integers():
    with pytest.raises(ValueError, match="order=-1"):
        taylor.derivatives("relu", 1.0, -1)
    with pytest.raises(TypeError, match="x has dtype int32"):
        taylor.derivatives("relu", 1)
