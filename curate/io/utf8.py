"""Text for parsers that take nothing but UTF-8, and lose a file over one byte that is not."""

from __future__ import annotations

import codecs
import io
from typing import IO, Any

__all__ = ["Utf8"]


def _nul(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\0", error.end


codecs.register_error("curate-nul", _nul)


class Utf8(io.RawIOBase):
    """A file's content with a NUL for whatever is not UTF-8: no text holds a NUL, so that the rows concerned can be told."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder("utf-8")("curate-nul")

    def readable(self) -> bool:
        """True: a file for reading."""
        return True

    def readinto(self, into: Any) -> int:
        """Fill a buffer, or some of it."""
        data = self.read(len(into))
        into[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; nothing only at the end. All when negative."""
        while True:
            # The first bytes of a character that was cut off by the call before come on top: three at most.
            data = self._raw.read(-1 if size < 0 else max(1, size - 3))
            text = self._decoder.decode(data, final=size < 0 or not data)
            if text or not data:
                return text.encode()
