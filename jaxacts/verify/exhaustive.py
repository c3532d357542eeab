"""All 2^32 numbers of float32, in value and two derivatives.

The truth comes from polynomials with exact coefficients (`patches`), evaluated in
float64 beside the function under test. The numbers at which the bound of their
error is more than a thousandth of an ULP, and the worst offenders, are settled by
Arb one by one. A run that is interrupted goes on where it was.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import cache
from .accuracy import Extreme, Ground, Measurement, compare, expected_result
from .candidate import Candidate, EvaluationError, flushes
from .oracle import ORACLE_VERSION
from .patches import CHUNK_SIZE, CHUNKS, ORDERS, Patches, chunk_start, patches_of
from .report import write_atomically
from .target import Target
from .ulp import format_of
from .workers import processors

__all__ = ["measure"]

# An input is decided where the error of the truth is below this many ULP.
_RESOLUTION = 1e-3
# Raised whenever a run begun by an earlier version is not to be continued.
_VERSION = 2
_GROUP = 16
# The sizes that patches are brought to, so that few shapes are compiled.
_PATCH_COUNTS = (16, 1024)
# More undecided numbers than this in a chunk are sampled, and counted as such.
_MOST_BY_ARB = 8192
_SAMPLE = 128
# Kinks are filled up to a multiple of this many.
_CORNERS = 8

_FIGURES = ("ulp", "scaled", "subnormal")
_COUNTS = ("nan", "wrong_zero")

Progress = Callable[[int, int], None]


@dataclasses.dataclass
class _State:
    """What is known so far of one order; plain data, kept on disk.

    Attributes:
      error: figure to the largest error.
      where: figure to the bits of the input with the largest error.
      count: kind of defect to how often it occurred.
      first: kind of defect to the bits of up to three inputs.
      settled: numbers decided by Arb one by one.
      unsettled: numbers that were only sampled.
    """

    error: dict[str, float] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(_FIGURES, 0.0)
    )
    where: dict[str, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(_FIGURES, 0)
    )
    count: dict[str, int] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(_COUNTS, 0)
    )
    first: dict[str, list[int]] = dataclasses.field(
        default_factory=lambda: {kind: [] for kind in _COUNTS}
    )
    settled: int = 0
    unsettled: int = 0

    def offer(self, figure: str, error: float, bits: int) -> None:
        if error > self.error[figure]:
            self.error[figure], self.where[figure] = error, bits

    def add(self, kind: str, count: int, bits: Sequence[int]) -> None:
        self.count[kind] += count
        if count:
            self.first[kind] = (self.first[kind] + list(bits))[:3]


def measure(
    target: Target,
    orders: Sequence[int] = (0, 1, 2),
    *,
    progress: Progress | None = None,
    chunks: Sequence[int] | None = None,
    candidate: Candidate | None = None,
) -> tuple[list[Measurement], list[str]]:
    """Measures a function on every finite float32.

    Args:
      target: the function and what is claimed of it.
      orders: orders of derivative, from 0 to 2.
      progress: called with the chunks done and their number.
      chunks: only these chunks of 2^20 numbers, for tests.
      candidate: the compiled function, if another check has it already.

    Returns:
      One measurement an order, and notes on how the truth was settled.

    Raises:
      ValueError: for an order above 2.
    """
    if max(orders) >= ORDERS:
        raise ValueError(f"all of float32 can be tried in orders 0 to 2, got {orders}")
    run = _Run(target, tuple(orders), candidate)
    wanted = list(range(CHUNKS) if chunks is None else chunks)
    run.resume(wanted)
    run.all(wanted, progress)
    measurements = [run.measurement(order, len(wanted)) for order in orders]
    notes = [run.note(order, len(wanted)) for order in orders]
    run.forget()
    return measurements, notes


class _Scores:
    """Errors of one chunk, all in one array.

    A score is the error in ULP; negative for subnormal numbers, which are counted
    apart; +inf where the truth is not decided, -inf for a zero of the wrong sign
    and NaN for a NaN.
    """

    def __init__(self, score: np.ndarray, scaled: np.ndarray):
        self.nan = self.wrong_zero = self.undecided = _NONE
        if not (np.isfinite(score.max()) and np.isfinite(score.min())):
            self.nan = np.flatnonzero(np.isnan(score))
            self.wrong_zero = np.flatnonzero(score == -np.inf)
            self.undecided = np.flatnonzero(score == np.inf)
            score = np.where(np.isfinite(score), score, 0)
        self.score, self.scaled = score, scaled

    def largest(self, figure: str) -> float:
        if figure == "subnormal":
            return -float(self.score.min())
        return float((self.scaled if figure == "scaled" else self.score).max())

    def place(self, figure: str) -> int:
        if figure == "subnormal":
            return int(np.argmin(self.score))
        return int(np.argmax(self.scaled if figure == "scaled" else self.score))


_NONE = np.zeros(0, np.int64)
_LARGEST_SCORE = 3e38


class _Run:
    def __init__(
        self, target: Target, orders: tuple[int, ...], candidate: Candidate | None
    ):
        self.form = format_of("float32")
        self.target = target
        self.orders = orders
        self.candidate = candidate or Candidate.of(target, self.form)
        self.ground = Ground(target, self.form, max(orders))
        self.states = {order: _State() for order in orders}
        self.done: set[int] = set()
        self.proven: dict[int, float] = {}
        self.lock = threading.Lock()
        self.corners = tuple(corner.at for corner in self.ground.corners)
        # Always of one length, so that all functions share the compiled kernel.
        length = -len(self.corners) % _CORNERS or _CORNERS * (not self.corners)
        self.excluded = np.array([*self.corners, *[np.nan] * length])

    # -- resuming -----------------------------------------------------------

    def _key(self, wanted: Sequence[int]) -> str:
        """Identifies the code under test, not just its name."""
        sample = jax.ShapeDtypeStruct((CHUNK_SIZE,), np.float32)
        parts = [
            *(self.candidate.lowered(order, sample) for order in self.orders),
            self.ground.program.key,
            repr((self.orders, self.corners, list(wanted), ORACLE_VERSION, _VERSION)),
            jax.__version__,
            jax.devices()[0].device_kind,
            os.environ.get("XLA_FLAGS", ""),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def resume(self, wanted: Sequence[int]) -> None:
        try:
            key = self._key(wanted)
        except Exception as error:
            line = (str(error).splitlines() or ["no message"])[0]
            raise EvaluationError(f"{type(error).__name__}: {line}") from error
        self.path = cache.cache_directory() / "exhaustive" / f"{key}.json"
        try:
            saved = json.loads(self.path.read_text())
            states = {int(k): _State(**v) for k, v in saved["states"].items()}
            proven = {int(k): float(v) for k, v in saved["proven"].items()}
            done = set(map(int, saved["done"]))
        except (OSError, ValueError, KeyError, TypeError):
            return
        if set(states) == set(self.orders):
            self.states, self.done, self.proven = states, done, proven

    def save(self) -> None:
        states = {k: dataclasses.asdict(v) for k, v in self.states.items()}
        document = {
            "states": states,
            "done": sorted(self.done),
            "proven": self.proven,
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(document))
        except OSError:
            pass  # without a place to keep it, an interrupted run starts again

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)

    # -- the work -----------------------------------------------------------

    def all(self, wanted: Sequence[int], progress: Progress | None) -> None:
        left = [chunk for chunk in wanted if chunk not in self.done]
        groups = [left[i : i + _GROUP] for i in range(0, len(left), _GROUP)]
        with ThreadPoolExecutor(processors()) as pool:
            try:
                for group in groups:
                    patches = patches_of(self.ground.program, group)
                    list(pool.map(self._chunk, group, [patches[c] for c in group]))
                    self.save()
                    if progress:
                        progress(len(self.done), len(wanted))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                self.save()
                raise

    def scores(
        self, chunk: int, patches: Patches, order: int
    ) -> tuple[jax.Array, jax.Array, _Scores]:
        """Inputs, results and errors of one chunk."""
        start = np.uint32(chunk_start(chunk))
        inputs = _inputs(start)
        result = self.candidate.compiled(order)(inputs)
        if result.shape != inputs.shape or result.dtype != inputs.dtype:
            raise EvaluationError(
                f"input of shape {inputs.shape} and dtype float32 gave shape "
                f"{result.shape} and dtype {result.dtype}"
            )
        count = next(n for n in _PATCH_COUNTS if n >= len(patches))
        cut = patches.repeated(count // len(patches))
        with jax.enable_x64(True):
            score, scaled = _judge(
                start,
                result,
                cut.centre,
                1 / cut.scale,
                cut.coefficients[order],
                np.where(cut.usable, cut.error[order], np.inf),
                cut.sign[order],
                np.array([zero.high[order, 0] for zero in self.ground.at_zero]),
                np.array([zero.sign[order, 0] for zero in self.ground.at_zero]),
                self.excluded,
                flush=flushes("float32"),
            )
        return inputs, result, _Scores(np.asarray(score), np.asarray(scaled))

    def _chunk(self, chunk: int, patches: Patches) -> None:
        start = chunk_start(chunk)
        found = {}
        for order in self.orders:
            inputs, result, scores = self.scores(chunk, patches, order)
            places, errors = self._settle(order, inputs, result, scores.undecided)
            found[order] = scores, places, errors
        with self.lock:
            for order, (scores, places, errors) in found.items():
                state = self.states[order]
                self._merge(state, start, scores, places, errors)
                state.settled += len(places)
                state.unsettled += len(scores.undecided) - len(places)
            self.proven[chunk] = float(patches.proven.mean())
            self.done.add(chunk)

    def _settle(self, order: int, inputs: Any, result: Any, places: np.ndarray):
        """Errors by Arb at the numbers that the polynomials leave open."""
        if len(places) > _MOST_BY_ARB:
            places = places[:: len(places) // _SAMPLE]
        if not len(places):
            return places, None
        return places, self.errors_by_arb(
            order, np.asarray(inputs)[places], np.asarray(result)[places]
        )

    def errors_by_arb(self, order: int, at: np.ndarray, got: np.ndarray):
        exact = at.astype(np.float64)
        zeros = self.ground.at_zero
        at_zero = zeros[0][order], zeros[1][order]
        truth = self.ground(exact)[order]
        return compare(got.astype(np.float64), exact, truth, at_zero, self.form)

    @staticmethod
    def _merge(state: _State, start: int, scores: _Scores, places, errors) -> None:
        for figure in _FIGURES:
            largest = scores.largest(figure)
            if largest > state.error[figure]:
                state.offer(figure, largest, start + scores.place(figure))
        for kind in _COUNTS:
            where = getattr(scores, kind)
            state.add(kind, len(where), [start + int(p) for p in where[:3]])
        if errors is None:
            return
        for figure in _FIGURES:
            values = np.nan_to_num(getattr(errors, figure), nan=0.0, posinf=np.inf)
            at = int(np.argmax(values))
            state.offer(figure, float(values[at]), start + int(places[at]))
        for kind in _COUNTS:
            where = places[getattr(errors, kind)]
            state.add(kind, len(where), [start + int(p) for p in where[:3]])

    # -- the outcome --------------------------------------------------------

    def measurement(self, order: int, chunks: int) -> Measurement:
        state = self.states[order]
        first = {
            kind: tuple(_number(bits).hex() for bits in state.first[kind])
            for kind in _COUNTS
        }
        return Measurement(
            name=self.target.name,
            dtype="float32",
            order=order,
            inputs=chunks * CHUNK_SIZE,
            exhaustive=chunks == CHUNKS and not state.unsettled,
            ulp=self._extreme(order, "ulp"),
            scaled=self._extreme(order, "scaled"),
            subnormal=self._extreme(order, "subnormal"),
            nan=first["nan"],
            nan_count=state.count["nan"],
            wrong_zero=first["wrong_zero"],
            wrong_zero_count=state.count["wrong_zero"],
            bound=self.target.bound(self.form, order),
        )

    def _extreme(self, order: int, figure: str) -> Extreme | None:
        """The worst offender again, against Arb."""
        state = self.states[order]
        if state.error[figure] == 0:
            return None
        bits = state.where[figure]
        # In its own chunk, so that it takes the same path through the code.
        start = bits - bits % CHUNK_SIZE
        inputs = _inputs(np.uint32(start))
        result = np.asarray(self.candidate.compiled(order)(inputs))
        place = slice(bits - start, bits - start + 1)
        got = result[place]
        errors = self.errors_by_arb(order, np.asarray(inputs)[place], got)
        truth = self.ground(np.array([_number(bits)]))[order]
        return Extreme(
            input=_number(bits).hex(),
            got=float(got[0]),
            expected=expected_result(truth, self.form),
            error=float(getattr(errors, figure)[0]),
            path="jit",
        )

    def note(self, order: int, chunks: int) -> str:
        state = self.states[order]
        share = sum(self.proven.values()) / max(1, len(self.proven))
        text = (
            f"{self.target.name} float32 order {order}: truth of "
            f"{chunks * CHUNK_SIZE:,} numbers by polynomials to {_RESOLUTION} ULP, "
            f"{share:.1%} with a proven bound and the rest checked at both ends of "
            f"each patch; {state.settled:,} numbers by Arb one by one"
        )
        if state.unsettled:
            text += f"; {state.unsettled:,} more could only be sampled"
        return text


def _number(bits: int) -> float:
    return float(np.uint32(bits).view(np.float32))


@jax.jit
def _inputs(start: jax.Array) -> jax.Array:
    bits = start + lax.iota(np.uint32, CHUNK_SIZE)
    return lax.bitcast_convert_type(bits, np.float32)


def _as_double(bits: jax.Array) -> jax.Array:
    """float32 bits as doubles, by integers: the CPU flushes subnormal operands.

    Infinity becomes 2^128, the number after the largest, and so does NaN.
    """
    wide = bits.astype(np.uint64)
    magnitude = wide & np.uint64(0x7FFFFFFF)
    shifted = (magnitude << np.uint64(29)) + np.uint64(896 << 52)
    overflow = np.uint64((128 + 1023) << 52)
    normal = lax.bitcast_convert_type(jnp.minimum(shifted, overflow), np.float64)
    small = magnitude.astype(np.float64) * 2.0**-149
    size = jnp.where(magnitude < np.uint64(1 << 23), small, normal)
    return jnp.where(wide >> np.uint64(31) == 1, -size, size)


def _inverse_ulp(values: jax.Array) -> jax.Array:
    bits = lax.bitcast_convert_type(values, np.uint64) & np.uint64((1 << 63) - 1)
    exponent = (bits >> np.uint64(52)).astype(np.int64) - 1023
    exponent = jnp.clip(exponent, -126, 127) - 23
    return lax.bitcast_convert_type(
        ((1023 - exponent) << np.int64(52)).astype(np.uint64), np.float64
    )


@functools.partial(jax.jit, static_argnames="flush")
def _judge(
    start: jax.Array,
    result: jax.Array,
    centre: jax.Array,
    inverse_scale: jax.Array,
    coefficients: jax.Array,
    error: jax.Array,
    sign: jax.Array,
    at_zero: jax.Array,
    sign_at_zero: jax.Array,
    excluded: jax.Array,
    *,
    flush: bool,
) -> tuple[jax.Array, jax.Array]:
    """Errors of one chunk as `accuracy.compare` defines them, as for `_Scores`."""
    shape = (len(centre), CHUNK_SIZE // len(centre))
    bits = (start + lax.iota(np.uint32, CHUNK_SIZE)).reshape(shape)
    x = _as_double(bits)
    got_bits = lax.bitcast_convert_type(result, np.uint32).reshape(shape)
    got = _as_double(got_bits)
    nan = (got_bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)

    t = (x - centre[:, None]) * inverse_scale[:, None]
    truth = jnp.broadcast_to(coefficients[:, -1:], shape)
    for k in range(coefficients.shape[1] - 2, -1, -1):
        truth = truth * t + coefficients[:, k, None]
    truth = jnp.clip(truth, -(2.0**128), 2.0**128)
    size = jnp.abs(truth)
    # Within its error, as far below the smallest float32, a polynomial has no sign.
    negative = jnp.where(size <= error[:, None], sign[:, None] < 0, truth < 0)
    signed = (truth != 0) | (sign[:, None] != 0)

    inverse = _inverse_ulp(truth)
    difference = jnp.abs(got - truth)
    ulp = difference * inverse
    scaled = difference * _inverse_ulp(jnp.maximum(size, 1.0))
    scaled = jnp.minimum(scaled, _LARGEST_SCORE)
    edge = 2.0**-126 * (1 + (2.0**-21 if flush else 0.0))
    got_zero = (got_bits & np.uint32(0x7FFFFFFF)) == 0
    got_negative = (got_bits >> np.uint32(31)) == 1
    wrong_zero = got_zero & signed & (got_negative != negative) & (size < edge)
    small_input = jnp.abs(x) < 2.0**-126
    small_truth = (size < edge) & signed
    if flush:
        ulp = jnp.where(small_truth & got_zero, 0.0, ulp)
        at = jnp.where(bits >> np.uint32(31) == 1, at_zero[0], at_zero[1])
        as_zero = jnp.abs(got - at) * _inverse_ulp(at)
        as_zero = jnp.where(jnp.isnan(at), 0.0, as_zero)  # not claimed
        ulp = jnp.where(small_input, jnp.fmin(ulp, as_zero), ulp)
        claim = jnp.where(bits >> np.uint32(31) == 1, sign_at_zero[0], sign_at_zero[1])
        as_zero_wrong = (claim != 0) & (got_negative != (claim < 0))
        wrong_zero &= ~small_input | as_zero_wrong
    apart = small_input | small_truth

    decided = error[:, None] * inverse <= _RESOLUTION
    decided &= x != 0
    for corner in excluded:
        decided &= x != corner
    # One array, so that XLA evaluates the polynomial once: see `_Scores`.
    score = jnp.minimum(ulp, _LARGEST_SCORE)
    score = jnp.where(apart, -score, score)
    score = jnp.where(wrong_zero, -jnp.inf, score)
    score = jnp.where(nan, jnp.nan, score)
    score = jnp.where(decided, score, jnp.inf)
    scaled = jnp.where(decided & ~nan & ~apart, scaled, 0.0)
    return score.astype(np.float32).ravel(), scaled.astype(np.float32).ravel()
