"""What is verified: a function, its reference and what is claimed of it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxacts._spec import Kink, Limits, Spec

from .expression import Program, trace
from .ulp import Format

__all__ = ["GOALS", "Target", "cases", "registered"]

# The largest error allowed in f, f' and f'' where nothing else is asked for.
GOALS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "bfloat16": (0.51, 0.51, 0.51),
        "float16": (0.51, 0.51, 0.51),
        "float8_e4m3fn": (0.5,),
        "float8_e5m2": (0.5,),
        "float32": (2.0, 2.0, 4.0),
        "float64": (4.0, 4.0, 8.0),
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """One function with one setting of its keywords, and the claims to check.

    Attributes:
      name: for the report.
      function: called as ``function(x, **keywords)``.
      reference: called as ``reference(m, x, **keywords)``.
      keywords: numbers, and static settings such as ``approximate=True``.
      kinks, limits, value_range: claims as in ``Spec``; ``None`` claims nothing.
      monotonic, symmetry, signed_zero: claims as in ``Spec``.
      keeps_integers: integer input gives integer output.
      derivatives: value, slope and curvature as functions of their own, measured
        in the place of JAX's derivatives of ``function``; for writing kernels.
      max_ulp: dtype name to the largest error allowed by order; dtypes that it
        does not name are held to ``GOALS``.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any]
    keywords: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    kinks: Callable[..., Sequence[Kink]] | None = None
    limits: Callable[..., Limits] | None = None
    value_range: Callable[..., tuple[float, float]] | None = None
    monotonic: bool = False
    symmetry: str | None = None
    signed_zero: bool = True
    keeps_integers: bool = False
    derivatives: tuple[Callable[..., Any], ...] | None = None
    max_ulp: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)

    def settings(self, form: Format) -> dict[str, Any]:
        """The keywords, numbers rounded to the type that computes."""
        kind = np.dtype(form.compute_dtype).type

        def rounded(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(rounded(number) for number in value)
            return value if _is_static(value) else float(kind(value))

        return {name: rounded(value) for name, value in self.keywords.items()}

    def bound_function(self, form: Format) -> Callable[[Any], Any]:
        return functools.partial(self.function, **self.settings(form))

    def bound_derivatives(self, form: Format) -> tuple[Callable[[Any], Any], ...]:
        settings = self.settings(form)
        return tuple(
            functools.partial(function, **settings)
            for function in self.derivatives or ()
        )

    def program(self, form: Format, simplify: bool = True) -> Program:
        settings = self.settings(form)
        static = {name: v for name, v in settings.items() if _is_static(v)}
        numeric = {name: v for name, v in settings.items() if not _is_static(v)}
        return trace(self.reference, numeric, static, simplify=simplify)

    def corners(self, form: Format) -> tuple[Kink, ...]:
        return tuple(self.kinks(**self.settings(form))) if self.kinks else ()

    def bound(self, form: Format, order: int) -> float | None:
        """The largest error allowed, or ``None`` where there is no claim."""
        bounds = self.max_ulp.get(form.name, GOALS.get(form.name, ()))
        return float(bounds[order]) if order < len(bounds) else None


def _is_static(value: Any) -> bool:
    return value is None or isinstance(value, (bool, str))


def registered(spec: Spec, keywords: Mapping[str, Any] | None = None) -> Target:
    """The claims of a registered function, for one of its cases.

    Raises:
      ValueError: if the function works on a whole axis and has no reference.
    """
    if spec.reference is None:
        raise ValueError(
            f"{spec.name} is not elementwise; the verifier measures functions of "
            "one number"
        )
    given = dict(spec.cases[0] if keywords is None else keywords)
    inner = ", ".join(f"{name}={value}" for name, value in given.items())
    defaults = {p.name: p.default for p in spec.parameters if p.default is not None}
    keywords = {**defaults, **given}
    return Target(
        name=f"{spec.name}({inner})" if inner else spec.name,
        function=spec.function,
        reference=spec.reference,
        keywords=keywords,
        kinks=spec.kinks,
        limits=spec.limits,
        value_range=spec.value_range,
        monotonic=spec.monotonic,
        symmetry=spec.symmetry,
        signed_zero=spec.signed_zero,
        keeps_integers=spec.keeps_integers,
        max_ulp=spec.max_ulp,
    )


def cases(spec: Spec) -> list[Target]:
    """One target for each setting that the record asks to verify."""
    return [registered(spec, case) for case in spec.cases]
