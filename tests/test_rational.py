"""Rational functions with coefficients of their own, one set or one a channel."""

import fractions
import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from activation_cases import ladder

import jaxacts

# What is compiled once serves several tests.
pytestmark = pytest.mark.xdist_group("rational")
TANH = (0.0, 1.0, 0.0, 1 / 9, 0.0, 1 / 945), (0.0, 4 / 9, 0.0, 1 / 63)
SETS = {
    "default": tuple(p.default for p in jaxacts.spec("rational").parameters),
    "tanh": TANH,
    "identity": ((0, 1, 0, 0, 0, 0), (0, 0, 0, 0)),
    "falling": ((1, 2, 0, 0, 0, 0), (-1, 0, -0.5, 0)),
    "even bottom": ((0.5, -2, 0.25, 0, 0, 0), (0, -0.5, 0, 0)),
    "any": ((-0.6, 0.04, -2.3, -0.2, -1.2, -0.7), (-0.5, -0.3, 0.4, 1.0)),
}


def exact(x, numerator, denominator):
    """f, f', f'' and the sums of the sizes of their terms, in rational arithmetic."""
    x = fractions.Fraction(float(x))
    top = [fractions.Fraction(float(c)) for c in numerator]
    inner = [
        fractions.Fraction(0),
        *(fractions.Fraction(float(c)) for c in denominator),
    ]

    def derivatives(cs, absolute=False):
        found = []
        for order in range(3):
            total = fractions.Fraction(0)
            for k in range(order, len(cs)):
                term = cs[k] * x ** (k - order)
                for step in range(order):
                    term *= k - step
                total += abs(term) if absolute else term
            found.append(total)
        return found

    p, q = derivatives(top), derivatives(inner)
    sizes, _ = derivatives(top, True), derivatives(inner, True)
    sign = (q[0] > 0) - (q[0] < 0)
    d = [1 + sign * q[0], sign * q[1], sign * q[2]]
    value = p[0] / d[0]
    slope = (p[1] - value * d[1]) / d[0]
    curvature = (p[2] - 2 * slope * d[1] - value * d[2]) / d[0]
    loose = [
        sizes[0] / d[0],
        (sizes[1] + abs(value * d[1])) / d[0],
        (sizes[2] + abs(2 * slope * d[1]) + abs(value * d[2])) / d[0],
    ]
    return (value, slope, curvature), loose


@jax.jit
def _orders(x, numerator, denominator):
    def f(x):
        return jaxacts.rational(x, numerator, denominator)

    return ladder(f, 2)(x)


def orders(x, coefficients, dtype="float32"):
    """f, f' and f''; padded to one length, so that one compilation serves all."""
    padded = np.resize(np.asarray(x, dtype), 512)
    assert len(x) <= len(padded)
    given = [jnp.asarray(c, dtype) for c in coefficients]
    return [np.asarray(y)[: len(x)] for y in _orders(padded, *given)]


slopes_in_coefficients = jax.jit(jax.grad(jaxacts.rational, (1, 2)))


def zeros(numerator, denominator):
    """Real zeros of f, f' and f'' in [-4, 4], beside which all terms cancel."""
    p, q = np.poly1d(numerator[::-1]), np.poly1d([*denominator[::-1], 0.0])
    found = [p.r]
    for d in (1 + q, 1 - q):
        first = p.deriv() * d - p * d.deriv()
        found += [first.r, (first.deriv() * d - 2 * first * d.deriv()).r]
    roots = np.concatenate(found)
    roots = roots[np.abs(roots.imag) < 1e-6].real
    return roots[np.abs(roots) < 4]


