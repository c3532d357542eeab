"""The verifier's own checks of behaviour, on our functions.

What backward keeps, and lowering for every platform, of one function of a family;
all checks on a few that stand for a kind. ``make slow-tests`` runs the first on every
function, ``make behaviour`` all checks on all functions.
"""

from __future__ import annotations

import pytest
from accuracy_cases import targets, usual_targets
from activation_cases import FAMILIES

from jaxacts.verify import behaviour

# The first function of every family, in its first setting.
FIRST = {
    n
    for n in usual_targets()
    if n.partition("(")[0] in {case.spec.name for case in FAMILIES}
}
# A kinked function with a parameter, one kept by its output, a smooth one.
WHOLE = ("prelu(negative_slope=0.25)", "relu", "softplus")


def _failures(target, groups):
    findings = behaviour.check(
        target.function,
        dtypes=["float32"],
        params=target.keywords,
        keeps_integers=target.keeps_integers,
        reference=target.reference,
        groups=groups,
        max_ulp=4.0,
        floor=0.0,
    )
    assert findings
    return [f"{f.check}, {f.subject}: {f.message}" for f in findings if not f.passed]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FIRST else pytest.mark.slow)
        for name in targets()
    ],
)
def test_backward_keeps_one_array_and_every_platform_is_lowered_for(name):
    failed = _failures(targets()[name], ["residuals", "lowering"])
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("name", WHOLE)
def test_every_transformation_shape_device_and_processor_agrees(name):
    failed = _failures(targets()[name], behaviour.GROUPS)
    assert not failed, "\n".join(failed)
