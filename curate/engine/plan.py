"""What a job will do, decided before it starts: which shards, how rows are read, what is written, under which digest."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import curate
from curate.catalog import parse_job
from curate.declare import Expand, Filter, InputJob, Job, Map, Options, Reading, Rows, RowsJob, SaveAs, Step
from curate.engine.pipeline import TAG
from curate.engine.scores import check_scores
from curate.errors import InputError, UsageError
from curate.formats.readings import detect, pick
from curate.io.files import Shard, Source, cut, is_remote, open_bytes, resolve
from curate.io.read import read
from curate.io.rows import REST, Take
from curate.io.write import rest_types
from curate.recipe import REFERENCE

__all__ = ["Plan", "load_plan", "make_plan"]


class Plan(Options):
    """All that a worker needs to know of a job; travels as the file `plan.json` of the job's folder."""

    job: dict[str, Any]
    folder: str
    digest: str
    inputs: tuple[str, ...] = ()
    shards: tuple[Shard, ...] = ()
    reading: Reading | None = None
    text_column: str = "text"
    take: Take | None = None
    own_shards: int = 0
    """Shards of `inputs`; those that follow are of what the job reads beside them."""
    beside_reading: Reading | None = None
    """How the rows of the shards beside are read."""
    beside_take: Take | None = None
    save_as: SaveAs = "jsonl.zst"
    alone: str | None = None
    """A column of JSON text that is the whole output row: `messages` (bare chats), `record` (rows that pass unchanged)."""
    json_columns: tuple[str, ...] = ()
    """Columns of the output that hold JSON text."""
    types: dict[str, str] = {}
    """Columns that the rest of a JSONL row becomes in Parquet."""
    scores: tuple[str, ...] = ()
    """Score columns of the output: a null in them is written, so that it can be told from a score that is not there."""
    notes: tuple[str, ...] = ()

    def the_job(self) -> Job:
        """The job, from its options."""
        return parse_job(self.job)

    def how(self, index: int) -> tuple[Reading, Take]:
        """How the rows of a shard are read, and which of their columns."""
        own = index < self.own_shards
        reading, take = (self.reading, self.take) if own else (self.beside_reading, self.beside_take)
        assert reading is not None
        assert take is not None
        return reading, take

    @property
    def bytes(self) -> int:
        """Bytes on disk to read."""
        return sum(shard.bytes for shard in self.shards)


@lru_cache(maxsize=8)
def load_plan(path: str, digest: str) -> Plan:
    """The plan written at `path`. `digest` makes a new plan under an old name a new one."""
    return Plan.model_validate_json(Path(path).read_bytes())


