"""Byte-level BPE over buffers of text: the tables that the kernels of `bpe` work on, and what calls them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.bpe import EMPTY, MAX_ID, MAX_KEPT, NONE, add, build, encode, move, seed
from curate.kernels.columns import frozen

__all__ = ["MAX_ID", "MAX_KEPT", "Merges", "Pieces", "encode_pieces", "make_merges"]

_SIZES = ((1 << 16, 1 << 19, 1 << 17), (1 << 18, 1 << 21, 1 << 19), (1 << 20, 1 << 23, 1 << 21), (1 << 22, 1 << 25, 1 << 23))
"""What a table holds at first, and when it has grown: slots, of which half are used; bytes; and ids."""
_OWN_SIZE = (1 << 14, 1 << 18, 1 << 16)
"""What a thread holds of new pieces before it adds them to the table."""


class Merges(NamedTuple):
    """What a vocabulary merges. 8 bytes for each of 2 to 4 slots a merge, and 256 KB."""

    pairs: npt.NDArray[np.uint64]
    """uint64[2^s], 2^s >= 2 merges, open addressing: left id << 43 | right id << 22 | rank, or EMPTY."""
    result: npt.NDArray[np.int32]
    """int32[merges]: the id that the merge of each rank gives."""
    byte_ids: npt.NDArray[np.int32]
    """int32[256]: the id of each byte."""
    byte_ranks: npt.NDArray[np.int32]
    """int32[65536]: the rank of each pair of bytes, first << 8 | second, or NONE."""


def make_merges(
    byte_ids: npt.NDArray[np.int32], left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], result: npt.NDArray[np.int32]
) -> Merges:
    """The merges of a vocabulary: the pair `left[r]`, `right[r]` becomes `result[r]`, r its rank. O(merges).

    All ids are from 0 to `MAX_ID`, merges fewer than 2^22 - 1; of two merges of one pair the later counts.
    """
    pairs = np.full(1 << max(4, int(2 * len(left)).bit_length()), EMPTY, np.uint64)
    byte_ranks = np.full(1 << 16, NONE, np.int32)
    ids = frozen(byte_ids, np.int32)
    build(frozen(left, np.int32), frozen(right, np.int32), ids, pairs, byte_ranks)
    return Merges(frozen(pairs, np.uint64), frozen(result, np.int32), ids, frozen(byte_ranks, np.int32))


_Table = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], npt.NDArray[np.uint32], npt.NDArray[np.int64]]
"""slots uint64[4n]: of each slot a piece in two words (`_key`; where it stands in `bytes` if it is long), how many ids it has
and up to three of them, or where they stand in `runs`; bytes; runs; used int64[3]: how many of each are taken."""


class Pieces:
    """Pieces met before and their ids, for any number of threads.

    It grows with the different pieces that it meets, up to 200 MB: 2 million of them, of which those of more than 15 bytes
    share 32 MB, and those of more than 3 ids 32 MB for all but their bytes. When it is full it is emptied and starts over;
    ids never depend on what it holds. `whole` are pieces that have an id of their own whatever the merges say, at most
    `MAX_KEPT` bytes each.
    """

    def __init__(self, whole: dict[bytes, int] | None = None) -> None:
        self._whole = whole or {}
        self._adding = threading.Lock()
        self.table = self._first()

    def _first(self) -> _Table:
        whole = self._whole
        size = sum(map(len, whole))
        table = _new(next(sizes for sizes in _SIZES if 2 * len(whole) < sizes[0] and size + MAX_KEPT < sizes[1]))
        ends = np.cumsum(np.fromiter(map(len, whole), np.int64))
        data, ids = frozen(np.frombuffer(b"".join(whole), np.uint8), np.uint8), np.fromiter(whole.values(), np.uint32)
        seed(ends, data, ids, *table)
        return table

    def add(self, own: _Table) -> None:
        """Add what a thread holds; that is empty then."""
        with self._adding:
            while not add(*own[:3], *self.table):
                self.table = self._larger()
        own[0][:] = 0
        own[3][:] = 0

    def _larger(self) -> _Table:
        """The table with more room, or an empty one: all of it anew, for those who are looking pieces up in what there is."""
        sizes = next((sizes for sizes in _SIZES if 4 * sizes[0] > len(self.table[0])), None)
        if sizes is None:
            return self._first()
        table = _new(sizes)
        move(self.table[0], table[0])
        for old, new in zip(self.table[1:], table[1:], strict=True):
            new[: len(old)] = old
        return table


def _new(sizes: tuple[int, int, int]) -> _Table:
    slots, size, ids = sizes
    return np.zeros(4 * slots, np.uint64), np.empty(size, np.uint8), np.empty(ids, np.uint32), np.zeros(3, np.int64)


def encode_pieces(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    cuts: Iterator[tuple[int, int, npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    merges: Merges,
    pieces: Pieces,
    eos_id: int,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """`(tokens uint32[t], lengths int64[n])`: the ids of n documents, each closed by `eos_id`, and how many each has.

    `offsets` and `data` are the buffers of a LargeString array. `cuts` gives them group by group, in order: documents first to
    last - 1 and their cuts, `ends` and `bounds` (see `bpe_split.pieces`).
    `pieces` learns what it does not hold yet. O(bytes) for pieces up to MAX_KEPT bytes; a longer one of n bytes takes
    O(n log n) time and 28n bytes of memory while it is merged.
    """
    n = len(offsets) - 1
    tokens = np.empty(int(offsets[-1] - offsets[0]) + n + 4, np.uint32)  # 4: ids are written three at a time
    lengths = np.empty(n, np.int64)
    own = _new(_OWN_SIZE)
    texts, rows = frozen(data, np.uint8), frozen(offsets, np.int64)
    state = np.zeros(3, np.int64)
    for first, last, ends, bounds in cuts:
        state[:2] = 0
        fixed = texts, rows[first : last + 1], frozen(ends, np.int64), frozen(bounds, np.int64)
        while not encode(*fixed, *merges, *pieces.table[:3], *own, eos_id, state, tokens, lengths[first:last]):
            pieces.add(own)
        if own[3][0]:
            pieces.add(own)
    return tokens[: state[2]], lengths
