"""What a file of source code looks like: how long its lines are, and which characters it is made of."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["CodeCounts", "code_counts"]

_LF, _CR = 0x0A, 0x0D
_ALPHABETIC, _ALPHANUMERIC, _OTHER, _END = 1, 2, 4, 8
"""Kinds of characters: the last two are what is not in base64, and what ends a line."""
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n"
# A run of base64's characters counts from here on (StarCoder2, Lozhkov et al. 2024, section 4).
_RUN = 64


class CodeCounts(NamedTuple):
    """Counts for each of n documents, int64[n] each, in characters (code points)."""

    chars: npt.NDArray[np.int64]
    """Characters."""
    lines: npt.NDArray[np.int64]
    """Lines, ended by `\\n`, `\\r\\n` or `\\r`, or by the end of the text where something stands before it."""
    line_chars: npt.NDArray[np.int64]
    """Characters of the lines, without their ends."""
    longest_line: npt.NDArray[np.int64]
    """Characters of the longest line."""
    alphabetic: npt.NDArray[np.int64]
    """Characters of which `str.isalpha` is true."""
    alphanumeric: npt.NDArray[np.int64]
    """Characters of which `str.isalnum` is true."""
    base64: npt.NDArray[np.int64]
    """Characters in runs of 64 or more of `[A-Za-z0-9+/=\\n]`."""
    longest_base64: npt.NDArray[np.int64]
    """Characters of the longest such run."""


def code_counts(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> CodeCounts:
    """Lines, characters and encoded runs of every document. One pass, O(bytes) time; nothing but the counts in memory.

    `offsets` int64[n+1], `data` uint8[...] (valid UTF-8).
    """
    out = np.zeros((len(CodeCounts._fields), len(offsets) - 1), np.int64)
    _count(frozen(offsets, np.int64), frozen(data, np.uint8), _kinds(), out)
    return CodeCounts(*out)


@functools.cache
def _kinds() -> npt.NDArray[np.uint8]:
    """uint8[0x110000]: the kinds of each code point; unassigned planes hold no letter."""
    kinds = np.full(0x110000, _OTHER, np.uint8)
    chars = list(map(chr, range(0x40000)))
    alphabetic = np.fromiter(map(str.isalpha, chars), np.bool_, len(chars))
    alphanumeric = np.fromiter(map(str.isalnum, chars), np.bool_, len(chars))
    kinds[: len(chars)] += (alphabetic * _ALPHABETIC + alphanumeric * _ALPHANUMERIC).astype(np.uint8)
    kinds[list(map(ord, _BASE64))] -= _OTHER
    kinds[[_LF, _CR]] += _END
    return frozen(kinds, np.uint8)


@njit(cache=True, nogil=True)
def _decode(data: Any, i: Any) -> Any:
    """The code point at byte i of valid UTF-8."""
    b, one = np.int64(data[i]), np.uint64(1)
    if b < 0x80:
        return b
    if b < 0xE0:
        return (b & 0x1F) << 6 | (np.int64(data[i + one]) & 0x3F)
    low = (np.int64(data[i + one]) & 0x3F) << 6 | (np.int64(data[i + one + one]) & 0x3F)
    if b < 0xF0:
        return (b & 0x0F) << 12 | low
    return (b & 0x07) << 18 | low << 6 | (np.int64(data[i + one + one + one]) & 0x3F)


@njit(cache=True, nogil=True)
def _count(offsets: Any, data: Any, kinds: Any, out: Any) -> None:
    one = np.uint64(1)
    for d in range(len(offsets) - 1):
        start, stop = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        # Lines and runs are measured by where they began, so that most bytes need nothing but a look at the table.
        chars, lines, ends, line, longest, alphabetic, alphanumeric = 0, 0, 0, 0, 0, 0, 0
        run = start
        encoded: Any = 0
        longest_run: Any = 0
        i = start
        while i < stop:
            b = data[i]
            kind = kinds[b] if b < 0x80 else kinds[_decode(data, i)]
            alphabetic += kind & _ALPHABETIC
            alphanumeric += (kind & _ALPHANUMERIC) >> 1
            if kind & _OTHER:
                if i - run >= np.uint64(_RUN):
                    encoded += np.int64(i - run)
                    longest_run = max(longest_run, np.int64(i - run))
                run = i + one
            if kind & _END:
                # The \n of \r\n ends the line that its \r has ended.
                if b == _CR or i == start or data[i - one] != _CR:
                    lines += 1
                    longest = max(longest, chars - line)
                line = chars + 1
                ends += 1
            chars += 1
            i += one
            if b >= 0xC0:
                run = i + np.uint64(1 if b < 0xE0 else 2 if b < 0xF0 else 3)
                i = run
        if run < stop and stop - run >= np.uint64(_RUN):
            encoded += np.int64(stop - run)
            longest_run = max(longest_run, np.int64(stop - run))
        out[0, d], out[1, d], out[2, d] = chars, lines + (chars > line), chars - ends
        out[3, d], out[4, d], out[5, d] = max(longest, chars - line), alphabetic, alphanumeric
        out[6, d], out[7, d] = encoded, longest_run
