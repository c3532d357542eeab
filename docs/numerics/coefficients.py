"""Writes jaxacts/_coefficients.py: every polynomial the kernels use.

Each is the interpolant of a smooth function at Chebyshev nodes, computed with
mpmath at 50 digits and rounded to double. The error printed and written beside
it is the largest relative error of the whole approximated expression on a dense
grid, with the rounded coefficients in exact arithmetic.

    python docs/numerics/coefficients.py          # rewrite the module
    python docs/numerics/coefficients.py --check  # fail if it would change
    python docs/numerics/coefficients.py --only EXP MILLS
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path

import mpmath as mp

mp.mp.dps = 50
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


@functools.cache
def samples(f: Function, weight: Function, low: mp.mpf, high: mp.mpf):
    """(x, f(x), weight(x)) at 2,001 points."""
    points = [low + (high - low) * mp.mpf(k) / 2000 for k in range(2001)]
    return [(x, f(x), weight(x)) for x in points]


def relative_error(
    coefficients: list[float], f: Function, low: mp.mpf, high: mp.mpf, weight: Function
) -> mp.mpf:
    """max |weight (p - f)|; weight makes it the final error."""
    exact = [mp.mpf(c) for c in coefficients[::-1]]
    return max(
        abs(w * (mp.polyval(exact, x) - y)) for x, y, w in samples(f, weight, low, high)
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


def over_zero(f: Function, root: mp.mpf, centre: mp.mpf | None = None) -> Function:
    """f(x)/(x - root) as a function of x - centre, or of x - root."""
    quotient = removable(lambda d: f(root + d) / d, mp.mpf(0), mp.diff(f, root))
    return quotient if centre is None else lambda u: quotient(u + centre - root)


def silu_slope(x):
    """silu'(x) / e^x."""
    u = mp.exp(x)
    return (1 + x + u) / (1 + u) ** 2


def silu_curvature(z):
    """silu''(z) e^z."""
    return (2 - z * mp.tanh(z / 2)) / (1 + mp.exp(-z)) ** 2


def silu_tail_constant(e):
    """A in silu'(-z) = e ((1 - z) + e (A + z B)), e = e^-z."""
    return -1 / (1 + e)


def silu_tail_linear(e):
    """B of the same."""
    return (2 + e) / (1 + e) ** 2


# Where the variable (z - k)/(z + k) of the Gaussian tail vanishes.
RATIO_CENTRE = 4

ZEROS = {
    # name: (bracket, start of the search, half-width of the patch)
    "SILU_SLOPE": (silu_slope, "-1.278", "0.9"),
    "SILU_CURVATURE": (silu_curvature, "2.399", "1.2"),
}


# Of a function of e^-z, z beyond the patch around a zero; its share of the result
# is at most e^-z (1 + z)/(z - 1).
TAILS = {
    # name: (function, least z)
    "SILU_TAIL_CONSTANT": (silu_tail_constant, "2.1"),
    "SILU_TAIL_LINEAR": (silu_tail_linear, "2.1"),
}

# The largest relative error accepted: a fifteenth of an ULP in float32; in
# float64 what rounding the coefficients to double leaves.
TARGETS = {"float32": mp.mpf("4e-9"), "float64": mp.mpf("1.6e-16")}


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


def everywhere(low, high):
    return dict.fromkeys(TARGETS, (low, high))


def exponential_table():
    reach = mp.log(2) / 2 + mp.mpf("0.01")
    errors, fits = shortest(
        exponential, lambda r: r * r / mp.exp(r), everywhere(-reach, reach)
    )
    return f"e^r = 1 + r + r² p(r), |r| <= ln(2)/2 + 0.01; {errors}", fits


def logarithm_table():
    high = mp.mpf(1) / 9
    errors, fits = shortest(inverse_tangent, lambda w: w, everywhere(mp.mpf(0), high))
    note = "log(1 + e) = 2 z (1 + z² p(z²)), z = e/(2 + e), 0 <= e <= 1"
    return f"{note}; {errors}", fits


def tangent_table():
    high = mp.mpf("0.37")
    errors, fits = shortest(
        hyperbolic_tangent,
        lambda w: w / (1 + w * hyperbolic_tangent(w)),
        everywhere(mp.mpf(0), high),
    )
    return f"tanh(z) = z (1 + z² p(z²)), |z| <= 0.6; {errors}", fits


