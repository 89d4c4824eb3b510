"""Writing rows: JSONL and Parquet, plain or compressed; each file whole or not there at all."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

from curate.analysis import text_buffers
from curate.declare import SaveAs
from curate.errors import OutputError
from curate.io.files import atomic
from curate.io.rows import REST, holds_bytes

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EXTRA", "RowWriter", "json_lines", "rest_types", "suffix"]

EXTRA = "extra"
"""Parquet column with the members of a row that fit no other column, as JSON text: a column has one type, JSON has not."""


def suffix(save_as: SaveAs) -> str:
    """The ending of a file of that kind (a `datasets` folder is made of Parquet parts)."""
    return ".parquet" if save_as == "datasets" else f".{save_as}"


class RowWriter:
    """Rows into one file, which appears under its name when the `with` block ends well, and only if there were rows.

    alone: a column of JSON text that is the whole row (a chat as a bare array, a record that passes unchanged).
    json_columns: string columns that hold JSON text and are written as it is.
    types: for Parquet, the type of each member of the rest that becomes a column (see `rest_types`).
    scores: columns of scores, which are written whole: see `json_lines`.
    level: of zstandard; books that few will open are packed at 1, in a third of the time, an eighth larger.
    Memory: one frame. Raises OutputError when the disk is full or the place cannot be written.
    """

    def __init__(
        self,
        path: Path,
        save_as: SaveAs,
        *,
        alone: str | None = None,
        json_columns: tuple[str, ...] = (),
        types: dict[str, str] | None = None,
        scores: tuple[str, ...] = (),
        level: int = 3,
    ) -> None:
        self.path = path
        self.rows = 0
        self.bytes = 0
        self._save_as = save_as
        self._alone = alone
        self._json = json_columns
        self._types = types or {}
        self._scores = scores
        self._level = level
        self._stack = contextlib.ExitStack()
        self._handle: IO[bytes] | None = None
        self._parquet: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, frame: pl.DataFrame) -> None:
        """Append the frame's rows."""
        if frame.height == 0:
            return
        self.rows += frame.height
        if self._save_as in ("parquet", "datasets"):
            self._write_parquet(frame)
            return
        handle = self.open()
        lines = json_lines(frame, self._json, self._alone, self._scores)
        self.bytes += len(lines)
        handle.write(lines)

    def open(self) -> IO[bytes]:
        """The file that JSON lines go to, begun if it is not yet: without rows it is an empty one of its kind."""
        if self._handle is None:
            self._handle = self._begin()
        return self._handle

    def _begin(self) -> IO[bytes]:
        raw = self._stack.enter_context(atomic(self.path))
        if self._save_as == "jsonl.gz":
            import gzip

            # No time and no name in the header: the same rows give the same bytes.
            packed: Any = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0, filename="")
            return cast(IO[bytes], self._stack.enter_context(packed))
        if self._save_as == "jsonl.zst":
            import zstandard

            packed = zstandard.ZstdCompressor(level=self._level, write_checksum=True).stream_writer(raw, closefd=False)
            return cast(IO[bytes], self._stack.enter_context(packed))
        return raw

    def _write_parquet(self, frame: pl.DataFrame) -> None:
        import polars as pl
        import pyarrow.parquet as pq

        if self._alone is not None:
            frame = _rest_of(frame, self._alone)
        frame = _columns_of_rest(frame, self._types)
        frame = frame.with_columns(pl.col(c).cast(pl.String) for c, kind in frame.schema.items() if kind == pl.Null)
        table = frame.to_arrow()
        if self._parquet is None:
            raw = self._stack.enter_context(atomic(self.path))
            self._parquet = self._stack.enter_context(pq.ParquetWriter(raw, table.schema, compression="zstd"))
        else:
            table = self._same_columns(table)
        self.bytes += table.nbytes
        self._parquet.write_table(table)

    def _same_columns(self, table: Any) -> Any:
        """The table with the file's columns: null where it has none."""
        import pyarrow as pa

        schema = self._parquet.schema
        more = [name for name in table.schema.names if name not in schema.names and table[name].null_count < table.num_rows]
        if more:
            raise OutputError(
                f"{self.path}: later rows have a column '{more[0]}' that the first ones lack; in Parquet all rows have the "
                "same columns: save as jsonl.zst"
            )
        columns = [
            table[name] if name in table.schema.names else pa.nulls(table.num_rows, field.type)
            for name, field in zip(schema.names, schema, strict=True)
        ]
        try:
            return pa.table(columns, names=schema.names).cast(schema)
        except pa.ArrowException as error:
            raise OutputError(
                f"{self.path}: later rows have other types than the first ones: {error}: save as jsonl.zst"
            ) from error


