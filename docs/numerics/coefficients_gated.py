"""Writes jaxacts/_coefficients_gated.py: x G(e^x) functions of softplus and sigmoid.

python docs/numerics/coefficients_gated.py          # rewrite the module
python docs/numerics/coefficients_gated.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
from coefficients_nested import zeros
from writing import run

TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_gated.py"


def logish_slope(x):
    """f'(x)/e^x times (1 + e^x)(1 + 2e^x), f = x log(1 + σ(x))."""
    u = mp.exp(x)
    return (1 + u) * (1 + 2 * u) * mp.log1p(u / (1 + u)) / u + x


def logish_curvature(x):
    """f''(x)/e^x times ((1 + e^x)(1 + 2e^x))²."""
    u = mp.exp(x)
    return 2 * (1 + u) * (1 + 2 * u) + x * (1 - 2 * u * u)


def logish_curvature_positive(x):
    """f''(x) e^x times ((1 + e^-x)(2 + e^-x))²."""
    e = mp.exp(-x)
    return 2 * (1 + e) * (2 + e) + x * (e * e - 2)


def smish_slope(x):
    """f'(x)/e^x times (2 + 6e^x + 5e^2x)²; smish = x u (3u + 2)/(5u² + 6u + 2)."""
    u = mp.exp(x)
    d = 5 * u * u + 6 * u + 2
    return (3 * u + 2) * d + x * smish_gate_slope(u)


def smish_gate_slope(u):
    """(n' d - n d')(u), n = 3u² + 2u, d = 5u² + 6u + 2."""
    return 8 * u * u + 12 * u + 4


def smish_curvature(x):
    """f''(x)/(4e^x) times d³."""
    u = mp.exp(x)
    d, d1 = 5 * u * u + 6 * u + 2, 10 * u + 6
    m, m1 = smish_gate_slope(u), 16 * u + 12
    return (2 * m * d + x * (m * d + u * (m1 * d - 2 * m * d1))) / 4


def smish_curvature_positive(x):
    """f''(x) e^x/4 times (5 + 6e^-x + 2e^-2x)³."""
    e = mp.exp(-x)
    first = 2 * (1 + e) * (2 + e) * (5 + 6 * e + 2 * e * e)
    return first - x * (10 + 18 * e + 3 * e**2 - 6 * e**3 - 2 * e**4)


def root_softplus_curvature(x):
    """f''(x) 4 softplus(x)^(3/2)/σ(x)²."""
    return 2 * mp.log1p(mp.exp(x)) * mp.exp(-x) - 1


ZEROS = {
    # name: (bracket, start of the search, half-width of the patch)
    "LOGISH_SLOPE": (logish_slope, "-1.37", "0.8"),
    "LOGISH_CURVATURE_NEGATIVE": (logish_curvature, "-2.2", "0.8"),
    "LOGISH_CURVATURE_POSITIVE": (logish_curvature_positive, "2.5", "0.6"),
    "ROOT_CURVATURE": (root_softplus_curvature, "0.92", "1.4"),
    "SMISH_SLOPE": (smish_slope, "-1.4", "0.6"),
    "SMISH_CURVATURE_NEGATIVE": (smish_curvature, "-2.2", "0.5"),
    "SMISH_CURVATURE_POSITIVE": (smish_curvature_positive, "2.0", "0.25"),
}


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""
    yield from zeros(ZEROS)


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_gated.py", tables, __doc__))
