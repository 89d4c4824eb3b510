"""Tasks for people who rank answers: `curate rank export`."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from curate.declare import InputJob, Reading, Result, Shards, Single, Stage, Work
from curate.errors import InputError, OutputError
from curate.rank.sheets import SheetKind

__all__ = ["ExportTasks"]


class ExportTasks(InputJob):
    """Make tasks for people to rank answers, and the sheets to do it on.

    Reads prompts with several answers (with scores or without), preference rows, or one answer a row: those that rows or
    files give to the same prompt are joined, and the model is told by a column or by the file's name. Tasks are blind: who
    wrote an answer stands in `key.jsonl` alone, and answers come in an order drawn by the seed, for each annotator another.

    A task has 2 to 9 answers. Of more, so many are drawn; blank ones and all but one of equal ones go; a prompt with fewer than
    two left makes no task. What was dropped stands in `dropped/tasks.jsonl` with the reason. Answers that name a known model or
    vendor give themselves away: they are counted and told.

    Writes the campaign into `data/`: `campaign.json`, `tasks.jsonl` (schema task), `key.jsonl`, and `sheets/`. Votes come to
    `votes.jsonl` beside them (`curate rank import`); a campaign that has votes is never replaced.

    Memory: all tasks, about three times their text.
    """

    places: ClassVar[bool] = True

    job: Literal["rank export"] = "rank export"
    criteria: tuple[str, ...] = Field(
        ("overall",),
        min_length=1,
        description="What is ranked, each by itself; such as helpful, honest, harmless.",
    )
    answers: int = Field(9, ge=2, le=9, description="Most answers of a task; of more, so many are drawn.")
    overlap: int = Field(1, ge=1, description="How many annotators see each task.")
    annotators: tuple[str, ...] = Field(
        (), description="Names of the annotators, for sheets of their own with even shares; none: one sheet of all tasks."
    )
    gold: str | None = Field(
        None,
        description="JSONL of tasks with right ranks (`prompt`, `answers`, `ranks`), mixed in evenly; everybody gets them.",
    )
    instructions: str | None = Field(None, description="A file (Markdown) with what annotators are told.")
    sheets: tuple[SheetKind, ...] = Field(
        (), description="Sheets to write, a file an annotator: csv, xlsx, html, label-studio, argilla."
    )
    model_column: str = Field("model", description="Column that says who wrote an answer; rows without it: their file's name.")
    seed: int = Field(0, ge=0, lt=1 << 63, description="Another seed draws other orders, samples and assignments.")

    @field_validator("criteria", "annotators")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not 1 <= len(name) <= 64 or name != name.strip() or not name.isprintable():
                raise ValueError(f"{name!r}: a name has 1 to 64 characters, none of them a control, no space around it")
        if len({name.casefold() for name in names}) < len(names):
            raise ValueError("a name is there twice")
        return names

    @model_validator(mode="after")
    def _enough(self) -> ExportTasks:
        if self.annotators and self.overlap > len(self.annotators):
            raise ValueError(f"overlap {self.overlap}: there are {len(self.annotators)} annotators")
        return self

    def reading(self) -> Reading:
        return "record"

    def guard(self, folder: Path, follows: bool) -> None:
        """Votes are people's work: a campaign that has some, in its file or on its page, is not replaced."""
        from curate.rank.campaign import VOTES
        from curate.rank.page.store import has_votes

        data = folder / "data"
        path = data / VOTES
        if (path.is_file() and path.stat().st_size) or has_votes(data):
            raise OutputError(f"{data}: the campaign there has votes: name another folder, or move it away")

    def stages(self) -> tuple[Stage, ...]:
        return Shards("read", self._read), Single("tasks", self._tasks)

    def peak_memory(self, bytes: int, rows: int) -> int | None:
        return 500_000_000 + 3 * bytes

    def _read(self, work: Work) -> Result:
        """What the shard's rows hold, as lines of work/."""
        from curate.io.files import atomic
        from curate.rank.answers import read_answers

        with atomic(_part(work.folder, work.index)) as out:
            for batch in work.batches():
                ids, files = batch.frame["id"].to_list(), batch.frame["_file"].to_list()
                for row, one in read_answers(batch.frame["record"], self.model_column):
                    id, model = ids[row], _model_of(files[row]) if one.single else None
                    answers = [(said.text, said.model or model) for said in one.answers]
                    line = {"id": id, "prompt": one.prompt, "answers": answers, "single": one.single, "problem": one.problem}
                    out.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
                work.progress(len(batch), int(batch.frame["record"].str.len_bytes().sum()))
        return {}

    def _tasks(self, work: Work) -> Result:
        """Join, draw, write."""
        from curate.io.files import atomic
        from curate.rank.assignment import assigned
        from curate.rank.campaign import Campaign, write_campaign
        from curate.rank.sheets.writing import write_sheets
        from curate.rank.tasks import Candidate, Row, leaks, make_tasks, read_gold

        rows: list[Row] = []
        dropped: list[dict[str, str]] = []
        for index in range(work.shards):
            with _part(work.folder, index).open(encoding="utf-8") as lines:
                for line in lines:
                    one = json.loads(line)
                    if one["problem"]:
                        dropped.append({"id": one["id"], "reason": one["problem"], "value": ""})
                        continue
                    answers = tuple(Candidate(text, model, one["id"]) for text, model in one["answers"])
                    rows.append(Row(one["id"], tuple(one["prompt"]), answers, one["single"]))
        gold = read_gold(Path(self.gold)) if self.gold else []
        made = make_tasks(rows, gold, seed=self.seed, most=self.answers)
        dropped += made.dropped
        reasons = Counter(one["reason"] for one in dropped)
        told = ", ".join(f"{name} {n:,}" for name, n in sorted(reasons.items()))
        if len(made.tasks) <= sum(key.gold is not None for key in made.keys):
            raise InputError(
                f"rank export: no task can be made of the rows ({told or 'there are none'}): a task needs a prompt with two "
                "answers or more, in a row (prompt and responses, or a preference), or from rows or files with the same prompt"
            )
        campaign = Campaign(self.criteria, self.overlap, self.seed, self._told(), self.annotators)
        data = work.folder / "data"
        write_campaign(data, campaign, made.tasks, made.keys)
        with atomic(work.folder / "dropped" / "tasks.jsonl") as out:
            out.writelines((json.dumps(one, ensure_ascii=False) + "\n").encode() for one in dropped)
        found = leaks(made.tasks, made.keys)
        work.say(f"{len(made.tasks):,} tasks, {sum(len(task.answers) for task in made.tasks):,} answers, {len(gold):,} gold")
        if told:
            work.say(f"no task of these (see dropped/tasks.jsonl): {told}")
        for name, n in made.counts.items():
            if n:
                work.say(f"{name} left out of tasks: {n:,}")
        if found:
            most = ", ".join(f"{name} {n:,}" for name, n in found.most_common(5))
            work.say(f"answers that name a model or vendor, and may give themselves away: {most}")
        shares = assigned(campaign, [t.task for t in made.tasks], {k.task for k in made.keys if k.gold is not None})
        if self.annotators:
            sizes = [len(share) for share in shares.values()]
            work.say(f"each annotator has {min(sizes):,} to {max(sizes):,} tasks, gold among them")
        for note in write_sheets(data / "sheets", self.sheets, campaign, made.tasks, shares):
            work.say(note)
        return {
            "tasks": len(made.tasks),
            "gold": sum(key.gold is not None for key in made.keys),
            "no_task": dict(sorted(reasons.items())),
            "left_out": dict(sorted(made.counts.items())),
            "leaks": dict(sorted(found.items())),
        }

    def _told(self) -> str:
        if self.instructions is None:
            return ""
        try:
            return Path(self.instructions).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.instructions}: cannot be read as UTF-8 text: {error}") from error


def _part(folder: Path, index: int) -> Path:
    return folder / "work" / f"{index:05d}.jsonl"


def _model_of(file: Any) -> str:
    """A file's name without what says its kind: `answers/large.jsonl.gz` is `answers/large`."""
    name = str(file)
    for _ in range(2):
        stem, dot = os.path.splitext(name)
        name = (
            stem if dot.lower() in (".gz", ".zst", ".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv", ".arrow") else name
        )
    return name
