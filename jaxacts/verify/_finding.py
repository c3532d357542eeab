"""The one record in which every check of the verifier reports."""

from __future__ import annotations

import dataclasses

__all__ = ["Finding"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found, readable without knowing the check.

    Attributes:
      check: the kind of check, such as "accuracy", "special value",
        "transform", "residuals", "lowering" or "processors".
      subject: what was checked, such as "jit", "pmap" or "bfloat16 order 1".
      passed: whether the function kept the bound or the contract.
      message: input, result, expectation and error, in words.
      dtype: name of the dtype, where the check has one.
      order: order of the derivative, where the check has one.
      input: the exact input as a hexadecimal float.
      measured: the figure found.
      bound: the figure allowed.
    """

    check: str
    subject: str
    passed: bool
    message: str
    dtype: str | None = None
    order: int | None = None
    input: str | None = None
    measured: float | None = None
    bound: float | None = None
