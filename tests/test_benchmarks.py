"""Benchmarks count right and keep their records; their page says what is missed."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import math
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jaxacts

# One process writes the page that several tests read.
pytestmark = pytest.mark.xdist_group("benchmarks")
ROOT = Path(__file__).parents[1]
RUN = {
    "command": "python benchmarks/speed.py",
    "jax": "1.2.3",
    "processor": "abacus",
    "threads": 2,
    "date": "2026-01-01",
}


@pytest.fixture
def module(monkeypatch):
    """Imports a module of benchmarks/ or docs/."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    yield importlib.import_module
    # Both folders have a module of this name.
    sys.modules.pop("speed", None)


def ran(script, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def assert_one_line(out, *words):
    """Exit status 2 and a line that says what is wrong."""
    assert out.returncode == 2, out.stderr
    assert "Traceback" not in out.stderr
    last = out.stderr.rstrip().splitlines()[-1]
    assert all(word in last for word in words), last


# --- statistics ----------------------------------------------------------------------


def test_a_ratio_is_of_pairs_and_blind_to_what_slows_both(module):
    slow = [1.0, 100.0, 3.0, 7.0, 1000.0, 2.0, 5.0]
    found = module("_timing").ratio([2.5 * s for s in slow], slow)
    assert (found.median, found.low, found.high) == (2.5, 2.5, 2.5)


@pytest.mark.parametrize("pairs", [6, 7, 8, 14, 15, 25, 40])
def test_the_interval_holds_the_median_with_95_percent_and_is_the_shortest(
    module, pairs
):
    numbers = [float(k) for k in range(pairs)]
    found = module("_timing").ratio(numbers[::-1], [1.0] * pairs)
    below = int(found.low)
    assert found.high == pairs - 1 - below
    assert found.median == (pairs - 1) / 2

    def missed(cut):
        return 2 * sum(math.comb(pairs, k) for k in range(cut + 1)) / 2**pairs

    assert missed(below) <= 0.05 < missed(below + 1)


def test_fewer_pairs_than_the_fewest_cannot_hold_it(module):
    assert 2 * 0.5 ** (module("_timing").FEWEST_ROUNDS - 1) > 0.05


def test_contenders_take_turns_and_each_comes_after_each_other(module):
    calls = []
    contenders = {name: lambda n=name: calls.append(n) for name in "abc"}
    seconds = module("_timing").interleaved(contenders, rounds=24)
    warm, turns = calls[:3], [calls[k : k + 3] for k in range(3, len(calls), 3)]
    assert warm == ["a", "b", "c"]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert {tuple(turn[:2]) for turn in turns} == set(itertools.permutations("abc", 2))
    assert {len(times) for times in seconds.values()} == {24}


def test_what_is_repeated_is_computed_every_time(module):
    import jax.numpy as jnp

    timed = module("_contenders")
    x = jnp.linspace(-1.0, 1.0, 64)
    repeated = timed.Donated(timed.results(jnp.sin, "vjp"), x, x, repeats=8)
    compiled = repeated.call.lower(*repeated.inputs, *repeated.last).compile()
    entry = compiled.as_text().split("ENTRY")[1]
    assert " while(" in entry
    assert " fusion(" not in entry, entry


# --- records -------------------------------------------------------------------------


def test_a_record_keeps_the_rows_of_others_with_their_run(module, tmp_path):
    records, path = module("_records"), tmp_path / "speed.json"
    later = RUN | {"date": "2026-02-02"}
    first = [{"name": "silu", "kind": "vjp", "x": 1}, {"name": "silu", "kind": "value"}]
    records.save(path, first, ("name", "kind"), RUN)
    again = [{"name": "silu", "kind": "vjp", "x": 2}]
    records.save(path, again, ("name", "kind"), later)
    assert records.read(path) == [
        {"name": "silu", "kind": "vjp", "x": 2, "run": later},
        {"name": "silu", "kind": "value", "run": RUN},
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["speed.json"]


def test_a_run_says_which_flags_xla_was_given(module, monkeypatch):
    records = module("_records")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX")
    assert records.environment()["XLA_FLAGS"] == "--xla_cpu_max_isa=AVX"
    monkeypatch.delenv("XLA_FLAGS")
    assert "XLA_FLAGS" not in records.environment()


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": [], "rows": [{"run": 0}]}'])
def test_what_is_no_record_is_refused_and_left_alone(module, tmp_path, text):
    records, path = module("_records"), tmp_path / "speed.json"
    path.write_text(text)
    with pytest.raises(records.RecordError, match=r"speed\.json is not a record"):
        records.save(path, [{"name": "silu"}], ("name",), RUN)
    assert path.read_text() == text


def test_rows_of_an_older_form_are_refused_and_left_alone(module, tmp_path):
    records, path = module("_records"), tmp_path / "speed.json"
    records.save(path, [{"name": "silu"}], ("name",), RUN)
    text = path.read_text()
    with pytest.raises(records.RecordError, match="a row without 'vectors'"):
        records.save(
            path, [{"name": "silu", "vectors": "512"}], ("name", "vectors"), RUN
        )
    assert path.read_text() == text
    out = ran("docs/speed.py", "--folder", tmp_path)
    assert_one_line(out, "a row without", "delete it and measure again")


MACHINE_CODE = """
0000000000000000 <outside>:
   0:   push   rbx
   1:   xor    eax,eax
   3:   nop    DWORD PTR [rax+0x0]
   8:   vmovups ymm0,YMMWORD PTR [rcx+rax*4]
   d:   vmovups YMMWORD PTR [rsp+0x20],ymm0
  10:   vdivps ymm1,ymm2,ymm0        # a comment
  14:   nop
  15:   vmovups YMMWORD PTR [rdx+rax*4],ymm1
  1a:   vmovups YMMWORD PTR [rdx+rax*4+0x20],ymm1
  20:   add    rax,0x10
  24:   cmp    rax,0x200000
  2a:   jne    8 <outside+0x8>
  2c:   inc    rbx
  30:   jne    1 <outside+0x1>
  32:   ret
"""


@pytest.mark.parametrize(("size", "instructions"), [(4, 3.5), (2, 1.8)])
def test_instructions_of_the_inner_loop_are_counted_for_eight_numbers(
    module, size, instructions
):
    instructions_module = module("instructions")
    (body,) = instructions_module.loops(MACHINE_CODE)
    assert body[0].startswith("vmovups ymm0")
    assert body[-1].startswith("cmp")
    count = instructions_module.counted([body], size)
    # Seven, without the jump and the nop, in which sixteen float32 are stored.
    assert (count.instructions, count.divisions, count.calls) == (
        *(instructions, round(size / 8, 1)),
        0,
    )


def test_all_elementwise_functions_are_measured_once(module):
    chosen = module("_usual").chosen([], everything=True)
    names = [jaxacts.spec(name).name for name, _ in chosen]
    elementwise = [n for n in jaxacts.names() if jaxacts.spec(n).elementwise]
    assert sorted(set(names)) == sorted(elementwise)
    assert len(chosen) == len(set(map(str, chosen)))


# --- the page ------------------------------------------------------------------------


def row(function, dtype="float32", kind="vjp", settings=None, **figures):
    """A row of docs/speed.json: contender to copies; of others, to the interval."""
    ours = figures["jaxacts"]
    names = {"jax_nn": "jax.nn", "torch": "torch"}
    others = {names[k]: v for k, v in figures.items() if k in names}
    copies = {k: [v[1] * ours] * 3 for k, v in others.items()}
    inside = ", ".join(f"{k}={v}" for k, v in (settings or {}).items())
    return {
        "name": f"{function}({inside})" if inside else function,
        "function": function,
        "settings": settings or {},
        "dtype": dtype,
        "kind": kind,
        "size": "memory",
        "distribution": "normal",
        "vectors": "usual",
        "copies": {"jaxacts": [ours] * 3} | copies,
        "against": {k: [v[1], v[0], v[2]] for k, v in others.items()},
        "nanoseconds": {"jaxacts": ours},
        **({"over_value": figures["over_value"]} if "over_value" in figures else {}),
    }


def record(*rows):
    return json.dumps({"runs": [RUN], "rows": [r | {"run": 0} for r in rows]})


def lines_of(page, function, heading):
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith(f"| `{function}`")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records, and the page and picture written from them."""
    folder = tmp_path_factory.mktemp("records")
    (folder / "speed.json").write_text(
        record(
            row("silu", jaxacts=2.61, jax_nn=(0.8, 0.9, 0.99), torch=(0.5, 0.9, 1.1)),
            row("tanh", jaxacts=2.60, jax_nn=(1.5, 1.6, 1.7)),
            row("mish", jaxacts=3.5, jax_nn=(1.0, 1.2, 1.4)),
            row("mish", "bfloat16", jaxacts=6.01, jax_nn=(2.0, 2.5, 3.0)),
            row("silu", kind="second", jaxacts=1.0, over_value=[2.1, 1.9, 2.3]),
        )
    )
    (folder / "memory.json").write_text(
        record(
            {"name": "gelu(approximate=True)", "dtype": "float32"}
            | {"jaxacts": {"kept": 4.0, "scan": 33.0, "unrolled": 68.0}}
            | {"jax.nn": {"kept": 20.0, "scan": 79.0, "unrolled": 69.0}},
        )
    )
    out = ran("docs/speed.py", "--folder", folder)
    assert out.returncode == 0, out.stderr
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "speed.md").read_text()


def test_the_page_marks_what_misses_its_goal_and_nothing_else(page):
    (silu,) = lines_of(page, "silu", "Value and vjp, float32")
    (tanh,) = lines_of(page, "tanh", "Value and vjp, float32")
    (mish,) = lines_of(page, "mish", "Value and vjp, float32")
    assert "| 2.6 | 2.61 ✗ |" in silu
    assert "| 2.6 | 2.60 |" in tanh
    assert "| 3.5 | 3.50 |" in mish  # two exponentials
    assert "✗" not in tanh + mish
    (rough,) = lines_of(page, "mish", "Value and vjp, bfloat16")
    assert "| 6.0 | 6.01 ✗ |" in rough
    missed = "Goals missed"
    assert len(lines_of(page, "silu", missed)) == 1
    assert not lines_of(page, "tanh", missed)
    assert len(lines_of(page, "mish", missed)) == 1
    (second,) = lines_of(page, "silu", "jvp and second derivative beside the value")
    assert "2.10 [1.90, 2.30] ✗" in second


def test_the_page_names_what_is_slower_beyond_noise_alone(page):
    (slower,) = lines_of(page, "silu", "Slower than another library")
    assert "| jax.nn | 1.11 [1.01, 1.25] |" in slower  # torch's interval holds 1
    assert "ours is slower in 1," in page


def test_the_page_gives_the_geometric_mean_beside_its_goal(page):
    mean = (0.9 * 1.6 * 1.2) ** (1 / 3)
    assert f"| Value and vjp | float32 | jax.nn | 3 | 1.4 | {mean:.2f} ✗ |" in page
    assert "| Value and vjp | bfloat16 | jax.nn | 1 | 2.2 | 2.50 |" in page


def test_the_page_says_where_a_saving_of_memory_vanishes(page):
    (gelu,) = lines_of(page, "gelu(approximate=True)", "Memory")
    assert "33.0 ✗ / 79.0" in gelu
    assert "the saving vanishes unrolled" in gelu


def test_the_page_says_command_versions_processor_and_date(page):
    assert "`python benchmarks/speed.py`: jax 1.2.3, processor abacus" in page
    assert "threads 2, date 2026-01-01" in page


def test_page_and_picture_are_compared_with_the_record(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "speed.json").write_text(record(row("silu", jaxacts=2.0)))
    out = ran("docs/speed.py", "--check", "--folder", tmp_path)
    assert out.returncode == 1
    assert "speed.md is not up to date" in out.stdout
    assert "speed.png is not up to date" in out.stdout


def test_an_unreadable_record_ends_in_one_line(tmp_path):
    (tmp_path / "speed.json").write_text("{")
    out = ran("docs/speed.py", "--folder", tmp_path)
    assert_one_line(out, "speed.json is not a record", "measure again")
    assert [p.name for p in tmp_path.iterdir()] == ["speed.json"]


@pytest.mark.parametrize(
    ("function", "settings", "count"),
    [
        ("relu", {}, 0),
        ("silu", {}, 1),
        ("softplus", {}, 1),
        ("gelu", {"approximate": True}, 1),
        ("gelu", {"approximate": False}, 2),
        ("mish", {}, 2),
    ],
)
def test_the_goal_of_a_function_follows_from_its_formula(
    module, function, settings, count
):
    assert module("speed_goals").exponentials(function, settings) == count


# --- the commands --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["speed.py", "--save", "--rounds", "5"], ["--rounds 5", "6 or more"]),
        (["memory.py", "geluu"], ["no elementwise function is named 'geluu'"]),
        (["gpu.py", "--elements", "2**x"], ["'2**x' is no count"]),
    ],
)
def test_bad_arguments_end_in_one_line(arguments, words):
    script, *rest = arguments
    assert_one_line(ran(f"benchmarks/{script}", *rest), *words)


def test_without_a_gpu_the_benchmark_says_so(module):
    import jax

    if jax.default_backend() == "gpu":
        pytest.skip("the message is for machines without a GPU, and this one has one")
    assert_one_line(ran("benchmarks/gpu.py"), "no gpu", "--device cpu")


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="reads x86-64 code"
)
@pytest.mark.skipif(not shutil.which("objdump"), reason="needs objdump of binutils")
def test_instructions_are_counted_in_what_xla_compiles():
    out = ran("benchmarks/instructions.py", "relu", "--kind", "value")
    assert out.returncode == 0, out.stderr
    name, kind, dtype, *counts = out.stdout.split()
    assert (name, kind, dtype) == ("relu", "value", "float32")
    # Ours is jax.nn's function, to the instruction: a maximum, and what NaN needs.
    assert counts == ["jaxacts", counts[1], "jax.nn", counts[1]]
    assert 2 <= float(counts[1]) <= 20


def test_without_objdump_the_benchmark_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    out = ran("benchmarks/instructions.py", "relu")
    assert_one_line(out, "objdump")


def test_without_libtpu_the_benchmark_says_so():
    if importlib.util.find_spec("libtpu"):
        pytest.skip("the message is for machines without libtpu, and it is installed")
    assert_one_line(ran("benchmarks/tpu.py"), "libtpu is not installed")


def test_the_gpu_benchmark_runs_on_a_cpu():
    tiny = ["--elements", "2**10", "--device", "cpu", "--rounds", "2", "--calls", "2"]
    out = ran("benchmarks/gpu.py", "relu", *tiny, "--against", "jax.nn")
    assert out.returncode == 0, out.stderr
    assert out.stdout.count("jaxacts") == out.stdout.count("jax.nn") == 2


def test_four_arrays_in_the_time_of_two_copies_are_full_bandwidth(module):
    seconds = {"copy": [1.0] * 7, "jaxacts": [2.0] * 7}
    gpu = module("gpu")
    assert gpu.shares(seconds, "vjp")["jaxacts"].median == 1.0
    assert gpu.shares(seconds, "value")["jaxacts"].median == 0.5
