"""Learning the merges of BPE from words and their counts.

Sennrich et al. 2016 (https://arxiv.org/abs/1508.07909): of all pairs of symbols side by side the most frequent becomes a new
symbol, again and again. Which pair is next, and what is counted, is as in the trainer of the tokenizers library (0.23,
tokenizers/src/models/bpe/trainer.rs), so that vocabulary and merges are the same: ties go to the smaller ids; a count is
looked at again only when its pair comes to the top; a pair that was merged keeps its count; two pairs that spell the same
token share its id. Counts are 64-bit here and 32-bit there, where they overflow from 2^31 on.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["learn_merges"]

_NO_PAIR = np.uint64(2**64 - 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_PRIME = np.uint64(0xD6E8FEB86659FD93)  # an odd 64-bit multiplier
_HALF = np.uint64(32)
_LOW = np.uint64(2**32 - 1)

_AT_A_TIME = 256
"""Merges between two looks at the world outside, such as Ctrl-C."""

_PAIRS, _HEAP, _ENTRIES, _POOL, _MERGES, _TOKENS, _SPELLED = range(7)
"""State: pairs seen, size of the heap, entries made, words listed, merges learned, tokens, bytes of their spellings."""


def learn_merges(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    counts: npt.NDArray[np.int64],
    tokens: Sequence[bytes],
    first: npt.NDArray[np.int32],
    later: npt.NDArray[np.int32],
    vocab_size: int,
    *,
    prefix: int = 0,
    passing: Callable[[int], None] = lambda tokens: None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """`(left int32[m], right int32[m], result int32[m])`: the merges in order, as ids; new tokens have the ids from
    `len(tokens)` on.

    Word i is the bytes `data[offsets[i]:offsets[i + 1]]` and occurs `counts[i]` times (> 0); no word twice. `first[b]` is the
    id of byte b at the beginning of a word, `later[b]` elsewhere. `tokens` are the spellings of the ids there are, empty for
    one that no merge can spell; `prefix` bytes at the head of the right part of every merge are left out of the result's.
    It stops at `vocab_size` tokens, or when there is no pair left. `passing` is told the number of tokens now and then.

    Time is that of looking through every word that holds a pair when it is merged: about O(bytes of the words) all in all,
    O(n^2) for a word of n bytes. Memory: 4 bytes a byte of the words, up to 12 more for the lists of words that hold a pair,
    and about 80 for each pair of symbols ever seen.
    """
    n, size = len(counts), int(offsets[-1] - offsets[0])
    symbols = np.empty(size, np.int32)
    lengths = np.empty(n, np.int32)
    fixed_offsets, times = frozen(offsets, np.int64), frozen(counts, np.int64)
    _symbols(fixed_offsets, frozen(data, np.uint8), frozen(first, np.int32), frozen(later, np.int32), symbols, lengths)
    starts = frozen(offsets[:-1] - offsets[0], np.int64)
    merges = np.empty((max(1, 2 * vocab_size), 3), np.int32)
    state = np.zeros(7, np.int64)
    state[_TOKENS] = len(tokens)
    # Each symbol that goes with a merge makes at most two new pairs; what is not written is not backed by memory.
    pool = np.empty(3 * size, np.int32)
    spelled = _spell(tokens, state)
    grown = _pairs(symbols, starts, lengths, times, pool, state)
    while state[_TOKENS] < vocab_size:
        if state[_MERGES] + _AT_A_TIME > len(merges):
            merges = np.concatenate([merges, np.empty_like(merges)])
        limit = state[_MERGES] + _AT_A_TIME
        *grown, spellings, spelling_ends, spelling_slots, going = _merge(
            symbols, starts, lengths, times, pool, state, merges, limit, vocab_size, prefix, *grown, *spelled
        )
        spelled = (spellings, spelling_ends, spelling_slots)
        if not going:
            break
        passing(int(state[_TOKENS]))
    learned = merges[: state[_MERGES]]
    return learned[:, 0].copy(), learned[:, 1].copy(), learned[:, 2].copy()


def _spell(tokens: Sequence[bytes], state: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], ...]:
    """The spellings of the tokens there are: bytes, where each ends, and a table of them by hash (id + 1)."""
    spellings = np.frombuffer(b"".join(tokens) or b"\0", np.uint8).copy()
    ends = np.zeros(max(1024, 2 * len(tokens)), np.int64)
    ends[: len(tokens)] = np.cumsum([len(token) for token in tokens])
    state[_SPELLED] = ends[len(tokens) - 1]
    slots = np.zeros(1 << max(10, (4 * len(tokens)).bit_length()), np.int32)
    _seat(spellings, ends, len(tokens), slots)
    return spellings, ends, slots


@njit(cache=True, nogil=True)
def _symbols(offsets: Any, data: Any, first: Any, later: Any, symbols: Any, lengths: Any) -> None:
    base = offsets[0]
    for w in range(len(lengths)):
        for i in range(offsets[w], offsets[w + 1]):
            symbols[i - base] = first[data[i]] if i == offsets[w] else later[data[i]]
        lengths[w] = offsets[w + 1] - offsets[w]


@njit(cache=True, nogil=True)
def _hash(spellings: Any, start: Any, stop: Any) -> Any:
    x = np.uint64(stop - start) * _GOLDEN
    for i in range(start, stop):
        x = (x ^ np.uint64(spellings[i])) * _PRIME
        x ^= x >> _HALF
    return x


@njit(cache=True, nogil=True)
def _seat(spellings: Any, ends: Any, n: Any, slots: Any) -> None:
    """Put the first n tokens into the table, but for those without a spelling; of two alike the first stays."""
    slots[:] = 0
    for token in range(n):
        start = ends[token - 1] if token else 0
        if ends[token] > start and _spelled(spellings, ends, start, ends[token], slots) < 0:
            _sit(spellings, start, ends[token], token, slots)


@njit(cache=True, nogil=True)
def _sit(spellings: Any, start: Any, stop: Any, token: Any, slots: Any) -> None:
    slot = np.int64(_hash(spellings, start, stop) & np.uint64(len(slots) - 1))
    while slots[slot]:
        slot = (slot + 1) & (len(slots) - 1)
    slots[slot] = token + 1


@njit(cache=True, nogil=True)
def _spelled(spellings: Any, ends: Any, start: Any, stop: Any, slots: Any) -> Any:
    """The token that is spelled as the bytes from start to stop, or -1."""
    slot = np.int64(_hash(spellings, start, stop) & np.uint64(len(slots) - 1))
    while slots[slot]:
        token = slots[slot] - 1
        begin = ends[token - 1] if token else 0
        if ends[token] - begin == stop - start:
            same = True
            for i in range(stop - start):
                if spellings[begin + i] != spellings[start + i]:
                    same = False
                    break
            if same:
                return np.int64(token)
        slot = (slot + 1) & (len(slots) - 1)
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _shift(n: int) -> Any:
    """What brings the top bits of a 64-bit value down to an index below n, a power of two."""
    shift = 64
    while n > 1:
        n >>= 1
        shift -= 1
    return np.uint64(shift)


@njit(cache=True, nogil=True, inline="always")
def _slot(key: Any, keys: Any, down: Any) -> Any:
    """Where a pair stands in the table, or would."""
    mask = np.uint64(len(keys) - 1)
    slot = ((key ^ (key >> _HALF)) * _GOLDEN) >> down
    while keys[slot] != key and keys[slot] != _NO_PAIR:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True, nogil=True)
def _wider(keys: Any, values: Any) -> Any:
    """The table at twice its size."""
    new_keys = np.full(2 * len(keys), _NO_PAIR, np.uint64)
    new_values = np.empty(2 * len(keys), np.int32)
    down = _shift(len(new_keys))
    for i in range(len(keys)):
        if keys[i] != _NO_PAIR:
            slot = _slot(keys[i], new_keys, down)
            new_keys[slot], new_values[slot] = keys[i], values[i]
    return new_keys, new_values


@njit(cache=True, nogil=True)
def _twice(array: Any) -> Any:
    wider = np.zeros(2 * len(array), array.dtype)
    wider[: len(array)] = array
    return wider


@njit(cache=True, nogil=True)
def _down(order: Any, keys: Any, entries: Any, size: Any, count: Any, key: Any, entry: Any) -> None:
    """Put an entry in place of the top of the heap: the highest count first, the smallest pair of equals."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (order[other] > order[child] or (order[other] == order[child] and keys[other] < keys[child])):
            child = other
        if count > order[child] or (count == order[child] and key <= keys[child]):
            break
        order[i], keys[i], entries[i] = order[child], keys[child], entries[child]
        i = child
    order[i], keys[i], entries[i] = count, key, entry


