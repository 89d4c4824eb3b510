"""Reading JSONL: lines from any byte range of a file, exact, with the place of every line that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from curate.io.files import Piece, Source, open_bytes
from curate.io.rows import EXCERPT, PLACE, REST, Chunk, Reject, Take

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BLOCK_BYTES", "parse", "read_jsonl"]

BLOCK_BYTES = 8 << 20
"""Bytes parsed at a time: large enough to amortise a call, small enough for the caches and for memory to stay flat."""

MAX_LINE = 256 << 20
"""A longer line is rejected: it is a missing line break, and reading it would need memory without bound."""

KINDS = ("nothing", "a string", "a number", "true or false", "null", "an object", "an array")
STRING, NULL, ARRAY = 1, 4, 6


def read_jsonl(piece: Piece, take: Take) -> Iterator[Chunk]:
    """The rows of the lines that start within the piece's bytes.

    Raises InputError when the file cannot be opened; whatever is wrong inside comes as rejects.
    """
    from curate.kernels.json_lines import count_lines

    source = piece.source
    with open_bytes(source.address) as handle:
        place = _Place(piece, handle)
        for block in _blocks(handle, piece.start, piece.end):
            if isinstance(block, _Damage):
                yield Chunk(_empty(take), [Reject(source.name, place.lines_before() + 1, block.error, block.text)])
                place.lines += 1
                continue
            notes = []
            if piece.start == 0 and place.lines == 0:
                block, note = _without_bom(block)
                notes = [f"{source.name}: {note}"] if note else []
            chunk = parse(block, source, place.lines_before, take, place.lines)
            chunk.notes = notes
            place.lines += count_lines(block)
            yield chunk


class _Place:
    """How many lines of a file come before the next block. Those before the piece are counted only if someone asks."""

    def __init__(self, piece: Piece, handle: IO[bytes]) -> None:
        self.lines = 0
        self._source = piece.source
        self._start = piece.start
        self._handle = handle
        self._before = 0 if piece.start == 0 else None

    def lines_before(self) -> int:
        if self._before is None:
            # The piece has the lines that begin in it, so what counts is how many begin before it.
            here = self._handle.tell()
            self._before = 1 + _breaks_before(self._source, self._handle, self._start - 1)
            self._handle.seek(here)
        return self._before + self.lines


_counted: dict[Source, dict[int, int]] = {}
"""Line breaks before places in a file, as far as this process has counted: else a file of n pieces would be read n/2 times."""


def _breaks_before(source: Source, handle: IO[bytes], end: int) -> int:
    """Line breaks in the first `end` bytes of a file, counted on from the nearest place before that was counted to."""
    known = _counted.setdefault(source, {0: 0})
    begin = max(place for place in tuple(known) if place <= end)
    breaks = known[begin]
    handle.seek(begin)
    left = end - begin
    while left > 0 and (block := handle.read(min(BLOCK_BYTES, left))):
        breaks += block.count(b"\n")
        left -= len(block)
    known[end] = breaks
    return breaks


class _Damage(NamedTuple):
    """Something between two blocks that cannot be read: what is wrong, and how it begins."""

    error: str
    text: str = ""


def _blocks(handle: IO[bytes], start: int, end: int | None) -> Iterator[bytes | _Damage]:
    """Whole lines, about BLOCK_BYTES at a time, and what cannot be read between them."""
    position = start
    if start:
        handle.seek(start - 1)
        position = start - 1 + _skip_line(handle)
    carry = b""
    skipping = False
    while end is None or position < end:
        damage = None
        try:
            block = handle.read(BLOCK_BYTES)
        except OSError as error:
            damage, block = _Damage(f"the file cannot be read further: {error}"), b""
        if not block:
            if carry:
                yield carry
            if damage:
                yield damage
            return
        if skipping:
            after = block.find(b"\n") + 1
            position += after or len(block)
            skipping = after == 0
            if skipping or (end is not None and position >= end):
                continue
            block = block[after:]
        data = carry + block if carry else block
        if end is not None and position + len(data) >= end:
            # The line that starts before `end` is ours to its end, the next is not.
            last = data.find(b"\n", max(0, end - 1 - position))
            if last >= 0:
                yield data[: last + 1]
                return
        last = data.rfind(b"\n")
        if last < 0 and len(data) > MAX_LINE:
            yield _Damage(f"the line is longer than {MAX_LINE >> 20} MB", data[:EXCERPT].decode("utf-8", "replace"))
            position += len(data)
            carry, skipping = b"", True
            continue
        if last >= 0:
            yield data[: last + 1]
            position += last + 1
        carry = data[last + 1 :]


def _skip_line(handle: IO[bytes]) -> int:
    """Read to the end of the line; how many bytes that was."""
    skipped = 0
    while part := handle.readline(BLOCK_BYTES):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _without_bom(block: bytes) -> tuple[bytes, str]:
    if block.startswith(b"\xef\xbb\xbf"):
        return block[3:], "a byte order mark at the start was left out"
    return block, ""


def parse(block: bytes, source: Source, lines_before: Callable[[], int], take: Take, of_piece: int = 0) -> Chunk:
    """Rows of a block of whole lines. `lines_before` is asked only if an id or an error needs the number of a line;
    `of_piece`: how many lines of the piece come before the block."""
    import numpy as np
    import polars as pl

    from curate.kernels import json_lines

    data = np.frombuffer(block, np.uint8)
    asked = ("id", *(() if take.whole else take.columns), *take.also)
    asked += tuple(c for c in take.replaced if c not in asked)
    if take.array_as is not None and take.array_as not in asked:
        asked += (take.array_as,)
    scan = json_lines.scan(block, asked, take.array_as)
    errors = np.asarray(scan.error)
    good = errors == 0
    rejected: dict[int, str] = {int(i): json_lines.message(int(errors[i])) for i in np.flatnonzero(~good)}
    columns: dict[str, pl.Series] = {}
    for column, name in enumerate(asked):
        kind = scan.kind[:, column]
        if name == "id" or name in take.also:
            continue
        if name in take.columns and not take.whole:
            wanted = ARRAY if name in take.json_columns else STRING
            wrong = good & (kind != wanted) & (kind != 0) & (kind != NULL)
            for i in np.flatnonzero(wrong):
                rejected[int(i)] = f"{name}: expected {KINDS[wanted]}, found {KINDS[kind[i]]}"
            good &= ~wrong
            values = json_lines.raw if name in take.json_columns else json_lines.strings
            columns[name] = series(*values(data, scan, column))
            if name == "html":
                columns[name] = columns[name].cast(pl.Binary)
    for name in take.needed:
        absent = good & (scan.kind[:, asked.index(name)] == 0)
        rejected |= dict.fromkeys(map(int, np.flatnonzero(absent)), f"{name}: missing; a step reads it")
        good &= ~absent
    rest = series(scan.rest_offsets, scan.rest)
    for name in take.also:
        column = asked.index(name)
        if not scan.kind[:, column].any():
            columns[name] = pl.repeat(None, len(scan.kind), dtype=pl.String, eager=True)
            continue
        text, raw = series(*json_lines.strings(data, scan, column)), series(*json_lines.raw(data, scan, column))
        columns[name] = pl.select(pl.coalesce(text, pl.when(raw != "null").then(raw))).to_series()
        if name not in take.replaced:
            member = pl.lit(f'"{name}":') + raw
            rest = pl.select(
                pl.when(raw.is_null()).then(rest).when(rest == "").then(member).otherwise(rest + pl.lit(",") + member)
            ).to_series()
    lines = pl.Series(np.asarray(scan.line, np.int64))
    ids = _ids(data, scan, json_lines)
    numbers = lines + (lines_before() + 1 if rejected or ids.filter(pl.Series(good)).null_count() else 1)
    ids = pl.select(pl.coalesce(ids, pl.lit(f"{source.name}:") + numbers.cast(pl.String))).to_series()
    if take.whole:
        columns["record"] = series(*spans(data, np.asarray(scan.start), np.asarray(scan.end)))
    if take.places:
        columns[PLACE[2]] = lines + (of_piece + 1)
    frame = pl.DataFrame({"id": ids, **columns})
    if not take.whole:
        frame = frame.with_columns(rest.alias(REST))
    if rejected:
        frame = frame.filter(pl.Series(good))
    rejects = [
        Reject(source.name, int(numbers[i]), error, _excerpt(block, int(scan.start[i]), int(scan.end[i])))
        for i, error in sorted(rejected.items())
    ]
    return Chunk(frame, rejects, len(block))


def _ids(data: Any, scan: Any, json_lines: Any) -> pl.Series:
    """The lines' own ids as strings (numbers as they are written), null where there is none."""
    import polars as pl

    text, raw = series(*json_lines.strings(data, scan, 0)), series(*json_lines.raw(data, scan, 0))
    return pl.select(pl.coalesce(text, pl.when(raw != "null").then(raw))).to_series()


