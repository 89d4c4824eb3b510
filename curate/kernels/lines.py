"""Lines of every document: where they are, what they look like, and how much of the text repeats.

Counts for the rules of Gopher (Rae et al. 2021, table A1) and FineWeb (Penedo et al. 2024), each with the meaning of
"line" that datatrove 0.10 has: `str.splitlines` in Gopher's quality rules, runs of `\\n` in its repetition rules,
`str.split("\\n")` in FineWeb's. Lengths are characters (code points), never bytes.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["REPETITION", "LineCounts", "LineMarks", "Lines", "line_counts", "line_marks", "lines", "repeated_lines"]

REPETITION = ("paragraphs", "paragraph_chars", "lines", "line_chars")
"""The columns of `repeated_lines`."""

_LF, _DOT, _ELLIPSIS = 0x0A, 0x2E, 0x2026
_PRIME = np.uint64(0xD6E8FEB86659FD93)
_SEED = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


class Lines(NamedTuple):
    """The lines of n documents as `str.split("\\n")` gives them, without the newline; bytes into `data`."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    """int64[n+1]: lines of document i are `bounds[i]:bounds[i + 1]`; every document has at least one."""


class LineMarks(NamedTuple):
    """How lines start and end (Gopher's quality rules), for each of n documents, int64[n] each."""

    lines: npt.NDArray[np.int64]
    """Lines of `str.splitlines`, blank ones too."""
    bullets: npt.NDArray[np.int64]
    """Of these, how many start with a bullet after `lstrip`."""
    ellipses: npt.NDArray[np.int64]
    """Of these, how many end with `...` or `…` after `rstrip`."""


class LineCounts(NamedTuple):
    """How lines end, how long they are and whether they repeat (FineWeb's rules), for each of n documents, int64[n] each."""

    newlines: npt.NDArray[np.int64]
    """Characters `\\n`; `newlines + 1` is the number of lines of `str.split("\\n")`."""
    filled: npt.NDArray[np.int64]
    """Lines of `str.split("\\n")` that are not blank (hold something that is not whitespace)."""
    terminal: npt.NDArray[np.int64]
    """Filled lines whose last character is terminal punctuation; lines are not stripped."""
    short: npt.NDArray[np.int64]
    """Filled lines of at most `short` characters."""
    repeated_chars: npt.NDArray[np.int64]
    """Characters of filled lines that are equal to an earlier one of the document."""
    chars: npt.NDArray[np.int64]
    """Characters of the text without its newlines."""


def lines(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> Lines:
    """Bounds of the lines of every document, split at `\\n` alone. O(bytes), two passes; 16 bytes a line."""
    frozen_offsets, frozen_data = frozen(offsets, np.int64), frozen(data, np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    np.cumsum(_newlines(frozen_offsets, frozen_data) + 1, out=bounds[1:])
    starts, ends = np.empty(bounds[-1], np.int64), np.empty(bounds[-1], np.int64)
    _bounds(frozen_offsets, frozen_data, starts, ends)
    return Lines(starts, ends, bounds)


def line_marks(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], bullets: npt.NDArray[np.uint32]) -> LineMarks:
    """Counts of lines that start with a bullet or end with an ellipsis; `bullets` are code points (Gopher: • and -).

    O(bytes) time, nothing but the counts in memory.
    """
    out = np.zeros((len(LineMarks._fields), len(offsets) - 1), np.int64)
    _marks(frozen(offsets, np.int64), frozen(data, np.uint8), frozen(np.sort(bullets), np.uint32), out)
    return LineMarks(*out)


def line_counts(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], terminal: npt.NDArray[np.uint32], short: int
) -> LineCounts:
    """Counts of lines that end a sentence, are short, or repeat an earlier one.

    `terminal` are code points (FineWeb: its terminators), `short` a length in characters (FineWeb: 30). One hash a line
    decides equality: 64 bits. O(bytes) time; 16 bytes for each slot of a table twice the lines of the longest document.
    """
    fixed = frozen(offsets, np.int64), frozen(data, np.uint8)
    out = np.zeros((len(LineCounts._fields), len(offsets) - 1), np.int64)
    out[0] = _newlines(*fixed)
    _filled(*fixed, frozen(np.sort(terminal), np.uint32), short, int(out[0].max(initial=0)) + 1, out)
    return LineCounts(*out)


def repeated_lines(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """float64[n, 4], columns `REPETITION`: shares of repeated paragraphs and lines, by count and by characters.

    The first occurrence of a paragraph or line is not counted as repeated, every later one is. Paragraphs are
    `re.split(r"\\n{2,}", text.strip())`, lines are `re.split(r"\\n+", text)`, so that a newline at both ends makes two
    empty lines. Shares of characters are of `lengths` int64[n], the characters of each text (0 for an empty text).
    O(bytes) time, memory as in `line_counts`.
    """
    fixed = frozen(offsets, np.int64), frozen(data, np.uint8)
    if len(lengths) != len(offsets) - 1:
        raise ValueError(f"{len(lengths)} lengths for {len(offsets) - 1} documents")
    out = np.zeros((len(lengths), len(REPETITION)), np.float64)
    _repeated(*fixed, frozen(lengths, np.int64), int(_newlines(*fixed).max(initial=0)) + 1, out)
    return out


@njit(cache=True, nogil=True)
def _newlines(offsets: Any, data: Any) -> Any:
    out = np.zeros(len(offsets) - 1, np.int64)
    for d in range(len(offsets) - 1):
        for b in data[offsets[d] : offsets[d + 1]]:
            out[d] += b == _LF
    return out


@njit(cache=True, nogil=True)
def _bounds(offsets: Any, data: Any, starts: Any, ends: Any) -> None:
    k = 0
    for d in range(len(offsets) - 1):
        starts[k] = offsets[d]
        for i in range(offsets[d], offsets[d + 1]):
            if data[i] == _LF:
                ends[k] = i
                k += 1
                starts[k] = i + 1
        ends[k] = offsets[d + 1]
        k += 1


@njit(cache=True, nogil=True)
def _decode(data: Any, i: int) -> Any:
    """The code point at byte i of valid UTF-8, and its length in bytes."""
    b = np.int64(data[i])
    if b < 0x80:
        return b, 1
    if b < 0xE0:
        return (b & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F), 2
    if b < 0xF0:
        return (b & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | (np.int64(data[i + 2]) & 0x3F), 3
    high = (b & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12
    return high | (np.int64(data[i + 2]) & 0x3F) << 6 | (np.int64(data[i + 3]) & 0x3F), 4


@njit(cache=True, nogil=True)
def _before(data: Any, stop: int) -> int:
    """First byte of the character that ends at byte `stop`."""
    i = stop - 1
    while data[i] & 0xC0 == 0x80:
        i -= 1
    return i


@njit(cache=True, nogil=True)
def _is_space(code: int) -> bool:
    """As `str.isspace`."""
    if code < 0x80:
        return code == 0x20 or 0x09 <= code <= 0x0D or 0x1C <= code <= 0x1F
    if code < 0x1680:
        return code == 0x85 or code == 0xA0
    return (
        0x2000 <= code <= 0x200A
        or code == 0x1680
        or code == 0x2028
        or code == 0x2029
        or code == 0x202F
        or code == 0x205F
        or code == 0x3000
    )


@njit(cache=True, nogil=True)
def _lstrip(data: Any, start: int, stop: int) -> int:
    while start < stop:
        code, step = _decode(data, start)
        if not _is_space(code):
            break
        start += step
    return start


@njit(cache=True, nogil=True)
def _rstrip(data: Any, start: int, stop: int) -> int:
    while stop > start:
        i = _before(data, stop)
        if not _is_space(_decode(data, i)[0]):
            break
        stop = i
    return stop


@njit(cache=True, nogil=True)
def _among(code: int, codes: Any) -> bool:
    i = np.searchsorted(codes, np.uint32(code))
    return bool(i < len(codes) and codes[i] == code)


@njit(cache=True, nogil=True)
def _break_at(data: Any, i: int, stop: int) -> int:
    """Bytes of the line break of `str.splitlines` that starts at byte i, 0 for none."""
    b = data[i]
    if b == 0x0D:
        return 2 if i + 1 < stop and data[i + 1] == _LF else 1
    if 0x0A <= b <= 0x0C or 0x1C <= b <= 0x1E:
        return 1
    if b == 0xC2:
        return 2 if data[i + 1] == 0x85 else 0
    if b == 0xE2:
        return 3 if data[i + 1] == 0x80 and (data[i + 2] == 0xA8 or data[i + 2] == 0xA9) else 0
    return 0


@njit(cache=True, nogil=True)
def _marks(offsets: Any, data: Any, bullets: Any, out: Any) -> None:
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        while i < stop:
            start, size = i, 0
            while i < stop:
                b = data[i]
                if b <= 0x1E or b == 0xC2 or b == 0xE2:
                    size = _break_at(data, i, stop)
                    if size:
                        break
                i += 1
            first, last = _lstrip(data, start, i), _rstrip(data, start, i)
            out[0, d] += 1
            if first < last:
                out[1, d] += _among(_decode(data, first)[0], bullets)
                tail = _decode(data, _before(data, last))[0]
                dots = last - first >= 3 and data[last - 1] == _DOT and data[last - 2] == _DOT and data[last - 3] == _DOT
                out[2, d] += tail == _ELLIPSIS or dots
            i += size


@njit(cache=True, nogil=True)
def _digest(data: Any, start: int, stop: int) -> Any:
    """Hash and length in characters of a stretch of bytes."""
    h, chars = _SEED, 0
    for b in data[start:stop]:
        h = (h ^ np.uint64(b)) * _PRIME
        h ^= h >> _HALF
        chars += b & 0xC0 != 0x80
    return h, chars


@njit(cache=True, nogil=True)
def _seen(keys: Any, stamps: Any, epoch: int, key: Any) -> bool:
    """Whether this epoch has the key; puts it there. A slot of another epoch is free: nothing is ever cleared."""
    mask = np.uint64(len(keys) - 1)
    slot = key & mask
    while stamps[slot] == epoch:
        if keys[slot] == key:
            return True
        slot = (slot + np.uint64(1)) & mask
    stamps[slot], keys[slot] = epoch, key
    return False


@njit(cache=True, nogil=True)
def _room(most: int) -> int:
    size = 4
    while size < 2 * most:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def _filled(offsets: Any, data: Any, terminal: Any, short: int, most: int, out: Any) -> None:
    size = _room(most)
    keys, stamps = np.empty(size, np.uint64), np.zeros(size, np.int64)
    for d in range(len(offsets) - 1):
        start, stop = offsets[d], offsets[d + 1]
        while start < stop:
            end = start
            while end < stop and data[end] != _LF:
                end += 1
            h, chars = _digest(data, start, end)
            out[5, d] += chars
            if _lstrip(data, start, end) < end:
                out[1, d] += 1
                out[2, d] += _among(_decode(data, _before(data, end))[0], terminal)
                out[3, d] += chars <= short
                if _seen(keys, stamps, d + 1, h):
                    out[4, d] += chars
            start = end + 1


@njit(cache=True, nogil=True)
def _repeated(offsets: Any, data: Any, lengths: Any, most: int, out: Any) -> None:
    size = _room(most + 2)
    keys, stamps = np.empty(size, np.uint64), np.zeros(size, np.int64)
    for d in range(len(offsets) - 1):
        for kind in range(2):
            # kind 0: paragraphs of the stripped text, cut at two newlines or more; kind 1: lines, cut at one or more.
            start, stop = offsets[d], offsets[d + 1]
            if kind == 0:
                start = _lstrip(data, start, stop)
                stop = _rstrip(data, start, stop)
            parts, again, again_chars = 0, 0, 0
            while True:
                end = start
                while end < stop and not (data[end] == _LF and (kind == 1 or (end + 1 < stop and data[end + 1] == _LF))):
                    end += 1
                h, chars = _digest(data, start, end)
                parts += 1
                if _seen(keys, stamps, 2 * d + kind + 1, h):
                    again += 1
                    again_chars += chars
                if end == stop:
                    break
                start = end
                while start < stop and data[start] == _LF:
                    start += 1
            out[d, 2 * kind] = again / parts
            if lengths[d]:
                out[d, 2 * kind + 1] = again_chars / lengths[d]
