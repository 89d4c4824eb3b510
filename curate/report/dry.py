"""`--dry-run`: what would run, on what, what is done already, and about what it needs. Writes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from curate.declare import Batch, Job, Rows, RowsJob, Stage
from curate.engine.chain import output_digest, place, walk
from curate.engine.plan import Plan
from curate.engine.run import JobRun
from curate.formats.readings import pick
from curate.io.read import read
from curate.recipe import Recipe
from curate.report.books import read_json
from curate.report.tables import bytes_text, count_text

__all__ = ["dry_run"]

UNPACKED = 4
"""Bytes that a byte of a .gz or .zst file is taken for: text of 74 sources was 3.7 times its zstd file."""


def dry_run(recipe: Recipe, workers: int, *, command: bool = False) -> int:
    """Print what running the recipe would do; read no more than the first rows of each input. Returns the exit code 0.

    command: the recipe stands for a single command, whose `out` may be a file and whose folder is not numbered.
    Raises what the run itself would raise before its first byte: InputError, UsageError.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 120)
    digests: dict[str, str] = {}
    if command:
        (only,) = recipe.jobs
        folder, target, save_as = place(only, recipe.out or None)
        _show(console, 1, only, JobRun(only, folder, target=target, save_as=save_as), workers)
        return 0
    for number, job, folder, reads in walk(recipe):
        waits = [label for label in reads if label not in digests]
        if waits:
            _show_waiting(console, number, job, folder, waits, recipe)
            continue
        run = JobRun(job, folder, upstream=[digests[label] for label in reads])
        _show(console, number, job, run, workers)
        stats = run.finished()
        if stats is not None:
            digests[job.label()] = output_digest(stats)
    return 0


def _show(console: Any, number: int, job: Job, run: JobRun, workers: int) -> None:
    """A job whose input is there."""
    plan = run.plan
    lines = [("state", _state(run))]
    if plan.inputs:
        files = {piece.source.address: piece.source.size for shard in plan.shards for piece in shard.pieces}
        few = ", ".join(plan.inputs[:3]) + (f" and {len(plan.inputs) - 3} more" if len(plan.inputs) > 3 else "")
        what = f"{len(files):,} file{'s' * (len(files) != 1)}, {bytes_text(sum(files.values()))}, {_units(len(plan.shards))}"
        lines.append(("reads", f"{few}: {what}, as {plan.reading}"))
    lines += [("note", note) for note in plan.notes if not note.startswith("format: ")]
    lines += _work(job)
    written = f"{run.target}, the rest in {run.folder}" if run.target else str(run.folder)
    lines.append(("writes", f"{written} ({plan.save_as})" if isinstance(job, RowsJob) else written))
    if run.finished() is None:
        lines.append(("needs", _needs(job, run, workers)))
        lines += [("asks", text)] if (text := _comes_to(job, run.plan)) else []
    _print(console, number, job, lines)


def _show_waiting(console: Any, number: int, job: Job, folder: Path, waits: list[str], recipe: Recipe) -> None:
    """A job that reads what other jobs have yet to write: its input cannot be looked at."""
    reads = ", ".join(f"what {label} writes" for label in waits)
    lines = [("state", "would start when its input is there"), ("reads", reads), *_work(job), ("writes", str(folder))]
    _print(console, number, job, lines)


def _print(console: Any, number: int, job: Job, lines: list[tuple[str, str]]) -> None:
    title = job.label() if job.label() == job.job.replace(" ", "-") else f"{job.label()} ({job.job})"
    console.print(f"{number} {title}")
    for key, text in lines:
        console.print(f"  {key:8}{text}", soft_wrap=True)


def _state(run: JobRun) -> str:
    if run.finished() is not None:
        return "done already, would be kept"
    earlier = read_json(run.folder / "plan.json")
    if earlier is None:
        return "would start"
    if earlier.get("digest") != run.plan.digest:
        return "would start over: the options or the input changed"
    if (run.folder / "stats.json").exists():
        return "would start over: what it wrote is gone"
    parts = sum(1 for _ in (run.folder / "parts").glob("*.json"))
    return f"would go on where it stopped, after {parts:,} finished part{'s' * (parts != 1)}"


def _work(job: Job) -> list[tuple[str, str]]:
    stages = job.stages()
    steps = [step.step for stage in stages if isinstance(stage, Rows) for step in stage.steps]
    lines = [("steps", ", ".join(steps))] if steps else []
    return [*lines, ("stages", ", ".join(_stage(stage) for stage in stages))]


def _stage(stage: Stage) -> str:
    return f"{stage.name} ({type(stage).__name__.lower()})" if not isinstance(stage, Rows) else stage.name


def _needs(job: Job, run: JobRun, workers: int) -> str:
    """Memory and disk, estimated from the sizes of the files and the first rows."""
    size, rows = _amount(run.plan)
    busy = min(workers, max(1, len(run.plan.shards)))
    parts = []
    memory = job.peak_memory(size, rows)
    if memory is not None:
        parts.append(f"about {bytes_text(memory)} of memory a worker, {busy} worker{'s' * (busy != 1)}")
    written = job.model_copy(update={"save_as": run.plan.save_as}) if isinstance(job, RowsJob) else job
    disk = written.disk(size)
    if disk is not None:
        # Parts are copied into the single file that was asked for, and removed after that.
        joined = 2 if run.target is not None and len(run.plan.shards) > 1 else 1
        parts.append(f"about {bytes_text(joined * disk)} of disk")
    if not parts:
        return "memory and disk cannot be told from the input"
    return "; ".join(parts) + (f"; about {count_text(rows)} rows" if rows else "")


def _amount(plan: Plan) -> tuple[int, int]:
    """About how many bytes, uncompressed, and rows a plan reads."""
    files = {piece.source.address: piece.source for shard in plan.shards for piece in shard.pieces}
    size = sum(source.size * (UNPACKED if source.compressed else 1) for source in files.values())
    if not plan.shards or plan.take is None:
        return size, 0
    first = next((chunk for chunk in read(plan.shards[0], plan.take) if chunk.frame.height), None)
    return size, round(size * first.frame.height / first.bytes) if first is not None and first.bytes else 0


def _comes_to(job: Job, plan: Plan) -> str | None:
    """What the job costs besides, told from the first rows."""
    if not plan.shards or plan.take is None or plan.reading is None:
        return None
    import polars as pl

    _, rows = _amount(plan)
    first = next((chunk for chunk in read(plan.shards[0], plan.take) if chunk.frame.height), None)
    if first is None:
        return None
    reading = pick(plan.reading, plan.text_column)
    frame = reading.normalize(first.frame)
    text = reading.text(frame).fill_null("")
    return job.comes_to(Batch(frame, text, pl.int_range(0, frame.height, eager=True)), max(rows, 1))


def _units(count: int) -> str:
    return f"{count:,} unit{'s' * (count != 1)} of work"
