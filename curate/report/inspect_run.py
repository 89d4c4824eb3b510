"""`curate inspect` on a run: its tables, how scores are spread, and for every reason which rows it dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curate.engine.plan import load_plan
from curate.formats.readings import pick
from curate.io.files import cut, resolve
from curate.io.read import read
from curate.io.rows import Take
from curate.report.books import LOOK_BYTES, Dropped, dropped_frames, excerpt, first_dropped, first_rejected, job_folders
from curate.report.scores import print_scores
from curate.report.sides import Sides, add_rows, print_sides, sides_of
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
        tagged = stats.get("tagged", {})
        for reason, count in sorted(tagged.items(), key=lambda item: (-item[1], item[0])):
            console.print(f"{stats['name']}: {count:,} tagged {reason}", soft_wrap=True)
        print_scores(console, stats.get("filters", []))
        if stats.get("dropped") or tagged:
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
    """How the values that decided are spread, reason by reason; rows either side of each limit; and other examples."""
    sides = {(side.step, side.rule.reason): side for side in sides_of(stats.get("filters", []), rows)}
    values: dict[tuple[str, str, str], Values] = {}
    for frame, _ in dropped_frames(folder):
        judged = frame.drop_nulls("score")
        for (step, reason, score), group in judged.group_by("step", "reason", "score", maintain_order=True):
            values.setdefault((str(step), str(reason), str(score)), Values()).add(group["value"])
            if (str(step), str(reason)) in sides:
                sides[str(step), str(reason)].add(group, "value", dropped=True)
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
    _add_kept(stats, folder, list(sides.values()))
    counts = stats["dropped"] | stats.get("tagged", {})
    print_sides(console, [side for key, side in sides.items() if ".".join(key) in counts], counts)
    others = {reason: n for reason, n in counts.items() if tuple(reason.split(".", 1)) not in sides}
    examples = first_dropped(folder, set(others), rows) if others else {}
    for reason, count in sorted(others.items(), key=lambda item: (-item[1], item[0])):
        console.print(f"\n{reason} ({count:,})")
        for example in examples[reason]:
            console.print(f"  {_line(example)}", soft_wrap=True)


def _add_kept(stats: dict[str, Any], folder: Path, sides: list[Sides]) -> None:
    """Rows that the job wrote, where it kept their scores: of the first LOOK_BYTES."""
    plan = load_plan(str(folder / "plan.json"), stats["digest"]) if (folder / "plan.json").is_file() else None
    written = Path((stats.get("target") or {}).get("path") or folder / "data")
    if plan is None or not plan.scores or plan.reading is None or not written.exists():
        return
    form = pick(plan.reading, plan.text_column)
    json_columns = ("messages",) if plan.reading == "chat" else ()
    take = Take(columns=form.columns, json_columns=json_columns, array_as=form.array_as, also=plan.scores)
    seen = 0
    for shard in cut(resolve([str(written)])[0]):
        for chunk in read(shard, take):
            if chunk.frame.height:
                frame = form.normalize(chunk.frame)
                add_rows(sides, frame, form.text(frame))
            seen += chunk.bytes
            if seen >= LOOK_BYTES:
                return


def _common(values: Values) -> str:
    """The names that decided most often; names that are all different (the row that each is a duplicate of) are counted."""
    top = values.names.most_common(5)
    if top[0][1] == 1 and len(top) > 1:
        return f"{len(values.names):,} different"
    return ", ".join(f"{excerpt(name, 30)} {count:,}" for name, count in top)


def _line(row: Dropped) -> str:
    decided = f" {row.score} = {row.value}" if row.score else ""
    return f"{row.id}{decided}: {row.text or '(no text)'}"
