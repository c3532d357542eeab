"""Checkpoints: every bit back, the newest whole one, clear words over a bad one."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_models.checkpoint import CheckpointError, Checkpoints, digest


def sample(scale=1.0):
    return {
        "weights": jnp.asarray([0.1, -0.0, jnp.inf, jnp.nan, 1e-40]) * scale,
        "half": jnp.asarray([[1.5, -2.25]], jnp.bfloat16),
        "step": jnp.asarray(7, jnp.int32),
        "flags": jnp.asarray([True, False]),
    }


def test_state_and_record_come_back_bit_for_bit(tmp_path):
    state, record = sample(), {"loss": 0.1 + 0.2, "history": [1e-300, -0.0]}
    with Checkpoints(tmp_path / "c") as checkpoints:
        assert checkpoints.latest_step() is None
        checkpoints.save(5, state, record)
    with Checkpoints(tmp_path / "c") as checkpoints:
        assert checkpoints.latest_step() == 5
        assert repr(checkpoints.record(5)) == repr(record)
        restored = checkpoints.restore(5, like=state)
    assert digest(restored) == digest(state)
    assert jax.tree.map(lambda x: x.dtype, restored) == jax.tree.map(
        lambda x: x.dtype, state
    )


def test_the_layout_on_several_devices_is_kept(tmp_path):
    if jax.device_count() < 8:
        pytest.skip("needs 8 (forced host) devices")
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:8]), ("batch",))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    state = jax.device_put({"a": jnp.arange(16.0)}, split)
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, state, {})
        restored = checkpoints.restore(1, like=state)
    assert restored["a"].sharding == split
    assert digest(restored) == digest(state)


@pytest.mark.parametrize(
    "changed",
    [
        {"a": np.float32(-0.0)},
        {"a": np.float64(0.0)},
        {"b": np.float32(0.0)},
        {"a": np.zeros(1, np.float32)},
        {"a": np.nextafter(np.float32(0), np.float32(1))},
    ],
    ids=["sign", "dtype", "name", "shape", "last bit"],
)
def test_the_digest_sees_any_change(changed):
    assert digest(changed) != digest({"a": np.float32(0.0)})


def test_the_digest_of_a_nan_is_that_of_the_same_nan():
    assert digest({"a": np.float32("nan")}) == digest({"a": np.float32("nan")})


def test_the_newest_two_are_kept(tmp_path):
    with Checkpoints(tmp_path / "c", keep=2) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, sample(step), {"step": step})
        assert checkpoints.latest_step() == 3
        assert checkpoints.record(2) == {"step": 2}
    assert {p.name for p in (tmp_path / "c").iterdir()} == {"2", "3"}


def test_what_a_killed_run_left_half_written_is_no_checkpoint(tmp_path):
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, sample(), {})
    # The name of a step while orbax writes it; test_train_resnet_kill.py kills a run
    # at that moment.
    half = tmp_path / "c" / "2.orbax-checkpoint-tmp"
    half.mkdir()
    (half / "rubbish").write_bytes(b"half of an array")
    with Checkpoints(tmp_path / "c") as checkpoints:
        assert checkpoints.latest_step() == 1
        checkpoints.save(2, sample(2.0), {})
        assert digest(checkpoints.restore(2, sample())) == digest(sample(2.0))


def test_an_older_step_is_not_written_over(tmp_path):
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(4, sample(), {})
        for step in (3, 4):
            with pytest.raises(CheckpointError, match=f"step {step} is not newer"):
                checkpoints.save(step, sample(2.0), {})
        assert digest(checkpoints.restore(4, sample())) == digest(sample())


@pytest.mark.parametrize(
    ("record", "error"), [({"a": float("nan")}, ValueError), ({"a": {1}}, TypeError)]
)
def test_a_record_that_is_no_json_is_refused_before_anything_is_written(
    tmp_path, record, error
):
    with Checkpoints(tmp_path / "c") as checkpoints:
        with pytest.raises(error):
            checkpoints.save(1, sample(), record)
        assert checkpoints.latest_step() is None


def largest_file(folder):
    return max(
        (p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_array_file_is_one_clear_line(tmp_path, damage):
    state = {"a": jnp.arange(4096.0)}
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, state, {})
    path = largest_file(tmp_path / "c" / "1" / "state")
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    with (
        Checkpoints(tmp_path / "c") as checkpoints,
        pytest.raises(CheckpointError, match="cannot read the checkpoint") as caught,
    ):
        checkpoints.restore(1, like=state)
    assert "\n" not in str(caught.value)


def test_arrays_that_are_not_those_that_were_saved_are_noticed(tmp_path):
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, {"a": jnp.arange(3.0)}, {})
    (path,) = (tmp_path / "c" / "1" / "record").glob("metadata")
    envelope = json.loads(path.read_text())
    envelope["digest"] = "0" * 64
    path.write_text(json.dumps(envelope))
    with (
        Checkpoints(tmp_path / "c") as checkpoints,
        pytest.raises(CheckpointError, match="bits have changed"),
    ):
        checkpoints.restore(1, like={"a": jnp.arange(3.0)})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"other": 1}'])
def test_a_damaged_record_is_one_clear_line(tmp_path, content):
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, sample(), {})
    (tmp_path / "c" / "1" / "record" / "metadata").write_bytes(content)
    with (
        Checkpoints(tmp_path / "c") as checkpoints,
        pytest.raises(CheckpointError, match="cannot read the checkpoint") as caught,
    ):
        checkpoints.record(1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "other", [{"a": jnp.zeros(4)}, {"b": jnp.zeros(3)}], ids=["shape", "name"]
)
def test_a_state_of_another_shape_is_refused(tmp_path, other):
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, {"a": jnp.zeros(3)}, {})
        with pytest.raises(CheckpointError, match="cannot read the checkpoint"):
            checkpoints.restore(1, like=other)


def test_a_file_in_the_place_of_the_folder_is_a_clear_line(tmp_path):
    (tmp_path / "c").write_text("not a folder")
    with pytest.raises(CheckpointError, match="cannot use the checkpoint folder"):
        Checkpoints(tmp_path / "c")
