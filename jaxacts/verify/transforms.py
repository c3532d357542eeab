"""Does an activation work under every transformation of JAX, with one result?"""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._compare import Broken, Outcome, attempt
from ._finding import Finding
from ._subject import Baseline, Subject, resolve, selected, summed_gradient

__all__ = ["CHECKS", "check"]

# A few points for transformations whose result grows with the square of them.
_SHORT = (7,)
_LONG = (37,)
_DEEP = (3, 5, 7)


@dataclasses.dataclass(frozen=True)
class _Transform:
    """A transformation that one program shows.

    Attributes:
      program: makes of the function a program of an array of ``shape``.
      ways: what the program returns: a label and the order of the derivative,
        one for each of its results.
      shape: of the array.
    """

    program: Callable[[Subject], Callable[[jax.Array], Any]]
    ways: tuple[tuple[str, int], ...]
    shape: tuple[int, ...]

    @property
    def orders(self) -> int:
        return 1 + max(order for _, order in self.ways)


_TRANSFORMS: dict[str, _Transform] = {}
# Checks that need more than a program: a setting, or a look at the result.
_OTHERS: dict[str, tuple[Callable[[Baseline], float], int]] = {}


def _transform(
    name: str, *orders: int, shape: tuple[int, ...] = _LONG
) -> Callable[[Callable[[Subject], Any]], Callable[[Subject], Any]]:
    """Registers a program whose results are derivatives of these orders."""

    def register(program: Callable[[Subject], Any]) -> Callable[[Subject], Any]:
        ways = tuple((name, order) for order in orders)
        _TRANSFORMS[name] = _Transform(program, ways, shape)
        return program

    return register


def _other(name: str, *, orders: int = 1) -> Callable[..., Any]:
    def register(body: Callable[[Baseline], float]) -> Callable[[Baseline], float]:
        _OTHERS[name] = (body, orders)
        return body

    return register


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
    """Tries a function under JAX's transformations, one finding each.

    Every result is compared with plain eager evaluation, point by point.

    Args:
      function: ``function(x, **params)``, elementwise in ``x``; or its address
        ``"package.module:name"``, or the name of a registered activation.
      dtypes: names of the dtypes of ``x``; in 8-bit types the value alone.
      params: keyword arguments of the function.
      keeps_integers: accepted for uniformity; integers are the matter of
        `jaxacts.verify.shapes`.
      max_ulp: largest difference allowed in the value; four times that in the
        slope, sixteen times in the curvature.
      floor: differences count in units of ulp(max(\\|result\\|, floor)); 0 is
        the strict measure, for functions that are accurate in their tails.
      only: names from `CHECKS`; all of them by default.

    Returns:
      Findings with ``check="transform"``; ``measured`` is the largest
      difference in ULP.

    Raises:
      ValueError: for an unknown name in ``only`` or an address that leads nowhere.

    >>> import jax
    >>> from jaxacts.verify import transforms
    >>> [found.passed for found in transforms.check(jax.nn.silu, only=["jit", "jvp"])]
    [True, True, True]
    """
    names = selected(CHECKS, only)
    function = resolve(function)
    findings = []
    for dtype in dtypes:
        subject = Subject(
            function=function,
            parameters=dict(params or {}),
            dtype=dtype,
            max_ulp=max_ulp,
            floor=floor,
            keeps_integers=keeps_integers,
        )
        baseline = Baseline(subject)
        found, orders = baseline.established(2)
        findings += found
        programs = {
            name: transform
            for name, transform in _TRANSFORMS.items()
            if name in names and transform.orders <= orders
        }
        results = baseline.together(
            {name: t.program(subject) for name, t in programs.items()},
            {name: t.shape for name, t in programs.items()},
        )
        bodies: dict[str, Callable[[], float]] = {
            name: functools.partial(_compared, baseline, transform, results[name])
            for name, transform in programs.items()
        }
        for name, (body, needed) in _OTHERS.items():
            if name in names and needed <= orders:
                bodies[name] = functools.partial(body, baseline)
        findings += [
            attempt(
                "transform",
                name,
                functools.partial(_outcome, bodies[name], subject.max_ulp),
                dtype=dtype,
            )
            for name in names
            if name in bodies
        ]
    return findings


