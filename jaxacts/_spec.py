"""What is known of an activation besides its code: one frozen record each.

Everything that lists, documents, tests, plots or verifies activations reads
these records; nothing keeps a second list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["Kink", "Limits", "Parameter", "Spec"]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """A differentiable argument of an activation besides ``x``.

    Attributes:
      name: the argument's name, the field's term spelled out.
      default: its default value, or ``None`` where the caller must give it; several
        numbers where it is an array whose last axis has so many entries.
      initial: the value at which a layer that learns it starts, or ``None``
        where the parameter is a shape constant that nobody trains.
      description: one line, with the accepted range.
      above: a number, or the name of another parameter, that a layer keeps this
        one above: what it stores and trains is the inverse softplus of the
        difference. ``None`` where the parameter itself is stored.
    """

    name: str
    default: float | tuple[float, ...] | None
    description: str
    initial: float | tuple[float, ...] | None = None
    above: float | str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kink:
    """A point where a derivative jumps, and the value returned there.

    ``None`` means that the derivative of this order exists there.
    """

    at: float
    slope: float | None = None
    curvature: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Value, slope and curvature at -inf and +inf; the sign of a zero counts."""

    minus_infinity: tuple[float, float, float]
    plus_infinity: tuple[float, float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The record of one activation.

    Attributes:
      name: the registered name, also the public name in ``jaxacts``.
      family: the module it lives in.
      formula: LaTeX, without dollar signs.
      function: the public callable.
      elementwise: False for functions of a whole axis, such as softmax.
      reference: the naive formula of the paper, ``reference(m, x, **kwargs)``,
        over a namespace ``m`` (see ``Spec.reference`` in CONTRIBUTING.md), or
        ``None`` where the function is not elementwise.
      parameters: the differentiable arguments, in call order.
      static: names of the arguments that select a variant (``approximate``).
      cases: the keyword settings that are verified; the first is the default.
      kinks: points where a derivative jumps, as a function of the keywords.
      limits: at the infinities, as a function of the keywords.
      value_range: lower and upper bound of the value, as a function of the
        keywords; ``None`` where nothing is claimed.
      monotonic: True where the value never decreases.
      symmetry: "odd", "even" or ``None``.
      signed_zero: False where f(-0.0) = 0 may have either sign.
      keeps_integers: integer input gives integer output.
      paper: where it comes from, as an arXiv id or a citation.
      aliases: further public names of the same callable.
      max_ulp: dtype name to the largest error allowed in f, f' and f''; a fourth
        number is the relative error allowed in f''', a thousandth without it.
    """

    name: str
    family: str
    formula: str
    function: Callable[..., Any]
    elementwise: bool = True
    reference: Callable[..., Any] | None = None
    parameters: tuple[Parameter, ...] = ()
    static: tuple[str, ...] = ()
    cases: tuple[Mapping[str, Any], ...] = (_EMPTY,)
    kinks: Callable[..., tuple[Kink, ...]] = lambda **_: ()
    limits: Callable[..., Limits] | None = None
    value_range: Callable[..., tuple[float, float]] | None = None
    monotonic: bool = False
    symmetry: str | None = None
    signed_zero: bool = True
    keeps_integers: bool = False
    paper: str | None = None
    aliases: tuple[str, ...] = ()
    max_ulp: Mapping[str, tuple[float, ...]] = dataclasses.field(
        default_factory=lambda: _EMPTY
    )

    @property
    def learnable(self) -> tuple[Parameter, ...]:
        """The parameters that a layer can train."""
        return tuple(p for p in self.parameters if p.initial is not None)
