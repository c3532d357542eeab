"""xIELU beside the zeros of its value and slope, which move with the parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxacts


@pytest.mark.parametrize(("alpha_n", "beta"), [(0.8, 0.5), (1.5, 0.25), (0.55, 0.5)])
def test_value_and_slope_are_within_an_ulp_of_one_for_negative_x(alpha_n, beta):
    x = np.linspace(-30, 0, 30_001).astype(np.float32)
    a, b = np.float64(np.float32(alpha_n)), np.float64(np.float32(beta))
    exact = np.float64(x)
    terms = np.expm1(exact), np.expm1(exact) - exact
    wants = a * terms[1] + b * exact, a * terms[0] + b

    def f(x):
        return jaxacts.xielu(x, 0.8, alpha_n, beta)

    gots = jax.jit(lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),)))(x)
    for order, (got, want) in enumerate(zip(gots, wants, strict=True)):
        place = 2.0**-23 * np.exp2(np.floor(np.log2(np.maximum(np.abs(want), 1.0))))
        error = np.abs(np.float64(got) - want) / place
        worst = int(np.argmax(error))
        assert error[worst] < 1.0, (
            f"order {order}: at {x[worst]!r} got {got[worst]!r}, "
            f"expected {want[worst]!r}, {error[worst]:.2f} ULP of 1"
        )
