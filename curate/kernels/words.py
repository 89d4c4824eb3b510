"""Words of every document: where they are, how long, and a hash of each, for one of the named splitters.

`unicode`
    A word starts with a letter, number or underscore (Unicode L*, N*, `_`) and runs on over these, marks (M*) and the
    joiners U+200C and U+200D, which Persian and Indic words hold inside. Chinese and Japanese are written without
    spaces: there each Han, Hiragana or Katakana character, with the marks after it, is one word.
`whitespace`
    What `str.split()` gives.

Words of `unicode` hold no punctuation, so counts differ from tokenizers that emit it as tokens of its own (spaCy,
NLTK; the reference implementations of Gopher and FineWeb use these). The splitter therefore belongs in every manifest.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import functools
import unicodedata
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["Splitter", "Words", "word_hash", "words"]

Splitter = Literal["unicode", "whitespace"]

_START, _RUN, _ALPHA, _ALONE = 1, 2, 4, 8
# Unassigned planes hold no letters; a test holds that this is so for the running Unicode version.
_PLANES = (range(0x40000), range(0xE0000, 0xE1000))
# Han (with 々〆〇 and the Hangzhou numerals), Hiragana, Katakana (with half width), kana supplements: Unicode Scripts.txt
_CJK = (
    (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x3035), (0x3038, 0x303C), (0x3041, 0x30FF),
    (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
    (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFD),
)  # fmt: skip
_SEED = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_PRIME = np.uint64(0xD6E8FEB86659FD93)  # an odd 64-bit multiplier; a test measures how hashes spread
_HALF = np.uint64(32)


class Words(NamedTuple):
    """The m words of n documents, in order. Offsets are bytes into `data`."""

    starts: npt.NDArray[np.int64]
    """int64[m]: first byte of each word."""
    ends: npt.NDArray[np.int64]
    """int64[m]: one past the last byte."""
    bounds: npt.NDArray[np.int64]
    """int64[n+1]: words of document i are `bounds[i]:bounds[i + 1]`."""
    hashes: npt.NDArray[np.uint64]
    """uint64[m]: hash of the word's characters, lower-cased unless asked otherwise; `word_hash` gives the same."""
    chars: npt.NDArray[np.int32]
    """int32[m]: length in characters (code points)."""
    alphabetic: npt.NDArray[np.bool_]
    """bool[m]: has at least one character that `str.isalpha` accepts."""


def words(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], splitter: Splitter = "unicode", *, lower: bool = True
) -> Words:
    """Split every document into words.

    `offsets` int64[n+1] and `data` uint8[...] are the buffers of a LargeString array (valid UTF-8). `lower` folds case
    for the hash, one code point to one code point (`str.lower` of each character on its own; İ, which becomes two, is
    left alone, and a final Σ becomes σ).

    One pass, O(bytes) time. 29 bytes of result for each word; room is reserved for the most words the bytes can
    hold, of which the system only backs what is written.
    """
    index, flags, delta = _table(splitter, lower)
    n = len(offsets) - 1
    size = int(offsets[-1] - offsets[0])
    # Two words side by side take at least one separator or are CJK (3 bytes): at most (bytes + 1) / 2 words a document.
    most = (size + n) // 2
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    hashes, chars, alphabetic = np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.bool_)
    bounds = np.zeros(n + 1, np.int64)
    m = _split(
        frozen(offsets, np.int64), frozen(data, np.uint8), index, flags, delta,
        starts, ends, bounds, hashes, chars, alphabetic,
    )  # fmt: skip
    return Words(starts[:m], ends[:m], bounds, hashes[:m], chars[:m], alphabetic[:m])


def word_hash(word: str, *, lower: bool = True) -> int:
    """The hash that `words` gives this word: to look for known words (stop words) among the hashes of a batch.

    Characters are mixed in one at a time, xor and multiply with a fold of the high half (FNV-1a in spirit, but the
    fold makes every step a bijection that carries high bits down), then finished with two more rounds. O(len(word)).
    """
    mask, prime, h = 2**64 - 1, int(_PRIME), int(_SEED)
    for char in word:
        small = char.lower()
        h = ((h ^ ord(small if lower and len(small) == 1 else char)) * prime) & mask
        h ^= h >> 32
    for _ in range(2):
        h = (h * prime) & mask
        h ^= h >> 32
    return h


