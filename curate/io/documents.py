"""Files that hold documents rather than rows: plain text, HTML pages, web archives, PDF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from curate.io.files import Source
from curate.io.rows import EXCERPT, Chunk, Reject

__all__ = ["html", "pdf", "text", "warc"]

CHUNK_BYTES = 8 << 20
"""Bytes of records gathered into one chunk."""


def _frame(columns: dict[str, list[Any]]) -> Any:
    import polars as pl

    return pl.DataFrame(columns, schema={name: pl.Binary if name == "html" else pl.String for name in columns})


def _reject(source: Source, error: str, line: int = 1, excerpt: bytes = b"") -> Chunk:
    return Chunk(_frame({"id": []}), [Reject(source.name, line, error, excerpt[:EXCERPT].decode("utf-8", "replace"))])


def text(source: Source, handle: IO[bytes]) -> Iterator[Chunk]:
    """A plain text or Markdown file: one row, the whole file. Must be UTF-8; a byte order mark is left out and said."""
    try:
        data = handle.read()
    except OSError as error:
        yield _reject(source, f"the file cannot be read: {error}")
        return
    notes = []
    if data.startswith(b"\xef\xbb\xbf"):
        data, notes = data[3:], [f"{source.name}: a byte order mark at the start was left out"]
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield _reject(source, f"invalid UTF-8 at byte {error.start}", line, data[max(0, error.start - 100) :])
        return
    if "\0" in content:
        yield _reject(source, "NUL byte: this is not text", content[: content.index("\0")].count("\n") + 1)
        return
    yield Chunk(_frame({"id": [source.name], "text": [content]}), bytes=len(data), notes=notes)


def html(source: Source, handle: IO[bytes]) -> Iterator[Chunk]:
    """An HTML file: one row, its bytes as they are (which encoding they are in is the extractor's business)."""
    try:
        data = handle.read()
    except OSError as error:
        yield _reject(source, f"the file cannot be read: {error}")
        return
    row: dict[str, list[Any]] = {"id": [source.name], "html": [data], "url": [None], "content_type": [None]}
    yield Chunk(_frame(row), bytes=len(data))


def warc(source: Source, handle: IO[bytes]) -> Iterator[Chunk]:
    """A web archive (fastwarc): a row for each HTML response (`html`, `url`, `date`, `content_type`), or, in a WET file,
    for each conversion record (`text`, `url`, `date`).

    Other records are passed over: requests, metadata, and responses that are not HTML. Record numbers stand for lines.
    """
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    wanted = WarcRecordType.response | WarcRecordType.conversion | WarcRecordType.resource
    rows: dict[str, list[Any]] = {}
    rejects: list[Reject] = []
    size = number = 0
    try:
        for record in ArchiveIterator(handle, record_types=wanted, parse_http=True):
            number += 1
            row = _record(record)
            if row is None:
                continue
            if isinstance(row, str):
                rejects.append(Reject(source.name, number, row, ""))
                continue
            if (rows and rows.keys() != row.keys()) or size >= CHUNK_BYTES:
                yield Chunk(_frame(rows), rejects, size)
                rows, rejects, size = {}, [], 0
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
            size += len(row["html"] if "html" in row else row["text"])
    except (OSError, ValueError) as error:
        rejects.append(Reject(source.name, number + 1, f"the archive cannot be read further: {error}", ""))
    if rows or rejects:
        yield Chunk(_frame(rows or {"id": []}), rejects, size)


def _record(record: Any) -> dict[str, Any] | str | None:
    """The record as a row; what is wrong with it; or None when it holds no page."""
    from fastwarc.warc import WarcRecordType

    url = record.headers.get("WARC-Target-URI")
    common = {"id": str(record.record_id), "url": url, "date": record.headers.get("WARC-Date")}
    http = record.http_headers
    kind = (http.get("Content-Type") if http is not None else record.headers.get("Content-Type")) or ""
    conversion = record.record_type == WarcRecordType.conversion
    if kind and "html" not in kind.lower() and not conversion:
        return None
    # fastwarc takes the end of the file for the end of the record.
    length = record.content_length
    body: bytes = record.reader.read()
    if len(body) < length:
        return f"{url}: the file ends within the record, at {len(body)} of {length} bytes"
    if not conversion:
        return {**common, "html": body, "content_type": kind or None}
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"{url}: invalid UTF-8 at byte {error.start}"
    return {**common, "text": text} if "\0" not in text else f"{url}: NUL byte: this is not text"


def pdf(source: Source, handle: IO[bytes]) -> Iterator[Chunk]:
    """A PDF (pypdfium2): one row, the text of its pages with a blank line between them. Scanned pages have no text."""
    import pypdfium2

    try:
        data = handle.read()
        document = pypdfium2.PdfDocument(data)
    except (pypdfium2.PdfiumError, OSError) as error:
        yield _reject(source, f"not a readable PDF: {error}")
        return
    try:
        pages = []
        for page in document:
            content = page.get_textpage()
            pages.append(content.get_text_bounded().replace("\r\n", "\n").strip())
            content.close()
            page.close()
    except pypdfium2.PdfiumError as error:
        yield _reject(source, f"page {len(pages) + 1} of the PDF cannot be read: {error}", len(pages) + 1)
        return
    finally:
        document.close()
    yield Chunk(_frame({"id": [source.name], "text": ["\n\n".join(p for p in pages if p)]}), bytes=len(data))
