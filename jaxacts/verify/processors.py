"""The same program on a processor without fused multiply-add."""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from ._compare import Broken, Outcome, attempt, compare, describe, neutral
from ._finding import Finding
from ._subject import Subject, resolve, summed_gradient

__all__ = ["check", "grid"]

# Below AVX, XLA lacks the conversions of float16, and so float8's (jaxlib 0.10.2).
_FLAG = "--xla_cpu_max_isa=AVX"
_SECONDS = 300

# Runs in the other process, which needs neither the function under test nor
# this package: the functions come as the StableHLO that jit makes of them.
_PROGRAM = """
import sys
from pathlib import Path
import jax
import jax.export
import numpy as np
for path in sorted(Path(sys.argv[1]).glob("*.stablehlo")):
    dtype = path.stem.split("-")[0]
    try:
        with jax.enable_x64(dtype == "float64"):
            x = np.load(path.with_name(dtype + ".npy")).view(jax.numpy.dtype(dtype))
            y = np.asarray(jax.export.deserialize(path.read_bytes()).call(x))
        np.save(path.with_suffix(".npy"), y.view(f"u{y.dtype.itemsize}"))
    except Exception as error:
        path.with_suffix(".error").write_text(str(error), "utf-8")
"""


def check(
    function: Callable[..., Any] | str,
    *,
    dtypes: Sequence[str] = ("float32",),
    params: Mapping[str, Any] | None = None,
    keeps_integers: bool = False,
    orders: Sequence[int] = (0, 1, 2),
    max_ulp: float = 8.0,
    floor: float = 1.0,
) -> list[Finding]:
    """Compares this processor with one that has no FMA, in ULP.

    A compensated formula that is right only where ``a*b + c`` rounds once falls
    apart where it rounds twice. A second process compiles the same program with
    ``XLA_FLAGS=--xla_cpu_max_isa=AVX``. Functions travel as StableHLO, so any
    function that jit takes will do, a lambda too.

    Args:
      function, dtypes, params, floor: as in `jaxacts.verify.transforms.check`.
      max_ulp: largest difference allowed in the value; four times that in the
        slope, sixteen times in the curvature. XLA's own functions differ by a
        few ULP between processors.
      keeps_integers: accepted for uniformity.
      orders: of the derivatives to compare; in 8-bit types the value alone.

    Returns:
      Findings with ``check="processors"``, one for each dtype and order.
      Where the comparison cannot be made, they say so and pass.

    Raises:
      ValueError: for an address that leads nowhere.

    >>> import jax
    >>> from jaxacts.verify import processors
    >>> [found.passed for found in processors.check(jax.nn.relu, orders=[0])]
    [True]
    """
    function = resolve(function)
    subjects = [
        Subject(function, dict(params or {}), dtype, max_ulp, floor) for dtype in dtypes
    ]
    cases = [
        _Case(subject, order)
        for subject in subjects
        for order in orders
        if order == 0 or subject.has_derivatives
    ]
    elsewhere = functools.cache(functools.partial(_without_fma, cases))
    return [
        attempt(
            "processors",
            f"order {case.order} without FMA",
            functools.partial(_compared, case, elsewhere),
            dtype=case.subject.dtype,
            order=case.order,
        )
        for case in cases
    ]


def grid(dtype: str) -> np.ndarray:
    """Points of a dtype: every one in 16 and 8 bits, else 24,576 of them.

    Two thirds lie evenly in ULP over all finite numbers of both signs, one
    third evenly in value over [-30, 30], where activations have their shape.
    NaN is left out.
    """
    kind = jnp.dtype(dtype)
    bits = 8 * kind.itemsize
    unsigned = np.dtype(f"u{kind.itemsize}")
    if bits <= 16:
        every = np.arange(2**bits, dtype=np.uint32).astype(unsigned).view(kind)
        return every[~np.isnan(every.astype(np.float32))]
    largest = int(np.array(jnp.finfo(kind).max).view(unsigned))
    magnitudes = np.linspace(0, largest, 8192).astype(unsigned)
    magnitudes = np.minimum(magnitudes, unsigned.type(largest)).view(kind)
    shape = np.linspace(-30, 30, 8192).astype(kind)
    return np.concatenate([magnitudes, -magnitudes, shape])


class _Case:
    """One derivative of a function in one dtype."""

    def __init__(self, subject: Subject, order: int):
        self.subject = subject
        self.order = order
        self.name = f"{subject.dtype}-{order}"
        self.x = grid(subject.dtype)

    @functools.cached_property
    def function(self) -> Any:
        function: Callable[[Any], Any] = self.subject.__call__
        for _ in range(self.order):
            function = summed_gradient(function)
        return jax.jit(function)

    def exported(self) -> bytes:
        x = jax.ShapeDtypeStruct(self.x.shape, self.x.dtype)
        return bytes(jax.export.export(self.function, platforms=["cpu"])(x).serialize())


def _compared(
    case: _Case, elsewhere: Callable[[], Mapping[str, np.ndarray | str] | Broken]
) -> Outcome:
    reason = _impossible()
    if reason is not None:
        return Outcome(f"not run: {reason}")
    with jax.default_device(jax.devices("cpu")[0]):
        here = np.asarray(case.function(case.x))
    found = elsewhere()
    if isinstance(found, Broken):
        raise found
    there = found.get(case.name)
    if there is None:
        case.exported()  # raises what kept the function from travelling
        raise Broken("the process without FMA gave no result")
    if isinstance(there, str):
        raise Broken(f"without FMA: {' '.join(there.split())[:300]}")
    bound = case.subject.allowed(case.order)
    largest = compare(
        there.view(here.dtype),
        here,
        case.x,
        floor=case.subject.floor,
        max_ulp=bound,
        ways=("a processor without FMA", "this one"),
    )
    return Outcome(
        f"within {largest:.3g} ULP of this processor at {case.x.size:,} points",
        measured=largest,
        bound=bound,
    )


def _without_fma(cases: Sequence[_Case]) -> dict[str, np.ndarray | str] | Broken:
    """Bits of the results, or an error, by name; what cannot travel is missing.

    A failure is returned, not raised, so that it is remembered and not repeated.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in cases:
            np.save(
                folder / f"{case.subject.dtype}.npy",
                case.x.view(f"u{case.x.dtype.itemsize}"),
            )
            try:
                with neutral(case.subject.dtype):
                    program = case.exported()
            except Exception:
                continue
            (folder / f"{case.name}.stablehlo").write_bytes(program)
        try:
            _run(folder)
        except Broken as error:
            return error
        found: dict[str, np.ndarray | str] = {}
        for case in cases:
            result = folder / f"{case.name}.npy"
            failure = result.with_suffix(".error")
            if result.exists():
                found[case.name] = np.load(result)
            elif failure.exists():
                found[case.name] = failure.read_text("utf-8")
        return found


def _run(folder: Path) -> None:
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_TRACEBACK_FILTERING": "off",  # it would have the last line
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}".strip(),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM, str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Broken(f"the process without FMA failed: {describe(error)}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Broken(f"the process without FMA failed: {last}")


def _impossible() -> str | None:
    """Why the comparison cannot be made here."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"XLA cannot leave FMA out on {platform.machine()}"
    if importlib.util.find_spec("flatbuffers") is None:
        return "sending a function to another process needs flatbuffers"
    return None