def _outcome(body: Callable[[], float], max_ulp: float) -> Outcome:
    largest = body()
    return Outcome(
        f"within {largest:.3g} ULP of plain eager evaluation",
        measured=largest,
        bound=max_ulp,
    )


def _compared(baseline: Baseline, transform: _Transform, result: Any) -> float:
    if isinstance(result, Exception):
        raise result
    results = result if isinstance(result, tuple) else (result,)
    return max(
        baseline.same(way, _diagonal(way, got), order, transform.shape)
        for (way, order), got in zip(transform.ways, results, strict=True)
    )


def _diagonal(way: str, result: Any) -> Any:
    """Of a matrix of derivatives, if beside its diagonal there is zero."""
    if way not in ("jacfwd", "jacrev", "hessian") or np.ndim(result) != 2:
        return result
    matrix = np.asarray(result)
    beside = matrix.astype(np.float64)
    np.fill_diagonal(beside, 0.0)
    if beside.any():
        row, column = np.argwhere(beside)[0]
        raise Broken(
            f"{way}: output {row} depends on input {column} "
            f"({beside[row, column]:g}, not 0); the function is not elementwise"
        )
    return np.diagonal(matrix)


def _fresh(subject: Subject) -> Callable[[Any], Any]:
    """A new function object, so that nothing traced before is reused."""
    return lambda x: subject(x)


# -- programs, of which many are compiled as one -------------------------------


@_transform("jit", 0)
def _jit(f: Subject) -> Any:
    return jax.jit(_fresh(f))


@_transform("grad", 1, 1)
def _grad(f: Subject) -> Any:
    return lambda x: (summed_gradient(f)(x), summed_gradient(jax.jit(_fresh(f)))(x))


@_transform("value_and_grad", 0, 1)
def _value_and_grad(f: Subject) -> Any:
    def loss(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y = f(x)
        return jnp.sum(y), y

    def program(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        (_, y), slope = jax.value_and_grad(loss, has_aux=True)(x)
        return y, slope

    return program


@_transform("jvp", 0, 1)
def _jvp(f: Subject) -> Any:
    return lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),))


@_transform("jacfwd", 1, shape=_SHORT)
def _jacfwd(f: Subject) -> Any:
    return jax.jacfwd(f)


@_transform("jacrev", 1, shape=_SHORT)
def _jacrev(f: Subject) -> Any:
    return jax.jacrev(f)


@_transform("hessian", 2, shape=_SHORT)
def _hessian(f: Subject) -> Any:
    return jax.hessian(lambda x: jnp.sum(f(x)))


