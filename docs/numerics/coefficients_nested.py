"""Writes jaxacts/_coefficients_nested.py: what exponentials of exponentials need.

python docs/numerics/coefficients_nested.py          # rewrite the module
python docs/numerics/coefficients_nested.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
from coefficients import TARGETS, over_zero, shortest
from writing import run

TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_nested.py"


def exponential_tail(r):
    """e^r = 1 + r + r²/2 + r³/6 + r⁴ p(r)."""
    return mp.fsum(r**k / mp.factorial(k + 4) for k in range(25))


def golu_slope(x):
    return 1 + x * mp.exp(-x)


def golu_curvature(x):
    return 2 + x * (mp.exp(-x) - 1)


def tanhexp_slope(x):
    """f'(x)/e^x."""
    u = mp.exp(x)
    return mp.tanh(u) / u + x * mp.sech(u) ** 2


def tanhexp_curvature(x):
    """f''(x) cosh²(e^x)/e^x."""
    u = mp.exp(x)
    return 2 + x * (1 - 2 * u * mp.tanh(u))


ZEROS = {
    # name: (bracket, start of the search, half-width of the patch)
    "GOLU_SLOPE": (golu_slope, "-0.567", "0.2"),
    "GOLU_CURVATURE_NEGATIVE": (golu_curvature, "-1.0", "0.3"),
    "GOLU_CURVATURE_POSITIVE": (golu_curvature, "2.2", "0.6"),
    "TANHEXP_SLOPE": (tanhexp_slope, "-1.1", "0.8"),
    "TANHEXP_CURVATURE_NEGATIVE": (tanhexp_curvature, "-2.04", "0.6"),
    "TANHEXP_CURVATURE_POSITIVE": (tanhexp_curvature, "0.7", "0.25"),
}


def tightest(local, reach):
    """`shortest` for the least target of float64 that rounding allows."""
    for target in ("3.5e-16", "7e-16", "1.5e-15"):
        try:
            return shortest(
                local,
                lambda d: 1 / local(d),
                dict.fromkeys(TARGETS, (-reach, reach)),
                TARGETS | {"float64": mp.mpf(target)},
            )
        except ValueError:
            pass
    raise ValueError("no degree below 40 reaches 1.5e-15")


def zeros(brackets):
    """Yields the zero and the factor beside it of every bracket."""
    for name, (bracket, start, width) in brackets.items():
        zero = mp.findroot(bracket, mp.mpf(start))
        print(name, mp.nstr(zero, 10), file=sys.stderr)
        yield f"{name}_ZERO", f"zero of {bracket.__name__}", mp.nstr(zero, 40)
        local = over_zero(bracket, zero)
        errors, fits = tightest(local, mp.mpf(width) + mp.mpf("0.001"))
        note = f"{bracket.__name__} = d p(d), d = x - zero, |d| <= {width}"
        yield name, f"{note}; {errors}", fits


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""
    reach = mp.log(2) / 2 + mp.mpf("0.01")
    errors, fits = shortest(
        exponential_tail,
        lambda r: mp.mpf(300) * r**4 / mp.exp(r),
        dict.fromkeys(TARGETS, (-reach, reach)),
    )
    yield "EXP_TAIL", f"{exponential_tail.__doc__} {errors}", fits
    yield from zeros(ZEROS)


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_nested.py", tables, __doc__))
