"""The register of activations: what exists, by which name, with which record."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax

from jaxacts._spec import Spec

__all__ = ["get", "names", "parse", "register", "spec"]

_SPECS: dict[str, Spec] = {}
_ALIASES: dict[str, str] = {}
_BY_FUNCTION: dict[int, Spec] = {}


def register(record: Spec) -> None:
    """Adds a record. A name or alias that is taken raises ValueError."""
    for name in (record.name, *record.aliases):
        if name in _SPECS or name in _ALIASES:
            raise ValueError(f"activation {name!r} is registered twice")
    _SPECS[record.name] = record
    _ALIASES.update(dict.fromkeys(record.aliases, record.name))
    _BY_FUNCTION[id(record.function)] = record


def public_functions() -> dict[str, Callable[..., Any]]:
    """Every registered callable by its name and by each alias."""
    found = {name: record.function for name, record in _SPECS.items()}
    found.update({a: _SPECS[name].function for a, name in _ALIASES.items()})
    return found


def names(family: str | None = None) -> tuple[str, ...]:
    """The registered names, sorted; of one family if it is given.

    Args:
      family: the name of a family, as in ``spec(name).family``.

    Raises:
      ValueError: there is no such family.

    Example:
      >>> import jaxacts
      >>> jaxacts.names("gaussian")
      ('gelu',)
    """
    families = sorted({record.family for record in _SPECS.values()})
    if family is not None and family not in families:
        raise ValueError(f"family={family!r}: there is none; choose from {families}")
    return tuple(
        sorted(n for n, r in _SPECS.items() if family is None or r.family == family)
    )


def spec(activation: str | Callable[..., Any]) -> Spec:
    """The record of an activation: formula, parameters, kinks, limits, paper.

    Args:
      activation: a registered name or alias, or the callable itself.

    Raises:
      ValueError: the name is unknown; the message has the nearest names.
      TypeError: neither a name nor a registered callable.

    Example:
      >>> import jaxacts
      >>> jaxacts.spec("swish").formula
      'x \\\\, \\\\sigma(\\\\beta x)'
    """
    if isinstance(activation, str):
        name = _ALIASES.get(activation, activation)
        if name in _SPECS:
            return _SPECS[name]
        known = [*_SPECS, *_ALIASES]
        near = difflib.get_close_matches(activation.lower(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise ValueError(
            f"activation={activation!r} is unknown; {hint}"
            "jaxacts.names() lists them all"
        )
    record = _BY_FUNCTION.get(id(activation))
    if record is None:
        raise TypeError(
            f"activation={activation!r} is not registered; "
            "give a name or a function of jaxacts"
        )
    return record


def get(activation: str | Callable[..., Any]) -> Callable[..., Any]:
    """The callable behind a name; a callable comes back as it is.

    A name may carry keyword settings: ``"leaky_relu(negative_slope=0.2)"``,
    ``"gelu(approximate=False)"``.

    Args:
      activation: a registered name or alias, with or without settings, or any
        callable.

    Returns:
      A callable of one array.

    Raises:
      ValueError: the name or a setting is unknown, or the text is malformed.
      TypeError: neither text nor callable.

    Example:
      >>> import jaxacts
      >>> jaxacts.get("leaky_relu(negative_slope=0.5)")(-2.0)
      Array(-1., dtype=float32, weak_type=True)
    """
    if isinstance(activation, str):
        name, settings = parse(activation)
        record = spec(name)
        accepted = [*(p.name for p in record.parameters), *record.static]
        for key in settings:
            if key not in accepted:
                raise ValueError(
                    f"activation={activation!r}: {name} has no setting {key!r}; "
                    f"it accepts {accepted}"
                )
        if not settings:
            return record.function
        return _with_settings(record.name, tuple(sorted(settings.items())))
    if callable(activation):
        return activation
    raise TypeError(
        f"activation={activation!r} is of type {type(activation).__name__}; "
        "give a registered name or a callable"
    )


def _is_plain(function: Callable[..., Any]) -> bool:
    return inspect.isfunction(function)


@functools.lru_cache(maxsize=256)
def _with_settings(
    name: str, settings: tuple[tuple[str, bool | int | float], ...]
) -> Callable[..., Any]:
    # Under jit again, from the Python function: the settings are constants of
    # the compiled code then, and their signs are known.
    body = inspect.unwrap(_SPECS[name].function, stop=_is_plain)
    fixed = functools.partial(body, **dict(settings))
    return jax.jit(functools.update_wrapper(fixed, body))


def parse(text: str) -> tuple[str, dict[str, bool | int | float]]:
    """Splits ``name(key=number, ...)`` without evaluating anything."""
    if "(" not in text:
        return text, {}
    malformed = ValueError(
        f"activation={text!r}: expected name or name(setting=number, ...)"
    )
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError:
        raise malformed from None
    if not (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args
    ):
        raise malformed
    settings: dict[str, bool | int | float] = {}
    for keyword in call.keywords:
        try:
            value = ast.literal_eval(keyword.value)
        except ValueError:
            raise malformed from None
        if keyword.arg is None or not isinstance(value, bool | int | float):
            raise malformed
        settings[keyword.arg] = value
    return call.func.id, settings
