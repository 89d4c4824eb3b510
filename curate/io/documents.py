"""Files that hold one document each: plain text, HTML pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from curate.io.files import Source
from curate.io.rows import EXCERPT, PAGE_BYTES, Chunk, Reject, frame_of

__all__ = ["html", "text"]


def _reject(source: Source, error: str, line: int = 1, excerpt: bytes = b"") -> Chunk:
    return Chunk(frame_of({"id": []}), [Reject(source.name, line, error, excerpt[:EXCERPT].decode("utf-8", "replace"))])


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
    yield Chunk(frame_of({"id": [source.name], "text": [content]}), bytes=len(data), notes=notes)


def html(source: Source, handle: IO[bytes]) -> Iterator[Chunk]:
    """An HTML file: one row, its bytes as they are, at most PAGE_BYTES (their encoding is the extractor's business)."""
    try:
        data = handle.read(PAGE_BYTES)
    except OSError as error:
        yield _reject(source, f"the file cannot be read: {error}")
        return
    row: dict[str, list[Any]] = {"id": [source.name], "html": [data], "url": [None], "content_type": [None]}
    yield Chunk(frame_of(row), bytes=len(data))