def series(offsets: Any, data: Any, ok: Any = None) -> pl.Series:
    """A series of strings over Arrow buffers; null where `ok` is False."""
    import numpy as np
    import polars as pl
    import pyarrow as pa

    mask = None if ok is None or bool(np.all(ok)) else pa.py_buffer(np.packbits(ok, bitorder="little"))
    array = pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data), mask)
    result = pl.from_arrow(array)
    assert isinstance(result, pl.Series)
    return result


def spans(data: Any, start: Any, end: Any) -> tuple[Any, Any]:
    """Buffers of the strings that stand at spans of `data`."""
    import numpy as np

    from curate.kernels.json_scan import take_spans

    offsets = np.zeros(len(start) + 1, np.int64)
    np.cumsum(end - start, out=offsets[1:])
    taken = np.empty(offsets[-1], np.uint8)
    take_spans(data, start, offsets, taken)
    return offsets, taken


def _excerpt(block: bytes, start: int, end: int) -> str:
    return block[start : min(end, start + EXCERPT)].decode("utf-8", "replace")


def _empty(take: Take) -> pl.DataFrame:
    import polars as pl

    names = ["id", *(["record"] if take.whole else [*take.columns, REST]), *take.also]
    return pl.DataFrame(schema={name: pl.Binary if name == "html" else pl.String for name in names})
