"""What was made, on its way to the engine: written beside the job by its first stage, read by a step of its second."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from curate.declare import Batch, Expand, FormatName
from curate.synth.gates import GATES
from curate.synth.sessions import FAILURES, Gone, Item, Made

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FORMATS", "PROVENANCE", "REASONS", "MadeRows", "write_made"]

FORMATS: dict[FormatName, tuple[str, ...]] = {
    "text": ("text",),
    "instruction": ("instruction", "output"),
    "chat": ("messages",),
    "preference": ("instruction", "chosen", "rejected"),
}

PROVENANCE = ("method", "template", "model", "parents", "generation", "requests")
"""Columns that say where a row comes from: the method, its prompts (name and digest), the model, the ids of the input rows, how
many rows that were made stand between, and the keys of the requests in the cache."""

REASONS = (
    "no_information", "apology", "only_stop_words", "copied_prompt", "published_filter", "not_grounded", "answerable",
    "one_answer", "unchanged", "tie", "small_margin", "unsuitable", "not_asked",
)  # fmt: skip
"""Reasons for which methods give rows up, besides those of requests and gates."""


def write_made(folder: Path, results: Iterable[tuple[Item, list[Made | Gone]]], method: str, template: str) -> dict[str, int]:
    """Write what each item became, a file a shard; how many rows were made and given up. Items come shard by shard."""
    from curate.io.files import atomic

    counts = {"made": 0, "given_up": 0}
    for shard, of_shard in groupby(results, key=lambda result: result[0].shard):
        with atomic(_file(folder, shard)) as file:
            for item, lines in of_shard:
                for line in lines:
                    counts["made" if isinstance(line, Made) else "given_up"] += 1
                    row = {"row": item.row, **_columns(line, method, template)}
                    file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    return counts


def _columns(line: Made | Gone, method: str, template: str) -> dict[str, Any]:
    if isinstance(line, Gone):
        return {"reason": line.reason, "value": line.value, "left": line.left}
    columns = dict(line.columns)
    if "messages" in columns:
        text = json.dumps(columns["messages"], ensure_ascii=False, separators=(",", ":"))
        columns["messages"] = text.encode("utf-8", "replace").decode()
    origin = (method, template, line.model, line.parents, line.generation, line.requests)
    return {**columns, **dict(zip(PROVENANCE, origin, strict=True))}


def _file(folder: Path, shard: int) -> Path:
    return folder / "made" / f"{shard:05d}.jsonl"


class MadeRows(Expand):
    """Puts the rows that were made in place of those they were made from. `folder`: where they were left.

    Memory: what was made of one shard.
    """

    reason: ClassVar[str] = "made_nothing"
    gives_up: ClassVar[tuple[str, ...]] = (*FAILURES, *GATES, *REASONS)

    step: Literal["synth"] = "synth"
    folder: str
    to: FormatName
    numbers: tuple[str, ...] = ()
    """Further columns of numbers."""
    texts: tuple[str, ...] = ()
    """Further columns of texts."""
    lists: tuple[str, ...] = ()
    """Further columns of lists of texts."""
    number_lists: tuple[str, ...] = ()
    """Further columns of lists of numbers."""
    keeps: tuple[str, ...] | None = None
    """Columns of the input's format that go where its other columns stay; None: all go."""

    def makes(self) -> tuple[str, ...]:
        more = (*self.texts, *self.numbers, *self.lists, *self.number_lists)
        return tuple(dict.fromkeys((*FORMATS[self.to], *more, *PROVENANCE)))

    def makes_format(self) -> FormatName:
        return self.to

    def drops(self) -> tuple[str, ...] | None:
        return self.keeps

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        held: dict[int, pl.DataFrame] = {}
        schema = self._schema()

        def of(batch: Batch) -> pl.DataFrame:
            if batch.shard not in held:
                held.clear()
                held[batch.shard] = _read(_file(Path(self.folder), batch.shard), schema)
            rows = pl.DataFrame({"row": batch.row.cast(pl.Int64), "parent": pl.int_range(0, len(batch), eager=True)})
            found = rows.join(held[batch.shard], on="row", how="inner", maintain_order="left_right")
            return found.select("parent", *self.makes(), "reason", "value", "left")

        return of

    def _schema(self) -> dict[str, Any]:
        import polars as pl

        text, several = pl.String(), pl.List(pl.String())
        schema: dict[str, Any] = {"row": pl.Int64(), "reason": text, "value": text, "left": text}
        schema |= dict.fromkeys((*FORMATS[self.to], *self.texts, "method", "template", "model"), text)
        schema |= dict.fromkeys(self.numbers, pl.Float64())
        schema |= dict.fromkeys(self.number_lists, pl.List(pl.Float64()))
        schema |= dict.fromkeys((*self.lists, "parents", "requests"), several)
        return {**schema, "generation": pl.Int64()}


def _read(path: Path, schema: dict[str, Any]) -> pl.DataFrame:
    import polars as pl

    if not path.is_file() or path.stat().st_size == 0:
        return pl.DataFrame(schema=schema)
    return pl.read_ndjson(path, schema=schema)
