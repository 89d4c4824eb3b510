"""Repeated word n-grams of every document: the second half of Gopher's repetition rules.

Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", table A1, says which shares of
characters are too much, but not how they are counted. Tools of the same name differ; three ways are here, by name.

`datatrove-0.10` (`gopher_repetition_filter.py`)
    Top: occurrences x length of the most frequent n-gram, words joined by one space; the first one seen wins a tie, and one
    occurrence is enough. Duplicate: walking left to right, an n-gram that was seen adds its characters (without spaces) and
    the walk goes on behind it, else it is remembered and the walk goes on at the next word.
`paper`
    Top: the same, where the n-gram comes twice at least. Duplicate: the characters (without spaces) of all words that lie in
    an n-gram which comes twice or more, each word once.
`dclm` (`content_filters.py` of mlfoundations/dclm)
    As `paper`, but top n-grams have no spaces, and of equally frequent ones the longest counts.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.words import Words

__all__ = ["DUPLICATE", "TOP", "Counting", "repeated_ngrams"]

Counting = Literal["datatrove-0.10", "paper", "dclm"]
TOP = (2, 3, 4)
"""n of columns 0 to 2: share of the characters that the most frequent n-gram makes up."""
DUPLICATE = (5, 6, 7, 8, 9, 10)
"""n of columns 3 to 8: share of the characters inside n-grams that are repeated."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
_FOLD = np.uint64(29)
_MODES = {"datatrove-0.10": 0, "paper": 1, "dclm": 2}

# `_nrt=False`: as in `curate.kernels.token_machine`.


def repeated_ngrams(
    words: Words, lengths: npt.NDArray[np.int64], counting: Counting = "datatrove-0.10"
) -> npt.NDArray[np.float64]:
    """float64[n, 9]: for n-grams of 2, 3, 4 words the top share, for 5 to 10 words the duplicate share.

    `lengths` int64[n] is what the characters are a share of: of each text, or of its words. A document without n-grams, or
    of length 0, has 0.

    Which n-grams are equal is decided by `words.hashes`: case counts when `words` was called with `lower=False`, as
    the references have it. Unlike in datatrove, ("ab", "c") and ("a", "bc") differ.

    O(words) time for n = 2; for each longer n only the words that begin an n-gram whose two (n-1)-grams are repeated are
    looked at. 16 bytes for each slot of a table twice the words of the longest document, and 37 for each of its words.
    """
    bounds = frozen(words.bounds, np.int64)
    if len(lengths) != len(bounds) - 1:
        raise ValueError(f"{len(lengths)} lengths for {len(bounds) - 1} documents")
    out = np.zeros((len(bounds) - 1, len(TOP) + len(DUPLICATE)), np.float64)
    longest = int(np.diff(bounds).max(initial=1))
    size = 4
    while size < 2 * longest:
        size *= 2
    room = (
        np.full((size, 2), -1, np.int64), np.empty(longest + 1, np.uint64),
        np.empty(longest + 1, np.int64), np.empty(longest, np.int64), np.empty(longest, np.int32),
        np.empty(longest + 1, np.uint8),
    )  # fmt: skip
    fixed = frozen(words.hashes, np.uint64), frozen(words.chars, np.int32), bounds, frozen(lengths, np.int64)
    _repeated(*fixed, _MODES[counting], *room, out)
    return out


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _find(table: Any, base: int, mask: Any, key: Any) -> Any:
    """Slot of the key, or the free one where it goes. A slot of before `base` is free: nothing is ever cleared."""
    slot, same = (key ^ (key >> _FOLD)) & mask, np.int64(key)
    while table[slot, 1] >= base and table[slot, 0] != same:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _mask(count: int) -> Any:
    size = 4
    while size < 2 * count:
        size *= 2
    return np.uint64(size - 1)  # few n-grams stay in a small, cached part of the table


@njit(cache=True, nogil=True, _nrt=False)
def _repeated(
    hashes: Any, chars: Any, bounds: Any, lengths: Any, mode: int,
    table: Any, sums: Any, ends: Any, at: Any, times: Any, again: Any, out: Any,
) -> None:  # fmt: skip
    # table: hashes of n-grams, and `base` + the word where each was first seen.
    # sums: polynomial hashes modulo 2^64 of all words before each, which are well mixed 64-bit hashes; ends: their characters.
    # at: the words where an n-gram may be repeated; times: how often the one first seen there came; again: whether it did.
    base = 0
    for d in range(len(bounds) - 1):
        start, count = bounds[d], bounds[d + 1] - bounds[d]
        if lengths[d] == 0 or count < 2:
            continue
        sums[0], ends[0] = 0, 0
        for i in range(count):
            sums[i + 1] = sums[i] * _BASE + hashes[start + i]
            ends[i + 1] = ends[i] + chars[start + i]
            at[i] = i
            again[i] = 0
        power, some = _BASE, count - 1
        for n in range(2, 5):
            if count < n:
                break
            power *= _BASE
            mask = _mask(some)
            most, best = 1, 0
            for k in range(some):
                i = at[k]
                key = sums[i + n] - sums[i] * power
                slot = _find(table, base, mask, key)
                if table[slot, 1] < base:
                    table[slot, 0], table[slot, 1], times[i] = np.int64(key), base + i, 1
                    continue
                first = table[slot, 1] - base
                times[first] += 1
                again[i], again[first] = 1, 1
                if times[first] > most or (times[first] == most and first < best):
                    most, best = times[first], first
            length = ends[best + n] - ends[best] + (n - 1 if mode < 2 else 0)
            if mode == 2 and most > 1:
                for k in range(some):
                    i = at[k]
                    slot = _find(table, base, mask, sums[i + n] - sums[i] * power)
                    if times[table[slot, 1] - base] == most:
                        length = max(length, ends[i + n] - ends[i])
            if most > 1 or mode == 0:
                out[d, n - 2] = most * length / lengths[d]
            base += count
            # An n-gram is repeated only if the two that are one word shorter are.
            some = _next(at, again, some, count - n - 1)
        for n in range(5, 11):
            if count < n or some == 0:
                break
            power *= _BASE
            mask = _mask(some)
            total, beyond = 0, 0
            for k in range(some):
                i = at[k]
                if mode == 0:
                    again[i] = 1  # the walk does not look at all of them: any may be repeated
                    if i < beyond:
                        continue
                key = sums[i + n] - sums[i] * power
                slot = _find(table, base, mask, key)
                if table[slot, 1] < base:
                    table[slot, 0], table[slot, 1] = np.int64(key), base + i
                    continue
                if mode > 0:
                    again[i], again[table[slot, 1] - base] = 1, 1
                else:
                    total += ends[i + n] - ends[i]
                    beyond = i + n
            if mode > 0:
                for k in range(some):
                    i = at[k]
                    if again[i]:
                        total += ends[i + n] - ends[max(i, beyond)]
                        beyond = i + n
            out[d, n - 2] = total / lengths[d]
            base += count
            some = _next(at, again, some, count - n - 1)


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _next(at: Any, again: Any, some: int, last: int) -> int:
    """The words up to `last` where this n-gram and the next are repeated; their marks are taken away."""
    found = 0
    for k in range(some):
        i = at[k]
        if again[i] and i <= last and again[i + 1]:
            at[found] = i
            found += 1
        again[i] = 0
    return found
