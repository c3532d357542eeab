"""The bars of docs/images/speed.png, which carries a digest of what it shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import speed_goals as goals

__all__ = ["draw", "is_current"]

_Panels = Mapping[str, Sequence[Mapping[str, Any]]]
_KEY = "figures"
LIMIT = 2.0  # two arrays in, two out
# Okabe and Ito's colours, told apart by the colour-blind, and in grey.
COLOURS = {"jaxacts": "#0072B2", "jax.nn": "#E69F00", "torch": "#999999"}
# Bars beyond, or beyond ours and jax.nn's, are cut and say their figure.
TALLEST = 20.0


def _figures(panels: _Panels) -> dict[str, Any]:
    """All that the picture shows."""
    return {
        dtype: [
            [row["name"], goals.copies(row), {w: row["copies"].get(w) for w in COLOURS}]
            for row in rows
        ]
        for dtype, rows in panels.items()
    } | {"where": _where(panels)}


def _where(panels: _Panels) -> str:
    runs = [row["run"] for rows in panels.values() for row in rows]
    run = max(runs, key=lambda run: run["date"])
    facts = [f"jax {run['jax']}"]
    if "torch" in run:
        facts.append(f"torch {run['torch']}")
    facts += [run["processor"], f"{run['threads']} threads", run["date"]]
    return ", ".join(facts)


def _digest(panels: _Panels) -> str:
    return hashlib.sha256(json.dumps(_figures(panels)).encode()).hexdigest()


def is_current(panels: _Panels, path: Path) -> bool:
    """Whether the picture shows these figures."""
    from PIL import Image

    if not path.exists():
        return False
    with Image.open(path) as image:
        return image.info.get(_KEY) == _digest(panels)


def draw(panels: _Panels, path: Path) -> None:
    """Draws one panel a dtype."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = {dtype: rows for dtype, rows in panels.items() if rows}
    figure, axes = plt.subplots(
        len(shown), 1, figsize=(10, 3.6 * len(shown)), squeeze=False
    )
    for axis, (dtype, rows) in zip(axes[:, 0], shown.items(), strict=True):
        _panel(axis, dtype, rows)
    figure.suptitle(
        "Value and gradient together, in copies of the array (lower is faster)",
        fontsize=14,
    )
    handles, labels = axes[0, 0].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda k: labels[k] not in COLOURS)
    figure.legend(
        [handles[k] for k in order],
        [labels[k] for k in order],
        loc="upper center",
        bbox_to_anchor=(0.5, 0.95),
        ncols=5,
    ).set_frame_on(False)
    figure.text(0.5, 0.008, f"4M numbers; {_where(panels)}", ha="center", fontsize=9)
    figure.tight_layout(rect=(0, 0.02, 1, 0.93))
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    figure.savefig(part, dpi=110, format="png", metadata={_KEY: _digest(panels)})
    plt.close(figure)
    part.replace(path)


def _panel(axis: Any, dtype: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Bars of one dtype, with limit and goals."""
    tallest = max(
        row["copies"].get(who, [0])[0] for row in rows for who in ("jaxacts", "jax.nn")
    )
    top = min(tallest, TALLEST)
    width = 0.8 / len(COLOURS)
    for k, (who, colour) in enumerate(COLOURS.items()):
        for place, row in enumerate(rows):
            found = row["copies"].get(who)
            if found is None:
                continue
            x = place + (k - (len(COLOURS) - 1) / 2) * width
            axis.bar(x, min(found[0], top), width, color=colour)
            if found[0] > top:
                axis.text(
                    x, top, f"{found[0]:.0f}", ha="center", va="bottom", fontsize=8
                )
        axis.bar(0, 0, color=colour, label=who)
    for place, row in enumerate(rows):
        goal = goals.copies(row)
        if goal is not None:
            first = {"label": "goal"} if place == 0 else {}
            axis.hlines(goal, place - 0.46, place + 0.46, "black", linewidth=2, **first)
    axis.axhline(
        LIMIT, color="black", linestyle=":", linewidth=1, label="limit: memory alone"
    )
    axis.set_title(dtype, loc="left", fontsize=12)
    axis.set_ylabel("copies")
    axis.set_ylim(0, top * 1.06)
    axis.set_xlim(-0.6, len(rows) - 0.4)
    names = [_short(row) for row in rows]
    axis.set_xticks(range(len(rows)), names, rotation=30, ha="right", fontsize=10)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _short(row: Mapping[str, Any]) -> str:
    """gelu's two forms by their usual names."""
    if row["function"] == "gelu":
        return "gelu tanh" if row["settings"].get("approximate", True) else "gelu erf"
    return str(row["name"])
