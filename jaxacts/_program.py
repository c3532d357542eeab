"""A kernel traced once, on scalars, and replayed on arrays of any shape.

To trace some hundred operations of jax.numpy takes a tenth of a second, for every
shape and every derivative. A kernel is elementwise: what it does to one number
is all that it does. So it is traced once for each dtype; nested functions are
dissolved, equal operations made one and unused ones dropped, and for each shape the
few dozen operations of lax that are left are called one after the other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from jaxacts._exact import roughly

__all__ = ["ELEMENTWISE", "replayed"]

_Kernel = Callable[..., jax.Array]

# Operations of several operands, by the name of their primitive: the functions
# of lax take a scalar beside an array.
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lax.add,
    "and": lax.bitwise_and,
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
    "or": lax.bitwise_or,
    "rem": lax.rem,
    "shift_left": lax.shift_left,
    "shift_right_arithmetic": lax.shift_right_arithmetic,
    "shift_right_logical": lax.shift_right_logical,
    "sub": lax.sub,
    "xor": lax.bitwise_xor,
}
# Operations of one operand: the primitive itself, with its parameters.
_UNARY = (
    {"abs", "neg", "sign", "not", "is_finite"}
    | {"ceil", "floor", "round", "convert_element_type", "bitcast_convert_type"}
    | {"integer_pow", "square", "sqrt", "rsqrt", "exp", "log", "sin", "cos", "tanh"}
)
# All that a replayed kernel consists of, by name.
ELEMENTWISE = {*_OPERATIONS, *_UNARY, "select_n", "broadcast_in_dim"}
_NESTED = ("jaxpr", "call_jaxpr")
_RULES = ("custom_", "stop_gradient")  # of the derivative, which differs from JAX's


class _NotElementwise(Exception):
    """The kernel has an operation that cannot be replayed."""


class _Step(NamedTuple):
    """One operation: operands are numbers of slots, or constants."""

    name: str
    primitive: Any
    parameters: dict[str, Any]
    operands: tuple[Any, ...]
    slot: int


@dataclasses.dataclass(frozen=True)
class _Slot:
    index: int


class _Program(NamedTuple):
    steps: list[_Step]
    result: Any


def replayed(
    kernel: _Kernel, *, rough: bool = False, value_alone: bool = True
) -> _Kernel:
    """The kernel of (x, *parameters), traced once for each dtype.

    rough: without what only float32 can tell, see `jaxacts._exact.roughly`.
    value_alone: rules for derivatives inside the kernel are dissolved; otherwise a
      kernel that has any is left as it is, as are kernels with arrays of parameters.
    """
    made: dict[Any, _Program | None] = {}

    @functools.wraps(kernel)
    def run(x: jax.Array, *parameters: jax.Array) -> jax.Array:
        if any(p.ndim for p in parameters):
            return kernel(x, *parameters)
        key = x.dtype, jnp.result_type(float)
        if key not in made:
            made[key] = _compiled(kernel, x.dtype, len(parameters), rough, value_alone)
        program = made[key]
        if program is None:
            return kernel(x, *parameters)
        return _replay(program, x, parameters)

    return run


def _compiled(
    kernel: _Kernel, dtype: Any, parameters: int, rough: bool, value_alone: bool
) -> _Program | None:
    scalar = jax.ShapeDtypeStruct((), dtype)
    try:
        # Constants of a kernel may be NaN; whether a result is, is seen in its replay.
        with jax.debug_nans(False):
            with roughly() if rough else contextlib.nullcontext():
                # A function of its own: traces of functions are kept.
                traced = jax.make_jaxpr(lambda *a: kernel(*a))
                closed = traced(*[scalar] * (1 + parameters))
            return _Recorder(1 + parameters, rough, value_alone).program(closed)
    except _NotElementwise:
        return None


class _Recorder:
    """Writes the steps of a jaxpr, each different one once."""

    def __init__(self, inputs: int, rough: bool, value_alone: bool):
        self.inputs = inputs
        self.rough = rough
        self.value_alone = value_alone
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
            aval: Any = atom.aval
            return np.asarray(atom.val, aval.dtype)[()]

        for equation in closed.jaxpr.eqns:
            results = self.equation(equation, [read(v) for v in equation.invars])
            known |= dict(zip(equation.outvars, results, strict=True))
        return [read(v) for v in closed.jaxpr.outvars]

    def equation(self, equation: Any, operands: list[Any]) -> list[Any]:
        name, parameters = equation.primitive.name, equation.params
        if not self.value_alone and name.startswith(_RULES):
            raise _NotElementwise
        for key in _NESTED:
            if isinstance(inner := parameters.get(key), core.ClosedJaxpr):
                return self.record(inner, operands)
        if any(v.aval.shape for v in (*equation.invars, *equation.outvars)):
            raise _NotElementwise
        if name in ("broadcast_in_dim", "copy", "reshape", "stop_gradient"):
            return operands
        if name not in _OPERATIONS and name not in _UNARY and name != "select_n":
            raise _NotElementwise
        if (known := _simplified(name, operands, self.rough)) is not None:
            return [known]
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
                _Step(name, equation.primitive, parameters, tuple(operands), slot.index)
            )
        return [self.known[identity]]


def _simplified(name: str, operands: list[Any], rough: bool) -> Any:
    """The operand or constant that an operation comes to, if it is none.

    rough: take a sum with 0 for the other number, and 0 times a number for 0.
    """

    def constant(operand: Any, value: float) -> bool:
        return not isinstance(operand, _Slot) and bool(operand == value)

    if name == "select_n" and _identity(operands[1]) == _identity(operands[2]):
        return operands[1]
    if name not in ("add", "mul", "sub"):
        return None
    a, b = operands
    if name == "mul":
        if constant(a, 1):
            return b
        if constant(b, 1):
            return a
    if rough:
        if name == "mul":
            return next((o for o in operands if constant(o, 0)), None)
        if constant(b, 0):
            return a
        if name == "add" and constant(a, 0):
            return b
        if name == "sub" and isinstance(b, _Slot) and a == b:
            return np.float32(0.0)
    return None


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
