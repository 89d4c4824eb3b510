"""Repeated word n-grams of every document: the second half of Gopher's repetition rules.

Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", table A1; counted as
datatrove 0.10 does (`gopher_repetition_filter.py`), which differs from other tools of the same name.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.words import Words

__all__ = ["DUPLICATE", "TOP", "repeated_ngrams"]

TOP = (2, 3, 4)
"""n of columns 0 to 2: share of the characters that the most frequent n-gram makes up."""
DUPLICATE = (5, 6, 7, 8, 9, 10)
"""n of columns 3 to 8: share of the characters inside n-grams that were seen before."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
_FOLD = np.uint64(29)


def repeated_ngrams(words: Words, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """float64[n, 9]: for n-grams of 2, 3, 4 words the top share, for 5 to 10 words the duplicate share.

    `lengths` int64[n] is the length of each text in characters (the denominator, spaces included). A document
    without n-grams, or of length 0, has 0.

    Top: occurrences x length of the most frequent n-gram, words joined by one space; the first one seen wins a tie,
    and one occurrence is enough. Duplicate: walking left to right, an n-gram that was seen adds its characters
    (without spaces) and the walk goes on behind it, else it is remembered and the walk goes on at the next word.

    Which n-grams are equal is decided by `words.hashes`: case counts when `words` was called with `lower=False`, as
    the reference has it. Unlike there, ("ab", "c") and ("a", "bc") differ. O(9 words) time; 24 bytes for each slot of
    a table twice the words of the longest document.
    """
    bounds = frozen(words.bounds, np.int64)
    if len(lengths) != len(bounds) - 1:
        raise ValueError(f"{len(lengths)} lengths for {len(bounds) - 1} documents")
    out = np.zeros((len(bounds) - 1, len(TOP) + len(DUPLICATE)), np.float64)
    _repeated(frozen(words.hashes, np.uint64), frozen(words.chars, np.int32), bounds, frozen(lengths, np.int64), out)
    return out


@njit(cache=True, nogil=True)
def _find(keys: Any, stamps: Any, epoch: int, mask: Any, key: Any) -> Any:
    """Slot of the key, or the free one where it goes. A slot of another epoch is free: nothing is ever cleared."""
    slot = (key ^ (key >> _FOLD)) & mask
    while stamps[slot] == epoch and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True, nogil=True)
def _repeated(hashes: Any, chars: Any, bounds: Any, lengths: Any, out: Any) -> None:
    longest = 1
    for d in range(len(bounds) - 1):
        longest = max(longest, bounds[d + 1] - bounds[d])
    size = 4
    while size < 2 * longest:
        size *= 2
    keys, stamps = np.empty(size, np.uint64), np.zeros(size, np.int64)
    counts, firsts = np.empty(size, np.int32), np.empty(size, np.int32)
    grams, spans = np.empty(longest, np.uint64), np.empty(longest, np.int64)
    epoch = 0
    for d in range(len(bounds) - 1):
        start, count = bounds[d], bounds[d + 1] - bounds[d]
        if lengths[d] == 0:
            continue
        size = 4
        while size < 2 * count:
            size *= 2
        mask = np.uint64(size - 1)  # a short document stays in a small, cached part of the table
        for i in range(count):
            grams[i] = hashes[start + i]
            spans[i] = chars[start + i]
        for n in range(2, 11):
            last = count - n + 1
            if last <= 0:
                break
            # Polynomial hash modulo 2^64 of n words that are well mixed 64-bit hashes, one word longer each round.
            for i in range(last):
                grams[i] = grams[i] * _BASE + hashes[start + i + n - 1]
                spans[i] += chars[start + i + n - 1]
            epoch += 1
            total = 0
            if n <= 4:
                most, best = 0, np.uint64(0)
                for i in range(last):
                    slot = _find(keys, stamps, epoch, mask, grams[i])
                    if stamps[slot] == epoch:
                        counts[slot] += 1
                    else:
                        stamps[slot], keys[slot], counts[slot], firsts[slot] = epoch, grams[i], 1, i
                    if counts[slot] > most or (counts[slot] == most and firsts[slot] < firsts[best]):
                        most, best = counts[slot], slot
                total = most * (spans[firsts[best]] + n - 1)
            else:
                i = 0
                while i < last:
                    slot = _find(keys, stamps, epoch, mask, grams[i])
                    if stamps[slot] == epoch:
                        total += spans[i]
                        i += n
                    else:
                        stamps[slot], keys[slot] = epoch, grams[i]
                        i += 1
            out[d, n - 2] = total / lengths[d]