def make_plan(
    job: Job, folder: Path, save_as: SaveAs | None = None, upstream: Sequence[str] = (), target: Path | None = None
) -> Plan:
    """Look at the job's input and decide everything. Reads the first rows; writes nothing.

    save_as: what the name of the output says. upstream: digests of the jobs whose output this one reads; they stand for what
    lies beside `folder`, in the folder of the run. target: the single file that the rows go to.
    Raises InputError (nothing to read, a format that cannot be told), UsageError (steps that do not fit together).
    """
    options = job.model_dump(mode="json")
    beside = f"{folder.parent}/" if upstream else None
    if not isinstance(job, InputJob):
        return Plan(job=options, folder=str(folder), digest=_digest(job, [], upstream, beside))
    sources, notes = _sources(job, job.input, folder, target)
    shards = cut(sources)
    rows = [stage for stage in job.stages() if isinstance(stage, Rows)]
    steps = [step for stage in rows for step in (*stage.left(folder), *stage.steps)]
    scores = _check_steps(job, steps)
    name, bare = _told(job, shards)
    if job.reading() == "auto":
        notes.append(f"format: {name}")
    notes += job.says(lambda: _first_row(shards))
    take = _take(job, name, steps, scores)
    other_shards: list[Shard] = []
    other_name: Reading | None = None
    if job.beside():
        others, more = _sources(job, job.beside(), folder, target)
        if both := {s.address for s in sources} & {s.address for s in others}:
            raise InputError(f"{job.job}: {sorted(both)[0]}: named on both sides")
        other_shards = [Shard(index=len(shards) + i, pieces=shard.pieces) for i, shard in enumerate(cut(others))]
        other_name, _ = _told(job, other_shards)
        sources, notes = [*sources, *others], [*notes, *more]
    reads = [step for step in steps if isinstance(step, Filter) and step.from_scores]
    if reads and (first := _first_row(shards)) is not None:
        for step in reads:
            check_scores(step, first, shards[0].pieces[0].source.address)
    makes = [made for step in steps if isinstance(step, Expand) and (made := step.makes_format())]
    kind = (job.save_as if isinstance(job, RowsJob) else None) or save_as or "jsonl.zst"
    columnar = kind in ("parquet", "datasets")
    alone = "record" if name == "record" and not makes else None
    if (makes[-1] == "chat" if makes else bare) and not columnar and not (isinstance(job, RowsJob) and job.wrap):
        # A bare array has no room for anything else, so rows with more in them are wrapped.
        keeps = any(getattr(job, option, False) for option in ("keep_scores", "keep_extra", "tag"))
        alone = None if keeps or set(take.replaced) - {"messages", "parent_id", REST} else "messages"
        if alone is None:
            notes.append('chats are written as {"messages": [...]}: a bare array has no room for other columns')
    types: dict[str, str] = {}
    if columnar:
        types = next((rest_types(chunk.frame) for shard in shards for chunk in read(shard, take) if chunk.frame.height), {})
    return Plan(
        job=options,
        folder=str(folder),
        digest=_digest(job, sources, upstream, beside),
        inputs=(*job.input, *job.beside()),
        shards=(*shards, *other_shards),
        own_shards=len(shards),
        beside_reading=other_name,
        beside_take=_take(job, other_name, (), ()) if other_name else None,
        reading=name,
        text_column=job.text_column,
        take=take,
        save_as=kind,
        alone=alone,
        json_columns=("messages",) if name == "chat" or "chat" in makes else (),
        types=types,
        scores=(*scores, *take.needed),
        notes=tuple(notes),
    )


def _sources(job: InputJob, addresses: Sequence[str], folder: Path, target: Path | None) -> tuple[list[Source], list[str]]:
    """The files to read, and what a person should know of those that are left out."""
    if not addresses:
        raise UsageError(f"{job.job}: nothing to read was named (in a recipe, the first job must name its input)")
    for address in addresses:
        if target is not None and not is_remote(address) and target.resolve() == Path(address).resolve():
            raise UsageError(f"{address}: the output would overwrite the input; name another file")
    sources, ignored = resolve(addresses)
    notes = []
    written = [s for s in sources if _is_output(s, folder, target)]
    if written:
        sources = [s for s in sources if s not in written]
        notes.append(f"left out, written by this very command: {written[0].address}")
    if ignored:
        more = f" and {len(ignored) - 3} more" if len(ignored) > 3 else ""
        notes.append(f"left out, of no known kind: {', '.join(ignored[:3])}{more}")
    if all(s.size == 0 and s.kind != "hub" for s in sources):
        raise InputError(f"{', '.join(addresses[:3])}: empty, there is nothing to read")
    return sources, notes


def _check_steps(job: InputJob, steps: Sequence[Step]) -> list[str]:
    """That the steps fit together; the score columns that are kept."""
    if not getattr(job, "keep_scores", False):
        return []
    filters = [step for step in steps if isinstance(step, Filter)]
    # Scores that are read stand in the row already.
    scores = [column for step in filters if not step.from_scores for column in step.score_columns()]
    twice = next((column for column in scores if scores.count(column) > 1), None)
    if twice is not None:
        raise UsageError(f"{job.job}: two steps give the score '{twice}': with keep_scores, use each step once")
    return scores


def _told(job: InputJob, shards: Sequence[Shard]) -> tuple[Reading, bool]:
    """How the rows are read, and whether they are chats as bare arrays."""
    name = job.reading()
    if name == "auto":
        return _tell_format(job, shards)
    return name, name == "chat" and isinstance(_first_row(shards), list)


