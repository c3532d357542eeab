"""Public docstrings: what an author wrote, completed from the record.

The author writes one line, what is particular, and an example. Formula,
arguments, behaviour at kinks, infinities and NaN, errors and source are in the
record already, and are printed from it.
"""

from __future__ import annotations

import inspect
import textwrap

from jaxacts._spec import Parameter, Spec

__all__ = ["documented"]

_STATIC = {"approximate": "True for the form by tanh, False for the exact one."}


def documented(spec: Spec, written: str) -> str:
    """The whole docstring of an activation."""
    summary, _, rest = inspect.cleandoc(written).partition("\n")
    body, _, example = rest.partition("Example:\n")
    formula = f".. math::\n  {spec.formula}"
    if not spec.elementwise:
        sections = [summary, formula, body.strip()]
    else:
        sections = [
            summary,
            formula,
            body.strip(),
            _arguments(spec),
            "Returns:\n  An array of the shape of x broadcast with the parameters, "
            "in the dtype of x.",
            _errors(spec),
            _behaviour(spec),
        ]
    if example:
        sections.append("Example:\n" + example.rstrip())
    if spec.paper:
        sections.append(f"Reference:\n  {spec.paper}")
    return "\n\n".join(section for section in sections if section)


def _arguments(spec: Spec) -> str:
    other = "stay integers" if spec.keeps_integers else "become the default float"
    lines = [
        "x: array or number of any shape; float16, bfloat16, float32, float64 or "
        f"float8. Integers {other}. 16- and 8-bit inputs are computed in float32 "
        "and rounded once."
    ]
    for p in spec.parameters:
        lines.append(f"{p.name}: {p.description}{_default(p)}; differentiable.")
    lines += [f"{name}: {_STATIC[name]}" for name in spec.static]
    wrapped = [textwrap.fill(t, 78, subsequent_indent="  ") for t in lines]
    return "Args:\n" + textwrap.indent("\n".join(wrapped), "  ")


def _errors(spec: Spec) -> str:
    lines = ["TypeError: an argument is complex, text, or no array or number."]
    several = [p.name for p in spec.parameters if isinstance(p.default, tuple)]
    if several:
        lines.append(f"ValueError: {' or '.join(several)} has another length.")
    return "Raises:\n" + textwrap.indent("\n".join(lines), "  ")


def _default(p: Parameter) -> str:
    if isinstance(p.default, tuple):
        numbers = ", ".join(f"{number:.7g}" for number in p.default)
        return (
            f" (default {numbers}). {len(p.default)} numbers, or an array with so "
            "many along its last axis, whose other axes broadcast against x"
        )
    known = "" if p.default is None else f" (default {p.default:g})"
    return f"{known}. A number or an array that broadcasts against x"


def _behaviour(spec: Spec) -> str:
    case = dict(spec.cases[0])
    lines = []
    for kink in spec.kinks(**case):
        known = [
            f"{symbol}({kink.at:g}) = {value:g}"
            for symbol, value in (("f'", kink.slope), ("f''", kink.curvature))
            if value is not None
        ]
        where = ", ".join(known) or f"at {kink.at:g}, which no float meets"
        lines.append(f"At the kink: {where}.")
    if spec.limits is not None:
        limits = spec.limits(**case)
        for end, values in (
            ("-inf", limits.minus_infinity),
            ("+inf", limits.plus_infinity),
        ):
            named = ", ".join(
                f"{symbol}({end}) = {value:g}"
                for symbol, value in zip(("f", "f'", "f''"), values, strict=True)
            )
            lines.append(f"{named}.")
    lines.append("NaN gives NaN, in every derivative.")
    return "Special values:\n" + textwrap.indent("\n".join(lines), "  ")
