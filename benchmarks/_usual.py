"""The functions that benchmarks measure unless others are named."""

from __future__ import annotations

from typing import Any

__all__ = ["USUAL", "label"]

USUAL: tuple[tuple[str, dict[str, Any]], ...] = (
    ("relu", {}),
    ("gelu", {"approximate": False}),
    ("gelu", {"approximate": True}),
    *(
        (name, {})
        for name in (
            *("silu", "mish", "softplus", "log_sigmoid", "elu", "selu", "tanh"),
            *("squareplus", "sigmoid", "hard_silu", "soft_sign"),
        )
    ),
)


def label(name: str, settings: dict[str, Any]) -> str:
    """A function with its settings, as one word."""
    inside = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{name}({inside})" if inside else name