@_transform("linearize", 0, 1)
def _linearize(f: Subject) -> Any:
    def program(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, push = jax.linearize(f, x)
        return y, push(jnp.ones_like(x))

    return program


@_transform("vmap", 0)
def _vmap(f: Subject) -> Any:
    return jax.vmap(f)


@_transform("nested vmap", 0, shape=_DEEP)
def _nested_vmap(f: Subject) -> Any:
    return jax.vmap(jax.vmap(jax.vmap(f)))


@_transform("vmap in_axes", 0, 0, 0, shape=_DEEP)
def _vmap_in_axes(f: Subject) -> Any:
    def along(axis: int, x: jax.Array) -> jax.Array:
        return jax.vmap(f, in_axes=axis, out_axes=axis)(x)

    def fixed(x: jax.Array) -> jax.Array:
        return jax.vmap(lambda _, x: f(x), in_axes=(0, None))(jnp.arange(2), x)[1]

    return lambda x: (along(1, x), along(-1, x), fixed(x))


@_transform("vmap of grad", 1)
def _vmap_of_grad(f: Subject) -> Any:
    return jax.vmap(jax.grad(f))


@_transform("scan", 0, 0, shape=_DEEP)
def _scan(f: Subject) -> Any:
    def over_rows(x: jax.Array) -> jax.Array:
        return lax.scan(lambda carry, row: (carry, f(row)), None, x)[1]

    def as_carry(x: jax.Array) -> jax.Array:
        # The carry must keep its dtype and its weak type.
        return lax.scan(lambda carry, _: (f(carry), None), x, length=1)[0]

    return lambda x: (over_rows(x), as_carry(x))


@_transform("grad of scan", 1, shape=_DEEP)
def _grad_of_scan(f: Subject) -> Any:
    def loss(x: jax.Array) -> jax.Array:
        def step(total: jax.Array, row: jax.Array) -> tuple[jax.Array, None]:
            return total + jnp.sum(f(row)), None

        return lax.scan(step, jnp.zeros((), x.dtype), x)[0]

    return jax.grad(loss)


@_transform("while_loop", 0)
def _while_loop(f: Subject) -> Any:
    def program(x: jax.Array) -> jax.Array:
        return lax.while_loop(
            lambda state: state[0] < 1,
            lambda state: (state[0] + 1, f(state[1])),
            (0, x),
        )[1]

    return program


def _chosen(f: Subject) -> Callable[[jax.Array], jax.Array]:
    # The condition must not be known while tracing.
    return lambda x: lax.cond(jnp.size(x) >= jnp.sum(x != x), _fresh(f), lambda x: x, x)


@_transform("cond", 0)
def _cond(f: Subject) -> Any:
    return _chosen(f)


@_transform("grad of cond", 1)
def _grad_of_cond(f: Subject) -> Any:
    return summed_gradient(_chosen(f))


@_transform("checkpoint", 1)
def _checkpoint(f: Subject) -> Any:
    return summed_gradient(jax.checkpoint(_fresh(f)))


# -- what takes more than a program --------------------------------------------


@_other("vjp", orders=2)
def _vjp(b: Baseline) -> float:
    """Without jit, as the residuals are then arrays."""
    y, pull = jax.vjp(b.subject, b.x(_LONG))
    (slope,) = pull(jnp.ones_like(y))
    return max(b.same("vjp", y), b.same("vjp", slope, 1))


@_other("export")
def _export(b: Baseline) -> float:
    x = b.x(_LONG)
    exported = jax.export.export(jax.jit(_fresh(b.subject)))(
        jax.ShapeDtypeStruct(x.shape, x.dtype)
    )
    return b.same("export", exported.call(x))


@_other("debug_nans")
def _debug_nans(b: Baseline) -> float:
    x = b.x(_LONG)
    with jax.debug_nans(True):
        # Without jit every intermediate result is looked at.
        largest = b.same("eager with debug_nans", b.subject(x))
        if b.subject.has_derivatives:
            b.run(summed_gradient(_fresh(b.subject)), x)
    return largest


_LENGTHS = itertools.count(1031)


def _traced(b: Baseline, *leading: int) -> float:
    """Tracing alone shows whether a setting is respected.

    A length that was never met before makes a jit inside the function trace it
    anew, where it would otherwise reuse what it traced under other settings.
    """
    shape = (*leading, next(_LENGTHS))
    x = jax.ShapeDtypeStruct(shape, b.points.dtype)
    b.trace(_fresh(b.subject), x)
    if b.subject.has_derivatives:
        b.trace(summed_gradient(_fresh(b.subject)), x)
    return 0.0


@_other("strict dtype promotion")
def _strict_promotion(b: Baseline) -> float:
    with jax.numpy_dtype_promotion("strict"):
        return _traced(b)


@_other('rank promotion "raise"')
def _rank_promotion(b: Baseline) -> float:
    with jax.numpy_rank_promotion("raise"):
        return _traced(b, 2, 3)


@_other("leak checking")
def _leak_checking(b: Baseline) -> float:
    # JAX collects garbage at each trace: what is alive already is set aside, or
    # every collection would walk through the whole process.
    gc.freeze()
    try:
        with jax.checking_leaks():
            return _traced(b)
    finally:
        gc.unfreeze()


@_other("x64")
def _x64(b: Baseline) -> float:
    """With x64 enabled a narrow input stays narrow, and float64 stays float64."""
    with jax.enable_x64(True):
        x = b.x(_LONG)
        largest = b.same("with x64 enabled", b.run(_fresh(b.subject), x))
        if b.subject.has_derivatives:
            slope = b.trace(summed_gradient(_fresh(b.subject)), x)
            if slope.dtype != x.dtype:
                raise Broken(f"with x64 enabled grad on {x.dtype} gives {slope.dtype}")
        wide = jax.ShapeDtypeStruct(x.shape, jnp.float64)
        got = b.trace(_fresh(b.subject), wide).dtype
        if got != jnp.float64:
            raise Broken(f"with x64 enabled float64 input gives {got}")
    return largest


CHECKS: tuple[str, ...] = (*_TRANSFORMS, *_OTHERS)
