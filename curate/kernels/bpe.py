"""Byte-level BPE: ids of pieces of text, merged once and then looked up.

A piece of text (see `bpe_split`) always gives the same ids, so each is merged when it is first met and kept, bytes and
ids, in a table. The order of merges is that of Sennrich et al. 2016 (https://arxiv.org/abs/1508.07909): of all pairs side
by side the one learned first, the leftmost of equals, until no pair is known.

Threads share the table. Any number of them look pieces up while one adds some: the word of a slot that says that it is taken
is written last and read first.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["DONE", "FULL", "LONG", "MAX_KEPT", "add", "encode", "move", "seed"]

DONE, FULL, LONG = range(3)
"""What `encode` ends with: all is done; a new piece found no room; a piece is too long for it."""

MAX_KEPT = 255
"""Longer pieces (bytes) are merged every time they are met, by `bpe_merges`."""

_RANK_BITS = 22
_RANK_MASK = np.uint64((1 << _RANK_BITS) - 1)
_NONE = np.int32((1 << _RANK_BITS) - 1)
"""No rank: the pair is not merged."""
_EMPTY = np.uint64(2**64 - 1)

_INLINE = 15
"""Pieces up to this many bytes stand in their slot of the table, longer ones in a buffer of their own."""

_AHEAD = np.int64(32)
"""Slots that are asked of memory before the first of them is looked at: most of a large table is not in the caches."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_PRIME = np.uint64(0xD6E8FEB86659FD93)  # an odd 64-bit multiplier
_HALF = np.uint64(32)
_TOP = np.uint64(56)
_PLACE = np.uint64((1 << 56) - 1)
_VECTOR = 32
_BYTE, _LOW_BYTE = np.uint32(8), np.uint32(0xFF)
_LAST, _NO_RANK = np.uint32(0xFFFFFFFF), np.uint32(_NONE) << np.uint32(8)
_LOW = np.uint64(0xFFFFFFFF)
_ONE, _TWO, _WORDS, _EIGHT = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(8)


@njit(cache=True, nogil=True)
def _shift(n: int) -> Any:
    """What brings the top bits of a 64-bit value down to an index below n, a power of two."""
    shift = 64
    while n > 1:
        n >>= 1
        shift -= 1
    return np.uint64(shift)


@njit(cache=True, nogil=True)
def _merge_short(
    data: Any, start: Any, n: Any, pairs: Any, down: Any, result: Any, byte_ids: Any, byte_ranks: Any,
    ids: Any, ranks: Any, before: Any, after: Any,
) -> Any:  # fmt: skip
    """The ids of a piece of at most MAX_KEPT bytes into `ids`; how many. O(n^2) steps, but the least of many ranks is found
    in one.

    `ranks` holds rank << 8 | place of the pair that begins at each place, so that the least is the leftmost too.
    """
    mask, first = np.uint64(len(pairs) - 1), np.uint64(start)
    # Whole vectors are looked through.
    looked = (n + _VECTOR - 1) & ~(_VECTOR - 1)
    for i in range(n):
        u = np.uint64(i)
        ids[u] = byte_ids[data[first + u]]
        before[u], after[u] = i - 1, i + 1
    for i in range(n - 1):
        u = np.uint64(i)
        pair = np.uint64(data[first + u]) << _EIGHT | np.uint64(data[first + u + _ONE])
        ranks[u] = np.uint32(byte_ranks[pair]) << _BYTE | np.uint32(i)
    for i in range(n - 1, looked):
        ranks[np.uint64(i)] = _LAST
    while True:
        best = _LAST
        for i in range(looked):
            best = min(best, ranks[np.uint64(i)])
        if best >= _NO_RANK:
            break
        at = np.uint64(best & _LOW_BYTE)
        ids[at] = result[np.uint64(best >> _BYTE)]
        gone = np.uint64(after[at])
        right, left = np.int64(after[gone]), np.int64(before[at])
        after[at] = right
        ranks[gone] = ranks[at] = _LAST
        if right < n:
            before[right] = np.int64(at)
        for begin in range(2):
            # The pair that begins before the new id, then the one that begins with it.
            one, two = (np.int64(at), right) if begin else (left, np.int64(at))
            if one < 0 or two >= n:
                continue
            # As `_rank`, which would count references to the table at every call.
            pair = np.uint64(ids[np.uint64(one)]) << np.uint64(21) | np.uint64(ids[np.uint64(two)])
            slot = (pair * _GOLDEN) >> down
            rank = _LAST
            while pairs[slot] != _EMPTY:
                if pairs[slot] >> np.uint64(_RANK_BITS) == pair:
                    rank = np.uint32(pairs[slot] & _RANK_MASK) << _BYTE | np.uint32(one)
                    break
                slot = (slot + _ONE) & mask
            ranks[np.uint64(one)] = rank
    count, at_ = 0, np.int64(0)
    while at_ < n:
        ids[np.uint64(count)] = ids[np.uint64(at_)]
        count += 1
        at_ = np.int64(after[np.uint64(at_)])
    return count


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Where a word of an array lies: for the three below, which say how it is reached."""
    from numba.np.arrayobj import make_array

    array = make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


@intrinsic
def _read_first(typing: Any, array: Any, i: Any) -> Any:
    """array[i] of uint64, read before whatever is read after it."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments)
        return builder.load_atomic(place, "acquire", 8, typ=ir.IntType(64))

    return types.uint64(array, types.uint64), code


