"""From one format or dialect to another: what can be converted, and the conversion. What they do is in `curate.formats`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Expand, Filter, FormatName, Rule
from curate.formats.dialects import COLUMNS, PROBLEMS, DialectName

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Convert", "Convertible", "Signatures"]

_TO = "The format to write."
_DIALECT = "What the rows are; auto: told for each row by its members."
_COLUMN = "Where the text stands in rows of the text format."


class Convertible(Filter):
    """Keeps the rows that can become the format without a word made up or left out silently.

    Reads rows as records. Reasons are the names of `curate.formats.dialects.PROBLEMS`. O(bytes).
    """

    step: Literal["convertible"] = "convertible"
    to: FormatName = Field(description=_TO)
    dialect: Literal["auto"] | DialectName = Field("auto", description=_DIALECT)
    text_column: str = Field("text", description=_COLUMN)

    def rules(self) -> tuple[Rule, ...]:
        return tuple(Rule(name, "problem", among=tuple(other for other in PROBLEMS if other != name)) for name in PROBLEMS)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        from curate.formats.convert import convert

        def work(batch: Batch) -> pl.DataFrame:
            return convert(batch.frame["record"], self.to, self.dialect, self.text_column).select("problem")

        return work


class Convert(Expand):
    """Makes each row a row of the format. Reads rows as records; a row that has none to give is dropped.

    Chats come out as the JSON text of their array. O(bytes).
    """

    reason: ClassVar[str] = "not_convertible"
    one_to_one: ClassVar[bool] = True

    step: Literal["convert"] = "convert"
    to: FormatName = Field(description=_TO)
    dialect: Literal["auto"] | DialectName = Field("auto", description=_DIALECT)
    text_column: str = Field("text", description=_COLUMN)
    keep_extra: bool = Field(False, description="Keep the members that the dialect has no use for.")

    def makes(self) -> tuple[str, ...]:
        return (*COLUMNS[self.to], "_rest") if self.keep_extra else COLUMNS[self.to]

    def makes_format(self) -> FormatName:
        return self.to

    def drops(self) -> tuple[str, ...] | None:
        return None

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        from curate.formats.convert import convert, extra

        def work(batch: Batch) -> pl.DataFrame:
            record = batch.frame["record"]
            rows = convert(record, self.to, self.dialect, self.text_column).with_row_index("parent")
            if self.keep_extra:
                rest = extra(record, rows["dialect"], (*COLUMNS[self.to], "id"), self.text_column)
                rows = rows.with_columns(rest.alias("_rest"))
            return rows.filter(pl.col("problem").is_null()).select("parent", *self.makes())

        return work


class Signatures(Expand):
    """Makes instruction pairs from text that documents calls: what does this signature do? and its own documentation.

    Made for the pages of pydoc; no word is made up. See `curate.formats.signatures`. O(bytes).
    """

    reason: ClassVar[str] = "no_documented_signature"

    step: Literal["signatures"] = "signatures"
    text_column: str = Field("text", description=_COLUMN)
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