def inputs(dtype, coefficients):
    rng = np.random.default_rng(1)
    near = rng.normal(size=120) * 2
    far = 10.0 ** rng.uniform(-12, 12, 60) * rng.choice([-1.0, 1.0], 60)
    beside = zeros(*(np.asarray(c, dtype).astype(float) for c in coefficients))
    beside = beside.astype(dtype)
    steps = (np.nextafter(beside, np.asarray(side, dtype)) for side in (-9, 9))
    found = [near, far, [1.0, -1.0, 0.0, 4.0, -4.0], beside, *steps]
    return np.concatenate([np.asarray(part, dtype) for part in found])


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_slope_and_curvature_are_right_to_4_ulp_or_to_more_than_twice_the_digits(
    name, dtype
):
    with jax.enable_x64(dtype == "float64"):
        x = inputs(dtype, SETS[name])
        got = orders(x, SETS[name], dtype)
    coefficients = [np.asarray(c, dtype) for c in SETS[name]]
    eps = fractions.Fraction(float(np.finfo(dtype).eps))
    tiny = float(np.finfo(dtype).tiny)
    for place, point in enumerate(x):
        truth, sizes = exact(point, *coefficients)
        loose = fractions.Fraction(1, 256) if abs(point) <= 4 else 8
        for order in range(3):
            y, want = got[order][place], truth[order]
            if abs(want) < 2 * tiny or abs(want) > np.finfo(dtype).max:
                continue
            allowed = 4 * eps * abs(want) + loose * eps**2 * sizes[order]
            assert abs(fractions.Fraction(float(y)) - want) <= allowed, (
                f"order {order} at {point!r}: {y!r}, expected {float(want)!r}"
            )


def test_value_agrees_with_mpmath():
    x = 0.7
    with mpmath.workdps(40):
        numerator, denominator = SETS["default"]

        def polynomial(coefficients, x):
            rounded = [mpmath.mpf(float(np.float32(c))) for c in coefficients]
            return mpmath.fsum(c * x**k for k, c in enumerate(rounded))

        x32 = mpmath.mpf(float(np.float32(x)))
        top, q = polynomial(numerator, x32), polynomial([0, *denominator], x32)
        want = float(top / (1 + abs(q)))
    assert float(jaxacts.rational(jnp.float32(x))) == pytest.approx(want, rel=1e-7)


GRADIENT_INPUTS = np.concatenate([np.linspace(-4, 4, 82), [1e3, -1e3]])


def plain(a, b):
    x = jnp.asarray(GRADIENT_INPUTS)
    return jnp.polyval(a[::-1], x) / (1 + jnp.abs(x * jnp.polyval(b[::-1], x)))


def ours(a, b):
    return jaxacts.rational(jnp.asarray(GRADIENT_INPUTS), a, b)


@functools.partial(jax.jit, static_argnums=0)
def gradients(f, a, b):
    """In both modes, and of one set of coefficients in the other."""
    mixed = jax.jacfwd(jax.grad(lambda a, b: f(a, b).sum(), 1), 0)
    return jax.jacfwd(f, (0, 1))(a, b), jax.jacrev(f, (0, 1))(a, b), mixed(a, b)


