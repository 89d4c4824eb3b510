"""The body of an HTTP response as the page that it carries: chunks joined, compression undone."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable

__all__ = ["http_body"]

CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
LIST = re.compile(r"[^\s,]+")


def http_body(body: bytes, transfer: str, content: str, most: int) -> bytes:
    """A response's body without its codings (RFC 9110, 9112); at most `most` bytes, as a few may become any number.

    transfer, content: the headers `Transfer-Encoding` and `Content-Encoding`. Many archives hold bodies that were decoded
    already and keep the headers: a body that is not in the coding, but has a `<` in its beginning, is taken as it is. Of one
    that is cut off there is what comes before the cut. Raises ValueError for one that cannot be decoded. O(bytes).
    """
    if "chunked" in transfer.lower():
        body = _joined(body)
    for coding in reversed(LIST.findall(content.lower())):
        undo = CODINGS.get(coding)
        if undo is None or not body:
            continue
        try:
            body = undo(body, most)
        except _errors() as error:
            if b"<" not in body[:1024]:
                raise ValueError(f"the body is not what its Content-Encoding says ({coding}): {error}") from error
    return body[:most]


def _joined(body: bytes) -> bytes:
    """A chunked body's content, as far as its chunks go; one that does not begin with a chunk as it is."""
    parts = []
    place = 0
    while found := CHUNK.match(body, place):
        size = int(found[1], 16)
        parts.append(body[found.end() : found.end() + size])
        place = found.end() + size
        if size == 0 or place >= len(body):
            return b"".join(parts)
        place += 2 if body.startswith(b"\r\n", place) else 1
    return b"".join(parts) if parts else body


def _gzip(body: bytes, most: int) -> bytes:
    """Members one after another. What follows the last, and is none, goes."""
    parts: list[bytes] = []
    size = 0
    while body[:2] == b"\x1f\x8b" or not parts:
        member = zlib.decompressobj(wbits=31)
        parts.append(member.decompress(body, most - size + 1))
        size += len(parts[-1])
        body = member.unused_data
        if size > most:
            break
    return b"".join(parts)


def _deflate(body: bytes, most: int) -> bytes:
    """With the zlib wrapper, as the standard says, or without, as many servers do."""
    try:
        return zlib.decompressobj().decompress(body, most)
    except zlib.error:
        return zlib.decompressobj(wbits=-15).decompress(body, most)


def _brotli(body: bytes, most: int) -> bytes:
    import brotli

    decompressor = brotli.Decompressor()
    parts: list[bytes] = [decompressor.process(body, output_buffer_limit=most)]
    size = len(parts[0])
    while parts[-1] and size < most and not decompressor.can_accept_more_data():
        parts.append(decompressor.process(b"", output_buffer_limit=most - size))
        size += len(parts[-1])
    return b"".join(parts)


def _zstd(body: bytes, most: int) -> bytes:
    import zstandard

    # RFC 9659: browsers accept windows of up to 8 MB.
    reader = zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(io.BytesIO(body), read_across_frames=True)
    made: bytes = reader.read(most)
    return made


def _errors() -> tuple[type[Exception], ...]:
    import brotli
    import zstandard

    return (zlib.error, brotli.error, zstandard.ZstdError)


CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
