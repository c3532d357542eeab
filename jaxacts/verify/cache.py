"""A store of computed truths on disk: checksummed, atomic, safe to delete.

An entry that is missing, truncated, altered or written by another version is
computed again; nothing in the store is ever trusted without its checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

__all__ = ["cache_directory", "load", "store"]

_MAGIC = b"jaxacts truth 1\n"


def cache_directory() -> Path:
    """``JAXACTS_CACHE_DIR``, or ``jaxacts`` in the user's cache directory."""
    chosen = os.environ.get("JAXACTS_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "jaxacts"


def _path(key: str) -> Path:
    return cache_directory() / "truth" / key[:2] / f"{key}.bin"


def store(key: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays under a key; a store that cannot be written is left out."""
    layout = [(n, a.dtype.str, list(a.shape)) for n, a in arrays.items()]
    header = json.dumps({"key": key, "arrays": layout}).encode() + b"\n"
    raw = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays.values())
    body = header + zlib.compress(raw, 1)
    content = _MAGIC + hashlib.sha256(body).digest() + body
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        if not isinstance(error, OSError):
            raise


def load(key: str) -> dict[str, np.ndarray] | None:
    """The arrays stored under a key, or ``None`` if they cannot be trusted."""
    try:
        content = _path(key).read_bytes()
    except OSError:
        return None
    start = len(_MAGIC)
    digest, body = content[start : start + 32], content[start + 32 :]
    if not content.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
        return None
    header, _, packed = body.partition(b"\n")
    described = json.loads(header)
    if described["key"] != key:
        return None
    raw, arrays, position = zlib.decompress(packed), {}, 0
    for name, dtype, shape in described["arrays"]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        part = np.frombuffer(raw[position : position + size], dtype)
        arrays[name] = part.reshape(shape)
        position += size
    return arrays
