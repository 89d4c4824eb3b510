"""The contracts: what a step, a job and a stage are. Everything else in `curate` is one of these or serves them.

A **step** is a frozen pydantic model that holds options and nothing else. `bind()` is called once per worker: it does the
heavy imports, loads models, and returns a function on batches. There are four kinds:

* `Filter`   measures: batch -> one score column or more; its `rules()` say which values are kept, and the reason otherwise.
* `Rewrite`  changes strings: series -> series of the same length, for every text of a row (each message of a chat).
* `Map`      changes or adds columns: batch -> frame of those columns, same rows, same order.
* `Expand`   makes new rows: batch -> frame with a column `parent`, the position of the row that each came from.

Whatever needs the whole dataset is a **job**, made of **stages**: `Rows` (row by row over shards, books kept by the runner),
`Shards` (own work on every shard), `Exchange` (own work on every partition of files), `Single` (own work, once).

Work travels to workers as JSON: a worker rebuilds the job from its options and asks it for its stages again.
Options are declared here once; command line, recipe, Python API, JSON Schema and reference docs all come from the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Batch",
    "Exchange",
    "Expand",
    "Filter",
    "FormatName",
    "InputJob",
    "Job",
    "Map",
    "Options",
    "Reading",
    "Rewrite",
    "Rows",
    "RowsJob",
    "Rule",
    "SaveAs",
    "Shards",
    "Single",
    "Stage",
    "Step",
    "Work",
]

T = TypeVar("T")

FormatName = Literal["text", "instruction", "chat", "preference"]
"""The four formats of DESIGN and `schemas/`."""

Reading = Literal["text", "instruction", "chat", "preference", "html", "record"]
"""How a job reads its rows: one of the four formats; raw pages (`html`); or any JSON object, whole (`record`)."""

SaveAs = Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet", "datasets"]
"""Kinds of files that rows are written as."""


class Options(BaseModel):
    """Declared options: frozen, and nothing undeclared is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Batch:
    """Rows on their way through the steps.

    frame: the rows' columns; `id` (string, never null) is always there.
    text:  what each row reads as, by its format (string, never null); given as a function, it is made when first asked for.
    row:   position of each row among the readable rows of its shard (int64): where per-row results of earlier stages stand.
    shard: number of the shard that the rows came from.
    """

    __slots__ = ("_shared", "_text", "frame", "row", "shard")

    def __init__(self, frame: pl.DataFrame, text: pl.Series | Callable[[], pl.Series], row: pl.Series, shard: int = 0) -> None:
        self.frame = frame
        self._text = text
        self.row = row
        self.shard = shard
        self._shared: dict[tuple[Any, ...], Any] = {}

    def __len__(self) -> int:
        return self.frame.height

    @property
    def text(self) -> pl.Series:
        if callable(self._text):
            self._text = self._text()
        return self._text

    def share(self, analysis: Callable[..., T], *args: Any) -> T:
        """`analysis(self, *args)`, computed once for this batch however many steps ask. `args` must be hashable."""
        key = (analysis, *args)
        if key not in self._shared:
            self._shared[key] = analysis(self, *args)
        result: T = self._shared[key]
        return result


