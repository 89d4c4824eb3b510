"""`curate mix`: how much of which source a dataset holds, and what is set aside to measure on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from curate.declare import Batch, Expand, Filter, Map, Options, Result, Rows, RowsJob, Rule, Shards, Single, Stage, Step, Work
from curate.errors import InputError, UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Mix", "Repeat", "Sample", "SetAside"]

BINS = 4096
"""Of the draws of a source: what is taken of it misses its share by the rows of one bin at most."""

_SPLIT_STREAM = 0x7370_6C69_745F
"""Mixed into the seed, so that the side a row falls on does not depend on whether it is taken."""

NO_SOURCE = ""
"""The source of rows that name none."""

Unit = Literal["rows", "bytes", "words", "tokens"]


class MixOptions(Options):
    """How rows are weighed: what the job and its steps share."""

    source_column: str = Field(
        "source", description="Column that names each row's source; rows without one are of the source ''."
    )
    duplicates_column: str = Field(
        "duplicates", description="Column that says how many rows one stands for, as `dedupe` counts them; for `repeats`."
    )
    repeats: dict[int, int] = Field(
        {},
        description="How often to write a row that stands for so many or more, such as {2: 2, 10: 3}; the last limit that it "
        "reaches counts, below the first it is 1. It makes up for what deduplication took from popular texts.",
    )
    seed: int = Field(0, ge=0, lt=1 << 64, description="Another seed draws other rows.")

    @field_validator("repeats")
    @classmethod
    def _positive(cls, repeats: dict[int, int]) -> dict[int, int]:
        if any(least < 1 or times < 0 for least, times in repeats.items()):
            raise ValueError("limits start at 1 and repeats at 0")
        return dict(sorted(repeats.items()))

    def sources(self, frame: pl.DataFrame) -> pl.Series:
        """Each row's source: strings without nulls."""
        import polars as pl

        if self.source_column not in frame.columns:
            return pl.Series([NO_SOURCE]).new_from_index(0, frame.height)
        return frame[self.source_column].cast(pl.String).fill_null(NO_SOURCE)

    def times(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """int64[n]: how often each row is written for what it stands for.

        Raises InputError when the column of duplicates holds no numbers.
        """
        import numpy as np
        import polars as pl

        if not self.repeats or self.duplicates_column not in frame.columns:
            return np.ones(frame.height, np.int64)
        column = frame[self.duplicates_column]
        count = column.cast(pl.Float64, strict=False)
        odd = count.is_null() & column.is_not_null()
        if odd.any():
            raise InputError(
                f"mix: row {frame['id'].filter(odd)[0]}: '{self.duplicates_column}' is {column.filter(odd)[0]!r}, no number"
            )
        limits = np.array([0, *self.repeats], np.float64)
        often = np.array([1, *self.repeats.values()], np.int64)
        return often[np.searchsorted(limits, count.fill_null(1).to_numpy(), "right") - 1]


class Mix(MixOptions, RowsJob):
    """Write so much of each source: weights, a budget, repeats, and a validation share that never parts near duplicates.

    `weights` are shares of the result by size, in `unit`. With a `budget` that is its size; without one the result is as
    large as the weights and `max_repeats` allow. A source of which less is wanted than there is gives a sample, one of
    which more is wanted is written several times over, up to `max_repeats`; more is an error that says how much there is.
    Without weights every source keeps its share.

    Which rows are taken is drawn by a hash of their ids and the seed: not by order or number of workers, and a larger
    budget takes the rows of a smaller one and more. What is taken of a source misses its share by less than a 4096th of
    the source and one row. Rows written more than once get ids `ID#1`, `ID#2` and a column `parent_id`.

    Validation rows are marked in the column `split`, as `tokenize` reads it. Rows that share a value in `group_column`
    fall on one side; the others are drawn source by source, so that each gives its share.

    Cost: O(rows), and with `unit` words or tokens O(bytes). Memory: 64 kB a source.
    """

    job: Literal["mix"] = "mix"
    weights: dict[str, float] = Field(
        {}, description="Share of each source, such as {web: 7, books: 3}; sources that are not named are left out."
    )
    budget: int | None = Field(None, ge=1, description="Size of the result, in `unit`; default: as large as can be.")
    unit: Unit = Field("rows", description="What sizes are counted in: rows, bytes (UTF-8 of the text), words, or tokens.")
    tokenizer: str | None = Field(
        None, description="For unit tokens: a folder with a tokenizer.json or a sentencepiece .model; `job:NAME` in a recipe."
    )
    max_repeats: float = Field(1, gt=0, description="How often a source may be written over, at most; 4 is four epochs.")
    validation: float = Field(0, ge=0, lt=1, description="Share of the rows that is marked for validation.")
    group_column: str = Field(
        "cluster", description="Column whose equal values keep rows on one side of the split, as `dedupe` writes it."
    )

    @field_validator("weights")
    @classmethod
    def _weights(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(not 0 <= weight < float("inf") for weight in weights.values()):
            raise ValueError("a weight is a number from 0 on")
        if weights and not sum(weights.values()):
            raise ValueError("all weights are 0")
        return weights

    @model_validator(mode="after")
    def _tokens_need_a_tokenizer(self) -> Mix:
        if (self.unit == "tokens") != (self.tokenizer is not None):
            raise ValueError("unit tokens needs a tokenizer, and no other unit does")
        return self

    def needs(self) -> tuple[str, ...]:
        """Columns besides the text that the job reads."""
        columns = (self.source_column, *((self.duplicates_column,) if self.repeats else ()))
        return (*columns, self.group_column) if self.validation else columns

    def stages(self) -> tuple[Stage, ...]:
        return Shards("measure", self._measure), Single("share", self._share), Rows((), left=self._steps)

    def _steps(self, folder: Path) -> tuple[Step, ...]:
        shared = {name: getattr(self, name) for name in MixOptions.model_fields} | {"folder": str(folder / "work")}
        aside = (SetAside(**shared, group_column=self.group_column, validation=self.validation),) if self.validation else ()
        several = (Repeat(**shared),) if self.max_repeats > 1 or any(n > 1 for n in self.repeats.values()) else ()
        return (Sample(**shared), *aside, *several)

    def _measure(self, work: Work) -> Result:
        """How much of each source a shard holds, by what its rows draw."""
        import numpy as np
        import polars as pl

        from curate.analysis import draw
        from curate.io.files import atomic

        sizes = self._sizes()
        names: dict[str, int] = {}
        taken: list[NDArray[np.float64]] = []
        sides: list[NDArray[np.int64]] = []
        rows = 0
        for batch in work.batches():
            frame = batch.frame
            source = self.sources(frame)
            weight = sizes(batch) * self.times(frame)
            for name in source.unique(maintain_order=True):
                if name not in names:
                    names[name] = len(names)
                    taken.append(np.zeros(BINS))
                    sides.append(np.zeros(BINS, np.int64))
            index = source.replace_strict(names, return_dtype=pl.Int64).to_numpy()
            alone = ~_grouped(frame, self.group_column) if self.validation else np.zeros(len(frame), bool)
            drawn, side = _bin(draw(frame["id"], self.seed)), _bin(draw(frame["id"], self.seed ^ _SPLIT_STREAM))
            for i in np.unique(index):
                mine = index == i
                taken[i] += np.bincount(drawn[mine], weight[mine], BINS)
                sides[i] += np.bincount(side[mine & alone], minlength=BINS)
            rows += len(batch)
            work.progress(len(batch), int(batch.text.str.len_bytes().sum() or 0))
        with atomic(work.folder / "work" / "measured" / f"{work.index:05d}.npz") as handle:
            np.savez(handle, names=np.array(list(names), dtype=np.str_), taken=np.array(taken), sides=np.array(sides))
        return {"rows_in": rows}

    def _sizes(self) -> Callable[[Batch], NDArray[np.float64]]:
        """The size of each row of a batch, in the unit."""
        import numpy as np

        from curate.analysis import words

        match self.unit:
            case "rows":
                return lambda batch: np.ones(len(batch))
            case "bytes":
                return lambda batch: batch.text.str.len_bytes().to_numpy().astype(np.float64)
            case "words":
                return lambda batch: np.diff(batch.share(words).bounds).astype(np.float64)
            case "tokens":
                from curate.io.encoder import Encoder

                assert self.tokenizer is not None
                encoder = Encoder.load(self.tokenizer, None, parallel=False)
                return lambda batch: encoder.encode(batch.text)[1].astype(np.float64)

    def _share(self, work: Work) -> Result:
        """What is taken of each source: how often all of it, and up to which draw once more."""

        from curate.io.files import atomic

        taken: dict[str, NDArray[np.float64]] = {}
        sides: dict[str, NDArray[np.int64]] = {}
        for name, some, side in _measured(work.folder / "work", work.shards):
            taken[name] = taken.get(name, 0) + some
            sides[name] = sides.get(name, 0) + side
        there = {name: float(bins.sum()) for name, bins in taken.items()}
        wanted = self._wanted(there)
        plan: dict[str, Any] = {}
        table: dict[str, Any] = {}
        for name in sorted(there):
            rate = wanted.get(name, 0.0) / there[name] if there[name] else 0.0
            whole = int(rate + 1e-9)
            limit = _limit(taken[name], wanted.get(name, 0.0) - whole * there[name])
            plan[name] = {
                "whole": whole,
                "limit": limit,
                "validation": _limit(sides[name], self.validation * sides[name].sum()),
            }
            size = round(there[name])
            table[name] = {"there": size, "wanted": round(wanted.get(name, 0.0)), "times": round(rate, 4), "unit": self.unit}
        with atomic(work.folder / "work" / "plan.json") as handle:
            handle.write(json.dumps(plan, ensure_ascii=False).encode())
        out = sorted(set(there) - set(wanted))
        if out:
            lost = sum(there[name] for name in out)
            named = ", ".join(f"'{name}'" for name in out[:3]) + (f" and {len(out) - 3} more" if len(out) > 3 else "")
            work.say(f"left out, for they have no weight: {named} ({lost:,.0f} {self.unit})")
        return {"sources": table}

    def _wanted(self, there: dict[str, float]) -> dict[str, float]:
        """Size of each source in the result.

        Raises UsageError for a weight of a source that is not there, InputError where there is too little of one.
        """
        if not sum(there.values()):
            raise InputError(f"mix: there is nothing to mix: all rows together hold 0 {self.unit}")
        weights = self.weights or there
        for name, weight in weights.items():
            if weight and name not in there:
                raise UsageError(f"mix: no row is of source '{name}' (column '{self.source_column}'){nearest(name, there)}")
        chosen = {name: weight / sum(weights.values()) for name, weight in weights.items() if weight}
        most = {name: there[name] * self.max_repeats / share for name, share in chosen.items()}
        size = float(self.budget) if self.budget is not None else min(most.values())
        least = min(most, key=lambda name: most[name])
        if size > most[least] * (1 + 1e-9):
            need = size * chosen[least] / there[least] if there[least] else float("inf")
            raise InputError(
                f"mix: {size * chosen[least]:,.0f} {self.unit} of source '{least}' are wanted "
                f"and there are {there[least]:,.0f}: set max_repeats to {need:.2f} or more, "
                f"lower its weight, or set a budget of at most {most[least]:,.0f}"
            )
        return {name: size * share for name, share in chosen.items()}


class _Planned(MixOptions):
    """What the steps read: the plan in `folder`."""

    folder: str = Field(description="Where the stages before left their plan.")

    def planned(self, frame: pl.DataFrame, field: str) -> NDArray[np.float64]:
        """float64[n]: a figure of each row's source."""
        import polars as pl

        plan = json.loads((Path(self.folder) / "plan.json").read_bytes())
        figures = {name: float(entry[field]) for name, entry in plan.items()}
        found: NDArray[np.float64] = self.sources(frame).replace_strict(figures, return_dtype=pl.Float64).to_numpy()
        return found

    def copies(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """int64[n]: how often each row is written."""
        import numpy as np

        from curate.analysis import draw

        once_more = draw(frame["id"], self.seed) < self.planned(frame, "limit")
        copies: NDArray[np.int64] = self.times(frame) * (self.planned(frame, "whole").astype(np.int64) + once_more)
        return copies


class Sample(_Planned, Filter):
    """Keeps the rows that are written at least once."""

    step: Literal["sample"] = "sample"

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("not_drawn", "copies", min=1),)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        return lambda batch: pl.DataFrame({"copies": self.copies(batch.frame)})


class SetAside(_Planned, Map):
    """Marks the rows of the validation share in the column `split`."""

    step: Literal["set_aside"] = "set_aside"
    group_column: str = Field(description="Rows that are equal here fall on one side.")
    validation: float = Field(description="Share of the rows for validation.")

    def adds(self) -> tuple[str, ...]:
        return ("split",)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import draw

        def mark(batch: Batch) -> pl.DataFrame:
            frame = batch.frame
            grouped = _grouped(frame, self.group_column)
            drawn = frame["id"]
            limit = self.planned(frame, "validation")
            if grouped.any():
                # One draw for a whole group, and one limit, whatever sources its rows are of.
                drawn = pl.select(
                    pl.when(pl.Series(grouped)).then(frame[self.group_column].cast(pl.String)).otherwise(drawn)
                ).to_series()
                limit = np.where(grouped, self.validation, limit)
            held_out = draw(drawn, self.seed ^ _SPLIT_STREAM) < limit
            side = pl.when(pl.Series(held_out)).then(pl.lit("validation")).otherwise(pl.lit("train"))
            return pl.select(side.alias("split"))

        return mark


class Repeat(_Planned, Expand):
    """Writes rows as often as they are wanted."""

    step: Literal["repeat"] = "repeat"
    reason: ClassVar[str] = "not_drawn"

    def makes(self) -> tuple[str, ...]:
        return ()

    def makes_format(self) -> None:
        return None

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        return lambda batch: pl.DataFrame({"parent": np.repeat(np.arange(len(batch)), self.copies(batch.frame))})


def _grouped(frame: pl.DataFrame, column: str) -> NDArray[np.bool_]:
    """bool[n]: which rows belong to a group."""
    import numpy as np

    if column not in frame.columns:
        return np.zeros(frame.height, bool)
    return frame[column].is_not_null().to_numpy()


def _bin(drawn: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each draw in [0, 1)."""
    import numpy as np

    return (drawn * BINS).astype(np.int64)


def _limit(bins: NDArray[Any], wanted: float) -> float:
    """The draw up to which the bins hold about so much; inside a bin, draws are taken to be spread evenly."""
    import numpy as np

    if wanted <= 0:
        return 0.0
    held = np.cumsum(bins)
    at = int(np.searchsorted(held, wanted * (1 - 1e-9)))
    if at >= BINS:
        return 1.0
    before = float(held[at - 1]) if at else 0.0
    return (at + (wanted - before) / float(bins[at])) / BINS


def _measured(folder: Path, shards: int) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.int64]]]:
    """Source by source what every shard holds."""
    import numpy as np

    for index in range(shards):
        with np.load(folder / "measured" / f"{index:05d}.npz") as found:
            yield from zip(found["names"].tolist(), found["taken"], found["sides"], strict=True)
