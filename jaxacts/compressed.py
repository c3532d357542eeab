"""Activations that keep a few bits an element for the backward pass. Never the default.

`one_bit` packs on which side of its kink each element was: exact, for functions whose
slope has two values, such as relu. `few_bit` replaces the slope in the backward pass
by the nearest of a few levels, for any function: the value stays exact, the gradient
does not. What it costs in accuracy and saves in memory, and where it does not pay, is
measured in ``docs/few-bit.md``.

>>> import jax, jax.numpy as jnp, jaxacts
>>> gelu = jaxacts.compressed.few_bit("gelu", bits=3)
>>> x = jnp.array([-1.0, 0.5, 2.0])
>>> bool((gelu(x) == jaxacts.gelu(x)).all())
True
>>> jax.grad(lambda x: gelu(x).sum())(x).round(2)
Array([-0.09,  0.93,  1.09], dtype=float32)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxacts import _registry, _steps
from jaxacts._arguments import checked_real
from jaxacts._concrete import elementwise_unit, exact_evaluation, title
from jaxacts._elementwise import compute_dtype
from jaxacts._steps import Steps

__all__ = ["Steps", "few_bit", "one_bit", "steps"]

_Function = Callable[..., Any]


def few_bit(activation: str | _Function, bits: int = 4) -> Callable[..., jax.Array]:
    r"""An activation whose backward pass needs ``bits`` bits an element.

    .. math::
      y = f(x), \qquad dy = q(x)\, dx, \qquad
      q = \arg\min \int (f'(x) - q(x))^2 \varphi(x)\, dx

    over all piecewise constant q with 2^bits pieces, φ the density of the standard
    normal distribution (the idea of Novikov et al.). The steps are computed when the
    function is made, once for each activation and number of bits, in a second or two.
    A slope that has so few values anyway, as relu's or hard_tanh's, is reproduced
    exactly, in as many bits as it needs.

    Forward mode uses q too, so it agrees with reverse mode. A second derivative
    raises TypeError, unless the slope is reproduced exactly: that of q would be 0.
    Codes are padded to a multiple of 8 elements. Examples (what lies along the first
    axis) of 128 numbers and more are packed one by one, so that a batch sharded over
    devices stays where it is; under ``vmap`` every example is an array of its own.

    Args:
      activation: a registered name, with or without settings in text, as in
        ``"leaky_relu(negative_slope=0.2)"``, or any elementwise function of one array
        that JAX can differentiate. Its parameters are fixed.
      bits: 1 to 8.

    Returns:
      A function of one array or number of any shape and real dtype; value, dtype and
      errors are those of the activation, to the last bit. Levels are float32, of
      float64 x float64; their products with cotangents are rounded to x's dtype.

    Raises:
      ValueError: ``bits`` is none of 1 to 8; the name or a setting is unknown; the
        activation is not elementwise, lacks a parameter, or its slope is not finite
        somewhere between -8 and 8.
      TypeError: the activation is neither text nor callable, or JAX cannot
        differentiate it by x alone, as where it holds traced parameters.

    Special values:
      f'(-inf) is the first level, f'(+inf) the last. Where x is NaN so is the value,
      but the slope is a level, the first (the least of exact ones): there is no code
      for it.

    Example:
      >>> import jax, jaxacts
      >>> silu = jaxacts.compressed.few_bit("silu", bits=4)
      >>> print(f"{jax.grad(silu)(1.0):.3f}, exact {jax.grad(jaxacts.silu)(1.0):.3f}")
      0.923, exact 0.928

    Reference:
      arXiv:2202.00441
    """
    f = _single(activation)
    found = _known(f, title(activation), _checked_bits(bits))
    return _compressed(f, found, f"{_plain_name(activation)}_in_{bits}_bits")


def one_bit(activation: str | _Function) -> Callable[..., jax.Array]:
    """An activation whose slope has two values, kept as one bit an element.

    Value and gradient are those of the activation, to the last bit; see `few_bit`.
    The two values are read off the slope itself, at all numbers of bfloat16.
    ``jaxacts.relu`` keeps its output, which a dense or convolutional layer after it
    keeps too: there one bit is one bit more. It pays where nothing else keeps the
    output, and in a scan over layers, where JAX stores it twice.

    Args:
      activation: as in `few_bit`.

    Returns:
      A function of one array or number.

    Raises:
      ValueError: as `few_bit`, and where the slope takes more than two values.
      TypeError: as `few_bit`.

    Example:
      >>> import jax, jaxacts
      >>> relu = jaxacts.compressed.one_bit("relu")
      >>> float(jax.grad(relu)(2.0)), float(jax.grad(relu)(-2.0))
      (1.0, 0.0)
    """
    f = _single(activation)
    found = _exact_steps(f, title(activation), 2)
    if found is None:
        raise ValueError(
            f"activation={title(activation)} has a slope of more than two values; "
            "accepted are functions with two, such as relu, and few_bit takes any"
        )
    return _compressed(f, found, f"{_plain_name(activation)}_in_one_bit")


def steps(activation: str | _Function, bits: int = 4) -> Steps:
    """The levels that `few_bit` puts in the place of the slope, and where they hold.

    Args:
      activation: as in `few_bit`.
      bits: 1 to 8.

    Returns:
      A record ``Steps(of, thresholds, levels)``.

    Raises:
      ValueError: as `few_bit`.
      TypeError: as `few_bit`.

    Example:
      >>> import jaxacts
      >>> found = jaxacts.compressed.steps("gelu", bits=1)
      >>> [round(number, 3) for number in found.levels]
      [0.091, 0.909]
    """
    return _known(_single(activation), title(activation), _checked_bits(bits))


# --- which function -----------------------------------------------------------------


def _single(activation: str | _Function) -> _Function:
    """The activation as a function of x alone, or an error."""
    f = _registry.get(activation)
    if not isinstance(f, Hashable):
        raise TypeError(
            f"activation={title(f)} cannot be hashed; wrap it in a function"
        )
    try:
        if isinstance(activation, str):
            name, given = _registry.parse(activation)
            record = _registry.spec(name)
        else:
            record, given = _registry.spec(activation), {}
    except TypeError:  # a callable that is not registered
        return f
    if not record.elementwise:
        raise ValueError(f"activation={title(activation)} is not elementwise")
    missing = [
        p.name for p in record.parameters if p.default is None and p.name not in given
    ]
    if missing:
        example = ", ".join(f"{name}=0.25" for name in missing)
        raise ValueError(
            f"activation={title(activation)} needs a value of {', '.join(missing)}, "
            f"fixed and not learned; give it in text, as in '{record.name}({example})'"
        )
    return f


def _plain_name(activation: str | _Function) -> str:
    return title(activation).partition("(")[0]


def _checked_bits(bits: Any) -> int:
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer):
        raise ValueError(f"bits={bits!r} is no whole number; accepted are 1 to 8")
    if not 1 <= bits <= 8:
        raise ValueError(f"bits={bits} is out of range; accepted are 1 to 8")
    return int(bits)


# --- which steps --------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _known(f: _Function, shown: str, bits: int) -> Steps:
    exact = _exact_steps(f, shown, 2**bits)
    if exact is not None:
        return exact
    sampled = _sampled(f, shown)
    with exact_evaluation():
        return _steps.fitted(sampled.slope, sampled.on_centres(), 2**bits)


@functools.lru_cache(maxsize=256)
def _exact_steps(f: _Function, shown: str, most: int) -> Steps | None:
    """The values of a slope that has few; None where there are more."""
    levels = _sampled(f, shown).values()
    if len(levels) > most:
        return None
    between = 0.5 * (levels[:-1] + levels[1:])
    return Steps("slope", tuple(between.tolist()), tuple(levels.tolist()))


class _Sampled:
    """The slope of a function in float64, evaluated in one shape."""

    def __init__(self, f: _Function, shown: str):
        self.f, self.shown = f, shown
        with exact_evaluation():
            try:
                unit = elementwise_unit(f, (64, 16))
                self._compiled = jax.jit(functools.partial(_slope, f))
                self.slope(np.zeros(1))
            except Exception as error:
                raise TypeError(
                    f"activation={shown} is no function that JAX can differentiate by "
                    f"x alone ({type(error).__name__}); parameters must be numbers, "
                    "and cannot be learned"
                ) from error
        if unit is None:
            raise ValueError(f"activation={shown} is not elementwise")

    def slope(self, x: np.ndarray) -> np.ndarray:
        padded = np.resize(x, _steps.CELLS)
        return np.asarray(self._compiled(jnp.asarray(padded)), np.float64)[: len(x)]

    def on_centres(self) -> np.ndarray:
        x = _steps.centres()
        found = self.slope(x)
        if not np.isfinite(found).all():
            at = x[~np.isfinite(found)][0]
            raise ValueError(
                f"activation={self.shown} has no finite slope at {at:.3g}; accepted "
                "are functions with one everywhere between -8 and 8"
            )
        return found

    def values(self) -> np.ndarray:
        with exact_evaluation():
            found = self.slope(_steps.small_numbers())
            return np.unique(np.append(found, self.on_centres()))


@functools.lru_cache(maxsize=64)
def _sampled(f: _Function, shown: str) -> _Sampled:
    return _Sampled(f, shown)


def _slope(f: _Function, x: jax.Array) -> jax.Array:
    y, pull = jax.vjp(f, x)
    return pull(jnp.ones_like(y))[0]


# --- the function -------------------------------------------------------------------


def _compressed(f: _Function, found: Steps, name: str) -> Callable[..., jax.Array]:
    encode = jax.jit(functools.partial(_packed, f, found))
    # Of a known code and an unknown tangent, backward keeps the code alone.
    push = jax.checkpoint(jax.jit(functools.partial(_scaled, found)), prevent_cse=False)

    @jax.custom_jvp
    def g(x: jax.Array) -> jax.Array:
        return f(x)

    @g.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        x, t = jnp.asarray(primals[0]), jnp.asarray(tangents[0])
        y = g(x)
        if y.shape != x.shape or y.dtype != x.dtype:
            raise ValueError(
                f"{name}: the activation turned {x.dtype}{list(x.shape)} into "
                f"{y.dtype}{list(y.shape)}; accepted are those that keep both"
            )
        return y, push(encode(x if found.of == "slope" else _once(x)), t)

    def public(x: ArrayLike, *more: Any, **settings: Any) -> jax.Array:
        if more or settings:
            raise TypeError(
                f"{name} takes x alone; its parameters are fixed where it is made, "
                "and cannot be learned"
            )
        x = checked_real(name, "x", x)
        return g(x) if jnp.issubdtype(x.dtype, jnp.floating) else f(x)

    public.__name__ = public.__qualname__ = name
    public.__doc__ = f"{name.replace('_', ' ')}; see jaxacts.compressed."
    return public


@jax.custom_jvp
def _once(x: jax.Array) -> jax.Array:
    return x


@_once.defjvp
def _once_jvp(primals: Any, tangents: Any) -> Any:
    raise TypeError(
        "a few-bit activation has no second derivative: its slope is a step function; "
        "use the activation itself where you differentiate twice"
    )


# --- packing ------------------------------------------------------------------------

# Elements along the axes after the first from which each example is packed alone:
# below, its padding would weigh more than a twentieth.
_LONG = 128


def _folded(shape: tuple[int, ...]) -> tuple[int, int]:
    """The shape as rows of elements that are packed together."""
    rest = math.prod(shape[1:])
    return (shape[0], rest) if shape and rest >= _LONG else (1, math.prod(shape))


def _packed(f: _Function, found: Steps, x: jax.Array) -> jax.Array:
    """One byte for eight elements and each bit of their codes."""
    rows, length = _folded(x.shape)
    width = -(-length // 8)
    seen = (x if found.of == "x" else _slope(f, x)).reshape(rows, length)
    padded = jnp.pad(seen, ((0, 0), (0, 8 * width - length)))
    # In eight parts: one bit of each is a byte.
    bits = _code(padded.reshape(rows, 8, width), found)
    place = jnp.arange(8, dtype=jnp.uint8).reshape(1, 8, 1)
    planes = [
        jax.lax.reduce(
            bit.astype(jnp.uint8) << place, np.uint8(0), jax.lax.bitwise_or, (1,)
        )
        for bit in bits
    ]
    return jnp.stack(planes) if planes else jnp.zeros((0, rows, width), jnp.uint8)


def _scaled(found: Steps, planes: jax.Array, t: jax.Array) -> jax.Array:
    """The tangent times the levels that the packed codes stand for."""
    # As in the functions themselves: in 16 bits only the product is rounded.
    wide = compute_dtype(t.dtype)
    levels = [np.asarray(level, wide) for level in _filled(found.levels, found)]
    rows, length = _folded(t.shape)
    # Part by part: a byte spread over eight elements at once is not vectorised.
    parts = [
        jnp.broadcast_to(
            _chosen([plane & np.uint8(1 << k) != 0 for plane in planes], levels),
            (rows, -(-length // 8)),
        )
        for k in range(8)
    ]
    slopes = jnp.stack(parts, axis=1).reshape(rows, -1)[:, :length]
    return (t.astype(wide) * slopes.reshape(t.shape)).astype(t.dtype)


def _filled(numbers: Sequence[float], found: Steps) -> list[float]:
    """The last level repeated until there are as many as codes."""
    return [*numbers, *[numbers[-1]] * (2**found.planes - len(numbers))]


def _code(x: jax.Array, found: Steps) -> list[jax.Array]:
    """The number of thresholds that x reaches, its bits from the first."""
    wide = compute_dtype(x.dtype)
    x = x.astype(wide)
    unreached = [math.inf] * (2**found.planes - 1 - len(found.thresholds))
    limits = [_steps.at_least(t, wide) for t in (*found.thresholds, *unreached)]
    bits: list[jax.Array] = []
    for known in range(found.planes):
        # By halving: the bits before tell which threshold decides this one.
        step = 2 ** (found.planes - known)
        bits.append(x >= _chosen(bits, limits[step // 2 - 1 :: step]))
    return bits


# Up to so many bits a number is chosen by selections, which are vectorised; from a
# table beyond, where they would be slow to compile.
_SELECTED = 4


def _chosen(bits: Sequence[jax.Array], numbers: Sequence[Any]) -> Any:
    """The number at the place that the bits spell."""
    if not bits:
        return numbers[0]
    if len(bits) > _SELECTED:
        place = jnp.zeros(bits[0].shape, jnp.int32)
        for bit in bits:
            place = 2 * place + bit.astype(jnp.int32)
        return jnp.asarray(np.array(numbers))[place]
    if len(bits) == 1:
        return _either(bits[0], *numbers)
    half = len(numbers) // 2
    return jnp.where(
        bits[0], _chosen(bits[1:], numbers[half:]), _chosen(bits[1:], numbers[:half])
    )


def _either(bit: jax.Array, clear: Any, set_: Any) -> jax.Array:
    """One of two constants, as ``where``.

    `where` spreads constants to whole arrays, which JAX takes out of the body of a
    scan and keeps: more than the codes save. Their bits may stay scalars.
    """
    dtype = np.asarray(clear).dtype
    kind = np.dtype(f"uint{8 * dtype.itemsize}")
    a, b = (kind.type(np.asarray(number).view(kind)) for number in (clear, set_))
    return jax.lax.bitcast_convert_type((-bit.astype(kind) & (a ^ b)) ^ a, dtype)
