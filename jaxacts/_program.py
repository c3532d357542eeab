"""A kernel traced once, on scalars, and replayed on arrays of any shape.

To trace some hundred operations of jax.numpy takes a tenth of a second, for every
shape and every derivative. A kernel is elementwise: what it does to one number
is all that it does. So it is traced once for each dtype; nested functions are
dissolved, equal operations made one and unused ones dropped, and for each shape the
few dozen operations of lax that are left are called one after the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

__all__ = ["replayed"]

_Kernel = Callable[..., jax.Array]

# Operations of several operands, by the name of their primitive: the functions
# of lax take a scalar beside an array.
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lax.add,
    "and": lax.bitwise_and,
    "atan2": lax.atan2,
    "div": lax.div,
    "eq": lax.eq,
    "ge": lax.ge,
    "gt": lax.gt,
    "le": lax.le,
    "lt": lax.lt,
    "max": lax.max,
    "min": lax.min,
    "mul": lax.mul,
    "ne": lax.ne,
    "nextafter": lax.nextafter,
    "or": lax.bitwise_or,
    "pow": lax.pow,
    "rem": lax.rem,
    "shift_left": lax.shift_left,
    "shift_right_arithmetic": lax.shift_right_arithmetic,
    "shift_right_logical": lax.shift_right_logical,
    "sub": lax.sub,
    "xor": lax.bitwise_xor,
}
# Operations of one operand: the primitive itself, with its parameters.
_UNARY = frozenset(
    "abs acos acosh asin asinh atan atanh bitcast_convert_type ceil "
    "convert_element_type cos cosh erf erf_inv erfc exp exp2 expm1 floor "
    "integer_pow is_finite log log1p logistic neg not round rsqrt sign sin sinh "
    "sqrt square stop_gradient tan tanh".split()
)
_NESTED = ("jaxpr", "call_jaxpr")


class _NotElementwise(Exception):
    """The kernel has an operation that cannot be replayed."""


class _Step(NamedTuple):
    """One operation: operands are numbers of slots, or constants."""

    name: str
    primitive: Any
    parameters: dict[str, Any]
    operands: tuple[Any, ...]
    slot: int


class _Slot(NamedTuple):
    index: int


class _Program(NamedTuple):
    steps: list[_Step]
    result: Any


def replayed(kernel: _Kernel) -> _Kernel:
    """The kernel of (x, *parameters), traced once for each dtype.

    For its value alone: rules for derivatives inside the kernel are dissolved.
    Arrays of parameters are left to the kernel itself.
    """
    made: dict[Any, _Program | None] = {}

    @functools.wraps(kernel)
    def run(x: jax.Array, *parameters: jax.Array) -> jax.Array:
        if any(p.ndim for p in parameters):
            return kernel(x, *parameters)
        key = x.dtype, jax.config.read("jax_enable_x64")
        if key not in made:
            made[key] = _compiled(kernel, x.dtype, len(parameters))
        program = made[key]
        if program is None:
            return kernel(x, *parameters)
        return _replay(program, x, parameters)

    return run


def _compiled(kernel: _Kernel, dtype: Any, parameters: int) -> _Program | None:
    scalar = jax.ShapeDtypeStruct((), dtype)
    try:
        closed = jax.make_jaxpr(kernel)(*[scalar] * (1 + parameters))
        return _Recorder(1 + parameters).program(closed)
    except _NotElementwise:
        return None


class _Recorder:
    """Writes the steps of a jaxpr, each different one once."""

    def __init__(self, inputs: int):
        self.inputs = inputs
        self.steps: list[_Step] = []
        self.known: dict[Any, _Slot] = {}

    def program(self, closed: core.ClosedJaxpr) -> _Program:
        (result,) = self.record(closed, [_Slot(k) for k in range(self.inputs)])
        needed = {result.index} if isinstance(result, _Slot) else set()
        kept = []
        for step in reversed(self.steps):
            if step.slot in needed:
                kept.append(step)
                needed |= {o.index for o in step.operands if isinstance(o, _Slot)}
        return _Program(kept[::-1], result)

    def record(self, closed: core.ClosedJaxpr, arguments: list[Any]) -> list[Any]:
        known = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
        known |= dict(zip(closed.jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> Any:
            if not isinstance(atom, core.Literal):
                return known[atom]
            return np.asarray(atom.val, atom.aval.dtype)[()]

        for equation in closed.jaxpr.eqns:
            results = self.equation(equation, [read(v) for v in equation.invars])
            known |= dict(zip(equation.outvars, results, strict=True))
        return [read(v) for v in closed.jaxpr.outvars]

    def equation(self, equation: Any, operands: list[Any]) -> list[Any]:
        name, parameters = equation.primitive.name, equation.params
        for key in _NESTED:
            if isinstance(inner := parameters.get(key), core.ClosedJaxpr):
                return self.record(inner, operands)
        if any(v.aval.shape for v in (*equation.invars, *equation.outvars)):
            raise _NotElementwise
        if name in ("broadcast_in_dim", "copy", "reshape"):
            return operands
        if name not in _OPERATIONS and name not in _UNARY and name != "select_n":
            raise _NotElementwise
        if name == "mul":
            for one, other in (operands, operands[::-1]):
                if not isinstance(one, _Slot) and one == 1:
                    return [other]
        if not any(isinstance(o, _Slot) for o in operands):
            with jax.ensure_compile_time_eval():
                result = equation.primitive.bind(*operands, **parameters)
            return [np.asarray(result)[()]]
        identity = (
            name,
            tuple(sorted((k, str(v)) for k, v in parameters.items())),
            tuple(_identity(o) for o in operands),
        )
        if identity not in self.known:
            slot = _Slot(self.inputs + len(self.steps))
            self.known[identity] = slot
            self.steps.append(
                _Step(
                    name, equation.primitive, parameters, tuple(operands), slot.index
                )
            )
        return [self.known[identity]]


def _identity(operand: Any) -> Any:
    if isinstance(operand, _Slot):
        return operand
    constant = np.asarray(operand)
    return str(constant.dtype), constant.tobytes()


def _replay(program: _Program, x: jax.Array, parameters: tuple[Any, ...]) -> jax.Array:
    values: dict[int, Any] = dict(enumerate((x, *parameters)))

    def read(operand: Any) -> Any:
        return values[operand.index] if isinstance(operand, _Slot) else operand

    for step in program.steps:
        operands = [read(o) for o in step.operands]
        if step.name in _OPERATIONS:
            result = _OPERATIONS[step.name](*operands)
        elif step.name == "select_n":
            result = _select(*operands)
        else:
            result = step.primitive.bind(*operands, **step.parameters)
        values[step.slot] = result
    y = read(program.result)
    return y if np.shape(y) == x.shape else jnp.full_like(x, y)


def _select(which: Any, *cases: Any) -> Any:
    """``lax.select_n``, whose cases may not be scalars beside arrays."""
    like = next((v for v in (which, *cases) if np.ndim(v)), None)
    if like is not None:
        cases = tuple(
            case if np.ndim(case) else lax.full_like(like, case, case.dtype)
            for case in cases
        )
    return lax.select_n(which, *cases)
