"""Writes jaxacts/_coefficients.py: every polynomial the kernels use.

Each is the interpolant of a smooth function at Chebyshev nodes, computed with
mpmath at 80 digits and rounded to double. The error printed and written beside
it is the largest relative error of the whole approximated expression on a dense
grid, with the rounded coefficients in exact arithmetic.

    python docs/numerics/coefficients.py          # rewrite the module
    python docs/numerics/coefficients.py --check  # fail if it would change
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import mpmath as mp

mp.mp.dps = 80
TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients.py"

Function = Callable[[mp.mpf], mp.mpf]


def interpolate(f: Function, low: mp.mpf, high: mp.mpf, degree: int) -> list[mp.mpf]:
    """Monomial coefficients, lowest first, of the Chebyshev interpolant."""
    count = degree + 1
    angles = [mp.pi * (2 * k + 1) / (2 * count) for k in range(count)]
    middle, half = (low + high) / 2, (high - low) / 2
    values = [f(middle + half * mp.cos(a)) for a in angles]
    chebyshev = [
        2
        * mp.fsum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True))
        / count
        for j in range(count)
    ]
    chebyshev[0] /= 2
    # From T_j((x - middle)/half) to powers of x.
    scaled = [-middle / half, 1 / half]
    previous, current = [mp.mpf(1)], scaled
    total = _add([chebyshev[0]], [c * chebyshev[1] for c in scaled] if degree else [])
    for j in range(2, count):
        following = _add(
            [2 * c for c in _multiply(scaled, current)], [-c for c in previous]
        )
        previous, current = current, following
        total = _add(total, [c * chebyshev[j] for c in current])
    return total


def _add(a: list[mp.mpf], b: list[mp.mpf]) -> list[mp.mpf]:
    size = max(len(a), len(b))
    a, b = a + [mp.mpf(0)] * (size - len(a)), b + [mp.mpf(0)] * (size - len(b))
    return [x + y for x, y in zip(a, b, strict=True)]


def _multiply(a: list[mp.mpf], b: list[mp.mpf]) -> list[mp.mpf]:
    out = [mp.mpf(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return out


def relative_error(
    coefficients: list[float], f: Function, low: mp.mpf, high: mp.mpf, weight: Function
) -> mp.mpf:
    """max |weight (p - f)| on 2,000 points; weight makes it the final error."""
    points = [low + (high - low) * mp.mpf(k) / 2000 for k in range(2001)]
    return max(
        abs(weight(x) * (mp.polyval([mp.mpf(c) for c in coefficients[::-1]], x) - f(x)))
        for x in points
    )


def removable(f: Function, at: mp.mpf, limit: mp.mpf) -> Function:
    """f with its value at a removable singularity."""
    return lambda x: limit if abs(x - at) < mp.mpf(10) ** -40 else f(x)


# --- the approximated functions ---------------------------------------------


def exponential(r):
    """e^r = 1 + r + r² p(r)."""
    if abs(r) < mp.mpf(10) ** -20:
        return mp.mpf(1) / 2 + r / 6 + r * r / 24
    return (mp.expm1(r) - r) / r**2


def inverse_tangent(w):
    """atanh(z) = z (1 + z² p(z²)), w = z²."""
    if w < mp.mpf(10) ** -20:
        return mp.mpf(1) / 3 + w / 5
    z = mp.sqrt(w)
    return (mp.atanh(z) / z - 1) / w


def hyperbolic_tangent(w):
    """tanh(z) = z (1 + z² p(z²)), w = z²."""
    if w < mp.mpf(10) ** -20:
        return -mp.mpf(1) / 3 + 2 * w / 15
    z = mp.sqrt(w)
    return (mp.tanh(z) / z - 1) / w


def mills(z):
    """Q(z) e^(z²/2): the Mills ratio over √(2π)."""
    return mp.erfc(z / mp.sqrt(2)) * mp.exp(z * z / 2) / 2


def gelu_slope_bracket(z):
    """gelu'(-z) = e^(-z²/2) times this; its zero is near 0.7518."""
    return mills(z) - z / mp.sqrt(2 * mp.pi)


def in_ratio(f: Function, k: int) -> Function:
    """f as a function of w = (z - k)/(z + k)."""
    return lambda w: f(k * (1 + w) / (1 - w))


def over_zero(f: Function, root: mp.mpf) -> Function:
    """f(root + d) / d as a function of d."""
    return removable(lambda d: f(root + d) / d, mp.mpf(0), mp.diff(f, root))


def silu_slope_bracket(x):
    return 1 + x + mp.exp(x)


def silu_curvature_bracket(z):
    return 2 - z * mp.tanh(z / 2)


def mish_slope_bracket(x):
    u = mp.exp(x)
    return 4 * (1 + x) + u * (6 + 4 * x) + 4 * u**2 + u**3


def mish_curvature_negative(x):
    u = mp.exp(x)
    first = 4 + 8 * u + 6 * u**2 + 2 * u**3
    return first + x * (2 + 2 * u - 3 * u**2 - 2 * u**3)


def mish_curvature_positive(x):
    e = mp.exp(-x)
    first = 2 + 6 * e + 8 * e**2 + 4 * e**3
    return first - x * (2 + 3 * e - 2 * e**2 - 2 * e**3)


def _gelu_tanh_argument(z):
    c = 2 * mp.sqrt(2 / mp.pi)
    k = mp.mpf("0.044715")
    return c * (z + k * z**3), c * (1 + 3 * k * z**2), c * 6 * k * z


def gelu_tanh_slope_bracket(z):
    a, a1, _ = _gelu_tanh_argument(z)
    return 1 - z * a1 / (1 + mp.exp(-a))


