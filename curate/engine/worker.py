"""One unit of work, in whichever process: the plan is read from its file, the stage asked of the job, the unit done."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.declare import Batch, Exchange, Job, Result, Rows, Shards, Single, Stage
from curate.engine.pipeline import READ, without_text
from curate.engine.plan import Plan, load_plan
from curate.engine.rows import Report, Say, run_rows, write_unreadable
from curate.formats.readings import pick
from curate.io.files import atomic
from curate.io.read import read
from curate.io.rows import Chunk
from curate.io.write import RowWriter

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BOOKS", "Task", "marker", "run_task"]

Task = dict[str, Any]
"""plan (path), digest, stage (number), index: JSON, as it travels."""

BOOKS = "books"
"""Where a stage's result holds the counts of the rows that it read."""


class StageWork:
    """What a stage's own work is given; see `curate.declare.Work`."""

    def __init__(
        self,
        plan: Plan,
        index: int,
        single: bool,
        results: dict[str, list[Result]],
        report: Report,
        say: Say,
        keeps_books: bool = False,
    ) -> None:
        self.folder = Path(plan.folder)
        self.index = index
        self.shards = len(plan.shards)
        self.own_shards = plan.own_shards
        self.reading = plan.reading or "record"
        self.results = results
        self.files = {piece.source.name: piece.source.address for shard in plan.shards for piece in shard.pieces}
        self._plan = plan
        self._single = single
        self._report = report
        self._say = say
        self._keeps_books = keeps_books
        self.books: dict[str, Any] | None = None
        """Counts of the shard's rows, once they are all read, where this stage keeps the books."""
        self._gone: RowWriter | None = None
        self._bad: RowWriter | None = None
        self._dropped: Counter[str] = Counter()
        self._failed = 0

    def batches(self) -> Iterator[Batch]:
        """The rows of this shard, or of all for a `Single`."""
        if self._keeps_books:
            yield from self._booked()
            return
        for index in range(self.shards) if self._single else [self.index]:
            for _, batch, _ in self._read(index):
                if len(batch):
                    yield batch

    def _read(self, index: int) -> Iterator[tuple[Chunk, Batch, pl.DataFrame]]:
        """The chunks of a shard, each with its rows that have a text, and what is written of those that have none."""
        import polars as pl

        plan = self._plan
        name, take = plan.how(index)
        reading = pick(name, plan.text_column)
        first = 0
        for chunk in read(plan.shards[index], take):
            frame = reading.normalize(chunk.frame)
            row = pl.int_range(first, first + frame.height, eager=True)
            first += frame.height
            text = reading.text(frame)
            there = text.is_not_null()
            yield chunk, Batch(frame.filter(there), text.filter(there), row.filter(there), index), without_text(frame, text)
            self._report(0, chunk.bytes, 0)

    def _booked(self) -> Iterator[Batch]:
        """The rows of the shard, while those that the job does not get are written down and counted."""
        rows_in = rejected = missing = 0
        notes: list[str] = []
        skipped: Counter[str] = Counter()
        part = f"{self.index:05d}-0000.jsonl"
        with (
            RowWriter(self.folder / "dropped" / f"{part}.zst", "jsonl.zst", level=1) as gone,
            RowWriter(self.folder / "rejected" / part, "jsonl") as bad,
        ):
            self._gone, self._bad = gone, bad
            for chunk, batch, without in self._read(self.index):
                write_unreadable(bad, chunk)
                gone.write(without)
                rows_in += len(batch) + without.height + len(chunk.rejects)
                rejected += len(chunk.rejects)
                missing += without.height
                notes += chunk.notes
                skipped.update(chunk.skipped)
                if len(batch):
                    yield batch
        dropped = ({f"{READ}.no_text": missing} if missing else {}) | dict(sorted(self._dropped.items()))
        rejected += self._failed
        kept = rows_in - rejected - sum(dropped.values())
        self.books = {"rows_in": rows_in, "kept": kept, "dropped": dropped, "rejected": rejected, "notes": notes}
        if skipped:
            self.books["skipped"] = dict(skipped)

    def drop(self, batch: Batch, rows: Sequence[int], reasons: Sequence[str]) -> None:
        """Write and count rows that the job leaves out."""
        import polars as pl

        assert self._gone is not None, "this stage keeps no books"
        nothing, step = pl.lit(None, pl.String), self._plan.job["job"]
        columns = {"id": batch.frame["id"].gather(list(rows)), "reason": reasons, "text": batch.text.gather(list(rows))}
        frame = pl.DataFrame(columns, schema_overrides={"reason": pl.String})
        frame = frame.select("id", pl.lit(step).alias("step"), "reason", nothing.alias("score"), nothing.alias("value"), "text")
        self._gone.write(frame)
        self._dropped.update(f"{step}.{reason}" for reason in reasons)

    def reject(self, batch: Batch, rows: Sequence[int], errors: Sequence[str]) -> None:
        """Write and count rows that the job cannot work on."""
        import polars as pl

        assert self._bad is not None, "this stage keeps no books"
        columns = {"id": batch.frame["id"].gather(list(rows)), "error": errors, "text": batch.text.gather(list(rows))}
        frame = pl.DataFrame(columns, schema_overrides={"error": pl.String})
        self._bad.write(frame.select("id", pl.lit(self._plan.job["job"]).alias("step"), "error", "text"))
        self._failed += len(rows)

    def say(self, message: str, passing: bool = False) -> None:
        """One line to the person waiting."""
        self._say(message, passing)

    def progress(self, rows: int, bytes: int) -> None:
        """Show that this much more is done."""
        self._report(rows, bytes, rows)


