"""What the README shows works, and its commands are the ones that CI runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import jaxacts

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (.+)$", README, re.MULTILINE)


def test_the_ten_lines_run():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.rstrip().endswith("(2, 10)")


def test_two_commands_install_everything_and_need_nothing_before():
    train, test = COMMANDS[:2]
    for command in (train, test):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
        assert "-c constraints.txt" in command
    assert train.endswith(".venv/bin/python examples/train_resnet.py")
    assert ".venv/bin/python -m pytest" in test


def test_ci_runs_the_test_command_of_the_readme():
    # .ci/run reads the line with this expression; it must find exactly one.
    assert "-m pytest" in (ROOT / ".ci" / "run").read_text()
    assert len([c for c in COMMANDS if "-m pytest" in c]) == 1


def test_further_commands_parse():
    for command in COMMANDS[2:]:
        program, task, *words = shlex.split(command)
        assert program in (".venv/bin/python", ".venv/bin/jaxacts")
        options = [w for w in words if w.startswith("--")]
        called = ["-m", "jaxacts", task] if "jaxacts" in program else [str(ROOT / task)]
        out = subprocess.run(
            [sys.executable, *called, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert all(option in out for option in options)


PAGES = [
    script.name
    for script in sorted((ROOT / "docs").glob("*.py"))
    if '"--check"' in script.read_text()
]


@pytest.mark.parametrize("page", PAGES)
def test_what_is_generated_is_up_to_date(page):
    script = [sys.executable, str(ROOT / "docs" / page), "--check"]
    found = subprocess.run(script, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_function_is_named():
    for name in jaxacts.names():
        assert f"`{name}`" in README


def test_every_file_that_the_readme_points_to_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
