"""Windows of n words of every document, by the rare places among them that equal windows have in common.

To find every window of n words that occurs twice, the hash of each would have to be written down: as many hashes as there
are words. But equal windows have equal minimizers (Roberts et al. 2004; Schleimer, Wilkerson and Aiken 2003): the position
of the smallest hash of k words within them, here their **anchor**. About 2 of n - k + 2 words are anchors of some window, and
a window can only occur twice if its anchor does; so the anchors are compared first, and of the windows only those whose
anchor is there twice.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.words import Words

__all__ = ["anchored", "anchors", "covered"]

_BASE = np.uint64(0x9E3779B97F4A7C15)  # of the rolling hashes: odd, so that no power of it is 0
_PRIME = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


def anchors(words: Words, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """`(word int64[a], hash uint64[a])`: the anchors of all windows of n words, each once, in order.

    An anchor is named by the first of its k = (n + 1) // 2 words; of equal hashes in a window the last is its anchor, so
    that in a text of one word repeated it is found anew without looking back. Documents of fewer than n words have none.
    O(words) for text, O(words x n) at worst. Raises ValueError when n is below 2.
    """
    if n < 2:
        raise ValueError(f"a window has 2 words or more, not {n}")
    at = np.empty(len(words.hashes), np.int64)
    hashes = np.empty(len(words.hashes), np.uint64)
    a = _anchors(frozen(words.hashes, np.uint64), frozen(words.bounds, np.int64), n, (n + 1) // 2, at, hashes)
    return at[:a], hashes[:a]


def anchored(words: Words, n: int, wanted: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """`(word int64[w], hash uint64[w])`: the windows of n words whose anchor is wanted, by their first word, in order.

    wanted: bool[words], at the first word of each anchor. O(words) for text, O(words x n) at worst.
    """
    at = np.empty(len(words.hashes), np.int64)
    hashes = np.empty(len(words.hashes), np.uint64)
    w = _anchored(
        frozen(words.hashes, np.uint64), frozen(words.bounds, np.int64), n, (n + 1) // 2, frozen(wanted, np.bool_), at, hashes
    )
    return at[:w], hashes[:w]


def covered(
    words: Words, starts: npt.NDArray[np.int64], n: int, stops: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`(first int64[r], last int64[r])`: the bytes that windows cover, joined where they touch or overlap.

    starts: int64[w], first word of each window, sorted. stops: int64[n], the end of each document's text. A range goes
    from its first word to the word behind its last one, or to the end of the text. O(w).
    """
    first, last = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    r = _covered(
        frozen(words.starts, np.int64), frozen(words.bounds, np.int64), frozen(starts, np.int64), n, frozen(stops, np.int64),
        first, last,
    )  # fmt: skip
    return first[:r], last[:r]


@njit(cache=True, nogil=True)
def _finish(h: Any) -> Any:
    h ^= h >> _HALF
    h *= _PRIME
    return h ^ (h >> _HALF)


@njit(cache=True, nogil=True)
def _rolling(hashes: Any, start: int, stop: int, size: int, out: Any) -> int:
    """The hash of every run of `size` words from `start` to before `stop`, into `out`; how many there are."""
    count = stop - start - size + 1
    if count <= 0:
        return 0
    power, h = np.uint64(1), np.uint64(0)
    for j in range(size):
        h = h * _BASE + hashes[start + j]
        if j:
            power *= _BASE
    out[0] = _finish(h)
    for i in range(1, count):
        h = (h - hashes[start + i - 1] * power) * _BASE + hashes[start + i + size - 1]
        out[i] = _finish(h)
    return count


@njit(cache=True, nogil=True)
def _least(grams: Any, first: int, last: int) -> int:
    """Where the least of grams[first..last] stands, the last of equals."""
    best = first
    for i in range(first + 1, last + 1):
        if grams[i] <= grams[best]:
            best = i
    return best


@njit(cache=True, nogil=True)
def _anchors(hashes: Any, bounds: Any, n: int, k: int, at: Any, out: Any) -> int:
    a = 0
    longest = 0
    for d in range(len(bounds) - 1):
        longest = max(longest, bounds[d + 1] - bounds[d])
    grams = np.empty(longest, np.uint64)
    reach = n - k
    for d in range(len(bounds) - 1):
        start, stop = bounds[d], bounds[d + 1]
        if stop - start < n:
            continue
        count = _rolling(hashes, start, stop, k, grams)
        best = -1
        for s in range(count - reach):
            before = best
            if best < s:
                best = _least(grams, s, s + reach)
            elif grams[s + reach] <= grams[best]:
                best = s + reach
            if best != before:
                at[a], out[a] = start + best, grams[best]
                a += 1
    return a


@njit(cache=True, nogil=True)
def _anchored(hashes: Any, bounds: Any, n: int, k: int, wanted: Any, at: Any, out: Any) -> int:
    w = 0
    longest = 0
    for d in range(len(bounds) - 1):
        longest = max(longest, bounds[d + 1] - bounds[d])
    grams, windows = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    reach = n - k
    for d in range(len(bounds) - 1):
        start, stop = bounds[d], bounds[d + 1]
        if stop - start < n:
            continue
        some = False
        for i in range(start, stop):
            some |= wanted[i]
        if not some:
            continue
        count = _rolling(hashes, start, stop, k, grams)
        _rolling(hashes, start, stop, n, windows)
        best = -1
        for s in range(count - reach):
            if best < s:
                best = _least(grams, s, s + reach)
            elif grams[s + reach] <= grams[best]:
                best = s + reach
            if wanted[start + best]:
                at[w], out[w] = start + s, windows[s]
                w += 1
    return w


@njit(cache=True, nogil=True)
def _covered(word_starts: Any, bounds: Any, starts: Any, n: int, stops: Any, first: Any, last: Any) -> int:
    r, i = 0, 0
    for d in range(len(bounds) - 1):
        while i < len(starts) and starts[i] < bounds[d + 1]:
            a = starts[i]
            b = a + n
            i += 1
            while i < len(starts) and starts[i] <= b and starts[i] < bounds[d + 1]:
                b = starts[i] + n
                i += 1
            first[r] = word_starts[a]
            last[r] = word_starts[b] if b < bounds[d + 1] else stops[d]
            r += 1
    return r
