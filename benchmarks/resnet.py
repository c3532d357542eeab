"""Training steps of ResNets: our activations in them, beside those of jax.nn.

    python benchmarks/resnet.py                     # some minutes; see PLAN
    python benchmarks/resnet.py --all               # the usual functions, both models
    python benchmarks/resnet.py mish elu --model resnet50 --against jax.nn remat

One step is forward, backward and the update of SGD with momentum, compiled ahead of
time, its state donated. ResNet-20 has batches of 128 images of 32x32, ResNet-50 of 8
images of 96x96. Contenders beside flax_models with the function of jaxacts:

  jax.nn         the same network with the function of jax.nn
  flax           the network of Flax's ImageNet example with the function of jax.nn
  remat          ours with recomputed blocks, compiled so that it saves memory
  remat-default  ours with recomputed blocks, compiled without options

All run in one process and in turns. A figure "takes" is the median over the turns of
the time of a contender divided by that of jaxacts, with a 95% interval. Memory is by
XLA's account: "temporary" is all but what goes in and comes out.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import inspect
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import _records
import jax
import jax.numpy as jnp
import numpy as np
from _flax_example import FlaxExample
from _timing import FEWEST_ROUNDS, Ratio, interleaved, ratio
from _usual import USUAL, label

import flax_models
import jaxacts
from flax_models import training

RECORD = Path(__file__).parents[1] / "docs" / "resnet-speed.json"
AGAINST = ("jax.nn", "flax", "remat", "remat-default")
KEY = ("model", "function", "batch", "side", "dtype")


@dataclasses.dataclass(frozen=True)
class Size:
    """What a model is fed."""

    batch: int
    side: int
    classes: int


SIZES = {"resnet20": Size(128, 32, 10), "resnet50": Size(8, 96, 1000)}


@dataclasses.dataclass(frozen=True)
class Job:
    """One function in one model, and whom it is measured against."""

    model: str
    name: str
    settings: dict[str, Any]
    against: tuple[str, ...]

    @property
    def function(self) -> str:
        return label(self.name, self.settings)


# What is measured unless something is asked for: model, functions, contenders.
PLAN: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("resnet20", ("relu", "silu"), ("jax.nn", "remat", "remat-default")),
    ("resnet20", ("gelu", "mish", "softplus", "elu", "squareplus"), ("jax.nn",)),
    ("resnet50", ("relu",), AGAINST),
    ("resnet50", ("silu",), ("jax.nn", "flax")),
)


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one contender takes."""

    images_per_second: float
    temporary_mebibytes: float
    mebibytes: float
    gigaflops: float
    compile_seconds: float


@dataclasses.dataclass(frozen=True)
class Row:
    """A job's outcome: contenders, and the time of each by that of jaxacts."""

    model: str
    function: str
    batch: int
    side: int
    dtype: str
    rounds: int
    figures: dict[str, Figures]
    takes: dict[str, Ratio]

    def recorded(self) -> dict[str, Any]:
        """The row as JSON."""
        takes = {who: r.rounded() for who, r in self.takes.items()}
        return dataclasses.asdict(self) | {"takes": takes}

    def __str__(self) -> str:
        lines = []
        for who, f in self.figures.items():
            r = self.takes.get(who)
            takes = f"{r} [{r.low:.2f}, {r.high:.2f}]" if r else ""
            lines.append(
                f"{self.model:9} {self.function:23} {who:14}"
                f"{f.images_per_second:9.1f}  {takes:18}"
                f"{f.temporary_mebibytes:10.0f} {f.mebibytes:7.0f}"
            )
        return "\n".join(lines)


HEAD = (
    f"{'model':9} {'activation':23} {'contender':14}{'images/s':>9}  "
    f"{'takes':18}{'temporary':>10} {'all MiB':>7}"
)


def tell(text: str, end: str = "\n") -> None:
    """Progress, apart from the table."""
    print(text, end=end, file=sys.stderr, flush=True)


# --- what is timed -------------------------------------------------------------------


