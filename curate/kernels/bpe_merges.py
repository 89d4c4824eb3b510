"""What a byte-level BPE vocabulary merges: the tables that pairs are looked up in, and the merging of long pieces."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["MAX_ID", "Merges", "make_merges", "merge_long"]

MAX_ID = (1 << 21) - 1
"""A pair of ids and its rank share 64 bits."""

_RANK_BITS = 22
_RANK_MASK = np.uint64((1 << _RANK_BITS) - 1)
_NONE = np.int32((1 << _RANK_BITS) - 1)
"""No rank: the pair is not merged."""
_EMPTY = np.uint64(2**64 - 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd


class Merges(NamedTuple):
    """What a vocabulary merges. 8 bytes for each of 2 to 4 slots a merge, and 256 KB."""

    pairs: npt.NDArray[np.uint64]
    """uint64[2^s], 2^s >= 2 merges, open addressing: left id << 43 | right id << 22 | rank, or _EMPTY."""
    result: npt.NDArray[np.int32]
    """int32[merges]: the id that the merge of each rank gives."""
    byte_ids: npt.NDArray[np.int32]
    """int32[256]: the id of each byte."""
    byte_ranks: npt.NDArray[np.int32]
    """int32[65536]: the rank of each pair of bytes, first << 8 | second, or _NONE."""


def make_merges(
    byte_ids: npt.NDArray[np.int32], left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], result: npt.NDArray[np.int32]
) -> Merges:
    """The merges of a vocabulary: the pair `left[r]`, `right[r]` becomes `result[r]`, r its rank. O(merges).

    All ids are from 0 to `MAX_ID`, merges fewer than 2^22 - 1; of two merges of one pair the later counts.
    """
    pairs = np.full(1 << max(4, int(2 * len(left)).bit_length()), _EMPTY, np.uint64)
    byte_ranks = np.full(1 << 16, _NONE, np.int32)
    ids = frozen(byte_ids, np.int32)
    _build(frozen(left, np.int32), frozen(right, np.int32), ids, pairs, byte_ranks)
    return Merges(frozen(pairs, np.uint64), frozen(result, np.int32), ids, frozen(byte_ranks, np.int32))


@njit(cache=True, nogil=True)
def _shift(n: int) -> Any:
    """What brings the top bits of a 64-bit value down to an index below n, a power of two."""
    shift = 64
    while n > 1:
        n >>= 1
        shift -= 1
    return np.uint64(shift)


@njit(cache=True, nogil=True)
def _build(left: Any, right: Any, byte_ids: Any, pairs: Any, byte_ranks: Any) -> None:
    """Fill the tables of `Merges`."""
    down, mask = _shift(len(pairs)), len(pairs) - 1
    for rank in range(len(left)):
        pair = np.uint64(left[rank]) << np.uint64(21) | np.uint64(right[rank])
        slot = np.int64((pair * _GOLDEN) >> down)
        while pairs[slot] != _EMPTY and pairs[slot] >> np.uint64(_RANK_BITS) != pair:
            slot = (slot + 1) & mask
        pairs[slot] = pair << np.uint64(_RANK_BITS) | np.uint64(rank)
    for a in range(256):
        for b in range(256):
            byte_ranks[a << 8 | b] = _rank(byte_ids[a], byte_ids[b], pairs, down)


@njit(cache=True, nogil=True)
def _rank(left: Any, right: Any, pairs: Any, down: Any) -> Any:
    """The rank of a pair of ids, or _NONE."""
    pair = np.uint64(left) << np.uint64(21) | np.uint64(right)
    slot = np.int64((pair * _GOLDEN) >> down)
    mask = len(pairs) - 1
    while True:
        held = pairs[slot]
        if held == _EMPTY:
            return _NONE
        if held >> np.uint64(_RANK_BITS) == pair:
            return np.int32(held & _RANK_MASK)
        slot = (slot + 1) & mask


@njit(cache=True, nogil=True)
def _push(heap: Any, size: Any, value: Any) -> None:
    while size > 0:
        up = (size - 1) >> 1
        if heap[up] <= value:
            break
        heap[size] = heap[up]
        size = up
    heap[size] = value


@njit(cache=True, nogil=True)
def _pop(heap: Any, size: Any) -> Any:
    """The least of a heap of `size`; afterwards it is one smaller."""
    least, value = heap[0], heap[size - 1]
    size -= 1
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if value <= heap[child]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = value
    return least


@njit(cache=True, nogil=True)
def merge_long(data: Any, start: int, n: int, pairs: Any, result: Any, byte_ids: Any, out: Any, out_at: int) -> int:
    """The ids of a piece into `out` from `out_at` on; how many. A heap of rank and place; O(n log n).

    Pairs whose parts were merged since stay in the heap; they have another rank then, or none, and are passed over.
    """
    down = _shift(len(pairs))
    ids, before, after = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    heap, size = np.empty(2 * n, np.uint64), 0
    place = np.uint64((1 << (64 - _RANK_BITS)) - 1)
    for i in range(n):
        ids[i], before[i], after[i] = byte_ids[data[start + i]], i - 1, i + 1
    for i in range(n - 1):
        rank = _rank(ids[i], ids[i + 1], pairs, down)
        if rank != _NONE:
            _push(heap, size, np.uint64(rank) << np.uint64(64 - _RANK_BITS) | np.uint64(i))
            size += 1
    while size:
        top = _pop(heap, size)
        size -= 1
        at, rank = np.int64(top & place), np.int32(top >> np.uint64(64 - _RANK_BITS))
        right = np.int64(after[at])
        if ids[at] < 0 or right >= n or _rank(ids[at], ids[right], pairs, down) != rank:
            continue
        ids[at] = result[rank]
        ids[right] = -1
        right = np.int64(after[right])
        after[at] = right
        if right < n:
            before[right] = at
            rank = _rank(ids[at], ids[right], pairs, down)
            if rank != _NONE:
                _push(heap, size, np.uint64(rank) << np.uint64(64 - _RANK_BITS) | np.uint64(at))
                size += 1
        left = np.int64(before[at])
        if left >= 0:
            rank = _rank(ids[left], ids[at], pairs, down)
            if rank != _NONE:
                _push(heap, size, np.uint64(rank) << np.uint64(64 - _RANK_BITS) | np.uint64(left))
                size += 1
    at = np.int64(0)
    count = 0
    while at < n:
        out[out_at + count] = ids[at]
        count += 1
        at = np.int64(after[at])
    return count
