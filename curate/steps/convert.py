"""From one format or dialect to another. What is read, and what becomes of it, is in `curate.formats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Expand, FormatName
from curate.formats.chats import HOLD_TOOLS
from curate.formats.dialects import DialectChoice
from curate.formats.how import How, Loss, Pairs
from curate.formats.named import named_columns, renamed
from curate.formats.problems import PROBLEMS
from curate.formats.targets import COLUMNS, TARGETS, TargetName

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Convert", "Sections", "Signatures"]


class Convert(Expand):
    """Makes each row rows of the target, without a word made up or left out silently.

    Reads rows as records. A row that nothing can be made of is given up for one of `curate.formats.problems.PROBLEMS`, and so
    is a part of a row, such as two answers that are tied. Rows are counted by dialect: `read as NAME`. Chats come out as the
    JSON text of their array. O(bytes).
    """

    reason: ClassVar[str] = "not_convertible"
    gives_up: ClassVar[tuple[str, ...]] = tuple(PROBLEMS)

    step: Literal["convert"] = "convert"
    to: TargetName = Field(description="What to write.")
    dialect: DialectChoice = Field("auto", description="What the rows are; auto: told by its members.")
    text_column: str = Field("text", description="Where the text stands in rows of the text format.")
    keep_extra: bool = Field(False, description="Keep the members that the dialect has no use for.")
    min_margin: float = Field(
        0.0, ge=0, description="Of several answers with scores: the margin that makes two of them a pair."
    )
    pairs: Pairs = Field("all", description="Of several answers with scores: which pairs they make.")
    lose: tuple[Loss, ...] = Field((), description="What may be left out of a chat whose target cannot hold it.")
    template: str | None = Field(None, description="Chat template that chats become text by.")
    columns: tuple[str, ...] = Field((), description="Members that go by another name in the rows: `name=column`.")

    def makes(self) -> tuple[str, ...]:
        target = TARGETS[self.to]
        rest = (self.keep_extra or self.to in HOLD_TOOLS) and target.format
        return (*target.columns, "_rest") if rest else target.columns

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
        self._how = How(options.text_column, options.min_margin, options.pairs, options.lose, options.template)
        self._own = TARGETS[options.to].format is not None
        self._written = TARGETS[options.to].members
        self._columns = named_columns(options.columns)
        self._counts: Counter[str] = Counter()

    def __call__(self, batch: Batch) -> pl.DataFrame:
        import polars as pl

        from curate.formats.convert import convert, extra
        from curate.formats.detect import said_of
        from curate.formats.layouts import json_text

        options = self._options
        record = batch.frame["record"]
        if self._columns:
            record = renamed(record, self._columns)
        lines = convert(record, options.to, options.dialect, self._how)
        first = lines if lines.height == len(record) else lines.unique("parent", keep="first", maintain_order=True)
        tools = json_text(pl.col("tools")) if options.to == "sharegpt" else pl.col("tools")
        beside = [pl.when(pl.col("tools").is_not_null()).then(pl.lit('"tools":') + tools)]
        if options.keep_extra:
            rest = extra(record, first["dialect"], (*self._written, "id"), options.text_column).gather(lines["parent"])
            beside += [pl.when(part != "").then(part) for part in (pl.lit(rest), pl.col("about"))]
        lines = lines.with_columns(pl.concat_str(beside, separator=",", ignore_nulls=True).alias("_rest"))
        if not self._own:  # a layout's row is one text, which takes the rest in
            joined = pl.concat_str(pl.col("record").str.head(-1), pl.lit(","), "_rest", pl.lit("}"))
            lines = lines.with_columns(pl.when(pl.col("_rest") != "").then(joined).otherwise("record").alias("record"))
        self._count(first["dialect"])
        given_up = pl.when(pl.col("problem").is_not_null()).then("dialect")
        lines = lines.with_columns(given_up.alias("value"))
        lost = lines["problem"] == "unknown_dialect"
        if lost.any():
            told = [said_of(row) for row in record.gather(lines["parent"].filter(lost))]
            lines = lines.with_columns(lines["value"].scatter(lost.arg_true(), told))
        return lines.select("parent", *options.makes(), pl.col("problem").alias("reason"), "value")

    def _count(self, dialects: pl.Series) -> None:
        for name, n in dialects.value_counts().iter_rows():
            self._counts[f"read as {name}"] += n

    def counts(self) -> dict[str, int]:
        """What was met since this was last called."""
        counts, self._counts = dict(self._counts), Counter()
        return counts


class _FromText(Expand):
    """Makes instruction pairs from what stands in a text, without a word made up. O(bytes)."""

    text_column: str = Field("text", description="Where the text stands in rows of the text format.")
    keep_extra: bool = Field(False, description="Keep the document's other members with each pair.")

    def makes(self) -> tuple[str, ...]:
        return COLUMNS["instruction"]

    def makes_format(self) -> FormatName:
        return "instruction"

    def drops(self) -> tuple[str, ...] | None:
        return (self.text_column,) if self.keep_extra else None


class Signatures(_FromText):
    """From text that documents calls: what does this signature do? and its own documentation.

    Made for the pages of pydoc. See `curate.formats.signatures`.
    """

    reason: ClassVar[str] = "no_documented_signature"

    step: Literal["signatures"] = "signatures"

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        from curate.formats.signatures import pairs

        return lambda batch: pairs(batch.text)


class Sections(_FromText):
    """From text with headings: a heading, and what stands under it. See `curate.formats.sections`."""

    reason: ClassVar[str] = "no_section"

    step: Literal["sections"] = "sections"

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        from curate.formats.sections import pairs

        return lambda batch: pairs(batch.text)
