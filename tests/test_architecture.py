"""The rules of the house, read off the imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "jaxacts"

# A module imports only from floors below its own; families share a floor.
FLOORS = [
    {"_spec", "_exact", "_coefficients", "_coefficients_remainders"}
    | {"_coefficients_periodic", "_coefficients_nested", "_coefficients_gated"}
    | {"_coefficients_serf", "_coefficients_phish", "_coefficients_sigmoidal"}
    | {"_coefficients_gelu", "_coefficients_mish"},
    {"_registry", "_documentation", "_numerics"},
    {"_arguments", "_pairs", "_program", "_concrete", "_steps"},
    {"_stamped", "_trigonometric", "_nested", "_expansion", "_triples"},
    {"_elementwise", "_gaussian", "_logistic", "_sigmoidal", "_squareplus", "_xielu"},
    {"_gelu_erf", "_gelu_tanh", "_mish"},
    {"rectifiers", "exponential", "sigmoids", "gaussian", "smooth_rectifiers", "hard"}
    | {"quadratic", "shrinkage", "inverse_root"}
    | {"periodic", "nested", "self_gated", "parametric", "composed", "pade"},
    {"normalizers", "gated", "sparse"},
    {"initializers", "taylor", "compressed"},
    {"linen", "verify"},
    {"testing"},
    {"__main__"},
]
OUTSIDE = {"jax", "numpy"}  # all that the core may need besides the library


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor_of(module: str) -> int | None:
    return next((i for i, floor in enumerate(FLOORS) if module in floor), None)


MODULES = sorted(p.stem for p in CORE.glob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_from_floors_below(module):
    own = floor_of(module)
    assert own is not None, f"{module}.py stands on no floor: add it to FLOORS"
    for name in imports(CORE / f"{module}.py"):
        parts = name.split(".")
        if parts[0] == "jaxacts" and len(parts) > 1:
            other = floor_of(parts[1])
            assert other is None or other < own, f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(set().union(*FLOORS[:6])))
def test_core_needs_jax_and_numpy_alone(module):
    import sys

    for name in imports(CORE / f"{module}.py"):
        top = name.split(".")[0]
        allowed = OUTSIDE | {"jaxacts"} | set(sys.stdlib_module_names)
        assert top in allowed, f"{module} imports {name}"
        assert "jax._src" not in name, f"{module} imports the private {name}"


@pytest.mark.parametrize("folder", ["flax_models", "examples"])
def test_models_and_examples_use_the_public_interface(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for name in imports(path):
            assert not name.startswith("jaxacts._"), f"{path.name} imports {name}"
            assert "._src" not in name, f"{path.name} imports {name}"
