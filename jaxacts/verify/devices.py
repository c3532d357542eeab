"""Several devices: pmap, shard_map, and jit of sharded arrays."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ._compare import Broken, Outcome, attempt, describe
from ._finding import Finding
from ._subject import Baseline, Subject, address, resolve, selected, summed_gradient

__all__ = ["CHECKS", "check"]

_DEVICES = 8
_SECONDS = 300
_PROGRAM = "from jaxacts.verify.devices import _main; _main()"
_NOT_FOUND = 3
_Body = Callable[[Baseline, Sequence[Any]], float]
_CHECKS: dict[str, _Body] = {}


def check(
    function: Callable[..., Any] | str,
    *,
    dtypes: Sequence[str] = ("float32",),
    params: Mapping[str, Any] | None = None,
    keeps_integers: bool = False,
    max_ulp: float = 2.0,
    floor: float = 1.0,
    only: Sequence[str] | None = None,
) -> list[Finding]:
    """Tries a function on several devices.

    Where this process has one device, a second process with eight host devices
    does it, if the function can be imported there; otherwise the one device
    has to do, and the message says so.

    Args:
      function, dtypes, params, max_ulp, floor: as in
        `jaxacts.verify.transforms.check`.
      keeps_integers: accepted for uniformity.
      only: names from `CHECKS`; all of them by default.

    Returns:
      Findings with ``check="transform"``.

    Raises:
      ValueError: for an unknown name in ``only`` or an address that leads nowhere.

    >>> import jax
    >>> from jaxacts.verify import devices
    >>> [found.passed for found in devices.check(jax.nn.silu, only=["pmap"])]
    [True]
    """
    names = selected(CHECKS, only)
    function = resolve(function)
    if len(jax.local_devices()) == 1:
        task = _task(
            function,
            params,
            dtypes=list(dtypes),
            only=list(names),
            max_ulp=max_ulp,
            floor=floor,
        )
        found = None if task is None else _elsewhere(task)
        if found is not None:
            return found
    return _here(function, dtypes, params, names, max_ulp, floor)


def _here(
    function: Callable[..., Any],
    dtypes: Sequence[str],
    params: Mapping[str, Any] | None,
    names: Sequence[str],
    max_ulp: float,
    floor: float,
) -> list[Finding]:
    devices = jax.local_devices()[:_DEVICES]
    findings = []
    for dtype in dtypes:
        subject = Subject(function, dict(params or {}), dtype, max_ulp, floor)
        baseline = Baseline(subject)
        found, orders = baseline.established(1)
        findings += found if not orders else []
        for name in names if orders else ():
            run = functools.partial(_outcome, _CHECKS[name], baseline, devices)
            findings.append(attempt("transform", name, run, dtype=dtype))
    return findings


def _outcome(body: _Body, baseline: Baseline, devices: Sequence[Any]) -> Outcome:
    largest = body(baseline, devices)
    count = len(devices)
    return Outcome(
        f"within {largest:.3g} ULP of plain eager evaluation on {count} "
        f"device{'s' if count > 1 else ''}",
        measured=largest,
        bound=baseline.subject.max_ulp,
    )


def _several(name: str) -> Callable[[_Body], _Body]:
    def register(body: _Body) -> _Body:
        _CHECKS[name] = body
        return body

    return register


@_several("pmap")
def _pmap(b: Baseline, devices: Sequence[Any]) -> float:
    shape = (len(devices), 37)
    x = b.x(shape)
    largest = b.same("pmap", jax.pmap(b.subject, devices=devices)(x), shape=shape)
    if b.subject.has_derivatives:
        slope = jax.pmap(summed_gradient(b.subject), devices=devices)(x)
        largest = max(largest, b.same("pmap of grad", slope, 1, shape))
    return largest


@_several("shard_map")
def _shard_map(b: Baseline, devices: Sequence[Any]) -> float:
    shape = (len(devices), 37)
    split = PartitionSpec("devices")
    mesh = _mesh(devices, AxisType.Auto)
    sharded = jax.shard_map(
        lambda x: b.subject(x), mesh=mesh, in_specs=split, out_specs=split
    )
    x = b.x(shape)
    largest = b.same("shard_map", jax.jit(sharded)(x), shape=shape)
    if not b.subject.has_derivatives:
        return largest
    slope = jax.jit(summed_gradient(sharded))(x)
    largest = max(largest, b.same("grad of shard_map", slope, 1, shape))
    for name in b.subject.differentiable:
        _shard_map_parameter(b, mesh, name)
    return largest


def _shard_map_parameter(b: Baseline, mesh: Mesh, name: str) -> None:
    """The gradient in a replicated parameter is summed over the devices."""
    split = PartitionSpec("devices")
    sharded = jax.shard_map(
        lambda x, p: b.subject.at(x, **{name: p}),
        mesh=mesh,
        in_specs=(split, PartitionSpec()),
        out_specs=split,
    )

    def gradient(function: Callable[..., Any]) -> Any:
        total = jax.grad(lambda p: jnp.sum(function(x, p)))
        return np.asarray(jax.jit(total)(p)).astype(np.float64)

    x = b.x((mesh.size, 37))
    p = jnp.asarray(b.subject.parameters[name], jnp.result_type(float))
    got = gradient(sharded)
    want = gradient(lambda x, p: b.subject.at(x, **{name: p}))
    # Sums of 37 terms a device, in another order.
    tolerance = 64 * float(jnp.finfo(b.points.dtype).eps) * b.points.size
    if not np.allclose(got, want, rtol=tolerance, atol=tolerance):
        raise Broken(
            f"grad of shard_map in {name} gives {got}, without shard_map {want}"
        )


@_several("NamedSharding")
def _named_sharding(b: Baseline, devices: Sequence[Any]) -> float:
    shape = (len(devices), 37)
    largest = 0.0
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = _mesh(devices, kind)
        sharding = NamedSharding(mesh, PartitionSpec("devices"))
        way = f"jit of an array with NamedSharding on an {kind.name} axis"
        with jax.set_mesh(mesh):
            x = jax.device_put(b.x(shape), sharding)
            y = jax.jit(lambda x: b.subject(x))(x)
            largest = max(largest, b.same(way, y, shape=shape))
            if not y.sharding.is_equivalent_to(sharding, y.ndim):
                raise Broken(f"{way} gathers the result: it has {y.sharding}")
            if b.subject.has_derivatives:
                slope = jax.jit(summed_gradient(b.subject))(x)
                largest = max(largest, b.same(f"grad in {way}", slope, 1, shape))
    return largest


def _mesh(devices: Sequence[Any], kind: AxisType) -> Mesh:
    return Mesh(np.array(devices), ("devices",), axis_types=(kind,))


CHECKS: tuple[str, ...] = tuple(_CHECKS)


def _task(
    function: Callable[..., Any], params: Mapping[str, Any] | None, **options: Any
) -> str | None:
    """What another process needs, as JSON; None where it cannot be told."""
    found = address(function)
    if found is None:
        return None
    # Parameters travel as text: numbers, bools and strings do.
    try:
        return json.dumps({"function": found, "params": dict(params or {}), **options})
    except TypeError:
        return None


def _elsewhere(task: str) -> list[Finding] | None:
    """The findings of a process with more devices; None if it lacks the function."""
    flag = f"--xla_force_host_platform_device_count={_DEVICES}"
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_TRACEBACK_FILTERING": "off",  # it would have the last line
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip(),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    # What the function under test prints must not mix with the findings.
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "findings.json"
        try:
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM, str(answer)],
                input=task,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
            if done.returncode == 0:
                return [Finding(**f) for f in json.loads(answer.read_text("utf-8"))]
            if done.returncode == _NOT_FOUND:
                return None
            trouble = (done.stderr.strip().splitlines() or ["no message"])[-1]
        except (OSError, subprocess.TimeoutExpired) as error:
            trouble = describe(error)
    return [
        Finding(
            check="transform",
            subject="devices",
            passed=False,
            message=f"a process with {_DEVICES} devices ended early: {trouble}",
        )
    ]


def _main() -> None:
    task = json.load(sys.stdin)
    try:
        function = resolve(task.pop("function"))
    except ValueError:
        sys.exit(_NOT_FOUND)
    findings = _here(
        function,
        task["dtypes"],
        task["params"],
        task["only"],
        task["max_ulp"],
        task["floor"],
    )
    answer = json.dumps([dataclasses.asdict(finding) for finding in findings])
    Path(sys.argv[1]).write_text(answer, "utf-8")
