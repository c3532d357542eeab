"""Loss and accuracy over the epochs as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from _configuration import Configuration


def plot_curves(
    path: Path,
    configuration: Configuration,
    history: list[dict[str, Any]],
    standard_error: float,
) -> None:
    """Writes a PNG with the loss at the left and the accuracy at the right."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    epochs = [record["epoch"] for record in history]
    # Blue and orange differ for the colour-blind too; the marker tells them in grey.
    styles = {
        "train": {"color": "#0072B2", "linestyle": "--", "marker": "."},
        "test": {"color": "#D55E00", "marker": "o", "markersize": 3.5},
    }
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for part, style in styles.items():
        loss_axes.plot(epochs, [r[f"{part}_loss"] for r in history], **style)
        accuracy_axes.plot(
            epochs, [r[f"{part}_accuracy"] for r in history], label=part, **style
        )
    loss_axes.set_yscale("log")
    loss_axes.set_ylabel("cross-entropy (mean over the epoch)")
    accuracy_axes.set_ylabel("accuracy")
    accuracy_axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    for axes in (loss_axes, accuracy_axes):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    accuracy_axes.legend(loc="lower right")
    final = history[-1]["test_accuracy"]
    accuracy_axes.set_title(
        f"final test accuracy {final:.2%} ± {standard_error:.2%}", fontsize=10
    )
    smoothing = configuration.label_smoothing
    loss_axes.set_title(
        f"training loss with label smoothing {smoothing:g}" if smoothing else "loss",
        fontsize=10,
    )
    figure.suptitle(configuration.title(), fontsize=10)
    figure.savefig(path, dpi=130, format="png")
