"""Reading a shard: every kind of file as chunks of rows, what cannot be read with its file and line beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from curate.errors import InputError
from curate.io import documents, pdf, warc
from curate.io.files import Kind, Piece, Shard, Source, open_bytes, open_raw
from curate.io.json_array import read_json
from curate.io.jsonl import BLOCK_BYTES, read_jsonl
from curate.io.rows import EXCERPT, PLACE, Chunk, Reject, Take, holds_bytes
from curate.io.utf8 import Utf8

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]

BATCH_ROWS = 4096
"""Rows of a typed file (Parquet, Arrow) read at a time."""


def read(shard: Shard, take: Take) -> Iterator[Chunk]:
    """The shard's rows, in order, a few MB at a time.

    Raises InputError when a file cannot be opened or lacks the columns; rows that cannot be read come as rejects.
    """
    for piece in shard.pieces:
        yield from _placed(piece, _read(piece, take)) if take.places else _read(piece, take)


def _read(piece: Piece, take: Take) -> Iterator[Chunk]:
    source = piece.source
    if source.kind == "jsonl":
        yield from read_jsonl(piece, take)
    elif source.kind == "json":
        yield from read_json(piece, take)
    else:
        for chunk in READERS[source.kind](piece):
            chunk.frame = _fit(chunk.frame, source, take)
            yield chunk


def _placed(piece: Piece, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The chunks with where each row stands; see `PLACE`. Lines are known of JSON alone, else rows are counted."""
    import polars as pl

    file, start, line = PLACE
    rows = 0
    for chunk in chunks:
        height = chunk.frame.height
        if line not in chunk.frame.columns:
            chunk.frame = chunk.frame.with_columns(pl.int_range(rows + 1, rows + 1 + height, eager=True).alias(line))
        rows += height
        name, begins = pl.lit(piece.source.name).alias(file), pl.lit(piece.start, pl.Int64).alias(start)
        chunk.frame = chunk.frame.with_columns(name, begins)
        yield chunk


def _parquet(piece: Piece) -> Iterator[Chunk]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = piece.source
    with open_raw(source.address) as handle:
        try:
            file = pq.ParquetFile(handle)
        except (pa.ArrowException, OSError, ValueError) as error:
            yield from _broken(source, Reject(source.name, 1, f"not a readable Parquet file: {error}", ""))
            return
        groups = list(range(piece.start, file.num_row_groups if piece.end is None else piece.end))
        first = sum(file.metadata.row_group(i).num_rows for i in range(piece.start))
        try:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=groups):
                yield _numbered(batch, source, first)
                first += batch.num_rows
        except OSError as error:
            yield from _broken(source, Reject(source.name, first + 1, f"the Parquet data is damaged: {error}", ""))


def _arrow(piece: Piece) -> Iterator[Chunk]:
    import pyarrow as pa

    source = piece.source
    first = 0
    with open_raw(source.address) as handle:
        try:
            reader = pa.ipc.open_stream(handle)
            for batch in reader:
                yield _numbered(batch, source, first)
                first += batch.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            yield from _broken(source, Reject(source.name, first + 1, f"the Arrow data is damaged: {error}", ""))


def _hub(piece: Piece) -> Iterator[Chunk]:
    import datasets

    name, _, split = piece.source.address.removeprefix("hf:").partition("@")
    first = 0
    try:
        data = datasets.load_dataset(name, split=split or "train", streaming=True)
        for table in data.with_format("arrow").iter(batch_size=BATCH_ROWS):
            yield _numbered(table, piece.source, first)
            first += table.num_rows
    except (OSError, ValueError, ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{piece.source.address}: the dataset cannot be loaded: {reason}") from error


def _separated(piece: Piece) -> Iterator[Chunk]:
    """Rows of a CSV or TSV file, every value as the text that it is. Numbered from 1, the header; empty lines do not count."""
    import pyarrow as pa
    import pyarrow.csv

    source = piece.source
    bad: list[Reject] = []

    def reject(row: Any) -> str:
        error = f"expected {row.expected_columns} columns, found {row.actual_columns}"
        bad.append(Reject(source.name, row.number, error, row.text[:EXCERPT]))
        return "skip"

    last = 1
    with open_bytes(source.address) as raw, Utf8(raw) as handle:
        try:
            header = _header(source)
            reader = pyarrow.csv.open_csv(
                handle,
                read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter="\t" if source.kind == "tsv" else ",", newlines_in_values=True, invalid_row_handler=reject
                ),
                convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
            )
            for batch in reader:
                chunk, last = _texts(batch, source, last, bad)
                yield chunk
            if bad:
                yield from _broken(source, *bad)
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            yield from _broken(source, *bad, Reject(source.name, last + 1, f"not readable further as CSV: {error}", ""))


