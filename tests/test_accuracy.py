"""Value, slope and curvature of every function, on every small float and a grid of
the large ones, against exact arithmetic: within the bounds of its record, and no
worse than what was once measured."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
from accuracy_cases import (
    DTYPES,
    ORDERS,
    SMALL,
    Figure,
    golden_figures,
    measure,
    read_golden,
    surroundings,
    targets,
    usual_targets,
    worst_inputs,
)
from activation_cases import FAMILIES as FIRST_OF_FAMILIES

from jaxacts.verify import accuracy

RUNS = [(name, dtype) for name in targets() for dtype in (*DTYPES, *SMALL)]
# Left for `make slow-tests`: a further setting of a function, which differs from its
# first in the numbers alone; and float64, which differs from float32 in the
# coefficients, but for one function of every family. Both 16-bit types stay: their
# arithmetic is shorter than that of float32, and float16 has the least to spare.
FAMILIES = {str(case.spec.name) for case in FIRST_OF_FAMILIES}


def _is_fast(name: str, dtype: str) -> bool:
    if dtype == "float32":
        return True
    if name not in usual_targets():
        return False
    return dtype in ("bfloat16", "float16") or name.partition("(")[0] in FAMILIES


def _each_order():
    for name, dtype in RUNS:
        group = pytest.mark.xdist_group(f"accuracy of {name} in {dtype}")
        fast = _is_fast(name, dtype)
        for order in ORDERS[dtype]:
            label = f"{name}-{dtype}-order{order}"
            # Each third derivative is a compilation of several seconds.
            marks = [group] if fast and order < 3 else [group, pytest.mark.slow]
            yield pytest.param(name, dtype, order, id=label, marks=marks)


@functools.lru_cache(maxsize=2)  # the orders of one function follow each other
def _measured(name, dtype, third):
    kept = golden_figures(read_golden(), name, dtype)
    found = measure(name, dtype, worst_inputs(kept), third)
    return {measurement.order: measurement for measurement in found}


@pytest.mark.parametrize(("name", "dtype", "order"), list(_each_order()))
def test_error_is_within_its_bound_and_has_not_grown(name, dtype, order):
    measured = _measured(name, dtype, order == 3)[order]
    failed = [f.message for f in accuracy.findings(measured) if not f.passed]
    assert not failed, "\n".join(failed)

    golden = read_golden()
    kept = golden_figures(golden, name, dtype)
    assert kept, f"{name} in {dtype} is not measured yet: run make golden"
    if golden["surroundings"] != surroundings():
        return  # the last bits differ from one compiler or processor to another
    if order == 3:
        return  # held loosely
    now, before = Figure.of(measured), kept[order]
    # Which neighbours of the worst inputs are tried is random.
    assert now.ulp <= before.ulp * 1.02 + 0.01, (
        f"{now.ulp:.6g} ULP at {now.input}, and {before.ulp:.6g} before; "
        "make it as good as it was, or see tests/golden/update.py"
    )


def test_nothing_is_kept_of_functions_that_are_gone():
    assert set(read_golden()["figures"]) <= set(targets())


def test_errors_over_all_of_float32_are_no_less_than_those_over_some():
    # Else the record is of kernels that are gone.
    path = Path(__file__).parents[1] / "docs" / "exhaustive.json"
    some = read_golden()["figures"]
    for name, run in json.loads(path.read_text()).items():
        known = some[name if name in some else name.partition("(")[0]]["float32"]
        assert len(run["figures"]) == 3
        for order, (every, kept) in enumerate(zip(run["figures"], known, strict=False)):
            assert every[0] >= kept[0] * (1 - 1e-9), (
                f"{name}, order {order}: {every[0]:.4g} ULP at worst over all of "
                f"float32, {kept[0]:.4g} at {kept[1]}: run make exhaustive NAMES={name}"
            )
