"""All checks of an activation's behaviour in one call: everything but accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import (
    derivatives,
    devices,
    lowering,
    parameters,
    processors,
    residuals,
    shapes,
    transforms,
)
from ._finding import Finding
from ._subject import resolve, selected

__all__ = ["GROUPS", "check"]

_CHECKS: dict[str, Callable[..., list[Finding]]] = {
    "transforms": transforms.check,
    "shapes": shapes.check,
    "parameters": parameters.check,
    "devices": devices.check,
    "derivatives": derivatives.check,
    "residuals": residuals.check,
    "lowering": lowering.check,
    "processors": processors.check,
}
GROUPS = tuple(_CHECKS)
_WITH_NAMES = ("transforms", "shapes", "parameters", "devices", "derivatives")


def check(
    function: Callable[..., Any] | str,
    *,
    dtypes: Sequence[str] = ("float32",),
    params: Mapping[str, Any] | None = None,
    keeps_integers: bool = False,
    reference: Callable[..., Any] | None = None,
    groups: Sequence[str] = GROUPS,
    only: Mapping[str, Sequence[str]] | None = None,
    max_ulp: float = 2.0,
    floor: float = 1.0,
    max_arrays: int = 1,
) -> list[Finding]:
    """Checks how a function behaves under JAX, group by group.

    A check never raises what the function under test raises: it becomes a
    failed finding.

    Args:
      function: ``function(x, **params)``, elementwise in ``x``; or its address
        ``"package.module:name"``, or the name of a registered activation.
      dtypes: names of the dtypes of ``x``.
      params: keyword arguments; the floating numbers among them are
        differentiable parameters.
      keeps_integers: integer input gives integer output; otherwise the default
        float.
      reference: the plain formula ``reference(m, x, **params)``, with which
        derivatives are compared.
      groups: names from `GROUPS`, the modules that do the work.
      only: group to the names of its checks that are run, from the ``CHECKS`` of
        its module; groups that it leaves out run whole.
      max_ulp: largest difference between two ways to evaluate the value. Between
        processors four times that is allowed.
      floor: differences count in units of ulp(max(\\|result\\|, floor)).
      max_arrays: how many arrays of the shape and dtype of ``x`` the backward
        pass may keep.

    Returns:
      All findings, in the order of the groups.

    Raises:
      ValueError: for an unknown group or check, or an address that leads
        nowhere.

    >>> import jax
    >>> from jaxacts.verify import behaviour
    >>> found = behaviour.check(jax.nn.silu, groups=["residuals"])
    >>> [finding.subject for finding in found if not finding.passed]
    ['vjp', 'vjp of jit', 'jit of vjp', 'scan over layers']
    """
    names = selected(GROUPS, groups)
    for group in only or {}:
        if group not in _WITH_NAMES:
            raise ValueError(
                f"only={only!r} narrows {group!r}; groups whose checks have names are "
                f"{', '.join(_WITH_NAMES)}"
            )
    function = resolve(function)
    given: dict[str, Any] = {
        "dtypes": dtypes,
        "params": params,
        "keeps_integers": keeps_integers,
    }
    measured = {**given, "max_ulp": max_ulp, "floor": floor}
    own: dict[str, dict[str, Any]] = {
        "transforms": measured,
        "shapes": measured,
        "parameters": measured,
        "devices": measured,
        "derivatives": {**measured, "reference": reference},
        "residuals": {**given, "max_arrays": max_arrays},
        "lowering": given,
        "processors": {**measured, "max_ulp": 4 * max_ulp},
    }
    findings: list[Finding] = []
    for name in names:
        narrowed = {"only": only[name]} if only and name in only else {}
        findings += _CHECKS[name](function, **own[name], **narrowed)
    # Groups that build on plain eager evaluation report it alike.
    return list(dict.fromkeys(findings))
