"""Sentences of every document: where they are, and what their characters and words are."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import functools
import unicodedata
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["Sentences", "sentences"]

_SPACE, _WORD, _CAPITAL, _END, _STOP, _CLOSE = 1, 2, 4, 8, 16, 32
"""Kinds of characters: white space; in words; capitals; marks that end a sentence before a space; marks that end one wherever
they stand; what may close behind a mark."""
_ENDS = ".!?…।॥؟۔։።"
_STOPS = "。！？｡"
_CLOSES = "\"'”’»)]」』）】"


class Sentences(NamedTuple):
    """The m sentences of n documents, in order, without the white space around them; bytes into `data`."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    """int64[n+1]: sentences of document i are `bounds[i]:bounds[i + 1]`."""
    chars: npt.NDArray[np.int32]
    """int32[m]: characters."""
    marked: npt.NDArray[np.int32]
    """int32[m]: characters that are among `marks`."""
    words: npt.NDArray[np.int32]
    """int32[m]: words: runs of letters, numbers, marks and `_`, with apostrophes inside."""
    capitals: npt.NDArray[np.int32]
    """int32[m]: words that begin with an upper- or title-case letter."""


def sentences(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], marks: str) -> Sentences:
    """Split every document into sentences, and measure them; `marks` are ASCII characters to count.

    A sentence ends behind `.!?…` (and the Devanagari, Arabic, Urdu, Armenian and Ethiopic marks), with the quotes and brackets
    that close there, before white space; and behind `。！？` wherever these stand; but none before its first word. A line break
    alone does not end one.
    `offsets` int64[n+1], `data` uint8[...] (valid UTF-8). One pass, O(bytes) time; 32 bytes for each sentence, of which room
    is reserved for the most that the bytes can hold.
    """
    n, size = len(offsets) - 1, int(offsets[-1] - offsets[0])
    # The shortest sentence but the last is a character, a mark and a space, or a mark of three bytes.
    most = size // 2 + n
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    counts = np.empty((4, most), np.int32)
    bounds = np.zeros(n + 1, np.int64)
    marked = np.zeros(128, np.bool_)
    marked[list(marks.encode("ascii"))] = True
    m = _split(
        frozen(offsets, np.int64), frozen(data, np.uint8), _kinds(), frozen(marked, np.bool_), starts, ends, bounds, counts
    )
    return Sentences(starts[:m], ends[:m], bounds, *counts[:, :m])


@functools.cache
def _kinds() -> npt.NDArray[np.uint8]:
    """uint8[0x110000]: the kinds of each code point; the planes above hold no letters, a test of the words kernel tells."""
    kinds = np.zeros(0x110000, np.uint8)
    for code in (*range(0x40000), *range(0xE0000, 0xE1000)):
        char = chr(code)
        category = unicodedata.category(char)
        kinds[code] = (
            _SPACE * char.isspace()
            | _WORD * (category[0] in "LNM" or char == "_")
            | _CAPITAL * (category in ("Lu", "Lt"))
            | _END * (char in _ENDS)
            | _STOP * (char in _STOPS)
            | _CLOSE * (char in _CLOSES)
        )
    return frozen(kinds, np.uint8)


@njit(cache=True, nogil=True)
def _decode(data: Any, i: Any) -> Any:
    """The code point at byte i of valid UTF-8, and its length in bytes."""
    b, one = np.int64(data[i]), np.uint64(1)
    if b < 0x80:
        return b, one
    if b < 0xE0:
        return (b & 0x1F) << 6 | (np.int64(data[i + one]) & 0x3F), np.uint64(2)
    low = (np.int64(data[i + one]) & 0x3F) << 6 | (np.int64(data[i + one + one]) & 0x3F)
    if b < 0xF0:
        return (b & 0x0F) << 12 | low, np.uint64(3)
    return (b & 0x07) << 18 | low << 6 | (np.int64(data[i + one + one + one]) & 0x3F), np.uint64(4)


@njit(cache=True, nogil=True)
def _split(offsets: Any, data: Any, kinds: Any, marks: Any, starts: Any, ends: Any, bounds: Any, counts: Any) -> int:
    m = 0
    for d in range(len(offsets) - 1):
        i, stop = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        while i < stop:
            code, step = _decode(data, i)
            if kinds[code] & _SPACE:
                i += step
                continue
            # A sentence: from here to the last character that is no space before its end.
            starts[m] = i
            chars, last_chars, marked, words, capitals = 0, 0, 0, 0, 0
            last = i
            word, ended, stopped = False, False, False
            while i < stop:
                code, step = _decode(data, i)
                kind = kinds[code]
                if kind & _SPACE:
                    if ended or stopped:
                        break
                    word = False
                elif stopped and not kind & (_STOP | _END | _CLOSE):
                    break
                else:
                    if kind & _WORD:
                        if not word:
                            words += 1
                            capitals += (kind & _CAPITAL) != 0
                        word = True
                    elif code != 0x27 and code != 0x2019:
                        word = False
                    if code < 0x80:
                        marked += marks[code]
                    ended = (words > 0 and kind & (_END | _STOP) != 0) or (ended and kind & _CLOSE != 0)
                    stopped = stopped or (words > 0 and kind & _STOP != 0)
                    last = i + step
                    last_chars = chars + 1
                chars += 1
                i += step
            ends[m] = last
            counts[0, m], counts[1, m], counts[2, m], counts[3, m] = last_chars, marked, words, capitals
            m += 1
        bounds[d + 1] = m
    return m