def json_lines(
    frame: pl.DataFrame, json_columns: tuple[str, ...] = (), alone: str | None = None, scores: tuple[str, ...] = ()
) -> memoryview:
    """The rows as JSON lines (UTF-8). A null is written as an absent member; numbers of the rest stay as they were read.

    In `scores` nothing is lost: null is written, and what is no number of JSON (NaN, inf) as a string.
    """
    import polars as pl

    from curate.kernels import json_write

    if alone is not None:
        if REST in frame.columns and (frame[REST].fill_null("") != "").any():
            frame = frame.with_columns(_wrapped(alone))
        return json_write.join_values(*text_buffers(frame.get_column(alone))).data
    parts: list[tuple[Any, Any, Any]] = []
    keys: list[str | None] = []
    for name in frame.columns:
        column = frame.get_column(name)
        valid = column.is_not_null().to_numpy()
        if column.dtype in (pl.String, pl.Categorical, pl.Enum) and not (name in scores and column.null_count()):
            offsets, data = text_buffers(column.cast(pl.String).fill_null(""))
            if name == REST or name in json_columns:
                parts.append((offsets, data, valid))
            else:
                parts.append((*json_write.escape(offsets, data, valid), valid))
            keys.append(None if name == REST else name)
        elif holds_bytes(column.dtype):
            raise OutputError(f"column '{name}' holds bytes, which JSON cannot: save as parquet")
        elif column.dtype != pl.Null:
            # {"name":value} without its braces: polars knows how every type is written.
            member = pl.struct(column.alias(name)).struct.json_encode().str.slice(1).str.head(-1)
            if name in scores and column.dtype.is_float():
                odd = pl.lit(f'"{name}":"') + column.cast(pl.String) + pl.lit('"')
                member = pl.when(column.is_nan() | column.is_infinite()).then(odd).otherwise(member)
            parts.append((*text_buffers(pl.select(member).to_series()), valid | (name in scores)))
            keys.append(None)
    return json_write.join_lines(parts, keys).data


def _wrapped(alone: str) -> pl.Expr:
    """A column of whole rows, those with other members as objects: an array has no room for them."""
    import polars as pl

    start = pl.struct("id").struct.json_encode().str.strip_suffix("}")
    whole = start + pl.lit(f',"{alone}":') + pl.col(alone) + pl.lit(",") + pl.col(REST) + pl.lit("}")
    return pl.when(pl.col(REST) != "").then(whole).otherwise(pl.col(alone)).alias(alone)


def rest_types(frame: pl.DataFrame) -> dict[str, str]:
    """What Parquet columns the members of the rest become, told from a sample of rows: string, int, float, bool or json.

    Needed because a Parquet column has one type: values that do not fit it go to the column `extra`.
    """
    import json

    types: dict[str, str] = {}
    if REST not in frame.columns:
        return types
    for line in frame.get_column(REST).head(1000):
        for name, value in json.loads("{" + line + "}").items():
            kind = _type_of(value)
            known = types.get(name)
            if kind is None or known == kind:
                continue
            numbers = {known, kind} == {"int", "float"}
            types[name] = kind if known is None else "float" if numbers else "json"
    return types


def _type_of(value: object) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return "bool"
        case int():
            return "int" if -(2**63) <= value < 2**63 else "float"
        case float():
            return "float"
        case str():
            return "string"
        case _:
            return "json"


def _rest_of(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Rows that are JSON text in one column, as rows with a rest: the members of an object, or an array as `messages`."""
    import polars as pl

    text = pl.col(column).str.strip_chars()
    members = text.str.slice(1).str.head(-1)
    return frame.select(pl.when(text.str.starts_with("[")).then(pl.lit('"messages":') + text).otherwise(members).alias(REST))


def _columns_of_rest(frame: pl.DataFrame, types: dict[str, str]) -> pl.DataFrame:
    """The frame with the rest's members as typed columns; what fits none stays as JSON text in `extra`."""
    import numpy as np
    import polars as pl

    from curate.io.jsonl import series
    from curate.kernels import json_lines as reading

    if REST not in frame.columns:
        return frame
    names = [n for n in types if n not in frame.columns]
    lines = pl.select(pl.lit("{") + frame.get_column(REST) + pl.lit("}\n")).to_series()
    _, data = text_buffers(lines)
    scan = reading.scan(data, names)
    leftover = [series(scan.rest_offsets, scan.rest).alias(EXTRA)]
    columns: list[pl.Series] = []
    casts = {"int": pl.Int64, "float": pl.Float64}
    for i, name in enumerate(names):
        raw = series(*reading.raw(data, scan, i))
        kind = types[name]
        if kind == "string":
            value = series(*reading.strings(data, scan, i))
        elif kind == "bool":
            value = pl.select(pl.when(raw == "true").then(True).when(raw == "false").then(False)).to_series()
        elif kind == "json":
            value = raw
        else:
            number = pl.Series(np.asarray(scan.kind[:, i]) == reading.NUMBER)
            value = pl.select(pl.when(number).then(raw).cast(casts[kind], strict=False)).to_series()
        columns.append(value.alias(name))
        misfit = pl.select(pl.when(value.is_null() & raw.is_not_null() & (raw != "null")).then(pl.lit(f'"{name}":') + raw))
        leftover.append(misfit.to_series().alias(name))
    members = [pl.when(pl.col(part.name) != "").then(pl.col(part.name)) for part in leftover]
    extra = pl.DataFrame(leftover).select(pl.concat_str(members, separator=",", ignore_nulls=True)).to_series()
    extra = pl.select(pl.when(extra != "").then(pl.lit("{") + extra + pl.lit("}")).alias(EXTRA)).to_series()
    return frame.drop(REST).with_columns(*columns, extra)
