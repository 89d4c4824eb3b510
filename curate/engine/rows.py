"""A shard of a `Rows` stage, in a worker: read, apply, write, count, part by part."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from curate.declare import Rows
from curate.engine.pipeline import TAG, Outcome, Pipeline
from curate.engine.plan import Plan
from curate.engine.scores import ScoreCounts
from curate.formats.readings import pick
from curate.io.files import atomic
from curate.io.read import read
from curate.io.rows import PLACE, REST, Chunk
from curate.io.write import RowWriter, suffix

if TYPE_CHECKING:
    pass

__all__ = ["Report", "Say", "run_rows", "total", "write_unreadable"]

PART_BYTES = 64 << 20
"""Input bytes after which a part is closed and marked done: what a killed run on a compressed file has to do again at most."""

Report = Callable[[int, int, int], None]
"""Called with rows, bytes and kept rows as they are done."""


class Say(Protocol):
    """Takes one line for the person waiting; a passing one is soon replaced by the next."""

    def __call__(self, message: str, passing: bool = False) -> None: ...


def run_rows(plan: Plan, stage: Rows, index: int, report: Report) -> dict[str, Any]:
    """Do shard `index`; parts that are done already are left as they are. Returns the counts of the whole shard.

    Memory: one chunk and what the steps make of it, whatever the size of the shard.
    """
    folder = Path(plan.folder)
    done = _done_parts(folder, stage.name, index)
    if done and done[-1]["last"]:
        return total(done)
    job = plan.the_job()
    how = {name: bool(getattr(job, name, False)) for name in ("keep_scores", "tag")}
    assert plan.reading is not None
    assert plan.take is not None
    pipeline = Pipeline((*stage.left(folder), *stage.steps), pick(plan.reading, plan.text_column), **how)
    chunks = read(plan.shards[index], plan.take)
    first_row = 0
    for part in done:
        for _ in range(part["chunks"]):
            first_row += next(chunks).frame.height
    number = len(done)
    chunk = next(chunks, None)
    while chunk is not None or number == len(done) == 0:
        counts, chunk, first_row = _run_part(plan, pipeline, stage, index, number, chunk, chunks, first_row, report)
        counts["last"] = chunk is None
        with atomic(_marker(folder, stage.name, index, number)) as handle:
            handle.write(json.dumps(counts).encode())
        done.append(counts)
        number += 1
    return total(done)


def _run_part(
    plan: Plan,
    pipeline: Pipeline,
    stage: Rows,
    index: int,
    number: int,
    chunk: Chunk | None,
    chunks: Iterator[Chunk],
    first_row: int,
    report: Report,
) -> tuple[dict[str, Any], Chunk | None, int]:
    """One part: its counts, the chunk that comes next, and the number of the row that it starts with."""
    folder = Path(plan.folder)
    part = f"{index:05d}-{number:04d}"
    dropped: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    counts: dict[str, Any] = {"chunks": 0, "rows_in": 0, "kept": 0, "rejected": 0, "bytes_in": 0, "notes": []}
    tagged: Counter[str] = Counter()
    pipeline.seconds.clear()
    pipeline.counts.clear()
    pipeline.scores = ScoreCounts()
    assert plan.take is not None
    read_only = [c for c in plan.take.also if c not in plan.take.replaced]
    began = time.perf_counter()
    with (
        RowWriter(
            folder / "data" / (part + suffix(plan.save_as)),
            plan.save_as,
            alone=plan.alone,
            json_columns=plan.json_columns,
            types=plan.types,
            scores=plan.scores,
        ) as data,
        RowWriter(folder / "dropped" / f"{part}.jsonl.zst", "jsonl.zst", level=1) as gone,
        RowWriter(folder / "rejected" / f"{part}.jsonl", "jsonl") as bad,
    ):
        while chunk is not None:
            outcome = pipeline.run(chunk.frame, first_row, index)
            first_row += chunk.frame.height
            # Columns taken out for steps to read: in a JSONL row they still stand in the rest.
            data.write(outcome.frame.drop(*PLACE, *(read_only if REST in outcome.frame.columns else ()), strict=False))
            if pipeline.tags and outcome.frame.height:
                tagged.update(dict(outcome.frame[TAG].drop_nulls().value_counts().iter_rows()))
            for frame in outcome.dropped:
                gone.write(frame)
                for step, reason, n in frame.group_by("step", "reason", maintain_order=True).len().iter_rows():
                    dropped[f"{step}.{reason}"] += n
            _write_rejects(bad, chunk, outcome)
            counts["chunks"] += 1
            counts["rows_in"] += outcome.rows_in + len(chunk.rejects)
            counts["kept"] += outcome.kept
            if outcome.made:
                counts["made"] = counts.get("made", 0) + outcome.made
            counts["rejected"] += len(chunk.rejects) + len(outcome.rejected)
            counts["failed"] = counts.get("failed", 0) + len(outcome.rejected)
            counts["bytes_in"] += chunk.bytes
            counts["notes"] += chunk.notes
            skipped.update(chunk.skipped)
            report(outcome.rows_in + len(chunk.rejects), chunk.bytes, outcome.kept)
            chunk = next(chunks, None)
            if counts["bytes_in"] >= PART_BYTES:
                break
    counts["rows_out"] = data.rows
    counts["bytes_out"] = data.bytes
    counts["dropped"] = dict(dropped)
    if skipped:
        counts["skipped"] = dict(skipped)
    if pipeline.tags:
        counts["tagged"] = dict(sorted(tagged.items()))
    counts["filters"] = pipeline.scores.as_json()
    counts["step_seconds"] = dict(pipeline.seconds)
    if pipeline.counts:
        counts["step_counts"] = {step: dict(of) for step, of in pipeline.counts.items()}
    counts["seconds"] = time.perf_counter() - began
    return counts, chunk, first_row


def _write_rejects(writer: RowWriter, chunk: Chunk, outcome: Outcome) -> None:
    import polars as pl

    write_unreadable(writer, chunk)
    if outcome.rejected:
        writer.write(pl.DataFrame(outcome.rejected, schema=dict.fromkeys(("id", "step", "error", "text"), pl.String)))


def write_unreadable(writer: RowWriter, chunk: Chunk) -> None:
    """Write down the rows of a chunk that could not be read: file, line, error and their beginning."""
    import polars as pl

    if chunk.rejects:
        schema = {"file": pl.String, "line": pl.Int64, "error": pl.String, "text": pl.String}
        writer.write(pl.DataFrame(chunk.rejects, schema=schema, orient="row"))


def _marker(folder: Path, stage: str, index: int, number: int) -> Path:
    return folder / "parts" / f"{stage}-{index:05d}-{number:04d}.json"


def _done_parts(folder: Path, stage: str, index: int) -> list[dict[str, Any]]:
    """Counts of the shard's parts that are done, in order."""
    parts: list[dict[str, Any]] = []
    while (path := _marker(folder, stage, index, len(parts))).is_file():
        parts.append(json.loads(path.read_bytes()))
    return parts


def total(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums of counts, key by key, in mappings too; lists one after another; of anything else the last."""
    sums: dict[str, Any] = {}
    for part in parts:
        sums = _add(sums, {key: value for key, value in part.items() if key != "last"})
    return sums


def _add(one: Any, other: Any) -> Any:
    match one, other:
        case dict(), dict():
            return one | {key: _add(one[key], value) if key in one else value for key, value in other.items()}
        case (bool(), _) | (_, bool()):
            return other
        case (int() | float(), int() | float()) | (list(), list()):
            return one + other
        case _:
            return other
