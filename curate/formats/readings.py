"""How rows of each reading read as text, and how their texts are rewritten in place.

| reading     | columns                          | reads as                                             |
|-------------|----------------------------------|------------------------------------------------------|
| text        | the text column                  | the text                                             |
| instruction | `instruction`, `output`          | both, a blank line between                           |
| chat        | `messages` (JSON text)           | the contents in order, blank lines between           |
| preference  | `instruction chosen rejected`    | all three, blank lines between                       |
| html        | `html` (bytes)                   | the empty string                                     |
| record      | `record` (the row as JSON text)  | the empty string                                     |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from curate.declare import FormatName
from curate.declare import Reading as ReadingName
from curate.errors import UsageError
from curate.formats.messages import SEPARATOR, read_texts, rewrite_texts, untyped

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Chat", "Columns", "Reading", "Whole", "detect", "pick"]


class Reading(Protocol):
    """One way to read rows."""

    @property
    def name(self) -> ReadingName: ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Members of the row that the reader takes out, as columns of the frame."""
        ...

    @property
    def array_as(self) -> str | None:
        """Column that a row goes to whole when it is a bare array; None: such a row cannot be read."""
        ...

    def normalize(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Columns that come typed (from Parquet) in the form that the other two functions take."""
        ...

    def text(self, frame: pl.DataFrame) -> pl.Series:
        """String, one a row: what it reads as; null where a part that it needs is missing, null or of the wrong kind."""
        ...

    def rewrite(self, frame: pl.DataFrame, f: Callable[[pl.Series], pl.Series]) -> pl.DataFrame:
        """The frame with `f` applied to every text of every row. `f` takes and gives strings without nulls, as many."""
        ...


def _strings(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column as strings; all null when it is not there."""
    import polars as pl

    if name not in frame.columns:
        return pl.Series(name, [None], dtype=pl.String).new_from_index(0, frame.height)
    return frame[name].cast(pl.String)


def _apply(column: pl.Series, f: Callable[[pl.Series], pl.Series]) -> pl.Series:
    if not column.null_count():
        return f(column).rename(column.name)
    return column.scatter(column.is_not_null().arg_true(), f(column.drop_nulls()))


@dataclass(frozen=True)
class Columns:
    """Rows whose texts are string columns, read in order with a blank line between."""

    name: ReadingName
    columns: tuple[str, ...]
    array_as: str | None = None

    def normalize(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(_strings(frame, name) for name in self.columns)

    def text(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        parts = [_strings(frame, name) for name in self.columns]
        if len(parts) == 1:
            return parts[0]
        # concat_str is null where any part is.
        return pl.select(pl.concat_str(parts, separator=SEPARATOR)).to_series()

    def rewrite(self, frame: pl.DataFrame, f: Callable[[pl.Series], pl.Series]) -> pl.DataFrame:
        return frame.with_columns(_apply(_strings(frame, name), f) for name in self.columns)


@dataclass(frozen=True)
class Chat:
    """Rows that are conversations: `messages` holds the JSON text of the array."""

    name: ReadingName = "chat"
    columns: tuple[str, ...] = ("messages",)
    array_as: str | None = "messages"

    def normalize(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        if "messages" in frame.columns and frame.schema["messages"] not in (pl.String, pl.Null):
            return frame.with_columns(untyped(frame["messages"]))
        return frame.with_columns(_strings(frame, "messages"))

    def text(self, frame: pl.DataFrame) -> pl.Series:
        return read_texts(_strings(frame, "messages"))

    def rewrite(self, frame: pl.DataFrame, f: Callable[[pl.Series], pl.Series]) -> pl.DataFrame:
        return frame.with_columns(rewrite_texts(_strings(frame, "messages"), f))


@dataclass(frozen=True)
class Whole:
    """Rows taken whole, which have no text yet: pages, and records of any shape."""

    name: ReadingName
    columns: tuple[str, ...]
    array_as: str | None = None

    def normalize(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame

    def text(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        return pl.Series("text", [""], dtype=pl.String).new_from_index(0, frame.height)

    def rewrite(self, frame: pl.DataFrame, f: Callable[[pl.Series], pl.Series]) -> pl.DataFrame:
        raise UsageError(f"rows read as {self.name} have no text to rewrite; extract or convert them first")


def pick(name: ReadingName, text_column: str = "text") -> Reading:
    """The reading called `name`; `text_column` says where the text stands in rows of the text format."""
    match name:
        case "text":
            return Columns("text", (text_column,))
        case "instruction":
            return Columns("instruction", ("instruction", "output"))
        case "chat":
            return Chat()
        case "preference":
            return Columns("preference", ("instruction", "chosen", "rejected"))
        case "html":
            return Whole("html", ("html",))
        case "record":
            return Whole("record", ("record",), array_as="record")


def detect(row: Any, text_column: str = "text") -> FormatName | None:
    """Which of the four formats a decoded row is in, by its keys; None when it is in none of them.

    A row that could be several is the one that uses more of it: preference before instruction before text.
    """
    if isinstance(row, list):
        return "chat"
    if not isinstance(row, dict):
        return None
    if isinstance(row.get("messages"), list):
        return "chat"
    if {"instruction", "chosen", "rejected"} <= row.keys():
        return "preference"
    if {"instruction", "output"} <= row.keys():
        return "instruction"
    return "text" if text_column in row else None
