"""Occurrences of known words and phrases in every document, all in one pass: Aho and Corasick 1975, over UTF-8 bytes."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["Phrases", "count_phrases", "phrases"]


class Phrases(NamedTuple):
    """The automaton of some phrases: s states, of which 0 is the start, and c classes of bytes."""

    classes: npt.NDArray[np.uint8]
    """uint8[256]: the class of each byte; 0 for those in no phrase. ASCII's capitals have the class of the small letters."""
    moves: npt.NDArray[np.uint32]
    """uint32[s * c]: where each state goes on each class."""
    lengths: npt.NDArray[np.int32]
    """int32[s]: bytes of the phrase that ends in the state; 0 where none does."""
    links: npt.NDArray[np.uint32]
    """uint32[s]: the longest end of what led to the state that is a phrase, the state itself left out; 0 for none."""


def phrases(words: Iterable[str]) -> Phrases:
    """The automaton of these phrases, in small letters where they are ASCII; an empty one is left out.

    4 x (states x different bytes) bytes of memory, with at most as many states as the phrases have bytes: 6 MB for 10,000
    words of 8 letters. Built in Python: 0.3 s for these.
    """
    patterns = sorted({word.encode() for word in words} - {b""})
    used = sorted({byte for pattern in patterns for byte in pattern})
    classes = np.zeros(256, np.uint8)
    # All 256 bytes are in no UTF-8 text, so that the classes fit.
    classes[used] = np.arange(1, len(used) + 1)
    classes[ord("A") : ord("Z") + 1] = classes[ord("a") : ord("z") + 1]
    children: list[dict[int, int]] = [{}]
    lengths = [0]
    for pattern in patterns:
        state = 0
        for byte in pattern:
            if byte not in children[state]:
                children[state][byte] = len(children)
                children.append({})
                lengths.append(0)
            state = children[state][byte]
        lengths[state] = len(pattern)
    moves = np.zeros((len(children), len(used) + 1), np.uint32)
    links = np.zeros(len(children), np.uint32)
    fails = [0] * len(children)
    queue = [0]
    for state in queue:  # by depth: what a state falls back to is done before it
        if state:
            moves[state] = moves[fails[state]]
            links[state] = fails[state] if lengths[fails[state]] else links[fails[state]]
        for byte, child in children[state].items():
            fails[child] = int(moves[state, classes[byte]]) if state else 0
            moves[state, classes[byte]] = child
            queue.append(child)
    return Phrases(
        frozen(classes, np.uint8),
        frozen(moves.ravel(), np.uint32),
        frozen(np.array(lengths), np.int32),
        frozen(links, np.uint32),
    )


def count_phrases(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], sought: Phrases, wordy: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """int64[n]: how often the phrases stand in each document, also one within another.

    A phrase does not count where it begins or ends between two characters that are both `wordy`, a table of all code points
    (bool[0x110000]). Only ASCII's capitals are taken for small letters. O(bytes + occurrences) time.
    """
    out = np.zeros(len(offsets) - 1, np.int64)
    _count(frozen(offsets, np.int64), frozen(data, np.uint8), *sought, frozen(wordy, np.bool_), out)
    return out


@njit(cache=True, nogil=True)
def _inside(data: Any, start: Any, i: Any, stop: Any, wordy: Any) -> bool:
    """Whether the characters on both sides of byte i of the text from `start` to `stop` are wordy."""
    one = np.uint64(1)
    if i in (start, stop):
        return False
    before = i - one
    while data[before] & 0xC0 == 0x80:
        before -= one
    return bool(wordy[_decode(data, before)] and wordy[_decode(data, i)])


@njit(cache=True, nogil=True)
def _decode(data: Any, i: Any) -> Any:
    """The code point at byte i of valid UTF-8."""
    b, one = np.int64(data[i]), np.uint64(1)
    if b < 0x80:
        return b
    if b < 0xE0:
        return (b & 0x1F) << 6 | (np.int64(data[i + one]) & 0x3F)
    low = (np.int64(data[i + one]) & 0x3F) << 6 | (np.int64(data[i + one + one]) & 0x3F)
    if b < 0xF0:
        return (b & 0x0F) << 12 | low
    return (b & 0x07) << 18 | low << 6 | (np.int64(data[i + one + one + one]) & 0x3F)


@njit(cache=True, nogil=True)
def _count(offsets: Any, data: Any, classes: Any, moves: Any, lengths: Any, links: Any, wordy: Any, out: Any) -> None:
    one = np.uint64(1)
    width = np.uint64(len(moves) // len(lengths))
    for d in range(len(out)):
        start, stop = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        state, i = np.uint64(0), start
        while i < stop:
            state = np.uint64(moves[state * width + np.uint64(classes[data[i]])])
            i += one
            if state == 0:
                continue
            hit = state if lengths[state] else np.uint64(links[state])
            while hit:
                first = i - np.uint64(lengths[hit])
                if not _inside(data, start, first, stop, wordy) and not _inside(data, start, i, stop, wordy):
                    out[d] += 1
                hit = np.uint64(links[hit])
