"""An environment of its own for each peer, made once under `.bench/venvs`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["python_of"]


def python_of(peer: str, requirements: tuple[str, ...], folder: Path) -> str:
    """The interpreter of a peer's environment, which is made when it is not there."""
    place = folder / "venvs" / peer
    mark = place / "installed"
    if not mark.exists() or mark.read_text() != "\n".join(requirements):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(place / "bin" / "pip"), "install", "--quiet", *requirements], check=True)
        mark.write_text("\n".join(requirements))
    return str(place / "bin" / "python")
