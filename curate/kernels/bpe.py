"""Byte-level BPE: ids of pieces of text, merged once and then looked up.

A piece of text (see `bpe_split`) always gives the same ids, so each is merged when it is first met and kept, bytes and
ids, in a table. The order of merges is that of Sennrich et al. 2016 (https://arxiv.org/abs/1508.07909): of all pairs side
by side the one learned first, the leftmost of equals, until no pair is known.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["MAX_ID", "MAX_KEPT", "Merges", "Pieces", "encode_pieces", "make_merges"]

MAX_ID = (1 << 21) - 1
"""A pair of ids and its rank share 64 bits."""

MAX_KEPT = 255
"""Longer pieces (bytes) are merged every time they are met."""

_RANK_BITS = 22
_RANK_MASK = np.uint64((1 << _RANK_BITS) - 1)
_NONE = np.int32((1 << _RANK_BITS) - 1)
"""No rank: the pair is not merged."""
_EMPTY = np.uint64(2**64 - 1)

_SHORT = 160
"""Pieces up to this many bytes are merged by looking through all pairs, longer ones with a heap."""

_INLINE = 15
"""Pieces up to this many bytes stand in their slot of the table, longer ones in a buffer of their own."""

_SLOTS_AT_FIRST, _SLOTS_AT_MOST = 1 << 16, 1 << 22
_BUFFER_AT_FIRST, _BUFFER_AT_MOST = 1 << 20, 1 << 25

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_PRIME = np.uint64(0xD6E8FEB86659FD93)  # an odd 64-bit multiplier
_HALF = np.uint64(32)
_TOP = np.uint64(56)

_DOCUMENT, _PIECE, _OUT, _USED, _BYTES, _RUNS = range(6)
"""What `_encode` goes on from: the document, the piece, the id to write; and slots, bytes and ids that the table holds."""


class Merges(NamedTuple):
    """What a vocabulary merges. 8 bytes for each of 4 to 8 slots a merge, and 256 KB."""

    pairs: npt.NDArray[np.uint64]
    """uint64[2^s], 2^s >= 4 merges, open addressing: left id << 43 | right id << 22 | rank, or all bits set."""
    result: npt.NDArray[np.int32]
    """int32[merges]: the id that the merge of each rank gives."""
    byte_ids: npt.NDArray[np.int32]
    """int32[256]: the id of each byte."""
    byte_ranks: npt.NDArray[np.int32]
    """int32[65536]: the rank of each pair of bytes, first << 8 | second."""


def make_merges(
    byte_ids: npt.NDArray[np.int32], left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], result: npt.NDArray[np.int32]
) -> Merges:
    """The merges of a vocabulary: the pair `left[r]`, `right[r]` becomes `result[r]`, r its rank. O(merges).

    All ids are from 0 to `MAX_ID`, merges fewer than 2^22 - 1; of two merges of one pair the later counts.
    """
    pairs = np.full(1 << max(4, int(4 * len(left)).bit_length()), _EMPTY, np.uint64)
    byte_ranks = np.full(1 << 16, _NONE, np.int32)
    ids = frozen(byte_ids, np.int32)
    _build(frozen(left, np.int32), frozen(right, np.int32), ids, pairs, byte_ranks)
    return Merges(frozen(pairs, np.uint64), frozen(result, np.int32), ids, frozen(byte_ranks, np.int32))


class Pieces:
    """Pieces met before and their ids.

    It grows with the different pieces that it meets, up to 200 MB: 2 million of them, of which those of more than 15 bytes
    share 32 MB, and those of more than 3 ids 32 MB for all but their bytes. When it is full it is emptied and starts over;
    ids never depend on what it holds. `whole` are pieces that have an id of their own whatever the merges say, at most
    `MAX_KEPT` bytes each.
    """

    def __init__(self, whole: dict[bytes, int] | None = None) -> None:
        self._whole = whole or {}
        self._clear()

    def _clear(self) -> None:
        self.slots = np.zeros((_SLOTS_AT_FIRST, 4), np.uint64)
        self.bytes = np.empty(_BUFFER_AT_FIRST, np.uint8)
        self.runs = np.empty(_BUFFER_AT_FIRST // 4, np.uint32)
        self.used = np.zeros(3, np.int64)
        if self._whole:
            while 2 * len(self._whole) > len(self.slots):
                self._more_slots()
            self.bytes = np.empty(max(_BUFFER_AT_FIRST, 2 * sum(map(len, self._whole))), np.uint8)
            ends = np.cumsum(np.fromiter(map(len, self._whole), np.int64))
            data = np.frombuffer(b"".join(self._whole), np.uint8)
            ids = np.fromiter(self._whole.values(), np.uint32)
            _seed(ends, frozen(data, np.uint8), ids, self.slots, self.bytes, self.runs, self.used)

    def _more_slots(self) -> None:
        slots = np.zeros((2 * len(self.slots), 4), np.uint64)
        _move(self.slots, slots)
        self.slots = slots

    def make_room(self) -> None:
        """Double what is full; start over where that would take more than the limit."""
        limits = (len(self.slots) // 2, len(self.bytes) - MAX_KEPT, len(self.runs) - MAX_KEPT)
        for part in [i for i in range(3) if self.used[i] >= limits[i]]:
            if part == 0 and len(self.slots) < _SLOTS_AT_MOST:
                self._more_slots()
            elif part == 1 and len(self.bytes) < _BUFFER_AT_MOST:
                self.bytes = np.concatenate([self.bytes, np.empty_like(self.bytes)])
            elif part == 2 and self.runs.nbytes < _BUFFER_AT_MOST:
                self.runs = np.concatenate([self.runs, np.empty_like(self.runs)])
            else:
                self._clear()
                return


def encode_pieces(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    bounds: npt.NDArray[np.int64],
    merges: Merges,
    pieces: Pieces,
    eos_id: int,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """`(tokens uint32[t], lengths int64[n])`: the ids of n documents, each closed by `eos_id`, and how many each has.

    `offsets` and `data` are the buffers of a LargeString array, `ends` and `bounds` its cuts (see `bpe_split.pieces`).
    `pieces` learns what it does not hold yet. O(bytes) for pieces up to 160 bytes; a longer one of n bytes takes
    O(n log n) time and 28n bytes of memory while it is merged.
    """
    n = len(offsets) - 1
    tokens = np.empty(int(offsets[-1] - offsets[0]) + n + 4, np.uint32)  # 4: ids are written three at a time
    lengths = np.empty(n, np.int64)
    state = np.zeros(6, np.int64)
    fixed = frozen(data, np.uint8), frozen(offsets, np.int64), frozen(ends, np.int64), frozen(bounds, np.int64)
    while True:
        state[_USED:] = pieces.used
        done = _encode(
            *fixed, merges.pairs, merges.result, merges.byte_ids, merges.byte_ranks,
            pieces.slots, pieces.bytes, pieces.runs, eos_id, state, tokens, lengths,
        )  # fmt: skip
        pieces.used[:] = state[_USED:]
        if done:
            return tokens[: state[_OUT]], lengths
        pieces.make_room()


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
def _merge_short(
    data: Any, start: Any, n: Any, pairs: Any, down: Any, result: Any, byte_ids: Any, byte_ranks: Any, ids: Any, ranks: Any
) -> Any:
    """The ids of a short piece into `ids`; how many. O(n^2) steps, of which most are vectorised."""
    mask = len(pairs) - 1
    for i in range(n):
        ids[i] = byte_ids[data[start + i]]
    for i in range(n - 1):
        ranks[i] = byte_ranks[np.int64(data[start + i]) << 8 | np.int64(data[start + i + 1])]
    while n > 1:
        best = _NONE
        for i in range(n - 1):
            best = min(best, ranks[i])
        if best == _NONE:
            break
        at = 0
        while ranks[at] != best:
            at += 1
        ids[at] = result[best]
        for i in range(at + 1, n - 1):
            ids[i] = ids[i + 1]
        for i in range(at + 1, n - 2):
            ranks[i] = ranks[i + 1]
        n -= 1
        for i in range(max(at - 1, 0), min(at + 1, n - 1)):
            # As `_rank`, which would count references to the table at every call.
            pair = np.uint64(ids[i]) << np.uint64(21) | np.uint64(ids[i + 1])
            slot = np.int64((pair * _GOLDEN) >> down)
            rank = _NONE
            while pairs[slot] != _EMPTY:
                if pairs[slot] >> np.uint64(_RANK_BITS) == pair:
                    rank = np.int32(pairs[slot] & _RANK_MASK)
                    break
                slot = (slot + 1) & mask
            ranks[i] = rank
    return n


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
def _merge_long(data: Any, start: Any, n: Any, pairs: Any, down: Any, result: Any, byte_ids: Any, out: Any, out_at: Any) -> Any:
    """The ids of a piece into `out` from `out_at` on; how many. A heap of rank and place; O(n log n).

    Pairs whose parts were merged since stay in the heap; they have another rank then, or none, and are passed over.
    """
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


@njit(cache=True, nogil=True)
def _some(data: Any, i: Any, n: Any) -> Any:
    """n <= 8 bytes at i, little endian: one load, but at the end of the buffer."""
    # Unsigned: a signed index would be checked for wrapping at every byte.
    u, x = np.uint64(i), np.uint64(0)
    if i + 8 <= len(data):
        for k in range(8):
            x |= np.uint64(data[u + np.uint64(k)]) << np.uint64(8 * k)
        half = np.uint64(32 - 4 * n)
        x &= (_EMPTY >> half) >> half
    else:
        for k in range(n):
            x |= np.uint64(data[u + np.uint64(k)]) << np.uint64(8 * k)
    return x


@njit(cache=True, nogil=True)
def _mix(low: Any, high: Any) -> Any:
    h = (low ^ (high * _PRIME)) * _GOLDEN
    return (h ^ (h >> _HALF)) * _PRIME


@njit(cache=True, nogil=True)
def _key(data: Any, start: Any, n: Any) -> Any:
    """A piece in two words: its bytes and its length; if it is long, its hash and its length."""
    low, high = np.uint64(0), np.uint64(n) << _TOP
    if n <= 8:
        low = _some(data, start, n)
    elif n <= _INLINE:
        low = _some(data, start, 8)
        high |= _some(data, start + 8, n - 8)
    else:
        low = high
        for i in range(start, start + n, 8):
            low = _mix(_some(data, i, min(8, start + n - i)), low)
    return low, high


@njit(cache=True, nogil=True)
def _home(low: Any, high: Any, down: Any) -> Any:
    """The first slot to look in. Of a long piece only the length counts in `high`, which may hold its place too."""
    return np.int64(_mix(low, high if high >> _TOP <= np.uint64(_INLINE) else high >> _TOP) >> down)


@njit(cache=True, nogil=True)
def _seek(data: Any, start: Any, n: Any, low: Any, high: Any, slots: Any, kept: Any, down: Any) -> Any:
    """The slot of a piece, or the empty one where it belongs."""
    slot, mask = _home(low, high, down), len(slots) - 1
    place = np.uint64((1 << 56) - 1)
    while slots[slot, 1]:
        held = slots[slot, 1]
        if slots[slot, 0] == low:
            if held == high and n <= _INLINE:
                break
            if n > _INLINE and held >> _TOP == np.uint64(n):
                at = np.int64(held & place)
                same = 0
                while same < n and kept[at + same] == data[start + same]:
                    same += 1
                if same == n:
                    break
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _keep(
    data: Any, start: Any, n: Any, low: Any, high: Any, ids: Any, ids_at: Any, count: Any,
    slots: Any, slot: Any, kept: Any, runs: Any, used: Any,
) -> None:  # fmt: skip
    """Write a piece and its ids into an empty slot. `used`: slots, bytes of `kept`, ids of `runs`, each moved on."""
    if n > _INLINE:
        high |= np.uint64(used[1])
        for i in range(n):
            kept[used[1] + i] = data[start + i]
        used[1] += n
    slots[slot, 0], slots[slot, 1] = low, high
    a, b, c = np.uint64(ids[ids_at]), np.uint64(0), np.uint64(0)
    if count > 3:
        b = np.uint64(used[2])
        for i in range(count):
            runs[used[2] + i] = ids[ids_at + i]
        used[2] += count
        slots[slot, 2], slots[slot, 3] = np.uint64(count), b
    else:
        if count > 1:
            b = np.uint64(ids[ids_at + 1])
        if count > 2:
            c = np.uint64(ids[ids_at + 2])
        slots[slot, 2], slots[slot, 3] = np.uint64(count) | a << _HALF, b | c << _HALF
    used[0] += 1


@njit(cache=True, nogil=True)
def _seed(ends: Any, data: Any, ids: Any, slots: Any, kept: Any, runs: Any, used: Any) -> None:
    down = _shift(len(slots))
    start = 0
    for i in range(len(ends)):
        n = ends[i] - start
        low, high = _key(data, start, n)
        slot = _seek(data, start, n, low, high, slots, kept, down)
        _keep(data, start, n, low, high, ids, i, 1, slots, slot, kept, runs, used)
        start = ends[i]


@njit(cache=True, nogil=True)
def _move(old: Any, new: Any) -> None:
    down, mask = _shift(len(new)), len(new) - 1
    for i in range(len(old)):
        if old[i, 1]:
            slot = _home(old[i, 0], old[i, 1], down)
            while new[slot, 1]:
                slot = (slot + 1) & mask
            new[slot] = old[i]


@njit(cache=True, nogil=True)
def _encode(
    data: Any, offsets: Any, ends: Any, bounds: Any, pairs: Any, result: Any, byte_ids: Any, byte_ranks: Any,
    slots: Any, kept: Any, runs: Any, eos_id: Any, state: Any, tokens: Any, lengths: Any,
) -> bool:  # fmt: skip
    """Go on from `state` to the end (True), or until a new piece finds no room (False)."""
    down, pair_down = _shift(len(slots)), _shift(len(pairs))
    ids, ranks = np.empty(_SHORT, np.int32), np.empty(_SHORT, np.int32)
    d, p, k = state[_DOCUMENT], state[_PIECE], state[_OUT]
    used = state[_USED:]
    low32 = np.uint64(0xFFFFFFFF)
    size, mask = len(data), np.uint64(len(slots) - 1)
    while d < len(lengths):
        if p == bounds[d]:
            lengths[d] = k
        start = ends[p - 1] if p > bounds[d] else offsets[d]
        while p < bounds[d + 1]:
            n = ends[p] - start
            low, high, slot = np.uint64(0), np.uint64(0), np.uint64(0)
            if n <= _INLINE and start + 16 <= size:
                # `_key` and `_seek` for most pieces, without a call: each counts references to the arrays it is given.
                u = np.uint64(start)
                for i in range(8):
                    low |= np.uint64(data[u + np.uint64(i)]) << np.uint64(8 * i)
                    high |= np.uint64(data[u + np.uint64(8 + i)]) << np.uint64(8 * i)
                first = min(n, 8)
                cut, high_cut = np.uint64(32 - 4 * first), np.uint64(32 - 4 * (n - first))
                low &= (_EMPTY >> cut) >> cut
                high = ((_EMPTY >> high_cut) >> high_cut) & high | np.uint64(n) << _TOP
                slot = _mix(low, high) >> down
                while slots[slot, np.uint64(1)] and (slots[slot, np.uint64(0)] != low or slots[slot, np.uint64(1)] != high):
                    slot = (slot + np.uint64(1)) & mask
            elif n <= MAX_KEPT:
                low, high = _key(data, start, n)
                slot = np.uint64(_seek(data, start, n, low, high, slots, kept, down))
            if n > MAX_KEPT:
                k += _merge_long(data, start, n, pairs, pair_down, result, byte_ids, tokens, k)
            elif slots[slot, np.uint64(1)]:
                one, two = slots[slot, np.uint64(2)], slots[slot, np.uint64(3)]
                count = np.int64(one & low32)
                if count <= 3:
                    tokens[k] = one >> _HALF
                    tokens[k + 1] = two & low32
                    tokens[k + 2] = two >> _HALF
                else:
                    at = np.int64(two)
                    for i in range(count):
                        tokens[k + i] = runs[at + i]
                k += count
            else:
                if used[0] * 2 >= len(slots) or used[1] + MAX_KEPT >= len(kept) or used[2] + MAX_KEPT >= len(runs):
                    state[_DOCUMENT], state[_PIECE], state[_OUT] = d, p, k
                    return False
                if n <= _SHORT:
                    count = _merge_short(data, start, n, pairs, pair_down, result, byte_ids, byte_ranks, ids, ranks)
                    for i in range(count):
                        tokens[k + i] = ids[i]
                else:
                    count = _merge_long(data, start, n, pairs, pair_down, result, byte_ids, tokens, k)
                _keep(data, start, n, low, high, tokens, k, count, slots, np.int64(slot), kept, runs, used)
                k += count
            start = ends[p]
            p += 1
        tokens[k] = eos_id
        k += 1
        lengths[d] = k - lengths[d]
        d += 1
    state[_DOCUMENT], state[_PIECE], state[_OUT] = d, p, k
    return True
