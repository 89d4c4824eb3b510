"""Which lines or paragraphs of a text stand earlier in it."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.lines import Lines

__all__ = ["paragraphs", "repeats"]

_TAB, _CR, _SPACE = 0x09, 0x0D, 0x20
_PRIME = np.uint64(0xD6E8FEB86659FD93)
_SEED = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def paragraphs(lines: Lines, data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Lines]:
    """`(first, last, spans)`: paragraph k is the lines `first[k]:last[k]`, the bytes from `spans.starts[k]` to `ends[k]`.

    A paragraph is a run of lines that are not blank (spaces, tabs, returns). O(lines) time and memory.
    """
    first, last = np.empty(len(lines.starts), np.int64), np.empty(len(lines.starts), np.int64)
    bounds = np.zeros(len(lines.bounds), np.int64)
    fixed = frozen(lines.starts, np.int64), frozen(lines.ends, np.int64), frozen(lines.bounds, np.int64)
    _paragraphs(*fixed, frozen(data, np.uint8), first, last, bounds)
    first, last = first[: bounds[-1]], last[: bounds[-1]]
    return first, last, Lines(lines.starts[first], lines.ends[last - 1], bounds)


def repeats(
    spans: Lines, data: npt.NDArray[np.uint8], judged: npt.NDArray[np.bool_], consecutive: bool
) -> npt.NDArray[np.bool_]:
    """bool[n spans]: the span is equal to an earlier one of its text, white space at both ends aside.

    Only spans that bool[n spans] `judged` marks are compared; the others neither repeat nor are repeated. `consecutive`: equal
    to the span right before it, blank ones aside. A hash finds the earlier one, bytes decide. O(bytes) time; 24 bytes for each
    slot of a table twice the spans of the longest text.
    """
    out = np.zeros(len(spans.starts), np.bool_)
    most = int(np.diff(spans.bounds).max(initial=0))
    fixed = frozen(spans.starts, np.int64), frozen(spans.ends, np.int64), frozen(spans.bounds, np.int64)
    _repeats(*fixed, frozen(data, np.uint8), frozen(judged, np.bool_), consecutive, most, out)
    return out


@njit(cache=True, nogil=True)
def _white(b: Any) -> bool:
    return b in (_SPACE, _TAB, _CR)


@njit(cache=True, nogil=True)
def _paragraphs(starts: Any, ends: Any, bounds: Any, data: Any, first: Any, last: Any, out_bounds: Any) -> None:
    n = 0
    for d in range(len(bounds) - 1):
        inside = False
        for k in range(bounds[d], bounds[d + 1]):
            i = starts[k]
            while i < ends[k] and _white(data[i]):
                i += 1
            if i == ends[k]:
                inside = False
                continue
            if not inside:
                first[n] = k
                n += 1
                inside = True
            last[n - 1] = k + 1
        out_bounds[d + 1] = n


@njit(cache=True, nogil=True)
def _equal(data: Any, a: int, b: int, size: int) -> bool:
    i = 0
    while i < size and data[a + i] == data[b + i]:
        i += 1
    return i == size


@njit(cache=True, nogil=True)
def _repeats(starts: Any, ends: Any, bounds: Any, data: Any, judged: Any, consecutive: bool, most: int, out: Any) -> None:
    room = 4
    while room < 2 * most:
        room *= 2
    # A slot of another text is free: nothing is ever cleared.
    stamps, begins, sizes = np.zeros(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    mask = np.uint64(room - 1)
    for d in range(len(bounds) - 1):
        before, before_size = 0, -1
        for k in range(bounds[d], bounds[d + 1]):
            start, stop = starts[k], ends[k]
            while start < stop and _white(data[start]):
                start += 1
            if not judged[k]:
                if start < stop:
                    before_size = -1
                continue
            while stop > start and _white(data[stop - 1]):
                stop -= 1
            size = stop - start
            if consecutive:
                out[k] = size == before_size and _equal(data, start, before, size)
                before, before_size = start, size
                continue
            h = _SEED
            for i in range(start, stop):
                h = (h ^ np.uint64(data[i])) * _PRIME
                h ^= h >> _HALF
            slot = h & mask
            while stamps[slot] == d + 1:
                if sizes[slot] == size and _equal(data, start, begins[slot], size):
                    out[k] = True
                    break
                slot = (slot + np.uint64(1)) & mask
            if not out[k]:
                stamps[slot], begins[slot], sizes[slot] = d + 1, start, size
