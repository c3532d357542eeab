"""The custom rules against plain autodiff of the paper's formula in float64."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from activation_cases import (
    CASES,
    FAMILIES,
    Case,
    Float64Namespace,
    each_function,
    ladder,
    pulled_ladder,
    sample,
)
from jax.scipy.special import erf

import jaxacts


@functools.cache
def plain_ladder(name, static):
    """The reference on float64 arrays, by plain autodiff, without our rules."""
    m = Float64Namespace(jnp, erf)
    reference = jaxacts.spec(name).reference

    @jax.jit
    def orders(x, numbers):
        def formula(x):
            y = reference(m, x, **numbers, **dict(static))
            return jnp.broadcast_to(y, x.shape)

        return ladder(formula, 3)(x)

    return orders


def truth(case: Case, x, numbers=None):
    """Orders 0 to 3 of the plain formula in float64, at the given inputs."""
    names = case.spec.static
    static = tuple((k, v) for k, v in case.settings.items() if k in names)
    with jax.enable_x64(True):
        numbers = {k: jnp.float64(v) for k, v in (numbers or case.numbers).items()}
        out = plain_ladder(case.spec.name, static)(jnp.float64(x), numbers)
        return [np.asarray(y) for y in out]


@each_function
def test_float64_agrees_with_plain_autodiff_to_the_third_derivative(case, x64):
    x = sample(case)
    got = jax.jit(ladder(case.function, 3))(jnp.asarray(x))
    want = truth(case, x)
    # The naive formula loses some digits itself, most of all in tanhexp, hence not
    # to the last place; that is measured elsewhere, against balls.
    second = 1e-11 if case.spec.name == "tanhexp" else 2e-12
    for order, atol in enumerate((2e-12, 2e-12, second)):
        np.testing.assert_allclose(
            got[order], want[order], rtol=2e-9, atol=atol, err_msg=f"order {order}"
        )
    np.testing.assert_allclose(got[3], want[3], rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(
    "name",
    ["gelu", "mish", "sigmoid", "silu", "soft_sign", "softplus", "squareplus", "tanh"],
)
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_third_derivatives_hold_at_both_zeros_and_at_the_ends(name, mode):
    # They are JAX's, of formulas with selections, corrections and cuts.
    case = next(c for c in CASES if c.spec.name == name)
    orders = ladder if mode == "forward" else pulled_ladder
    third = jax.jit(lambda x: orders(case.function, 3)(x)[3])
    x = np.float32([-0.02, -0.01, -0.0, 0.0, 0.01, 0.02])
    # Of either zero the limit from above: soft_sign's second has a jump there.
    want = truth(case, np.where(x == 0, 0.5**30, x))[3]
    np.testing.assert_allclose(third(x), want, rtol=1e-6, atol=6e-7)
    far = jnp.float32([-3e38, 3e38])
    np.testing.assert_array_equal(np.abs(third(far)), 0.0)
    # Also where it is not 0 yet, but polynomials that are not taken are large.
    far = np.float32([-1e4, 1e4])
    np.testing.assert_allclose(third(far), 0.0, atol=1e-15)
    if name == "squareplus":  # its corrections showed beside the zero
        x = np.float32([-8e-4, 8e-4])
        np.testing.assert_allclose(third(x), truth(case, x)[3], rtol=2e-6)


@each_function
def test_in_16_bits_the_product_with_the_cotangent_is_rounded_once(case):
    dtype = "bfloat16"
    x = jnp.asarray(sample(case), dtype)
    cotangent = jnp.linspace(0.7, 1.9, x.size).astype(dtype)
    numbers = {k: jnp.float32(v) for k, v in case.numbers.items()}

    def of_parameters(x, numbers):
        return case.spec.function(x, **case.everything | numbers)

    # With parameters that are fixed, and with those that are learned.
    @jax.jit
    def pulled(x, numbers, t):
        still = jax.vjp(case.function, x)[1](t)[0]
        return still, jax.vjp(of_parameters, x, numbers)[1](t)[0]

    for got in pulled(x, numbers, cotangent):
        assert got.dtype == x.dtype
        _assert_rounded_once(case, x, cotangent, got)


def _assert_rounded_once(case, x, cotangent, got):
    dtype = x.dtype
    want = np.float64(cotangent) * truth(case, np.float64(x))[1]
    # Elsewhere the plain formula's own error counts, or the type's least numbers.
    matters = np.abs(want) > 1e-3
    places = jnp.finfo(dtype).nmant
    ulp = 2.0 ** (np.floor(np.log2(np.abs(want[matters]))) - places)
    error = np.abs(np.float64(got)[matters] - want[matters]) / ulp
    assert matters.sum() > 4
    assert error.max() <= 0.51


@each_function
def test_parameter_gradients_agree_with_the_plain_formula(case, x64):
    x = jnp.asarray(sample(case, count=101))
    m = Float64Namespace(jnp, erf)
    for name, value in case.numbers.items():
        rest = {k: v for k, v in case.everything.items() if k != name}

        def ours(p, name=name, rest=rest):
            return case.spec.function(x, **rest, **{name: p})

        def naive(p, name=name, rest=rest):
            y = case.spec.reference(m, x, **rest, **{name: p})
            return jnp.broadcast_to(y, x.shape)

        @jax.jit
        def everything(p, ours=ours, naive=naive):
            back = jax.grad(lambda p: ours(p).sum())(p)
            return jax.jacfwd(ours)(p), back, jax.jacfwd(naive)(p)

        got, back, want = everything(jnp.asarray(value))
        np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-10, err_msg=name)
        np.testing.assert_allclose(back, want.sum(axis=0), rtol=1e-7, atol=1e-9)


# Two of the variants run the same code, compiled operation by operation.
@pytest.mark.xdist_group("variants")
class VariantsTest(chex.TestCase):
    """Values and gradients agree with and without jit, device and pmap."""

    @chex.variants(with_jit=True, without_jit=True, with_device=True, with_pmap=True)
    def test_value_and_gradient_in_every_variant(self):
        x = jnp.linspace(0.1, 4.0, 24)

        def everything(x):
            return {
                str(case): (case.function(x), jax.vmap(jax.grad(case.function))(x))
                for case in FAMILIES
            }

        got = self.variant(everything)(x)
        for case in FAMILIES:
            value, slope = got[str(case)]
            chex.assert_shape((value, slope), x.shape)
            want = truth(case, np.float64(x))
            np.testing.assert_allclose(value, want[0], rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(slope, want[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "logmeanexp"])
def test_normalizer_gradients_agree_with_jax_nn_in_float64(name, x64):
    x = jax.random.normal(jax.random.key(0), (3, 7))
    weights = jax.random.normal(jax.random.key(1), (3, 7))

    def loss(f):
        return lambda x: jnp.sum(weights * (f(x, axis=-1) * jnp.ones((3, 1))))

    def last(f):
        if name.startswith("log") and name != "log_softmax":
            return lambda x, axis: f(x, axis=axis, keepdims=True)
        return f

    ours, theirs = last(getattr(jaxacts, name)), last(getattr(jax.nn, name))
    np.testing.assert_allclose(ours(x, axis=-1), theirs(x, axis=-1), rtol=1e-12)
    derivatives = [
        jax.jit(lambda x, f=f: (jax.grad(loss(f))(x), jax.hessian(loss(f))(x)))(x)
        for f in (ours, theirs)
    ]
    (got, got_second), (want, want_second) = derivatives
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(got_second, want_second, rtol=1e-9, atol=1e-13)
