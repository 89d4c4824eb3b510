"""Byte-level BPE over buffers of text: the tables that the kernels of `bpe` work on, and what calls them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from curate.kernels.bpe import DONE, FULL, MAX_KEPT, add, encode, move, seed
from curate.kernels.bpe_merges import Merges, merge_long
from curate.kernels.columns import frozen

__all__ = ["MAX_KEPT", "Pieces", "encode_pieces"]

_SIZES = ((1 << 16, 1 << 19, 1 << 17), (1 << 18, 1 << 21, 1 << 19), (1 << 20, 1 << 23, 1 << 21), (1 << 22, 1 << 25, 1 << 23))
"""What a table holds at first, and when it has grown: slots, of which half are used; bytes; and ids."""
_OWN_SIZE = (1 << 14, 1 << 18, 1 << 16)
"""What a thread holds of new pieces before it adds them to the table."""


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
        for i in (1, 2, 3):
            table[i][: len(self.table[i])] = self.table[i]
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
    found = []
    tokens, lengths = np.empty(0, np.uint32), np.empty(len(offsets) - 1, np.int64)
    own = _new(_OWN_SIZE)
    texts, rows = frozen(data, np.uint8), frozen(offsets, np.int64)
    state = np.zeros(3, np.int64)
    for first, last, ends, bounds in cuts:
        state[:] = 0
        room = int(rows[last] - rows[first]) + last - first + 4  # 4: ids are written three at a time
        if len(tokens) < room:
            tokens = np.empty(room, np.uint32)
        fixed = texts, rows[first : last + 1], frozen(ends, np.int64), frozen(bounds, np.int64)
        while (end := encode(*fixed, *merges, *pieces.table[:3], *own, eos_id, state, tokens, lengths[first:last])) != DONE:
            if end == FULL:
                pieces.add(own)
                continue
            piece = int(state[1])
            start = int(ends[piece - 1] if piece else rows[first])
            state[2] += merge_long(texts, start, int(ends[piece]) - start, *merges[:3], tokens, int(state[2]))
            state[1] += 1
        if own[3][0]:
            pieces.add(own)
        # There is room for an id a byte, of which a quarter is used: memory that is used again need not be cleared again.
        found.append(tokens[: state[2]].copy())
    return np.concatenate(found) if found else tokens, lengths
