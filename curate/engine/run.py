"""A job in its folder: what is done already is kept, the rest is done, the counts must add up, the end is marked last.

data/       the rows, or whatever the job makes; what `job:NAME` means
dropped/    rows that a step dropped: id, step, reason, score, value, text
matches/    what a job found besides rows: `decontaminate` which item met which row
clusters/   rows that `dedupe` tied together, and why
rejected/   rows that could not be read or on which a step failed: file and line, or id, and the error
stats.json  counts and times; there only when the job is finished
plan.json   what was to be done
parts/      markers of finished parts, while the job runs
work/       what stages leave to one another, while the job runs
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from curate.declare import Exchange, InputJob, Job, Rows, RowsJob, SaveAs, Shards, Single, Stage
from curate.engine.local import run_tasks
from curate.engine.plan import Plan, make_plan
from curate.engine.rows import Report, Say, total
from curate.engine.scores import summary
from curate.engine.worker import BOOKS, unit_count
from curate.errors import CurateError, OutputError, StepError, TooManyErrors
from curate.io.files import atomic, writing
from curate.io.write import RowWriter

__all__ = ["JobRun", "Stats", "locked", "run_job"]

Stats = dict[str, Any]
"""What `stats.json` holds: job, digest, seconds, counts of rows and bytes, dropped by `step.reason`, what filters measured
(`curate.engine.scores.summary`), results of stages."""

OURS = ("data", "dropped", "rejected", "matches", "clusters", "parts", "work", "stats.json", "plan.json")


class JobRun:
    """One job to be run in one folder.

    target: a single file that the output goes to in the end, or None to leave it in `data/`.
    """

    def __init__(
        self, job: Job, folder: Path, *, target: Path | None = None, save_as: SaveAs | None = None, upstream: Sequence[str] = ()
    ) -> None:
        self.job = job
        self.folder = folder
        self.target = target
        self.upstream = upstream
        self.plan: Plan = make_plan(job, folder, save_as, upstream, target)

    def finished(self) -> Stats | None:
        """The stats of an earlier run of the very same work, when its output is still there."""
        stats = _read(self.folder / "stats.json")
        if stats is None or stats.get("digest") != self.plan.digest:
            return None
        if self.target is not None:
            written = stats.get("target") or {}
            same = written.get("path") == str(self.target) and self.target.is_file()
            return stats if same and self.target.stat().st_size == written.get("bytes") else None
        return stats if (self.folder / "data").is_dir() else None


def run_job(run: JobRun, *, workers: int, report: Callable[[str, int], Report], say: Say) -> Stats:
    """Do a job, or what is left of it. Returns its stats.

    report: called at the start of each stage with its name and the bytes it will read; returns where progress goes.
    Raises the error of the job; TooManyErrors when more rows were rejected than the job allows (its output is kept).
    """
    plan, folder = run.plan, run.folder
    stats = run.finished()
    if stats is None:
        _prepare(run, say)
        for note in plan.notes:
            say(note)
        began = time.perf_counter()
        before = float((_read(folder / "parts" / "seconds.json") or {}).get("seconds", 0.0))
        try:
            with contextlib.ExitStack() as held:
                for option in run.job.grows:
                    if getattr(run.job, option) is not None:
                        held.enter_context(locked(Path(getattr(run.job, option))))
                counts, results, stages = _run_stages(run, workers, report, say)
        finally:
            with contextlib.suppress(CurateError), atomic(folder / "parts" / "seconds.json") as handle:
                handle.write(json.dumps({"seconds": before + time.perf_counter() - began}).encode())
        stats = {"job": run.job.job, "name": run.job.label(), "digest": plan.digest, "inputs": list(plan.inputs)}
        stats |= {"shards": len(plan.shards), **counts, "results": results}
        stats["notes"] = [*plan.notes, *counts.get("notes", [])]
        stats["target"] = _finish(run)
        stats["seconds"] = round(before + time.perf_counter() - began, 3)
        stats["stage_seconds"] = stages
        with atomic(folder / "stats.json") as handle:
            handle.write(json.dumps(stats, indent=1, ensure_ascii=False).encode())
    else:
        say("done already, kept")
    # Also after a run that was killed between its last two lines.
    for name in ("parts", "work", *(["data"] if run.target is not None else [])):
        shutil.rmtree(folder / name, ignore_errors=True)
    _check_errors(run, stats)
    return stats


def _run_stages(
    run: JobRun, workers: int, report: Callable[[str, int], Report], say: Say
) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    plan = run.plan
    counts: dict[str, Any] = {}
    results: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for number, stage in enumerate(run.job.stages()):
        began = time.perf_counter()
        units = unit_count(plan, stage)
        tasks = [
            {"plan": str(run.folder / "plan.json"), "digest": plan.digest, "stage": number, "index": i} for i in range(units)
        ]
        found: list[dict[str, Any] | None] = [None] * units

        def done(i: int, result: dict[str, Any], stage: Any = stage, found: list[dict[str, Any] | None] = found) -> None:
            found[i] = result
            if isinstance(stage, Rows):
                _check_failed(run, found)

        run_tasks(tasks, workers, report(stage.name, plan.bytes), say, done, threads=_releases_gil(run, stage, results))
        seconds[stage.name] = round(time.perf_counter() - began, 3)
        there = [result for result in found if result is not None]
        books = [result.pop(BOOKS) for result in there if BOOKS in result]
        if books:
            counts = total(books)
            _check_sums(run, counts)
        if isinstance(stage, Rows):
            counts = total(there)
            _check_sums(run, counts)
            counts["filters"] = summary((*stage.left(run.folder), *stage.steps), counts.get("filters", {}))
        else:
            results[stage.name] = there[0] if len(there) == 1 else total(there)
    return counts, results, seconds


def _releases_gil(run: JobRun, stage: Stage, results: dict[str, Any]) -> bool:
    """Whether a stage's time goes to kernels and libraries that release the GIL: then threads do as well as processes."""
    if isinstance(stage, Exchange):
        return stage.releases_gil
    if isinstance(stage, Single) or run.plan.reading == "chat":  # some chats are read by Python, one by one
        return False
    kinds = {piece.source.kind for shard in run.plan.shards for piece in shard.pieces}
    if not kinds <= {"jsonl", "parquet", "arrow"}:
        return False
    if isinstance(stage, Shards):
        return stage.releases_gil(results) if callable(stage.releases_gil) else stage.releases_gil
    return all(step.releases_gil for step in (*stage.left(run.folder), *stage.steps))


