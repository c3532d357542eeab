"""Writes jaxacts/_coefficients_serf.py: x erf(softplus(x)) and its derivatives.

python docs/numerics/coefficients_serf.py          # rewrite the module
python docs/numerics/coefficients_serf.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
from coefficients import TARGETS, interpolate, relative_error, shortest
from coefficients_nested import zeros
from writing import run

TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_serf.py"
DENSITY = 2 / mp.sqrt(mp.pi)


def log_ratio(u):
    """log(1 + u)/u."""
    return mp.log1p(u) / u if u else mp.mpf(1)


def serf_gate(u):
    """erf(log(1 + u))/u."""
    return mp.erf(mp.log1p(u)) / u if u else DENSITY


def serf_gate_slope(u):
    """The derivative of erf(log(1 + u))."""
    return DENSITY * mp.exp(-(mp.log1p(u) ** 2)) / (1 + u)


def serf_bend(u):
    """σ'/σ - 2 σ softplus of x = log u."""
    return (1 - 2 * u * mp.log1p(u)) / (1 + u)


def softplus(x):
    return x + mp.log1p(mp.exp(-x))


def serf_rest(x):
    """(1 - erf(softplus(x))) e^(x²)."""
    return mp.erfc(softplus(x)) * mp.exp(x * x)


def serf_slope_rest(x):
    """(1 - f'(x)) e^(x²)."""
    u = mp.exp(x)
    return serf_rest(x) - x * u * serf_gate_slope(u) * mp.exp(x * x)


def serf_slope(x):
    """f'(x)/e^x."""
    u = mp.exp(x)
    return serf_gate(u) + x * serf_gate_slope(u)


def serf_curvature(x):
    """f''(x) over the derivative of erf(softplus(x))."""
    return 2 + x * serf_bend(mp.exp(x))


def serf_curvature_positive(x):
    """The same times 1 + e^-x."""
    return (1 + mp.exp(-x)) * serf_curvature(x)


# Of u in [0, 1], by u - 1/2: Horner's rule loses less than from either end.
FITS = {
    # name: (function, weight that makes the error relative)
    "LOG_RATIO": (log_ratio, lambda u: 1),
    "SERF_GATE": (serf_gate, lambda u: 1 / serf_gate(u)),
    "SERF_GATE_SLOPE": (serf_gate_slope, lambda u: 1 / serf_gate_slope(u)),
    "SERF_BEND": (serf_bend, lambda u: 1),
}
HALF = (-mp.mpf(1) / 2, mp.mpf(1) / 2)

# Functions of x >= 0 that a factor e^(-x²) takes to 0: where the stretch ends, the
# product is lost against 1.
FAR = {"float32": mp.mpf("4.5"), "float64": mp.mpf("6.5")}
RESTS = {
    "SERF_REST": serf_rest,
    "SERF_SLOPE_REST": serf_slope_rest,
}

ZEROS = {
    # name: (bracket, start of the search, half-width of the patch)
    "SERF_SLOPE": (serf_slope, "-1.1", "0.7"),
    "SERF_CURVATURE_NEGATIVE": (serf_curvature, "-2.2", "0.8"),
    "SERF_CURVATURE_POSITIVE": (serf_curvature_positive, "1.12", "0.7"),
}


def tightest(f, weight, intervals):
    """`shortest` for the least target of float64 that rounding allows."""
    for target in ("1.6e-16", "3.5e-16", "7e-16"):
        try:
            return shortest(f, weight, intervals, TARGETS | {"float64": mp.mpf(target)})
        except ValueError:
            pass
    raise ValueError("no degree below 40 reaches 7e-16")


def centred(f):
    return lambda d: f(d + HALF[1])


def split_table(f, weight):
    """A fit in u - 1/2 whose first three coefficients are sums of two doubles."""
    fits, errors = {}, []
    for precision, target in {"float32": "4e-9", "float64": "3e-17"}.items():
        for degree in range(5, 40):
            exact = interpolate(f, *HALF, degree)
            fit = [float(c) for c in exact]
            error = relative_error(exact[:3] + fit[3:], f, *HALF, weight)
            if error < mp.mpf(target):
                break
        else:
            raise ValueError(f"no degree below 40 reaches {target}")
        fits[precision] = fit
        lows = [float(c - mp.mpf(k)) for c, k in zip(exact[:3], fit, strict=False)]
        errors.append(f"{precision} {mp.nstr(error, 2)}")
    return f"relative error {', '.join(errors)}", fits | {"float64_low": lows}


def rest_table(f):
    """A fit in x: where it is worst conditioned, e^(-x²) makes up for it."""
    errors, fits = [], {}

    def weight(x):
        scale = mp.exp(-x * x)
        return scale / (1 - scale * f(x))

    for precision, far in FAR.items():
        error, fit = tightest(f, weight, {precision: (mp.mpf(0), far)})
        errors.append(error.removeprefix("relative error "))
        fits |= fit
    return f"relative error {', '.join(errors)}", fits


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""
    for name, (f, weight) in FITS.items():
        errors, fits = split_table(centred(f), centred(weight))
        yield name, f"{f.__doc__[:-1]} by u - 1/2, 0 <= u <= 1; {errors}", fits
    ends = {precision: (0.0, float(far)) for precision, far in FAR.items()}
    yield "STRETCH", "beyond, the distance to the line is lost against it", ends
    for name, f in RESTS.items():
        errors, fits = rest_table(f)
        yield name, f"{f.__doc__[:-1]} over STRETCH; {errors}", fits
    yield from zeros(ZEROS)


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_serf.py", tables, __doc__))
