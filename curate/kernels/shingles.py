"""Sets of shingles: the distinct runs of n words or characters of every document, as sorted 32-bit hashes.

Broder 1997, "On the resemblance and containment of documents". What `minhash` takes minima over, and what exact Jaccard
similarities are counted from.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["Sets", "character_hashes", "shingle_sets"]

_BASE = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_PRIME = np.uint64(0xD6E8FEB86659FD93)  # an odd 64-bit multiplier, as in `curate.kernels.words`
_LOW = np.uint64(0xA0761D6478BD642F)  # another
_HALF = np.uint64(32)
_ONE = np.uint64(1)


class Sets(NamedTuple):
    """The sets of n documents."""

    values: npt.NDArray[np.uint32]
    """uint32[s]: the hashes, each document's in ascending order, each once."""
    bounds: npt.NDArray[np.int64]
    """int64[n+1]: document i has `values[bounds[i]:bounds[i + 1]]`."""
    digests: npt.NDArray[np.uint64]
    """uint64[n, 2]: a hash of 128 bits of each set: equal for equal sets, zero for an empty one."""


def shingle_sets(hashes: npt.NDArray[np.uint64], bounds: npt.NDArray[np.int64], ngram: int) -> Sets:
    """The sets of runs of `ngram` units, which are words (`Words.hashes`) or characters (`character_hashes`).

    hashes: uint64[m], one a unit, well mixed. bounds: int64[n+1], units of each document. A document of fewer than `ngram`
    units has one shingle, all of them; one without units has an empty set.

    A shingle is the polynomial of its units' hashes modulo 2^64, mixed with its length, the upper half of which is kept. In
    a set of s shingles some s^2 / 2^33 fall together: 10^-4 of one in 1,000, 12 of 320,000.

    O(m) time: hashes are spread evenly, so one pass into about as many buckets as there are shingles all but sorts them.
    16 bytes for each shingle of the longest document, 4 for each of all. Raises ValueError when `ngram` is below 1.
    """
    if ngram < 1:
        raise ValueError(f"an n-gram has one unit or more, not {ngram}")
    counts = np.diff(bounds)
    most = np.where(counts > 0, np.maximum(counts - ngram + 1, 1), 0)
    values = np.empty(int(most.sum()), np.uint32)
    ends = np.zeros(len(bounds), np.int64)
    digests = np.zeros((len(counts), 2), np.uint64)
    longest = int(most.max()) if len(most) else 0
    total = _sets(frozen(hashes, np.uint64), frozen(bounds, np.int64), ngram, longest, values, ends, digests)
    return Sets(values[:total], ends, digests)


def character_hashes(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """`(hashes uint64[m], bounds int64[n+1])`: one hash for each character (code point) of n texts of valid UTF-8. O(bytes)."""
    hashes = np.empty(int(offsets[-1] - offsets[0]), np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    total = _characters(frozen(offsets, np.int64), frozen(data, np.uint8), hashes, bounds)
    return hashes[:total], bounds


@njit(cache=True, nogil=True)
def _mixed(x: Any) -> Any:
    x = (x ^ (x >> _HALF)) * _PRIME
    return x ^ (x >> _HALF)


@njit(cache=True, nogil=True)
def _sets(hashes: Any, bounds: Any, ngram: int, longest: int, values: Any, ends: Any, digests: Any) -> int:
    found = np.empty(longest, np.uint32)
    size = 1
    while size < longest:
        size *= 2
    # Buckets of a short document are the first few of these.
    places = np.zeros(size + 1, np.int64)
    total = 0
    for d in range(len(bounds) - 1):
        start, count = bounds[d], bounds[d + 1] - bounds[d]
        if count > 0:
            span = min(ngram, count)
            s = count - span + 1
            _shingles(hashes, start, span, found[:s])
            end = _sorted(found[:s], places, values, total)
            high, low = np.uint64(0), np.uint64(0)
            for k in range(total, end):
                x = np.uint64(values[k]) + _ONE
                high += _mixed(x * _BASE)
                low += _mixed(x * _LOW)
            digests[d, 0], digests[d, 1] = high, low
            total = end
        ends[d + 1] = total
    return total


@njit(cache=True, nogil=True)
def _shingles(hashes: Any, start: int, span: int, out: Any) -> None:
    """Hashes of all runs of `span` units from `start` on, rolled from one to the next."""
    top = _ONE
    for _ in range(span - 1):
        top *= _BASE
    salt = np.uint64(span) * _LOW
    h: Any = np.uint64(0)
    for k in range(span):
        h = h * _BASE + hashes[start + k]
    out[0] = np.uint32(_mixed(h + salt) >> _HALF)
    for k in range(1, len(out)):
        h = (h - hashes[start + k - 1] * top) * _BASE + hashes[start + k + span - 1]
        out[k] = np.uint32(_mixed(h + salt) >> _HALF)


@njit(cache=True, nogil=True)
def _sorted(found: Any, places: Any, values: Any, first: int) -> int:
    """Write the distinct hashes in order from `values[first]` on; gives the end."""
    s = len(found)
    bits = 0
    while (1 << bits) < s:
        bits += 1
    shift = np.uint64(32 - bits)
    places[: (1 << bits) + 1] = 0
    for k in range(s):
        places[(np.uint64(found[k]) >> shift) + _ONE] += 1
    for b in range(1 << bits):
        places[b + 1] += places[b]
    for k in range(s):
        bucket = np.uint64(found[k]) >> shift
        values[first + places[bucket]] = found[k]
        places[bucket] += 1
    # Buckets are in order; inside one there are few, or many that are equal.
    end = first + 1
    for k in range(first + 1, first + s):
        value = values[k]
        i = end
        while i > first and values[i - 1] > value:
            i -= 1
        if i > first and values[i - 1] == value:
            continue
        for j in range(end, i, -1):
            values[j] = values[j - 1]
        values[i] = value
        end += 1
    return end


@njit(cache=True, nogil=True)
def _characters(offsets: Any, data: Any, hashes: Any, bounds: Any) -> int:
    m = 0
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        while i < stop:
            code = np.uint64(data[i])
            i += 1
            while i < stop and data[i] & 0xC0 == 0x80:
                code = code << np.uint64(8) | np.uint64(data[i])
                i += 1
            hashes[m] = _mixed((code + _ONE) * _BASE)
            m += 1
        bounds[d + 1] = m
    return m
