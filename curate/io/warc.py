"""Web archives: WARC and WET files, read so that damage costs the records that it hits and no others."""

from __future__ import annotations

import io
import re
from collections import Counter, deque
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from curate.io.compressed import Decompressed
from curate.io.files import Source
from curate.io.http_body import http_body
from curate.io.rows import MAX_PAGE_BYTES, PAGE_BYTES, Chunk, Reject, frame_of

__all__ = ["warc"]

CHUNK_BYTES = 8 << 20
"""Bytes of records gathered into one chunk."""

BLOCK_BYTES = 64 << 10
"""Bytes that fastwarc reads at a time, and is ahead at most. As many as eight times that are kept, to look for a record in."""

HEADER_BYTES = 64 << 10
"""Bytes in which the header of an HTTP response must end."""

STATUS = re.compile(rb"HTTP/[\d.]+ +([1-5]\d\d)\b")
BLANK = re.compile(rb"\r?\n\r?\n")
RECORD = re.compile(rb"(?:\A|\n)(WARC/\d)")


def warc(source: Source, handle: IO[bytes]) -> Iterator[Chunk]:
    """A web archive (fastwarc): a row for each HTML response (`html`, `url`, `date`, `content_type`), or, in a WET file,
    for each conversion record (`text`, `url`, `date`).

    Bodies come without chunks and compression, at most PAGE_BYTES of them. Records that are no page are counted in
    `Chunk.skipped`: by their type (`request`, `metadata`, `revisit` ..), by status where it is not 200 (`status_404`), or as
    `not_html`. Pages that the crawler cut (`WARC-Truncated`) are pages. Damaged data is rejected, with its place in the file,
    and reading goes on with the next record that can be found. Numbers of records stand for lines; lost ones do not count.
    """
    from fastwarc.warc import ArchiveIterator

    archive = _Archive(handle)
    gathered = _Gathered(source.name)
    while True:
        try:
            for record in ArchiveIterator(archive, parse_http=False, strict_mode=False):
                archive.passed = archive.origin + record.stream_pos + record.content_length
                row = gathered.row(record)
                if row is not None:
                    if gathered.full(row):
                        yield gathered.chunk()
                    gathered.add(row)
            break
        except (OSError, ValueError) as error:
            where = archive.place()
            goes_on = archive.resume()
            after = "reading goes on behind it" if goes_on else "nothing behind it can be read"
            gathered.reject(f"the archive is damaged {where}: {error}; {after}", gathered.number + 1)
            if not goes_on:
                break
    yield from gathered.rest()