def _check_sums(run: JobRun, counts: dict[str, Any]) -> None:
    """rows in + rows made = kept + dropped + rejected, or the engine has a bug and must say so."""
    dropped = sum(counts.get("dropped", {}).values())
    if counts.get("rows_in", 0) + counts.get("made", 0) != counts.get("kept", 0) + dropped + counts.get("rejected", 0):
        raise StepError(
            f"{run.job.job}: rows do not add up: {counts.get('rows_in')} in, {counts.get('kept')} kept, {dropped} dropped, "
            f"{counts.get('rejected')} rejected"
        )


def _check_failed(run: JobRun, found: list[dict[str, Any] | None]) -> None:
    """Stop early when a step fails on more rows than are allowed: unlike a broken line, that is no matter of the data."""
    failed = sum(result.get("failed", 0) for result in found if result is not None)
    if isinstance(run.job, InputJob) and failed > run.job.max_errors:
        raise TooManyErrors(
            f"{run.job.job}: a step failed on {failed} rows (see {run.folder / 'rejected'}); "
            f"--max-errors {failed} lets the run go on without them"
        )


def _check_errors(run: JobRun, stats: Stats) -> None:
    rejected = stats.get("rejected", 0)
    if isinstance(run.job, InputJob) and rejected > run.job.max_errors:
        raise TooManyErrors(
            f"{run.job.job}: {rejected} rows were rejected, first: {_first_reject(run.folder)}; the others are written. "
            f"See {run.folder / 'rejected'}; --max-errors {rejected} accepts that many"
        )


