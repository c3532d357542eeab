"""Writes jaxacts/_coefficients_phish.py: the derivatives of x tanh(gelu(x)).

python docs/numerics/coefficients_phish.py          # rewrite the module
python docs/numerics/coefficients_phish.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
from coefficients_nested import zeros
from writing import run

TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_phish.py"


def _gelu(x):
    """gelu and its first two derivatives."""
    density = mp.npdf(x)
    return x * mp.ncdf(x), mp.ncdf(x) + x * density, (2 - x * x) * density


def phish_slope(z):
    """-f'(-z) e^(z²/2)/z, f = x tanh(gelu(x))."""
    g, g1, _ = _gelu(-z)
    return (mp.tanh(g) - z * g1 * mp.sech(g) ** 2) * mp.exp(z * z / 2) / -z


def phish_curvature_negative(z):
    """f''(-z) e^(z²/2) cosh²(gelu(-z))."""
    return phish_curvature(-z) * mp.exp(z * z / 2)


def phish_curvature(x):
    """f''(x) cosh²(gelu(x))."""
    g, g1, g2 = _gelu(x)
    return 2 * g1 + x * (g2 - 2 * g1 * g1 * mp.tanh(g))


ZEROS = {
    # name: (bracket, start of the search, half-width of the patch)
    "PHISH_SLOPE": (phish_slope, "1.195", "0.6"),
    "PHISH_CURVATURE_LEFT": (phish_curvature_negative, "1.88", "0.6"),
    "PHISH_CURVATURE_CENTRE": (phish_curvature_negative, "0.47", "0.3"),
    "PHISH_CURVATURE_RIGHT": (phish_curvature, "1.20", "0.5"),
}


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""
    yield from zeros(ZEROS)


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_phish.py", tables, __doc__))
