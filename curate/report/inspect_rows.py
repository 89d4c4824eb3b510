"""`curate inspect` on rows: how many, in which format, which columns, how long, what cannot be read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from curate.declare import Reading
from curate.formats.detect import detect_dialect
from curate.formats.readings import detect, pick
from curate.io.files import Piece, Shard, cut, resolve
from curate.io.read import read
from curate.io.rows import REST, Reject, Take
from curate.report.books import excerpt
from curate.report.spread import Spread
from curate.report.tables import bytes_text, print_table

if TYPE_CHECKING:
    import polars as pl

__all__ = ["show_rows"]

JSON_KINDS = {"jsonl", "json"}

LOOK_ROWS = 1000
"""Rows at the beginning that say which columns there are."""

MOST_COLUMNS = 100
"""Columns that are counted; each costs a pass over the row."""


@dataclass
class Found:
    """What was counted."""

    rows: int = 0
    no_text: int = 0
    bytes: int = 0
    unreadable: int = 0
    first: Reject | None = None
    nulls: dict[str, int] = field(default_factory=dict)
    lengths: Spread = field(default_factory=Spread)
    notes: list[str] = field(default_factory=list)


def show_rows(console: Any, path: str, rows: int) -> None:
    """Print what is in a file or folder of rows. Reads it twice at the beginning, else once; memory: a few chunks.

    Raises InputError when there is nothing, or nothing that can be read.
    """
    sources, ignored = resolve([path])
    shards = cut(sources)
    kinds = sorted({source.kind for source in sources})
    size = sum(source.size for source in sources)
    files = "file" if len(sources) == 1 else "files"
    console.print(f"{path}: {len(sources):,} {files} ({', '.join(kinds)}), {bytes_text(size)}", soft_wrap=True)
    if ignored:
        console.print(f"left out, of no known kind: {len(ignored):,}, first: {ignored[0]}", soft_wrap=True)
    if len(sources) > 1:
        largest = sorted(sources, key=lambda source: -source.size)[:5]
        print_table(console, ["largest files", "size"], [[source.name, bytes_text(source.size)] for source in largest])
    first = _first_rows(shards, LOOK_ROWS)
    web = set(kinds) <= {"html", "warc"} and not (first and isinstance(first[0], dict) and "text" in first[0])
    reading: Reading | None = "html" if web else (detect(first[0]) if first else None)
    # Every row has an id when it is read, its own or its place.
    keys = list(dict.fromkeys(key for row in first if isinstance(row, dict) for key in row if key != "id"))
    found = _count(shards, reading, keys[:MOST_COLUMNS], set(kinds) <= JSON_KINDS)
    _show(console, found, reading, keys)
    if reading is None and first:
        console.print(f"dialects of the first {len(first):,} rows: {_dialects(first)}", soft_wrap=True)
    for number, row in enumerate(first[:rows], 1):
        console.print(f"row {number}")
        items = row.items() if isinstance(row, dict) else [("messages", row)]
        for key, value in items:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            console.print(f"  {key}: {excerpt(text)}", soft_wrap=True)


def _dialects(rows: list[Any]) -> str:
    """Which dialects rows are of, and how many of each."""
    import polars as pl

    texts = pl.Series("record", [json.dumps(row, default=str) for row in rows], dtype=pl.String)
    names = Counter(detect_dialect(texts))
    return ", ".join(f"{name} {n:,}" for name, n in names.most_common())


def _first_rows(shards: list[Shard], count: int) -> list[Any]:
    """The first readable rows: JSON decoded, typed rows as they are but for bytes, which are shown as text."""
    return list(islice((row for shard in shards for piece in shard.pieces for row in _decoded(piece)), count))


def _decoded(piece: Piece) -> Iterator[Any]:
    is_json = piece.source.kind in JSON_KINDS
    take = Take(columns=(), whole=True, array_as="record") if is_json else Take(columns=())
    for chunk in read(Shard(index=0, pieces=(piece,)), take):
        if is_json:
            yield from map(json.loads, chunk.frame["record"])
            continue
        for row in chunk.frame.iter_rows(named=True):
            yield {key: value.decode("utf-8", "replace") if isinstance(value, bytes) else value for key, value in row.items()}


def _count(shards: list[Shard], reading: Reading | None, keys: list[str], json_rows: bool) -> Found:
    """Go over all rows once."""
    found = Found(nulls=dict.fromkeys(keys, 0))
    form = pick(reading) if reading else None
    columns = form.columns if form else ()
    take = Take(
        columns=columns,
        json_columns=("messages",) if reading == "chat" else (),
        array_as=form.array_as if form else None,
        also=tuple(key for key in keys if key not in columns) if json_rows else (),
    )
    for shard in shards:
        for chunk in read(shard, take):
            frame = chunk.frame
            found.bytes += chunk.bytes
            found.notes += chunk.notes
            found.unreadable += len(chunk.rejects)
            found.first = found.first or next(iter(chunk.rejects), None)
            if not frame.height:
                continue
            found.rows += frame.height
            for name in frame.columns:
                if name not in ("id", REST):
                    found.nulls[name] = found.nulls.get(name, 0) + frame[name].null_count()
            if form is not None:
                lengths = _lengths(frame, reading, form)
                found.no_text += lengths.null_count()
                found.lengths.add(lengths)
    return found


def _lengths(frame: pl.DataFrame, reading: Reading | None, form: Any) -> pl.Series:
    """How long each row is: characters of its text, bytes of a page."""
    if reading == "html":
        return frame["html"].bin.size()
    text: pl.Series = form.text(form.normalize(frame))
    return text.str.len_chars()


def _show(console: Any, found: Found, reading: Reading | None, keys: list[str]) -> None:
    console.print(
        f"{found.rows:,} rows, {bytes_text(found.bytes)} read; "
        + (f"format: {reading}" if reading else "none of the four formats (see `curate convert`)")
    )
    for note in found.notes:
        console.print(note, soft_wrap=True)
    if found.unreadable and found.first:
        where = f"{found.first.file}:{found.first.line}: {found.first.error}: {excerpt(found.first.text, 100)}"
        console.print(f"{found.unreadable:,} rows cannot be read, first: {where}", soft_wrap=True)
    if found.no_text:
        console.print(f"{found.no_text:,} rows have no text: a part of it is null or missing")
    shares = [[name, f"{100 * nulls / found.rows:.1f} %"] for name, nulls in found.nulls.items()] if found.rows else []
    if shares:
        print_table(console, ["column", "null or missing"], shares)
    if len(keys) > MOST_COLUMNS:
        console.print(f"and {len(keys) - MOST_COLUMNS} more columns")
    if found.lengths.count:
        marks = [found.lengths.min, *(found.lengths.quantile(q) for q in (0.05, 0.25, 0.5, 0.75, 0.95)), found.lengths.max]
        header = ["least", "5 %", "25 %", "median", "75 %", "95 %", "greatest"]
        what = "bytes a page" if reading == "html" else "characters a text"
        print_table(console, [what, *header], [["", *(f"{mark:,.0f}" for mark in marks)]])
