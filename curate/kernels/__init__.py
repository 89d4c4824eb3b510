"""Kernels: numba only, pure functions over offsets and bytes.

Compiled code is cached where the user can write (`$XDG_CACHE_HOME/curate`, or `$NUMBA_CACHE_DIR` when set), so that only
the first run on a machine pays for compiling.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder", "is_compiled"]


def cache_folder() -> Path:
    """Where compiled kernels lie."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "curate" / "kernels"


def is_compiled() -> bool:
    """Whether an earlier run compiled kernels here."""
    folder = cache_folder()
    return folder.is_dir() and any(folder.iterdir())


# numba reads it when it is first imported, which is after this package is.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder()))