def _gaussian_tail(f: Function):
    """A fit in w of a function of z on the half-line, and its interval."""
    k = RATIO_CENTRE
    ends = {"float32": 15, "float64": 39}
    intervals = {
        precision: (-mp.mpf(1), mp.mpf(end - k) / (end + k))
        for precision, end in ends.items()
    }
    g = in_ratio(f, k)
    errors, fits = shortest(g, lambda w: 1 / g(w), intervals)
    where = f"w = (z - {k})/(z + {k}), z <= {ends['float32']}, {ends['float64']}"
    return where, errors, fits


def mills_table():
    # Times (z + 4) it stays between 0.4 and 2: Horner's rule does not cancel.
    where, errors, fits = _gaussian_tail(lambda z: (z + RATIO_CENTRE) * mills(z))
    return f"Q(z) = e^(-z²/2) p(w)/(z + {RATIO_CENTRE}), {where}; {errors}", fits


def gelu_slope_zero():
    return mp.findroot(gelu_slope_bracket, mp.mpf("0.7518"))


def gelu_slope_table():
    root = gelu_slope_zero()
    quotient = removable(
        lambda z: gelu_slope_bracket(z) / (root - z),
        root,
        -mp.diff(gelu_slope_bracket, root),
    )
    where, errors, fits = _gaussian_tail(quotient)
    return f"gelu'(-z) = e^(-z²/2) (zero - z) p(w), {where}; {errors}", fits


def zero_of(name: str):
    bracket, start, _ = ZEROS[name]
    root = mp.findroot(bracket, mp.mpf(start))
    return f"zero of {bracket.__name__}", mp.nstr(root, 40)


def over_zero_table(name: str):
    bracket, start, width = ZEROS[name]
    local = over_zero(bracket, mp.findroot(bracket, mp.mpf(start)))
    reach = mp.mpf(width) + mp.mpf("0.001")
    errors, fits = shortest(local, lambda d: 1 / local(d), everywhere(-reach, reach))
    note = f"{bracket.__name__} = d p(d), d = argument - zero, |d| <= {width}"
    return f"{note}; {errors}", fits


def tail_table(name: str):
    function, least = TAILS[name]
    z = mp.mpf(least)
    e = mp.exp(-z)
    share = e * (1 + z) / (z - 1)
    errors, fits = shortest(function, lambda _: share, everywhere(mp.mpf(0), e))
    return f"{function.__name__} of e^-z, z >= {least}; {errors}", fits


def tables():
    """Name to a function that computes (comment, {precision: fit} or text)."""
    found = {
        "EXP": exponential_table,
        "LOG1P": logarithm_table,
        "TANH": tangent_table,
        "MILLS": mills_table,
        "GELU_SLOPE_ZERO": lambda: (
            "gelu'(-z) = 0",
            mp.nstr(gelu_slope_zero(), 40),
        ),
        "GELU_SLOPE": gelu_slope_table,
    }
    for name in ZEROS:
        found[f"{name}_ZERO"] = functools.partial(zero_of, name)
        found[name] = functools.partial(over_zero_table, name)
    for name in TAILS:
        found[name] = functools.partial(tail_table, name)
    return found


HEADER = '''"""Polynomial coefficients; written by docs/numerics/coefficients.py."""

# ruff: noqa: E501

'''


def written(name: str, note: str, content) -> str:
    if isinstance(content, str):
        return f'# {note}\n{name} = "{content}"\n'
    lines = [f"# {note}", f"{name} = {{"]
    for precision, fit in content.items():
        lines.append(f'    "{precision}": (')
        lines += [f"        {c!r}," for c in fit]
        lines.append("    ),")
    return "\n".join([*lines, "}", ""])


def present() -> dict[str, str]:
    """Name to what the module says of it now."""
    blocks = TARGET.read_text().partition("# ruff: noqa: E501\n\n")[2].split("\n# ")
    whole = [block if block.startswith("# ") else f"# {block}" for block in blocks]
    return {
        block.split("\n")[1].split(" = ")[0]: block.strip("\n") + "\n"
        for block in whole
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="leave the others")
    arguments = parser.parse_args()
    known = present() if arguments.only else {}
    blocks = []
    for name, table in tables().items():
        if arguments.only and name not in arguments.only:
            blocks.append(known[name])
            continue
        note, content = table()
        print(f"{name}: {note}", file=sys.stderr, flush=True)
        blocks.append(written(name, note, content))
    text = HEADER + "\n".join(blocks)
    if arguments.check:
        return 0 if TARGET.read_text() == text else 1
    part = TARGET.with_suffix(".part")
    part.write_text(text)
    part.replace(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
