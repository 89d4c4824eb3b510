"""Where compiled kernels lie, for those who must know it before anything is compiled."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder", "is_compiled"]


def cache_folder() -> Path:
    """The folder: `$XDG_CACHE_HOME/curate`, or `$NUMBA_CACHE_DIR` when set."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "curate" / "kernels"


def is_compiled() -> bool:
    """Whether an earlier run compiled kernels here."""
    folder = cache_folder()
    return folder.is_dir() and any(folder.iterdir())
