"""Train a ResNet with the activation of your choice.

    python examples/train_resnet.py --activation mish

Without options: scikit-learn's digits, ResNet-20, relu.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Self

BAD_INPUT = 2

EPILOG = """\
data sets:
  digits              comes with scikit-learn: 8x8 pixels, 1442 images for training
                      and 355 for test
  fashion-mnist       the four idx files; by default from where Debian's and Ubuntu's
                      package dataset-fashion-mnist puts them
  cifar10, cifar100   the "python version", its folder or its .tar.gz; none of the
                      code that such a file may hold is run
  folder              train/<class>/*.png and test/<class>/*.png (or .jpg, ...)

output, in the folder of the run:
  results.json        configuration, versions, every epoch, final test accuracy and
                      its binomial standard error
  curves.png          loss and accuracy in training and test
  checkpoints/        after every epoch; --resume goes on from the newest

A run that was stopped or killed, and resumed, ends with the same bits as one that
was not. On a GPU that needs XLA_FLAGS=--xla_gpu_deterministic_ops=true.

exit status: 0 done, 2 bad input or a loss that is not finite, 130 stopped by Ctrl-C
"""


def fail(message: object) -> NoReturn:
    """Ends the program over something that the user can mend."""
    print(f"train_resnet.py: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message} (--help lists the options)")


def finite(text: str) -> float:
    """A number of the command line that is neither infinite nor NaN."""
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is not finite")
    return number


def positive(text: str) -> int:
    """A count of the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def make_parser() -> argparse.ArgumentParser:
    """The options. Those of the configuration are absent where not given."""
    parser = OneLineParser(
        prog="train_resnet.py",
        description=(__doc__ or "").splitlines()[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    def group(title: str) -> Any:
        made = parser.add_argument_group(title)

        def add(name: str, kind: Any, metavar: str, text: str) -> None:
            how: dict[str, Any] = {"type": kind, "metavar": metavar}
            if kind is bool:
                how = {"action": argparse.BooleanOptionalAction}
            made.add_argument(name, help=text, default=argparse.SUPPRESS, **how)

        return add

    add = group("network (defaults in brackets)")
    add("--activation", str, "NAME", "'mish', 'leaky_relu(negative_slope=0.2)' [relu]")
    add("--model", str, "NAME", "'resnet56', 'resnet50v2' [resnet20; folder: resnet18]")
    add("--stem", str, "NAME", "cifar or imagenet [cifar for sides below 64 pixels]")
    add("--dtype", str, "NAME", "float32 or bfloat16; parameters stay float32")
    add("--remat", bool, "", "recompute blocks when going back: less memory [no]")
    add = group("data")
    add("--data", str, "NAME", "see below [digits]")
    add("--data-dir", Path, "DIR", "folder (or archive) of the data")
    add("--image-size", int, "N", "of --data folder: crop and scale to N x N pixels")
    add("--augment", str, "NAME", "none, crop, flip, crop+flip [digits: crop]")
    add = group("training (defaults depend on the data; these are for digits)")
    add("--epochs", int, "N", "[15]")
    add("--batch-size", int, "N", "[64]")
    add("--learning-rate", finite, "X", "the peak [0.1]")
    add("--schedule", str, "NAME", "after the warm-up: cosine, constant, step [cosine]")
    add("--warmup", finite, "X", "share of the steps in which the rate rises [0.1]")
    add("--momentum", finite, "X", "Nesterov's [0.9]")
    add("--weight-decay", finite, "X", "on kernels alone [0.0005]")
    add("--label-smoothing", finite, "X", "[0]")
    add("--seed", int, "N", "of parameters, order and augmentation [0]")
    add("--devices", int, "N", "share each batch among N devices [all of them]")
    add = group("run")
    add("--out", Path, "DIR", "folder of the run [runs/<data>-<model>-<activation>-…]")
    add("--checkpoint-every", positive, "N", "save after every N steps too")
    parser.add_argument("--resume", action="store_true", help="go on with --out")
    parser.add_argument("--quiet", action="store_true", help="the result alone")
    return parser


def silence_libraries() -> None:
    """Leaves stderr to this program's own lines.

    Orbax logs its every step. Where a disk fails, it reads or writes many arrays at
    once and raises the first error; the others are reported by asyncio and by the
    threads of tensorstore after the fact.
    """
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    report = sys.unraisablehook

    def without_closed_loops(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            report(unraisable)

    sys.unraisablehook = without_closed_loops


class StopSignal:
    """Ctrl-C or SIGTERM: the first asks to stop after the step, the second at once."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.number != 0

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number
        # Not print: a signal may come in the middle of another print.
        os.write(2, b"\nstopping after this step; once more to stop at once\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    started = time.monotonic()
    given = vars(make_parser().parse_args(arguments))
    resume, quiet = given.pop("resume"), given.pop("quiet")
    folder, data_dir = given.pop("out", None), given.pop("data_dir", None)
    checkpoint_every = given.pop("checkpoint_every", None)
    run = None
    try:
        # Imported here, so that --help and a mistyped option answer at once.
        from _configuration import UserError
        from _data import DataError
        from _folder import completed, resume_command
        from _prepare import prepare
        from _progress import make_progress
        from _run import Stopped, execute

        from flax_models.checkpoint import CheckpointError

        try:
            run = prepare(given, folder=folder, data_dir=data_dir, resume=resume)
            progress = make_progress(quiet=quiet)
            progress.line(run.configuration.title())
            with StopSignal() as stop:
                outcome = completed(run) or execute(
                    run,
                    progress,
                    started=started,
                    checkpoint_every=checkpoint_every,
                    stop=stop,
                )
        except (UserError, DataError, CheckpointError) as error:
            fail(error)
    except KeyboardInterrupt:
        hint = "nothing was written"
        if run is not None and run.folder.exists():
            hint = f"to go on: {resume_command(sys.argv[0], run)}"
        print(f"stopped at once; {hint}", file=sys.stderr)
        return 128 + signal.SIGINT
    if isinstance(outcome, Stopped):
        print(
            f"stopped after step {outcome.step} of {run.total_steps} (epoch "
            f"{outcome.epoch}); to go on: {resume_command(sys.argv[0], run)}",
            file=sys.stderr,
        )
        return 128 + stop.number
    print(
        f"final test accuracy {outcome['final_test_accuracy']:.2%} ± "
        f"{outcome['final_test_accuracy_standard_error']:.2%} "
        f"({outcome['test_images']} images), {outcome['parameter_count']} parameters, "
        f"{outcome['timing']['wall_seconds']:.0f} s; see {run.folder / 'curves.png'} "
        f"and {run.folder / 'results.json'}"
    )
    return 0


if __name__ == "__main__":
    silence_libraries()
    raise SystemExit(main())
