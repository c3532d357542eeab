"""What the check of residuals counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from jaxacts.verify import residuals


@jax.custom_jvp
def _relu(x):
    return jnp.maximum(x, 0)


@_relu.defjvp
def _(primals, tangents):
    y = _relu(*primals)

    def push(y, dot):
        return jnp.where(y > 0, dot, jnp.zeros_like(dot))

    return y, jax.checkpoint(push, prevent_cse=False)(y, *tangents)


def _scaled(x, slope):
    return x * slope


KEPT = {
    "nothing": (lambda x: -x, "nothing", 0),
    "the input": (jnp.square, "the input (float32)", 4),
    "the output": (_relu, "the output (float32)", 4),
    "one new array": (jnp.sin, "1 new array (float32)", 4),
    "the input once": (lambda x: x * x, "the input (float32)", 4),
    "two new arrays": (
        lambda x: jnp.sin(x) + jnp.cos(2 * x),
        "2 new arrays (float32)",
        8,
    ),
    "a mask": (lambda x: jnp.where(x > 0, -x, x + 1), "1 new array (bool)", 1),
}


@pytest.mark.parametrize("jit", ["eager", "inside", "across"])
@pytest.mark.parametrize("name", KEPT)
def test_arrays_are_told_apart_and_counted_once(name, jit):
    function, words, size = KEPT[name]
    kept = residuals.residuals(function, jit=jit)
    if name == "the input" or name == "the input once":
        # JAX keeps 2x for x², and x twice for x·x; either is one array.
        assert len(kept.arrays) == 1
    else:
        assert str(kept) == words
    assert kept.bytes_per_element == size


def test_a_parameter_is_counted_only_where_it_is_differentiated():
    settings = {"slope": 0.3}
    alone = residuals.residuals(_scaled, params=settings, jit="across")
    both = residuals.residuals(
        _scaled, params=settings, jit="across", differentiated=["slope"]
    )
    assert str(alone) == "nothing"
    assert str(both) == "the input (float32)"


def test_findings_give_bytes_of_the_dtype():
    findings = residuals.check(jnp.sin, dtypes=["bfloat16", "float32", "float64"])
    measured = {(f.dtype, f.subject): f.measured for f in findings}
    assert all(finding.passed for finding in findings)
    assert measured["bfloat16", "vjp"] == 2
    assert measured["float32", "vjp"] == 4
    assert measured["float64", "jit of vjp"] == 8


def test_more_arrays_than_allowed_are_a_failure():
    def two(x):
        return jnp.sin(x) + jnp.cos(2 * x)

    assert not any(finding.passed for finding in residuals.check(two))
    assert all(finding.passed for finding in residuals.check(two, max_arrays=2))


@pytest.mark.parametrize(("function", "size"), [(jnp.sin, 4), (_relu, 4)])
def test_a_scan_takes_one_array_a_layer(function, size):
    assert residuals.scan_bytes(function) == pytest.approx(size, abs=0.1)


def test_a_scan_shows_a_second_array():
    found = residuals.scan_bytes(lambda x: jnp.sin(x) * jnp.cos(2 * x))
    assert found >= 8
