"""Writes jaxacts/_coefficients_sigmoidal.py: short polynomials around one exponential.

Unlike those of coefficients.py they are as short as their precision allows, so the
rounding of their coefficients counts: each coefficient is rounded before the next
ones are found, by least squares at Chebyshev nodes, and those make up for it.

    python docs/numerics/coefficients_sigmoidal.py          # rewrite the module
    python docs/numerics/coefficients_sigmoidal.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
from coefficients import over_zero
from writing import run

mp.mp.dps = 60
TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_sigmoidal.py"
TINY = mp.mpf(10) ** -20

Function = Callable[[mp.mpf], mp.mpf]


def nodes(low: mp.mpf, high: mp.mpf, count: int) -> list[mp.mpf]:
    middle, half = (low + high) / 2, (high - low) / 2
    return [
        middle - half * mp.cos(mp.pi * (2 * k + 1) / (2 * count)) for k in range(count)
    ]


def rounded_fit(
    f: Function, weight: Function, low: mp.mpf, high: mp.mpf, degree: int, kind: type
) -> tuple[list[float], mp.mpf]:
    """Coefficients, lowest first, rounded to ``kind``, and max |weight (p - f)|."""
    points = nodes(low, high, 4 * (degree + 1))
    rest, weights = [f(x) for x in points], [weight(x) for x in points]
    found: list[float] = []
    scale = max(abs(low), abs(high))
    # The last places of double coefficients are far below the error.
    at_once = kind is np.float64
    for first in range(1 if at_once else degree + 1):
        matrix = mp.matrix(len(points), degree + 1 - first)
        side = mp.matrix(len(points), 1)
        for i, (x, y, w) in enumerate(zip(points, rest, weights, strict=True)):
            side[i] = w * y
            for j in range(first, degree + 1):
                matrix[i, j - first] = w * (x / scale) ** j
        best = mp.qr_solve(matrix, side)[0]
        if at_once:
            found = [float(c / scale**j) for j, c in enumerate(best)]
            break
        found.append(float(kind(float(best[0] / scale**first))))
        rest = [y - found[-1] * x**first for x, y in zip(points, rest, strict=True)]
    exact = [mp.mpf(c) for c in found[::-1]]
    dense = [low + (high - low) * mp.mpf(k) / 1000 for k in range(1001)]
    error = max(abs(weight(x) * (mp.polyval(exact, x) - f(x))) for x in dense)
    return found, error


def rational_fit(
    f: Function, low: mp.mpf, high: mp.mpf, top: int, bottom: int, kind: type
) -> tuple[list[float], list[float], mp.mpf]:
    """Numerator, denominator of leading coefficient 1, and the relative error.

    Least squares of numerator minus f times denominator, weighted by the last
    denominator, and heavier where the last error was large (Lawson's iteration).
    """
    points = nodes(low, high, 20 * (top + bottom + 1))
    values, heavy = [f(x) for x in points], [mp.mpf(1)] * len(points)
    divisor = [mp.mpf(1)] * len(points)
    for _ in range(25):
        matrix = mp.matrix(len(points), top + bottom + 1)
        side = mp.matrix(len(points), 1)
        for i, (x, y) in enumerate(zip(points, values, strict=True)):
            weight = mp.sqrt(heavy[i]) / (y * divisor[i])
            for j in range(top + 1):
                matrix[i, j] = weight * (x / high) ** j
            for j in range(bottom):
                matrix[i, top + 1 + j] = -weight * y * (x / high) ** j
            side[i] = weight * y * (x / high) ** bottom
        found = list(mp.qr_solve(matrix, side)[0])
        above, below = found[: top + 1], [*found[top + 1 :], mp.mpf(1)]
        divisor = [mp.polyval(below[::-1], x / high) for x in points]
        errors = [
            abs(mp.polyval(above[::-1], x / high) / d / y - 1)
            for x, y, d in zip(points, values, divisor, strict=True)
        ]
        heavy = [
            h * (e / max(errors) + mp.mpf("0.001"))
            for h, e in zip(heavy, errors, strict=True)
        ]
        heavy = [h / max(heavy) for h in heavy]
    unit = high**bottom
    above, below = (
        [float(kind(float(c * unit / high**j))) for j, c in enumerate(row)]
        for row in (above, below)
    )
    dense = [low + (high - low) * mp.mpf(k) / 1000 for k in range(1001)]
    error = max(
        abs(mp.polyval(above[::-1], x) / mp.polyval(below[::-1], x) / f(x) - 1)
        for x in dense
    )
    return above, below, error


# --- the approximated functions ---------------------------------------------


def exponential(r):
    if abs(r) < TINY:
        return mp.mpf(1) / 2 + r / 6
    return (mp.expm1(r) - r) / r**2


def logarithm(e):
    if e < TINY:
        return -mp.mpf(1) / 2 + e / 3
    return (mp.log1p(e) / e - 1) / e


def share_of_logarithm(e):
    """How much log(1 + e) changes with `logarithm`, relatively."""
    return e * e / mp.log1p(e) if e > TINY else e


NEAR_ONE = mp.mpf("0.75")
SILU_ZERO = mp.findroot(lambda z: 1 + mp.exp(-z) - z, mp.mpf("1.278"))


def silu_slope(x):
    """silu'"""
    e = mp.exp(x)
    return (1 + x + e) * e / (1 + e) ** 2


silu_quotient = over_zero(silu_slope, -SILU_ZERO, mp.mpf(-1))


SILU_CURVATURE_ZERO = mp.findroot(lambda z: 2 - z * mp.tanh(z / 2), mp.mpf("2.4"))
CENTRE = mp.mpf("0.375")


def silu_curvature(z):
    """silu''(z) e^z"""
    e = mp.exp(-z)
    return (2 * (1 + e) - z * (1 - e)) / (1 + e) ** 3


curvature_quotient = over_zero(silu_curvature, SILU_CURVATURE_ZERO, CENTRE)


def tanh_quotient(s):
    """tanh(x)/x, s = x²"""
    x = mp.sqrt(s)
    return mp.tanh(x) / x if s > TINY else 1 - s / 3


# Here tanh rounds to 1 in types of 16 bits.
TANH_END = mp.mpf("4.625")


def cube_inverse(e):
    """(1/(1 + e)³ - 1)/e"""
    return -(3 + 3 * e + e * e) / (1 + e) ** 3


REACH = mp.log(2) / 2 + mp.mpf("0.0005")

FITS = {
    # name: (note, f, weight, low, high, degrees)
    "EXP": (
        "e^r = 1 + r + r² p(r), |r| <= ln(2)/2",
        exponential,
        lambda r: r**2,
        -REACH,
        REACH,
        {"float32": 4, "float64": 9, "rough": 3},
    ),
    "LOG1P": (
        # Centred where its rounding errors count most.
        "log(1 + e) = e (1 + e p(e - 3/4)), 0 <= e <= 1",
        lambda u: logarithm(u + NEAR_ONE),
        lambda u: share_of_logarithm(u + NEAR_ONE),
        -NEAR_ONE,
        1 - NEAR_ONE,
        {"float32": 8, "float64": 20},
    ),
    "LOG1P_ROUGH": (
        "log(1 + e) = e (1 + e p(e)), 0 <= e <= 1",
        logarithm,
        share_of_logarithm,
        mp.mpf(0),
        mp.mpf(1),
        {"rough": 5},
    ),
    "SILU_SLOPE": (
        "silu'(x) = (x + SILU_ZERO) (1/4 + p(1 + x)), -111/64 <= x <= 0; relative",
        lambda u: silu_quotient(u) - mp.mpf(1) / 4,
        lambda u: 1 / silu_quotient(u),
        1 - mp.mpf(111) / 64,
        mp.mpf(1),
        {"float32": 9, "float64": 20},
    ),
    "SILU_CURVATURE": (
        # From below 0, so that its derivative is right at 0, too.
        "silu''(z) e^z = (z - SILU_CURVATURE_ZERO) p(z - 3/8), z <= 2.7; relative",
        curvature_quotient,
        lambda v: 1 / curvature_quotient(v),
        -CENTRE - mp.mpf(1) / 8,
        mp.mpf("2.7") - CENTRE,
        {"float32": 13, "float64": 26},
    ),
    "CUBE_INVERSE": (
        "1/(1 + e)³ = 1 + e p(e), 0 <= e <= e^-2.7",
        cube_inverse,
        lambda e: e,
        mp.mpf(0),
        mp.exp(mp.mpf("-2.7")),
        {"float32": 5, "float64": 11},
    ),
}
KINDS = {"float32": np.float32, "float64": np.float64, "rough": np.float32}


def fitted(fits):
    """Yields (name, comment, {precision: coefficients}) of rows as in ``FITS``."""
    for name, (note, f, weight, low, high, degrees) in fits.items():
        found, errors = {}, []
        for precision, degree in degrees.items():
            fit, error = rounded_fit(f, weight, low, high, degree, KINDS[precision])
            found[precision] = tuple(fit)
            errors.append(f"{precision} {mp.nstr(error, 2)}")
        yield name, f"{note}; error {', '.join(errors)}", found


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""
    yield from fitted(FITS)
    above, below, error = rational_fit(
        tanh_quotient, mp.mpf(0), TANH_END**2, 2, 3, np.float32
    )
    note = (
        f"tanh(x) = x TOP(x²)/BOTTOM(x²), |x| < {TANH_END}; error {mp.nstr(error, 2)}"
    )
    yield "TANH_TOP", note, {"rough": tuple(above)}
    yield "TANH_BOTTOM", "the denominator", {"rough": tuple(below)}
    yield "TANH_END", "up to which it holds; it is 1 there in 16 bits", str(TANH_END)
    for name, note, number in (
        ("SILU_ZERO", "the zero of 1 - z + e^-z", SILU_ZERO),
        ("SILU_SLOPE_SLOPE", "silu'' at minus that", silu_quotient(1 - SILU_ZERO)),
        ("SILU_CURVATURE_ZERO", "the zero of silu''", SILU_CURVATURE_ZERO),
    ):
        yield name, note, mp.nstr(number, 40)


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_sigmoidal.py", tables, __doc__))
