"""Text that was there before: lines, paragraphs and spans of words that an earlier row holds already, taken out of later ones.

The first occurrence in the order of the input stays. Two lines or paragraphs are equal when their words are, in lower case,
whatever stands between them. A span is a run of n words or more: a window of n words is taken out when an equal window begins
earlier in the input, in the same row too (Lee et al. 2021, "Deduplicating training data makes language models better", take
out every copy, of 50 tokens; here the first stays).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field

from curate.declare import Batch, Exchange, Filter, Map, Options, Result, Rule, Shards, Stage, Step, Work
from curate.errors import UsageError
from curate.grouping.occurrences import PARTITIONS, entries, mark, marked, put

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Inside", "InsideMethod", "TakeOut", "WordsLeft"]

InsideMethod = Literal["line", "paragraph", "span"]


class Inside(Options):
    """What is looked for inside texts."""

    methods: tuple[InsideMethod, ...]
    text_column: str
    min_unit_words: int
    span_words: int

    def stages(self, gone: Callable[[Work], NDArray[Any] | None]) -> tuple[Stage, ...]:
        """The stages that find it. `gone` gives the rows of a shard (sorted) that are out already, and count for nothing."""
        found: list[Stage] = []
        for method in self.methods:
            if method == "span":
                found += [
                    Shards("anchors", lambda work: self._anchors(work, gone(work))),
                    Exchange("match_anchors", PARTITIONS, lambda work: self._mark(work, "anchors", "all")),
                    Shards("windows", lambda work: self._windows(work, gone(work))),
                    Exchange("match_windows", PARTITIONS, lambda work: self._mark(work, "span", "later")),
                ]
            else:
                found += [
                    Shards(f"{method}s", lambda work, method=method: self._units(work, method, gone(work))),  # type: ignore[misc]
                    Exchange(
                        f"match_{method}s",
                        PARTITIONS,
                        lambda work, method=method: self._mark(work, method, "later"),  # type: ignore[misc]
                    ),
                ]
        return tuple(found)

    def steps(self, folder: Path, min_words_left: int) -> tuple[Step, ...]:
        """The steps that take it out."""
        shared = {**self.model_dump(), "folder": str(folder)}
        return WordsLeft(**shared, min_words_left=min_words_left), TakeOut(**shared)

    def _units(self, work: Work, method: InsideMethod, gone: NDArray[Any] | None) -> Result:
        import numpy as np

        tables = []
        for batch, row in self._batches(work, gone):
            found = _units_of(batch, method)
            counted = np.flatnonzero(found.words >= self.min_unit_words)
            document = np.searchsorted(found.bounds, counted, "right") - 1
            at = counted - found.bounds[document]
            tables.append(entries(found.hashes[counted], row[document], at, (found.ends - found.starts)[counted]))
        return _put(work, method, tables)

    def _anchors(self, work: Work, gone: NDArray[Any] | None) -> Result:
        import numpy as np

        from curate.analysis import words
        from curate.kernels.windows import anchors

        tables = []
        for batch, row in self._batches(work, gone):
            found = batch.share(words)
            at, hashes = anchors(found, self.span_words)
            document = np.searchsorted(found.bounds, at, "right") - 1
            tables.append(entries(hashes, row[document], at - found.bounds[document], np.ones(len(at))))
        return _put(work, "anchors", tables)

    def _windows(self, work: Work, gone: NDArray[Any] | None) -> Result:
        import numpy as np

        from curate.analysis import words
        from curate.kernels.windows import anchored

        repeated = marked(work.folder / "work" / "anchors", work.index)
        tables = []
        for batch, row in self._batches(work, gone):
            found = batch.share(words)
            wanted = np.zeros(len(found.hashes), bool)
            wanted[_places(found.bounds, row, repeated)] = True
            at, hashes = anchored(found, self.span_words, wanted)
            document = np.searchsorted(found.bounds, at, "right") - 1
            tables.append(entries(hashes, row[document], at - found.bounds[document], np.ones(len(at))))
        return _put(work, "span", tables)

    def _mark(self, work: Work, name: str, which: Literal["later", "all"]) -> Result:
        counts = mark(work.folder / "work" / name, work.index, work.shards, which)
        return {"repeated": counts["repeated"], **({"repeated_bytes": counts["size"]} if name in ("line", "paragraph") else {})}

    def _batches(self, work: Work, gone: NDArray[Any] | None) -> Iterator[tuple[Batch, NDArray[Any]]]:
        """The batches of a shard without the rows that are out already, and the numbers of the others."""
        import numpy as np
        import polars as pl

        for batch in work.batches():
            if self.text_column not in batch.frame.columns:
                raise UsageError(
                    f"dedupe: methods {', '.join(self.methods)} take text out of rows, which only the text format allows"
                )
            work.progress(len(batch), int(batch.text.str.len_bytes().sum() or 0))
            row = batch.row.to_numpy()
            if gone is not None and len(gone):
                stays = ~np.isin(row, gone)
                kept = pl.Series(stays)
                batch = Batch(batch.frame.filter(kept), batch.text.filter(kept), batch.row.filter(kept), batch.shard)
                row = row[stays]
            if len(row):
                yield batch, row


class _Marked(Inside):
    """What the steps read: the marked places of each shard, under `folder`."""

    folder: str = Field(description="Where the stages before left their marks.")

    def ranges(self) -> Callable[[Batch], tuple[NDArray[Any], NDArray[Any]]]:
        """Batch -> the bytes to take out, sorted and apart from one another: `(starts, ends)` in the buffer of the texts."""
        import numpy as np

        held: dict[int, dict[str, NDArray[Any]]] = {}

        def of(batch: Batch) -> tuple[NDArray[Any], NDArray[Any]]:
            from curate.analysis import buffers, words
            from curate.kernels.windows import covered

            if batch.shard not in held:
                held.clear()
                held[batch.shard] = {name: marked(Path(self.folder) / name, batch.shard) for name in self.methods}
            row = batch.row.to_numpy()
            starts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
            for name, table in held[batch.shard].items():
                if name == "span":
                    found = batch.share(words)
                    places = _places(found.bounds, row, table)
                    first, last = covered(found, places, self.span_words, batch.share(buffers)[0][1:])
                else:
                    units = _units_of(batch, cast("InsideMethod", name))
                    places = _places(units.bounds, row, table)
                    first, last = units.starts[places], units.ends[places]
                starts.append(first)
                ends.append(last)
            return _joined(np.concatenate(starts), np.concatenate(ends))

        return of


class WordsLeft(_Marked, Filter):
    """Drops the rows of which hardly anything is left when repeats are taken out; rows that lose nothing stay."""

    step: Literal["repeats"] = "repeats"
    min_words_left: int = Field(description="Fewest words that must be left.")

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("little_left", "words_left", min=self.min_words_left),)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, words

        ranges = self.ranges()

        def measure(batch: Batch) -> pl.DataFrame:
            starts, ends = ranges(batch)
            found = batch.share(words)
            inside = np.searchsorted(starts, found.starts, "right") - 1
            out = (inside >= 0) & (found.starts < ends[inside]) if len(starts) else np.zeros(len(found.starts), bool)
            kept = np.concatenate([[0], np.cumsum(~out)])
            left = np.diff(kept[found.bounds])
            offsets = batch.share(buffers)[0]
            touched = np.searchsorted(starts, offsets[1:]) > np.searchsorted(starts, offsets[:-1])
            return pl.select(pl.when(pl.Series(touched)).then(pl.Series(left.astype(np.float64))).alias("words_left"))

        return measure


class TakeOut(_Marked, Map):
    """Takes the marked places out of the texts, and the line ends that are then at their ends."""

    step: Literal["take_out"] = "take_out"

    def adds(self) -> tuple[str, ...]:
        return (self.text_column,)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        from curate.analysis import buffers
        from curate.kernels.columns import strings
        from curate.kernels.units import without

        ranges = self.ranges()

        def take_out(batch: Batch) -> pl.DataFrame:
            starts, ends = ranges(batch)
            if not len(starts):
                return batch.text.rename(self.text_column).to_frame()
            left = pl.Series(self.text_column, strings(*without(*batch.share(buffers), starts, ends)), dtype=pl.String)
            touched = left.str.len_bytes() < batch.text.str.len_bytes()
            return pl.select(pl.when(touched).then(left.str.strip_chars_end("\n")).otherwise(left).alias(self.text_column))

        return take_out


def _units_of(batch: Batch, method: InsideMethod) -> Any:
    return batch.share(_split, method == "paragraph")


def _split(batch: Batch, paragraphs: bool) -> Any:
    from curate.analysis import buffers, words
    from curate.kernels.units import units

    return units(*batch.share(buffers), batch.share(words), paragraphs)


def _put(work: Work, name: str, tables: list[NDArray[Any]]) -> Result:
    import numpy as np

    if tables:
        put(work.folder / "work" / name, work.index, np.concatenate(tables))
    return {"entries": sum(len(table) for table in tables)}


def _places(bounds: NDArray[Any], row: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """Where the entries of a shard stand among the things of a batch, in order: entries of other batches are left out.

    bounds: int64[n+1], the things of each row of the batch. row: int64[n], sorted. table: sorted by row and place.
    """
    import numpy as np

    if not len(row):
        return np.zeros(0, np.int64)
    first, last = np.searchsorted(table["row"], [row[0], row[-1] + 1])
    mine = table[first:last]
    document = np.minimum(np.searchsorted(row, mine["row"]), len(row) - 1)
    there = row[document] == mine["row"]
    places: NDArray[Any] = bounds[document[there]] + mine["at"][there]
    return places


def _joined(starts: NDArray[Any], ends: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ranges sorted, those that overlap as one; those that touch may be of two texts and stay apart."""
    import numpy as np

    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order]) if len(ends) else ends
    new = np.ones(len(starts), bool)
    new[1:] = starts[1:] >= ends[:-1]
    last = np.append(np.flatnonzero(new)[1:], len(starts)) - 1
    return starts[new], ends[last] if len(starts) else ends
