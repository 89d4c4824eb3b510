"""The end of a run: tables in the terminal, the report page, where everything lies."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from curate.engine.chain import RunStats
from curate.report.books import first_dropped, job_folders
from curate.report.page import write_page
from curate.report.ranking import print_ranking
from curate.report.tables import DROPPED, JOBS, SKIPPED, dropped_rows, job_rows, met, print_table, skipped_rows

__all__ = ["finish"]


def finish(run: RunStats) -> int:
    """Print the run's tables and write its `report.html`. Returns the exit code 0."""
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    print_table(console, JOBS, job_rows(run.jobs))
    dropped = dropped_rows(run.jobs)
    if dropped:
        print_table(console, DROPPED, dropped)
    skipped = skipped_rows(run.jobs)
    if skipped:
        print_table(console, SKIPPED, skipped)
    for stats, folder in zip(run.jobs, job_folders(Path(run.folder), run.jobs), strict=True):
        lost = "convert.unknown_dialect"
        example = first_dropped(folder, {lost}, 1)[lost] if stats.get("dropped", {}).get(lost) else []
        if said := met(stats, f"{example[0].id}, {example[0].value}" if example else None):
            console.print(said, markup=False, soft_wrap=True)
    for stats in run.jobs:
        if "tagged" in stats:
            tagged = sum(stats["tagged"].values())
            console.print(f"{stats['name']}: {tagged:,} rows are tagged in 'dropped_by', and would be dropped", markup=False)
        for line in _models(stats):
            console.print(line, markup=False)
        print_ranking(console, stats.get("results", {}))
    page = write_page(run)
    for stats in run.jobs:
        if stats.get("target"):
            console.print(f"Rows: {stats['target']['path']}", markup=False)
    console.print(f"Run: {run.folder}   Report: {page}", markup=False, soft_wrap=True)
    for stats, folder in zip(run.jobs, job_folders(run.folder, run.jobs), strict=True):
        if stats["job"] == "rank export":
            tasks = stats["results"]["tasks"]["tasks"]
            serve = f"curate rank serve {shlex.quote(str(folder))}"
            console.print(f"Rank the {tasks:,} tasks on a page of this machine: {serve}", markup=False, soft_wrap=True)
    return 0


def _models(stats: dict[str, Any]) -> list[str]:
    """What the trained stages are judged by, on data held out of training."""
    lines = []
    for stage in stats.get("results", {}).get("train", {}).get("stages", []):
        measure = stage.get("measure")
        if measure is None and stage.get("loss_before") is not None and stage.get("loss_after") is not None:
            before, after = stage["loss_before"], stage["loss_after"]
            lines.append(f"{stage['name']}: held-out loss {before:.3f} before, {after:.3f} after (nats a token)")
        elif measure is not None:
            lines.append(f"{stage['name']}: {measure['name']} {measure['before']:.3f} before, {measure['after']:.3f} after")
    return lines