def _first_reject(folder: Path) -> str:
    for path in sorted((folder / "rejected").glob("*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            row = json.loads(next(lines))
        return f"{row['file']}:{row['line']}: {row['error']}" if "file" in row else f"{row['id']}: {row['error']}"
    return "see below"


def _prepare(run: JobRun, say: Callable[[str], None]) -> None:
    """Make the folder ready: kept when it holds the same work unfinished, cleared when it holds other work of ours."""
    folder = run.folder
    earlier = _read(folder / "plan.json")
    with writing(folder):
        if earlier is None:
            foreign = sorted(p.name for p in folder.iterdir() if not _ours(p.name)) if folder.is_dir() else []
            if foreign:
                more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
                raise OutputError(f"{folder}: holds '{foreign[0]}'{more}, which no run of curate made: name another folder")
        elif earlier.get("digest") != run.plan.digest:
            run.job.guard(folder, bool(run.upstream))
            say(f"{folder}: the options or the input changed since the last run, starting over")
            clear(folder)
        elif (folder / "stats.json").exists():
            say(f"{folder}: what the last run wrote is not there any more, starting over")
            clear(folder)
        else:
            say(f"{folder}: going on where the last run stopped")
    # The plan comes first and goes last: it says that the rest is ours.
    with atomic(folder / "plan.json") as handle:
        handle.write(run.plan.model_dump_json().encode())
    with writing(folder):
        for name in ("data", "parts", "work"):
            (folder / name).mkdir(exist_ok=True)


def _ours(name: str) -> bool:
    """Whether a folder may hold this before a job begins in it: what a run of one job keeps beside the job's own files."""
    kept = name in (".lock", "run.json", "report.html") or name.startswith("answers.sqlite")
    return kept or (name.startswith(".") and name.endswith(".tmp"))


def clear(folder: Path) -> None:
    """Remove what a job made in a folder, and nothing else. The plan goes last: it says that the rest is ours."""
    for name in (*[n for n in OURS if n != "plan.json"], "plan.json"):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _finish(run: JobRun) -> dict[str, Any] | None:
    """Bring the parts into the form that was asked for: a `datasets` folder, or one file. Can be done again when killed."""
    data = run.folder / "data"
    if not isinstance(run.job, RowsJob):
        return None
    kind = run.plan.save_as
    if kind == "datasets":
        _to_datasets(data, run.plan.digest)
    if run.target is None:
        return None
    parts = sorted(data.iterdir())
    if kind == "parquet":
        _join_parquet(parts, run.target)
    elif not parts:
        with RowWriter(run.target, kind) as nothing:
            nothing.open()
    elif len(parts) > 1 or not _link(parts[0], run.target):
        with atomic(run.target) as out:
            for part in parts:
                _append(part, out)
    return {"path": str(run.target), "bytes": run.target.stat().st_size}


def _append(part: Path, out: IO[bytes]) -> None:
    """Add a file's bytes to another: inside the kernel where it can (on some file systems without copying at all)."""
    with open(part, "rb") as handle:
        if hasattr(os, "copy_file_range"):
            out.flush()
            left = part.stat().st_size
            try:
                while left and (done := os.copy_file_range(handle.fileno(), out.fileno(), left)):
                    left -= done
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
            handle.seek(part.stat().st_size - left)
        shutil.copyfileobj(handle, out, 8 << 20)


def _link(part: Path, target: Path) -> bool:
    """Give a finished part the target's name without copying it; False where the file system cannot."""
    temporary = target.with_name(f".{target.name}.tmp")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            os.link(part, temporary)
        except OSError:  # another file system, or one without links: the caller copies
            return False
        os.replace(temporary, target)
    return True


def _join_parquet(parts: Sequence[Path], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = [pq.read_schema(part) for part in parts] or [pa.schema([("id", pa.string())])]
    try:
        schema = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise OutputError(f"{target}: the rows have no common types: {error}: save as jsonl.zst") from error
    with atomic(target) as out, pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for part in parts:
            for batch in pq.ParquetFile(part).iter_batches(4096):
                table = pa.Table.from_batches([batch])
                for name in schema.names:
                    if name not in table.column_names:
                        table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
                writer.write_table(table.select(schema.names).cast(schema))


def _to_datasets(data: Path, digest: str) -> None:
    """Parquet parts -> a folder that `datasets.load_from_disk` loads, in the same place. Can be done again when killed."""
    import datasets

    old, made = data.parent / "work" / "parts", data.parent / "work" / "saved"
    if (data / "dataset_info.json").is_file():
        return
    if old.is_dir():  # killed between the two renames below: `data` was made again, empty
        shutil.rmtree(data, ignore_errors=True)
        old.rename(data)
    parts = sorted(str(p) for p in data.glob("*.parquet"))
    datasets.disable_progress_bars()
    if parts:
        table = datasets.Dataset.from_parquet(parts, cache_dir=str(data.parent / "work" / "datasets"))
    else:
        table = datasets.Dataset.from_dict({"id": []}, features=datasets.Features({"id": datasets.Value("string")}))
    # Anew, because what the library notes of the files that it read (their paths, times) differs from run to run.
    table = datasets.Dataset(table.data, info=datasets.DatasetInfo(features=table.features), fingerprint=digest)
    shutil.rmtree(made, ignore_errors=True)
    table.save_to_disk(str(made))
    data.rename(old)
    made.rename(data)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one run at a time. Raises OutputError when another process works in it."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / ".lock", "w")  # held open as long as the lock  # noqa: SIM115
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{folder}: another run of curate is working there") from error
        yield
    finally:
        handle.close()
