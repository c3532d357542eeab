"""The library's steps: losses, gradients, updates, failures, several devices."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_models import training


def waves(key, shape, dtype):
    """Initial values that compile in no time, unlike random ones."""
    return jnp.sin(jnp.arange(1.0, 1 + math.prod(shape))).reshape(shape).astype(dtype)


class Small(nn.Module):
    """A network with a norm and a learnable slope; compiles in a moment."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.Conv(4, (3, 3), kernel_init=waves)(images)
        x = nn.BatchNorm(
            use_running_average=not train, momentum=0.9, axis_name=self.axis_name
        )(x)
        slope = self.param("negative_slope", nn.initializers.ones, ())
        x = jnp.where(x > 0, x, slope * x)
        return nn.Dense(3, kernel_init=waves)(x.mean(axis=(1, 2)))


class Linear(nn.Module):
    """Logits = images @ kernel: every number of a step is known by hand."""

    param_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, train=False):
        flat = images.reshape(images.shape[0], -1)
        return nn.Dense(
            3,
            use_bias=False,
            kernel_init=waves,
            dtype=jnp.float32,
            param_dtype=self.param_dtype,
        )(flat)


def batch(count=8, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.normal(size=(count, 6, 6, 1)).astype(np.float32)
    return jnp.asarray(images), jnp.asarray(generator.integers(0, 3, count), jnp.int32)


SGD = training.make_optimizer(0.1, weight_decay=1e-3)


@functools.cache
def fresh_state(model, optimizer):
    # Compiled once for all tests: random numbers take seconds to compile.
    create = jax.jit(functools.partial(training.create_state, model, optimizer))
    return create(jax.random.key(0), batch()[0])


def prepared(model, optimizer=SGD, **settings):
    step = functools.partial(
        training.train_step, model=model, optimizer=optimizer, **settings
    )
    return fresh_state(model, optimizer), jax.jit(step), jax.random.key(1)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_is_that_of_the_smoothed_labels(smoothing):
    logits = np.random.default_rng(0).normal(size=(7, 5)) * 4
    labels = np.arange(7) % 5
    target = (1 - smoothing) * np.eye(5)[labels] + smoothing / 5
    expected = -(target * np.log(softmax(logits))).sum(axis=1)
    got = training.cross_entropy(
        jnp.asarray(logits, jnp.float32), jnp.asarray(labels), smoothing
    )
    np.testing.assert_allclose(got, expected, rtol=2e-6)


def test_cross_entropy_of_16_bit_logits_is_computed_in_float32():
    logits = jnp.asarray([[0.0, 1e-3, 0.0]], jnp.bfloat16)
    got = training.cross_entropy(logits, jnp.asarray([1]))
    wide = training.cross_entropy(logits.astype(jnp.float32), jnp.asarray([1]))
    assert got.dtype == jnp.float32
    assert got == wide


@pytest.mark.parametrize(
    ("name", "step", "expected"),
    [
        ("constant", 0, 0.2 / 5),
        ("constant", 3, 0.2 * 4 / 5),
        ("constant", 4, 0.2),
        ("constant", 99, 0.2),
        ("cosine", 4, 0.2),
        ("cosine", 52, 0.1),
        ("cosine", 100, 0.0),
        ("cosine", 1000, 0.0),
        ("step", 49, 0.2),
        ("step", 50, 0.02),
        ("step", 75, 0.002),
    ],
)
def test_schedule_has_the_stated_rate(name, step, expected):
    schedule = training.make_schedule(name, 0.2, total_steps=100, warmup_steps=4)
    got = jax.jit(schedule)(jnp.int32(step))
    assert got.dtype == jnp.float32
    assert float(got) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("linear", {"total_steps": 9}, "'linear'; accepted: cosine, constant, step"),
        ("cosine", {"total_steps": 0}, "total_steps 0"),
        ("cosine", {"total_steps": 3, "warmup_steps": 3}, "warmup_steps is 3"),
        ("cosine", {"total_steps": 3, "learning_rate": math.nan}, "is nan"),
        ("cosine", {"total_steps": 3, "learning_rate": 0.0}, "must be positive"),
    ],
)
def test_schedule_refuses_what_makes_no_sense(name, arguments, named):
    with pytest.raises(ValueError, match=named):
        training.make_schedule(name, **{"learning_rate": 0.1, **arguments})


