"""What the checks of lowering and of processors report."""

from __future__ import annotations

import importlib.util
import platform

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxacts.verify import lowering, processors


def _failed(findings):
    return [finding for finding in findings if not finding.passed]


# -- lowering -----------------------------------------------------------------


def test_value_and_gradient_lower_for_every_platform():
    findings = lowering.check(jax.nn.silu, dtypes=["float32", "bfloat16"])
    assert not _failed(findings)
    lowered = {(f.dtype, f.subject) for f in findings}
    assert {
        (dtype, f"{name}: {what}")
        for dtype in ("float32", "bfloat16")
        for name in lowering.PLATFORMS
        for what in ("value", "gradient")
    } <= lowered


def test_a_platform_without_a_rule_is_named():
    def without_rocm(x):
        return lax.platform_dependent(x, cpu=jnp.sin, cuda=jnp.sin, tpu=jnp.sin)

    failed = _failed(lowering.check(without_rocm))
    assert [f.subject for f in failed] == ["rocm: value", "rocm: gradient"]


def test_an_unknown_platform_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"\['metal'\].*cpu, cuda, rocm, tpu"):
        lowering.check(jnp.sin, platforms=["metal"])


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (lambda x: jnp.maximum(x, 0), 0),
        (jnp.tanh, 1),
        (lambda x: jnp.tanh(jnp.log1p(jnp.exp(x))), 3),
    ],
    ids=["relu", "tanh", "tanh log1p exp"],
)
def test_transcendental_operations_of_the_compiled_program_are_counted(function, count):
    findings = lowering.check(function, platforms=[])
    (value,) = (f for f in findings if f.subject == "HLO: value")
    assert value.measured == count
    assert f"{count} transcendental operation" in value.message


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is not None, reason="libtpu is installed"
)
def test_without_libtpu_nothing_is_compiled_for_a_tpu():
    findings = lowering.check(jnp.sin, platforms=[], tpu_topology="v5e:2x2")
    tpu = [f for f in findings if f.subject.startswith("TPU")]
    assert [f.message for f in tpu] == ["not run: libtpu is not installed"] * 2


# -- processors ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float8_e5m2"])
def test_grid_has_both_signs_the_largest_number_and_no_nan(dtype):
    grid = processors.grid(dtype)
    assert grid.dtype == jnp.dtype(dtype)
    numbers = grid.astype(np.float64)
    assert not np.isnan(numbers).any()
    finite = numbers[np.isfinite(numbers)]
    assert finite.max() == float(jnp.finfo(dtype).max) == -finite.min()
    tiny = float(jnp.finfo(dtype).smallest_normal)
    assert ((finite > 0) & (finite < 100 * tiny)).any()


def test_grid_holds_every_number_of_sixteen_bits():
    assert processors.grid("float16").size == 2**16 - 2 * (2**10 - 1)


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="needs an x86-64 CPU"
)
def test_a_closure_is_compared_in_every_dtype_and_order():
    findings = processors.check(
        lambda x: 2 * jnp.sin(x), dtypes=["float32", "float64", "bfloat16"]
    )
    assert not _failed(findings), [f.message for f in _failed(findings)]
    assert [(f.dtype, f.order) for f in findings] == [
        ("float32", 0),
        ("float32", 1),
        ("float32", 2),
        ("float64", 0),
        ("float64", 1),
        ("float64", 2),
        ("bfloat16", 0),
        ("bfloat16", 1),
        ("bfloat16", 2),
    ]
    assert all(f.measured is not None for f in findings)


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="needs an x86-64 CPU"
)
def test_a_function_that_cannot_be_traced_is_a_finding():
    (finding,) = processors.check(np.tanh, orders=[0])
    assert not finding.passed
    assert "TracerArrayConversionError" in finding.message


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="needs an x86-64 CPU"
)
def test_types_that_are_converted_by_hardware_are_compared_too():
    findings = processors.check(
        jnp.sin, dtypes=["float16", "float8_e4m3fn"], orders=[0]
    )
    assert [finding.passed for finding in findings] == [True, True]
    assert all(finding.measured is not None for finding in findings)


def test_another_architecture_is_said_to_be_out_of_reach(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    (finding,) = processors.check(jnp.sin, orders=[0])
    assert finding.passed
    assert finding.message == "not run: XLA cannot leave FMA out on aarch64"
