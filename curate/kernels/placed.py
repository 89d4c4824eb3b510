"""Words whose places are known, because another tokenizer found them."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.english import characters

__all__ = ["describe"]

# Bits of a character, as `english.characters` gives them, and of a token, as `words.Words.kinds` has them.
_ALPHABETIC, _NOT_SYMBOL, _NOT_PUNCT, _END, _WORD, _BREAK = 2, 4, 8, 1 << 15, 1 << 16, 1 << 17
_IS_ALPHABETIC, _IS_SYMBOL, _IS_PUNCT, _IS_END, _AFTER_GAP, _AFTER_BREAK, _IS_ALNUM = 1, 2, 4, 8, 16, 32, 64
_SEED = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)

# `_nrt=False`: as in `curate.kernels.token_machine`.


def describe(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    bounds: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Hashes, lengths and kinds of tokens that are known by their places in the bytes. O(bytes)."""
    index, flags = characters()
    m = len(starts)
    hashes, chars, kinds = np.empty(m, np.uint64), np.empty(m, np.int32), np.empty(m, np.uint8)
    places = frozen(starts, np.int64), frozen(ends, np.int64), frozen(bounds, np.int64)
    _describe(frozen(offsets, np.int64), frozen(data, np.uint8), *places, index, flags, hashes, chars, kinds)
    return hashes, chars, kinds


@njit(cache=True, nogil=True, _nrt=False)
def _decode(data: Any, i: int) -> Any:
    """The code point at byte i of valid UTF-8, and its length in bytes."""
    b = np.int64(data[i])
    if b < 0x80:
        return b, 1
    if b < 0xE0:
        return (b & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F), 2
    if b < 0xF0:
        return (b & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | (np.int64(data[i + 2]) & 0x3F), 3
    high = (b & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12
    return high | (np.int64(data[i + 2]) & 0x3F) << 6 | (np.int64(data[i + 3]) & 0x3F), 4


@njit(cache=True, nogil=True, _nrt=False)
def _finish(h: Any) -> Any:
    h = h * _PRIME
    h ^= h >> _HALF
    h = h * _PRIME
    h ^= h >> _HALF
    return h


@njit(cache=True, nogil=True, _nrt=False)
def _kind(seen: Any, count: int, first: Any, after: Any) -> Any:
    """The bits of a token from those of all its characters, those of the first, and what stands before."""
    return np.uint8(
        (_IS_ALPHABETIC if seen & _ALPHABETIC else 0)
        | (0 if seen & _NOT_SYMBOL else _IS_SYMBOL)
        | (0 if seen & _NOT_PUNCT else _IS_PUNCT)
        | (_IS_END if count == 1 and seen & _END else 0)
        | (_IS_ALNUM if first & _WORD else 0)
        | after
    )


@njit(cache=True, nogil=True, _nrt=False)
def _describe(
    offsets: Any, data: Any, starts: Any, ends: Any, bounds: Any, index: Any, flags: Any, hashes: Any, chars: Any, kinds: Any
) -> None:
    for d in range(len(bounds) - 1):
        before = offsets[d]
        for m in range(bounds[d], bounds[d + 1]):
            after, at = np.uint32(0), before
            while at < starts[m]:
                code, step = _decode(data, at)
                after |= flags[np.int64(index[code >> 8]) << 8 | (code & 255)]
                at += step
            mark = np.uint8(_AFTER_BREAK if after & _BREAK else 0)
            gap = starts[m] - before
            if gap and not (gap == 1 and data[before] == 0x20 and before != offsets[d]):
                mark |= np.uint8(_AFTER_GAP)
            h, count, seen, first = _SEED, 0, np.uint32(0), np.uint32(0)
            while at < ends[m]:
                code, step = _decode(data, at)
                h = (h ^ np.uint64(code)) * _PRIME
                h ^= h >> _HALF
                bit = flags[np.int64(index[code >> 8]) << 8 | (code & 255)]
                if count == 0:
                    first = bit
                seen |= bit
                count += 1
                at += step
            hashes[m], chars[m], kinds[m] = _finish(h), count, _kind(seen, count, first, mark)
            before = ends[m]
