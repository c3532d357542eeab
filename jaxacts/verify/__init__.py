"""Proving an activation right: value, derivatives, special values, transforms.

See `verify`. Needs the extra ``jaxacts[verify]``; nothing here is imported by
``import jaxacts``.
"""

from ._finding import Finding
from .accuracy import Extreme, Measurement
from .api import CHECKS, verify
from .grammar import FormulaError
from .report import Report

__all__ = [
    "CHECKS",
    "Extreme",
    "Finding",
    "FormulaError",
    "Measurement",
    "Report",
    "verify",
]
