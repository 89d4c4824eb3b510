"""A recipe's jobs one after another in the run's folder; and a single job as a command runs it."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import curate
from curate.catalog import parse_job
from curate.compiled import is_compiled
from curate.declare import InputJob, Job, RowsJob, SaveAs
from curate.engine.rows import Report
from curate.engine.run import JobRun, Stats, locked, run_job
from curate.errors import InputError, OutputError, UsageError, nearest
from curate.io.files import atomic, kind_of
from curate.recipe import REFERENCE, Recipe, name_of, references

__all__ = ["RunStats", "Watcher", "output_digest", "place", "run_command", "run_recipe", "versions", "walk"]


class Watcher(Protocol):
    """Who is told how a run goes: the terminal, a log, nobody."""

    def job(self, label: str, number: int, of: int) -> None:
        """A job begins."""
        ...

    def stage(self, name: str, bytes: int) -> Report:
        """A stage begins that reads so many bytes; progress goes to what is returned."""
        ...

    def say(self, message: str, passing: bool = False) -> None:
        """One line worth knowing; a passing one says how far it is."""
        ...

    def done(self, stats: Stats) -> None:
        """The job is finished."""
        ...


@dataclass
class RunStats:
    """What a run did: its folder and each job's stats, in order."""

    folder: Path
    recipe: dict[str, Any]
    jobs: list[Stats] = field(default_factory=list)


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    names: tuple[str, ...] = ("polars", "pyarrow", "numba", "numpy", "ftfy", "resiliparse", "trafilatura", "tokenizers")
    names += ("sentencepiece", "torch", "transformers", "trl")
    found = {"curate": curate.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def walk(recipe: Recipe) -> Iterator[tuple[int, Job, Path, list[str]]]:
    """The recipe's jobs with what they read filled in: number, job, folder, and labels of the jobs that it reads from."""
    folders: dict[str, Path] = {}
    previous = ""
    for number, job in enumerate(recipe.jobs, 1):
        folder = recipe.folder() / name_of(job, number)
        options = job.model_dump(mode="json")
        if isinstance(job, InputJob) and not job.input:
            options["input"] = [REFERENCE + previous]
        reads = list(dict.fromkeys(references(options)))
        yield number, parse_job(_resolved(options, folders)), folder, reads
        folders[job.label()] = folder / "data"
        if job.writes_rows:
            previous = job.label()


def output_digest(stats: Stats) -> str:
    """Stands for what a finished job wrote in the digests of the jobs that read it."""
    return hashlib.blake2b(json.dumps([stats["digest"]]).encode(), digest_size=16).hexdigest()


def _resolved(value: Any, folders: dict[str, Path]) -> Any:
    match value:
        case str() if value.startswith(REFERENCE):
            name, slash, below = value.removeprefix(REFERENCE).partition("/")
            return str(folders[name]) + slash + below
        case dict():
            return {key: _resolved(item, folders) for key, item in value.items()}
        case list():
            return [_resolved(item, folders) for item in value]
        case _:
            return value


def run_recipe(recipe: Recipe, *, workers: int, watcher: Watcher) -> RunStats:
    """Run every job that is not done yet, in order; write `run.json` after each.

    Raises the error of the job that failed: what is finished stays, and the same call goes on from there.
    """
    folder = recipe.folder()
    run = RunStats(folder, recipe.model_dump(mode="json"))
    digests: dict[str, str] = {}
    with locked(folder):
        _say_compiling(watcher)
        for number, job, place, reads in walk(recipe):
            watcher.job(job.label(), number, len(recipe.jobs))
            try:
                job_run = JobRun(job, place, upstream=[digests[label] for label in reads])
            except InputError as error:
                raise _nothing_came(error, reads, run) from error
            stats = run_job(job_run, workers=workers, report=watcher.stage, say=watcher.say)
            digests[job.label()] = output_digest(stats)
            run.jobs.append(stats)
            watcher.done(stats)
            _write_run(folder, run)
    return run


def _nothing_came(error: InputError, reads: list[str], run: RunStats) -> InputError:
    """What an input that is missing or empty means inside a recipe: everything was dropped before."""
    for stats in run.jobs:
        if stats["name"] in reads and stats.get("rows_in", 0) and not stats.get("rows_out", 1):
            return InputError(
                f"nothing came out of job '{stats['name']}': of {stats['rows_in']} rows none was kept (see its dropped/)"
            )
    return error


def run_command(job: Job, output: str | None, *, workers: int, watcher: Watcher) -> RunStats:
    """Run one job as its command does: into a folder, or into a file with a folder `FILE.run` for the rest beside it."""
    folder, target, save_as = place(job, output)
    run = RunStats(folder, {"name": job.label(), "out": str(folder), "jobs": [job.model_dump(mode="json")]})
    with locked(folder):
        _say_compiling(watcher)
        watcher.job(job.label(), 1, 1)
        job_run = JobRun(job, folder, target=target, save_as=save_as)
        stats = run_job(job_run, workers=workers, report=watcher.stage, say=watcher.say)
        run.jobs.append(stats)
        watcher.done(stats)
        _write_run(folder, run)
    return run


def _say_compiling(watcher: Watcher) -> None:
    if not is_compiled():
        watcher.say("compiling kernels as they are needed, half a minute in all, once on this machine")


def place(job: Job, output: str | None) -> tuple[Path, Path | None, SaveAs | None]:
    """Where a command's output goes: its folder, the single file if the name is one, and the kind of file that it names."""
    if not output:
        return Path("runs") / job.label(), None, None
    kinds: dict[str, SaveAs] = {".jsonl": "jsonl", ".jsonl.gz": "jsonl.gz", ".jsonl.zst": "jsonl.zst", ".parquet": "parquet"}
    for ending, kind in kinds.items():
        if output.endswith(ending):
            if not isinstance(job, RowsJob):
                raise UsageError(f"-o {output}: `{job.job}` makes a folder; name one")
            if job.save_as not in (None, kind):
                raise UsageError(f"-o {output}: the name says {kind}, --save-as says {job.save_as}")
            return Path(output + ".run"), Path(output), kind
    if kind_of(output) is not None or output.endswith((".gz", ".zst", ".json")):
        raise UsageError(f"-o {output}: rows are written as {', '.join(kinds)}, or into a folder{nearest(output, kinds)}")
    if Path(output).is_file():
        raise OutputError(f"{output}: is a file; name a folder, or a file that ends in {', '.join(kinds)}")
    return Path(output), None, None


def _write_run(folder: Path, run: RunStats) -> None:
    content = {
        "curate": curate.__version__,
        "versions": versions(),
        "recipe": run.recipe,
        "jobs": run.jobs,
        "command": sys.argv,
    }
    with atomic(folder / "run.json") as handle:
        handle.write(json.dumps(content, indent=1, ensure_ascii=False).encode())
