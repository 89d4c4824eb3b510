"""The longest common subsequence of one sequence of tokens with many, and the one that it resembles most by ROUGE-L."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["most_similar", "signature"]

_ONE = np.uint64(1)
_SIX = np.uint64(6)
_LOW = np.uint64(63)
_FIFTHS = np.uint64(0x5555555555555555)
_THIRDS = np.uint64(0x3333333333333333)
_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_BYTES = np.uint64(0x0101010101010101)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_ROUNDING = 1e-12
"""What a bound may be off by: sequences at the limit are compared, not passed over."""


def signature(tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.uint64]:
    """uint64[2]: for each token one of 128 bits is set. O(tokens)."""
    found: npt.NDArray[np.uint64] = _signature(frozen(tokens, np.int32))
    return found


def most_similar(
    query: npt.NDArray[np.int32],
    tokens: npt.NDArray[np.int32],
    bounds: npt.NDArray[np.int64],
    signatures: npt.NDArray[np.uint64],
    count: int,
    place: npt.NDArray[np.int32],
    threshold: float,
) -> tuple[int, float]:
    """`(sequence, F)` of the sequence with the highest ROUGE-L F above `threshold`, of equal ones the first; (-1, threshold)
    where none is above it.

    query: int32[m], token numbers from 0. Sequence i of the first `count` is `tokens[bounds[i]:bounds[i + 1]]`, its
    `signature` `signatures[i]` (uint64[n, 2]). place: int32, zeros, longer than every token number; zeros again afterwards.

    F = 2PR / (P + R) with P = LCS / n and R = LCS / m, in double precision in that order, as rouge_score 0.1.2 does
    (Lin 2004, without stemming); 0 where a sequence is empty.

    A sequence is passed over when its length, or the bits that the two signatures do not share, put F out of reach: each such
    bit stands for a token at least that has no partner. The others cost O(m n / 64): the columns of the table of lengths are
    bits of a word (Hyyrö 2004, Bit-parallel LCS-length computation revisited).
    """
    found, f = _most_similar(
        frozen(query, np.int32), frozen(tokens, np.int32), frozen(bounds, np.int64), frozen(signatures, np.uint64), count,
        place, float(threshold),
    )  # fmt: skip
    return int(found), float(f)


@njit(cache=True, nogil=True)
def _signature(tokens):  # type: ignore[no-untyped-def]
    bits = np.zeros(2, np.uint64)
    for token in tokens:
        # The upper bits of the product: neighbouring numbers spread.
        bit = (np.uint64(token) * _PRIME) >> np.uint64(57)
        bits[bit >> _SIX] |= _ONE << (bit & _LOW)
    return bits


@njit(cache=True, nogil=True, inline="always")
def _ones(x):  # type: ignore[no-untyped-def]
    """Bits that are set."""
    x = x - ((x >> _ONE) & _FIFTHS)
    x = (x & _THIRDS) + ((x >> np.uint64(2)) & _THIRDS)
    x = (x + (x >> np.uint64(4))) & _NIBBLES
    return np.int64((x * _BYTES) >> np.uint64(56))


@njit(cache=True, nogil=True)
def _length(masks, words, place, row, tokens, first, last):  # type: ignore[no-untyped-def]
    """LCS of the query that the masks describe with `tokens[first:last]`; a zero of `row` is a column where it grows."""
    for w in range(words):
        row[w] = ~np.uint64(0)
    for k in range(first, last):
        at = place[tokens[k]]
        if at == 0:
            continue
        carry = np.uint64(0)
        for w in range(words):
            both = row[w] & masks[at - 1, w]
            total = row[w] + both
            over = np.uint64(total < both)
            total += carry
            over |= np.uint64(total < carry)
            row[w] = total | (row[w] - both)
            carry = over
    found = 0
    for w in range(words):
        found += _ones(~row[w])
    return found


@njit(cache=True, nogil=True)
def _most_similar(query, tokens, bounds, signatures, count, place, threshold):  # type: ignore[no-untyped-def]
    m = len(query)
    words = (m + 63) >> 6
    masks = np.zeros((m, words), np.uint64)
    row = np.empty(words, np.uint64)
    distinct = 0
    for i in range(m):
        token = query[i]
        if place[token] == 0:
            distinct += 1
            place[token] = distinct
        masks[place[token] - 1, i >> 6] |= _ONE << np.uint64(i & 63)
    mine = _signature(query)
    low, high = mine[0], mine[1]
    best, best_f = -1, threshold
    for c in range(count):
        n = bounds[c + 1] - bounds[c]
        reach = (best_f - _ROUNDING) * (m + n)
        if 2 * min(m, n) < reach:
            continue
        other_low, other_high = signatures[c, 0], signatures[c, 1]
        alone = _ones(low & ~other_low) + _ones(high & ~other_high)
        others = _ones(other_low & ~low) + _ones(other_high & ~high)
        if 2 * min(m - alone, n - others) < reach:
            continue
        f = 0.0
        if m > 0 and n > 0:
            length = _length(masks, words, place, row, tokens, bounds[c], bounds[c + 1])
            if length > 0:
                precision = length / n
                recall = length / m
                f = 2 * precision * recall / (precision + recall)
        if f > best_f:
            best, best_f = c, f
    for i in range(m):
        place[query[i]] = 0
    return best, best_f