class _Gathered:
    """Rows, rejects and counts on their way into chunks."""

    def __init__(self, name: str) -> None:
        self.number = 0
        """Records read so far."""
        self._name = name
        self._rows: dict[str, list[Any]] = {}
        self._rejects: list[Reject] = []
        self._skipped: Counter[str] = Counter()
        self._bytes = 0

    def row(self, record: Any) -> dict[str, Any] | None:
        """The record as a row. None when it is none: then it is counted or rejected."""
        self.number += 1
        kind = str(record.record_type)
        found: dict[str, Any] | str | _Other
        if kind == "conversion":
            found = _text(record)
        elif kind in ("response", "resource"):
            found = _page(record)
        else:
            found = _Other(kind)
        if isinstance(found, _Other):
            self._skipped[found.kind] += 1
            return None
        if isinstance(found, str):
            self.reject(f"{record.headers.get('WARC-Target-URI')}: {found}", self.number)
            return None
        common = {"id": str(record.record_id), "url": record.headers.get("WARC-Target-URI")}
        return {**common, "date": record.headers.get("WARC-Date"), **found}

    def reject(self, error: str, line: int) -> None:
        self._rejects.append(Reject(self._name, line, error, ""))

    def full(self, row: dict[str, Any]) -> bool:
        """Whether a row must go to the next chunk."""
        return bool(self._rows) and (self._bytes >= CHUNK_BYTES or self._rows.keys() != row.keys())

    def add(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            self._rows.setdefault(name, []).append(value)
        self._bytes += len(row["html"] if "html" in row else row["text"])

    def chunk(self) -> Chunk:
        """What is gathered; nothing is afterwards."""
        chunk = Chunk(frame_of(self._rows or {"id": []}), self._rejects, self._bytes, skipped=dict(self._skipped))
        self._rows, self._rejects, self._bytes = {}, [], 0
        self._skipped.clear()
        return chunk

    def rest(self) -> Iterator[Chunk]:
        if self._rows or self._rejects or self._skipped:
            yield self.chunk()


class _Other(NamedTuple):
    """A record that is no page."""

    kind: str


def _page(record: Any) -> dict[str, Any] | str | _Other:
    """A page's columns; or what is wrong with it; or what it is instead.

    The HTTP header is read here, because fastwarc takes all for header where lines end without CR.
    """
    content_type = record.headers.get("Content-Type") or ""
    body = record.reader.read(HEADER_BYTES) if record.content_length else b""
    headers: dict[str, str] = {}
    begin = 0
    if content_type.lower().startswith("application/http"):
        end = BLANK.search(body)
        status = STATUS.match(body)
        if end is None or status is None:
            return _Other("no_http_response")
        if status[1] != b"200":
            return _Other(f"status_{status[1].decode()}")
        headers = _headers(body[: end.start()])
        content_type = headers.get("content-type", "")
        begin = end.end()
    if content_type and "html" not in content_type.lower():
        return _Other("not_html")
    whole = _whole(record, body, begin)
    if isinstance(whole, str):
        return whole
    try:
        page = http_body(whole, headers.get("transfer-encoding", ""), headers.get("content-encoding", ""), PAGE_BYTES)
    except ValueError as error:
        return str(error)
    return {"html": page, "content_type": content_type or None}


def _headers(block: bytes) -> dict[str, str]:
    """HTTP headers by name in lower case. Of one that is there twice the last, of one on several lines the first of them."""
    lines = (line.partition(b":") for line in block.split(b"\n")[1:])
    return {name.strip().lower().decode("latin-1"): value.strip().decode("latin-1") for name, _, value in lines}


def _text(record: Any) -> dict[str, Any] | str:
    """The columns of a WET record; or what is wrong with it."""
    body = _whole(record, b"", 0)
    if isinstance(body, str):
        return body
    if len(body) == PAGE_BYTES:
        return f"the text is longer than {MAX_PAGE_BYTES:,} bytes"
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at byte {error.start}"
    return {"text": text} if "\0" not in text else "NUL byte: this is not text"


def _whole(record: Any, body: bytes, begin: int) -> bytes | str:
    """At most PAGE_BYTES of the record from `begin` on, of which `body` is read; or what is wrong with it."""
    length = min(record.content_length, begin + PAGE_BYTES)
    if len(body) < length:
        body += record.reader.read(length - len(body))
    # fastwarc takes the end of the file for the end of the record.
    if len(body) < length:
        return f"the file ends within the record, at {len(body)} of {record.content_length} bytes"
    return body[begin:length]


class _Archive(io.RawIOBase):
    """The content of an archive for fastwarc to read, which can be taken up again behind damage."""

    def __init__(self, handle: IO[bytes]) -> None:
        self.origin = 0
        """Where in the content the reading began, or went on."""
        self.passed = 0
        """Where in the content the next record may begin at the earliest."""
        self._handle = handle
        self._damaged = False
        self._position = 0
        self._tail: deque[bytes] = deque(maxlen=8)
        self._pending = b""

    def read(self, size: int = -1) -> bytes:
        """Some more of the content. Raises OSError where the compressed data is damaged."""
        if self._pending:
            data, self._pending = self._pending[:size], self._pending[size:]
            return data
        return self._more(size)

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """Bytes of the content given so far."""
        return self._position - len(self._pending)

    def place(self) -> str:
        """Where in the file the damage is, for people."""
        if isinstance(self._handle, Decompressed):
            return f"in the compressed member at byte {self._handle.member}"
        return f"behind byte {self.passed}"

    def resume(self) -> bool:
        """Go on with the next record that can be found. False when there is none. O(bytes) up to it."""
        window = b"".join(self._tail)
        begin = self._position - len(window)
        first = max(self.passed, self.origin + 1)
        if self._damaged:
            first = self._position
        while True:
            if self._damaged:
                if not (isinstance(self._handle, Decompressed) and self._handle.resume()):
                    return False
                self._damaged = False
                window, begin, first = b"", self._position, self._position
            found = RECORD.search(window, max(0, first - begin))
            if found:
                self._pending = window[found.start(1) :]
                self.origin = self.passed = begin + found.start(1)
                return True
            begin, window = begin + max(0, len(window) - 8), window[-8:]
            try:
                more = self._more(BLOCK_BYTES)
            except OSError:
                continue
            if not more:
                return False
            window += more

    def _more(self, size: int) -> bytes:
        try:
            data = self._handle.read(size)
        except OSError:
            self._damaged = True
            raise
        self._position += len(data)
        self._tail.append(data)
        return data
