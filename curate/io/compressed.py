"""Reading compressed files so that damage never passes unseen and never takes good data with it."""

from __future__ import annotations

import io
import zlib
from typing import IO, Any

__all__ = ["Decompressed"]

INPUT_BYTES = 16 << 10
"""Compressed bytes taken at a time. Bounds what one call can make of them: gzip 1000:1, Zstandard 32768:1 at most."""

MAGIC = {".gz": b"\x1f\x8b\x08", ".zst": b"\x28\xb5\x2f\xfd"}
"""What a member begins with (RFC 1952 with the only method that it knows, RFC 8878)."""

MAX_WINDOW = 1 << 31
"""Zstandard window accepted: that of `zstd --long=31`, which large published dumps need."""


class Decompressed(io.RawIOBase):
    """The content of a `.gz` or `.zst` file of any number of members.

    A file that is cut off or damaged gives all that can be read first, and raises OSError only then. (`gzip` forgets what it
    had read in the call that meets the damage, and the stream reader of `zstandard` takes a cut for the end.) `resume` goes on
    behind the damage.
    """

    def __init__(self, raw: IO[bytes], suffix: str) -> None:
        self._raw = raw
        self._suffix = suffix
        self._member: Any = None
        self._buffer = memoryview(b"")
        self._error: OSError | None = None
        self._position = 0
        self._taken = 0
        self._start = 0

    def readable(self) -> bool:
        """True: a file for reading."""
        return True

    def close(self) -> None:
        """Close the file below too."""
        if not self.closed:
            self._raw.close()
        super().close()

    @property
    def member(self) -> int:
        """Where in the compressed file the member begins that was read last."""
        return self._start

    def resume(self) -> bool:
        """After damage: go on with the next member that begins well. False when there is none. O(bytes) up to it.

        Content that the damaged member gave stays read, so what follows need not begin where a record does.
        """
        magic = MAGIC[self._suffix]
        place = self._start + 1
        self._raw.seek(place)
        window = b""
        while data := self._raw.read(1 << 20):
            window += data
            found = window.find(magic)
            while found >= 0:
                if self._begins(place + found):
                    self._raw.seek(place + found)
                    self._taken = place + found
                    self._member, self._buffer, self._error = None, memoryview(b""), None
                    return True
                self._raw.seek(place + len(window))
                found = window.find(magic, found + 1)
            place += len(window) - len(magic) + 1
            window = window[-len(magic) + 1 :]
        return False

    def _begins(self, place: int) -> bool:
        """Whether a member begins there: its first bytes can be decompressed."""
        self._raw.seek(place)
        head = self._raw.read(INPUT_BYTES >> 4)
        try:
            return self._suffix == ".zst" or bool(self._new().decompress(head, INPUT_BYTES) or len(head) < INPUT_BYTES >> 4)
        except zlib.error:
            return False

    def tell(self) -> int:
        """Bytes of content read so far."""
        return self._position

    def readinto(self, into: Any) -> int:
        """Fill a buffer as far as the content goes."""
        data = self.read(len(into))
        into[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer only at the end or before damage, and the next call raises OSError. Negative: all, or OSError."""
        parts: list[bytes | memoryview] = []
        got = 0
        while size < 0 or got < size:
            if not self._buffer:
                try:
                    self._buffer = memoryview(self._next())
                except OSError as error:
                    if not parts or size < 0:
                        raise
                    self._error = error
                if not self._buffer:
                    break
            part = self._buffer if size < 0 else self._buffer[: size - got]
            self._buffer = self._buffer[len(part) :]
            parts.append(part)
            got += len(part)
        self._position += got
        return b"".join(parts)

    def _next(self) -> bytes:
        """Some more of the content; nothing at the end."""
        if self._error is not None:
            raise self._error
        while True:
            if self._member is None or self._member.eof:
                data = self._member.unused_data if self._member is not None else b""
                data = data or self._take()
                if self._member is not None and self._suffix == ".gz":
                    # Zeros after the last member are padding (gzip specification, and what tapes and block devices leave).
                    while data and not (data := data.lstrip(b"\0")):
                        data = self._take()
                if not data:
                    return b""
                self._member = self._new()
                self._start = self._taken - len(data)
            else:
                data = self._take()
                if not data:
                    raise OSError("the compressed data is cut off before its end")
            made = self._decompress(data)
            if made:
                return made

    def _take(self) -> bytes:
        data = self._raw.read(INPUT_BYTES)
        self._taken += len(data)
        return data

    def _new(self) -> Any:
        if self._suffix == ".gz":
            return zlib.decompressobj(wbits=31)
        import zstandard

        return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()

    def _decompress(self, data: bytes) -> bytes:
        if self._suffix == ".gz":
            try:
                made: bytes = self._member.decompress(data)
            except zlib.error as error:
                raise OSError(f"the compressed data is damaged: {error}") from error
            return made
        import zstandard

        try:
            made = self._member.decompress(data)
        except zstandard.ZstdError as error:
            raise OSError(f"the compressed data is damaged: {error}") from error
        return made