class Step:
    """A compiled training step, and the state that it goes on from."""

    def __init__(self, model: Any, state: Any, data: Any, options: Any):
        self.data = (*data, jax.random.key(1))
        self.metrics = training.Metrics.zero()
        # Donated: every contender needs arrays of its own.
        self.state = jax.tree.map(jnp.copy, state)
        step = functools.partial(
            training.train_step, model=model, optimizer=optimizer()
        )
        jitted = jax.jit(step, donate_argnums=(0, 1), compiler_options=options)
        start = time.perf_counter()
        lowered = jitted.lower(self.state, self.metrics, *self.data)
        self.call = lowered.compile()
        self.compile_seconds = time.perf_counter() - start

    def __call__(self) -> None:
        self.state, self.metrics = self.call(self.state, self.metrics, *self.data)
        jax.block_until_ready((self.state, self.metrics))

    def figures(self, seconds: Sequence[float]) -> Figures:
        memory, cost = self.call.memory_analysis(), self.call.cost_analysis() or {}
        if memory is None:
            fail("this backend gives no account of its memory")
        total = memory.temp_size_in_bytes + memory.argument_size_in_bytes
        # Outputs in donated memory are counted among the arguments already.
        total += memory.output_size_in_bytes - memory.alias_size_in_bytes
        return Figures(
            images_per_second=len(self.data[0]) / statistics.median(seconds),
            temporary_mebibytes=memory.temp_size_in_bytes / 2**20,
            mebibytes=total / 2**20,
            gigaflops=cost.get("flops", float("nan")) / 1e9,
            compile_seconds=self.compile_seconds,
        )


def optimizer() -> Any:
    """SGD with momentum and weight decay, at a rate that no network fails under."""
    return training.make_optimizer(0.01, weight_decay=1e-4)


def build(job: Job, who: str, size: Size, dtype: Any) -> Any:
    """The network of a contender."""
    library = jax.nn if who in ("jax.nn", "flax") else jaxacts
    function = getattr(library, job.name)
    activation = functools.partial(function, **job.settings)
    settings = {"num_classes": size.classes, "dtype": dtype, "activation": activation}
    if who == "flax":
        return FlaxExample(**settings)
    remat = who.startswith("remat")
    return flax_models.get(job.model)(**settings, remat=remat)


@functools.cache
def start(model: str, size: Size) -> Any:
    """The state that all contenders start from, whatever their activation."""
    network = flax_models.get(model)(num_classes=size.classes)
    create = jax.jit(
        functools.partial(training.create_state, network, optimizer()),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    return create(jax.random.key(0), jnp.zeros((1, size.side, size.side, 3)))


def draw(size: Size) -> tuple[jax.Array, jax.Array]:
    """Images and labels of noise."""
    random = np.random.default_rng(0)
    images = random.standard_normal((size.batch, size.side, size.side, 3))
    labels = random.integers(0, size.classes, size.batch)
    return jnp.asarray(images, jnp.float32), jnp.asarray(labels, jnp.int32)


def same_loss(steps: dict[str, Step], dtype: str) -> None:
    """Ends the program where a contender is another network than ours."""
    losses = {who: step.metrics.mean_loss() for who, step in steps.items()}
    # Another padding makes another network of Flax's example.
    losses.pop("flax", None)
    within = 1e-3 if dtype == "float32" else 0.05
    for who, loss in losses.items():
        if not abs(loss - losses["jaxacts"]) <= within * losses["jaxacts"]:
            fail(f"the first loss of {who} is {loss}, ours is {losses['jaxacts']}")


def measure(job: Job, size: Size, dtype: str, rounds: int) -> Row:
    """Compiles the contenders, checks that they agree, and times them in turns."""
    steps: dict[str, Step] = {}
    for who in ("jaxacts", *job.against):
        tell(f"  compiling {who}", end=" ... ")
        model = build(job, who, size, jnp.dtype(dtype))
        options = None
        if who == "remat":
            options = training.compiler_options(model)
        steps[who] = Step(model, start(job.model, size), draw(size), options)
        tell(f"{steps[who].compile_seconds:.0f} s")
    begin = time.perf_counter()
    for step in steps.values():
        step()
    same_loss(steps, dtype)
    turn = time.perf_counter() - begin
    tell(f"  {rounds} turns of about {turn:.1f} s")
    seconds = interleaved(with_progress(steps, rounds), rounds)
    for who, step in steps.items():
        if bool(step.metrics.failed):
            fail(f"{job.model} with {job.function} of {who} met a loss not finite")
    return Row(
        model=job.model,
        function=job.function,
        batch=size.batch,
        side=size.side,
        dtype=dtype,
        rounds=rounds,
        figures={who: step.figures(seconds[who]) for who, step in steps.items()},
        takes={
            who: ratio(times, seconds["jaxacts"])
            for who, times in seconds.items()
            if who != "jaxacts"
        },
    )


def with_progress(steps: dict[str, Step], rounds: int) -> dict[str, Callable[[], None]]:
    """The same calls; on a terminal they are counted aloud."""
    if not sys.stderr.isatty():
        return dict(steps)
    total, count = (rounds + 1) * len(steps), itertools.count(1)

    def counted(step: Step) -> None:
        step()
        done = next(count)
        tell(f"\r  step {done} of {total}", end="\n" if done == total else "")

    return {who: functools.partial(counted, step) for who, step in steps.items()}


# --- the command ---------------------------------------------------------------------


def fail(message: str) -> NoReturn:
    """Ends the program over something that the user can see to."""
    print(f"resnet.py: {message}", file=sys.stderr)
    raise SystemExit(2)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message} (--help lists the options)")