def _texts(batch: Any, source: Source, last: int, bad: list[Reject]) -> tuple[Chunk, int]:
    """The rows of a batch, those that hold a NUL as rejects; and the number of the last row.

    `bad` holds the rows that the parser left out so far, which are numbered too; those that are told here leave it.
    """
    import numpy as np
    import polars as pl

    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)
    numbers = np.arange(last + 1, last + 1 + frame.height + len(bad))
    numbers = numbers[~np.isin(numbers, [reject.line for reject in bad])][: frame.height]
    last = int(numbers[-1]) if frame.height else last
    broken = frame.select(pl.any_horizontal(pl.all().str.contains("\0", literal=True).fill_null(False)).alias("b")).to_series()
    told = [reject for reject in bad if reject.line <= last]
    bad[:] = [reject for reject in bad if reject.line > last]
    for i in broken.arg_true():
        content = ",".join(value or "" for value in frame.row(i))[:EXCERPT]
        told.append(Reject(source.name, int(numbers[i]), "NUL byte or invalid UTF-8 (shown as NUL)", content))
    frame = _with_ids(frame, pl.Series(numbers).cast(pl.String), source)
    return Chunk(frame.filter(~broken), sorted(told, key=lambda reject: reject.line), batch.nbytes), last


def _header(source: Source) -> list[str]:
    """Column names of a CSV file. Raises InputError when they are no text, or two are the same."""
    import csv
    import io

    with open_bytes(source.address) as raw, Utf8(raw) as handle:
        text = io.TextIOWrapper(io.BufferedReader(handle), encoding="utf-8-sig", newline="")
        try:
            names = next(csv.reader(text, delimiter="\t" if source.kind == "tsv" else ","), [])
        except csv.Error as error:
            raise InputError(f"{source.address}: the first line is no header of columns: {error}") from error
    if any("\0" in name for name in names):
        raise InputError(f"{source.address}: the first line is no header of columns: it is not UTF-8 text")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{source.address}: two columns are called '{name}'")
    return names


def _numbered(batch: Any, source: Source, first: int) -> Chunk:
    """Rows of an Arrow batch with an id each: their own as text, else where they stand, from 1."""
    import polars as pl

    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)
    place = pl.int_range(first + 1, first + 1 + frame.height, eager=True).cast(pl.String)
    return Chunk(_with_ids(frame, place, source), bytes=batch.nbytes)


def _with_ids(frame: pl.DataFrame, place: pl.Series, source: Source) -> pl.DataFrame:
    import polars as pl

    own = pl.col("id").cast(pl.String) if "id" in frame.columns else pl.lit(None, pl.String)
    return frame.with_columns(pl.coalesce(own, pl.lit(f"{source.name}:") + pl.lit(place)).alias("id"))


def _broken(source: Source, *rejects: Reject) -> Iterator[Chunk]:
    import polars as pl

    yield Chunk(pl.DataFrame(schema={"id": pl.String}), list(rejects))


def _fit(frame: pl.DataFrame, source: Source, take: Take) -> pl.DataFrame:
    """The frame with the columns that the job takes: missing optional ones null, wrong types refused."""
    import polars as pl

    if frame.height == 0:
        names = ["id", *(["record"] if take.whole else take.columns), *take.also]
        return pl.DataFrame(schema={n: pl.Binary if n == "html" else pl.String for n in names})
    if take.whole:
        if source.kind in ("html", "warc") and "html" in frame.columns:
            raise _pages(source)
        bytes_in = [name for name, kind in frame.schema.items() if holds_bytes(kind)]
        if bytes_in:
            raise InputError(f"{source.address}: column '{bytes_in[0]}' holds bytes, which JSON cannot: take it out first")
        return frame.select("id", pl.struct(frame.columns).struct.json_encode().alias("record"))
    for name in take.columns:
        if name in frame.columns:
            continue
        if name in ("url", "content_type", "date"):
            frame = frame.with_columns(pl.lit(None, pl.String).alias(name))
        elif source.kind in ("html", "warc") and name == "text":
            raise _pages(source)
        else:
            held = ", ".join(c for c in frame.columns if c != "id")
            raise InputError(f"{source.address}: has no column '{name}'; its columns: {held} (see --text-column and --format)")
    for name in take.columns:
        kind = frame.schema[name]
        if name == "html" and kind == pl.String:
            frame = frame.with_columns(pl.col(name).cast(pl.Binary))
        elif name not in (*take.json_columns, "html") and kind != pl.String:
            if kind != pl.Categorical and kind != pl.Null:
                raise InputError(f"{source.address}: column '{name}' holds {kind}, not strings")
            frame = frame.with_columns(pl.col(name).cast(pl.String))
    for name in take.also:
        if name in take.needed and name not in frame.columns:
            raise InputError(f"{source.address}: has no column '{name}', which a step reads")
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, pl.String).alias(name))
    gone = [n for n in take.replaced if n in frame.columns and n not in (*take.columns, *take.also)]
    return frame.drop(gone)


def _pages(source: Source) -> InputError:
    return InputError(f"{source.address}: holds web pages, not text: run `curate extract` on it first")


def _opened(reader: Callable[[Source, IO[bytes]], Iterator[Chunk]]) -> Callable[[Piece], Iterator[Chunk]]:
    def run(piece: Piece) -> Iterator[Chunk]:
        with open_bytes(piece.source.address) as handle:
            yield from reader(piece.source, handle)

    return run


READERS: dict[Kind, Callable[[Piece], Iterator[Chunk]]] = {
    "parquet": _parquet,
    "arrow": _arrow,
    "hub": _hub,
    "csv": _separated,
    "tsv": _separated,
    "text": _opened(documents.text),
    "html": _opened(documents.html),
    "warc": _opened(warc.warc),
    "pdf": _opened(pdf.pdf),
}
