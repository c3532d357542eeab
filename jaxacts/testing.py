"""Assertions on activations, for the test suites of those who write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["assert_activation"]


def assert_activation(
    function: str | Callable[..., Any],
    reference: str | Callable[..., Any] | None = None,
    *,
    max_ulp: Mapping[str, float | Sequence[float]] | None = None,
    orders: Sequence[int] = (0, 1, 2),
    params: Mapping[str, Any] | None = None,
    checks: Sequence[str] = ("accuracy", "special values", "transforms"),
    points: int = 4_000,
) -> None:
    """Asserts that an activation and its derivatives are as accurate as claimed.

    Args:
      function: a callable ``function(x, **params)``, the name of a registered
        activation, or ``"package.module:name"``.
      reference: the exact formula, as ``reference(m, x, **params)`` or as text
        such as ``"x*tanh(log(1+exp(x)))"``; see `jaxacts.verify.verify`.
      max_ulp: dtype to the largest error allowed in ULP, one number or one an
        order of derivative. These are the dtypes that are checked; by default
        the 16-bit types and float32 with the project's own goals.
      orders: which derivatives, from 0 to 3.
      params: keyword arguments of the function.
      checks: which kinds of check, from ``jaxacts.verify.CHECKS``.
      points: size of the grid in float32 and float64; smaller types are tried on
        all their numbers.

    Raises:
      AssertionError: if a check fails; the message says input, result,
        expectation and error in ULP.
      ValueError: for bad arguments.

    Example:
      >>> import jax.numpy as jnp
      >>> def square(x):
      ...     return x * x
      >>> assert_activation(
      ...     square,
      ...     reference="x*x",
      ...     max_ulp={"float32": 0.5},
      ...     orders=[0],
      ...     checks=["accuracy"],
      ... )
    """
    # Here and not above: this module is imported without the extra.
    from jaxacts.verify import verify

    report = verify(
        function,
        reference,
        dtypes=tuple(max_ulp or ("bfloat16", "float16", "float32")),
        orders=orders,
        params=params,
        max_ulp=max_ulp,
        checks=checks,
        points=points,
        chunks=6,
    )
    if not report.passed:
        raise AssertionError(f"\n{report.table()}")
