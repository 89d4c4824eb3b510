"""What readers give: rows as frames, what could not be read, and what a job asks of the columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.declare import Options

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EXCERPT", "MAX_PAGE_BYTES", "PAGE_BYTES", "PLACE", "REST", "Chunk", "Reject", "Take", "frame_of", "holds_bytes"]

REST = "_rest"
"""Column with the members of a JSONL line that no column holds: verbatim JSON text, without braces."""

PLACE = ("_file", "_start", "_line")
"""Columns that say where a row stands: the file's name, where in it the piece begins that was read (bytes, or row groups of
Parquet), and the line of that piece, from 1; in files without lines, the row. No reader counts the lines before its piece."""

EXCERPT = 2000
"""Characters of an unreadable line that are kept with its rejection."""

MAX_PAGE_BYTES = 64 << 20
"""Most bytes that a job may accept of a web page."""

PAGE_BYTES = MAX_PAGE_BYTES + 1
"""Bytes of a web page that are read. One that has them all is larger than any job accepts, however large it is."""


def frame_of(columns: dict[str, list[Any]]) -> pl.DataFrame:
    """Columns of strings, and of bytes for `html`, as a frame."""
    import polars as pl

    return pl.DataFrame(columns, schema={name: pl.Binary if name == "html" else pl.String for name in columns})


def holds_bytes(kind: pl.DataType) -> bool:
    """Whether values of a type hold bytes at any depth, which JSON cannot."""
    import polars as pl

    if isinstance(kind, pl.List | pl.Array):
        return holds_bytes(kind.inner)  # type: ignore[arg-type]
    if isinstance(kind, pl.Struct):
        return any(holds_bytes(field.dtype) for field in kind.fields)  # type: ignore[arg-type]
    return kind == pl.Binary


class Take(Options):
    """Which columns a job wants of its rows."""

    columns: tuple[str, ...]
    """Columns of the reading: strings, but for those in `json_columns` and `html`."""
    json_columns: tuple[str, ...] = ()
    """Columns that hold JSON text (a chat's `messages`)."""
    array_as: str | None = None
    """The column that a line which is a bare array becomes."""
    whole: bool = False
    """Take each row whole, as JSON text in the column `record`."""
    also: tuple[str, ...] = ()
    """Further columns that steps read; they stay in the row as well."""
    needed: tuple[str, ...] = ()
    """Those of `also` that every row must hold; they may be null."""
    replaced: tuple[str, ...] = ()
    """Columns that steps write: an input's own column of that name goes."""
    places: bool = False
    """Whether rows come with the columns of `PLACE`."""


class Reject(NamedTuple):
    """A row that could not be read: where it stands, why, and its beginning."""

    file: str
    line: int
    error: str
    text: str


@dataclass
class Chunk:
    """Some rows in order, and the unreadable ones among them."""

    frame: pl.DataFrame
    rejects: list[Reject] = field(default_factory=list)
    bytes: int = 0
    notes: list[str] = field(default_factory=list)
    """Things that a person should know about the file that are no rejection (a byte order mark was removed)."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Records of the file that are no rows for any job, counted by kind (requests and images of a web archive)."""