class Step(Options):
    """One row-wise operation. Subclasses give `step` a Literal default: its name in recipes."""

    step: str
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Of a step with an option `variant`: what the options are under each name, where that is not the declared default. An
    option that is given stands. So a step always holds the values it works with, and `run.json` shows them."""

    @property
    def releases_gil(self) -> bool:
        """Whether what `bind()` returns spends its time in kernels and polars, with no Python for each row: threads do as
        well as processes. Steps that always do say `releases_gil: ClassVar[bool] = True`."""
        return False

    @model_validator(mode="before")
    @classmethod
    def _as_the_variant_has_it(cls, given: Any) -> Any:
        if not cls.variants or not isinstance(given, dict):
            return given
        variant = given.get("variant")
        return {**cls.variants.get(variant, {}), **given} if isinstance(variant, str) else given

    def needs(self) -> tuple[str, ...]:
        """Columns besides the text that the step reads; a row without one has null there."""
        return ()

    def reads(self) -> tuple[str, ...]:
        """Columns besides the text that the runner takes out of each row for the step."""
        return self.needs()

    def bind(self) -> Callable[[Any], Any]:
        """The work itself, ready to run in this process. See the kinds of step for what goes in and out."""
        raise TypeError(f"{type(self).__name__} declares no bind()")


class Rule(NamedTuple):
    """A row is kept when its score is not null (nothing to judge) and within the limits: min <= score <= max, or `among`.

    A limit of None is off; a rule with no limit at all is not applied (and its score need not be computed).
    """

    reason: str
    score: str
    min: float | None = None
    max: float | None = None
    among: tuple[str, ...] | None = None

    @property
    def on(self) -> bool:
        return self.min is not None or self.max is not None or self.among is not None


class Filter(Step):
    """Measures rows; `bind()` returns batch -> frame with one row a row and a column for each score that a rule names.

    The runner applies `rules()` in order: the first that a row fails is its reason, and the score that decided is written
    with the dropped row. Scores must not depend on the other rows of the batch: rows that an earlier filter dropped may still
    be among them. The text that a filter gets has `\\n` for `\\r\\n`, so that line ends do not matter; what is written keeps
    them.
    """

    from_scores: bool = Field(
        False,
        description="Read the scores from the columns `STEP.SCORE` of an earlier run with `keep_scores`, and compute nothing.",
    )

    def reads(self) -> tuple[str, ...]:
        """With `from_scores` only the columns of the scores that the rules judge."""
        if not self.from_scores:
            return self.needs()
        return tuple(dict.fromkeys(self.score_column(rule.score) for rule in self.rules() if rule.on))

    def score_column(self, score: str) -> str:
        """The column that one of its scores is kept as."""
        return f"{self.step}.{score}"

    def score_columns(self) -> tuple[str, ...]:
        """The columns that its scores are kept as."""
        return tuple(dict.fromkeys(self.score_column(rule.score) for rule in self.rules()))

    def rules(self) -> tuple[Rule, ...]:
        """The rules in order of precedence; `reason` is unique."""
        raise TypeError(f"{type(self).__name__} declares no rules()")


class Rewrite(Step):
    """Changes strings; `bind()` returns series of strings -> series of the same length. Never null, may be empty.

    Applied to every text of a row: for chats to each message's content. Applying it twice must change nothing more.
    What it counts on the way goes to `stats.json`, under `step_counts`: the bound function may have a method `counts()`, which
    says how many of each name there were since it was last called (`{"email": 2}`).
    """


class Map(Step):
    """Adds or replaces columns; `bind()` returns batch -> frame with the columns of `adds()`, same rows, same order."""

    def adds(self) -> tuple[str, ...]:
        """Columns that the step writes. One that the input holds already is replaced."""
        raise TypeError(f"{type(self).__name__} declares no adds()")


class Expand(Step):
    """Makes new rows; `bind()` returns batch -> frame with `parent` (position in the batch) and the columns of `makes()`.

    Each new row keeps its parent's other columns. Where a row makes one, that keeps its id; where it makes several, they get
    ids `<parent's id>#<n>` and a column `parent_id`. With `one_to_one` no row makes several.
    A row that makes none is dropped for `reason`. `drops()` names columns of the parent that the new rows do not keep; None:
    all of them. The bound function may have a method `counts()`, as that of a `Rewrite`.

    What cannot be worked on, a row or a part of one, is given up by a line with its `parent`, in the column `reason` one of
    `gives_up`, in `value` what showed it, and, where there is a column `left`, the part that is given up as text: such a line
    is a row that is dropped. On other lines `reason` is null.
    """

    reason: ClassVar[str]
    gives_up: ClassVar[tuple[str, ...]] = ()
    """Reasons for which the step gives rows up."""
    one_to_one: ClassVar[bool] = False

    def makes(self) -> tuple[str, ...]:
        """Columns of the new rows, besides `parent`."""
        raise TypeError(f"{type(self).__name__} declares no makes()")

    def makes_format(self) -> FormatName | None:
        """Which of the formats the new rows are in; None: that of their parents."""
        raise TypeError(f"{type(self).__name__} declares no makes_format()")

    def drops(self) -> tuple[str, ...] | None:
        """Columns of the parent that go."""
        return ()


class Work(Protocol):
    """What the engine hands to a stage's own work."""

    folder: Path
    """The job's folder: `data/` for results; `work/` for what stages leave to one another, removed when the job is done."""

    index: int
    """Number of the shard (`Shards`) or partition (`Exchange`); 0 for `Single`."""

    shards: int
    """How many shards the input has."""

    own_shards: int
    """How many of them are of `input`; those that follow are of what the job reads beside it (`InputJob.beside`)."""

    files: dict[str, str]
    """Addresses of the files that are read, by the name that their rows go by."""

    reading: Reading
    """How the job's own rows are read."""

    results: dict[str, list[Result]]
    """What the finished stages of this job returned, by stage name, in order of shard or partition."""

    def batches(self) -> Iterator[Batch]:
        """Rows as the job reads them: of this shard (`Shards`), or of all shards in order (`Single`).

        Rows that cannot be read, or have no text, are left out here; a `Rows` stage books them. `Batch.row` counts on
        over a shard, so that it is the same in every stage.
        """
        ...

    def drop(self, batch: Batch, rows: Sequence[int], reasons: Sequence[str]) -> None:
        """Leave out rows of a batch, by their positions in it: written to `dropped/` and counted by reason.

        For the first `Shards` stage of a job without `Rows`, while it reads: it is the one that keeps the books.
        """
        ...

    def reject(self, batch: Batch, rows: Sequence[int], errors: Sequence[str]) -> None:
        """Leave out rows of a batch that cannot be worked on: written to `rejected/` and counted. See `drop`."""
        ...

    def progress(self, rows: int, bytes: int) -> None:
        """Tell the person waiting that this much more is done."""
        ...

    def say(self, message: str, passing: bool = False) -> None:
        """One line to the person waiting. `passing`: how far it is, soon replaced by the next."""
        ...


