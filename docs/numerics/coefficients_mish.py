"""Writes jaxacts/_coefficients_mish.py: the derivatives of mish.

python docs/numerics/coefficients_mish.py          # rewrite the module
python docs/numerics/coefficients_mish.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
from coefficients import over_zero
from coefficients_sigmoidal import fitted
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


def whole_slope(x):
    """mish'(x)"""
    return mp.exp(x) * slope(x)


ZERO = mp.findroot(slope, mp.mpf("-1.1924"))


def curvature(x):
    """mish''(x)"""
    u = mp.exp(x)
    first = 4 + 8 * u + 6 * u**2 + 2 * u**3
    bracket = first + x * (2 + 2 * u - 3 * u**2 - 2 * u**3)
    return 4 * u * bracket / (2 + u * (2 + u)) ** 3


# In the slope, a polynomial from FIRST to LAST, where the slope reaches 1/2. The
# centre is nearer to LAST, where the distance to the zero is rounded, too.
FIRST, LAST, CENTRE = mp.mpf("-1.65"), mp.mpf("-0.1555"), mp.mpf("-0.6")
FIRST_ROUGH, LAST_ROUGH = mp.mpf("-1.7"), mp.mpf("-0.8")
# In the curvature, two polynomials with a zero each, and an expansion in e^-|x| on both
# sides of them.
LEFT, RIGHT = mp.mpf("-2.75"), mp.mpf("2.25")
LEFT_CENTRE, RIGHT_CENTRE = mp.mpf("-1.75"), mp.mpf("1.5")
LEFT_ZERO = mp.findroot(curvature, mp.mpf("-2.256"))
RIGHT_ZERO = mp.findroot(curvature, mp.mpf("1.49"))
about_zero = over_zero(whole_slope, ZERO)
about_centre = over_zero(whole_slope, ZERO, CENTRE)


# mish''(-z) = e (P - z Q), e = e^-z.


def left_constant(e):
    """P"""
    return 4 * (4 + e * (8 + e * (6 + 2 * e))) / (2 + e * (2 + e)) ** 3


def left_linear(e):
    """Q"""
    return 4 * (2 + e * (2 - e * (3 + 2 * e))) / (2 + e * (2 + e)) ** 3


# mish''(z) = e² (P - z Q), e = e^-z.


def right_constant(e):
    """P"""
    return 4 * (2 + e * (6 + e * (8 + 4 * e))) / (1 + e * (2 + 2 * e)) ** 3


def right_linear(e):
    """Q"""
    return 4 * (2 + e * (3 - e * (2 + 2 * e))) / (1 + e * (2 + 2 * e)) ** 3


FITS = {
    # name: (note, f, weight, low, high, degrees)
    "SLOPE": (
        "mish' = d (3/8 + p(x + 0.6)), d = x - ZERO, -1.65 < x < -0.1555; relative",
        lambda u: about_centre(u) - mp.mpf("0.375"),
        lambda u: 1 / about_centre(u),
        FIRST - CENTRE,
        LAST - CENTRE,
        {"float32": 10, "float64": 23},
    ),
    "SLOPE_ROUGH": (
        "mish' = d p(d), -1.7 < x < -0.8",
        about_zero,
        lambda d: 1 / about_zero(d),
        FIRST_ROUGH - ZERO,
        LAST_ROUGH - ZERO,
        {"rough": 5},
    ),
}


def curvature_fit(note, zero, centre, ends, rough):
    """A row of ``FITS`` of mish'' over the distance to a zero, of x - centre."""
    quotient = over_zero(curvature, zero, centre)
    low, high = (end - centre for end in ends)
    degrees = {"float32": 15, "float64": 31, "rough": rough}
    return (
        f"{note}; relative error",
        quotient,
        lambda u: 1 / quotient(u),
        low,
        high,
        degrees,
    )


FITS["LEFT_CURVATURE"] = curvature_fit(
    "mish'' = (x - LEFT_ZERO) p(x + 7/4), -2.75 < x < 0",
    *(LEFT_ZERO, LEFT_CENTRE, (LEFT, mp.mpf(0)), 10),
)
FITS["RIGHT_CURVATURE"] = curvature_fit(
    "mish'' = (x - RIGHT_ZERO) p(x - 3/2), 0 < x < 2.25",
    *(RIGHT_ZERO, RIGHT_CENTRE, (mp.mpf(0), RIGHT), 11),
)
TAILS = {
    # name: (note, function, its sign)
    "LEFT_CONSTANT": ("A in mish''(-z) = e ((2 - z) + e (A + z B))", left_constant, 1),
    "LEFT_LINEAR": ("B of the same", left_linear, -1),
    "RIGHT_CONSTANT": (
        *("A in mish''(z) = e² ((8 - 8 z) + e (A + z B))", right_constant, 1),
    ),
    "RIGHT_LINEAR": ("B of the same", right_linear, -1),
}
TAIL_DEGREES = {
    "LEFT": {"float32": 4, "float64": 11, "rough": 2},
    "RIGHT": {"float32": 6, "float64": 17, "rough": 3},
}
for name, (note, function, sign) in TAILS.items():
    side = name.split("_")[0]
    least = -LEFT if side == "LEFT" else RIGHT
    ends = mp.mpf(0), mp.exp(-least)
    # Without its value at 0, over e.
    rest = over_zero(lambda e, f=function, s=sign: s * (f(e) - f(0)), mp.mpf(0))
    FITS[name] = note, rest, lambda e: e, *ends, TAIL_DEGREES[side]


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""
    yield from fitted(FITS)
    for name, number in (
        ("FIRST", FIRST),
        ("LAST", LAST),
        ("CENTRE", CENTRE),
        ("FIRST_ROUGH", FIRST_ROUGH),
        ("LAST_ROUGH", LAST_ROUGH),
    ):
        yield name, "of the polynomial of the slope", str(number)
    for name, number in (
        ("LEFT", LEFT),
        ("RIGHT", RIGHT),
        ("LEFT_CENTRE", LEFT_CENTRE),
        ("RIGHT_CENTRE", RIGHT_CENTRE),
    ):
        yield name, "of the polynomials of the curvature", str(number)
    yield "LEFT_ZERO", "the lesser zero of mish''", mp.nstr(LEFT_ZERO, 40)
    yield "RIGHT_ZERO", "the greater zero of mish''", mp.nstr(RIGHT_ZERO, 40)
    yield "ZERO", "mish'(x) = 0", mp.nstr(ZERO, 40)
    bend = about_zero(0)
    yield "SLOPE_SLOPE", "the slope of mish' there", mp.nstr(bend, 40)


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_mish.py", tables, __doc__))
