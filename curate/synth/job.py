"""What the jobs of `curate synth` have in common: their options, the stage that asks, the stage that books."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import ConfigDict, Field

from curate.declare import Batch, FormatName, Result, Rows, RowsJob, Single, Stage, Step, Work
from curate.models.options import Model
from curate.steps import AnyStep
from curate.synth.made import FORMATS, MadeRows, write_made
from curate.synth.novelty import Splitter
from curate.synth.sessions import Gone, Item, Made, Session, Speaker

if TYPE_CHECKING:
    from curate.models.ask import Ask
    from curate.models.asker import Asker
    from curate.models.progress import Progress
    from curate.synth.gates import Guard
    from curate.synth.novelty import Novelty
    from curate.synth.prompts import Prompts

__all__ = ["CACHE", "Columns", "SynthJob", "first_of"]

CACHE = "answers.sqlite"
"""The cache, in the folder that is named, else in the job's. It stays when options change."""

Method = Callable[[Item], Session[list[Made | Gone]]]

READ = ("text", "instruction", "output", "messages", "chosen", "rejected", "responses")
"""Columns of the input that methods read."""


class Columns(NamedTuple):
    """The format of a method's rows, and their columns besides those of the format and of where they come from."""

    format: FormatName
    texts: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    number_lists: tuple[str, ...] = ()


