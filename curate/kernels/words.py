"""Words of every document: where they are, how long, and a hash of each, for one of the named splitters.

`tokens`
    As spaCy's English tokenizer cuts, which the reference implementations of Gopher and FineWeb count with: punctuation
    marks are words of their own, `don't` is two. See `curate.kernels.tokens`.
`unicode`
    A word starts with a letter, number or underscore (Unicode L*, N*, `_`) and runs on over these, marks (M*) and the
    joiners U+200C and U+200D, which Persian and Indic words hold inside. Chinese and Japanese are written without
    spaces: there each Han, Hiragana or Katakana character, with the marks after it, is one word.
`whitespace`
    What `str.split()` gives.

Words of `unicode` hold no punctuation, so counts differ from those of `tokens`, and limits mean something else. The
splitter therefore belongs in every manifest.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.characters import SYMBOLS, among, categories, codes, two_stage
from curate.kernels.columns import frozen
from curate.kernels.placed import describe
from curate.kernels.tokens import hash_of, tokens

__all__ = [
    "ALNUM",
    "ALPHABETIC",
    "BREAK",
    "END",
    "GAP",
    "PUNCTUATION",
    "SYMBOL",
    "Splitter",
    "Words",
    "case_table",
    "placed_words",
    "word_hash",
    "word_sums",
    "words",
]

Splitter = Literal["tokens", "unicode", "whitespace"]

ALPHABETIC, SYMBOL, PUNCTUATION, END, GAP, BREAK, ALNUM = 1, 2, 4, 8, 16, 32, 64
"""Bits of `Words.kinds`: has a character that `str.isalpha` accepts; is made of `characters.SYMBOLS` alone; begins with a
character that `str.isalnum` accepts (ALNUM). Of `tokens` alone: is made of Unicode's punctuation alone; is one mark that ends a
sentence (`english.SENTENCE_ENDS`); more than one blank stands before it, or something else (GAP), or a line break (BREAK)."""

_START, _RUN, _ALPHA, _ALONE, _NOT_SYMBOL, _ALNUM = 1, 2, 4, 8, 16, 32
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
    kinds: npt.NDArray[np.uint8]
    """uint8[m]: bits, see `ALPHABETIC`."""


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
    if splitter == "tokens":
        found = Words(*tokens(offsets, data))
        return found._replace(hashes=_lowered(data, found)) if lower else found
    index, flags, delta = case_table(splitter, lower)
    n = len(offsets) - 1
    size = int(offsets[-1] - offsets[0])
    # Two words side by side take at least one separator or are CJK (3 bytes): at most (bytes + 1) / 2 words a document.
    most = (size + n) // 2
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    hashes, chars, kinds = np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.uint8)
    bounds = np.zeros(n + 1, np.int64)
    m = _split(
        frozen(offsets, np.int64), frozen(data, np.uint8), index, flags, delta, starts, ends, bounds, hashes, chars, kinds
    )
    return Words(starts[:m], ends[:m], bounds, hashes[:m], chars[:m], kinds[:m])


def word_hash(word: str, *, lower: bool = True) -> int:
    """The hash that `words` gives this word: to look for known words (stop words) among the hashes of a batch."""
    return hash_of("".join(small if lower and len(small := char.lower()) == 1 else char for char in word))


def placed_words(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    bounds: npt.NDArray[np.int64],
    *,
    lower: bool = True,
) -> Words:
    """What `words` says of words whose places are known: those of another tokenizer. O(bytes)."""
    found = Words(starts, ends, bounds, *describe(offsets, data, starts, ends, bounds))
    return found._replace(hashes=_lowered(data, found)) if lower else found


class WordSums(NamedTuple):
    """Sums over the words of each of n documents, int64[n] each."""

    counted: npt.NDArray[np.int64]
    """Words whose kind is the one asked for."""
    counted_chars: npt.NDArray[np.int64]
    """Their characters."""
    chars: npt.NDArray[np.int64]
    """Characters of all words."""
    alphabetic: npt.NDArray[np.int64]
    """Words with a letter."""
    known: npt.NDArray[np.int64]
    """Words that are among the known ones."""
    different: npt.NDArray[np.int64]
    """How many of the known ones there are."""


def word_sums(found: Words, bits: int, value: int, known: Sequence[str], *, lower: bool = False) -> WordSums:
    """Count words with `kinds & bits == value`, and the known ones (told as `words` did: `lower`). O(words)."""
    out = np.zeros((len(WordSums._fields), len(found.bounds) - 1), np.int64)
    hashes = np.unique(np.array([word_hash(word, lower=lower) for word in known], np.uint64))
    _sums(found.hashes, found.chars, found.kinds, found.bounds, bits, value, hashes, np.zeros(len(hashes), np.int64), out)
    return WordSums(*out)


def _lowered(data: npt.NDArray[np.uint8], found: Words) -> npt.NDArray[np.uint64]:
    """The hashes of the words with case folded."""
    index, _, delta = case_table("unicode", True)
    hashes = np.empty(len(found.starts), np.uint64)
    places = frozen(found.starts, np.int64), frozen(found.ends, np.int64)
    _rehash(frozen(data, np.uint8), *places, index, delta, hashes)
    return hashes


@functools.cache
def case_table(splitter: Splitter, lower: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Two-stage table of all code points: block of each 256, then flags and lower-case distance inside the block."""
    if splitter not in ("unicode", "whitespace"):
        raise ValueError(f"no word splitter is named {splitter!r}: use 'tokens', 'unicode' or 'whitespace'")
    code, kinds = codes(), categories().astype("S1")
    chars = list(map(chr, code.tolist()))
    letter = kinds == b"L"
    other = _NOT_SYMBOL
    if splitter == "whitespace":
        flags = np.where(np.fromiter(map(str.isspace, chars), np.bool_, len(chars)), 0, _START | _RUN)
        other |= _START | _RUN
    else:
        flags = np.where(letter | (kinds == b"N"), _START | _RUN, np.where(kinds == b"M", _RUN, 0))
        flags[code == ord("_")] = _START | _RUN
        flags[(code == 0x200C) | (code == 0x200D)] = _RUN
        for first, last in _CJK:
            flags[(code >= first) & (code <= last) & (flags & _START != 0)] |= _ALONE
    flags = flags | np.where(letter, _ALPHA, 0) | np.where(among(SYMBOLS), 0, _NOT_SYMBOL)
    flags |= np.where(np.fromiter(map(str.isalnum, chars), np.bool_, len(chars)), _ALNUM, 0)
    delta = np.zeros(len(chars), np.int64)
    if lower:
        for i, small in enumerate(map(str.lower, chars)):
            if small != chars[i] and len(small) == 1:
                delta[i] = ord(small) - ord(chars[i])
    # Both in one number, so that both stand in the same blocks.
    index, blocks = two_stage(delta * 64 + flags, other)
    return index, frozen(blocks & 63, np.uint8), frozen(blocks >> 6, np.int32)


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
    starts: Any, ends: Any, bounds: Any, hashes: Any, chars: Any, kinds: Any,
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
            h, count, seen, begin, alone = _SEED, 0, np.uint8(0), flag, flag & _ALONE
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
            kinds[m] = (
                (ALPHABETIC if seen & _ALPHA else 0) | (0 if seen & _NOT_SYMBOL else SYMBOL) | (ALNUM if begin & _ALNUM else 0)
            )
            m += 1
        bounds[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _rehash(data: Any, starts: Any, ends: Any, index: Any, delta: Any, hashes: Any) -> None:
    for m in range(len(starts)):
        i, h = starts[m], _SEED
        while i < ends[m]:
            code, step = _decode(data, i)
            h = (h ^ np.uint64(code + delta[np.int64(index[code >> 8]) << 8 | (code & 255)])) * _PRIME
            h ^= h >> _HALF
            i += step
        h = h * _PRIME
        h ^= h >> _HALF
        h = h * _PRIME
        h ^= h >> _HALF
        hashes[m] = h


@njit(cache=True, nogil=True)
def _sums(hashes: Any, chars: Any, kinds: Any, bounds: Any, bits: int, value: int, known: Any, met: Any, out: Any) -> None:
    # One bit for each value of the low six bits of a hash: most words are told from the known ones by this alone.
    sieve, one, low = np.uint64(0), np.uint64(1), np.uint64(63)
    for k in range(len(known)):
        sieve |= one << (known[k] & low)
    for d in range(len(bounds) - 1):
        counted, counted_chars, total, alphabetic = 0, 0, 0, 0
        for m in range(bounds[d], bounds[d + 1]):
            kind = kinds[m]
            total += chars[m]
            alphabetic += kind & ALPHABETIC
            if kind & bits == value:
                counted += 1
                counted_chars += chars[m]
            if sieve >> (hashes[m] & low) & one:
                for k in range(len(known)):
                    if known[k] == hashes[m]:
                        out[4, d] += 1
                        if met[k] != d + 1:
                            met[k] = d + 1
                            out[5, d] += 1
        out[0, d], out[1, d], out[2, d], out[3, d] = counted, counted_chars, total, alphabetic
