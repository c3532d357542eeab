"""Writes jaxacts/_coefficients_periodic.py: sine, cosine and the bits of 2/π.

python docs/numerics/coefficients_periodic.py          # rewrite the module
python docs/numerics/coefficients_periodic.py --check  # fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath as mp
from coefficients import TARGETS, over_zero, shortest
from writing import run

TARGET = Path(__file__).parents[2] / "jaxacts" / "_coefficients_periodic.py"

# |r| of a reduced argument: π/4, and what a low part may add.
REACH = mp.mpf("0.82")


def sine(z):
    """sin(r) = r (1 + z p(z)), z = r²."""
    if z < mp.mpf(10) ** -15:
        return -mp.mpf(1) / 6 + z / 120
    r = mp.sqrt(z)
    return (mp.sin(r) / r - 1) / z


def cosine(z):
    """cos(r) = 1 - z/2 + z² p(z), z = r²."""
    if z < mp.mpf(10) ** -10:
        return mp.mpf(1) / 24 - z / 720 + z**2 / 40320
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def sine_tail(z):
    """sin(r) = r (1 - z/6 + z²/120 - z³/5040 + z⁴ p(z))."""
    return tail(9, z)


def cosine_tail(z):
    """cos(r) = 1 - z/2 + z²/24 - z³/720 + z⁴ p(z)."""
    return tail(8, z)


def tail(first, z):
    """1/first! - z/(first + 2)! + ..."""
    return mp.fsum((-z) ** k / mp.factorial(first + 2 * k) for k in range(16))


def gcu_slope(x):
    return mp.cos(x) - x * mp.sin(x)


def gcu_curvature(x):
    """-f''(x)/x = cos(x) + 2 sin(x)/x."""
    return mp.cos(x) + 2 * mp.sin(x) / x


ZEROS = {
    "GCU_SLOPE": (gcu_slope, "0.86", "0.3"),
    "GCU_CURVATURE": (gcu_curvature, "2.2889", "0.3"),
}


def tables():
    """Yields (name, comment, {precision: coefficients} or text)."""

    def everywhere(low, high):
        return dict.fromkeys(TARGETS, (low, high))

    # As bits, 64 more than the largest float64 shifts to the front, and guards.
    bits = 64 * 21
    with mp.workprec(bits + 200):
        digits = int(mp.floor(mp.ldexp(2 / mp.pi, bits)))
    yield "TWO_OVER_PI", f"{bits} bits of 2/π, hexadecimal", f"{digits:0{bits // 4}x}"
    square = everywhere(mp.mpf(0), REACH**2)
    root = mp.sqrt
    errors, fits = shortest(
        sine, lambda z: z * root(z) / mp.sin(root(z)) if z else z, square
    )
    yield "SIN", f"sin(r) = r (1 + z p(z)), z = r², |r| <= 0.82; {errors}", fits
    errors, fits = shortest(cosine, lambda z: z**2 / mp.cos(root(z)), square)
    yield "COS", f"cos(r) = 1 - z/2 + z² p(z), z = r², |r| <= 0.82; {errors}", fits
    errors, fits = shortest(
        sine_tail, lambda z: z**4 * root(z) / mp.sin(root(z)) if z else z, square
    )
    yield "SIN_TAIL", f"{sine_tail.__doc__}, z = r², |r| <= 0.82; {errors}", fits
    errors, fits = shortest(cosine_tail, lambda z: z**4 / mp.cos(root(z)), square)
    yield "COS_TAIL", f"{cosine_tail.__doc__}, z = r², |r| <= 0.82; {errors}", fits
    for name, (bracket, start, width) in ZEROS.items():
        zero = mp.findroot(bracket, mp.mpf(start))
        yield f"{name}_ZERO", f"zero of {bracket.__name__}", mp.nstr(zero, 40)
        local = over_zero(bracket, zero)
        reach = mp.mpf(width) + mp.mpf("0.001")
        errors, fits = shortest(
            local, lambda d, q=local: 1 / q(d), everywhere(-reach, reach)
        )
        note = f"{bracket.__name__} = d p(d), d = x - zero, |d| <= {width}"
        yield name, f"{note}; {errors}", fits


if __name__ == "__main__":
    sys.exit(run(TARGET, "coefficients_periodic.py", tables, __doc__))