def gelu_tanh_curvature_bracket(z):
    a, a1, a2 = _gelu_tanh_argument(z)
    return 2 * a1 + z * a2 - z * a1**2 * mp.tanh(a / 2)


# Where the variable (z - k)/(z + k) of the Gaussian tail vanishes.
RATIO_CENTRE = 4

ZEROS = {
    # name: (bracket, start of the search, half-width of the patch)
    "SILU_SLOPE": (silu_slope_bracket, "-1.278", "0.35"),
    "SILU_CURVATURE": (silu_curvature_bracket, "2.399", "0.75"),
    "MISH_SLOPE": (mish_slope_bracket, "-1.192", "0.6"),
    "MISH_CURVATURE_NEGATIVE": (mish_curvature_negative, "-2.256", "0.8"),
    "MISH_CURVATURE_POSITIVE": (mish_curvature_positive, "1.49", "0.8"),
    "GELU_TANH_SLOPE": (gelu_tanh_slope_bracket, "0.752", "0.25"),
    "GELU_TANH_CURVATURE": (gelu_tanh_curvature_bracket, "1.42", "0.35"),
}


# The largest relative error accepted: a fifteenth of an ULP in float32; in
# float64 what rounding the coefficients to double leaves.
TARGETS = {"float32": mp.mpf("4e-9"), "float64": mp.mpf("1.2e-16")}


def shortest(
    f: Function, weight: Function, intervals, targets=TARGETS
) -> tuple[str, dict]:
    """The fit of least degree under the target, and a note of its error."""
    fits, errors = {}, []
    for precision, (low, high) in intervals.items():
        for degree in range(2, 40):
            fit = [float(c) for c in interpolate(f, low, high, degree)]
            error = relative_error(fit, f, low, high, weight)
            if error < targets[precision]:
                break
        else:
            raise ValueError(f"no degree below 40 reaches {targets[precision]}")
        fits[precision] = fit
        errors.append(f"{precision} {mp.nstr(error, 2)}")
    return f"relative error {', '.join(errors)}", fits


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""

    def everywhere(low, high):
        return dict.fromkeys(TARGETS, (low, high))

    reach = mp.log(2) / 2 + mp.mpf("0.01")
    errors, fits = shortest(
        exponential, lambda r: r * r / mp.exp(r), everywhere(-reach, reach)
    )
    yield "EXP", f"e^r = 1 + r + r² p(r), |r| <= ln(2)/2 + 0.01; {errors}", fits

    high = mp.mpf(1) / 9
    errors, fits = shortest(inverse_tangent, lambda w: w, everywhere(mp.mpf(0), high))
    note = "log(1 + e) = 2 z (1 + z² p(z²)), z = e/(2 + e), 0 <= e <= 1"
    yield "LOG1P", f"{note}; {errors}", fits

    high = mp.mpf("0.37")
    errors, fits = shortest(
        hyperbolic_tangent,
        lambda w: w / (1 + w * hyperbolic_tangent(w)),
        everywhere(mp.mpf(0), high),
    )
    yield "TANH", f"tanh(z) = z (1 + z² p(z²)), |z| <= 0.6; {errors}", fits

    k = RATIO_CENTRE
    ends = {"float32": 15, "float64": 39}
    intervals = {
        precision: (-mp.mpf(1), mp.mpf(end - k) / (end + k))
        for precision, end in ends.items()
    }
    g = in_ratio(mills, k)
    errors, fits = shortest(g, lambda w: 1 / g(w), intervals)
    where = f"w = (z - {k})/(z + {k}), z <= {ends['float32']}, {ends['float64']}"
    yield "MILLS", f"Q(z) = e^(-z²/2) p(w), {where}; {errors}", fits

    root = mp.findroot(gelu_slope_bracket, mp.mpf("0.7518"))
    yield "GELU_SLOPE_ZERO", "gelu'(-z) = 0", mp.nstr(root, 40)
    quotient = removable(
        lambda z: gelu_slope_bracket(z) / (root - z),
        root,
        -mp.diff(gelu_slope_bracket, root),
    )
    h = in_ratio(quotient, k)
    errors, fits = shortest(h, lambda w: 1 / h(w), intervals)
    note = f"gelu'(-z) = e^(-z²/2) (zero - z) p(w), {where}; {errors}"
    yield "GELU_SLOPE", note, fits

    for name, (bracket, start, width) in ZEROS.items():
        root = mp.findroot(bracket, mp.mpf(start))
        yield f"{name}_ZERO", f"zero of {bracket.__name__}", mp.nstr(root, 40)
        local = over_zero(bracket, root)
        reach = mp.mpf(width) + mp.mpf("0.001")
        errors, fits = shortest(
            local, lambda d, q=local: 1 / q(d), everywhere(-reach, reach)
        )
        note = f"{bracket.__name__} = d p(d), d = argument - zero, |d| <= {width}"
        yield name, f"{note}; {errors}", fits


def render() -> str:
    lines = [
        '"""Polynomial coefficients; written by docs/numerics/coefficients.py."""',
        "",
        "# ruff: noqa: E501",
        "",
    ]
    for name, note, content in tables():
        lines.append(f"# {note}")
        if isinstance(content, str):
            lines += [f'{name} = "{content}"', ""]
            continue
        lines.append(f"{name} = {{")
        for precision, fit in content.items():
            lines.append(f'    "{precision}": (')
            lines += [f"        {c!r}," for c in fit]
            lines.append("    ),")
        lines += ["}", ""]
        print(f"{name}: {note}", file=sys.stderr)
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    text = render()
    if check:
        return 0 if TARGET.read_text() == text else 1
    part = TARGET.with_suffix(".part")
    part.write_text(text)
    part.replace(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
