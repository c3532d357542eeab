"""The store of truths and the workers that fill it."""

from __future__ import annotations

import dataclasses
import math
import threading

import numpy as np
import pytest

from jaxacts.verify import cache, workers
from jaxacts.verify.expression import trace
from jaxacts.verify.oracle import Oracle

ARRAYS = {
    "high": np.array([[1.5, -0.0, np.inf], [np.nan, 2.0, 3.0]]),
    "sign": np.array([[1, -1, 0]], np.int8),
    "none": np.zeros((0, 3)),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXACTS_CACHE_DIR", str(tmp_path))
    return tmp_path


def only_file(folder):
    (path,) = (p for p in folder.rglob("*") if p.is_file())
    return path


def test_what_is_stored_comes_back_bit_for_bit(folder):
    cache.store("ab12", ARRAYS)
    found = cache.load("ab12")
    assert found is not None
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()
    assert only_file(folder).name == "ab12.bin"


def test_what_is_not_stored_is_none():
    assert cache.load("ffff") is None


@pytest.mark.parametrize("place", [0, 5, 20, 60, -1])
def test_a_changed_byte_is_noticed(folder, place):
    cache.store("ab12", ARRAYS)
    path = only_file(folder)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert cache.load("ab12") is None


@pytest.mark.parametrize("length", [0, 10, 50, -1])
def test_a_truncated_entry_is_noticed(folder, length):
    cache.store("ab12", ARRAYS)
    path = only_file(folder)
    path.write_bytes(path.read_bytes()[:length])
    assert cache.load("ab12") is None


def test_an_entry_under_another_key_is_noticed(folder):
    cache.store("ab12", ARRAYS)
    path = only_file(folder)
    path.rename(path.with_name("abff.bin"))
    assert cache.load("abff") is None


def test_a_store_that_cannot_be_written_is_left_out(folder, monkeypatch):
    blocked = folder / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("JAXACTS_CACHE_DIR", str(blocked))
    cache.store("ab12", ARRAYS)
    assert cache.load("ab12") is None


def test_a_write_that_is_interrupted_leaves_nothing(folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.store("ab12", ARRAYS)
    assert not [p for p in folder.rglob("*") if p.is_file()]


def test_truths_are_computed_once_and_again_after_damage(folder, monkeypatch):
    program = trace(lambda m, x: x / (1 + m.exp(-x)))
    inputs = np.linspace(-9, 9, 2001)
    first = workers.true_values(program, inputs, 2)
    computed = []
    compute = workers._compute

    def counting(*arguments):
        computed.append(arguments)
        return compute(*arguments)

    monkeypatch.setattr(workers, "_compute", counting)
    again = workers.true_values(program, inputs, 2)
    assert not computed
    path = only_file(folder)
    content = bytearray(path.read_bytes())
    content[-100] ^= 8
    path.write_bytes(content)
    repaired = workers.true_values(program, inputs, 2)
    assert len(computed) == 1
    for truth in (again, repaired):
        for field in dataclasses.fields(first):
            a, b = getattr(first, field.name), getattr(truth, field.name)
            assert a.tobytes() == b.tobytes()
    assert workers.true_values(program, inputs, 2).high.shape == (3, 2001)
    assert len(computed) == 1


def test_workers_give_what_one_process_gives():
    program = trace(lambda m, x: m.tanh(x) + abs(x))
    inputs = np.linspace(-3, 3, workers._WORTH_WORKERS + 1)
    inputs[7] = -0.0
    found = workers.true_values(program, inputs, 1)
    expected = Oracle(program, 1)(inputs)
    for field in dataclasses.fields(expected):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        assert a.tobytes() == b.tobytes(), field.name


def test_an_error_in_a_worker_is_raised_here_and_the_workers_go_on():
    with pytest.raises(ZeroDivisionError):
        workers.run_in_workers([(divmod, (1, 0)), (divmod, (7, 2))])
    assert workers.run_in_workers([(divmod, (7, 2))] * 9) == [(3, 1)] * 9


def test_workers_serve_several_threads_at_once():
    results = {}

    def ask(k):
        results[k] = workers.run_in_workers([(pow, (k, n)) for n in range(40)])

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: [k**n for n in range(40)] for k in range(4)}


def test_a_worker_that_was_killed_is_replaced():
    tasks = [(math.sqrt, (4.0,)), (math.sqrt, (9.0,))]
    assert workers.run_in_workers(tasks) == [2.0, 3.0]
    for worker in workers._workers:
        worker.process.kill()
        worker.process.wait()
    assert workers.run_in_workers(tasks) == [2.0, 3.0]
