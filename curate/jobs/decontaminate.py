"""`curate decontaminate`: rows that hold items of the benchmarks a model will be measured on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from curate.declare import Batch, Filter, Map, Result, Rows, RowsJob, Rule, Shards, Single, Stage, Step, Work
from curate.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from curate.formats.items import Item
    from curate.formats.overlap import Match

__all__ = ["CutMatches", "Decontaminate", "DropMatches", "TagMatches"]

SHOWN = 2000
"""Characters of a row and of an item that are written of a match."""


PLACES = ("shard_row", "first_byte", "last_byte")
"""Where a match stands: the row in its shard, the bytes in its text."""


class Decontaminate(RowsJob):
    """Find rows that hold items of benchmarks, and drop them, cut the items out, or tag them.

    A row meets an item when both share a run of `ngram` words (Brown et al. 2020 compare 13-grams), or when it holds, close
    together, `min_overlap` of the item's 5-grams, weighted by how rare they are among the items: that finds an item in which
    some words are changed. Case, punctuation and white space do not count. n-grams that many items of a benchmark share
    are its template and do not count either. Of a question shorter than `ngram` words all words must be there, and its
    answer must stand near; where it has none, it must have 8 words. Questions of fewer than 5 words are not looked for, and
    counted.

    Every match is written to `matches/`: which item met which row, how much they share, whether the answer is there too, and
    both texts. The stats say for each benchmark how many of its items were met, and in how many rows.

    Cost: O(words), a look-up for each. Memory: the chunks of a worker, and 40 bytes a word of the benchmarks.
    At 10^9 rows of 5 kB: 5 TB are read twice.
    """

    job: Literal["decontaminate"] = "decontaminate"
    against: tuple[str, ...] = Field(
        min_length=1, description="Benchmarks: files and folders of items, as JSONL, JSON, Parquet or CSV."
    )
    questions: tuple[str, ...] = Field(
        (), description="Columns of the items that make up the question; default: all of the known names that a row has."
    )
    answers: tuple[str, ...] = Field((), description="Columns that hold the answer; default: the first known name.")
    ngram: int | None = Field(13, ge=5, description="Words in a run that make a match; null: runs do not count.")
    min_overlap: float | None = Field(
        0.7, gt=0, le=1, description="Share of an item that makes a match; null: runs alone count."
    )
    action: Literal["drop", "cut", "tag"] = Field(
        "drop",
        description="drop: rows that meet an item go; cut: what they share is taken out of the text (text format only); tag: "
        "rows stay and get the columns `contaminated_by` and `contamination`.",
    )

    @model_validator(mode="after")
    def _something_counts(self) -> Decontaminate:
        if self.ngram is None and self.min_overlap is None:
            raise ValueError("with neither ngram nor min_overlap nothing would ever match")
        return self

    def stages(self) -> tuple[Stage, ...]:
        return (
            Single("items", self._items),
            Shards("match", self._match),
            Single("report", self._report),
            Rows((), left=self._steps),
        )

    def _steps(self, folder: Path) -> tuple[Step, ...]:
        place = str(folder / "work")
        match self.action:
            case "drop":
                return (DropMatches(folder=place),)
            case "cut":
                return (CutMatches(folder=place, column=self.text_column),)
            case "tag":
                return (TagMatches(folder=place),)

    def _items(self, work: Work) -> Result:
        """Read the benchmarks once, before anything else, and say what can be looked for."""
        import numpy as np
        import polars as pl

        from curate.formats.items import read_items
        from curate.formats.overlap import SEED_WORDS, ItemIndex
        from curate.io.files import atomic

        items, notes = read_items(self.against, self.questions, self.answers)
        for note in notes:
            work.say(note)
        index = ItemIndex(items)
        short = int((index.words < SEED_WORDS).sum())
        alike = int(((index.weights == 0) & (index.words >= SEED_WORDS)).sum())
        if short:
            work.say(f"{short:,} of {len(items):,} items have fewer than {SEED_WORDS} words and are not looked for")
        if alike:
            work.say(f"{alike:,} of {len(items):,} items say nothing but what many others say and are not looked for")
        with atomic(work.folder / "work" / "items.parquet") as handle:
            frame = pl.DataFrame(items, schema=["benchmark", "row", "question", "answer"], orient="row")
            frame.with_columns(sought=pl.Series(index.weights > 0)).write_parquet(handle)
        return {"items": len(items), "sought": int(np.count_nonzero(index.weights))}

    def _match(self, work: Work) -> Result:
        """The matches of a shard: for the steps that follow, and in full for people."""
        import polars as pl

        from curate.analysis import words
        from curate.formats.overlap import ItemIndex
        from curate.io.files import atomic
        from curate.io.write import RowWriter

        items = _load_items(work.folder / "work")
        index = ItemIndex(items)
        verdicts: list[pl.DataFrame] = []
        rows = 0
        with RowWriter(work.folder / "matches" / f"{work.index:05d}.jsonl.zst", "jsonl.zst") as book:
            for batch in work.batches():
                found = batch.share(words)
                matches = index.matches(found, run=self.ngram, overlap=self.min_overlap)
                rows += len(batch)
                if matches:
                    shown = _shown(batch, matches, items, self.ngram)
                    book.write(shown.drop(PLACES))
                    verdicts.append(shown)
                work.progress(len(batch), int(batch.text.str.len_bytes().sum() or 0))
        with atomic(work.folder / "work" / "verdicts" / f"{work.index:05d}.parquet") as handle:
            (pl.concat(verdicts) if verdicts else pl.DataFrame(schema=_schema())).write_parquet(handle)
        return {"rows_in": rows, "matches": sum(part.height for part in verdicts)}

    def _report(self, work: Work) -> Result:
        """For each benchmark: its items, how many could be looked for, how many were met, and in how many rows."""
        import polars as pl

        folder = work.folder / "work"
        items = pl.read_parquet(folder / "items.parquet").with_row_index("item")
        paths = [folder / "verdicts" / f"{i:05d}.parquet" for i in range(work.shards)]
        columns = ["id", "benchmark", "item_row", "answered"]
        # Rows of different shards may bear one id; a shard's number tells them apart.
        met = pl.concat([pl.read_parquet(path, columns=columns).with_columns(shard=i) for i, path in enumerate(paths)])
        table: dict[str, Any] = {}
        for name, mine in items.group_by("benchmark", maintain_order=True):
            found = met.filter(pl.col("benchmark") == name[0])
            table[str(name[0])] = {
                "items": mine.height,
                "sought": int(mine["sought"].sum()),
                "met": found["item_row"].n_unique(),
                "met with the answer": found.filter("answered")["item_row"].n_unique(),
                "rows": found.select("shard", "id").n_unique() if found.height else 0,
            }
        return {"benchmarks": table}


class _FromVerdicts(Step):
    """What the steps read: the matches of each shard, in `folder`."""

    folder: str = Field(description="Where the stages before left their verdicts.")

    def reader(self) -> Callable[[Batch], pl.DataFrame]:
        """Batch -> its matches, with the position of the row in the batch as `at`."""
        import polars as pl

        held: dict[int, pl.DataFrame] = {}

        def of(batch: Batch) -> pl.DataFrame:
            if batch.shard not in held:
                held.clear()
                held[batch.shard] = pl.read_parquet(Path(self.folder) / "verdicts" / f"{batch.shard:05d}.parquet")
            rows = pl.DataFrame({"shard_row": batch.row.cast(pl.Int64)}).with_row_index("at")
            return rows.join(held[batch.shard], on="shard_row", how="inner", maintain_order="left_right")

        return of

    def best(self) -> Callable[[Batch], pl.DataFrame]:
        """Batch -> one row a row: its closest match, null where it has none."""
        import polars as pl

        read = self.reader()

        def of(batch: Batch) -> pl.DataFrame:
            closest = read(batch).sort("overlap", "run", descending=True, maintain_order=True).unique("at", maintain_order=True)
            rows = pl.DataFrame({"at": pl.int_range(len(batch), dtype=pl.UInt32, eager=True)})
            return rows.join(closest, on="at", how="left", maintain_order="left")

        return of


class DropMatches(_FromVerdicts, Filter):
    """Drops the rows that meet an item."""

    step: Literal["contamination"] = "contamination"

    def rules(self) -> tuple[Rule, ...]:
        """Any row that has a match is out: no value is among those allowed."""
        return (Rule("shared_run", "shares_a_run_with", among=()), Rule("holds_item", "holds", among=()))

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        best = self.best()
        named = pl.format("{} (run {}, overlap {})", _name(), pl.col("run"), pl.col("overlap").round(3))
        return lambda batch: best(batch).select(
            pl.when(pl.col("reason") == "shared_run").then(named).alias("shares_a_run_with"),
            pl.when(pl.col("reason") == "holds_item").then(named).alias("holds"),
        )


class TagMatches(_FromVerdicts, Map):
    """Says of every row which item it is closest to."""

    step: Literal["tag_contamination"] = "tag_contamination"

    def adds(self) -> tuple[str, ...]:
        return ("contaminated_by", "contamination")

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        best = self.best()
        return lambda batch: best(batch).select(
            pl.when(pl.col("benchmark").is_not_null()).then(_name()).alias("contaminated_by"),
            pl.col("overlap").alias("contamination"),
        )


class CutMatches(_FromVerdicts, Map):
    """Takes what rows share with items out of their texts."""

    step: Literal["cut_contamination"] = "cut_contamination"
    column: str = Field(description="The column of the text.")

    def adds(self) -> tuple[str, ...]:
        return (self.column,)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        read = self.reader()

        def cut(batch: Batch) -> pl.DataFrame:
            if self.column not in batch.frame.columns:
                raise UsageError("decontaminate: action cut is for the text format; drop or tag the rows of others")
            places = read(batch).sort("at", "first_byte")
            texts = {}
            # A loop over the rows that have matches, which are few.
            for (at,), mine in places.group_by("at", maintain_order=True):
                text, kept, end = str(batch.text[at]).encode(), [], 0
                for first, last in mine.select("first_byte", "last_byte").iter_rows():
                    kept.append(text[end : max(end, first)])
                    end = max(end, last)
                texts[at] = b"".join([*kept, text[end:]]).decode()
            left = batch.text.clone()
            if texts:
                left = left.scatter(list(texts), pl.Series(list(texts.values()), dtype=pl.String))
            return left.rename(self.column).to_frame()

        return cut


def _name() -> pl.Expr:
    """How an item is named: its file and its row, from 0."""
    import polars as pl

    return pl.format("{}#{}", pl.col("benchmark"), pl.col("item_row"))


def _load_items(folder: Path) -> list[Item]:
    import polars as pl

    from curate.formats.items import Item

    columns = pl.read_parquet(folder / "items.parquet").select("benchmark", "row", "question", "answer")
    return [Item(*row) for row in columns.iter_rows()]


def _shown(batch: Batch, matches: list[Match], items: list[Item], ngram: int | None) -> pl.DataFrame:
    """The matches of a batch as they are written."""
    import numpy as np
    import polars as pl

    from curate.analysis import buffers, words

    found = batch.share(words)
    offsets, _ = batch.share(buffers)
    row = np.array([match.row for match in matches])
    first = found.starts[found.bounds[row] + [match.first for match in matches]] - offsets[row]
    last = found.ends[found.bounds[row] + [match.last - 1 for match in matches]] - offsets[row]
    met = [items[match.item] for match in matches]
    texts = [
        text.encode()[a:b].decode()[:SHOWN]
        for text, a, b in zip(batch.text.gather(row), first.tolist(), last.tolist(), strict=True)
    ]
    runs = [ngram is not None and match.run >= ngram for match in matches]
    return pl.DataFrame(
        {
            "id": batch.frame["id"].gather(row),
            "benchmark": [item.benchmark for item in met],
            "item_row": [item.row for item in met],
            "reason": ["shared_run" if run else "holds_item" for run in runs],
            "run": [match.run for match in matches],
            "overlap": [match.overlap for match in matches],
            "answered": [match.answered for match in matches],
            "question": [item.question[:SHOWN] for item in met],
            "answer": [item.answer[:SHOWN] for item in met],
            "text": texts,
            "shard_row": batch.row.gather(row).cast(pl.Int64),
            "first_byte": first,
            "last_byte": last,
        },
        schema=_schema(),
    )


def _schema() -> dict[str, Any]:
    """Columns of the matches, in order; the last three are for the steps alone."""
    import polars as pl

    text, whole = pl.String, pl.Int64
    found = {"id": text, "benchmark": text, "item_row": whole, "reason": text, "run": whole, "overlap": pl.Float64}
    found |= {"answered": pl.Boolean, "question": text, "answer": text, "text": text}
    return found | dict.fromkeys(PLACES, whole)
