"""Distinct pieces of text and how often each occurs: what BPE is trained on."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["WordCounts", "cut_words"]

_INLINE = 15
"""Pieces up to this many bytes stand in their slot of the table, longer ones in a buffer of their own."""

_SLOTS_AT_FIRST, _BUFFER_AT_FIRST = 1 << 14, 1 << 16

_EMPTY = np.uint64(2**64 - 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_PRIME = np.uint64(0xD6E8FEB86659FD93)  # an odd 64-bit multiplier
_HALF = np.uint64(32)
_TOP = np.uint64(56)
_LONG = np.uint64(0xFF) << _TOP
_PLACE = (np.uint64(1) << _TOP) - np.uint64(1)

_WORDS, _BYTES, _AT = range(3)
"""State of a table: how many pieces it holds, how many bytes of its buffer are used, and the piece to go on from."""


class WordCounts:
    """A table of pieces and counts. 24 bytes for each of 2 to 4 slots a piece, and the bytes of those longer than 15.

    It grows with the distinct pieces and is never emptied.
    """

    def __init__(self) -> None:
        self._slots = np.zeros((_SLOTS_AT_FIRST, 3), np.uint64)
        self._buffer = np.empty(_BUFFER_AT_FIRST, np.uint8)
        self._state = np.zeros(3, np.int64)

    def __len__(self) -> int:
        return int(self._state[_WORDS])

    def add(
        self, data: npt.NDArray[np.uint8], begin: int, ends: npt.NDArray[np.int64], counts: npt.NDArray[np.int64] | None = None
    ) -> None:
        """Count the pieces `data[begin:ends[0]]`, `data[ends[0]:ends[1]]` ..., each once or `counts[i]` times. O(bytes)."""
        if counts is not None:
            # Words of another table come in the order of its slots: in a smaller one each would follow a long run of others.
            while len(self) + len(counts) > len(self._slots) // 2:
                self._widen()
        times = frozen(np.empty(0, np.int64) if counts is None else counts, np.int64)
        fixed = frozen(data, np.uint8), frozen(ends, np.int64), times
        self._state[_AT] = 0
        while not _count(*fixed, begin, self._slots, self._buffer, self._state):
            if 2 * self._state[_WORDS] >= len(self._slots):
                self._widen()
            else:
                at = int(self._state[_AT])
                longest = int(ends[at]) - (int(ends[at - 1]) if at else begin)
                room = max(len(self._buffer), longest + 4)
                self._buffer = np.concatenate([self._buffer, np.empty(room, np.uint8)])

    def _widen(self) -> None:
        slots = np.zeros((2 * len(self._slots), 3), np.uint64)
        _move(self._slots, slots)
        self._slots = slots

    def words(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """`(offsets int64[n+1], data uint8[...], counts int64[n])` of the pieces, in the order of the table."""
        n = len(self)
        offsets, counts = np.zeros(n + 1, np.int64), np.empty(n, np.int64)
        _list(self._slots, self._buffer, offsets, counts)
        data = np.empty(int(offsets[-1]), np.uint8)
        _copy(self._slots, self._buffer, data)
        return offsets, data, counts


def cut_words(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], mark: int, longest: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`(ends int64[m], word int64[m])`: words cut around every byte `mark`, and after every `longest` bytes without a cut.

    Part i ends before byte `ends[i]` and is of word `word[i]`. O(bytes).
    """
    ends, word = np.empty(len(data), np.int64), np.empty(len(data), np.int64)
    m = _cut(frozen(offsets, np.int64), frozen(data, np.uint8), mark, longest, ends, word)
    return ends[:m], word[:m]


@njit(cache=True, nogil=True)
def _shift(n: int) -> Any:
    """What brings the top bits of a 64-bit value down to an index below n, a power of two."""
    shift = 64
    while n > 1:
        n >>= 1
        shift -= 1
    return np.uint64(shift)


@njit(cache=True, nogil=True)
def _mix(low: Any, high: Any) -> Any:
    x = (low ^ (high * _PRIME)) * _GOLDEN
    return (x ^ (x >> _HALF)) * _PRIME


@njit(cache=True, nogil=True)
def _hash(data: Any, start: Any, n: Any) -> Any:
    x = np.uint64(n) * _GOLDEN
    for i in range(n):
        x = (x ^ np.uint64(data[start + i])) * _PRIME
        x ^= x >> _HALF
    return x


