"""Writes jaxacts/_coefficients_gelu.py: both forms of gelu, and their slopes.

python docs/numerics/coefficients_gelu.py          # rewrite the module
python docs/numerics/coefficients_gelu.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
from coefficients import over_zero
from coefficients_sigmoidal import REACH, TINY, fitted
from writing import run

TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_gelu.py"

# The tanh form of gelu is x σ(a), a = c (x + k x³).
K = mp.mpf("0.044715")
C = 2 * mp.sqrt(2 / mp.pi)
TANH_NEAR = mp.mpf("1.75")
# In gelu'', up to which z a polynomial in z - CURVATURE_CENTRE is used.
CURVATURE_NEAR, CURVATURE_CENTRE = mp.mpf("2.1875"), mp.mpf("1.5")


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
tanh_near = over_zero(tanh_slope, TANH_ZERO, mp.mpf(-1))


def tanh_far(e):
    """(1/(1 + E)² - 1)/e, e = TANH_UNIT E."""
    e = e / TANH_UNIT
    return -(2 + e) / (1 + e) ** 2 / TANH_UNIT


def tanh_curvature(z):
    """gelu''(z)"""
    e = 1 / tanh_exponential(z)
    slope, bend = C * (1 + 3 * K * z * z), 6 * C * K * z
    bracket = 2 * slope + z * bend - z * slope**2 * (1 - e) / (1 + e)
    return e / (1 + e) ** 2 * bracket


TANH_CURVATURE_ZERO = mp.findroot(tanh_curvature, mp.mpf("1.42"))
tanh_curvature_near = over_zero(tanh_curvature, TANH_CURVATURE_ZERO, CURVATURE_CENTRE)


def tanh_twice(e):
    """2 E/(1 + E) over e = TANH_UNIT² E."""
    return 2 / TANH_UNIT**2 / (1 + e / TANH_UNIT**2)


# The form by erf, without its factor e^(-z²/2), at -z.
DENSITY = 1 / mp.sqrt(2 * mp.pi)


def tail(z):
    return mp.erfc(z / mp.sqrt(2)) / 2 * mp.exp(z * z / 2)


def erf_expm1(r):
    """(e^(-r/2) - 1)/r"""
    return mp.expm1(-r / 2) / r if abs(r) > TINY else -mp.mpf(1) / 2


def near_value(u):
    """4 tail(z) - 1, u = z - CENTRE."""
    return 4 * tail(CENTRE + u) - 1


def far_value(q):
    """4 z tail(z) - 1, q = (z - TURN)/(z + FAR)."""
    z = (TURN + FAR * q) / (1 - q)
    return 4 * z * tail(z) - 1


def erf_slope(z):
    return tail(z) - z * DENSITY


ERF_ZERO = mp.findroot(erf_slope, mp.mpf("0.7518"))
erf_over_zero = over_zero(erf_slope, ERF_ZERO)


def erf_quotient(q):
    """-2 erf_slope(z)/d, d = z - zero, q = -d/(z + SLOPE_END); times SLOPE_UNIT."""
    return -2 * SLOPE_UNIT * erf_over_zero(-q * (SLOPE_END + ERF_ZERO) / (1 + q))


def rough_value(q):
    """2 z tail(z)/q, q = z - z²/(z + FAR_ROUGH)."""
    z = q / (1 - q / FAR_ROUGH)
    return 2 * tail(z) * (1 + z / FAR_ROUGH)


# In the value, z up to which the first of two polynomials serves; about it the argument
# of the second has no rounding errors, and FAR is that for which degree 7 does, as
# SLOPE_END is for 8 in the slope. Roughly, one polynomial serves for the value. Beyond
# LAST, all is 0. SLOPE_UNIT makes small slopes normal until their last product.
# With this CENTRE and FAR_ROUGH what is near 1 at z = 0 is not less in float32, or the
# least normal value is lost.
CENTRE = mp.mpf(17) / 32
TURN, FAR, FAR_ROUGH = mp.mpf("1.25"), mp.mpf("3.375"), mp.mpf("2.75")
SLOPE_END, SLOPE_UNIT = mp.mpf("3.75"), mp.mpf(2) ** -17
LAST = {"float32": mp.mpf("14.1"), "float64": mp.mpf(38)}
# r of e^(-r/2): z² minus 2 ln 2 times a whole number, the nearest for a z of 12 bits.
EXP_ENDS = -2 * REACH, 2 * REACH + mp.mpf("0.116")
DEGREES = {"float32": (8, 7, 8), "float64": (16, 23, 24)}
DEGREES_ROUGH = 6, 6


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
    near = "gelu''(z) = p(z - CURVATURE_CENTRE) (z - zero), 0 <= z < CURVATURE_NEAR"
    yield (
        *("TANH_CURVATURE_NEAR", near, tanh_curvature_near),
        lambda u: 1 / tanh_curvature_near(u),
        *(-CURVATURE_CENTRE, CURVATURE_NEAR - CURVATURE_CENTRE),
        {"float32": 14, "float64": 30, "rough": 9},
    )
    yield (
        *("TANH_TWICE", "2/(1 + e^a) = e p(e), e = TANH_UNIT² e^-a", tanh_twice),
        lambda e: e,
        *(mp.mpf(0), TANH_UNIT**2 / tanh_exponential(CURVATURE_NEAR)),
        {"float32": 2, "float64": 8, "rough": 1},
    )
    yield (
        *("ERF_EXP", "e^(-r/2) = 1 + r p(r)", erf_expm1, lambda r: r),
        *(*EXP_ENDS, {"float32": 5, "float64": 11, "rough": 4}),
    )
    near = -CENTRE, TURN - CENTRE
    yield (
        *("ERF_NEAR", "4 Φ(-z) e^(z²/2) = 1 + p(z - CENTRE), z < TURN", near_value),
        lambda u: 1 / (1 + near_value(u)),
        *(*near, {k: degrees[0] for k, degrees in DEGREES.items()}),
    )
    far = "4 z Φ(-z) e^(z²/2) = 1 + p((z - TURN)/(z + FAR)), z > TURN"
    quotient = (
        "gelu'(-z) e^(z²/2) = -d (1 + p(-d/(z + SLOPE_END))/SLOPE_UNIT)/2, "
        "d = z - ERF_ZERO"
    )
    for precision, last in LAST.items():
        _, beyond, slope = DEGREES[precision]
        yield (
            *("ERF_FAR", far, far_value),
            lambda q: 1 / (1 + far_value(q)),
            *(mp.mpf(0), (last - TURN) / (last + FAR), {precision: beyond}),
        )
        ends = (ERF_ZERO - last) / (last + SLOPE_END), ERF_ZERO / SLOPE_END
        yield (
            *("ERF_SLOPE", quotient, lambda q: erf_quotient(q) - SLOPE_UNIT),
            *(lambda q: 1 / erf_quotient(q), *ends, {precision: slope}),
        )
    value, slope = DEGREES_ROUGH
    last = LAST["float32"]
    yield (
        *("ERF", "2 z Φ(-z) e^(z²/2) = q p(q), q = z - z²/(z + FAR_ROUGH)"),
        *(rough_value, lambda q: 1 / rough_value(q)),
        *(mp.mpf(0), last / (1 + last / FAR_ROUGH), {"rough": value}),
    )
    ends = (ERF_ZERO - last) / (last + SLOPE_END), ERF_ZERO / SLOPE_END
    yield (
        *("ERF_SLOPE_ROUGH", "the same with 1 in the polynomial", erf_quotient),
        *(lambda q: 1 / erf_quotient(q), *ends, {"rough": slope}),
    )


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
    bend = tanh_near(1 + TANH_ZERO)
    yield "TANH_BEND_AT_ZERO", "gelu'' where gelu' is 0", mp.nstr(bend, 20)
    for name, note, number in (
        ("TANH_CURVATURE_ZERO", "the zero of gelu''", TANH_CURVATURE_ZERO),
        ("TANH_CURVATURE_NEAR_END", "CURVATURE_NEAR", CURVATURE_NEAR),
        ("TANH_CURVATURE_CENTRE", "CURVATURE_CENTRE", CURVATURE_CENTRE),
    ):
        yield name, note, mp.nstr(number, 40)
    yield "TANH_LOG_UNIT", "log(TANH_UNIT)", mp.nstr(mp.log(TANH_UNIT), 40)
    yield "ERF_ZERO", "gelu'(-z) = 0", mp.nstr(ERF_ZERO, 40)
    bend = -2 * SLOPE_UNIT * erf_over_zero(0)
    yield "ERF_SLOPE_SLOPE", "-2 SLOPE_UNIT gelu'' there", mp.nstr(bend, 40)
    for name, note, number in (
        ("ERF_CENTRE", "CENTRE", CENTRE),
        ("ERF_TURN", "TURN", TURN),
        ("ERF_FAR_END", "FAR", FAR),
        ("ERF_FAR_ROUGH", "FAR_ROUGH", FAR_ROUGH),
        ("ERF_SLOPE_END", "SLOPE_END", SLOPE_END),
        ("ERF_SLOPE_UNIT", "SLOPE_UNIT", SLOPE_UNIT),
    ):
        yield name, note, mp.nstr(number, 40)


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_gelu.py", tables, __doc__))
