"""Wall clock, CPU and peak memory of a command as a whole process, its workers included."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Figures", "in_turn", "run_once"]

SAMPLE_SECONDS = 0.05


@dataclass(frozen=True)
class Figures:
    """One run: seconds of wall clock, seconds of CPU (all processes), peak of the memory of all its processes in bytes."""

    wall: float
    cpu: float
    memory: int


def run_once(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Figures:
    """Run a command to its end. Raises CalledProcessError, with what it printed, when it fails.

    Memory is the largest sum of the proportional set sizes (PSS) over the process tree, sampled every 50 ms: pages that
    workers share count once.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    child = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, _memory(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = child.communicate()
    wall = time.perf_counter() - began
    ended.set()
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command, output)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figures(wall, cpu, peak)


def in_turn(commands: Sequence[tuple[Sequence[str], Path, dict[str, str]]], runs: int) -> list[list[Figures]]:
    """Run the commands A B A B ..., `runs` times each after one warm-up, so that a drift of the machine meets them all."""
    found: list[list[Figures]] = [[] for _ in commands]
    for turn in range(runs + 1):
        for i, (command, folder, environment) in enumerate(commands):
            figures = run_once(command, folder, environment)
            if turn:
                found[i].append(figures)
    return found


def median(figures: Sequence[Figures], name: str) -> float:
    """The median of one figure over runs."""
    return float(statistics.median(getattr(f, name) for f in figures))


def _memory(pid: int) -> int:
    total = 0
    for member in _tree(pid):
        try:
            text = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:  # it ended meanwhile
            continue
        for line in text.splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) << 10
    return total


def _tree(pid: int) -> list[int]:
    members = [pid]
    for parent in members:
        try:
            for thread in Path(f"/proc/{parent}/task").iterdir():
                members += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:  # it ended meanwhile
            continue
    return members