@pytest.mark.parametrize("name", ["default", "falling"])
def test_gradients_of_the_coefficients_are_those_of_the_plain_formula(name, x64):
    coefficients = [jnp.asarray(c, "float64") for c in SETS[name]]
    got, back, mixed = gradients(ours, *coefficients)
    want, _, naive = gradients(plain, *coefficients)
    for w, g, r in zip(want, got, back, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(r, w, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(mixed, naive, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn"])
def test_small_types_compute_in_float32_and_round_once(dtype):
    x = jnp.linspace(-4, 4, 57).astype(dtype)
    got = jaxacts.rational(x, *SETS["any"])
    wide = jaxacts.rational(x.astype("float32"), *SETS["any"])
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(
        got.astype("float32"), wide.astype(dtype).astype("float32")
    )


def test_numbers_lists_and_arrays_are_the_same_coefficients():
    numerator, denominator = TANH
    x = jnp.linspace(-2.0, 2.0, 9)
    want = jaxacts.rational(x, numerator, denominator)
    for kind in (list, np.float32, jnp.float32):
        got = jaxacts.rational(x, kind(numerator), kind(denominator))
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(jaxacts.rational(x), jaxacts.get("rational")(x))


def test_leading_axes_of_the_coefficients_broadcast_against_x():
    numerator = jnp.asarray([SETS["default"][0], TANH[0], SETS["any"][0]])
    denominator = jnp.asarray([SETS["default"][1], TANH[1], SETS["any"][1]])
    x = jnp.linspace(-2.0, 2.0, 12).reshape(4, 3)
    y = jaxacts.rational(x, numerator, denominator)
    for channel in range(3):
        own = jaxacts.rational(x[:, channel], numerator[channel], denominator[channel])
        np.testing.assert_array_equal(y[:, channel], own)


def test_transformations_agree():
    numerator, denominator = (jnp.asarray(c, "float32") for c in SETS["any"])
    x = jnp.linspace(-2.0, 2.0, 8)
    rows = jnp.stack([numerator, 2 * numerator])

    def f(x, a):
        return jaxacts.rational(x, a, denominator)

    def total(a):
        def step(carry, x):
            return carry + f(x, a), None

        return jax.lax.scan(step, jnp.float32(0), x)[0]

    @jax.jit
    def everything(x):
        return (
            f(x, numerator),
            jax.vmap(f, (0, None))(x, numerator),
            jax.vmap(f, (None, 0))(x, rows),
            jax.grad(total)(numerator),
            jax.grad(lambda a: f(x, a).sum())(numerator),
        )

    want = f(x, numerator)
    compiled, mapped, by_row, scanned, direct = everything(x)
    np.testing.assert_allclose(compiled, want, rtol=3e-7)
    np.testing.assert_allclose(mapped, want, rtol=3e-7)
    np.testing.assert_allclose(by_row, jnp.stack([want, 2 * want]), rtol=1e-6)
    np.testing.assert_allclose(scanned, direct, rtol=1e-5)


def test_backward_keeps_x_and_the_coefficients_alone():
    x = jnp.linspace(-2.0, 2.0, 1000)
    given = [jnp.asarray(c, "float32") for c in SETS["any"]]
    _, pull = jax.vjp(jaxacts.rational, x, *given)
    kept = [leaf for leaf in jax.tree.leaves(pull) if hasattr(leaf, "shape")]
    large = [leaf.shape for leaf in kept if leaf.size >= x.size]
    assert large == [x.shape], [leaf.shape for leaf in kept]
    _, pull = jax.vjp(jaxacts.rational, x)
    assert sum(leaf.size >= x.size for leaf in jax.tree.leaves(pull)) == 1


@pytest.mark.parametrize("name", SETS)
def test_limits_are_those_of_the_record_for_any_degrees(name):
    coefficients = SETS[name]
    limits = jaxacts.spec("rational").limits(*coefficients)
    for order, y in enumerate(orders([-np.inf, np.inf], coefficients)):
        want = [limits.minus_infinity[order], limits.plus_infinity[order]]
        np.testing.assert_allclose(y, want, rtol=3e-7, err_msg=f"order {order}")


def test_nan_gives_nan_in_every_order_and_in_the_coefficients():
    for y in orders([np.nan, 1.0], SETS["falling"]):
        assert np.isnan(y).tolist() == [True, False]
    coefficients = (jnp.asarray(c, "float32") for c in TANH)
    slopes = slopes_in_coefficients(jnp.float32(jnp.nan), *coefficients)
    assert all(np.isnan(leaf[1:]).all() for leaf in slopes)


def test_where_q_is_0_its_size_counts_as_constant():
    coefficients = [1.0, 2.0, 3.0, 0.0, 0.0, 0.0], [4.0, -2.0, 0.0, 0.0]
    x = np.array([0.0, -0.0, 2.0])  # Q = 4 x - 2 x²
    _, slope, curvature = orders(x, coefficients)
    np.testing.assert_array_equal(slope, 2.0 + 6.0 * x)
    np.testing.assert_array_equal(curvature, 6.0)
    given = (jnp.asarray(c, "float32") for c in coefficients)
    _, numbers = slopes_in_coefficients(jnp.float32(2.0), *given)
    np.testing.assert_array_equal(numbers, np.zeros(4))


@pytest.mark.parametrize(
    "wrong", [(1.0, 2.0), np.zeros(5), np.float32(1.0), np.zeros((6, 3))]
)
def test_another_length_is_an_error_that_says_what_is_accepted(wrong):
    shape = np.shape(wrong)
    message = rf"rational: numerator has shape \({', ?'.join(map(str, shape))},?\)"
    with pytest.raises(ValueError, match=message + "; give 6 numbers"):
        jaxacts.rational(1.0, wrong)
    with pytest.raises(ValueError, match=r"denominator has shape .*; give 4 numbers"):
        jaxacts.rational(1.0, denominator=wrong)


def test_coefficients_that_are_no_real_numbers_are_refused():
    with pytest.raises(TypeError, match="numerator"):
        jaxacts.rational(1.0, jnp.zeros(6, "complex64"))
    with pytest.raises(TypeError, match="denominator"):
        jaxacts.rational(1.0, denominator="text")
