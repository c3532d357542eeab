"""What the checks of transformations, shapes, parameters and devices report."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxacts.verify import (
    behaviour,
    derivatives,
    devices,
    expression,
    parameters,
    shapes,
    transforms,
)
from jaxacts.verify._compare import ulp_difference
from jaxacts.verify._subject import points


def _failed(findings):
    return [finding for finding in findings if not finding.passed]


def _differs_under_jit(x):
    """Four units of ulp(1) more where the argument is traced."""
    y = jnp.sin(x)
    return y + 2.0**-21 if isinstance(x, jax.core.Tracer) else y


# -- differences in ULP -------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "want", "floor", "expected"),
    [
        (1.0, 1.0, 0.0, 0.0),
        (1.0 + 2.0**-23, 1.0, 0.0, 1.0),
        (0.5 + 2.0**-24, 0.5, 0.0, 1.0),
        (0.5 + 2.0**-24, 0.5, 1.0, 0.5),
        (0.0, -0.0, 0.0, 0.0),
        (1e-40, 0.0, 0.0, 0.0),
        (np.nan, np.nan, 0.0, 0.0),
        (np.nan, 1.0, 0.0, np.inf),
        (1.0, np.nan, 0.0, np.inf),
        (np.inf, np.inf, 0.0, 0.0),
        (np.inf, -np.inf, 0.0, np.inf),
        (np.inf, 3.4e38, 0.0, np.inf),
    ],
)
def test_difference_is_counted_in_ulp_of_the_expected(got, want, floor, expected):
    found = ulp_difference(np.float32(got), np.float32(want), floor=floor)
    assert found == expected


def test_difference_knows_the_precision_of_bfloat16():
    one = np.ones((), ml_dtypes.bfloat16)
    next_to_it = np.nextafter(one, one + one)
    assert ulp_difference(next_to_it, one) == 1


# -- broken functions become findings -----------------------------------------


def _raises(x):
    raise RuntimeError("no such kernel")


def _recurses(x):
    return _recurses(x)


BROKEN = {
    "raises": (_raises, "RuntimeError: no such kernel"),
    "recurses": (_recurses, "RecursionError"),
    "gives None": (lambda x: None, "gives a NoneType, not an array"),
    "gives a tuple": (lambda x: (x, x), "gives a tuple, not an array"),
    "gives another shape": (lambda x: jnp.zeros(3), "gives shape (3,)"),
    "gives integers": (lambda x: jnp.asarray(x, int), "gives int32"),
    "takes nothing": (lambda: 0.0, "TypeError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_function_gives_one_readable_finding_and_no_crash(name):
    function, message = BROKEN[name]
    for check in (transforms.check, shapes.check, devices.check):
        findings = check(function)
        assert [finding.passed for finding in findings] == [False]
        assert message in findings[0].message
        assert findings[0].subject == "eager"


@pytest.mark.parametrize("name", ["raises", "gives a tuple", "takes nothing"])
def test_no_group_lets_an_exception_through(name):
    function, _ = BROKEN[name]
    groups = ["derivatives", "residuals", "lowering"]
    findings = behaviour.check(function, groups=groups)
    assert findings
    for finding in _failed(findings):
        assert finding.message


def test_warnings_of_the_function_are_no_findings():
    def warns(x):
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
        return jnp.sin(x)

    assert not _failed(transforms.check(warns, only=["jit", "vjp"]))


def test_filters_of_warnings_survive_checks_in_several_threads():
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: transforms.check(jnp.sin, only=["jit"]), range(8)))
    assert warnings.filters == before


def test_a_function_that_cannot_be_differentiated_is_still_tried_by_value():
    def opaque(x):
        shape = jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x))
        return jax.pure_callback(np.cos, shape, x, vmap_method="broadcast_all")

    findings = {f.subject: f for f in transforms.check(opaque, only=["jit", "grad"])}
    assert findings["jit"].passed
    assert not findings["eager grad"].passed
    assert "not compared" in findings["eager grad"].message
    assert "grad" not in findings


def test_points_outside_the_domain_are_left_out():
    def log1mexp(x):
        return jnp.log(-jnp.expm1(-x))

    findings = behaviour.check(
        log1mexp,
        reference=lambda m, x: m.log(1 - m.exp(-x)),
        groups=["transforms", "derivatives"],
        only={"transforms": ["debug_nans", "jit", "hessian"]},
    )
    assert not _failed(findings), [f.message for f in _failed(findings)]
    assert findings[0].message == ("runs; NaN at 18 of 37 points, which are left out")


# -- bounds and settings ------------------------------------------------------


def test_difference_between_eager_and_jit_is_reported_and_held_to_the_bound():
    (_, finding) = transforms.check(_differs_under_jit, only=["jit"], max_ulp=2)
    assert not finding.passed
    assert finding.measured == pytest.approx(4, abs=1)
    assert finding.bound == 2
    x = float.fromhex(finding.input)
    assert f"jit on shape (37,) at x = {x!r}" in finding.message
    assert x in points("float32")


def test_a_larger_bound_lets_the_same_difference_pass():
    (_, finding) = transforms.check(_differs_under_jit, only=["jit"], max_ulp=8)
    assert finding.passed
    assert finding.measured == pytest.approx(4, abs=1)


def test_settings_of_the_process_are_left_alone():
    before = (
        jax.config.jax_numpy_dtype_promotion,
        jax.config.jax_numpy_rank_promotion,
        jax.config.jax_enable_x64,
        jax.config.jax_debug_nans,
    )
    transforms.check(jnp.sin, dtypes=["float64"], only=["x64", "debug_nans"])
    after = (
        jax.config.jax_numpy_dtype_promotion,
        jax.config.jax_numpy_rank_promotion,
        jax.config.jax_enable_x64,
        jax.config.jax_debug_nans,
    )
    assert after == before == ("strict", "raise", False, False)


def test_float8_is_tried_by_value_alone():
    names = {f.subject for f in transforms.check(jnp.negative, dtypes=["float8_e5m2"])}
    assert "jit" in names
    assert "strict dtype promotion" in names
    assert not names & {"grad", "jvp", "vjp", "hessian"}


def test_a_leak_behind_a_jit_of_the_functions_own_is_found():
    kept = []

    @jax.jit
    def leaks(x):
        y = jnp.sin(x)
        kept.append(y)
        return y

    findings = transforms.check(leaks, only=["jit", "leak checking"])
    assert [f.subject for f in _failed(findings)] == ["leak checking"]


# -- names --------------------------------------------------------------------


@pytest.mark.parametrize("module", [transforms, shapes, parameters, devices])
def test_an_unknown_check_is_refused_with_the_known_ones(module):
    with pytest.raises(ValueError, match=r"only=\['jti'\] names no check; accepted"):
        module.check(jnp.sin, only=["jti"])


def test_an_unknown_group_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"\['residual'\] names no check; .*residuals"):
        behaviour.check(jnp.sin, groups=["residual"])


def test_a_group_without_named_checks_cannot_be_narrowed():
    with pytest.raises(ValueError, match=r"narrows 'residuals'; groups .* transforms"):
        behaviour.check(jnp.sin, only={"residuals": ["vjp"]})


def test_a_function_may_be_given_by_its_address():
    (_, finding) = transforms.check("jax.nn:silu", only=["jit"])
    assert finding.passed


@pytest.mark.parametrize("address", ["jax.nn:silo", "jax.nm:silu", "math:pi"])
def test_an_address_that_leads_nowhere_is_refused(address):
    with pytest.raises(ValueError, match=address):
        transforms.check(address)


# -- inputs and parameters ----------------------------------------------------


def test_integers_must_be_kept_where_that_is_claimed():
    (finding,) = _failed(
        shapes.check(jnp.sin, keeps_integers=True, only=["integers", "bools"])
    )
    assert "gives float32, not integers" in finding.message


def test_integers_are_kept_by_relu():
    relu = jax.nn.relu
    assert not _failed(shapes.check(relu, keeps_integers=True, only=["integers"]))


def test_only_floating_parameters_are_differentiated():
    def scaled(x, slope, kind, exact, count):
        return x * slope * count

    settings = {"slope": 0.5, "kind": "a", "exact": True, "count": 2}
    findings = parameters.check(scaled, params=settings, only=["grad"])
    assert [finding.subject for finding in findings] == ["slope: grad"]
    assert findings[0].passed


def test_parameter_gradients_are_compared_in_sixteen_bits_too():
    def scaled(x, slope):
        return x * jnp.asarray(slope, jnp.result_type(x))

    only = ["dtype", "jvp", "grad", "grad of scan", "vmap"]
    findings = parameters.check(
        scaled, params={"slope": 0.5}, dtypes=["bfloat16"], only=only
    )
    assert len(findings) == len(only)
    assert not _failed(findings)


def test_differences_give_nan_beside_a_kink(x64):
    x = jnp.array([-1.0, 0.0005, 1.0])
    found = parameters.finite_differences(lambda h: jnp.abs(x + h), 0.0)
    assert np.isnan(found[1])
    np.testing.assert_allclose(found[[0, 2]], [-1, 1], rtol=1e-10)


# -- derivatives --------------------------------------------------------------


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_plain_formula_is_differentiated_piece_by_piece(order, x64):
    """The other piece overflows, and must leave no NaN behind."""

    def reference(m, x):
        def overflows():
            return m.exp(m.exp(-x * 300))

        return m.piecewise(x, [(0, "left")], [overflows, lambda: x])

    program = expression.trace(reference)
    found = derivatives.plain_derivative(program, np.array([-0.01, 2, 5]), order)
    expected = {0: [2, 5], 1: [1, 1]}.get(order, [0, 0])
    assert np.isfinite(found[0])
    np.testing.assert_array_equal(found[1:], expected)


def test_every_operation_of_a_reference_has_a_plain_derivative(x64):
    def reference(m, x):
        smooth = [
            m.exp(x),
            m.expm1(x),
            m.log(x),
            m.log1p(x),
            m.sqrt(x),
            m.tanh(x),
            m.sin(x),
            m.cos(x),
            m.atan(x),
            m.erf(x),
            m.erfc(x),
            m.sigmoid(x),
            m.softplus(x),
        ]
        return sum(smooth, m.pi * x) + m.abs(-x) + m.max(x, 1) * m.min(x, 3) / x**2

    program = expression.trace(reference)
    derivative = derivatives.plain_derivative(program, np.array([2.0]), 1)
    shift = 1e-5
    above, below = derivatives.plain_derivative(
        program, np.array([2 + shift, 2 - shift]), 0
    )
    assert derivative[0] == pytest.approx((above - below) / (2 * shift), rel=1e-9)


# -- devices ------------------------------------------------------------------


def test_eight_devices_of_this_process_are_used():
    (finding,) = devices.check(jnp.sin, only=["shard_map"])
    assert finding.passed
    assert finding.message.endswith("on 8 devices")


def test_one_device_calls_a_second_process_or_has_to_do():
    program = (
        "import jax.numpy as jnp\n"
        "from jaxacts.verify import devices\n"
        "for f in ('jax.numpy:sin', lambda x: jnp.sin(x)):\n"
        "    (found,) = devices.check(f, only=['pmap'])\n"
        "    print(found.passed, found.message)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    imported, closure = done.stdout.splitlines()
    assert imported.startswith("True")
    assert imported.endswith("on 8 devices")
    assert closure.startswith("True")
    assert closure.endswith("on 1 device")
