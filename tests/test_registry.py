"""Finding activations: names, records, text with settings, errors."""

import subprocess
import sys
import textwrap
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import jaxacts

PACKAGE = Path(jaxacts.__file__).parent


def test_every_name_and_alias_is_a_public_function():
    for name in jaxacts.names():
        record = jaxacts.spec(name)
        for public in (name, *record.aliases):
            assert getattr(jaxacts, public) is record.function
            assert public in jaxacts.__all__
            assert jaxacts.get(public) is record.function


def test_only_public_names_and_modules_are_bound():
    bound = {n for n in dir(jaxacts) if not n.startswith("_")} - set(jaxacts.__all__)
    assert all(type(getattr(jaxacts, n)).__name__ == "module" for n in bound), bound


def test_families_partition_the_names():
    families = {jaxacts.spec(n).family for n in jaxacts.names()}
    joined = [n for family in families for n in jaxacts.names(family)]
    assert sorted(joined) == list(jaxacts.names())
    assert all((PACKAGE / f"{family}.py").exists() for family in families)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match=r"'geluu' is unknown; did you mean 'gelu'"):
        jaxacts.get("geluu")
    with pytest.raises(ValueError, match="hard_swish"):
        jaxacts.spec("hardswish")
    with pytest.raises(ValueError, match="family='softmaxes'"):
        jaxacts.names("softmaxes")


def test_a_callable_comes_back_as_it_is_and_others_are_refused():
    assert jaxacts.get(np.tanh) is np.tanh
    with pytest.raises(TypeError, match="activation=3"):
        jaxacts.get(3)
    with pytest.raises(TypeError, match="not registered"):
        jaxacts.spec(np.tanh)


def test_text_carries_settings():
    x = jnp.array([-2.0, 2.0])
    got = jaxacts.get("leaky_relu(negative_slope=0.2)")(x)
    np.testing.assert_allclose(got, [-0.4, 2.0])
    exact = jaxacts.get("gelu(approximate=False)")
    np.testing.assert_array_equal(exact(x), jaxacts.gelu(x, approximate=False))


@pytest.mark.parametrize(
    "text",
    [
        "gelu(",
        "gelu(True)",
        "gelu(approximate=open)",
        "gelu(approximate=__import__('os'))",
        "gelu(slope=1)",
        "gelu(**{})",
        "gelu()()",
    ],
)
def test_malformed_settings_are_refused_and_never_evaluated(text):
    with pytest.raises(ValueError, match="activation="):
        jaxacts.get(text)


def test_a_name_cannot_be_registered_twice():
    from jaxacts._registry import register

    with pytest.raises(ValueError, match="'mish' is registered twice"):
        register(jaxacts.spec("mish"))


def test_the_core_imports_neither_flax_nor_other_extras():
    code = """
        import sys, jaxacts
        heavy = {"flax", "flint", "mpmath", "matplotlib", "optax", "rich", "chex"}
        print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
        print("jaxacts.verify" in sys.modules)
    """
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.split("\n")[:2] == ["[]", "False"]


def test_one_file_is_all_that_a_new_activation_needs(tmp_path):
    """A family file alone gives the name, the record, the docstring, the rules."""
    code = """
        import jax, jax.numpy as jnp, jaxacts
        from jaxacts._elementwise import activation

        @activation(
            family="rectifiers",
            formula=r"x^3",
            reference=lambda m, x: x * x * x,
            slope=lambda x: 3.0 * x * x,
            curvature=lambda x: 6.0 * x,
            paper="a test",
        )
        def cube(x):
            '''Cube.

            Example:
              >>> jaxacts.cube(2.0)
              Array(8., dtype=float32, weak_type=True)
            '''
            return x * x * x

        assert jaxacts.get("cube") is cube
        assert "cube" in jaxacts.names("rectifiers")
        assert "x^3" in cube.__doc__ and "Args:" in cube.__doc__
        assert jax.grad(jax.grad(cube))(2.0) == 12.0
        assert cube(jnp.ones(2, jnp.bfloat16)).dtype == jnp.bfloat16
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
