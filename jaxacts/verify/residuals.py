"""What an activation keeps for the backward pass, and what a deep stack costs."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._compare import Broken, Outcome, attempt
from ._finding import Finding
from ._subject import Subject, resolve

__all__ = ["Residual", "Residuals", "check", "residuals", "scan_bytes"]

_ELEMENTS = 1021  # prime: no residual has this size by chance
_LAYERS = 8
_LAYER_ELEMENTS = 4096


@dataclasses.dataclass(frozen=True)
class Residual:
    """One array kept for the backward pass.

    Attributes:
      origin: "input" or "output" where it is the function's own, else "new".
      dtype: name of its dtype.
      bytes_per_element: its size over the number of elements of ``x``.
    """

    origin: str
    dtype: str
    bytes_per_element: float


@dataclasses.dataclass(frozen=True)
class Residuals:
    """All arrays of the size of ``x`` kept for the backward pass."""

    arrays: tuple[Residual, ...]

    @property
    def bytes_per_element(self) -> float:
        return sum(array.bytes_per_element for array in self.arrays)

    def __str__(self) -> str:
        counts = collections.Counter((a.origin, a.dtype) for a in self.arrays)
        words = [
            f"the {origin} ({dtype})"
            if origin != "new"
            else f"{count} new array{'s' if count > 1 else ''} ({dtype})"
            for (origin, dtype), count in sorted(counts.items())
        ]
        return " and ".join(words) or "nothing"


def check(
    function: Callable[..., Any] | str,
    *,
    dtypes: Sequence[str] = ("float32",),
    params: Mapping[str, Any] | None = None,
    keeps_integers: bool = False,
    max_arrays: int = 1,
) -> list[Finding]:
    """Counts what `jax.vjp` keeps of a function, per element of its input.

    Scalars are not counted, an array kept twice counts once. The gradient is
    taken in ``x``, and again in ``x`` and all floating parameters together;
    eagerly, through a jit of the function, and across the border of a jit.

    The peak memory of a scan is measured on layers f(f(...)), as the growth of
    the compiled program's temporary memory per layer; in float32 and float64
    alone, because XLA's CPU backend widens 16-bit loops.

    Args:
      function, dtypes, params: as in `jaxacts.verify.transforms.check`. 8-bit
        types are passed over.
      keeps_integers: accepted for uniformity.
      max_arrays: how many arrays of the shape and dtype of ``x`` are allowed.

    Returns:
      Findings with ``check="residuals"``; ``measured`` is bytes per element.

    Raises:
      ValueError: for an address that leads nowhere.

    >>> import jax.numpy as jnp
    >>> from jaxacts.verify import residuals
    >>> residuals.check(jnp.sin)[0].message
    'keeps 1 new array (float32), 4 bytes an element'
    """
    function = resolve(function)
    findings = []
    for dtype in dtypes:
        subject = Subject(function, dict(params or {}), dtype)
        if not subject.has_derivatives:
            continue
        tasks: list[tuple[str, Callable[[], Outcome]]] = [
            ("vjp", functools.partial(_kept, subject, "eager", (), max_arrays)),
            ("vjp of jit", functools.partial(_kept, subject, "inside", (), max_arrays)),
            ("jit of vjp", functools.partial(_kept, subject, "across", (), max_arrays)),
        ]
        if subject.differentiable:
            body = functools.partial(
                _kept, subject, "across", subject.differentiable, max_arrays
            )
            tasks.append(("jit of vjp with parameters", body))
        if jnp.dtype(dtype).itemsize > 2:
            tasks.append(
                ("scan over layers", functools.partial(_scan, subject, max_arrays))
            )
        findings += [
            attempt("residuals", name, body, dtype=dtype) for name, body in tasks
        ]
    return findings


def residuals(
    function: Callable[..., Any],
    *,
    dtype: str = "float32",
    params: Mapping[str, Any] | None = None,
    jit: str = "eager",
    differentiated: Sequence[str] = (),
) -> Residuals:
    """The arrays that `jax.vjp` of an elementwise function keeps.

    Args:
      function: ``function(x, **params)``.
      dtype: of ``x``, in which a vector is tried.
      params: keyword arguments.
      jit: "eager"; "inside", for `jax.vjp` of a jit of the function; or
        "across", where a jit returns the pull-back and its residuals with it.
      differentiated: parameters in which the derivative is taken beside ``x``.
    """
    subject = Subject(function, dict(params or {}), dtype)
    # A vector of many different numbers: equal arrays are the same array.
    x = jnp.asarray(np.linspace(-7.3, 8.1, _ELEMENTS), dtype)
    moving = {
        name: jnp.asarray(subject.parameters[name], jnp.result_type(float))
        for name in differentiated
    }

    def called(x: jax.Array, moving: Mapping[str, jax.Array]) -> Any:
        return subject.at(x, **moving)

    inner = jax.jit(called) if jit == "inside" else called

    def pulled(x: jax.Array, moving: Mapping[str, jax.Array]) -> Any:
        if not differentiated:
            return jax.vjp(lambda x: inner(x, {}), x)
        return jax.vjp(inner, x, moving)

    y, pull = (jax.jit(pulled) if jit == "across" else pulled)(x, moving)
    known = {_identity(x): "input", _identity(y): "output"}
    if _identity(x) == _identity(y):
        known[_identity(x)] = "input"
    seen: dict[tuple[str, bytes], Residual] = {}
    for leaf in jax.tree_util.tree_leaves(pull):
        if 8 * leaf.size * leaf.dtype.itemsize < _ELEMENTS:
            continue  # less than one bit an element
        identity = _identity(leaf)
        seen[identity] = Residual(
            origin=known.get(identity, "new"),
            dtype=leaf.dtype.name,
            bytes_per_element=leaf.size * leaf.dtype.itemsize / _ELEMENTS,
        )
    return Residuals(tuple(seen.values()))


def _identity(array: Any) -> tuple[str, bytes]:
    return array.dtype.name, np.asarray(array).tobytes()


def _kept(
    subject: Subject, jit: str, differentiated: Sequence[str], max_arrays: int
) -> Outcome:
    kept = residuals(
        subject.function,
        dtype=subject.dtype,
        params=subject.parameters,
        jit=jit,
        differentiated=differentiated,
    )
    size = jnp.dtype(subject.dtype).itemsize
    figure = f"keeps {kept}, {kept.bytes_per_element:g} bytes an element"
    allowed = max_arrays * size
    if len(kept.arrays) > max_arrays or kept.bytes_per_element > allowed:
        raise Broken(
            f"{figure}; allowed {'is' if max_arrays == 1 else 'are'} {max_arrays} "
            f"{'array' if max_arrays == 1 else 'arrays'} of {subject.dtype}, "
            f"{allowed} bytes an element",
            measured=kept.bytes_per_element,
            bound=allowed,
        )
    return Outcome(figure, measured=kept.bytes_per_element, bound=allowed)


def scan_bytes(function: Callable[[Any], Any], *, dtype: str = "float32") -> float:
    """Temporary memory of one more layer in a differentiated scan.

    Args:
      function: elementwise, of one argument.
      dtype: of the carry.

    Returns:
      Bytes per layer and element, from XLA's own account of two programs of
      different depth; what does not grow with depth drops out.

    Raises:
      ValueError: if the backend gives no account of its memory.
    """

    def temporary(layers: int) -> int:
        def loss(x: jax.Array) -> jax.Array:
            y, _ = lax.scan(lambda x, _: (function(x), None), x, length=layers)
            return jnp.sum(y)

        x = jax.ShapeDtypeStruct((_LAYER_ELEMENTS,), jnp.dtype(dtype))
        analysis = jax.jit(jax.grad(loss)).lower(x).compile().memory_analysis()
        if analysis is None:
            raise ValueError("this backend gives no account of its memory")
        return analysis.temp_size_in_bytes

    growth = temporary(2 * _LAYERS) - temporary(_LAYERS)
    return growth / (_LAYERS * _LAYER_ELEMENTS)


def _scan(subject: Subject, max_arrays: int) -> Outcome:
    found = scan_bytes(lambda x: subject(x), dtype=subject.dtype)
    allowed = max_arrays * jnp.dtype(subject.dtype).itemsize
    # Alignment may leave a few bytes a layer.
    if found > allowed + 0.1:
        raise Broken(
            f"a scan over layers takes {found:g} bytes a layer and element, "
            f"{allowed} allowed",
            measured=found,
            bound=allowed,
        )
    return Outcome(
        f"a scan over layers takes {found:g} bytes a layer and element",
        measured=found,
        bound=allowed,
    )
