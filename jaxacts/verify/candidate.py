"""Running the function under test: derivatives, paths of execution, flushing."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .target import Target
from .ulp import Format, format_of

__all__ = ["Candidate", "EvaluationError", "derivative", "flushes"]

# On the CPU a loop over an array has a vector body and a scalar remainder that
# may round differently: these lengths have no vector body.
# A scalar counts as length 0. Results of few bits are rounded so much in the end
# that the first will do.
SHORT_LENGTHS = (7, 3, 1, 0)


class EvaluationError(Exception):
    """The function under test raised, or returned something of another kind."""


def derivative(
    function: Callable[[Any], Any], order: int, sample: Any = None
) -> Callable[[Any], Any]:
    """The derivative of an elementwise function, element by element.

    Args:
      function: of one array.
      order: how often to differentiate.
      sample: an input; if forward mode rejects the function there, as it does
        every ``custom_vjp``, reverse mode is used.
    """
    forward = _repeat(_forward_slope, function, order)
    if order and sample is not None:
        try:
            jax.jit(forward).lower(sample)  # not before does custom_vjp refuse
        except TypeError:
            return _repeat(_reverse_slope, function, order)
        except Exception:
            return forward  # the run itself will raise this, and report it
    return forward


def _repeat(step: Callable[..., Any], function: Callable[[Any], Any], order: int):
    for _ in range(order):
        function = functools.partial(step, function)
    return function


def _forward_slope(function: Callable[[Any], Any], x: jax.Array) -> jax.Array:
    return jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def _reverse_slope(function: Callable[[Any], Any], x: jax.Array) -> jax.Array:
    y, pullback = jax.vjp(function, x)
    return pullback(jnp.ones_like(y))[0]


def precision_context(form: Format) -> contextlib.AbstractContextManager[Any]:
    """Float64 exists in JAX only with x64 on; other types follow the user."""
    return jax.enable_x64(True) if form.bits == 64 else contextlib.nullcontext()


class Candidate:
    """The function under test in one dtype, each derivative compiled once.

    Args:
      function: of one array.
      form: the format of inputs and results.
      derivatives: functions to take for the derivatives, from order 0 on, in the
        place of JAX's derivatives of ``function``.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        form: Format,
        derivatives: Sequence[Callable[[Any], Any]] = (),
    ):
        self.function = function
        self.form = form
        self._derivatives = dict(enumerate(derivatives))
        self._compiled: dict[int, Callable[[Any], Any]] = {}
        self._short: dict[int, Callable[[Any], Any]] = {}
        self._length = 0

    @classmethod
    def of(cls, target: Target, form: Format) -> Candidate:
        return cls(target.bound_function(form), form, target.bound_derivatives(form))

    def _derivative(self, order: int) -> Callable[[Any], Any]:
        if order not in self._derivatives:
            sample = jnp.zeros(1, self.form.dtype)
            self._derivatives[order] = derivative(self.function, order, sample)
        return self._derivatives[order]

    def compiled(self, order: int) -> Callable[[Any], Any]:
        """The derivative under jit."""
        if order not in self._compiled:
            self._compiled[order] = jax.jit(self._derivative(order))
        return self._compiled[order]

    def lowered(self, order: int, sample: jax.ShapeDtypeStruct) -> str:
        """What is compiled, as text: it identifies the code under test."""
        return jax.jit(self._derivative(order)).lower(sample).as_text()

    def __call__(self, inputs: np.ndarray, order: int, jit: bool = True) -> np.ndarray:
        """Results of one order, as doubles of the inputs' shape ``(n,)``.

        Raises:
          EvaluationError: if the function raises or changes shape or dtype.
        """
        with precision_context(self.form), _reporting():
            if not jit:
                result = self._derivative(order)(jnp.asarray(inputs))
                return self._as_doubles(result, inputs.shape)
            # Padded to the longest length yet, for which there is compiled code.
            self._length = max(self._length, len(inputs))
            padded = np.resize(inputs, self._length)
            result = self.compiled(order)(jnp.asarray(padded))
            return self._as_doubles(result, padded.shape)[: len(inputs)]

    def short(self, inputs: np.ndarray, order: int) -> dict[str, np.ndarray]:
        """Results as a scalar and at both ends of arrays of a few elements.

        Returns:
          Path, such as "length 7", to results in the order of the inputs.
        """
        form = self.form
        lengths = SHORT_LENGTHS if form.bits > 16 else SHORT_LENGTHS[:1]
        with precision_context(form), _reporting():
            if order not in self._short:
                self._short[order] = _together(self._derivative(order))
            compute = self._short[order]
            rows: dict[int, list[np.ndarray]] = {n: [] for n in lengths}
            for start in range(len(inputs)):
                arrays = [
                    np.take(inputs, range(start, start + max(n, 1)), mode="wrap")
                    for n in lengths
                ]
                if not lengths[-1]:
                    arrays[-1] = arrays[-1].reshape(())
                results = compute([jnp.asarray(array) for array in arrays])
                for n, array, result in zip(lengths, arrays, results, strict=True):
                    rows[n].append(self._as_doubles(result, array.shape).ravel())
        found: dict[str, np.ndarray] = {}
        for n, values in rows.items():
            found[f"length {n}" if n else "scalar"] = np.array([v[0] for v in values])
            if n > 1:
                last = np.array([v[-1] for v in values])
                found[f"end of length {n}"] = np.roll(last, n - 1)
        return found

    def _as_doubles(self, result: Any, shape: tuple[int, ...]) -> np.ndarray:
        got = np.shape(result)
        dtype = getattr(result, "dtype", type(result).__name__)
        if got != shape or dtype != self.form.dtype:
            raise EvaluationError(
                f"input of shape {shape} and dtype {self.form.name} gave shape {got} "
                f"and dtype {dtype}"
            )
        with np.errstate(invalid="ignore"):  # ml_dtypes warns when it converts NaN
            return np.asarray(result).astype(np.float64)


def _together(compute: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    """One compilation for several arrays; each keeps a loop of its own."""
    return jax.jit(lambda arrays: [compute(array) for array in arrays])


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    """Whatever the function under test raises becomes an EvaluationError."""
    try:
        yield
    except EvaluationError:
        raise
    except Exception as error:
        text = str(error).strip().splitlines()
        raise EvaluationError(
            f"{type(error).__name__}: {text[0] if text else 'no message'}"
        ) from error


@functools.cache
def flushes(dtype: str) -> bool:
    """Whether this backend flushes subnormal numbers of a dtype to zero."""
    form = format_of(dtype)
    with precision_context(form):
        smallest = jnp.asarray(form.smallest_normal, form.dtype)
        half = jnp.asarray(0.5, form.dtype)
        product = jax.jit(lambda a, b: a * b)(smallest, half)
        return bool(np.asarray(product).astype(np.float64) == 0)