@functools.cache
def _table(splitter: Splitter, lower: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Two-stage table of all code points: block of each 256, then flags and lower-case distance inside the block."""
    if splitter not in ("unicode", "whitespace"):
        raise ValueError(f"no word splitter is named {splitter!r}: use 'unicode' or 'whitespace'")
    spaces = splitter == "whitespace"
    blocks = {(bytes([_START | _RUN if spaces else 0]) * 256, bytes(1024)): 0}  # of a code point that nobody assigned
    index = np.zeros(0x1100, np.uint16)
    for plane in _PLANES:
        flags, delta = _plane(plane, spaces, lower)
        for first in range(0, len(plane), 256):
            block = (flags[first : first + 256].tobytes(), delta[first : first + 256].tobytes())
            index[plane.start + first >> 8] = blocks.setdefault(block, len(blocks))
    every = frozen(np.frombuffer(b"".join(flag for flag, _ in blocks), np.uint8), np.uint8)
    return frozen(index, np.uint16), every, frozen(np.frombuffer(b"".join(d for _, d in blocks), np.int32), np.int32)


def _plane(plane: range, spaces: bool, lower: bool) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Flags and lower-case distances of a range of code points: a quarter million calls of unicodedata, 0.1 s."""
    chars = list(map(chr, plane))
    kinds = np.frombuffer("".join(map(unicodedata.category, chars)).encode(), "S2").astype("S1")
    letter = kinds == b"L"
    if spaces:
        flags = np.where(np.fromiter(map(str.isspace, chars), np.bool_, len(chars)), 0, _START | _RUN)
    else:
        flags = np.where(letter | (kinds == b"N"), _START | _RUN, np.where(kinds == b"M", _RUN, 0))
        codes = np.arange(plane.start, plane.stop)
        flags[codes == ord("_")] = _START | _RUN
        flags[(codes == 0x200C) | (codes == 0x200D)] = _RUN
        for first, last in _CJK:
            flags[(codes >= first) & (codes <= last) & (flags & _START != 0)] |= _ALONE
    delta = np.zeros(len(chars), np.int32)
    if lower:
        for i, small in enumerate(map(str.lower, chars)):
            if small != chars[i] and len(small) == 1:
                delta[i] = ord(small) - plane.start - i
    return (flags | np.where(letter, _ALPHA, 0)).astype(np.uint8), delta


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _split(
    offsets: Any, data: Any, index: Any, flags: Any, delta: Any,
    starts: Any, ends: Any, bounds: Any, hashes: Any, chars: Any, alphabetic: Any,
) -> int:  # fmt: skip
    m = 0
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        while i < stop:
            code, step = _decode(data, i)
            slot = np.int64(index[code >> 8]) << 8 | (code & 255)
            flag = flags[slot]
            if not flag & _START:
                i += step
                continue
            starts[m] = i
            h, count, seen, alone = _SEED, 0, np.uint8(0), flag & _ALONE
            while True:
                h = (h ^ np.uint64(code + delta[slot])) * _PRIME
                h ^= h >> _HALF
                seen |= flag
                count += 1
                i += step
                if i >= stop:
                    break
                code, step = _decode(data, i)
                slot = np.int64(index[code >> 8]) << 8 | (code & 255)
                flag = flags[slot]
                if not flag & _RUN or flag & _ALONE or (alone and flag & _START):
                    break
            h = h * _PRIME
            h ^= h >> _HALF
            h = h * _PRIME
            h ^= h >> _HALF
            ends[m] = i
            hashes[m] = h
            chars[m] = count
            alphabetic[m] = seen & _ALPHA != 0
            m += 1
        bounds[d + 1] = m
    return m
