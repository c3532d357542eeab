"""From three formulas to a public function: dtypes, derivative rules, register.

A family file writes value, slope and curvature of an activation on plain float32
or float64 arrays. The decorator here gives them every contract that all
activations share:

* the dtype policy: 16- and 8-bit inputs compute in float32 and round once,
  integers become the default float, weak types stay weak, parameters never
  change the dtype of the result;
* a ladder of ``custom_jvp`` rules f -> f' -> f'', whose last rung is
  differentiated by JAX itself;
* what is kept for the backward pass: f'(x) alone, or the output alone where the
  slope follows from it exactly, or x alone where a parameter is differentiated or
  x has fewer bits than the slope is computed in (so that only its product with the
  cotangent is rounded; with large parameters the rounded slope is kept).
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jaxacts import _registry
from jaxacts._arguments import as_numbers, checked_real, equal_ranks, to_float
from jaxacts._documentation import documented
from jaxacts._program import replayed
from jaxacts._spec import Parameter, Spec
from jaxacts._stamped import stamped

__all__ = [
    "activation",
    "compute_dtype",
    "function_of_axes",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_Kernel = Callable[..., jax.Array]


def activation(
    *,
    family: str,
    formula: str,
    reference: Callable[..., Any],
    slope: _Kernel,
    curvature: _Kernel,
    slope_from_output: _Kernel | None = None,
    output_decides: Callable[..., bool] = lambda **_: True,
    selection: _Kernel | None = None,
    parameter_slopes: Mapping[str, _Kernel] | None = None,
    parameters: tuple[Parameter, ...] = (),
    static: tuple[str, ...] = (),
    precise: tuple[str, ...] = (),
    **record: Any,
) -> Callable[[_F], _F]:
    """Makes a registered public activation of a kernel ``f(x, *parameters)``.

    Kernels receive float32 or float64 arrays of equal rank and return the same
    dtype; only value kernels with ``keeps_integers`` see integers too.

    Args:
      slope, curvature: kernels of f' and f'' in x, with the same arguments.
      slope_from_output: where given, f' as a function of ``(y, *parameters)``;
        the output is then all that backward keeps.
      output_decides: for which parameters, given as Python numbers,
        ``slope_from_output`` holds; it is not used with traced parameters.
      selection: of a function that selects bits, the value kernel of 16-bit floats.
      parameter_slopes: parameter name to a kernel of the derivative in it;
        otherwise the value kernel is differentiated by JAX. That of a parameter
        of several numbers takes ``index``, of the number, by keyword.
      static: names of keyword arguments that must be Python bools.
      precise: 16-bit dtypes for which the shorter arithmetic of
        `jaxacts._exact.roughly` is too rough; ``tests/test_accuracy.py`` tells.
      **record: the remaining fields of `Spec`.
    """

    sizes = {p.name: _size(p) for p in parameters}

    def decorate(value: _F) -> _F:
        name = value.__name__
        build = _Builder(
            name=name,
            kernels=tuple(_grouped(k, sizes) for k in (value, slope, curvature)),
            slope_from_output=slope_from_output,
            output_decides=output_decides,
            selection=selection,
            parameter_slopes=_of_each_number(parameter_slopes or {}, sizes),
            sizes=sizes,
            static=static,
            precise=precise,
            keeps_integers=record.get("keeps_integers", False),
        )
        # Inlined, the backward pass of a gradient has no function to transpose.
        function = jax.jit(build.entry(value), static_argnames=static, inline=True)
        entry = Spec(
            name=name,
            family=family,
            formula=formula,
            function=function,
            reference=reference,
            parameters=parameters,
            static=static,
            **record,
        )
        function.__doc__ = documented(entry, value.__doc__ or "")
        _registry.register(entry)
        return function  # type: ignore[return-value]

    return decorate


class _Builder:
    """Assembles the public function of one activation."""

    def __init__(
        self,
        *,
        name: str,
        kernels: tuple[_Kernel, ...],
        slope_from_output: _Kernel | None,
        output_decides: Callable[..., bool],
        selection: _Kernel | None,
        parameter_slopes: dict[str, _Kernel],
        sizes: Mapping[str, int | None],
        static: tuple[str, ...],
        precise: tuple[str, ...],
        keeps_integers: bool,
    ):
        self.name = name
        self.kernels = kernels
        self.slope_from_output = slope_from_output
        self.output_decides = output_decides
        self.selection = selection
        self.parameter_slopes = parameter_slopes
        self.sizes = sizes
        self.parameters = _numbers(sizes)
        self.static = static
        self.precise = precise
        self.keeps_integers = keeps_integers

    def entry(self, value: Callable[..., Any]) -> Callable[..., jax.Array]:
        signature = inspect.signature(value)
        ladder = functools.lru_cache(maxsize=None)(self._ladder)

        @functools.wraps(value)
        def public(*args: Any, **kwargs: Any) -> jax.Array:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = bound.arguments
            settings = tuple((key, given[key]) for key in self.static)
            for key, setting in settings:
                if not isinstance(setting, bool | np.bool_):
                    raise TypeError(
                        f"{self.name}: {key}={setting!r} must be True or False"
                    )
            x = checked_real(self.name, "x", given["x"])
            # A default is still a Python number here; what was passed is traced.
            from_output = self.slope_from_output is not None and all(
                isinstance(given[p], int | float) for p in self.sizes
            )
            if from_output:
                numbers = {p: given[p] for p in self.sizes}
                from_output = self.output_decides(**numbers)
            parameters = [
                number
                for p, size in self.sizes.items()
                for number in as_numbers(self.name, p, given[p], size)
            ]
            x, parameters = equal_ranks(x, parameters)
            if self.keeps_integers and jnp.issubdtype(x.dtype, jnp.integer):
                whole = [p.astype(x.dtype) for p in parameters]
                return self.kernels[0](x, *whole, **dict(settings))
            y = ladder(settings, from_output)(
                to_float(x), *(to_float(p) for p in parameters)
            )
            return _weakened(y) if x.aval.weak_type else y

        return public

    def _ladder(
        self, settings: tuple[tuple[str, Any], ...], from_output: bool
    ) -> _Kernel:
        """f as a custom_jvp function of (x, *parameters) for fixed settings."""
        value, slope, curvature = (
            functools.partial(kernel, **dict(settings)) for kernel in self.kernels
        )
        f2 = _last_rung(curvature, self.name + "_curvature", self.precise)
        f1 = self._rung(slope, self.name + "_slope", f2, rounds=False)
        from_y = self.slope_from_output if from_output else None
        return self._rung(value, self.name, f1, from_y, self.parameter_slopes, settings)

    def _rung(
        self,
        kernel: _Kernel,
        name: str,
        derivative: _Kernel,
        derivative_from_output: _Kernel | None = None,
        parameter_slopes: Mapping[str, _Kernel] | None = None,
        settings: tuple[tuple[str, Any], ...] = (),
        rounds: bool = True,
    ) -> _Kernel:
        """The kernel with a rule made of its derivative, which is not rounded.

        ``rounds``: the result has x's dtype, not the one that is computed in.
        """
        bits = self.selection if rounds else None
        evaluated = _evaluated(kernel, name, self.precise, rounds, bits)
        push = _pushed(derivative, rounds)
        if from_output := derivative_from_output:
            # JAX differentiates it further.
            from_output = _wide(replayed(from_output, value_alone=False))
            from_output = stamped(_recomputed(_pushed(from_output, rounds)))
        own = {
            key: functools.partial(k, **dict(settings))
            for key, k in (parameter_slopes or {}).items()
        }

        @jax.custom_jvp
        def f(x: jax.Array, *parameters: jax.Array) -> jax.Array:
            return evaluated(x, *parameters)

        def rule(primals: Any, tangents: Any) -> Any:
            x, *parameters = primals
            y = f(x, *parameters)
            x_dot, *p_dots = tangents
            moving = [not isinstance(p_dot, SymbolicZero) for p_dot in p_dots]
            still_x = isinstance(x_dot, SymbolicZero)
            if not any(moving) and still_x:
                return y, jnp.zeros_like(y)
            if not any(moving):
                if x_dot.shape != y.shape:
                    x_dot = jnp.broadcast_to(x_dot, y.shape)
                if from_output is not None:
                    return y, from_output(x_dot, y, *parameters)
                if not rounds or compute_dtype(x.dtype) == x.dtype:
                    return y, push(x_dot, x, *parameters)
                # The slope is not of x's dtype. Kept is x with the parameters, or,
                # where these are large, the slope after all, rounded.
                large = sum(_bytes(p) for p in parameters if p.size > 1)
                if large <= _bytes(y) / 8:
                    return y, _recomputed(push)(x_dot, x, *parameters)
                return y, x_dot * derivative(x, *parameters).astype(x.dtype)

            # A moving parameter: everything is recomputed from x and the
            # parameters, so that x alone is kept, not one array a parameter.
            def push_all(x: Any, parameters: Any, x_dot: Any, p_dots: Any) -> Any:
                wide = compute_dtype(x.dtype)
                terms = []
                if not still_x:
                    terms.append(x_dot.astype(wide) * derivative(x, *parameters))
                xw, *pw = (a.astype(wide) for a in (x, *parameters))
                for i, (name, moves) in enumerate(
                    zip(self.parameters, moving, strict=True)
                ):
                    if not moves:
                        continue
                    if name in own:
                        partial = own[name](xw, *pw)
                    else:
                        ones = jnp.ones_like(pw[i])
                        at = functools.partial(_with_argument, kernel, xw, pw, i)
                        partial = jax.jvp(at, (pw[i],), (ones,))[1]
                    terms.append(p_dots[i].astype(wide) * partial)
                total = functools.reduce(operator.add, terms)
                return jnp.broadcast_to(total.astype(y.dtype), y.shape)

            dots = tuple(d if m else None for d, m in zip(p_dots, moving, strict=True))
            dots_of_x = None if still_x else x_dot
            return y, _recomputed(push_all)(x, tuple(parameters), dots_of_x, dots)

        f.defjvp(rule, symbolic_zeros=True)
        return f


def _recomputed(push: _Kernel) -> _Kernel:
    """The function, of which backward keeps the arguments and nothing within."""
    return jax.checkpoint(push, prevent_cse=False)


def _pushed(derivative: _Kernel, rounds: bool) -> _Kernel:
    """The tangent of (x_dot, x, *parameters); ``rounds``: in the type of x_dot."""

    def push(x_dot: Any, x: Any, *parameters: Any) -> Any:
        slope = derivative(x, *parameters)
        # lax takes a seventh of the time of jax.numpy to trace.
        wide = lax.convert_element_type(x_dot, slope.dtype)
        multiplied = lax.mul if wide.shape == slope.shape else operator.mul
        total = multiplied(wide, slope)
        return lax.convert_element_type(total, x_dot.dtype) if rounds else total

    return push


def _last_rung(kernel: _Kernel, name: str, precise: tuple[str, ...]) -> _Kernel:
    """The last derivative with formulas of its own: JAX differentiates the kernel."""
    evaluated = _evaluated(kernel, name, precise, rounds=False)
    plain = _wide(kernel)

    @jax.custom_jvp
    def f(*arguments: jax.Array) -> jax.Array:
        return evaluated(*arguments)

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        return f(*primals), jax.jvp(plain, primals, tangents)[1]

    return f


def _size(parameter: Parameter) -> int | None:
    """How many numbers a parameter has; ``None`` for one that is a number."""
    known = parameter.default
    return len(known) if isinstance(known, tuple) else None


def _numbers(sizes: Mapping[str, int | None]) -> tuple[str, ...]:
    """A name for each number of each parameter."""
    return tuple(
        name if size is None else f"{name}[{k}]"
        for name, size in sizes.items()
        for k in range(size or 1)
    )


def _grouped(kernel: _Kernel, sizes: Mapping[str, int | None]) -> _Kernel:
    """The kernel of (x, *parameters) as one of (x, *numbers)."""
    if not any(sizes.values()):
        return kernel

    @functools.wraps(kernel)
    def of_numbers(x: jax.Array, *numbers: jax.Array, **settings: Any) -> jax.Array:
        left = iter(numbers)
        grouped = [
            next(left) if size is None else tuple(next(left) for _ in range(size))
            for size in sizes.values()
        ]
        return kernel(x, *grouped, **settings)

    return of_numbers


def _of_each_number(
    slopes: Mapping[str, _Kernel], sizes: Mapping[str, int | None]
) -> dict[str, _Kernel]:
    """The slope in each number, from the slopes in the parameters."""
    found: dict[str, _Kernel] = {}
    for name, slope in slopes.items():
        size, kernel = sizes[name], _grouped(slope, sizes)
        if size is None:
            found[name] = kernel
        else:
            for k in range(size):
                found[f"{name}[{k}]"] = functools.partial(kernel, index=k)
    return found


def function_of_axes(
    *, family: str, formula: str, static: tuple[str, ...] = (), **record: Any
) -> Callable[[_F], _F]:
    """Registers a function that works along axes, jit-compiled."""

    def decorate(body: _F) -> _F:
        function = jax.jit(body, static_argnames=static)
        entry = Spec(
            name=body.__name__,
            family=family,
            formula=formula,
            function=function,
            elementwise=False,
            static=static,
            **record,
        )
        function.__doc__ = documented(entry, body.__doc__ or "")
        _registry.register(entry)
        return function  # type: ignore[return-value]

    return decorate


def _with_argument(
    kernel: _Kernel, x: jax.Array, parameters: list[jax.Array], i: int, p: jax.Array
) -> jax.Array:
    return kernel(x, *parameters[:i], p, *parameters[i + 1 :])


def _wide(kernel: _Kernel) -> _Kernel:
    """The kernel in compute precision, its result not rounded."""

    def wide(x: jax.Array, *parameters: jax.Array) -> jax.Array:
        dtype = compute_dtype(x.dtype)
        return kernel(x.astype(dtype), *(p.astype(dtype) for p in parameters))

    return wide


def _evaluated(
    kernel: _Kernel,
    name: str,
    precise: tuple[str, ...],
    rounds: bool,
    bits: _Kernel | None = None,
) -> _Kernel:
    """`_wide`, for values alone, in shorter arithmetic where these have few bits.

    ``bits``: the kernel of 16-bit floats, if not this.
    """
    # The name is what profiles show.
    long, short = replayed(kernel), replayed(kernel, rough=True)

    def evaluated(x: jax.Array, *parameters: jax.Array) -> jax.Array:
        if bits is not None and x.dtype.itemsize == 2:
            return bits(x, *parameters)
        few_bits = x.dtype.itemsize <= 2 and str(x.dtype) not in precise
        y = _wide(short if few_bits else long)(x, *parameters)
        return y.astype(x.dtype) if rounds else y

    evaluated.__name__ = evaluated.__qualname__ = name
    return stamped(jax.jit(evaluated))


def _bytes(x: jax.Array) -> int:
    return int(x.size) * x.dtype.itemsize


def compute_dtype(dtype: Any) -> Any:
    """In what numbers of a type are computed with, before results are rounded."""
    return np.float64 if dtype == jnp.float64 else np.float32


def _weakened(y: jax.Array) -> jax.Array:
    # An indexed update keeps the weak type of its left side; it is the one
    # public operation that gives a strong value a weak type. Weak arrays are
    # Python scalars in practice, so its cost does not matter.
    if y.aval.weak_type or y.dtype != jnp.result_type(float):
        return y
    return jnp.broadcast_to(jnp.asarray(0.0), y.shape).at[...].set(y)
