"""What a planted defect is, and what the verifier must say of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

__all__ = ["Defect", "with_slope"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Defect:
    """One defect.

    Attributes:
      name: what is wrong.
      function: the activation that has it.
      groups: the checks that are run: those of accuracy, or groups of behaviour.
      check, subject: of the finding that must fail.
      message: a piece of that finding's message: the right reason.
      reference: the plain formula, for the checks of accuracy.
      options: keyword arguments of the verifier.
    """

    name: str
    function: Callable[..., Any]
    groups: Sequence[str]
    check: str
    subject: str
    message: str
    reference: Callable[..., Any] | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def with_slope(value, slope):
    """An activation with a derivative of its own."""
    function = jax.custom_jvp(value)
    function.defjvps(lambda dot, y, x: dot * slope(x))
    return function
