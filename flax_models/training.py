"""Training of image classifiers: state, optimiser, steps, sharding.

Pure functions over arrays, to be wrapped by ``jax.jit``, ``jax.pmap`` or
``jax.shard_map`` by the caller; ``examples/train_resnet.py`` is one caller.

Example:

  >>> import functools, jax, jax.numpy as jnp, flax.linen as nn
  >>> from flax_models import training
  >>> class Tiny(nn.Module):
  ...     @nn.compact
  ...     def __call__(self, images, train=False):
  ...         x = nn.Conv(4, (3, 3))(images)
  ...         x = nn.BatchNorm(use_running_average=not train)(x)
  ...         return nn.Dense(3)(nn.relu(x).mean(axis=(1, 2)))
  >>> model = Tiny()
  >>> schedule = training.make_schedule("cosine", 0.1, total_steps=10, warmup_steps=2)
  >>> optimizer = training.make_optimizer(schedule, weight_decay=5e-4)
  >>> images, labels = jnp.ones((8, 6, 6, 1)), jnp.zeros(8, jnp.int32)
  >>> key = jax.random.key(0)
  >>> state = training.create_state(model, optimizer, key, images)
  >>> step = jax.jit(functools.partial(
  ...     training.train_step, model=model, optimizer=optimizer))
  >>> state, metrics = step(state, training.Metrics.zero(), images, labels, key)
  >>> int(state.step), int(metrics.count), bool(metrics.failed)
  (1, 8, False)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

__all__ = [
    "SCHEDULES",
    "Metrics",
    "TrainState",
    "batch_sharding",
    "compiler_options",
    "create_state",
    "cross_entropy",
    "data_mesh",
    "decay_mask",
    "eval_step",
    "make_optimizer",
    "make_schedule",
    "parameter_count",
    "replicated",
    "train_step",
]

PyTree = Any
Schedule = Callable[[jax.typing.ArrayLike], jax.Array]
Preprocess = Callable[[jax.Array, jax.Array], jax.Array]

SCHEDULES = ("cosine", "constant", "step")
"""The names that ``make_schedule`` takes."""


class TrainState(flax.struct.PyTreeNode):
    """What a step changes: arrays only, so it shards and saves as it is.

    Attributes:
      step: number of updates done, int32 scalar.
      params: the parameters.
      batch_stats: running statistics of the norms; ``{}`` where there are none.
      opt_state: the optimiser's state.
    """

    step: jax.Array
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree


class Metrics(flax.struct.PyTreeNode):
    """Sums over the examples seen so far, kept on the device.

    Attributes:
      loss: sum of the losses, float32.
      correct: number of right predictions, int32.
      count: number of examples, int32.
      failed_step: the first step (counted from 1) whose loss or gradient was
        not finite, or 0; int32.
      failed_loss: the mean loss of that step, float32. Where it is finite, the
        gradient was not.
    """

    loss: jax.Array
    correct: jax.Array
    count: jax.Array
    failed_step: jax.Array
    failed_loss: jax.Array

    @classmethod
    def zero(cls) -> Metrics:
        """No example seen."""
        # One buffer each: a donated argument may not appear twice.
        return cls(
            loss=jnp.zeros((), jnp.float32),
            correct=jnp.zeros((), jnp.int32),
            count=jnp.zeros((), jnp.int32),
            failed_step=jnp.zeros((), jnp.int32),
            failed_loss=jnp.zeros((), jnp.float32),
        )

    @property
    def failed(self) -> jax.Array:
        """Whether some step met a loss or a gradient that is not finite."""
        return self.failed_step > 0

    def mean_loss(self) -> float:
        """Mean loss of the examples seen; NaN where there are none."""
        count = int(self.count)
        return float(self.loss) / count if count else math.nan

    def accuracy(self) -> float:
        """Fraction of right predictions; NaN where no example was seen."""
        count = int(self.count)
        return int(self.correct) / count if count else math.nan


def make_schedule(
    name: str, learning_rate: float, *, total_steps: int, warmup_steps: int = 0
) -> Schedule:
    """A learning rate that rises linearly, then follows ``name``.

    In step t of the warm-up it is ``learning_rate * (t + 1) / (warmup_steps + 1)``:
    never zero, so that no step is lost. Then

    - ``"cosine"`` falls to zero at ``total_steps`` along half a cosine,
    - ``"constant"`` stays,
    - ``"step"`` is divided by ten after half and after three quarters of
      ``total_steps`` (He et al., arXiv:1512.03385, section 4.2).

    Args:
      name: one of ``SCHEDULES``.
      learning_rate: the peak, positive.
      total_steps: number of updates in the whole training.
      warmup_steps: number of them in which the rate rises.

    Returns:
      A function from the step (int, counted from 0) to a float32 scalar.

    Raises:
      ValueError: an unknown name or numbers that do not fit together.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule is {name!r}; accepted: {', '.join(SCHEDULES)}")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate is {learning_rate}; it must be positive")
    if total_steps < 1 or not 0 <= warmup_steps < total_steps:
        raise ValueError(
            f"warmup_steps is {warmup_steps} and total_steps {total_steps}; "
            "accepted: 0 <= warmup_steps < total_steps"
        )

    def schedule(step: jax.typing.ArrayLike) -> jax.Array:
        # Exact up to 2^24 steps.
        t = jnp.asarray(step, jnp.float32)
        warmup = (t + 1) / (warmup_steps + 1)
        if name == "cosine":
            progress = jnp.clip((t - warmup_steps) / (total_steps - warmup_steps), 0, 1)
            factor = 0.5 * (1 + jnp.cos(jnp.pi * progress))
        elif name == "step":
            half = jnp.where(t < total_steps / 2, 1.0, 0.1)
            factor = half * jnp.where(t < total_steps * 3 / 4, 1.0, 0.1)
        else:
            factor = jnp.ones_like(t)
        return learning_rate * jnp.where(t < warmup_steps, warmup, factor)

    return schedule


