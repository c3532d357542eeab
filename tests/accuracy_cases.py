"""Every registered function in every setting and dtype, as the tests measure it."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxacts
from jaxacts.verify import accuracy
from jaxacts.verify.accuracy import Measurement
from jaxacts.verify.candidate import Candidate
from jaxacts.verify.target import Target, cases
from jaxacts.verify.ulp import format_of

GOLDEN = Path(__file__).parent / "golden" / "accuracy.json"
DTYPES = ("bfloat16", "float16", "float32", "float64")
SMALL = ("float8_e4m3fn", "float8_e5m2")
# The third is held to a thousandth, at a grid of float32 alone.
ORDERS = dict.fromkeys(DTYPES, (0, 1, 2)) | {"float32": (0, 1, 2, 3)}
ORDERS |= dict.fromkeys(SMALL, (0,))
# All inputs of the small types; of the large ones a grid, and the worst inputs of
# a longer search with their neighbours.
POINTS = 3_000


@functools.cache
def targets() -> Mapping[str, Target]:
    """Name with settings to what is verified, for all elementwise functions."""
    records = [jaxacts.spec(name) for name in jaxacts.names()]
    found = [t for r in records if r.reference is not None for t in cases(r)]
    return {target.name: target for target in found}


def usual_targets() -> list[str]:
    """The first, usual setting of every function."""
    first: dict[str, str] = {}
    for name in targets():
        first.setdefault(name.partition("(")[0], name)
    return list(first.values())


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured figure, as it is kept; relative for the third derivative."""

    ulp: float
    input: str | None

    @staticmethod
    def of(measured: Measurement) -> Figure:
        worst = measured.scaled if measured.order == 3 else measured.ulp
        return Figure(worst.error, worst.input) if worst else Figure(0.0, None)


def surroundings() -> dict[str, Any]:
    """What the last bits of a figure depend on."""
    return {
        "jax": jax.__version__,
        "platform": jax.default_backend(),
        "contracts": _contracts(),
    }


def _contracts() -> bool:
    """Whether a*b + c is rounded once."""
    a = np.float32(1 + 2**-12)
    rest = jax.jit(lambda a, b, c: a * b + c)(a, a, -(a * a))
    return bool(jnp.any(rest != 0))


def read_golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"figures": {}}


def golden_figures(document: Mapping[str, Any], name: str, dtype: str) -> list[Figure]:
    rows = document["figures"].get(name, {}).get(dtype, [])
    return [Figure(ulp, place) for ulp, place in rows]


def worst_inputs(figures: list[Figure]) -> tuple[float, ...]:
    return tuple(float.fromhex(f.input) for f in figures if f.input is not None)


@functools.lru_cache(maxsize=1)
def candidate_of(name: str, dtype: str) -> Candidate:
    """The compiled function: compilation takes most of the time."""
    return Candidate.of(targets()[name], format_of(dtype))


def _paths(name: str, dtype: str) -> tuple[str, ...]:
    """Short arrays run other code, which differs where results are rounded once.

    Results of 16 bits are rounded so much in the end that it does not show. That
    functions run eagerly as under jit is tested elsewhere.
    """
    usual = dtype == "float32" and name in usual_targets()
    return ("jit", "short") if usual else ("jit",)


def measure(
    name: str, dtype: str, extra: tuple[float, ...], third: bool | None = None
) -> list[Measurement]:
    """As the tests measure: the stored worst inputs are among those tried.

    third: all orders of the dtype if None, or the third alone, or all but it.
    """
    target, options = targets()[name], {"points": POINTS, "extra": extra}
    candidate = candidate_of(name, dtype)
    found: list[Measurement] = []
    if not third:
        found += accuracy.measure(
            target,
            dtype,
            [order for order in ORDERS[dtype] if order < 3],
            candidate=candidate,
            paths=_paths(name, dtype),
            **options,
        )
    if third is not False and 3 in ORDERS[dtype]:
        found += accuracy.measure(
            target, dtype, (3,), candidate=candidate, paths=("jit",), **options
        )
    return found