@njit(cache=True, nogil=True)
def _long(buffer: Any, place: Any) -> Any:
    """How many bytes a piece in the buffer has."""
    return (
        np.int64(buffer[place]) | np.int64(buffer[place + 1]) << 8
        | np.int64(buffer[place + 2]) << 16 | np.int64(buffer[place + 3]) << 24
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _same(data: Any, start: Any, n: Any, buffer: Any, place: Any) -> Any:
    if _long(buffer, place) != n:
        return False
    for i in range(n):  # noqa: SIM110 - numba compiles no generator here
        if data[start + i] != buffer[place + 4 + i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _count(data: Any, ends: Any, times: Any, begin: Any, slots: Any, buffer: Any, state: Any) -> bool:
    """Count from piece `state[_AT]` on. False where the table or the buffer has to grow first."""
    size, mask, down = len(data), np.uint64(len(slots) - 1), _shift(len(slots))
    half = len(slots) // 2
    start = ends[state[_AT] - 1] if state[_AT] else np.int64(begin)
    for p in range(state[_AT], len(ends)):
        n = ends[p] - start
        low, high = np.uint64(0), np.uint64(0)
        if n <= _INLINE:
            u = np.uint64(start)
            if start + 16 <= size:
                for i in range(8):
                    low |= np.uint64(data[u + np.uint64(i)]) << np.uint64(8 * i)
                    high |= np.uint64(data[u + np.uint64(8 + i)]) << np.uint64(8 * i)
                first = min(n, 8)
                cut, high_cut = np.uint64(32 - 4 * first), np.uint64(32 - 4 * (n - first))
                low &= (_EMPTY >> cut) >> cut
                high &= (_EMPTY >> high_cut) >> high_cut
            else:
                for i in range(n):
                    byte = np.uint64(data[start + i])
                    if i < 8:
                        low |= byte << np.uint64(8 * i)
                    else:
                        high |= byte << np.uint64(8 * (i - 8))
            high |= np.uint64(n) << _TOP
            slot = _mix(low, high) >> down
            while slots[slot, np.uint64(1)] and (slots[slot, np.uint64(0)] != low or slots[slot, np.uint64(1)] != high):
                slot = (slot + np.uint64(1)) & mask
        else:
            low = _hash(data, start, n)
            slot = _mix(low, _LONG) >> down
            while slots[slot, np.uint64(1)]:
                held = slots[slot, np.uint64(1)]
                if (
                    held >= _LONG
                    and slots[slot, np.uint64(0)] == low
                    and _same(data, start, n, buffer, np.int64(held & _PLACE))
                ):
                    break
                slot = (slot + np.uint64(1)) & mask
            high = _LONG | np.uint64(state[_BYTES])
        if not slots[slot, np.uint64(1)]:
            if state[_WORDS] >= half or (n > _INLINE and state[_BYTES] + n + 4 > len(buffer)):
                state[_AT] = p
                return False
            slots[slot, np.uint64(0)], slots[slot, np.uint64(1)] = low, high
            state[_WORDS] += 1
            if n > _INLINE:
                place = state[_BYTES]
                for i in range(4):
                    buffer[place + i] = (n >> (8 * i)) & 255
                for i in range(n):
                    buffer[place + 4 + i] = data[start + i]
                state[_BYTES] += n + 4
        slots[slot, np.uint64(2)] += np.uint64(times[p]) if len(times) else np.uint64(1)
        start = ends[p]
    return True


@njit(cache=True, nogil=True)
def _move(old: Any, new: Any) -> None:
    mask, down = np.uint64(len(new) - 1), _shift(len(new))
    for i in range(len(old)):
        if old[i, 1]:
            slot = _mix(old[i, 0], _LONG if old[i, 1] >= _LONG else old[i, 1]) >> down
            while new[slot, np.uint64(1)]:
                slot = (slot + np.uint64(1)) & mask
            for k in range(3):
                new[slot, k] = old[i, k]


@njit(cache=True, nogil=True)
def _list(slots: Any, buffer: Any, offsets: Any, counts: Any) -> None:
    k = np.int64(0)
    for i in range(len(slots)):
        high = slots[i, 1]
        if high:
            n = _long(buffer, np.int64(high & _PLACE)) if high >= _LONG else np.int64(high >> _TOP)
            offsets[k + 1] = offsets[k] + n
            counts[k] = np.int64(slots[i, 2])
            k += 1


@njit(cache=True, nogil=True)
def _copy(slots: Any, buffer: Any, data: Any) -> None:
    at = np.int64(0)
    for i in range(len(slots)):
        low, high = slots[i, 0], slots[i, 1]
        if high >= _LONG:
            place = np.int64(high & _PLACE)
            n = _long(buffer, place)
            for k in range(n):
                data[at + k] = buffer[place + 4 + k]
            at += n
        elif high:
            for k in range(np.int64(high >> _TOP)):
                part = low >> np.uint64(8 * k) if k < 8 else high >> np.uint64(8 * (k - 8))
                data[at + k] = part & np.uint64(255)
            at += np.int64(high >> _TOP)


@njit(cache=True, nogil=True)
def _cut(offsets: Any, data: Any, mark: Any, longest: Any, ends: Any, word: Any) -> int:
    m = 0
    for w in range(len(offsets) - 1):
        start, stop = offsets[w], offsets[w + 1]
        for i in range(start, stop):
            if i + 1 == stop or data[i] == mark or data[i + 1] == mark or i + 1 - start == longest:
                ends[m], word[m] = i + 1, w
                m += 1
                start = i + 1
    return m
