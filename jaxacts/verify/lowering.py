"""Does an activation lower for other backends, and into how much code?"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from ._compare import Outcome, attempt
from ._finding import Finding
from ._subject import Subject, resolve, summed_gradient

__all__ = ["PLATFORMS", "check"]

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

_ELEMENTS = 4096
_FUSION = re.compile(r"^\s*(?:ROOT )?%\S+ = .* fusion\(", re.MULTILINE)
_TRANSCENDENTAL = re.compile(
    r"= \S+ (exponential|exponential-minus-one|log|log-plus-one|logistic|tanh|erf|"
    r"sine|cosine|tan|atan2|power|cbrt)\("
)


def check(
    function: Callable[..., Any] | str,
    *,
    dtypes: Sequence[str] = ("float32",),
    params: Mapping[str, Any] | None = None,
    keeps_integers: bool = False,
    platforms: Sequence[str] = PLATFORMS,
    tpu_topology: str | None = None,
) -> list[Finding]:
    """Lowers a function and its gradient for backends that need not be there.

    That a function lowers proves nothing about its accuracy there.

    Args:
      function, dtypes, params: as in `jaxacts.verify.transforms.check`.
      keeps_integers: accepted for uniformity.
      platforms: backends that `jax.export` lowers for.
      tpu_topology: such as "v5e:2x2"; where given and libtpu can be imported,
        value and gradient are compiled ahead of time for that TPU.

    Returns:
      Findings with ``check="lowering"``: one for each platform, value and
      gradient; and one on the optimised HLO of the CPU, where there is one, with
      the number of transcendental operations as ``measured``.

    Raises:
      ValueError: for an unknown platform or an address that leads nowhere.

    >>> import jax
    >>> from jaxacts.verify import lowering
    >>> lowering.check(jax.nn.silu, platforms=["tpu"])[0].message
    'lowers for tpu'
    """
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown:
        raise ValueError(
            f"platforms={unknown!r} cannot be lowered for; "
            f"accepted are {', '.join(PLATFORMS)}"
        )
    function = resolve(function)
    findings = []
    for dtype in dtypes:
        subject = Subject(function, dict(params or {}), dtype)
        orders: list[tuple[str, int, Callable[[Any], Any]]] = [
            ("value", 0, functools.partial(Subject.__call__, subject))
        ]
        if subject.has_derivatives:
            orders.append(("gradient", 1, summed_gradient(subject)))
        for label, order, evaluated in orders:
            tasks: list[tuple[str, Callable[[], Outcome]]] = [
                (name, functools.partial(_lowers, evaluated, dtype, name))
                for name in platforms
            ]
            tasks.append(("HLO", functools.partial(_operations, evaluated, dtype)))
            if tpu_topology is not None:
                body = functools.partial(_ahead_of_time, evaluated, dtype, tpu_topology)
                tasks.append((f"TPU {tpu_topology}", body))
            findings += [
                attempt("lowering", f"{name}: {label}", body, dtype=dtype, order=order)
                for name, body in tasks
            ]
    return findings


def _argument(dtype: str) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((_ELEMENTS,), jnp.dtype(dtype))


def _lowers(function: Callable[[Any], Any], dtype: str, platform: str) -> Outcome:
    jax.export.export(jax.jit(function), platforms=[platform])(_argument(dtype))
    return Outcome(f"lowers for {platform}")


def _operations(function: Callable[[Any], Any], dtype: str) -> Outcome:
    """Counts of the optimised program: figures to compare, no bound."""
    with jax.default_device(jax.devices("cpu")[0]):
        compiled = jax.jit(function).lower(_argument(dtype)).compile()
    text = compiled.as_text() or ""
    fusions = len(_FUSION.findall(text))
    kinds = _TRANSCENDENTAL.findall(text)
    listed = f" ({', '.join(sorted(kinds))})" if kinds else ""
    return Outcome(
        f"{fusions} fusion{'s' if fusions != 1 else ''} and {len(kinds)} "
        f"transcendental operation{'s' if len(kinds) != 1 else ''}{listed} on the CPU",
        measured=float(len(kinds)),
    )


def _ahead_of_time(
    function: Callable[[Any], Any], dtype: str, topology: str
) -> Outcome:
    """Compiles for a TPU that is not there; libtpu brings the compiler."""
    if importlib.util.find_spec("libtpu") is None:
        return Outcome("not run: libtpu is not installed")
    from jax.experimental import topologies

    with _no_tpu_metadata():
        description = topologies.get_topology_desc(
            platform="tpu", topology_name=topology
        )
        sharding = jax.sharding.SingleDeviceSharding(description.devices[0])
        x = jax.ShapeDtypeStruct((_ELEMENTS,), jnp.dtype(dtype), sharding=sharding)
        compiled = jax.jit(function).lower(x).compile()
    cost = compiled.cost_analysis() or {}
    memory = compiled.memory_analysis()
    temporary = "unknown" if memory is None else f"{memory.temp_size_in_bytes:,}"
    per_element = {
        name: cost.get(name, float("nan")) / _ELEMENTS
        for name in ("flops", "transcendentals", "bytes accessed")
    }
    figures = ", ".join(f"{value:.3g} {name}" for name, value in per_element.items())
    return Outcome(
        f"compiles for {topology}: an element takes {figures}; "
        f"{temporary} bytes of temporary memory for {_ELEMENTS:,} elements",
        measured=per_element["flops"],
    )


@contextlib.contextmanager
def _no_tpu_metadata() -> Iterator[None]:
    """libtpu otherwise asks a metadata server, and waits, where no TPU is."""
    name = "TPU_SKIP_MDS_QUERY"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