Result = dict[str, Any]
"""What a stage's own work returns: JSON. A number under `rows_out`, `rows_in`, `bytes_out` is shown in the run's table."""


def _nothing_left(folder: Path) -> tuple[Step, ...]:
    return ()


@dataclass(frozen=True)
class Rows:
    """Row by row over the shards of the input; the runner reads, applies the steps, splits, writes and counts."""

    steps: tuple[Step, ...]
    name: str = "rows"
    left: Callable[[Path], tuple[Step, ...]] = _nothing_left
    """Steps that read what earlier stages left in the job's folder; they come before `steps`. Asked for before these stages
    have run too, for the columns that the steps read and write."""


@dataclass(frozen=True)
class Shards:
    """Own work on every shard of the input, in a worker. `releases_gil`: as `Step` has it, or told from the results of the
    stages before."""

    name: str
    work: Callable[[Work], Result]
    releases_gil: bool | Callable[[dict[str, Any]], bool] = False


@dataclass(frozen=True)
class Exchange:
    """Own work on every partition 0..partitions-1, in a worker: grouping by key through files of `work/`."""

    name: str
    partitions: int
    work: Callable[[Work], Result]
    releases_gil: bool = False


@dataclass(frozen=True)
class Single:
    """Own work, once, in the main process."""

    name: str
    work: Callable[[Work], Result]


Stage = Rows | Shards | Exchange | Single


