"""True values in bulk: from the store, or by all processors at once."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flint
import numpy as np

from . import cache
from .expression import Program
from .oracle import ORACLE_VERSION, Oracle, Truth

__all__ = ["processors", "run_in_workers", "true_values"]

# Fewer points than this are done here: starting workers costs a third of a second.
_WORTH_WORKERS = 6000
_WORTH_STORING = 2000
_CHUNK = 1024

# A worker needs Arb and NumPy but not JAX, whose import would take a second and
# 200 MB: the packages above the modules it uses stand empty.
_WORKER = """
import sys, types
for name, path in (("jaxacts", sys.argv[1]), ("jaxacts.verify", sys.argv[2])):
    package = types.ModuleType(name)
    package.__path__ = [path]
    sys.modules[name] = package
from jaxacts.verify.workers import serve
serve()
"""


def processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every operating system
        return os.cpu_count() or 1


def true_values(
    program: Program, inputs: np.ndarray, orders: int, double: bool = False
) -> Truth:
    """Value and derivatives at finite inputs, shape ``(orders + 1, n)``.

    Args:
      program: the traced reference.
      inputs: finite doubles, shape ``(n,)``.
      orders: the highest derivative.
      double: resolve float64 instead of types up to 32 bits.
    """
    inputs = np.ascontiguousarray(inputs, np.float64)
    keep = len(inputs) >= _WORTH_STORING
    key = ""
    if keep:
        text = f"{ORACLE_VERSION} {flint.__version__} {program.key} {orders} {double}"
        key = hashlib.sha256(text.encode() + b"\n" + inputs.tobytes()).hexdigest()
        found = cache.load(key)
        if found is not None:
            return Truth(**found)
    truth = _compute(program, inputs, orders, double)
    if keep:
        cache.store(key, {"high": truth.high, "low": truth.low, "sign": truth.sign})
    return truth


def _compute(program: Program, inputs: np.ndarray, orders: int, double: bool) -> Truth:
    if len(inputs) < _WORTH_WORKERS or processors() == 1:
        return Oracle(program, orders, double)(inputs)
    chunks = [inputs[i : i + _CHUNK] for i in range(0, len(inputs), _CHUNK)]
    tasks = [(_truth_task, (program, orders, double, chunk)) for chunk in chunks]
    return Truth.join(run_in_workers(tasks))


_oracles: dict[tuple[str, int, bool], Oracle] = {}


def _truth_task(program: Program, orders: int, double: bool, inputs: np.ndarray):
    key = (program.key, orders, double)
    if key not in _oracles:
        _oracles.clear()
        _oracles[key] = Oracle(program, orders, double)
    return _oracles[key](inputs)


class _Worker:
    def __init__(self) -> None:
        here = Path(__file__).resolve().parent
        command = [sys.executable, "-c", _WORKER, str(here.parent), str(here)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, task: Any) -> Any:
        pickle.dump(task, self.process.stdin)  # type: ignore[arg-type]
        self.process.stdin.flush()  # type: ignore[union-attr]
        failed, result = pickle.load(self.process.stdout)  # type: ignore[arg-type]
        if failed:
            raise result
        return result

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]
        self.process.stdout.close()  # type: ignore[union-attr]
        self.process.terminate()
        self.process.wait()


_workers: list[_Worker] = []
_idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
_starting = threading.Lock()


@atexit.register
def _close_workers() -> None:
    with _starting:
        while not _idle.empty():
            _idle.get()
        while _workers:
            _workers.pop().close()


def _replaced(worker: _Worker) -> _Worker:
    """A new worker in the place of one whose process has ended."""
    with _starting:
        _workers.remove(worker)
        worker.close()
        _workers.append(_Worker())
        return _workers[-1]


def run_in_workers(tasks: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]]):
    """Results of ``function(*arguments)`` for every task, in their order.

    Several threads may call this at once; they share the workers.
    """
    with _starting:
        while len(_workers) < processors():
            _workers.append(_Worker())
            _idle.put(_workers[-1])
    waiting = queue.SimpleQueue[int]()
    for index in range(len(tasks)):
        waiting.put(index)
    results: list[Any] = [None] * len(tasks)
    errors: list[BaseException] = []

    def drive() -> None:
        while not errors:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            worker = _idle.get()
            try:
                try:
                    results[index] = worker(tasks[index])
                except (EOFError, OSError):  # it was killed: once more with a new one
                    worker = _replaced(worker)
                    results[index] = worker(tasks[index])
            except BaseException as error:
                errors.append(error)
            finally:
                _idle.put(worker)

    threads = [threading.Thread(target=drive, daemon=True) for _ in _workers]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as error:  # Ctrl-C: no further tasks are begun
        errors.append(error)
        raise
    if errors:
        raise errors[0]
    return results


def serve() -> None:
    """What a worker does: answers tasks until its input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not reach the answers
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)
        except (EOFError, KeyboardInterrupt):
            return
        try:
            answer = (False, function(*arguments))
        except Exception as error:
            answer = (True, error)
        pickle.dump(answer, answers)
        answers.flush()
