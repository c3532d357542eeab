"""The verifier rejects every planted defect for the right reason, and no clean one."""

from __future__ import annotations

import pytest
from clean_activations import CLEAN
from defects_of_accuracy import ACCURACY
from defects_of_behaviour import BEHAVIOUR

from jaxacts.verify import behaviour, verify
from jaxacts.verify.api import CHECKS


def _listed(findings):
    return "\n".join(f"{f.check}, {f.subject}: {f.message}" for f in findings)


def _assert_rejected(defect, findings):
    failed = [finding for finding in findings if not finding.passed]
    reasons = [
        finding.message
        for finding in failed
        if (finding.check, finding.subject) == (defect.check, defect.subject)
    ]
    assert any(defect.message in reason for reason in reasons), (
        f"{defect.name}: expected {defect.check}, {defect.subject}: "
        f"...{defect.message}...\nfailed were\n{_listed(failed)}"
    )


@pytest.mark.parametrize("defect", BEHAVIOUR, ids=lambda defect: defect.name)
def test_defect_of_behaviour_is_rejected(defect):
    findings = behaviour.check(
        defect.function,
        reference=defect.reference,
        groups=defect.groups,
        **defect.options,
    )
    _assert_rejected(defect, findings)


@pytest.mark.parametrize("defect", ACCURACY, ids=lambda defect: defect.name)
def test_defect_of_accuracy_is_rejected(defect):
    report = verify(
        defect.function, defect.reference, checks=defect.groups, **defect.options
    )
    assert not report.passed
    _assert_rejected(defect, report.findings)


def test_at_least_twenty_defects_have_names_of_their_own():
    names = [defect.name for defect in (*BEHAVIOUR, *ACCURACY)]
    assert len(set(names)) == len(names) >= 20


@pytest.mark.parametrize("clean", CLEAN, ids=lambda clean: clean.name)
def test_clean_activation_raises_no_alarm(clean):
    findings = behaviour.check(
        clean.function,
        params=clean.params,
        keeps_integers=clean.keeps_integers,
        reference=clean.reference,
        dtypes=["float32"],
    )
    checks = {finding.check for finding in findings}
    assert checks >= {"transform", "shape", "derivative", "residuals", "processors"}
    failed = [finding for finding in findings if not finding.passed]
    assert not failed, _listed(failed)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", "float8_e4m3fn"])
def test_clean_activation_with_parameter_raises_no_alarm_in_other_dtypes(dtype):
    (clean,) = (clean for clean in CLEAN if clean.name == "swish")
    findings = behaviour.check(
        clean.function,
        params=clean.params,
        reference=clean.reference,
        dtypes=[dtype],
        groups=["transforms", "shapes", "parameters", "residuals"],
    )
    failed = [finding for finding in findings if not finding.passed]
    assert findings
    assert not failed, _listed(failed)


# The checks of behaviour on relu alone are in tests/test_behaviour.py.
@pytest.mark.parametrize(
    "checks",
    [
        pytest.param(["accuracy", "special values"], id="numbers"),
        pytest.param(CHECKS, id="all", marks=pytest.mark.slow),
    ],
)
def test_accurate_activation_raises_no_alarm(checks):
    report = verify("relu", dtypes=["bfloat16"], checks=checks)
    assert report.findings
    assert report.passed, report.table()