@intrinsic
def _write_last(typing: Any, array: Any, i: Any, value: Any) -> Any:
    """array[i] = value of uint64, written after whatever was written before it."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[2], _place(context, builder, signature, arguments), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64), code


@intrinsic
def _ask_for(typing: Any, array: Any, i: Any) -> Any:
    """Have the cache line of array[i] brought from memory, and do not wait."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from numba.core.cgutils import get_or_insert_function

        place = _place(context, builder, signature, arguments)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        prefetch = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), code


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
    return _mix(low, high if high >> _TOP <= np.uint64(_INLINE) else high >> _TOP) >> down


@njit(cache=True, nogil=True)
def _seek(data: Any, start: Any, n: Any, low: Any, high: Any, slots: Any, kept: Any, down: Any) -> Any:
    """The place in `slots` of a piece, or of the empty slot where it belongs."""
    at, mask = _home(low, high, down) * _WORDS, np.uint64(len(slots) - 1)
    while True:
        held = _read_first(slots, at + _ONE)
        if held == 0:
            return at
        if slots[at] == low:
            if held == high and n <= _INLINE:
                return at
            if n > _INLINE and held >> _TOP == np.uint64(n):
                place = np.int64(held & _PLACE)
                same = 0
                while same < n and kept[place + same] == data[start + same]:
                    same += 1
                if same == n:
                    return at
        at = (at + _WORDS) & mask


@njit(cache=True, nogil=True)
def _keep(
    data: Any, start: Any, n: Any, low: Any, high: Any, ids: Any, ids_at: Any, count: Any,
    slots: Any, at: Any, kept: Any, runs: Any, used: Any,
) -> None:  # fmt: skip
    """Write a piece and its ids into an empty slot."""
    if n > _INLINE:
        high |= np.uint64(used[1])
        for i in range(n):
            kept[used[1] + i] = data[start + i]
        used[1] += n
    a, b, c = np.uint64(ids[ids_at]), np.uint64(0), np.uint64(0)
    if count > 3:
        a, b = np.uint64(0), np.uint64(used[2])
        for i in range(count):
            runs[used[2] + i] = ids[ids_at + i]
        used[2] += count
    else:
        if count > 1:
            b = np.uint64(ids[ids_at + 1])
        if count > 2:
            c = np.uint64(ids[ids_at + 2])
    slots[at] = low
    slots[at + _TWO] = np.uint64(count) | a << _HALF
    slots[at + _TWO + _ONE] = b | c << _HALF
    used[0] += 1
    _write_last(slots, at + _ONE, high)


