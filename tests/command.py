"""Running commands as a person does, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SMALL = str(ROOT / "tests" / "engine" / "small.py")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "RUST_BACKTRACE": "0"}


def arguments(*given: str | Path, small: bool = False) -> list[str]:
    return [sys.executable, *([SMALL] if small else ["-m", "curate.cli"]), *map(str, given)]


def curate(*given: str | Path, cwd: Path | None = None, small: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Never is a traceback shown."""
    done = subprocess.run(
        arguments(*given, small=small), capture_output=True, text=True, cwd=cwd, env=environment(), timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def start(*given: str | Path, small: bool = True) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    return subprocess.Popen(
        arguments(*given, small=small),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def tree(*folders: Path) -> dict[str, bytes]:
    """Every file below the folders, by its path from the folder's parent."""
    return {
        str(path.relative_to(folder.parent)): path.read_bytes()
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def results(folder: Path) -> dict[str, bytes]:
    """What a job leaves for people: its rows, and what became of the others."""
    return tree(folder / "data", folder / "dropped", folder / "rejected")


def stats(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "stats.json").read_bytes())
    return found


def write_lines(path: Path, count: int) -> Path:
    """Rows of many lengths, with ids and without; every 50th line is broken, every 7th short, every 41st has no text."""
    lines = []
    for i in range(count):
        row: dict[str, Any] = {"text": f"Row {i} " + "some words of it " * (i * 7919 % 11), "n": i}
        if i % 3 == 0:
            row = {"id": f"own-{i}", **row}
        if i % 41 == 40:
            row["text"] = None
        lines.append('{"text": broken' if i % 50 == 49 else json.dumps(row))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