class Job(Options):
    """Whole-dataset work: one command, one entry of a recipe. Subclasses give `job` a Literal default: the command's words."""

    writes_rows: ClassVar[bool] = False
    """Whether `data/` holds rows or pages that a job which names no input reads."""

    grows: ClassVar[tuple[str, ...]] = ()
    """Options that name a folder which the job itself adds to: one run at a time, and what is in there does not make a finished
    run out of date."""

    job: str
    name: str = Field("", description="Name in the recipe, for `job:NAME` references and the folder; default: the job's.")

    def stages(self) -> tuple[Stage, ...]:
        """The stages in order. Must depend on the options alone: workers ask again."""
        raise TypeError(f"{type(self).__name__} declares no stages()")

    def guard(self, folder: Path, follows: bool) -> None:
        """Raise OutputError where what an earlier run left in `folder` must not be replaced by this one without being asked.

        Asked before the folder is cleared. follows: what the job reads is made by its own run, and so belongs together.
        """

    def label(self) -> str:
        """The job's name in its run."""
        return self.name or self.job.replace(" ", "-")

    def peak_memory(self, bytes: int, rows: int) -> int | None:
        """Most bytes of memory of a worker, for about so many bytes (uncompressed) and rows of input; None: cannot be told."""
        return None

    def disk(self, bytes: int) -> int | None:
        """About how many bytes are written for so many bytes (uncompressed) of input; None: cannot be told."""
        return None

    def comes_to(self, sample: Batch, rows: int) -> str | None:
        """What the job costs besides memory and disk, for about so many rows like the sample: requests. None: nothing."""
        return None


class InputJob(Job):
    """A job that reads rows."""

    input: tuple[str, ...] = Field(
        (),
        description="Files, folders, globs or fsspec addresses (`s3://...`) to read, or `hf:NAME@SPLIT` of the hub. In a "
        "recipe `job:NAME` is what an earlier job wrote; nothing means what the job before wrote.",
    )
    format: Literal["auto"] | FormatName = Field(
        "auto", description="Which of the four formats the rows are in; auto: told from the first row, and said."
    )
    text_column: str = Field("text", description="Where the text stands in rows of the text format.")
    max_errors: int = Field(
        0,
        ge=0,
        description="Rejected rows (unreadable, or a step failed on them) that the run may have and still succeed.",
    )

    def reading(self) -> Reading | Literal["auto"]:
        """How rows are read."""
        return self.format

    def says(self, first: Callable[[], Any]) -> tuple[str, ...]:
        """Lines to tell before the job runs. `first()` is its first row, decoded; None where there is none."""
        return ()

    places: ClassVar[bool] = False
    """Whether the batches of the job's own stages say where each row stands: the columns of `curate.io.rows.PLACE`."""

    def needs(self) -> tuple[str, ...]:
        """Columns besides the text that the job's own stages read from their batches."""
        return ()

    def beside(self) -> tuple[str, ...]:
        """Addresses that the job reads beside `input`, such as examples of another class.

        Their shards come after those of `input` and hold no row of it. Their format is told on its own. `Rows` stages see
        the shards of `input` alone.
        """
        return ()

    def peak_memory(self, bytes: int, rows: int) -> int | None:
        """Jobs that hold something for every row add it.

        Measured as the maximum resident set (getrusage) of a worker that read JSON Lines of 4.5 kB a row (72,324 rows, 327 MB,
        74 sources) and wrote them, several times: 348 to 449 MB, of which 247 MB are the libraries; 342 MB for the first 98 MB
        of the same; 449 MB with seven steps (unicode to c4_quality) on the first 81 MB. A few chunks of 8 MB are held at a
        time, whatever the size of the input.
        """
        return 500_000_000


class RowsJob(InputJob):
    """A job that reads rows and writes rows."""

    writes_rows: ClassVar[bool] = True

    save_as: SaveAs | None = Field(
        None,
        description="Files to write: jsonl, jsonl.gz, jsonl.zst, parquet or datasets; default: by the output's name, else"
        " jsonl.zst.",
    )
    wrap: bool = Field(False, description='Write chats as {"messages": [...]} rather than as bare arrays.')

    def disk(self, bytes: int) -> int | None:
        """Kept and dropped rows together are about the input, compressed.

        Measured on 327 MB of JSON Lines in 74 sources: 107 MB as jsonl.zst, 108 as jsonl.gz, 122 as Parquet. `datasets` folders
        are not compressed.
        """
        share = {"jsonl": 1.0, "jsonl.gz": 0.33, "jsonl.zst": 0.33, "parquet": 0.37, "datasets": 1.0}
        return round(bytes * share[self.save_as or "jsonl.zst"])