def decay_mask(params: PyTree) -> PyTree:
    """True at the leaves that weight decay pulls to zero: kernels alone.

    Scales and biases of norms, other biases and the learnable parameters of
    activations are no weights: pulling a slope to zero would change the function.
    """

    def is_kernel(path: tuple[Any, ...], leaf: jax.Array) -> bool:
        return getattr(path[-1], "key", None) == "kernel" and jnp.ndim(leaf) >= 2

    return jax.tree_util.tree_map_with_path(is_kernel, params)


def make_optimizer(
    schedule: float | Schedule,
    *,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """SGD with Nesterov momentum and L2 weight decay on kernels alone.

    The decay joins the gradient before the momentum, as in the ResNet papers.
    """
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask=decay_mask),
        optax.sgd(schedule, momentum=momentum, nesterov=nesterov),
    )


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    images: jax.typing.ArrayLike,
) -> TrainState:
    """A fresh state for images of this shape.

    Args:
      model: called as ``model.apply(variables, images, train=True)``.
      optimizer: for instance from ``make_optimizer``.
      key: a key from ``jax.random.key``.
      images: one batch of floats; only shape and dtype matter.
    """
    variables = model.init(key, images)
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(_at_least_float32(params)),
    )


def parameter_count(params: PyTree) -> int:
    """Number of scalars in ``params``."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def cross_entropy(
    logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0
) -> jax.Array:
    r"""Cross-entropy against labels smoothed over all classes.

    .. math:: -(1-\varepsilon)\log p_y - \frac{\varepsilon}{K}\sum_k \log p_k

    Args:
      logits: ``(batch, K)``; computed in float32 at least.
      labels: ``(batch,)`` integers in ``[0, K)``.
      label_smoothing: ε in ``[0, 1)`` (Szegedy et al., arXiv:1512.00567).

    Returns:
      ``(batch,)`` losses.
    """
    log_p = jax.nn.log_softmax(_at_least_float32(logits), axis=-1)
    losses = -jnp.take_along_axis(log_p, labels[:, None], axis=-1)[:, 0]
    if label_smoothing:
        uniform = -log_p.mean(axis=-1)
        losses = (1 - label_smoothing) * losses + label_smoothing * uniform
    return losses


def train_step(
    state: TrainState,
    metrics: Metrics,
    images: jax.Array,
    labels: jax.Array,
    key: jax.Array,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    label_smoothing: float = 0.0,
    preprocess: Preprocess | None = None,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One update. Bind the keyword arguments with ``functools.partial``, then jit.

    All randomness comes from ``key`` and ``state.step``: pass the same key in
    every step, and a run resumed from a saved state repeats the run that was cut.

    On several devices there are two ways. Under ``jax.jit`` with the batch laid
    out by ``batch_sharding`` nothing else is needed: losses and norms are those of
    the whole batch. Under ``jax.pmap(step, axis_name="batch")`` give
    ``axis_name="batch"`` here, for the mean of the gradients, and to the model
    too where its norms shall see the whole batch.

    Args:
      state: what to update.
      metrics: sums to add to; the losses in them include the label smoothing.
      images: ``(batch, height, width, channels)``.
      labels: ``(batch,)`` integers.
      key: a key from ``jax.random.key``.
      model: called with ``train=True, mutable=["batch_stats"]``.
      optimizer: the one that made ``state``.
      label_smoothing: see ``cross_entropy``.
      preprocess: ``(key, images) -> images``, for instance augmentation.
      axis_name: the mapped axis under ``pmap``.

    Returns:
      The new state and metrics.
    """
    key = jax.random.fold_in(key, state.step)
    if axis_name is not None:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
    preprocess_key, dropout_key = jax.random.split(key)
    if preprocess is not None:
        images = preprocess(preprocess_key, images)

    def mean_loss(params: PyTree) -> tuple[jax.Array, tuple[Any, ...]]:
        logits, updates = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": dropout_key},
        )
        losses = cross_entropy(logits, labels, label_smoothing)
        return losses.mean(), (losses, logits, updates.get("batch_stats", {}))

    gradient = jax.value_and_grad(mean_loss, has_aux=True)
    (loss, (losses, logits, batch_stats)), grads = gradient(state.params)
    grads = _at_least_float32(grads)
    if axis_name is not None:
        loss, grads, batch_stats = jax.lax.pmean((loss, grads, batch_stats), axis_name)
    params = _at_least_float32(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, params)
    step = state.step + 1
    finite = jnp.isfinite(loss) & _all_finite(grads)
    metrics = _add(metrics, losses, logits, labels, axis_name=axis_name)
    first_failure = ~finite & ~metrics.failed
    metrics = metrics.replace(
        failed_step=jnp.where(first_failure, step, metrics.failed_step),
        failed_loss=jnp.where(
            first_failure, loss.astype(jnp.float32), metrics.failed_loss
        ),
    )
    state = TrainState(
        step=step,
        params=jax.tree.map(
            lambda new, old: new.astype(old.dtype),
            optax.apply_updates(params, updates),
            state.params,
        ),
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    return state, metrics


def eval_step(
    state: TrainState,
    metrics: Metrics,
    images: jax.Array,
    labels: jax.Array,
    valid: jax.Array,
    *,
    model: nn.Module,
    preprocess: Preprocess | None = None,
    axis_name: str | None = None,
) -> Metrics:
    """Adds the examples of one batch to ``metrics``; no example of padding counts.

    Args:
      state: parameters and running statistics.
      metrics: sums to add to.
      images: ``(batch, height, width, channels)``.
      labels: ``(batch,)`` integers; any class in the padding.
      valid: ``(batch,)`` bools, False in the padding that fills the last batch.
      model: called with ``train=False``.
      preprocess: ``(key, images) -> images``; it gets a constant key.
      axis_name: the mapped axis under ``pmap``.
    """
    if preprocess is not None:
        images = preprocess(jax.random.key(0), images)
    logits: Any = model.apply(
        {"params": state.params, "batch_stats": state.batch_stats},
        images,
        train=False,
    )
    losses = cross_entropy(logits, labels)
    return _add(metrics, losses, logits, labels, valid, axis_name=axis_name)


def compiler_options(model: nn.Module) -> dict[str, str] | None:
    """What ``jax.jit`` must be told for ``model`` to save memory with ``remat``.

    XLA's compiler for CPU drops the barriers that JAX sets before what is
    recomputed, finds the same computation in the forward pass, and keeps its
    results after all. With these options it leaves the barriers.

    Args:
      model: the network that is trained.

    Returns:
      An argument for ``jax.jit(step, compiler_options=...)``; ``None``, its
      default, on other platforms and for models without ``remat``.

    Example:
      >>> import flax_models
      >>> compiler_options(flax_models.ResNet20()) is None
      True
    """
    if not getattr(model, "remat", False) or jax.default_backend() != "cpu":
        return None
    return {"xla_disable_hlo_passes": "cse_barrier_expander"}


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A one-dimensional mesh, axis ``"batch"``, over ``devices`` (default: all)."""
    devices = jax.devices() if devices is None else devices
    # Auto: the compiler places the collectives. make_mesh's default is Explicit.
    return Mesh(np.asarray(devices), ("batch",), axis_types=(AxisType.Auto,))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The layout that splits the leading axis over the mesh."""
    return NamedSharding(mesh, PartitionSpec("batch"))


def replicated(mesh: Mesh) -> NamedSharding:
    """The layout that keeps a copy on every device of the mesh."""
    return NamedSharding(mesh, PartitionSpec())


def _at_least_float32(tree: PyTree) -> PyTree:
    # promote_types would refuse the pair under strict dtype promotion.
    return jax.tree.map(
        lambda x: x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x, tree
    )


def _all_finite(tree: PyTree) -> jax.Array:
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all()


def _add(
    metrics: Metrics,
    losses: jax.Array,
    logits: jax.Array,
    labels: jax.Array,
    valid: jax.Array | None = None,
    *,
    axis_name: str | None,
) -> Metrics:
    if valid is None:
        valid = jnp.ones(labels.shape, bool)
    right = (logits.argmax(axis=-1) == labels) & valid
    # where, not a product: 0 · NaN of a padded row would spoil the sum.
    sums = (
        jnp.where(valid, losses, 0).sum(dtype=jnp.float32),
        right.sum(dtype=jnp.int32),
        valid.sum(dtype=jnp.int32),
    )
    if axis_name is not None:
        sums = jax.lax.psum(sums, axis_name)
    loss, correct, count = sums
    return metrics.replace(
        loss=metrics.loss + loss,
        correct=metrics.correct + correct,
        count=metrics.count + count,
    )