class SynthJob(RowsJob, Model):
    """A method on a model. Subclasses say which rows it makes and how it works on an item."""

    # Ten classes with a union of all steps: built when one is used, or every command would start 0.1 s later.
    model_config = ConfigDict(defer_build=True)

    grows: ClassVar[tuple[str, ...]] = ("cache",)

    method: ClassVar[str]
    blocks: ClassVar[Mapping[str, Sequence[str]]]

    prompts: str | None = Field(
        None, description="Jinja file with the prompts, made from a copy of ours (`curate synth prompts cp`); default: ours."
    )
    temperature: float = Field(1.0, ge=0, description="Temperature that answers are drawn at.")
    top_p: float = Field(1.0, gt=0, le=1, description="Share of the probability that answers are drawn from.")
    answer_tokens: int = Field(1024, ge=1, description="Most tokens of an answer.")
    keep_cut: bool = Field(False, description="Take answers that ended by their length; else they are failures.")
    corrections: int = Field(
        1, ge=0, description="How often an answer that cannot be read goes back to the model with what is wrong with it."
    )
    seed: int = Field(0, ge=0, description="Seed of all that is drawn, here and, where it takes one, by the model.")
    cache: str | None = Field(
        None,
        description="Folder that answers are kept in and read from, for runs that share it, one at a time; default: the job's.",
    )
    max_requests: int | None = Field(None, ge=1, description="Stop cleanly before more requests than this; run again to go on.")
    max_tokens: int | None = Field(None, ge=1, description="Stop cleanly before more tokens than this; run again to go on.")
    max_cost: float | None = Field(None, gt=0, description="Stop cleanly before this much money is spent; run again to go on.")
    first: int | None = Field(
        None, ge=1, description="Ask for the first so many rows alone, as a preview; the rest is dropped as `not_asked`."
    )
    novelty: float | None = Field(
        None, ge=0, le=1, description="Drop a row whose instruction has a ROUGE-L F above this with one before it, or a seed's."
    )
    splitter: Splitter = Field(
        "unicode",
        description="Words of ROUGE-L. unicode: of every script; rouge: runs of a-z and 0-9, as published, for English alone.",
    )
    min_words: int = Field(0, ge=0, description="Fewest words of what a row asks.")
    max_words: int | None = Field(None, ge=1, description="Most words of what a row asks.")
    refusals: bool = Field(False, description="Keep answers that refuse or apologise for being a model.")
    benchmarks: tuple[str, ...] = Field(
        (), description="Files of benchmark items: rows that hold so many words of one in a run are dropped."
    )
    benchmark_words: int = Field(13, ge=5, description="Words in a run that a row may not share with a benchmark item.")
    judge_floor: float | None = Field(
        None, ge=1, le=10, description="Have the model score each row, and drop those below this mean score (1 to 10)."
    )
    judge_criteria: tuple[str, ...] = Field(
        ("helpfulness", "correctness", "clarity"), min_length=1, description="What a judge scores."
    )
    keep_extra: bool = Field(False, description="Keep the other members of the row that each row was made from.")
    steps: tuple[AnyStep, ...] = Field(
        (), description="Steps for the rows that were made, such as `language` or `length`: names, or mappings with options."
    )

    def columns(self) -> Columns:
        """The columns of the rows that are made."""
        raise TypeError(f"{type(self).__name__} declares no columns()")

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        """What becomes of an item. One speaker for each of `models()`."""
        raise TypeError(f"{type(self).__name__} declares no work()")

    def calls(self, item: Item) -> int:
        """Requests that an item comes to when every answer can be read, the judge left out."""
        raise TypeError(f"{type(self).__name__} declares no calls()")

    def models(self) -> tuple[Model, ...]:
        """The models that are asked."""
        return (Model.model_validate({name: getattr(self, name) for name in Model.model_fields}),)

    def needs(self) -> tuple[str, ...]:
        return ("responses",)

    def stages(self) -> tuple[Stage, ...]:
        """Raises UsageError or InputError where the prompts cannot be used."""
        self._prompts()
        return (Single("ask", self._ask), Rows(self.steps, left=self._left))

    def comes_to(self, sample: Batch, rows: int) -> str | None:
        """What asking for so many rows like these comes to. Nothing is asked."""
        items = [item for item in self._of(sample) if item.text][: self.first]
        if not items:
            return None
        total = rows if self.first is None else min(rows, self.first)
        method = self.work(self._speakers([model.endpoint for model in self.models()]), self._prompts())
        first = [question.ask for item in items[:50] for question in first_of(method(item))]
        calls = round(sum(map(self.calls, items)) / len(items) * total)
        return self._plan(first, calls) + ("; and a request to the judge for each row" if self.judge_floor is not None else "")

    def _plan(self, asks: Sequence[Ask], total: int) -> str:
        """What so many requests like these come to."""
        from curate.models.cache import Cache
        from curate.models.plan import plan

        model = self.models()[0]
        kept = Path(self.cache) / CACHE if self.cache is not None else None
        cache = Cache(kept) if kept is not None and kept.is_file() else None
        endpoint = model.endpoint if cache is None else model.backend().endpoint
        return plan(asks, model.limits(), total=total, cache=cache, endpoint=endpoint).line()

    def _prompts(self) -> Prompts:
        from curate.synth.prompts import load_prompts

        return load_prompts(self.method, self.prompts, self.blocks)

    def _left(self, folder: Path) -> tuple[Step, ...]:
        columns = self.columns()
        gone = tuple(name for name in (self.text_column, *READ) if name not in FORMATS[columns.format])
        step = MadeRows(
            folder=str(folder / "work"),
            to=columns.format,
            texts=columns.texts,
            numbers=columns.numbers,
            lists=columns.lists,
            number_lists=columns.number_lists,
            keeps=tuple(dict.fromkeys(gone)) if self.keep_extra else None,
        )
        return (step,)

    def _ask(self, work: Work) -> Result:
        """Ask for every row; leave what became of each."""
        from curate.models.cache import Cache

        models = self.models()
        cache = Cache((Path(self.cache) if self.cache is not None else work.folder) / CACHE)
        limits = models[0].limits(self.max_requests, self.max_tokens, self.max_cost)

        def watch(progress: Progress) -> None:
            work.say(progress.line(), passing=True)

        with contextlib.ExitStack() as stack:
            askers = [stack.enter_context(model.asker(cache, limits, watch)) for model in models]
            prompts = self._prompts()
            results = self._results(work, askers, prompts)
            counts = write_made(work.folder / "work", results, self.method, f"{prompts.name}@{prompts.digest}")
        for asker in askers:
            work.say(f"{asker.backend.endpoint}: {asker.progress.line()}")
        return {**counts, **_totals([asker.progress for asker in askers])}

    def _results(self, work: Work, askers: Sequence[Asker], prompts: Prompts) -> Iterator[tuple[Item, list[Made | Gone]]]:
        """What each row becomes, in order."""
        from curate.synth.drive import drive
        from curate.synth.gates import only_new

        method = self._guard(prompts, askers).after(self.work(self._speakers(_endpoints(askers)), prompts))
        items = self._items(work)
        asked = islice(items, self.first)
        yield from only_new(drive(asked, method, [asker.answers for asker in askers]), self._novelty(work))
        for item in items:
            yield item, [Gone("not_asked", f"first {self.first}", item.text)]

    def _items(self, work: Work) -> Iterator[Item]:
        for batch in work.batches():
            yield from self._of(batch)
            work.progress(len(batch), 0)

    def _of(self, batch: Batch) -> Iterable[Item]:
        frame = batch.frame
        names = [name for name in READ if name in frame.columns]
        rows = frame.select(names).iter_rows(named=True) if names else ({} for _ in range(frame.height))
        for row, id_, text, columns in zip(batch.row.to_list(), frame["id"], batch.text, rows, strict=True):
            yield Item(batch.shard, row, id_, text, columns)

    def _novelty(self, work: Work) -> Novelty | None:
        """What new instructions are held against: those of the seeds, where the input has any."""
        from curate.synth.methods.turns import instruction_of
        from curate.synth.novelty import Novelty

        if self.novelty is None:
            return None
        held = Novelty(self.novelty, self.splitter)
        for batch in work.batches():
            if not {"instruction", "messages"} & set(batch.frame.columns):
                break
            for item in self._of(batch):
                held.add(instruction_of(item))
        return held

    def _speakers(self, endpoints: Sequence[str]) -> list[Speaker]:
        return [
            Speaker(
                number, model.model or Path(model.endpoint).name, endpoint, self.temperature, self.top_p, self.answer_tokens,
                self.seed, self.corrections, self.keep_cut,
            )
            for number, (model, endpoint) in enumerate(zip(self.models(), endpoints, strict=True))
        ]  # fmt: skip

    def _guard(self, prompts: Prompts, askers: Sequence[Asker]) -> Guard:
        from curate.synth.gates import Gates, Guard
        from curate.synth.methods.judge import BLOCKS
        from curate.synth.prompts import load_prompts

        gates = Gates(prompts, self.min_words, self.max_words, not self.refusals, self.benchmarks, self.benchmark_words)
        if self.judge_floor is None:
            return Guard(gates)
        judge = self._speakers(_endpoints(askers))[0].at(0.0)
        return Guard(gates, judge, load_prompts("judge", None, BLOCKS), self.judge_floor, self.judge_criteria)


def _endpoints(askers: Sequence[Asker]) -> list[str]:
    return [asker.backend.endpoint for asker in askers]


def first_of(session: Session[Any]) -> list[Any]:
    """The first requests of a session, which is then given up."""
    try:
        return next(session)
    except StopIteration:
        return []
    finally:
        session.close()


def _totals(progress: Sequence[Progress]) -> Result:
    """What was asked and spent, for `stats.json`: answers from the cache count as nothing."""
    failed: dict[str, int] = {}
    for one in progress:
        for kind, count in one.failed.items():
            failed[kind] = failed.get(kind, 0) + count
    return {
        "requests": sum(one.answered + one.failed.total() for one in progress),
        "prompt_tokens": sum(one.prompt_tokens for one in progress),
        "completion_tokens": sum(one.completion_tokens for one in progress),
        "cost": round(sum(one.cost for one in progress), 6),
        "failed": dict(sorted(failed.items())),
    }
