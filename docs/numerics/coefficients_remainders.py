"""Writes jaxacts/_coefficients_remainders.py: functions less their leading terms.

Where x - tanh(x), tanh(x)² and e^x - 1 - x lose digits to cancellation or to a
squared error, they are a power of x times one of these polynomials. Method, targets
and the meaning of the errors are those of coefficients.py beside this file.

    python docs/numerics/coefficients_remainders.py          # rewrite the module
    python docs/numerics/coefficients_remainders.py --check  # fail if it would change
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import coefficients as base
import mpmath as mp

TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_remainders.py"


def tanh_remainder(w):
    """(z - tanh(z))/z³, w = z²."""
    if w < mp.mpf(10) ** -20:
        return mp.mpf(1) / 3 - 2 * w / 15
    z = mp.sqrt(w)
    return (z - mp.tanh(z)) / z**3


def tanh_square(w):
    """(tanh(z)/z)², w = z²."""
    if w < mp.mpf(10) ** -40:
        return 1 - 2 * w / 3
    z = mp.sqrt(w)
    return (mp.tanh(z) / z) ** 2


def tanh_curvature(w):
    """tanh(z) sech(z)²/z, w = z²."""
    if w < mp.mpf(10) ** -40:
        return 1 - 4 * w / 3
    z = mp.sqrt(w)
    return mp.tanh(z) * mp.sech(z) ** 2 / z


def exponential_remainder(x):
    """(e^x - 1 - x)/x²."""
    if abs(x) < mp.mpf(10) ** -20:
        return mp.mpf(1) / 2 + x / 6 + x * x / 24
    return (mp.expm1(x) - x) / x**2


FITS = {
    # name: (function, low, high, note)
    "TANH_REMAINDER": (
        tanh_remainder, "0", "1.01", "z - tanh(z) = z³ p(z²), |z| <= 1",
    ),
    "TANH_SQUARE": (tanh_square, "0", "1.01", "tanh(z)² = z² p(z²), |z| <= 1"),
    "TANH_CURVATURE": (
        tanh_curvature, "0", "0.26", "tanh(z) sech(z)² = z p(z²), z <= 1/2",
    ),
    "EXP_REMAINDER": (
        exponential_remainder, "-0.501", "0.001", "e^x - 1 - x = x² p(x), x >= -1/2",
    ),
}  # fmt: skip


def render() -> str:
    lines = [
        '"""Polynomial coefficients; written by docs/numerics/'
        'coefficients_remainders.py."""',
        "",
    ]
    for name, (function, low, high, note) in FITS.items():
        interval = dict.fromkeys(base.TARGETS, (mp.mpf(low), mp.mpf(high)))
        errors, fits = base.shortest(function, lambda x, f=function: 1 / f(x), interval)
        lines += [f"# {note}; {errors}", f"{name} = {{"]
        for precision, fit in fits.items():
            lines.append(f'    "{precision}": (')
            lines += [f"        {c!r}," for c in fit]
            lines.append("    ),")
        lines += ["}", ""]
        print(f"{name}: {note}; {errors}", file=sys.stderr)
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
