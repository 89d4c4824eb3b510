"""`curate inspect`: what is in a file or folder of rows, a run, or token shards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from curate.declare import Filter, Job, Rows, RowsJob
from curate.errors import UsageError
from curate.report.books import read_json

__all__ = ["inspect_path", "try_steps"]


def inspect_path(path: str, rows: int, *, document: int | None = None, split: str | None = None, verify: bool = False) -> int:
    """Print what is at `path`, with `rows` examples. Returns the exit code 0.

    A folder with `run.json` or `stats.json` is a run or one of its jobs, a folder with `tokens.json` or `shards.json` (or whose
    `data/` has one) is token shards, anything else rows. Reads everything once, as a stream. `document` of a `split`, and
    `verify`: see `curate.report.inspect_tokens`. Raises InputError, UsageError.
    """
    from curate.report.inspect_tokens import show_document, show_tokens, token_folder

    console = _console()
    folder = Path(path)
    tokens = token_folder(folder)
    if tokens is None and (verify or document is not None):
        raise UsageError(f"{'--verify' if verify else '--document'}: {path} is no folder of token shards")
    if tokens is not None and document is not None:
        show_document(console, tokens, document, split)
        return 0
    run, stats = read_json(folder / "run.json"), read_json(folder / "stats.json")
    is_run = run is not None and "jobs" in run
    is_job = stats is not None and {"job", "digest"} <= stats.keys()
    if is_run or is_job:
        from curate.report.inspect_run import show_run

        show_run(console, folder, run if run is not None and is_run else {"jobs": [stats]}, rows)
    if tokens is not None:
        show_tokens(console, tokens, rows, verify=verify)
    elif not is_run and not is_job:
        from curate.report.inspect_rows import show_rows

        show_rows(console, path, rows)
    return 0


def try_steps(job: Job, rows: int, sample: int, html: Path | None) -> int:
    """Print what the steps of a job would do to a sample of its input; see `curate.report.look`. Returns the exit code 0."""
    from curate.report.look import look

    steps = [stage.steps for stage in job.stages() if isinstance(stage, Rows)]
    if not isinstance(job, RowsJob) or not any(isinstance(step, Filter) for some in steps for step in some):
        raise UsageError(f"{job.label()}: has no filters to look at; name some with --steps, or a job that has them")
    return look(_console(), job, rows, sample, html)


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 120)
