"""Taking spans out of texts, putting others in their place, and dropping lines."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.lines import Lines

__all__ = ["drop_lines", "replace_spans", "take_spans"]

_TAB, _LF, _CR, _SPACE = 0x09, 0x0A, 0x0D, 0x20


def take_spans(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """The column `(offsets int64[n+1], data uint8[...])` of n spans of bytes. O(bytes taken)."""
    offsets = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(ends - starts, out=offsets[1:])
    out = np.empty(offsets[-1], np.uint8)
    _take(frozen(data, np.uint8), frozen(starts, np.int64), frozen(ends, np.int64), offsets, out)
    return offsets, out


def replace_spans(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    values: tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """The column with span k of bytes replaced by string k of the column `values`.

    Spans ascend, do not overlap, and each lies within one text. O(bytes), one pass, and as much memory again.
    """
    value_offsets, value_data = values
    size = int(offsets[-1] - offsets[0] - (ends - starts).sum() + value_offsets[-1] - value_offsets[0])
    out, bounds = np.empty(size, np.uint8), np.zeros(len(offsets), np.int64)
    _replace(
        frozen(offsets, np.int64),
        frozen(data, np.uint8),
        frozen(starts, np.int64),
        frozen(ends, np.int64),
        frozen(value_offsets, np.int64),
        frozen(value_data, np.uint8),
        bounds,
        out,
    )
    return bounds, out


def drop_lines(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], lines: Lines, drop: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """The column without the lines that bool[n lines] `drop` marks.

    Blank lines that only parted a dropped line from its neighbours go with it: two blank lines never come to stand together
    that did not, nor does one at an end of the text. Texts without a dropped line stay byte for byte.
    O(bytes), one pass, and as much memory again.
    """
    out, bounds = np.empty(int(offsets[-1] - offsets[0]), np.uint8), np.zeros(len(offsets), np.int64)
    size = _drop(
        frozen(offsets, np.int64),
        frozen(data, np.uint8),
        frozen(lines.starts, np.int64),
        frozen(lines.ends, np.int64),
        frozen(lines.bounds, np.int64),
        frozen(drop, np.bool_),
        bounds,
        out,
    )
    return bounds, out[:size]


@njit(cache=True, nogil=True)
def _copy(data: Any, start: Any, end: Any, out: Any, w: Any) -> Any:
    # Unsigned, or numba checks whether an index counts from the end: 25 times as slow.
    first, to = np.uint64(start), np.uint64(w)
    for i in range(np.uint64(end - start)):
        out[to + i] = data[first + i]
    return w + (end - start)


@njit(cache=True, nogil=True)
def _take(data: Any, starts: Any, ends: Any, offsets: Any, out: Any) -> None:
    for k in range(len(starts)):
        _copy(data, starts[k], ends[k], out, offsets[k])


@njit(cache=True, nogil=True)
def _replace(
    offsets: Any, data: Any, starts: Any, ends: Any, value_offsets: Any, value_data: Any, bounds: Any, out: Any
) -> None:
    w, k = 0, 0
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        while k < len(starts) and ends[k] <= stop and starts[k] < stop:
            w = _copy(data, i, starts[k], out, w)
            w = _copy(value_data, value_offsets[k], value_offsets[k + 1], out, w)
            i = ends[k]
            k += 1
        w = _copy(data, i, stop, out, w)
        bounds[d + 1] = w


@njit(cache=True, nogil=True)
def _blank(data: Any, start: int, stop: int) -> bool:
    for i in range(start, stop):
        b = data[i]
        if b != _SPACE and b != _TAB and b != _CR:
            return False
    return True


@njit(cache=True, nogil=True)
def _drop(offsets: Any, data: Any, starts: Any, ends: Any, bounds: Any, drop: Any, out_bounds: Any, out: Any) -> int:
    w = 0
    for d in range(len(offsets) - 1):
        first, last = bounds[d], bounds[d + 1]
        k = first
        while k < last and not drop[k]:
            k += 1
        if k == last:
            w = _copy(data, offsets[d], offsets[d + 1], out, w)
            out_bounds[d + 1] = w
            continue
        begin, solid = w, w  # of the text, and the end of its last line that is not blank
        kept, last_blank, gone = False, True, False
        for k in range(first, last):
            if drop[k]:
                gone = True
                continue
            blank = _blank(data, starts[k], ends[k])
            if blank and gone and last_blank:
                continue
            gone = False
            if kept:
                out[w] = _LF
                w += 1
            w = _copy(data, starts[k], ends[k], out, w)
            kept, last_blank = True, blank
            if not blank:
                solid = w
        if gone:
            w = solid
            if w > begin and out[w - 1] == _CR:
                w -= 1
        out_bounds[d + 1] = w
    return int(w)
