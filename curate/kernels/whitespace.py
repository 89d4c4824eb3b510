"""White space and invisible characters of every document, brought into one form."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["normalize_whitespace"]

_TAB, _LF, _CR, _SPACE, _DEL = 0x09, 0x0A, 0x0D, 0x20, 0x7F

# 1 for the bytes that may begin something that changes; a blank changes only with the newline behind it.
_STOPS = np.zeros(256, np.uint8)
_STOPS[:_SPACE] = 1
_STOPS[[_DEL, 0xC2, 0xE2, 0xEF]] = 1
_STOPS[_TAB] = 0


def normalize_whitespace(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """`(offsets int64[n+1], data uint8[...])` of the cleaned texts, `offsets[0]` is 0.

    In this order: `\\r\\n` and lone `\\r` become `\\n`; control characters go (C0 but tab and newline, DEL, C1), and so
    do the zero-width space, word joiner and byte order mark (U+200B, U+2060, U+FEFF), while the zero-width (non-)joiner
    U+200C and U+200D stay, which Persian and Indic scripts and emoji need; spaces and tabs at line ends go; three
    newlines or more become two; newlines at both ends of the text go. Indentation and spacing inside lines stay: they
    mean something in code, tables and verse.

    Doing it twice changes nothing. A text may become empty. O(bytes), one pass, and as much memory again.
    """
    out = np.empty(int(offsets[-1] - offsets[0]), np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    size = _normalize(frozen(offsets, np.int64), frozen(data, np.uint8), bounds, out)
    return bounds, out[:size]


@njit(cache=True, nogil=True)
def _dropped(data: Any, i: Any) -> int:
    """Bytes of the removed character that starts at byte i (it is not tab, newline or return), 0 when it stays."""
    b, one, two = data[i], np.uint64(1), np.uint64(2)
    if b < _SPACE or b == _DEL:
        return 1
    if b == 0xC2:
        return 2 if data[i + one] < 0xA0 else 0  # U+0080 to U+009F
    if b == 0xE2:
        zero = data[i + one] == 0x80 and data[i + two] == 0x8B  # U+200B
        return 3 if zero or (data[i + one] == 0x81 and data[i + two] == 0xA0) else 0  # U+2060
    if b == 0xEF:
        return 3 if data[i + one] == 0xBB and data[i + two] == 0xBF else 0  # U+FEFF
    return 0


@njit(cache=True, nogil=True)
def _copy(data: Any, start: Any, end: Any, out: Any, w: Any) -> Any:
    # Unsigned, like every position here: numba checks whether a signed index counts from the end, which made copying
    # 500 bytes 25 times as slow (0.76 against 19.7 GB/s).
    for i in range(end - start):
        out[w + i] = data[start + i]
    return w + (end - start)


@njit(cache=True, nogil=True)
def _end_line(out: Any, first: Any, w: Any) -> Any:
    """Writes a newline behind a text that goes from `first` to `w`, in place of blanks there, if one may stand there."""
    one = np.uint64(1)
    while w > first and (out[w - one] == _SPACE or out[w - one] == _TAB):
        w -= one
    if w == first or (out[w - one] == _LF and out[w - one - one] == _LF):
        return w
    out[w] = _LF
    return w + one


@njit(cache=True, nogil=True)
def _normalize(offsets: Any, data: Any, bounds: Any, out: Any) -> int:
    """Copies in runs, from `start` on, broken only where something changes: 1.8 GB/s, against 0.45 byte by byte."""
    one, w = np.uint64(1), np.uint64(0)
    for d in range(len(offsets) - 1):
        i, stop, first = np.uint64(offsets[d]), np.uint64(offsets[d + 1]), w
        start = i
        while True:
            while i < stop and _STOPS[data[i]] == 0:
                i += one
            if i >= stop:
                break
            b = data[i]
            if b == _LF and i > start:
                before = data[i - one]
                # Within a run a newline stands behind something: one that began a run went through `_end_line`.
                if before == _LF:
                    if data[i - one - one] != _LF:
                        i += one
                        continue
                elif before != _SPACE and before != _TAB:
                    i += one
                    continue
            if b in (_LF, _CR):
                w = _end_line(out, first, _copy(data, start, i, out, w))
                i += one
                if b == _CR and i < stop and data[i] == _LF:
                    i += one
                start = i
                continue
            size = np.uint64(_dropped(data, i))
            if size:
                w = _copy(data, start, i, out, w)
                i += size
                start = i
            else:
                i += one
        w = _copy(data, start, stop, out, w)
        while w > first and (out[w - one] == _SPACE or out[w - one] == _TAB):
            w -= one
        while w > first and out[w - one] == _LF:
            w -= one
        bounds[d + 1] = w
    return int(w)
