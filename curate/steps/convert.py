"""From one format or dialect to another. What is read, and what becomes of it, is in `curate.formats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Expand, FormatName
from curate.formats.dialects import DialectName
from curate.formats.how import How, Pairs
from curate.formats.problems import PROBLEMS
from curate.formats.targets import COLUMNS, TARGETS, TargetName

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Convert", "Signatures"]


class Convert(Expand):
    """Makes each row rows of the target, without a word made up or left out silently.

    Reads rows as records. A row that nothing can be made of is given up for one of `curate.formats.problems.PROBLEMS`. What
    cannot be converted of a row that other things are made of is counted: `left out PROBLEM`; so are rows by dialect: `read as
    NAME`. Chats come out as the JSON text of their array. O(bytes).
    """

    reason: ClassVar[str] = "not_convertible"
    gives_up: ClassVar[tuple[str, ...]] = tuple(PROBLEMS)

    step: Literal["convert"] = "convert"
    to: TargetName = Field(description="What to write.")
    dialect: Literal["auto"] | DialectName = Field("auto", description="What the rows are; auto: told by its members.")
    text_column: str = Field("text", description="Where the text stands in rows of the text format.")
    keep_extra: bool = Field(False, description="Keep the members that the dialect has no use for.")
    min_margin: float = Field(
        0.0, ge=0, description="Of several answers with scores: the margin that makes two of them a pair."
    )
    pairs: Pairs = Field("all", description="Of several answers with scores: which pairs they make.")

    def makes(self) -> tuple[str, ...]:
        columns = TARGETS[self.to].columns
        return (*columns, "_rest") if self.keep_extra else columns

    def makes_format(self) -> FormatName | None:
        return TARGETS[self.to].format

    def drops(self) -> tuple[str, ...] | None:
        return None

    def bind(self) -> Conversion:
        return Conversion(self)


class Conversion:
    """The bound step: it converts batches and counts what it met."""

    def __init__(self, options: Convert) -> None:
        self._options = options
        self._how = How(options.text_column, options.min_margin, options.pairs)
        self._counts: Counter[str] = Counter()

    def __call__(self, batch: Batch) -> pl.DataFrame:
        import polars as pl

        from curate.formats.convert import convert, extra

        options = self._options
        record = batch.frame["record"]
        lines = convert(record, options.to, options.dialect, self._how)
        if options.keep_extra:
            dialects = lines.unique("parent", keep="first", maintain_order=True)["dialect"]
            rest = extra(record, dialects, (*TARGETS[options.to].columns, "id"), options.text_column)
            lines = lines.with_columns(rest.gather(lines["parent"]).alias("_rest"))
        converted = pl.col("problem").is_null()
        lines = lines.with_columns(converted.any().over("parent").alias("made"))
        first = lines.unique("parent", keep="first", maintain_order=True)
        self._count("read as", first["dialect"])
        self._count("left out", lines.filter("made")["problem"])
        rows = lines.filter(converted).with_columns(reason=pl.lit(None, pl.String), value=pl.lit(None, pl.String))
        gone = first.filter(~pl.col("made")).with_columns(reason="problem", value="dialect")
        return pl.concat([rows, gone]).select("parent", *options.makes(), "reason", "value")

    def _count(self, what: str, names: pl.Series) -> None:
        for name, n in names.drop_nulls().value_counts().iter_rows():
            self._counts[f"{what} {name}"] += n

    def counts(self) -> dict[str, int]:
        """What was met since this was last called."""
        counts, self._counts = dict(self._counts), Counter()
        return counts


class Signatures(Expand):
    """Makes instruction pairs from text that documents calls: what does this signature do? and its own documentation.

    Made for the pages of pydoc; no word is made up. See `curate.formats.signatures`. O(bytes).
    """

    reason: ClassVar[str] = "no_documented_signature"

    step: Literal["signatures"] = "signatures"
    text_column: str = Field("text", description="Where the text stands in rows of the text format.")
    keep_extra: bool = Field(False, description="Keep the document's other members with each pair.")

    def makes(self) -> tuple[str, ...]:
        return COLUMNS["instruction"]

    def makes_format(self) -> FormatName:
        return "instruction"

    def drops(self) -> tuple[str, ...] | None:
        return (self.text_column,) if self.keep_extra else None

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        from curate.formats.signatures import pairs

        return lambda batch: pairs(batch.text)
