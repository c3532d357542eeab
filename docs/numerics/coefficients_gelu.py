"""Writes jaxacts/_coefficients_gelu.py: both forms of gelu, and their slopes.

python docs/numerics/coefficients_gelu.py          # rewrite the module
python docs/numerics/coefficients_gelu.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
from coefficients_sigmoidal import REACH, TINY, fitted
from writing import run

TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_gelu.py"

# The tanh form of gelu is x σ(a), a = c (x + k x³).
K = mp.mpf("0.044715")
C = 2 * mp.sqrt(2 / mp.pi)
TANH_NEAR = mp.mpf("1.75")


def tanh_exponential(v):
    return mp.exp(C * (v + K * v**3))


def tanh_slope(v):
    e = tanh_exponential(v)
    return (1 + C * v * (1 + 3 * K * v * v) + e) * e / (1 + e) ** 2


TANH_UNIT = 64 * C * K / 3


def tanh_expm1(s):
    """(e^(TANH_UNIT s) - 1)/s - 1."""
    return (mp.expm1(TANH_UNIT * s) / s if abs(s) > TINY else TANH_UNIT) - 1


TANH_REACH = REACH / TANH_UNIT
TANH_ZERO = mp.findroot(tanh_slope, mp.mpf("-0.752"))


def tanh_near(u):
    """tanh_slope(u - 1) over the distance d to its zero."""
    d = u - 1 - TANH_ZERO
    if abs(d) < TINY:
        return mp.diff(tanh_slope, TANH_ZERO)
    return tanh_slope(u - 1) / d


def tanh_far(e):
    """(1/(1 + E)² - 1)/e, e = TANH_UNIT E."""
    e = e / TANH_UNIT
    return -(2 + e) / (1 + e) ** 2 / TANH_UNIT


# The form by erf, without its factor e^(-z²/2), at -z.
DENSITY = 1 / mp.sqrt(2 * mp.pi)


def tail(z):
    return mp.erfc(z / mp.sqrt(2)) / 2 * mp.exp(z * z / 2)


def far_value(v):
    """z tail(z) - 1/4, v = 1/z²."""
    z = 1 / mp.sqrt(v)
    return z * tail(z) - mp.mpf("0.25")


def erf_slope(z):
    return tail(z) - z * DENSITY


ERF_ZERO = mp.findroot(erf_slope, mp.mpf("0.7518"))


def erf_quotient(z):
    """erf_slope(z) over z - zero, plus 1/2."""
    d = z - ERF_ZERO
    if abs(d) < TINY:
        return mp.mpf("0.5") + mp.diff(erf_slope, ERF_ZERO)
    return mp.mpf("0.5") + erf_slope(z) / d


def far_slope(v):
    """erf_slope(z)/z plus 1/4."""
    z = 1 / mp.sqrt(v)
    return mp.mpf("0.25") + erf_slope(z) / z


# z up to which each precision uses the first of two polynomials, and its last z.
NEAR = {"float32": mp.mpf("1.75"), "float64": mp.mpf(4), "rough": mp.mpf("1.75")}
DEGREES = {
    "float32": (10, 13, 9, 11),
    "float64": (26, 18, 24, 16),
    "rough": (7, 7, 6, 6),
}
NOTES = {
    "ERF_NEAR": "Φ(-z) e^(z²/2) = 1/4 + p(z - 9/16 NEAR), z < NEAR",
    "ERF_FAR": "z Φ(-z) e^(z²/2) = 1/4 + p(1/z² - 1/2 NEAR^-2), z > NEAR",
    "ERF_SLOPE_NEAR": (
        "gelu'(-z) e^(z²/2) = d (p(z - 9/16 NEAR) - 1/2), d = z - ERF_ZERO, z < NEAR"
    ),
    "ERF_SLOPE_FAR": "gelu'(-z) e^(z²/2) = z (p(1/z² - 1/2 NEAR^-2) - 1/4), z > NEAR",
}
LAST = {"float32": mp.mpf(14), "float64": mp.mpf(38), "rough": mp.mpf(14)}


def rows():
    """(name, note, f, weight, low, high, degrees), of one precision each."""
    yield (
        *("TANH_EXPM1", "e^a = 1 + s + s p(s), s = 3 a/(64 c k), |a| <= ln(2)/2"),
        *(tanh_expm1, lambda s: s),
        *(-TANH_REACH, TANH_REACH, {"float32": 5, "float64": 10, "rough": 4}),
    )
    near = "gelu'(v) = p(v + 1) (v - zero), -TANH_NEAR < v <= 0"
    yield (
        *("TANH_SLOPE_NEAR", near, tanh_near),
        lambda u: 1 / tanh_near(u),
        *(1 - TANH_NEAR, mp.mpf(1)),
        {"float32": 10, "float64": 25},
    )
    yield (
        *("TANH_SLOPE_FAR", "1/(1 + e^a)² = 1 + e p(e), v < -TANH_NEAR"),
        *(tanh_far, lambda e: e),
        *(mp.mpf(0), TANH_UNIT * tanh_exponential(-TANH_NEAR)),
        {"float32": 3, "float64": 8},
    )
    for precision, degrees in DEGREES.items():
        near, last = NEAR[precision], LAST[precision]
        middle, half = near * 9 / 16, 1 / near**2 / 2
        close = -middle, near - middle
        far = 1 / last**2 - half, half
        functions = (
            lambda d, middle=middle: tail(middle + d) - mp.mpf("0.25"),
            lambda v, half=half: far_value(half + v),
            lambda d, middle=middle: erf_quotient(middle + d),
            lambda v, half=half: far_slope(half + v),
        )
        rest = zip(
            functions, (4, 2.5, 2, 3), (close, far, close, far), degrees, strict=True
        )
        for (name, note), (f, weight, ends, degree) in zip(
            NOTES.items(), rest, strict=True
        ):
            yield name, note, f, lambda _, w=weight: w, *ends, {precision: degree}


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""
    found: dict[str, list] = {}
    for name, *row in rows():
        ((_, note, fit),) = fitted({name: row})
        text, errors = note.split("; error ")
        known = found.setdefault(name, [text, [], {}])
        known[1].append(errors)
        known[2].update(fit)
    for name, (text, errors, fits) in found.items():
        yield name, f"{text}; error {', '.join(errors)}", fits
    yield "TANH_SLOPE_ZERO", "the zero of gelu'", mp.nstr(TANH_ZERO, 40)
    yield "TANH_NEAR", "-v up to which the first polynomial is used", str(TANH_NEAR)
    yield "TANH_BEND_AT_0", "gelu''(0)", mp.nstr(C / 2, 20)
    bend = mp.diff(tanh_slope, TANH_ZERO)
    yield "TANH_BEND_AT_ZERO", "gelu'' where gelu' is 0", mp.nstr(bend, 20)
    yield "TANH_LOG_UNIT", "log(TANH_UNIT)", mp.nstr(mp.log(TANH_UNIT), 40)
    yield "ERF_ZERO", "gelu'(-z) = 0", mp.nstr(ERF_ZERO, 40)
    bend = mp.diff(erf_slope, ERF_ZERO)
    yield "ERF_SLOPE_SLOPE", "its slope there, without e^(-z²/2)", mp.nstr(bend, 40)


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_gelu.py", tables, __doc__))
