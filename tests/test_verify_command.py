"""``jaxacts verify``: arguments, files and exit status."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest

from jaxacts.verify import _command

QUICK = ["--dtype", "float8_e5m2", "--check", "accuracy"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "verify-command"
    monkeypatch.setenv("JAXACTS_CACHE_DIR", str(folder))


def run(*arguments):
    parser = argparse.ArgumentParser(prog="jaxacts verify")
    _command.add_arguments(parser)
    return _command.run(parser.parse_args([*arguments, *QUICK]))


def test_success_is_0_and_the_table_is_printed(capsys):
    assert run("relu", "relu6") == 0
    captured = capsys.readouterr()
    assert "relu6     float8_e5m2" in captured.out
    assert "passed: 2 of 2 checks held" in captured.out
    assert "[2/2] relu6: passed" in captured.err


def test_a_name_may_carry_settings(capsys):
    assert run("leaky_relu6(negative_slope=0.5)") == 0
    assert "leaky_relu6(negative_slope=0.5)" in capsys.readouterr().out


def test_a_broken_bound_is_1(capsys):
    assert run("jax.numpy:sin", "--reference", "x") == 1
    assert "FAILED  jax.numpy:sin, accuracy, float8_e5m2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the name of a function, or --all"),
        (["relu", "--all"], "give the name of a function, or --all"),
        (["rellu"], "did you mean"),
        (["gelu(aproximate=1)"], "gelu has no setting 'aproximate'"),
        (["relu", "--dtype", "float9"], "dtype must be a floating-point type"),
        (["jax.numpy:sin", "--reference", "x*(1+"], "column 6"),
        (["jax.numpy:sin"], "reference is needed for jax.numpy:sin"),
        (["relu", "relu6", "--reference", "x"], "--reference goes with one function"),
        (["relu", "--param", "3"], "--param '3': expected NAME=VALUE"),
        (["relu", "--max-ulp", "float32"], "--max-ulp 'float32': expected"),
        (["relu", "--max-ulp", "float32=1,2,3,4"], "expected DTYPE=ULP"),
        (["relu", "--points", "1"], "--points must be at least 100"),
        (["relu", "--check", "speed"], "checks must be among"),
        (["relu", "--json", "/no/such/folder/x.json"], "there is no such folder"),
        (["relu", "--against", "no.module"], "cannot import 'no.module'"),
    ],
)
def test_bad_usage_is_2_with_one_clear_line(capsys, arguments, message):
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("jaxacts verify: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_json_and_markdown_are_written(tmp_path):
    paths = tmp_path / "report.json", tmp_path / "report.md"
    assert run("relu", "--json", str(paths[0]), "--markdown", str(paths[1])) == 0
    assert json.loads(paths[0].read_text())["passed"] is True
    assert "| relu | float8_e5m2 | 0.00 |" in paths[1].read_text()


def test_parameters_reach_function_and_reference():
    formula = "where(x > 0, x, slope*x)"
    arguments = ["jax.nn:leaky_relu", "--param", "negative_slope=0.5"]
    text = formula.replace("slope", "negative_slope")
    assert run(*arguments, "--reference", text) == 0
    assert run(*arguments, "--reference", text.replace("negative_slope", "0.25")) == 1


def test_a_module_in_the_working_directory_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_own_module.py").write_text("def square(x):\n    return x * x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    assert run("my_own_module:square", "--reference", "x^2") == 0


def test_words_and_numbers_are_told_apart():
    found = _command._parameters(["a=True", "b=none", "c=1e-3", "d=tanh"])
    assert found == {"a": True, "b": None, "c": 1e-3, "d": "tanh"}


def test_the_module_runs_as_a_program():
    command = [sys.executable, "-m", "jaxacts.verify", "rellu", *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "did you mean" in done.stderr
    assert "Traceback" not in done.stderr


def test_importing_the_package_imports_nothing_of_the_verifier():
    code = (
        "import sys, jaxacts, jaxacts.testing;"
        "bad = {'flint', 'mpmath', 'matplotlib', 'rich', 'jaxacts.verify'};"
        "print(sorted(bad & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
