"""MinHash signatures of word shingles, and the keys of their bands: near duplicates by locality sensitive hashing.

Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", chapter 3, for the bands.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.words import Words

__all__ = ["bands", "minhash", "multipliers", "shingle_hashes"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_BLOCK = 8  # hashes that go through one pass over the permutations


def minhash(
    values: npt.NDArray[np.uint32], bounds: npt.NDArray[np.int64], permutations: int = 64, seed: int = 1
) -> npt.NDArray[np.uint32]:
    """uint32[n, permutations]: the signatures of n sets of 32-bit hashes (`curate.kernels.shingles.Sets`).

    Set i is `values[bounds[i]:bounds[i + 1]]`, in any order, repeats allowed; an empty one has all ones, and is to be left
    out. Permutation p of a hash h is `a[p] * h + b[p]` modulo 2^32, a odd, so that it is one; the hashes themselves are
    spread evenly. `multipliers` gives the upper halves of a and b. The share of equal columns estimates the Jaccard
    similarity J with standard error sqrt(J (1 - J) / permutations): 0.063 at most for 64.

    O(values x permutations) time, 4 bytes a permutation and set. Raises ValueError when `permutations` is below 1.
    """
    if permutations < 1:
        raise ValueError(f"a signature has one permutation or more, not {permutations}")
    a, b = ((draws >> _HALF).astype(np.uint32) for draws in multipliers(permutations, seed))
    signatures = np.full((len(bounds) - 1, permutations), 0xFFFFFFFF, np.uint32)
    odd = a | np.uint32(1)
    _minima(frozen(values, np.uint32), frozen(bounds, np.int64), frozen(odd, np.uint32), frozen(b, np.uint32), signatures)
    return signatures


def multipliers(permutations: int, seed: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The odd `a` and any `b`, uint64[permutations] each, of a seed: SplitMix64 (Steele et al. 2014), even and odd
    outputs. Not numpy's generators, whose streams may change with the version."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed % 2**64) + np.arange(1, 2 * permutations + 1, dtype=np.uint64) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z[0::2] | np.uint64(1), z[1::2]


def shingle_hashes(words: Words, ngram: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """`(hashes uint64[s], bounds int64[n+1])`: one hash for each run of `ngram` words; document i has
    `hashes[bounds[i]:bounds[i + 1]]`, repeats included. One of fewer words has one shingle, all of them. O(words x ngram)."""
    counts = np.diff(words.bounds)
    bounds = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(np.where(counts > 0, np.maximum(counts - ngram + 1, 1), 0), out=bounds[1:])
    out = np.empty(bounds[-1], np.uint64)
    _shingles(frozen(words.hashes, np.uint64), frozen(words.bounds, np.int64), ngram, out)
    return out, bounds


def bands(signatures: npt.NDArray[np.uint32], bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """uint64[n, bands]: key of each band of `rows` columns; documents that share a key in a column are candidates.

    The band number goes into the key, so keys of different bands can share one table. Two documents of similarity s
    share some key with probability 1 - (1 - s^rows)^bands. Columns past bands x rows are not used. Leave out
    documents without a signature: they all have the same keys. O(n x bands x rows).
    Raises ValueError when there are not enough columns.
    """
    if bands < 1 or rows < 1 or bands * rows > signatures.shape[1]:
        raise ValueError(f"{bands} bands of {rows} rows do not fit into {signatures.shape[1]} permutations")
    out = np.empty((len(signatures), bands), np.uint64)
    _bands(frozen(signatures, np.uint32), rows, out)
    return out


@njit(cache=True, nogil=True)
def _mix(h: Any, x: Any) -> Any:
    h = (h ^ x) * _PRIME
    return h ^ (h >> _HALF)


@njit(cache=True, nogil=True)
def _shingles(hashes: Any, bounds: Any, ngram: int, out: Any) -> None:
    k = 0
    for d in range(len(bounds) - 1):
        start, stop = bounds[d], bounds[d + 1]
        if stop == start:
            continue
        span = min(ngram, stop - start)
        for i in range(start, stop - span + 1):
            h = _GOLDEN
            for j in range(i, i + span):
                h = _mix(h, hashes[j])
            out[k] = _mix(h, np.uint64(span))
            k += 1


@njit(cache=True, nogil=True)
def _minima(values: Any, bounds: Any, a: Any, b: Any, signatures: Any) -> None:
    for d in range(len(bounds) - 1):
        row = signatures[d]
        i, stop = bounds[d], bounds[d + 1]
        # A block of hashes for each permutation: the row is read and written once a block, not once a hash.
        while i + _BLOCK <= stop:
            h = values[i : i + _BLOCK]
            for p in range(len(a)):
                low = row[p]
                for k in range(_BLOCK):
                    low = min(low, np.uint32(a[p] * h[k] + b[p]))
                row[p] = low
            i += _BLOCK
        while i < stop:
            one = values[i]
            for p in range(len(a)):
                row[p] = min(row[p], np.uint32(a[p] * one + b[p]))
            i += 1


@njit(cache=True, nogil=True)
def _bands(signatures: Any, rows: int, out: Any) -> None:
    for d in range(out.shape[0]):
        for band in range(out.shape[1]):
            h = _mix(_GOLDEN, np.uint64(band))
            for r in range(band * rows, (band + 1) * rows):
                h = _mix(h, np.uint64(signatures[d, r]))
            out[d, band] = _mix(h, np.uint64(rows))
