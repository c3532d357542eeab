"""How many instructions XLA's loops take for eight numbers, beside those of jax.nn.

    python benchmarks/instructions.py                  # the fourteen usual functions
    python benchmarks/instructions.py silu --kind slope --dtype bfloat16 --show

Times on a shared machine vary by a third from run to run; what the processor is told to
do does not. A function of 4M numbers is compiled for the processor at hand, XLA's
machine code is read with objdump (of binutils), and the instructions of each loop are
counted, for as many numbers as it stores, and scaled to eight. "Slope" and "second" are
the derivative alone, "calls" how often a loop calls other code, which is not counted.
x86-64 alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import _records
from _usual import add_names, chosen, fail, label, with_progress

RECORD = Path(__file__).parents[1] / "docs" / "instructions.json"
KINDS = ("value", "slope", "second")
DTYPES = ("float32", "bfloat16", "float16", "float64")
LIBRARIES = ("jaxacts", "jax.nn")
IDENTITY = ("name", "kind", "dtype")
BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
_WORDS = ("BYTE", "WORD", "DWORD", "QWORD", "XMMWORD", "YMMWORD", "ZMMWORD")
WIDTHS = {word: 1 << power for power, word in enumerate(_WORDS)}
NUMBERS = 1 << 22

# Compiles one function in a process of its own: XLA reads its flags once.
PROGRAM = """
import sys
import jax
import jax.numpy as jnp
sys.path.insert(0, sys.argv[1])
from _contenders import results
from _usual import call_of
import jaxacts
library, name, settings, kind, dtype, count = eval(sys.argv[2])
f = call_of({"jaxacts": jaxacts, "jax.nn": jax.nn}[library], name, settings)
if f is None:
    raise SystemExit(3)
with jax.enable_x64(dtype == "float64"):
    x = jax.ShapeDtypeStruct((count,), dtype)
    body, _ = results(f, kind)
    def counted(x):
        return body(x, x)
    jax.jit(counted).lower(x).compile()
"""
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*)$", re.MULTILINE)
_JUMP = re.compile(r"j\w+\s+([0-9a-f]+)")
_STORE = re.compile(r"(v?p?mov\w*|v?extract\w+)\s+(\w+) PTR \[(?!rsp)")


@dataclasses.dataclass(frozen=True)
class Count:
    """Of all loops of a function, one after the other.

    Attributes:
      instructions: for eight numbers.
      divisions: with square roots, for eight numbers.
      calls: in the loops, of code that is not counted.
    """

    instructions: float
    divisions: float
    calls: int

    def __str__(self) -> str:
        calls = f" and {self.calls} calls" if self.calls else ""
        return f"{self.instructions:g}{calls}"


def loops(machine_code: str) -> Iterator[list[str]]:
    """The bodies of the innermost loops in what objdump prints, without the jump."""
    lines = [
        (int(at, 16), re.sub(r"\s*(#.*|<.*>)", "", text).strip())
        for at, text in _INSTRUCTION.findall(machine_code)
    ]
    spans = []
    for at, text in lines:
        jump = _JUMP.match(text)
        if jump and int(jump[1], 16) <= at:
            spans.append((int(jump[1], 16), at))
    for first, last in spans:
        if any(first <= a and b < last for a, b in spans):
            continue
        yield [text for at, text in lines if first <= at < last]


def counted(bodies: Sequence[Sequence[str]], size: int) -> Count:
    """Instructions for eight numbers of the given size in bytes, of all that store."""
    instructions = divisions = 0.0
    calls = 0
    for body in bodies:
        body = [text for text in body if not text.startswith("nop")]
        stored = sum(WIDTHS[m[2]] for text in body if (m := _STORE.match(text)))
        if stored:
            scale = 8 * size / stored
            instructions += scale * len(body)
            slow = [text for text in body if re.match(r"v?(div|sqrt)", text)]
            divisions += scale * len(slow)
            calls += sum(text.startswith("call") for text in body)
    return Count(round(instructions, 1), round(divisions, 1), calls)


def measure(
    library: str, name: str, settings: dict[str, Any], kind: str, dtype: str, show: bool
) -> Count | None:
    """Compiles a function and counts; None where the library has no such function."""
    with tempfile.TemporaryDirectory() as folder:
        flags = (
            f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={folder} "
            "--xla_dump_hlo_module_re=.*counted.* --xla_dump_hlo_as_text"
        )
        given = repr((library, name, settings, kind, dtype, NUMBERS))
        here = str(Path(__file__).parent)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, here, given],
            env={**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 3:
            return None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            fail(f"{label(name, settings)} of {library} does not compile: {last}")
        bodies = []
        for path in sorted(Path(folder).glob("*.o")):
            text = subprocess.run(
                ["objdump", "-d", "--no-show-raw-insn", "-M", "intel", path],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            bodies += list(loops(text))
    if not bodies:
        fail("XLA left no machine code with loops: its dumps may have changed")
    if show:
        print("\n\n".join("\n".join(body) for body in bodies))
    return counted(bodies, BYTES[dtype])


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_names(parser)
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=["float32"])
    parser.add_argument("--show", action="store_true", help="print the loops too")
    parser.add_argument(
        "--save", action="store_true", help=f"keep in docs/{RECORD.name}"
    )
    return parser.parse_args()


def main() -> int:
    options = parsed()
    if platform.machine().lower() not in ("x86_64", "amd64"):
        fail(f"instructions are counted on x86-64 alone, not on {platform.machine()}")
    if shutil.which("objdump") is None:
        fail("objdump is not installed; it comes with binutils")
    run = {
        "command": _records.command_line(__file__),
        **_records.environment(),
    }
    work = itertools.product(options.dtype, options.kind, chosen(options.names))
    for dtype, kind, (name, settings) in with_progress(list(work)):
        found = {
            library: measure(library, name, settings, kind, dtype, options.show)
            for library in LIBRARIES
        }
        figures = {who: count for who, count in found.items() if count is not None}
        shown = "  ".join(f"{who} {count}" for who, count in figures.items())
        print(f"{label(name, settings):24} {kind:7} {dtype:9} {shown}", flush=True)
        if options.save:
            row = {
                "name": label(name, settings),
                "kind": kind,
                "dtype": dtype,
                "function": name,
                "settings": settings,
                "counts": {k: dataclasses.asdict(c) for k, c in figures.items()},
            }
            _records.save(RECORD, [row], IDENTITY, run)
    return 0


if __name__ == "__main__":
    sys.exit(_records.run(main))