def usual(name: str) -> list[dict[str, Any]]:
    """The settings in which a function is measured."""
    return [settings for known, settings in USUAL if known == name] or [{}]


def checked(name: str) -> str:
    """The name, or that of which it is an alias; refuses what is of no use here."""
    accepted = "accepted are elementwise functions without parameters"
    try:
        record = jaxacts.spec(name)
    except ValueError as error:
        fail(f"{error}; {accepted}")
    parameters = inspect.signature(getattr(jaxacts, record.name)).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty]
    if not record.elementwise or len(needed) > 1:
        fail(f"{name} cannot stand in these networks; {accepted}")
    return record.name


def jobs(options: argparse.Namespace) -> list[Job]:
    """What is to be measured."""
    plan = list(PLAN)
    if options.names or options.all or options.model or options.against:
        names = options.names or list(dict.fromkeys(name for name, _ in USUAL))
        if not (options.names or options.all):
            names = ["relu"]
        names = list(dict.fromkeys(map(checked, names)))
        against = tuple(options.against or ("jax.nn",))
        plan = [(model, tuple(names), against) for model in options.model or SIZES]
    found = []
    for model, names, against in plan:
        for name in names:
            wanted = tuple(
                who
                for who in against
                if (who != "flax" or model == "resnet50")
                and (who not in ("jax.nn", "flax") or hasattr(jax.nn, name))
            )
            found += [Job(model, name, settings, wanted) for settings in usual(name)]
    return found


def run_of(arguments: Sequence[str], rounds: int) -> dict[str, Any]:
    """The run that rows come from.

    Of a busy machine times say little: it says how many processes ran before.
    """
    return {
        "command": _records.command_line(__file__, arguments),
        **_records.environment("numpy", "flax", "optax"),
        "turns": rounds,
        "processes running before": round(os.getloadavg()[0], 1),
    }


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def make_parser() -> Parser:
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="FUNCTION", help="with --model alone: relu")
    add("--all", action="store_true", help="the usual functions, in both models")
    add("--model", nargs="+", choices=tuple(SIZES), help="[both]")
    add("--against", nargs="+", choices=AGAINST, help="[jax.nn]")
    add("--dtype", default="float32", choices=("float32", "bfloat16"))
    add("--batch", type=positive, help="images a step, instead of 128 and 8")
    add("--side", type=positive, help="pixels of a side, instead of 32 and 96")
    add("--rounds", type=positive, default=9, help="turns of the timing [9]")
    add("--save", action="store_true", help=f"keep in docs/{RECORD.name}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = make_parser().parse_args(arguments)
    if options.rounds < FEWEST_ROUNDS:
        fail(f"--rounds is {options.rounds}; accepted are {FEWEST_ROUNDS} and more")
    todo = jobs(options)
    run = run_of(sys.argv[1:] if arguments is None else arguments, options.rounds)
    begin = time.perf_counter()
    print(HEAD, flush=True)
    for number, job in enumerate(todo, 1):
        minutes = (time.perf_counter() - begin) / 60
        what = f"{job.model} with {job.function}"
        tell(f"[{number} of {len(todo)}, after {minutes:.1f} min] {what}")
        asked = {"batch": options.batch, "side": options.side}
        size = dataclasses.replace(
            SIZES[job.model], **{k: v for k, v in asked.items() if v}
        )
        row = measure(job, size, options.dtype, options.rounds)
        print(row, flush=True)
        if options.save:
            _records.save(RECORD, [row.recorded()], KEY, run)
    return 0


if __name__ == "__main__":
    sys.exit(_records.run(main))
