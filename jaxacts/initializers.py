"""Initial weights that keep the size of signals, for any activation.

`gain` is what a layer's weights must be multiplied by so that its output is as large
as its input; `he_normal` and its siblings are jax's initializers with that gain.

Means over the standard normal distribution are computed by adaptive quadrature in
float64, to 1e-9 for smooth functions and for those with kinks or jumps.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxacts import _registry
from jaxacts._concrete import elementwise_unit, exact_evaluation, title

__all__ = ["gain", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform"]

Initializer = Callable[..., jax.Array]


def gain(
    activation: str | Callable[..., Any], *, centered: bool = False, **settings: Any
) -> float:
    """1/√E[f(z)²] for z from the standard normal distribution (He et al., 2015).

    Weights of variance gain²/fan_in give each layer inputs of mean square 1 if the
    inputs before had it.

    Args:
      activation: a registered name, with or without settings in text, or any
        elementwise function of one array.
      centered: divide by the standard deviation of f(z) instead, which leaves its
        mean out. That is the gain for weights that sum to zero at each unit
        (arXiv:2101.08692), or where a normalization takes the mean away.
      **settings: keyword arguments of the activation.

    Returns:
      A Python float.

    Raises:
      ValueError: the function is not elementwise, is not a number somewhere, is
        constant, or its mean square is infinite or does not converge.

    Example:
      >>> import jaxacts
      >>> round(jaxacts.initializers.gain("tanh"), 6)
      1.592537
      >>> round(jaxacts.initializers.gain("relu", centered=True), 6)
      1.712859
    """
    shown = title(activation)
    mean, square = _moments(activation, shown, settings)
    spread = square - mean * mean if centered else square
    if not spread > 1e-12 * square:
        what = "constant" if centered or square else "zero"
        raise ValueError(f"activation={shown} is {what}; it has no gain")
    return 1.0 / math.sqrt(spread)


def he_normal(
    activation: str | Callable[..., Any] = "relu", **options: Any
) -> Initializer:
    """Truncated normal weights of variance gain²/fan_in: signals keep their size.

    ``he_normal("relu")`` is ``jax.nn.initializers.he_normal()``.

    Args:
      activation: what the inputs of the layer come from: a registered name, with or
        without settings in text, or any elementwise function.
      **options: ``in_axis``, ``out_axis``, ``batch_axis`` and ``dtype`` as in
        `jax.nn.initializers.variance_scaling`.

    Returns:
      An initializer ``(key, shape, dtype) -> array``.

    Raises:
      ValueError: see `gain`.

    Example:
      >>> import jax, jaxacts
      >>> init = jaxacts.initializers.he_normal("mish")
      >>> init(jax.random.key(0), (128, 64)).shape
      (128, 64)
    """
    return _scaled(gain(activation), "truncated_normal", options)


def he_uniform(
    activation: str | Callable[..., Any] = "relu", **options: Any
) -> Initializer:
    """Uniform weights of variance gain²/fan_in; see `he_normal`."""
    return _scaled(gain(activation), "uniform", options)


def lecun_normal(
    activation: str | Callable[..., Any] = "identity", **options: Any
) -> Initializer:
    """Truncated normal weights of variance 1/(fan_in Var f(z)).

    LeCun et al. (1998) ask for inputs of mean 0: the gain is that of ``centered``.
    Without an argument, and for ``"selu"``, whose outputs have mean 0 and variance 1,
    it is ``jax.nn.initializers.lecun_normal()``. Where f(z) has a mean and nothing
    takes it away, signals grow with these weights; use `he_normal`.

    Args:
      activation: what the inputs of the layer come from, as in `he_normal`.
      **options: as in `he_normal`.

    Returns:
      An initializer ``(key, shape, dtype) -> array``.

    Raises:
      ValueError: see `gain`.
    """
    return _scaled(gain(activation, centered=True), "truncated_normal", options)


def lecun_uniform(
    activation: str | Callable[..., Any] = "identity", **options: Any
) -> Initializer:
    """Uniform weights of variance 1/(fan_in Var f(z)); see `lecun_normal`."""
    return _scaled(gain(activation, centered=True), "uniform", options)


def _scaled(factor: float, distribution: Any, options: dict[str, Any]) -> Initializer:
    return jax.nn.initializers.variance_scaling(
        factor**2, "fan_in", distribution, **options
    )


# --- the function ---------------------------------------------------------------


def _moments(
    activation: str | Callable[..., Any], shown: str, settings: dict[str, Any]
) -> tuple[float, float]:
    """E[f(z)] and E[f(z)²]."""
    try:
        name, written = (
            _registry.parse(activation)
            if isinstance(activation, str)
            else (_registry.spec(activation).name, {})
        )
    except TypeError:  # a callable that is not registered
        f = functools.partial(_registry.get(activation), **settings)
        return _normal_moments(f, shown, ())
    settings = written | settings
    for parameter in _registry.spec(name).parameters:
        if parameter.default is None and parameter.name not in settings:
            if parameter.initial is None:
                raise ValueError(
                    f"activation={shown} needs a value of {parameter.name}"
                )
            settings[parameter.name] = parameter.initial
    try:
        return _known_moments(name, tuple(sorted(settings.items())))
    except TypeError:  # a setting that cannot be hashed, such as an array
        return _known_moments.__wrapped__(name, tuple(settings.items()))


@functools.lru_cache(maxsize=1024)
def _known_moments(
    name: str, settings: tuple[tuple[str, Any], ...]
) -> tuple[float, float]:
    spec = _registry.spec(name)
    if not spec.elementwise:
        raise ValueError(f"activation={name} is not elementwise; it has no gain")
    kinks = [kink.at for kink in spec.kinks(**dict(settings))]
    f = functools.partial(spec.function, **dict(settings))
    return _normal_moments(f, name, kinks)


# --- quadrature -----------------------------------------------------------------

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
# Beyond, the density is below the smallest normal double.
_FAR = 37.0
# Panels evaluated at once. The shape is always the same, so f is compiled once.
_BATCH = 96
_TOLERANCE = 1e-11
_MOST_PANELS = 20_000


def _normal_moments(
    f: Callable[..., Any], shown: str, kinks: Sequence[float]
) -> tuple[float, float]:
    edges = np.union1d(
        np.arange(-_FAR, _FAR + 1), [k for k in kinks if abs(k) < _FAR]
    ).astype(np.float64)
    with exact_evaluation():
        # f may compute in less than float64, whatever it is given.
        unit = elementwise_unit(f, (_BATCH, len(_NODES)))
        if unit is None:
            raise ValueError(f"activation={shown} is not elementwise; it has no gain")
        tolerance = max(_TOLERANCE, unit)
        left, right = edges[:-1], edges[1:]
        whole = _panels(f, shown, left, right)
        done = np.zeros(2)
        size = whole[:, 1].sum()
        if not np.isfinite(size) or whole[[0, -1], 1].sum() > 1e-9 * size:
            raise ValueError(f"activation={shown} has no finite mean square")
        count = len(left)
        while len(left):
            middle = 0.5 * (left + right)
            halves = _panels(
                f, shown, np.append(left, middle), np.append(middle, right)
            ).reshape(2, len(left), 2)
            both = halves.sum(axis=0)
            size = done[1] + both[:, 1].sum()
            scale = np.array([math.sqrt(size), size])
            error = np.abs(both - whole) > tolerance * scale
            # A panel about a jump ends as a few units in the last place of x.
            split = error.any(axis=1) & (right - left > 1e-14 * np.maximum(1, middle))
            done += both[~split].sum(axis=0)
            left, middle, right = left[split], middle[split], right[split]
            left, right = np.append(left, middle), np.append(middle, right)
            whole = halves[:, split].reshape(-1, 2)
            count += len(left)
            if count > _MOST_PANELS:
                raise ValueError(f"the mean square of {shown} does not converge")
    return float(done[0]), float(done[1])


def _panels(
    f: Callable[..., Any], shown: str, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """The integrals of f φ and f² φ over each panel, one row a panel."""
    half = 0.5 * (right - left)[:, None]
    x = 0.5 * (left + right)[:, None] + half * _NODES
    padded = np.zeros((-(-len(x) // _BATCH) * _BATCH, len(_NODES)))
    padded[: len(x)] = x
    y = np.concatenate(
        [_values(f, part) for part in np.split(padded, len(padded) // _BATCH)]
    )[: len(x)]
    if np.isnan(y).any():
        at = x[np.isnan(y)][0]
        raise ValueError(f"activation={shown} is not a number at {at:.3g}")
    weight = half * _WEIGHTS * np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.stack([(y * weight).sum(1), (y * y * weight).sum(1)], axis=1)


def _values(f: Callable[..., Any], x: np.ndarray) -> np.ndarray:
    return np.asarray(f(jnp.asarray(x)), np.float64)
