"""`curate inspect` on a run: its tables, and for every reason how the deciding values are spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curate.report.books import Dropped, dropped_frames, excerpt, first_dropped, first_rejected, job_folders
from curate.report.spread import Values
from curate.report.tables import DROPPED, JOBS, SKIPPED, dropped_rows, job_rows, print_table, skipped_rows

__all__ = ["show_run"]


def show_run(console: Any, folder: Path, run: dict[str, Any], rows: int) -> None:
    """Print a run's tables and its dropped and rejected rows, `rows` examples for each reason.

    Reads all dropped rows, as a stream. Raises InputError when they cannot be read.
    """
    jobs = run["jobs"]
    if "versions" in run:
        console.print(f"Run of curate {run.get('curate', '?')}: {folder}", soft_wrap=True)
    print_table(console, JOBS, job_rows(jobs))
    dropped = dropped_rows(jobs)
    if dropped:
        print_table(console, DROPPED, dropped)
    skipped = skipped_rows(jobs)
    if skipped:
        print_table(console, SKIPPED, skipped)
    for stats, place in zip(jobs, job_folders(folder, jobs), strict=True):
        for note in stats.get("notes", []):
            console.print(f"{stats['name']}: {note}", soft_wrap=True)
        if stats.get("dropped"):
            _show_dropped(console, stats, place, rows)
        if stats.get("rejected"):
            console.print(f"{stats['name']}: {stats['rejected']:,} rejected, in {place / 'rejected'}", soft_wrap=True)
            for reject in first_rejected(place, rows):
                step = f"{reject.step}: " if reject.step else ""
                console.print(f"  {reject.place}: {step}{reject.error}: {reject.text}", soft_wrap=True)
        if (target := (stats.get("target") or {}).get("path")) is not None:
            console.print(f"{stats['name']}: rows in {target}", soft_wrap=True)
        else:
            console.print(f"{stats['name']}: `curate inspect {place / 'data'}` shows what it wrote", soft_wrap=True)


def _show_dropped(console: Any, stats: dict[str, Any], folder: Path, rows: int) -> None:
    """How the values that decided are spread, reason by reason, and examples."""
    values: dict[tuple[str, str, str], Values] = {}
    for frame, _ in dropped_frames(folder):
        judged = frame.drop_nulls("score")
        for (step, reason, score), group in judged.group_by("step", "reason", "score", maintain_order=True):
            values.setdefault((str(step), str(reason), str(score)), Values()).add(group["value"])
    table = []
    for (step, reason, score), found in sorted(values.items()):
        spread = found.numbers
        if spread.count:
            marks = [spread.min, *(spread.quantile(q) for q in (0.25, 0.5, 0.75)), spread.max]
            table.append([step, reason, score, *(f"{mark:,.4g}" for mark in marks), ""])
        if found.names:
            table.append([step, reason, score, "", "", "", "", "", _common(found)])
    if table:
        console.print(f"{stats['name']}: the values that decided")
        header = ["step", "reason", "score", "least", "quartile", "median", "quartile", "greatest", "most often"]
        if not any(row[-1] for row in table):
            header, table = header[:-1], [row[:-1] for row in table]
        print_table(console, header, table)
    examples = first_dropped(folder, set(stats["dropped"]), rows)
    for reason, count in sorted(stats["dropped"].items(), key=lambda item: (-item[1], item[0])):
        if examples[reason]:
            console.print(f"{reason} ({count:,})")
        for example in examples[reason]:
            console.print(f"  {_line(example)}", soft_wrap=True)


def _common(values: Values) -> str:
    """The names that decided most often; names that are all different (the row that each is a duplicate of) are counted."""
    top = values.names.most_common(5)
    if top[0][1] == 1 and len(top) > 1:
        return f"{len(values.names):,} different"
    return ", ".join(f"{excerpt(name, 30)} {count:,}" for name, count in top)


def _line(row: Dropped) -> str:
    decided = f" {row.score} = {row.value}" if row.score else ""
    return f"{row.id}{decided}: {row.text or '(no text)'}"