def _take(job: InputJob, name: Reading, steps: Sequence[Step], scores: Sequence[str]) -> Take:
    """The columns that the job wants of its rows."""
    reading = pick(name, job.text_column)
    tag = [TAG] if getattr(job, "tag", False) else []
    needs = (column for needs in (job.needs(), *(s.reads() for s in steps)) for column in needs)
    return Take(
        columns=reading.columns,
        json_columns=("messages",) if name == "chat" else (),
        array_as=reading.array_as,
        whole=name == "record",
        also=_unique(column for column in needs if column not in reading.columns),
        needed=_unique(c for step in steps if isinstance(step, Filter) and step.from_scores for c in step.reads()),
        replaced=_unique((*(c for step in steps for c in _written(step)), *scores, *tag)),
        places=job.places,
    )


def _unique(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _written(step: Step) -> tuple[str, ...]:
    """Columns that a step writes."""
    match step:
        case Map():
            return step.adds()
        case Expand():
            return (*step.makes(), *(() if step.one_to_one else ("parent_id",)))
        case _:
            return ()


def _first_row(shards: Sequence[Shard]) -> Any:
    """The first readable row, decoded; None when there is none."""
    whole = Take(columns=(), whole=True, array_as="record")
    for shard in shards:
        if shard.pieces[0].source.kind == "jsonl":
            for row in _head(shard.pieces[0].source):
                return row
        for chunk in read(shard, whole):
            if chunk.frame.height:
                return json.loads(chunk.frame["record"][0])
    return None


def _head(source: Source) -> Iterator[Any]:
    """Readable rows among the first lines of a JSONL file: a look at it need not read a block."""
    with contextlib.suppress(OSError, EOFError), open_bytes(source.address) as handle:
        for line in itertools.islice(iter(lambda: handle.readline(8 << 20), b""), 100):
            with contextlib.suppress(ValueError, RecursionError):
                row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
                if isinstance(row, dict | list):
                    yield row


def _tell_format(job: InputJob, shards: Sequence[Shard]) -> tuple[Reading, bool]:
    row = _first_row(shards)
    if row is None:
        where = shards[0].pieces[0].source.address
        raise InputError(f"{where}: no row in it can be read (see `curate validate`)")
    name = detect(row, job.text_column)
    if name is None:
        keys = ", ".join(list(row)[:8]) if isinstance(row, dict) else type(row).__name__
        raise InputError(
            f"{shards[0].pieces[0].source.address}: cannot tell the format; the first row holds: {keys}. "
            "Name the text with --text-column, or the format with --format, or run `curate convert` on it first"
        )
    return name, isinstance(row, list)


def _is_output(source: Source, folder: Path, target: Path | None) -> bool:
    if is_remote(source.address):
        return False
    place = Path(source.address).resolve()
    return place.is_relative_to(folder.resolve()) or (target is not None and place == target.resolve())


def _digest(job: Job, sources: Sequence[Source], upstream: Sequence[str], beside: str | None) -> str:
    """Changes when the result may: options, input, version of curate. The name and place of the output do not count.

    Upstream digests stand for what lies `beside` the job's folder, wherever that is.
    """
    options = _without(job.model_dump(mode="json", exclude={"name", "max_errors"}), beside)
    seen = [(s.name, s.size, s.stamp) for s in sources if beside is None or not s.address.startswith(beside)]
    read = {name: value for name, value in options.items() if name not in job.grows}
    facts = [options, seen, list(upstream), _stamps(read), curate.__version__]
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _without(value: Any, beside: str | None) -> Any:
    """Options with `job:` in place of the run's folder."""
    match value:
        case str() if beside is not None and value.startswith(beside):
            return f"{REFERENCE}{value.removeprefix(beside)}"
        case dict():
            return {key: _without(item, beside) for key, item in value.items()}
        case list():
            return [_without(item, beside) for item in value]
        case _:
            return value


def _stamps(value: Any) -> list[Any]:
    """Size and time of every local file that an option names: a tokenizer that changed makes another result."""
    match value:
        case str():
            if not value or len(value) > 1024 or is_remote(value) or "\n" in value:
                return []
            path = Path(value)
            if path.is_file():
                return [[value, path.stat().st_size, path.stat().st_mtime_ns]]
            if path.is_dir():
                files = sorted(p for p in path.rglob("*") if p.is_file())[:1000]
                return [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
            return []
        case dict():
            return [stamp for key in sorted(value) for stamp in _stamps(value[key])]
        case list() | tuple():
            return [stamp for item in value for stamp in _stamps(item)]
        case _:
            return []
