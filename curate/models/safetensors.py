"""Arrays of a `.safetensors` file, mapped into memory: 8 bytes that say how long the header is, JSON, and the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_safetensors"]

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
"""Types that numpy has. A tensor of another one, such as BF16, is left as its bytes."""


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a file by name, read-only. Format: huggingface/safetensors, README. Raises InputError for another file."""
    import numpy as np

    found = {}
    try:
        size = path.stat().st_size
        with open(path, "rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if length + 8 > size:
                raise ValueError("it ends within its header")
            header: dict[str, Any] = json.loads(handle.read(length))
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            kind = np.dtype(TYPES.get(tensor["dtype"], "u1"))
            first, last = (8 + length + int(at) for at in tensor["data_offsets"])
            shape = tuple(tensor["shape"]) if tensor["dtype"] in TYPES else (last - first,)
            if last > size or int(np.prod(shape)) * kind.itemsize != last - first:
                raise ValueError(f"tensor '{name}' is cut off")
            found[name] = np.memmap(path, kind, "r", first, shape) if last > first else np.zeros(shape, kind)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a safetensors file, or damaged: {error}") from error
    return found