def test_weight_decay_reaches_kernels_alone():
    state, _, _ = prepared(Small())
    mask = training.decay_mask(state.params)
    decayed = {
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(mask)
        if leaf
    }
    assert decayed == {"['Conv_0']['kernel']", "['Dense_0']['kernel']"}
    # With no gradient at all, what moves is what decays.
    optimizer = training.make_optimizer(0.1, weight_decay=0.5)
    zeros = jax.tree.map(jnp.zeros_like, state.params)
    updates, _ = optimizer.update(zeros, optimizer.init(state.params), state.params)
    moved = jax.tree.map(lambda u: bool(jnp.any(u != 0)), updates)
    assert moved == mask


def test_steps_are_those_of_nesterov_sgd_computed_by_hand():
    rate, momentum, decay, smoothing = 0.3, 0.9, 0.01, 0.1
    optimizer = training.make_optimizer(rate, momentum=momentum, weight_decay=decay)
    state, step, key = prepared(Linear(), optimizer, label_smoothing=smoothing)
    kernel = np.asarray(state.params["Dense_0"]["kernel"], np.float64)
    velocity = np.zeros_like(kernel)
    metrics = training.Metrics.zero()
    for seed in range(3):
        images, labels = batch(seed=seed)
        state, metrics = step(state, metrics, images, labels, key)
        flat = np.asarray(images, np.float64).reshape(8, -1)
        target = (1 - smoothing) * np.eye(3)[labels] + smoothing / 3
        gradient = flat.T @ (softmax(flat @ kernel) - target) / 8 + decay * kernel
        velocity = momentum * velocity + gradient
        kernel = kernel - rate * (gradient + momentum * velocity)
    np.testing.assert_allclose(
        state.params["Dense_0"]["kernel"], kernel, rtol=2e-5, atol=2e-6
    )
    assert int(state.step) == 3
    assert int(metrics.count) == 24


def test_16_bit_parameters_keep_their_type_and_the_momentum_is_float32():
    model = Linear(param_dtype=jnp.bfloat16)
    state, step, key = prepared(model)
    after, _ = step(state, training.Metrics.zero(), *batch(), key)
    assert {leaf.dtype for leaf in jax.tree.leaves(after.params)} == {
        jnp.dtype(jnp.bfloat16)
    }
    assert {leaf.dtype for leaf in jax.tree.leaves(after.opt_state)} == {
        jnp.dtype(jnp.float32)
    }


def test_the_running_statistics_are_updated_in_training_and_used_in_test():
    state, step, key = prepared(Small())
    images, labels = batch()
    images = images + 3
    after, _ = step(state, training.Metrics.zero(), images, labels, key)
    mean = state.batch_stats["BatchNorm_0"]["mean"]
    assert not np.array_equal(after.batch_stats["BatchNorm_0"]["mean"], mean)
    evaluate = jax.jit(functools.partial(training.eval_step, model=Small()))
    everything = jnp.ones(8, bool)
    with_new = evaluate(after, training.Metrics.zero(), images, labels, everything)
    old = after.replace(batch_stats=state.batch_stats)
    with_old = evaluate(old, training.Metrics.zero(), images, labels, everything)
    assert with_new.mean_loss() != with_old.mean_loss()


def test_augmentation_differs_by_step_and_by_nothing_else():
    seen = []

    def preprocess(key, images):
        noise = jax.random.normal(key, images.shape)
        jax.debug.callback(lambda value: seen.append(np.asarray(value)), noise)
        return images + noise

    state, step, key = prepared(Small(), preprocess=preprocess)
    zero = training.Metrics.zero()
    after, _ = step(state, zero, *batch(), key)
    step(after, zero, *batch(), key)
    step(state, zero, *batch(), key)
    jax.effects_barrier()
    first, second, again = seen
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


def test_the_first_step_with_a_nan_loss_is_recorded():
    state, step, key = prepared(Small())
    images, labels = batch()
    metrics = training.Metrics.zero()
    for spoiled in (1.0, 1.0, math.nan, math.nan):
        state, metrics = step(state, metrics, images * spoiled, labels, key)
    assert bool(metrics.failed)
    assert int(metrics.failed_step) == 3
    assert math.isnan(metrics.failed_loss)


