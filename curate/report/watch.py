"""Telling a person how a run goes: a live line in a terminal, plain lines elsewhere, nothing when asked."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeRemainingColumn

from curate.engine.rows import Report
from curate.report.tables import bytes_text, count_text

__all__ = ["watch"]

LOG_SECONDS = 10.0
"""Seconds between plain log lines of a stage that goes on."""


@contextlib.contextmanager
def watch(quiet: bool) -> Iterator[Any]:
    """The watcher that fits where standard error goes."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield Silent()
    elif console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            Left(),
        )
        with Progress(*columns, console=console, transient=True, refresh_per_second=5) as progress:
            yield Live(progress)
    else:
        yield Plain()


class Tally:
    """What a stage has done so far, and how fast."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total = name, total
        self.rows = self.bytes = self.kept = 0
        self.began = time.monotonic()

    def add(self, rows: int, bytes: int, kept: int) -> None:
        self.rows += rows
        self.bytes += bytes
        self.kept += kept

    def text(self) -> str:
        """`12.3k rows, 4.1k rows/s, 96 MB/s, 87 % kept`."""
        seconds = max(time.monotonic() - self.began, 1e-6)
        parts = []
        if self.rows:
            parts += [f"{count_text(self.rows)} rows", f"{count_text(self.rows / seconds)} rows/s"]
        if self.bytes:
            parts.append(f"{bytes_text(self.bytes / seconds)}/s")
        if self.rows and self.name == "rows":
            parts.append(f"{100 * self.kept / self.rows:.0f} % kept")
        return ", ".join(parts)

    def left(self) -> str:
        """Time left by the bytes done, empty while it cannot be told."""
        if not self.total or not self.bytes:
            return ""
        seconds = (time.monotonic() - self.began) * max(0.0, self.total / self.bytes - 1)
        return f"{seconds:.0f} s left" if seconds < 120 else f"{seconds / 60:.0f} min left"


class Silent:
    """Tells nothing."""

    def job(self, label: str, number: int, of: int) -> None: ...

    def stage(self, name: str, bytes: int) -> Report:
        return lambda rows, bytes, kept: None

    def say(self, message: str, passing: bool = False) -> None: ...

    def done(self, stats: dict[str, Any]) -> None: ...


class Plain:
    """Lines on standard error: the start and end of each job, and every few seconds how far it is."""

    def __init__(self) -> None:
        self._label = "curate"
        self._said = 0.0

    def job(self, label: str, number: int, of: int) -> None:
        self._label = label
        self._line(f"starts ({number} of {of})")

    def stage(self, name: str, bytes: int) -> Report:
        tally = Tally(name, bytes)
        last = time.monotonic()

        def report(rows: int, bytes: int, kept: int) -> None:
            nonlocal last
            tally.add(rows, bytes, kept)
            if time.monotonic() - last > LOG_SECONDS:
                last = time.monotonic()
                self._line(", ".join(part for part in (f"{name}: {tally.text()}", tally.left()) if part))

        return report

    def say(self, message: str, passing: bool = False) -> None:
        if not passing:
            self._line(message)
        elif time.monotonic() - self._said > LOG_SECONDS:
            self._said = time.monotonic()
            self._line(message)

    def done(self, stats: dict[str, Any]) -> None:
        self._line(job_line(stats))

    def _line(self, text: str) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {self._label}: {text}\n")
        sys.stderr.flush()


class Left(TimeRemainingColumn):
    """Time left, once some of the work is done."""

    def render(self, task: Task) -> Any:
        return super().render(task) if task.completed and task.total else ""


class Live:
    """A live line a stage; what is said stays above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: Any = None
        self._label = "curate"

    def job(self, label: str, number: int, of: int) -> None:
        self._label = f"[{number}/{of}] {label}" if of > 1 else label

    def stage(self, name: str, bytes: int) -> Report:
        if self._task is not None:
            self._progress.remove_task(self._task)
        label = self._label if name == "rows" else f"{self._label} {name}"
        self._task = self._progress.add_task(label, total=bytes or None, note="")
        tally = Tally(name, bytes)

        def report(rows: int, bytes: int, kept: int) -> None:
            tally.add(rows, bytes, kept)
            self._progress.update(self._task, completed=tally.bytes, note=tally.text())

        return report

    def say(self, message: str, passing: bool = False) -> None:
        if passing and self._task is not None:
            self._progress.update(self._task, note=message)
        else:
            self._progress.console.print(f"  {self._label}: {message}", markup=False)

    def done(self, stats: dict[str, Any]) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self._progress.console.print(f"  {self._label}: {job_line(stats)}", markup=False)


def job_line(stats: dict[str, Any]) -> str:
    """A finished job in one line."""
    parts = []
    if stats.get("rows_in"):
        dropped, rejected = sum(stats.get("dropped", {}).values()), stats.get("rejected", 0)
        out = stats.get("rows_out", stats["kept"])
        counts = f"{stats['rows_in']:,} rows in, {out:,} out, {dropped:,} dropped, {rejected:,} rejected"
        parts.append(counts)
    parts.append(f"{stats['seconds']:.1f} s")
    return ", ".join(parts)
