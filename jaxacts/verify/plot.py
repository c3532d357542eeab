"""A picture of the error along the real line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import grids
from .accuracy import Measurement
from .ulp import Format, format_of

if TYPE_CHECKING:
    from .report import Report

__all__ = ["plot"]

_BINS = 900
_LEAST = 1e-2


def plot(report: Report, path: str | os.PathLike[str]) -> Path:
    """Largest error in ULP in each of many slices of the line, order by order.

    The axis is uniform in ULP: every number takes the same width, so each binade
    does, and the tails are as visible as the middle.
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib import pyplot

    ours = [m for m in report.measurements if m.profile is not None]
    if not ours:
        raise ValueError("no errors were kept to plot; verify with keep_profile=True")
    first = ours[0]
    ours = [m for m in ours if (m.name, m.dtype) == (first.name, first.dtype)]
    theirs = {
        m.order: m
        for m in report.against
        if m.profile is not None and (m.name, m.dtype) == (first.name, first.dtype)
    }
    form = format_of(first.dtype)
    figure, axes = pyplot.subplots(
        len(ours), 1, figsize=(9, 2.6 * len(ours) + 0.6), sharex=True, squeeze=False
    )
    for axis, measured in zip(axes[:, 0], ours, strict=True):
        if measured.order in theirs:
            name = report.competitor or "other"
            _draw(axis, theirs[measured.order], form, name, "#d1495b")
        _draw(axis, measured, form, measured.name, "#00798c")
        if measured.bound is not None:
            axis.axhline(measured.bound, color="black", linewidth=0.8, linestyle="--")
        axis.set_yscale("log")
        axis.set_ylabel(f"f{chr(39) * measured.order}: error in ULP")
        axis.grid(axis="y", alpha=0.25)
        axis.set_ylim(bottom=_LEAST)
    axes[0, 0].legend(loc="upper right", fontsize=8)
    title = f"{first.name} in {first.dtype}; dashed: the bound"
    shown = [*ours, *theirs.values()]
    if any(m.profile is not None and m.profile.nan.any() for m in shown):
        title += "; bar at the top: NaN"
    axes[0, 0].set_title(title)
    positions, labels = _ticks(form)
    axes[-1, 0].set_xticks(positions, labels)
    axes[-1, 0].set_xlabel("x, every number of the type at equal distance")
    figure.tight_layout()
    path = Path(path)
    beside = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        figure.savefig(beside, dpi=150)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
        pyplot.close(figure)
    return path


def _draw(axis: Any, measured: Measurement, form: Format, name: str, colour: str):
    profile = measured.profile
    assert profile is not None
    place = grids.ordinals(profile.inputs.astype(form.dtype), form)
    top = grids.largest_ordinal(form)
    edges = np.linspace(~top, top + 1, _BINS + 1)
    bins = np.clip(np.searchsorted(edges, place, side="right") - 1, 0, _BINS - 1)
    largest = np.zeros(_BINS)
    np.maximum.at(largest, bins, np.nan_to_num(profile.ulp, nan=0.0))
    centre = (edges[1:] + edges[:-1]) / 2
    axis.vlines(centre, _LEAST, np.maximum(largest, _LEAST), color=colour, label=name)
    if profile.nan.any():
        at = np.unique(centre[bins[profile.nan]])
        top = axis.get_xaxis_transform()  # x in data, y as a share of the height
        axis.plot(at, np.ones(len(at)), "|", color=colour, transform=top)


def _ticks(form: Format) -> tuple[list[float], list[str]]:
    """Powers of two spread over the axis, none so near another that they touch."""
    exponents = np.linspace(form.least_exponent, np.frexp(form.largest)[1] - 1, 5)
    powers = sorted({0, *(int(e) for e in exponents)}, key=lambda e: (e != 0, -e))
    top = grids.largest_ordinal(form)
    places, labels = [0.0], ["0"]
    for power in powers:
        place = float(grids.ordinals(np.array([2.0**power]), form)[0])
        if min(abs(place - taken) for taken in places) > 0.07 * top:
            places += [place, ~int(place)]
            labels += [f"$2^{{{power}}}$", f"$-2^{{{power}}}$"]
    return places, labels
