"""Lines and paragraphs of every document: where they are, and a hash of the words of each."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.words import Words

__all__ = ["Units", "units", "without"]

_LF = 0x0A
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


class Units(NamedTuple):
    """The u units of n documents, in order; together they hold every byte."""

    starts: npt.NDArray[np.int64]
    """int64[u]: first byte of each unit; it ends where the next or the document does, its line ends included."""
    ends: npt.NDArray[np.int64]
    """int64[u]: one past the last byte."""
    words: npt.NDArray[np.int32]
    """int32[u]: how many words start in it."""
    hashes: npt.NDArray[np.uint64]
    """uint64[u]: hash of the hashes of its words, in order: equal for units with equal words, whatever else they hold."""
    bounds: npt.NDArray[np.int64]
    """int64[n+1]: units of document i are `bounds[i]:bounds[i + 1]`."""


def units(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], words: Words, paragraphs: bool) -> Units:
    """The lines of every document, or its paragraphs: what is parted by lines of nothing but spaces and tabs.

    `offsets` int64[n+1] and `data` uint8[...] are the buffers of the texts that `words` were found in. Lines end at `\\n`.
    O(bytes).
    """
    most = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == _LF)) + len(offsets) - 1
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    count, hashes = np.empty(most, np.int32), np.empty(most, np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    u = _units(
        frozen(offsets, np.int64), frozen(data, np.uint8), frozen(words.starts, np.int64), frozen(words.hashes, np.uint64),
        frozen(words.bounds, np.int64), paragraphs, starts, ends, count, hashes, bounds,
    )  # fmt: skip
    return Units(starts[:u], ends[:u], count[:u], hashes[:u], bounds)


def without(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """`(offsets int64[n+1], data uint8[...])` of the texts without the bytes of r ranges, `offsets[0]` is 0.

    starts, ends: int64[r], positions in `data`; sorted, apart from one another, none across two documents. O(bytes).
    """
    out = np.empty(int(offsets[-1] - offsets[0]), np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    size = _without(
        frozen(offsets, np.int64), frozen(data, np.uint8), frozen(starts, np.int64), frozen(ends, np.int64), bounds, out
    )
    return bounds, out[:size]


@njit(cache=True, nogil=True)
def _mix(h: Any, x: Any) -> Any:
    h = (h ^ x) * _PRIME
    return h ^ (h >> _HALF)


@njit(cache=True, nogil=True)
def _line_end(data: Any, i: int, stop: int) -> int:
    while i < stop and data[i] != _LF:
        i += 1
    return min(i + 1, stop)


@njit(cache=True, nogil=True)
def _blank(data: Any, start: int, end: int) -> bool:
    i = start
    while i < end and (data[i] == 0x20 or data[i] == 0x09 or data[i] == _LF or data[i] == 0x0D):
        i += 1
    return i == end


@njit(cache=True, nogil=True)
def _units(
    offsets: Any, data: Any, word_starts: Any, word_hashes: Any, word_bounds: Any, paragraphs: bool,
    starts: Any, ends: Any, count: Any, hashes: Any, bounds: Any,
) -> int:  # fmt: skip
    u = 0
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        word, last = word_bounds[d], word_bounds[d + 1]
        while i < stop:
            end = _line_end(data, i, stop)
            if paragraphs:
                # The lines up to a blank one, and the blank ones behind them.
                blank = _blank(data, i, end)
                while end < stop:
                    after = _line_end(data, end, stop)
                    if _blank(data, end, after):
                        blank = True
                    elif blank:
                        break
                    end = after
            h, n = _GOLDEN, 0
            while word < last and word_starts[word] < end:
                h = _mix(h, word_hashes[word])
                n += 1
                word += 1
            starts[u], ends[u], count[u], hashes[u] = i, end, n, _mix(h, np.uint64(n))
            u += 1
            i = end
        bounds[d + 1] = u
    return u


@njit(cache=True, nogil=True)
def _without(offsets: Any, data: Any, starts: Any, ends: Any, bounds: Any, out: Any) -> int:
    w, r = 0, 0
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        while i < stop:
            inside = r < len(starts) and starts[r] < stop
            until = starts[r] if inside else stop
            size = until - i
            out[w : w + size] = data[i:until]
            w += size
            i = until
            if inside:
                i = ends[r]
                r += 1
        bounds[d + 1] = w
    return w