def test_a_gradient_that_is_not_finite_under_a_finite_loss_is_recorded():
    class RootOfZero(nn.Module):
        @nn.compact
        def __call__(self, images, train=False):
            bias = self.param("bias", nn.initializers.zeros, (3,))
            return jnp.ones((images.shape[0], 3)) * jnp.sqrt(bias)[None]

    state, step, key = prepared(RootOfZero())
    _, metrics = step(state, training.Metrics.zero(), *batch(), key)
    assert int(metrics.failed_step) == 1
    assert float(metrics.failed_loss) == pytest.approx(math.log(3))


def test_padding_of_the_last_batch_does_not_count_even_where_it_is_nan():
    state, _, _ = prepared(Small())
    evaluate = jax.jit(functools.partial(training.eval_step, model=Small()))
    images, labels = batch(13)
    whole = evaluate(state, training.Metrics.zero(), images, labels, jnp.ones(13, bool))
    metrics = evaluate(
        state, training.Metrics.zero(), images[:8], labels[:8], jnp.ones(8, bool)
    )
    padding = jnp.full((3, *images.shape[1:]), jnp.nan)
    metrics = evaluate(
        state,
        metrics,
        jnp.concatenate([images[8:], padding]),
        jnp.concatenate([labels[8:], jnp.zeros(3, jnp.int32)]),
        jnp.arange(8) < 5,
    )
    assert int(metrics.count) == 13
    assert int(metrics.correct) == int(whole.correct)
    assert metrics.mean_loss() == pytest.approx(whole.mean_loss(), rel=1e-6)


def test_no_example_has_no_mean():
    assert math.isnan(training.Metrics.zero().mean_loss())
    assert math.isnan(training.Metrics.zero().accuracy())


def run_steps(step, state, key, place):
    metrics, losses = training.Metrics.zero(), []
    for seed in range(4):
        state, metrics = step(state, metrics, *place(batch(32, seed)), key)
        losses.append(float(jnp.ravel(metrics.loss)[0]))
    return state, np.array(losses)


def one_device():
    state, step, key = prepared(Small())
    return run_steps(step, state, key, lambda arrays: arrays)


needs_8_devices = pytest.mark.skipif(
    "jax.device_count() < 8", reason="needs 8 (forced host) devices"
)


@needs_8_devices
def test_eight_devices_under_jit_give_the_losses_of_one():
    alone, expected = one_device()
    mesh = training.data_mesh(jax.devices()[:8])
    state, _, key = prepared(Small())
    state, key = jax.device_put((state, key), training.replicated(mesh))
    step = jax.jit(
        functools.partial(training.train_step, model=Small(), optimizer=SGD),
        out_shardings=training.replicated(mesh),
    )
    split = training.batch_sharding(mesh)
    shared, losses = run_steps(
        step, state, key, lambda arrays: jax.device_put(arrays, split)
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert shared.params["Conv_0"]["kernel"].sharding.is_fully_replicated
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        alone,
        shared,
    )


@needs_8_devices
def test_eight_devices_under_pmap_give_the_losses_of_one():
    alone, expected = one_device()
    state, _, key = prepared(Small())
    step = jax.pmap(
        functools.partial(
            training.train_step,
            model=Small(axis_name="batch"),
            optimizer=SGD,
            axis_name="batch",
        ),
        axis_name="batch",
        in_axes=(0, 0, 0, 0, None),
    )

    def copies(tree):
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * 8), tree)

    state, metrics, losses = copies(state), copies(training.Metrics.zero()), []
    for seed in range(4):
        images, labels = batch(32, seed)
        state, metrics = step(
            state,
            metrics,
            images.reshape(8, 4, *images.shape[1:]),
            labels.reshape(8, 4),
            key,
        )
        losses.append(float(metrics.loss[0]))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert int(metrics.count[0]) == 128
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b[0], rtol=1e-4, atol=1e-5),
        alone,
        state,
    )


def test_any_optax_optimizer_serves():
    state, step, key = prepared(Small(), optax.adamw(1e-2))
    images, labels = batch(32)
    losses = []
    # Optax's own Adam raises a float to an int32 power, which "strict" forbids.
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(30):
            state, metrics = step(state, training.Metrics.zero(), images, labels, key)
            losses.append(metrics.mean_loss())
    assert losses[-1] < 0.9 * losses[0]
