"""What a training run shows: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console


class Progress(Protocol):
    """What the training loop tells."""

    def start(self, total_steps: int, step: int) -> None: ...

    def update(
        self, *, step: int, epoch: int, loss: float, accuracy: float, speed: float
    ) -> None: ...

    def line(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def stop(self) -> None: ...


def epoch_line(record: dict[str, Any], epochs: int, timing: dict[str, float]) -> str:
    """One epoch as a line of text."""
    width = len(str(epochs))
    return (
        f"epoch {record['epoch']:{width}d}/{epochs}  "
        f"train loss {record['train_loss']:.4f} accuracy "
        f"{record['train_accuracy']:.2%}  "
        f"test loss {record['test_loss']:.4f} accuracy "
        f"{record['test_accuracy']:.2%}  "
        f"{timing['images_per_second']:.0f} images/s  {timing['seconds']:.1f} s"
    )


class PlainProgress:
    """Lines on stdout, or with ``quiet`` none; warnings on stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def start(self, total_steps: int, step: int) -> None:
        pass

    def update(self, **numbers: float) -> None:
        pass

    def line(self, text: str) -> None:
        if not self.quiet:
            print(text, flush=True)

    def warning(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def stop(self) -> None:
        pass


class RichProgress:
    """A bar over all steps with loss, accuracy, images/s and the time left."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: Any = None

    def start(self, total_steps: int, step: int) -> None:
        self._task = self._bar.add_task(
            "compiling", total=total_steps, completed=step, numbers=""
        )
        self._bar.start()

    def update(
        self, *, step: int, epoch: int, loss: float, accuracy: float, speed: float
    ) -> None:
        self._bar.update(
            self._task,
            completed=step,
            description=f"epoch {epoch}",
            numbers=f"loss {loss:.4f}  accuracy {accuracy:.1%}  {speed:.0f} images/s",
        )

    def line(self, text: str) -> None:
        # No markup and no highlighting: a path may hold brackets.
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def warning(self, text: str) -> None:
        self.line(text)

    def stop(self) -> None:
        self._bar.stop()


def make_progress(*, quiet: bool) -> Progress:
    """The bar where stdout is a terminal, lines where it is not."""
    if sys.stdout.isatty() and not quiet:
        return RichProgress()
    return PlainProgress(quiet=quiet)