@njit(cache=True, nogil=True)
def _full(slots: Any, kept: Any, runs: Any, used: Any) -> Any:
    """Whether there may be no room for one more piece."""
    return used[0] * 8 >= len(slots) or used[1] + MAX_KEPT >= len(kept) or used[2] + MAX_KEPT >= len(runs)


@njit(cache=True, nogil=True)
def seed(ends: Any, data: Any, ids: Any, slots: Any, kept: Any, runs: Any, used: Any) -> None:
    down = _shift(len(slots) // 4)
    start = 0
    for i in range(len(ends)):
        n = ends[i] - start
        low, high = _key(data, start, n)
        at = _seek(data, start, n, low, high, slots, kept, down)
        _keep(data, start, n, low, high, ids, i, 1, slots, at, kept, runs, used)
        start = ends[i]


@njit(cache=True, nogil=True)
def move(old: Any, slots: Any) -> None:
    """Put what is in some slots into more of them. They follow their hash in both, so memory is gone through in order."""
    down, mask = _shift(len(slots) // 4), np.uint64(len(slots) - 1)
    for i in range(0, len(old), 4):
        u = np.uint64(i)
        if old[u + _ONE]:
            at = _home(old[u], old[u + _ONE], down) * _WORDS
            while slots[at + _ONE]:
                at = (at + _WORDS) & mask
            for j in range(4):
                slots[at + np.uint64(j)] = old[u + np.uint64(j)]


@njit(cache=True, nogil=True)
def add(own_slots: Any, own_kept: Any, own_runs: Any, slots: Any, kept: Any, runs: Any, used: Any) -> bool:
    """Add the pieces of one table that another does not hold; False when there may be no room for all."""
    down, mask = _shift(len(slots) // 4), np.uint64(len(slots) - 1)
    places, n_places = np.empty(len(own_slots) // 4, np.uint64), 0
    for i in range(0, len(own_slots), 4):
        if own_slots[np.uint64(i + 1)]:
            places[n_places] = i
            n_places += 1
    for i in range(n_places):
        if i + _AHEAD < n_places:
            u = places[i + _AHEAD]
            _ask_for(slots, _home(own_slots[u], own_slots[u + _ONE], down) * _WORDS)
        if _full(slots, kept, runs, used):
            return False
        u = places[i]
        low, high, one, two = own_slots[u], own_slots[u + _ONE], own_slots[u + _TWO], own_slots[u + _TWO + _ONE]
        n, count, start = np.int64(high >> _TOP), np.int64(one & _LOW), np.int64(high & _PLACE)
        if n <= _INLINE:
            at = _home(low, high, down) * _WORDS
            while slots[at + _ONE] and (slots[at] != low or slots[at + _ONE] != high):
                at = (at + _WORDS) & mask
        else:
            at = _seek(own_kept, start, n, low, high, slots, kept, down)
        if slots[at + _ONE]:
            continue
        if n > _INLINE:
            high = np.uint64(n) << _TOP | np.uint64(used[1])
            for j in range(n):
                kept[used[1] + j] = own_kept[start + j]
            used[1] += n
        if count > 3:
            for j in range(count):
                runs[used[2] + j] = own_runs[np.int64(two) + j]
            two = np.uint64(used[2])
            used[2] += count
        used[0] += 1
        slots[at], slots[at + _TWO], slots[at + _TWO + _ONE] = low, one, two
        _write_last(slots, at + _ONE, high)
    return True


@njit(cache=True, nogil=True)
def encode(
    data: Any, offsets: Any, ends: Any, bounds: Any, pairs: Any, result: Any, byte_ids: Any, byte_ranks: Any,
    slots: Any, kept: Any, runs: Any, own_slots: Any, own_kept: Any, own_runs: Any, own_used: Any,
    eos_id: Any, state: Any, tokens: Any, lengths: Any,
) -> int:  # fmt: skip
    """Go on from `state` (document, piece, id to write) to the end, or as far as it gets: DONE, FULL or LONG."""
    down, own_down, pair_down = _shift(len(slots) // 4), _shift(len(own_slots) // 4), _shift(len(pairs))
    ids, ranks = np.empty(MAX_KEPT, np.int32), np.empty(MAX_KEPT + 1, np.uint32)
    before, after = np.empty(MAX_KEPT, np.int16), np.empty(MAX_KEPT, np.int16)
    lows, highs, homes = np.empty(_AHEAD, np.uint64), np.empty(_AHEAD, np.uint64), np.empty(_AHEAD, np.uint64)
    d, p, k = state[0], state[1], state[2]
    size, mask, pieces = len(data), np.uint64(len(slots) - 1), bounds[len(lengths)]
    if p == 0 and d == 0 and len(lengths):
        lengths[0] = k
    while p < pieces:
        # Texts follow one another without a gap, so a piece begins where the one before ends, also that of another text.
        begin = ends[p - 1] if p else offsets[0]
        start, last = begin, min(p + _AHEAD, pieces)
        for i in range(last - p):
            n = ends[p + i] - start
            low, high = np.uint64(0), np.uint64(0)
            if n <= _INLINE and start + 16 <= size:
                # `_key` for most pieces, without a call: each counts references to the arrays it is given.
                u = np.uint64(start)
                for j in range(8):
                    low |= np.uint64(data[u + np.uint64(j)]) << np.uint64(8 * j)
                    high |= np.uint64(data[u + np.uint64(8 + j)]) << np.uint64(8 * j)
                first = min(n, 8)
                cut, high_cut = np.uint64(32 - 4 * first), np.uint64(32 - 4 * (n - first))
                low &= (_EMPTY >> cut) >> cut
                high = ((_EMPTY >> high_cut) >> high_cut) & high | np.uint64(n) << _TOP
            elif n <= MAX_KEPT:
                low, high = _key(data, start, n)
            u = np.uint64(i)
            lows[u], highs[u], homes[u] = low, high, _home(low, high, down) * _WORDS
            _ask_for(slots, homes[u])
            start += n
        start = begin
        for i in range(last - p):
            while p == bounds[d + 1]:
                tokens[k] = eos_id
                k += 1
                lengths[d] = k - lengths[d]
                d += 1
                lengths[d] = k
            n = ends[p] - start
            u = np.uint64(i)
            low, high, at, held = lows[u], highs[u], homes[u], np.uint64(0)
            if n > MAX_KEPT:
                state[0], state[1], state[2] = d, p, k
                return LONG
            if n <= _INLINE:
                held = _read_first(slots, at + _ONE)
                while held and (held != high or slots[at] != low):
                    at = (at + _WORDS) & mask
                    held = _read_first(slots, at + _ONE)
            else:
                at = _seek(data, start, n, low, high, slots, kept, down)
                held = _read_first(slots, at + _ONE)
            if held:
                one, two = slots[at + _TWO], slots[at + _TWO + _ONE]
            else:
                at = _seek(data, start, n, low, high, own_slots, own_kept, own_down)
                if own_slots[at + _ONE] == 0:
                    if _full(own_slots, own_kept, own_runs, own_used):
                        state[0], state[1], state[2] = d, p, k
                        return FULL
                    count = _merge_short(
                        data, start, n, pairs, pair_down, result, byte_ids, byte_ranks, ids, ranks, before, after
                    )
                    _keep(data, start, n, low, high, ids, 0, count, own_slots, at, own_kept, own_runs, own_used)
                one, two = own_slots[at + _TWO], own_slots[at + _TWO + _ONE]
            count = np.int64(one & _LOW)
            if count <= 3:
                tokens[k] = one >> _HALF
                tokens[k + 1] = two & _LOW
                tokens[k + 2] = two >> _HALF
            elif held:
                for j in range(count):
                    tokens[k + j] = runs[np.int64(two) + j]
            else:
                for j in range(count):
                    tokens[k + j] = own_runs[np.int64(two) + j]
            k += count
            start += n
            p += 1
    while d < len(lengths):
        tokens[k] = eos_id
        k += 1
        lengths[d] = k - lengths[d]
        d += 1
        if d < len(lengths):
            lengths[d] = k
    state[0], state[1], state[2] = d, p, k
    return DONE
