"""Writes jaxacts/_coefficients_mish.py: mish and its slope.

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


# mish = x u M(u), u = e^x, and x (1 - e² K(e)), e = e^-x.


def left(u):
    """(1 - M)/u"""
    return (1 + u) / (2 + 2 * u + u * u)


def gate(u):
    return 1 - u * left(u)


def right(e):
    """K"""
    return 2 / (1 + 2 * e + 2 * e * e)


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


def right_slope(e):
    """d(e² K)/de / e = 2 K + e K'"""
    d = 1 + 2 * e + 2 * e * e
    return 4 * (1 + e) / d**2


def middle(x):
    return mp.exp(x) * gate(mp.exp(x))


def middle_slope(x):
    return mp.exp(x) * slope(x)


def curvature(x):
    """mish''(x)"""
    u = mp.exp(x)
    first = 4 + 8 * u + 6 * u**2 + 2 * u**3
    bracket = first + x * (2 + 2 * u - 3 * u**2 - 2 * u**3)
    return 4 * u * bracket / (2 + u * (2 + u)) ** 3


# e^x serves up to FIRST (in the slope, FIRST_SLOPE), a polynomial in x from there to
# LAST, e^-x from there; up to TAIL, e^x is small.
TAIL, FIRST, LAST = mp.mpf(-2), mp.mpf("-0.625"), mp.mpf("0.75")
FIRST_SLOPE = mp.mpf("-0.5")
# Here the values are floats, to a thirtieth of the rounding of others.
CENTRE, CENTRE_SLOPE = mp.mpf(60) / 1024, mp.mpf(75) / 1024
OTHER = mp.mpf("-1.25")
# Between the polynomials around the two zeros of the curvature.
FIRST_CURVATURE, LAST_CURVATURE = mp.mpf("-0.875"), mp.mpf("0.2")
CENTRE_CURVATURE = mp.mpf(-259) / 1024
LEFT, RIGHT, SMALL = (mp.exp(a) * mp.mpf("1.001") for a in (FIRST, -LAST, TAIL))

FITS = {
    # name: (note, f, weight, low, high, degrees)
    "LEFT": (
        "mish = x u (1 - u p(u)), u = e^x, x < -0.625",
        left,
        lambda u: u,
        mp.mpf(0),
        LEFT,
        {"float32": 7, "float64": 17, "rough": 4},
    ),
    "MIDDLE": (
        "mish = x p(x - 60/1024), -0.625 < x < 0.75",
        lambda d: middle(CENTRE + d),
        lambda d: mp.mpf(2),
        FIRST - CENTRE,
        LAST - CENTRE,
        {"float32": 10, "float64": 21, "rough": 6},
    ),
    "RIGHT": (
        "mish = x (1 - e² p(e)), e = e^-x, x > 0.75",
        right,
        lambda e: e * e,
        mp.mpf(0),
        RIGHT,
        {"float32": 7, "float64": 19, "rough": 4},
    ),
    "TAIL_CONSTANT": (
        "mish' = u (1 + x - u (p(u) + x q(u))), u = e^x, x < -2; p:",
        left,
        lambda u: u,
        mp.mpf(0),
        SMALL,
        {"float32": 4, "float64": 11, "rough": 2},
    ),
    "TAIL_LINEAR": (
        "q:",
        lambda u: left(u) - gate_slope(u),
        lambda u: 3 * u,
        mp.mpf(0),
        SMALL,
        {"float32": 4, "float64": 11, "rough": 2},
    ),
    "SLOPE": (
        "mish' = u d (1/2 + p(x + 1.25)), d = x - ZERO, -2 < x < -0.5",
        lambda d: quotient(OTHER + d - ZERO),
        lambda d: mp.mpf(2),
        TAIL - OTHER,
        FIRST_SLOPE - OTHER,
        {"float32": 9, "float64": 21, "rough": 6},
    ),
    "MIDDLE_SLOPE": (
        "mish' = p(x - 75/1024), -0.5 < x < 0.75",
        lambda d: middle_slope(CENTRE_SLOPE + d),
        lambda d: mp.mpf(4),
        FIRST_SLOPE - CENTRE_SLOPE,
        LAST - CENTRE_SLOPE,
        {"float32": 11, "float64": 23, "rough": 7},
    ),
    "MIDDLE_CURVATURE": (
        "mish'' = p(x + 259/1024), -0.875 < x < 0.2",
        lambda d: curvature(CENTRE_CURVATURE + d),
        lambda d: mp.mpf(2.5),
        FIRST_CURVATURE - CENTRE_CURVATURE,
        LAST_CURVATURE - CENTRE_CURVATURE,
        {"float32": 11, "float64": 22, "rough": 8},
    ),
    "RIGHT_SLOPE": (
        "mish' = 1 - e² (K(e) - x p(e)), K as in RIGHT, x > 0.75",
        right_slope,
        lambda e: e * e,
        mp.mpf(0),
        RIGHT,
        {"float32": 8, "float64": 20, "rough": 5},
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