@njit(cache=True, nogil=True)
def _up(order: Any, keys: Any, entries: Any, size: Any, count: Any, key: Any, entry: Any) -> None:
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if order[up] > count or (order[up] == count and keys[up] <= key):
            break
        order[i], keys[i], entries[i] = order[up], keys[up], entries[up]
        i = up
    order[i], keys[i], entries[i] = count, key, entry


@njit(cache=True, nogil=True)
def _pairs(symbols: Any, starts: Any, lengths: Any, times: Any, pool: Any, state: Any) -> Any:
    """Count the pairs of all words, list the words of each, and make the heap.

    keys, values: the table of pairs; pair_keys, pair_counts: of each pair; marks: where it was last met; listed: words in its
    list so far. Heap: order (counts), heap_keys, heap_entries; of each entry: its pair, and where its list is.
    """
    keys, values = np.full(1 << 16, _NO_PAIR, np.uint64), np.empty(1 << 16, np.int32)
    pair_keys, pair_counts = np.empty(1 << 15, np.uint64), np.zeros(1 << 15, np.int64)
    marks, listed = np.zeros(1 << 15, np.int64), np.zeros(1 << 15, np.int32)
    down = _shift(len(keys))
    m = 0
    for w in range(len(lengths)):
        at = starts[w]
        for i in range(at, at + lengths[w] - 1):
            key = np.uint64(symbols[i]) << _HALF | np.uint64(symbols[i + 1])
            slot = _slot(key, keys, down)
            if keys[slot] == _NO_PAIR:
                keys[slot], values[slot], pair_keys[m] = key, m, key
                pair = m
                m += 1
                if m == len(pair_keys):
                    pair_keys, pair_counts, marks, listed = (
                        _twice(pair_keys),
                        _twice(pair_counts),
                        _twice(marks),
                        _twice(listed),
                    )
                    keys, values = _wider(keys, values)
                    down = _shift(len(keys))
            else:
                pair = values[slot]
            pair_counts[pair] += times[w]
            if marks[pair] != w + 1:
                marks[pair] = w + 1
                listed[pair] += 1
    room = max(2 * m, 1)
    order, heap_keys = np.empty(room, np.uint64), np.empty(room, np.uint64)
    heap_entries = np.empty(room, np.int32)
    entry_pair, entry_start, entry_size = np.empty(room, np.int32), np.empty(room, np.int64), np.empty(room, np.int32)
    used = 0
    for pair in range(m):
        entry_pair[pair], entry_start[pair], entry_size[pair] = pair, used, 0
        used += listed[pair]
        _up(order, heap_keys, heap_entries, pair, np.uint64(pair_counts[pair]), pair_keys[pair], pair)
    marks[:] = 0
    listed[:] = 0
    for w in range(len(lengths)):
        at = starts[w]
        for i in range(at, at + lengths[w] - 1):
            pair = values[_slot(np.uint64(symbols[i]) << _HALF | np.uint64(symbols[i + 1]), keys, down)]
            if marks[pair] != w + 1:
                marks[pair] = w + 1
                pool[entry_start[pair] + entry_size[pair]] = w
                entry_size[pair] += 1
    marks[:] = 0
    state[_PAIRS], state[_HEAP], state[_ENTRIES], state[_POOL] = m, m, m, used
    return (
        keys, values, pair_keys, pair_counts, marks, listed, order, heap_keys, heap_entries, entry_pair, entry_start,
        entry_size, np.empty(1 << 12, np.int32), np.empty(1 << 12, np.int32), np.empty(1 << 12, np.int32),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _merge(
    symbols: Any, starts: Any, lengths: Any, times: Any, pool: Any, state: Any, merges: Any, limit: Any, vocab_size: Any,
    prefix: Any, keys: Any, values: Any, pair_keys: Any, pair_counts: Any, marks: Any, listed: Any, order: Any, heap_keys: Any,
    heap_entries: Any, entry_pair: Any, entry_start: Any, entry_size: Any, new_pairs: Any, new_words: Any, touched: Any,
    spellings: Any, ends: Any, slots: Any,
) -> Any:  # fmt: skip
    """Learn merges up to number `limit`; the arrays, grown where they had to, and whether there is more to do.

    new_pairs, new_words: pairs that the merge made, and the word of each; touched: the different ones among them.
    """
    down = _shift(len(keys))
    m, heap, entries, used = state[_PAIRS], state[_HEAP], state[_ENTRIES], state[_POOL]
    done, size, spelled = state[_MERGES], state[_TOKENS], state[_SPELLED]
    going = True
    while done < limit and size < vocab_size:
        if heap == 0:
            going = False
            break
        count, key, entry = order[0], heap_keys[0], heap_entries[0]
        current = np.uint64(pair_counts[entry_pair[entry]])
        if count != current:
            _down(order, heap_keys, heap_entries, heap, current, key, entry)
            continue
        if count == np.uint64(0):
            going = False
            break
        heap -= 1
        _down(order, heap_keys, heap_entries, heap, order[heap], heap_keys[heap], heap_entries[heap])
        left, right = np.int32(key >> _HALF), np.int32(key & _LOW)
        # What it spells, and whether that is a token already.
        left_start, right_start = ends[left - 1] if left else 0, (ends[right - 1] if right else 0) + prefix
        stop = spelled + ends[left] - left_start + ends[right] - right_start
        while stop > len(spellings):
            spellings = _twice(spellings)
        k = spelled
        for i in range(left_start, ends[left]):
            spellings[k] = spellings[i]
            k += 1
        for i in range(right_start, ends[right]):
            spellings[k] = spellings[i]
            k += 1
        token = _spelled(spellings, ends, spelled, stop, slots)
        if token < 0:
            token = size
            if size == len(ends):
                ends = _twice(ends)
            ends[size] = stop
            size += 1
            if 4 * size > len(slots):
                slots = _twice(slots)
                _seat(spellings, ends, size, slots)
            else:
                _sit(spellings, spelled, stop, token, slots)
            spelled = stop
        new = np.int32(token)
        merges[done, 0], merges[done, 1], merges[done, 2] = left, right, new
        done += 1
        fresh = np.int64(0)
        for p in range(entry_start[entry], entry_start[entry] + entry_size[entry]):
            w = np.int64(pool[p])
            at, n = starts[w], np.int64(lengths[w])
            out = i = 0
            # Room for all that this word can add: two pairs a merge.
            while m + n >= len(pair_keys):
                pair_keys, pair_counts, marks, listed = _twice(pair_keys), _twice(pair_counts), _twice(marks), _twice(listed)
                keys, values = _wider(keys, values)
                down = _shift(len(keys))
            while fresh + n >= len(new_pairs):
                new_pairs, new_words, touched = _twice(new_pairs), _twice(new_words), _twice(touched)
            mark = done * len(lengths) + w
            while i < n:
                if symbols[at + i] != left or i + 1 >= n or symbols[at + i + 1] != right:
                    symbols[at + out] = symbols[at + i]
                    out += 1
                    i += 1
                    continue
                for side in range(2):
                    if side == 0:
                        if out == 0:
                            continue
                        near = np.uint64(symbols[at + out - 1])
                        old_key, new_key = near << _HALF | np.uint64(left), near << _HALF | np.uint64(new)
                    else:
                        if i + 2 >= n:
                            continue
                        near = np.uint64(symbols[at + i + 2])
                        old_key, new_key = np.uint64(right) << _HALF | near, np.uint64(new) << _HALF | near
                    for change in range(2):
                        this = new_key if change else old_key
                        slot = _slot(this, keys, down)
                        if keys[slot] == _NO_PAIR:
                            keys[slot], values[slot], pair_keys[m], pair_counts[m] = this, m, this, 0
                            m += 1
                        pair = values[slot]
                        if change:
                            pair_counts[pair] += times[w]
                            if marks[pair] != mark:
                                marks[pair] = mark
                                listed[pair] += 1
                                new_pairs[fresh], new_words[fresh] = pair, w
                                fresh += 1
                        else:
                            pair_counts[pair] -= times[w]
                symbols[at + out] = new
                out += 1
                i += 2
            lengths[w] = out
        # The words of each new pair, in lists of their own.
        pairs = 0
        for i in range(fresh):
            pair = np.int64(new_pairs[i])
            if listed[pair] > 0:
                if entries == len(entry_pair):
                    entry_pair, entry_start, entry_size = _twice(entry_pair), _twice(entry_start), _twice(entry_size)
                entry_pair[entries], entry_start[entries], entry_size[entries] = pair, used, 0
                used += np.int64(listed[pair])
                touched[pairs] = entries
                # Below zero: where its list is being filled.
                listed[pair] = -1 - pairs
                pairs += 1
                entries += 1
            entry = touched[-1 - listed[pair]]
            pool[entry_start[entry] + entry_size[entry]] = new_words[i]
            entry_size[entry] += 1
        for i in range(pairs):
            pair = np.int64(entry_pair[touched[i]])
            listed[pair] = 0
            if pair_counts[pair] > 0:
                if heap == len(order):
                    order, heap_keys, heap_entries = _twice(order), _twice(heap_keys), _twice(heap_entries)
                _up(order, heap_keys, heap_entries, heap, np.uint64(pair_counts[pair]), pair_keys[pair], touched[i])
                heap += 1
    state[_PAIRS], state[_HEAP], state[_ENTRIES], state[_POOL] = m, heap, entries, used
    state[_MERGES], state[_TOKENS], state[_SPELLED] = done, size, spelled
    return (
        keys, values, pair_keys, pair_counts, marks, listed, order, heap_keys, heap_entries, entry_pair, entry_start,
        entry_size, new_pairs, new_words, touched, spellings, ends, slots, going,
    )  # fmt: skip