def marker(folder: Path, stage: str, index: int) -> Path:
    """The file that says that a unit of a stage is done, and what it returned."""
    return folder / "parts" / f"{stage}-{index:05d}.json"


def run_task(task: Task, report: Report, say: Say) -> dict[str, Any]:
    """Do one unit and mark it done; a unit that is done already is not done again. Returns its result."""
    plan = load_plan(task["plan"], task["digest"])
    job = plan.the_job()
    stage = job.stages()[task["stage"]]
    index: int = task["index"]
    if isinstance(stage, Rows):
        return run_rows(plan, stage, index, report)
    folder = Path(plan.folder)
    done = marker(folder, stage.name, index)
    if done.is_file():
        result: dict[str, Any] = json.loads(done.read_bytes())
        return result
    results = {}
    for earlier in job.stages()[: task["stage"]]:
        if not isinstance(earlier, Rows):
            units = unit_count(plan, earlier)
            found = [json.loads(marker(folder, earlier.name, i).read_bytes()) for i in range(units)]
            results[earlier.name] = [{name: value for name, value in one.items() if name != BOOKS} for one in found]
    work = StageWork(plan, index, isinstance(stage, Single), results, report, say, keeps_books(job, stage))
    result = stage.work(work)
    if work.books is not None:
        result = {**result, BOOKS: work.books}
    with atomic(done) as handle:
        handle.write(json.dumps(result).encode())
    return result


def keeps_books(job: Job, stage: Stage) -> bool:
    """Whether a stage writes down the rows that cannot be read: the first that reads shards, where no `Rows` stage does."""
    stages = job.stages()
    first = next((one.name for one in stages if isinstance(one, Shards)), None)
    return isinstance(stage, Shards) and stage.name == first and not any(isinstance(one, Rows) for one in stages)


def unit_count(plan: Plan, stage: Rows | Shards | Exchange | Single) -> int:
    """How many units a stage has."""
    match stage:
        case Rows():
            return plan.own_shards
        case Shards():
            return len(plan.shards)
        case Exchange():
            return stage.partitions
        case Single():
            return 1
