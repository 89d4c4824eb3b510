"""Tokens as spaCy's English tokenizer makes them: punctuation marks, clitics and units stand as tokens of their own.

The algorithm is that of `spacy.tokenizer.Tokenizer` (3.8, MIT licence), as a state machine over UTF-8: text is cut at white
space; off each chunk come prefixes and suffixes, as long as there are any; what is left is an exception ("don't", "Mr."), a
URL, or is cut at infixes; at last, exceptions that the affixes took apart are put together again. White space is no token.
`curate.kernels.english` has the characters and exceptions.

One thing differs, and met no document so far: spaCy looks for exceptions that were taken apart across white space, too. Such a
find changes nothing by itself, but keeps a shorter one beside it apart: of `a:) )` it makes `a`, `:`, `)`, `)`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.kernels.columns import buffers, frozen
from curate.kernels.english import AFTER_DIGIT, characters, exceptions
from curate.kernels.token_machine import split

__all__ = ["hash_of", "tokens"]

_SEED, _PRIME = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
# Slots of the tables of exceptions and of units, less one, as `curate.kernels.token_machine` has them.
_SLOTS, _FEW = 8191, 1023


def tokens(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], ...]:
    """The tokens of every document: starts, ends, bounds, hashes, chars, kinds, as `words.Words` has them; case counts.

    O(bytes) time but for texts without any white space, where each chunk is looked at twice. 30 bytes of result a token.
    """
    return _tokens(offsets, data, *_exceptions())


def _tokens(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], known: Any, pieces: Any, sieve: Any, patterns: Any
) -> tuple[npt.NDArray[Any], ...]:
    index, flags = characters()
    size = int(offsets[-1] - offsets[0])
    starts, ends = np.empty(size, np.int64), np.empty(size, np.int64)
    hashes, chars, kinds = np.empty(size, np.uint64), np.empty(size, np.int32), np.empty(size, np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    place, room = np.array([0, offsets[0], 0], np.int64), 1024
    fixed = frozen(offsets, np.int64), frozen(data, np.uint8), index, flags, known, pieces, sieve, patterns, _units()
    while room:
        codes, bits, places = np.empty(room, np.int64), np.empty(room, np.uint32), np.empty(room + 1, np.int64)
        cuts, tail, taken = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
        room = split(*fixed, codes, bits, places, cuts, tail, taken, place, starts, ends, bounds, hashes, chars, kinds)
    m = int(place[2])
    return starts[:m], ends[:m], bounds, hashes[:m], chars[:m], kinds[:m]


def hash_of(word: str) -> int:
    """The hash of a word's characters.

    They are mixed in one at a time, xor and multiply with a fold of the high half (FNV-1a in spirit, but the fold makes every
    step a bijection that carries high bits down), then finished with two more rounds. O(len(word)).
    """
    mask, prime, h = 2**64 - 1, _PRIME, _SEED
    for char in word:
        h = ((h ^ ord(char)) * prime) & mask
        h ^= h >> 32
    for _ in range(2):
        h = (h * prime) & mask
        h ^= h >> 32
    return h


def _table(keys: dict[int, int], mask: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """An open-addressing table of hashes to numbers that are not 0."""
    known, values = np.zeros(mask + 1, np.uint64), np.zeros(mask + 1, np.int64)
    for key, value in keys.items():
        slot = key & mask
        while values[slot]:
            slot = (slot + 1) & mask
        known[slot], values[slot] = key, value
    return known, values


def _lengths(pieces: Any) -> int:
    """Lengths of up to 12 pieces of up to 12 characters, four bits each."""
    return sum(len(piece) << 4 * i for i, piece in enumerate(pieces))


@functools.cache
def _exceptions() -> tuple[npt.NDArray[Any], ...]:
    """Tables: hashes of the exceptions, and the pieces of each; which first and last characters (their low six bits) exceptions
    of each length have; and the pieces that each comes to when exceptions are not known."""
    import pyarrow as pa

    rules = exceptions()
    known, pieces = _table({hash_of(text): _lengths(cut) for text, cut in rules.items()}, _SLOTS)
    sieve = np.zeros((2, 13), np.uint64)
    for text in rules:
        for side, char in enumerate((text[0], text[-1])):
            sieve[side, len(text)] |= np.uint64(1 << (ord(char) & 63))
    nothing = [frozen(empty, empty.dtype.type) for empty in (known, 0 * pieces, 0 * sieve, 0 * pieces)]
    texts = list(rules)
    offsets, data = buffers(pa.array(texts, pa.large_string()))
    starts, ends, bounds, *_ = _tokens(offsets, data, *nothing)
    broken = {}
    for i, text in enumerate(texts):
        cut = [
            bytes(data[a:b]).decode()
            for a, b in zip(starts[bounds[i] : bounds[i + 1]], ends[bounds[i] : bounds[i + 1]], strict=True)
        ]
        if len(cut) > 1:
            broken[hash_of(text)] = _lengths(cut)
    patterns = np.zeros_like(pieces)
    for slot in np.flatnonzero(pieces):
        patterns[slot] = broken.get(int(known[slot]), 0)
    return frozen(known, np.uint64), frozen(pieces, np.int64), frozen(sieve, np.uint64), frozen(patterns, np.int64)


@functools.cache
def _units() -> npt.NDArray[np.uint64]:
    known, _ = _table({hash_of(unit): 1 for unit in AFTER_DIGIT}, _FEW)
    return frozen(known, np.uint64)
