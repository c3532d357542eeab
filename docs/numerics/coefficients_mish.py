"""Writes jaxacts/_coefficients_mish.py: the derivatives of mish.

python docs/numerics/coefficients_mish.py          # rewrite the module
python docs/numerics/coefficients_mish.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
from coefficients_sigmoidal import TINY, fitted
from writing import run

TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_mish.py"


# mish = x u M(u), u = e^x.


def gate(u):
    """M"""
    return (2 + u) / (2 + 2 * u + u * u)


def gate_slope(u):
    """M'(u)"""
    d = 2 + 2 * u + u * u
    return -(u * u + 4 * u + 2) / d**2


def slope(x):
    """mish'(x)/u = M (1 + x) + x u M'"""
    u = mp.exp(x)
    return gate(u) * (1 + x) + x * u * gate_slope(u)


ZERO = mp.findroot(slope, mp.mpf("-1.1924"))


def quotient(d):
    """slope(x) over d = x - zero, minus 1/2."""
    if abs(d) < TINY:
        return mp.diff(slope, ZERO) - mp.mpf("0.5")
    return slope(ZERO + d) / d - mp.mpf("0.5")


def curvature(x):
    """mish''(x)"""
    u = mp.exp(x)
    first = 4 + 8 * u + 6 * u**2 + 2 * u**3
    bracket = first + x * (2 + 2 * u - 3 * u**2 - 2 * u**3)
    return 4 * u * bracket / (2 + u * (2 + u)) ** 3


# In the slope, a polynomial in x from FIRST to LAST. At its centre the value is a
# float, to a tenth of the rounding of others; so it is at that of the curvature.
FIRST, LAST, CENTRE = mp.mpf(-2), mp.mpf("-0.15"), -mp.mpf(59) / 64
FIRST_ROUGH, LAST_ROUGH = mp.mpf("-1.7"), mp.mpf("-0.8")
# Between the polynomials around the two zeros of the curvature.
FIRST_CURVATURE, LAST_CURVATURE = mp.mpf("-0.875"), mp.mpf("0.2")
CENTRE_CURVATURE = mp.mpf(-259) / 1024

FITS = {
    # name: (note, f, weight, low, high, degrees)
    "SLOPE": (
        "mish' = u d (1/2 + p(x + 59/64)), d = x - ZERO, -2 < x < -0.15",
        lambda d: quotient(CENTRE + d - ZERO),
        lambda d: mp.mpf(2),
        FIRST - CENTRE,
        LAST - CENTRE,
        {"float32": 11, "float64": 24},
    ),
    "SLOPE_ROUGH": (
        "mish' = u d p(d), -1.7 < x < -0.8",
        lambda d: mp.mpf("0.5") + quotient(d),
        lambda d: 1 / (mp.mpf("0.5") + quotient(d)),
        FIRST_ROUGH - ZERO,
        LAST_ROUGH - ZERO,
        {"rough": 5},
    ),
    "MIDDLE_CURVATURE": (
        "mish'' = p(x + 259/1024), -0.875 < x < 0.2",
        lambda d: curvature(CENTRE_CURVATURE + d),
        lambda d: mp.mpf(2.5),
        FIRST_CURVATURE - CENTRE_CURVATURE,
        LAST_CURVATURE - CENTRE_CURVATURE,
        {"float32": 11, "float64": 22, "rough": 8},
    ),
}


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""
    yield from fitted(FITS)
    yield "ZERO", "mish'(x) = 0", mp.nstr(ZERO, 40)
    bend = mp.diff(slope, ZERO)
    yield "SLOPE_SLOPE", "the slope of mish'(x)/u there", mp.nstr(bend, 40)


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_mish.py", tables, __doc__))
