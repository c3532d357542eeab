"""Reports: what people and programs read."""

from __future__ import annotations

import dataclasses
import json
import math

import jax.numpy as jnp
import pytest

from jaxacts.verify import CHECKS, Finding, Report, verify
from jaxacts.verify.report import write_atomically

NUMERICS = ["accuracy", "special values"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "verify-report"
    monkeypatch.setenv("JAXACTS_CACHE_DIR", str(folder))


def identity(m, x):
    return x


def wrong(x):
    y = jnp.where(x == 2, x * jnp.asarray(1.25, x.dtype), x)
    return jnp.where(x == 3, jnp.full_like(x, jnp.nan), y)


@pytest.fixture(scope="module")
def report():
    return verify(
        wrong,
        identity,
        dtypes=["float16", "float8_e4m3fn"],
        orders=[0, 1],
        against=lambda x: x,
        checks=NUMERICS,
        keep_profile=True,
    )


def test_a_report_says_what_failed_and_where(report):
    assert not report.passed
    assert report.worst.dtype in ("float16", "float8_e4m3fn")
    table = report.table()
    assert "wrong, accuracy, float16 order 0: f(0x1.0000000000000p+1) = 2.5" in table
    assert "NaN where the truth is a number at 1 inputs" in table
    assert table.splitlines()[-1].startswith("FAILED: ")
    assert len(report.about) == len(report.findings)


def test_a_passing_report_passes():
    good = verify(lambda x: x, identity, dtypes=["float8_e5m2"], checks=NUMERICS)
    assert good.passed
    assert good.failures == ()
    assert good.table().splitlines()[-1].startswith("passed: ")


def test_orders_above_the_value_are_left_out_in_8_bits(report):
    orders = {(m.dtype, m.order) for m in report.measurements}
    assert orders == {("float16", 0), ("float16", 1), ("float8_e4m3fn", 0)}


def test_the_competitor_stands_beside_and_is_not_judged(report):
    assert {m.order for m in report.against} == {0, 1}
    assert all(m.ulp is None for m in report.against)
    assert "<lambda> f" in report.table().splitlines()[0]


def test_json_is_strict_and_complete(report):
    document = json.loads(report.json(), parse_constant=pytest.fail)
    assert document["passed"] is False
    assert len(document["findings"]) == len(report.findings)
    assert {m["dtype"] for m in document["measurements"]} == {
        "float16",
        "float8_e4m3fn",
    }
    (first, *_) = document["measurements"]
    assert first["ulp"]["input"] == (2.0).hex()
    assert set(document["environment"]) >= {"jax", "jaxlib", "python-flint", "date"}


def test_infinite_figures_are_strings_in_json():
    finding = Finding(
        check="accuracy", subject="x", passed=False, message="", measured=math.inf
    )
    document = json.loads(Report(findings=(finding,), about=("f",)).json())
    assert document["findings"][0]["measured"] == "inf"


def test_markdown_has_one_row_a_dtype(report):
    rows = [line for line in report.markdown().splitlines() if line.startswith("| wr")]
    assert len(rows) == 2
    assert "256 NaN" in rows[0]
    assert "Failed checks:" in report.markdown()


def test_reports_join(report):
    joined = Report.join([report, report])
    assert len(joined.findings) == 2 * len(report.findings)
    assert joined.competitor == report.competitor
    assert Report.join([]).passed


def test_a_plot_shows_the_error_along_the_line(report, tmp_path):
    from matplotlib import image

    path = report.plot(tmp_path / "error.png")
    picture = image.imread(path)
    assert picture.shape[0] > 400
    assert picture[..., :3].std() > 0.05
    assert [p.name for p in tmp_path.iterdir()] == ["error.png"]


def test_a_plot_needs_profiles(report):
    bare = dataclasses.replace(
        report,
        measurements=tuple(
            dataclasses.replace(m, profile=None) for m in report.measurements
        ),
    )
    with pytest.raises(ValueError, match="keep_profile=True"):
        bare.plot("never.png")


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_atomically(path, "old")

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("jaxacts.verify.report.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtypes": ["float12"]}, "dtype must be a floating-point type"),
        ({"dtypes": "float32"}, "dtypes must be a non-empty sequence"),
        ({"orders": [4]}, "orders must be among"),
        ({"orders": []}, "orders must be among"),
        ({"checks": ["speed"]}, "checks must be among"),
        ({"max_ulp": {"float12": 1}}, "dtype must be a floating-point type"),
        ({"against": "no.such.module"}, "cannot import 'no.such.module'"),
        ({"reference": "x +"}, "column 4"),
        ({"reference": None}, "reference is needed for wrong"),
        ({"function": "swisch"}, "unknown"),
        ({"function": "json:dumps2"}, "has no 'dumps2'"),
        ({"function": "nosuch:f"}, "cannot import 'nosuch'"),
        ({"function": 3}, "function must be a name or a callable"),
        ({"function": "softmax", "reference": None}, "not elementwise"),
    ],
)
def test_bad_arguments_are_named(options, message):
    given = {"function": wrong, "reference": identity, "checks": NUMERICS, **options}
    with pytest.raises(ValueError, match=message):
        verify(**given)


def test_a_bound_is_one_number_or_one_an_order():
    def off(x):
        return jnp.where(x == 2, x * jnp.asarray(1.25, x.dtype), x)

    for bound, passed in ((300, True), (10, False), ([300], True), ((1, 300), False)):
        found = verify(
            off,
            identity,
            dtypes=["float16"],
            orders=[0],
            max_ulp={"float16": bound},
            checks=["accuracy"],
        )
        assert found.passed is passed, bound


def test_another_librarys_function_is_held_to_our_record_of_that_name():
    found = verify("jax.nn:relu", dtypes=["float16"], orders=[0], checks=["accuracy"])
    assert found.passed
    assert "jax.nn:relu is held to the record of jaxacts.relu" in found.notes


def test_every_setting_of_a_registered_function_is_verified():
    found = verify("gelu", dtypes=["float8_e5m2"], checks=["accuracy"])
    names = {m.name for m in found.measurements}
    assert names == {"gelu", "gelu(approximate=False)"}
    (only,) = verify(
        "gelu",
        dtypes=["float8_e5m2"],
        params={"approximate": False},
        checks=["accuracy"],
    ).measurements
    assert only.name == "gelu(approximate=False)"


def test_a_competitor_without_the_function_is_noted():
    found = verify(
        "mish", dtypes=["float8_e5m2"], checks=["accuracy"], against="jax.lax"
    )
    assert "jax.lax has no mish" in found.notes
    assert found.against == ()


def test_checks_name_all_there_are():
    assert CHECKS[:2] == ("accuracy", "special values")
    assert {"transforms", "residuals", "lowering", "processors"} <= set(CHECKS)


def test_assert_activation_passes_and_fails_with_the_table():
    from jaxacts.testing import assert_activation

    def check(function, reference):
        assert_activation(
            function,
            reference,
            max_ulp={"float16": 0.5},
            orders=[0],
            checks=["accuracy"],
        )

    check(lambda x: x, identity)
    with pytest.raises(AssertionError, match="expected 2: 256 ULP"):
        check(wrong, "x")
