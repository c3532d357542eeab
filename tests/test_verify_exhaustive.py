"""All of float32: the polynomials against Arb, the kernel against the metric."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxacts import Kink
from jaxacts.verify import accuracy, dense, exhaustive, patches
from jaxacts.verify.expression import trace
from jaxacts.verify.oracle import Oracle
from jaxacts.verify.target import Target

FORMULAS = {
    "mish": lambda m, x: x * m.tanh(m.log(1 + m.exp(x))),
    "gelu": lambda m, x: x * (1 + m.erf(x / m.sqrt(2))) / 2,
    "squareplus": lambda m, x: (x + m.sqrt(x * x + 4)) / 2,
    "soft_sign": lambda m, x: x / (1 + abs(x)),
    "relu6": lambda m, x: m.min(m.max(x, 0), 6),
}
HALF = patches.CHUNKS // 2


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXACTS_CACHE_DIR", str(tmp_path))
    return tmp_path


def chunk_of(x):
    bits = int(np.abs(np.float32(x)).view(np.uint32))
    return bits // patches.CHUNK_SIZE + (HALF if x < 0 else 0)


def numbers_of(chunk):
    start = patches.chunk_start(chunk)
    bits = np.arange(start, start + patches.CHUNK_SIZE, dtype=np.uint64)
    return bits.astype(np.uint32).view(np.float32)


def test_the_chunks_are_all_finite_numbers():
    assert numbers_of(0)[0] == 0
    assert numbers_of(HALF - 1)[-1] == np.finfo(np.float32).max
    assert numbers_of(patches.CHUNKS - 1)[-1] == np.finfo(np.float32).min
    assert numbers_of(chunk_of(-3.0))[0] <= -2.75
    assert patches.CHUNKS * patches.CHUNK_SIZE == 2**32 - 2**24


@pytest.mark.parametrize("name", FORMULAS)
def test_polynomials_keep_their_bound(name):
    program = trace(FORMULAS[name])
    oracle = Oracle(program, 2)
    random = np.random.default_rng(3)
    for x in (1e-39, 1e-20, 0.6, 1.3, 5.9, 17.0, 300.0, 1e9, -1e-3, -0.75, -12.0, -1e7):
        chunk = chunk_of(x)
        found = patches.build(program, chunk)
        numbers = numbers_of(chunk)
        places = random.integers(0, len(numbers), 40)
        places[:2] = 0, len(numbers) - 1
        at = numbers[places].astype(np.float64)
        truth = oracle(at).high
        patch = places // (len(numbers) // len(found))
        t = (at - found.centre[patch]) / found.scale[patch]
        assert np.all(np.abs(t) <= 1)
        for order in range(3):
            values = [
                np.polynomial.polynomial.polyval(ti, found.coefficients[order, p])
                for ti, p in zip(t, patch, strict=True)
            ]
            error = np.abs(np.array(values) - truth[order])
            usable = found.usable[patch]
            bound = found.error[order, patch] + np.abs(truth[order]) * 2.0**-52
            assert np.all(error[usable] <= bound[usable]), (x, order)
            # Resolved far below an ULP of float32.
            small = (
                found.error[order]
                <= 2.0**-40 * np.abs(found.coefficients[order]).sum(axis=1) + 2.0**-160
            )
            assert np.all(small[found.usable]), (x, order)


def test_well_conditioned_formulas_are_proven_everywhere_but_at_kinks():
    for name in ("mish", "gelu"):
        program = trace(FORMULAS[name])
        for x in (1e-20, 0.8, 20.0, -2.0, -80.0, -1e20):
            assert patches.build(program, chunk_of(x)).proven.all(), (name, x)


def test_a_kink_leaves_only_its_patch_to_arb():
    program = trace(lambda m, x: m.min(m.max(x, 0), m.const("6.1")))
    found = patches.build(program, chunk_of(6.1))
    size = patches.CHUNK_SIZE // len(found)
    left = np.flatnonzero(~found.usable)
    assert len(left) * size == 1024
    numbers = numbers_of(chunk_of(6.1)).reshape(len(found), size)[left[0]]
    assert numbers[0] < 6.1 < numbers[-1]
    assert not patches.build(program, 0).usable.all()


def test_an_oscillation_beyond_reach_is_given_up_at_once():
    program = trace(lambda m, x: m.sin(x))
    assert not patches.build(program, chunk_of(1e20)).usable.any()


def target(function, reference, **claims):
    return Target(name="f", function=function, reference=reference, **claims)


def tail(m, x):
    return x / (1 + m.exp(-x))


def defective(x):
    """silu with a NaN, a flush, a wrong zero and an error of its own."""
    y = x / (1 + jnp.exp(-jnp.abs(x)))
    y = jnp.where(x < 0, y * jnp.exp(-jnp.abs(x)), y)
    y = jnp.where(x == -0.75, jnp.float32(jnp.nan), y)
    y = jnp.where(jnp.abs(x) < 1e-36, jnp.float32(0), y)
    return jnp.where(x == 1.25, y * 2, y)


@pytest.mark.parametrize("x", [1e-45, 1e-36, -1e-36, -0.75, 1.25, -87.5, -103.0, 90.0])
def test_the_kernel_measures_as_the_metric_says(x):
    """The fast errors of a whole chunk against `accuracy.compare` on a sample."""
    subject = target(defective, tail)
    run = exhaustive._Run(subject, (0,), None)
    chunk = chunk_of(x)
    found = patches.patches_of(run.ground.program, [chunk])[chunk]
    inputs, result, scores = run.scores(chunk, found, 0)
    every = np.arange(patches.CHUNK_SIZE)
    sample = np.unique(np.r_[every[::9973], 0, 1, every[-1]])
    special = np.flatnonzero(np.isin(np.asarray(inputs), [-0.75, 1.25]))
    sample = np.union1d(sample, special)
    errors = run.errors_by_arb(
        0, np.asarray(inputs)[sample], np.asarray(result)[sample]
    )
    decided = ~np.isin(sample, scores.undecided)
    assert decided.mean() > 0.9
    sample, places = sample[decided], np.flatnonzero(decided)
    for figure, got in (
        ("ulp", np.maximum(scores.score, 0)),
        ("subnormal", np.maximum(-scores.score, 0)),
        ("scaled", scores.scaled),
    ):
        wanted = getattr(errors, figure)[places]
        defect = errors.nan[places] | errors.wrong_zero[places]
        np.testing.assert_allclose(
            got[sample][~defect], wanted[~defect], rtol=1e-6, atol=2e-3, err_msg=figure
        )
    for kind in ("nan", "wrong_zero"):
        np.testing.assert_array_equal(
            np.isin(sample, getattr(scores, kind)), getattr(errors, kind)[places], kind
        )


def test_single_wrong_inputs_are_found_in_value_and_slope():
    chunks = [0, chunk_of(-0.75), chunk_of(1.25), HALF]
    measured, notes = exhaustive.measure(target(defective, tail), [0, 1], chunks=chunks)
    value, slope = measured
    assert value.inputs == 4 * 2**20
    assert not value.exhaustive
    assert value.nan == ((-0.75).hex(),)
    assert value.nan_count == 1
    assert value.ulp is not None
    assert float.fromhex(value.ulp.input) == 1.25
    assert value.ulp.error == pytest.approx(2.0**24 * 0.97, rel=0.05)
    assert value.wrong_zero_count == 2**20  # +0 for -0 and every subnormal beside it
    assert slope.ulp is not None
    assert float.fromhex(slope.ulp.input) == 1.25
    assert len(notes) == 2
    assert "proven bound" in notes[0]


def test_conventions_at_kinks_hold_in_the_exhaustive_run():
    def kinks(**_):
        return (
            Kink(at=0.0, slope=0.0, curvature=0.0),
            Kink(at=6.0, slope=0.0, curvature=0.0),
        )

    def slope_one_at_six(x):
        return jnp.where((x > 0) & (x <= 6), jnp.ones_like(x), jnp.zeros_like(x))

    subject = target(
        lambda x: jnp.clip(x, 0, 6),
        FORMULAS["relu6"],
        kinks=kinks,
        derivatives=(lambda x: jnp.clip(x, 0, 6), slope_one_at_six),
    )
    chunks = [0, chunk_of(6.0), HALF]
    (value, slope), _ = exhaustive.measure(subject, [0, 1], chunks=chunks)
    assert value.ulp is None
    assert slope.ulp is not None
    assert float.fromhex(slope.ulp.input) == 6


def test_a_convention_at_a_smooth_point_holds_too():
    subject = target(
        lambda x: x,
        lambda m, x: x,
        kinks=lambda **_: (Kink(at=1.03125, slope=0.5),),
    )
    (slope,), _ = exhaustive.measure(subject, [1], chunks=[chunk_of(1.0)])
    assert slope.ulp is not None
    assert float.fromhex(slope.ulp.input) == 1.03125
    assert (slope.ulp.got, slope.ulp.expected) == (1, 0.5)


class Stop(Exception):
    pass


def test_an_interrupted_run_goes_on_where_it_was(own_cache, monkeypatch):
    chunks = list(range(chunk_of(1.25), chunk_of(1.25) + 4))
    subject = target(defective, tail)
    whole, _ = exhaustive.measure(subject, [0], chunks=chunks)
    assert not list((own_cache / "exhaustive").iterdir())
    monkeypatch.setattr(exhaustive, "_GROUP", 2)

    def stop(done, total):
        assert total == 4
        raise Stop

    with pytest.raises(Stop):
        exhaustive.measure(subject, [0], chunks=chunks, progress=stop)
    assert len(list((own_cache / "exhaustive").iterdir())) == 1
    counts = []
    again, _ = exhaustive.measure(
        subject, [0], chunks=chunks, progress=lambda done, total: counts.append(done)
    )
    assert counts == [4]
    assert again == whole
    assert not list((own_cache / "exhaustive").iterdir())


def test_a_changed_function_does_not_go_on_with_the_old_ones_state(
    own_cache, monkeypatch
):
    chunks = list(range(chunk_of(1.0), chunk_of(1.0) + 4))
    monkeypatch.setattr(exhaustive, "_GROUP", 2)

    def stop(done, total):
        raise Stop

    with pytest.raises(Stop):
        exhaustive.measure(target(defective, tail), [0], chunks=chunks, progress=stop)
    counts = []
    exhaustive.measure(
        target(lambda x: defective(x) * 1, tail),
        [0],
        chunks=chunks,
        progress=lambda done, total: counts.append(done),
    )
    exhaustive.measure(
        target(lambda x: defective(x) + 1, tail),
        [0],
        chunks=chunks,
        progress=lambda done, total: counts.append(done),
    )
    assert counts[-2:] == [2, 4]


def test_the_worst_chunks_of_a_grid_are_tried_whole():
    bad = float.fromhex("0x1.234568p+0")

    def wrong(x):
        y = jnp.where(x == bad, x * 1.5, x)
        # What leads the search into the chunk of the single bad number.
        near = (x > 1.125) & (x < 1.25)
        return jnp.where(near & (x != bad), x * jnp.float32(1 + 2**-23), y)

    subject = target(wrong, lambda m, x: x)
    grid = accuracy.measure(subject, "float32", [0], points=500, keep_profile=True)
    (coarse,) = grid
    (sharp,) = dense.sharpen(subject, grid, 1)
    assert coarse.ulp is not None
    assert coarse.ulp.error < 3
    assert sharp.ulp is not None
    assert float.fromhex(sharp.ulp.input) == bad
    assert sharp.inputs == coarse.inputs + 2**20
    assert not sharp.passed


def test_an_exact_grid_leaves_nothing_to_try():
    subject = target(lambda x: x, lambda m, x: x)
    grid = accuracy.measure(subject, "float32", [0], points=500, keep_profile=True)
    assert dense.sharpen(subject, grid, 4) == grid


def test_orders_above_two_are_refused():
    with pytest.raises(ValueError, match="orders 0 to 2"):
        exhaustive.measure(target(defective, tail), [3])
