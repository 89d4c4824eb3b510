"""Back-off n-gram language models in one hash table: scores of texts, and estimation by modified Kneser-Ney smoothing.

Words are their 64-bit hashes (`kernels.words`). An n-gram's key is a polynomial of its words' hashes modulo 2^64; two of 10^7
n-grams share one with probability 3e-6, and a lookup of one that is not there finds another with 10^-12. An entry of the
table is 16 bytes: key, log10 of the probability, log10 of the back-off weight (float32). Scores are those of an ARPA file:

    log p(w | c) = log p of the longest n-gram that ends in w and is there, plus the back-off weights of the contexts
    that are longer than its own, where they are there

A sentence is a line: `<s>`, its words, `</s>`. Estimation: Chen and Goodman 1998, "An Empirical Study of Smoothing Techniques
for Language Modeling" (interpolated, three discounts an order); counts as lmplz has them (Heafield et al. 2013, "Scalable
Modified Kneser-Ney Language Model Estimation"): of n-grams below the highest order, how many words come before them; those
that begin a sentence, how often they come; what is pruned goes to the back-off weight.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.words import Words, word_hash

__all__ = [
    "BOS",
    "EOS",
    "UNK",
    "Grams",
    "add_contexts",
    "collapse",
    "gram_keys",
    "log_probabilities",
    "new_table",
    "sentences",
    "set_probabilities",
    "slots_of",
    "suffix_closed",
]

BOS, EOS, UNK = word_hash("<s>"), word_hash("</s>"), word_hash("<unk>")
_BASE = np.uint64(0x9E3779B97F4A7C15)
_FOLD = np.uint64(29)
_FREE = np.uint64(0)
_NEWLINE = 10


def sentences(words: Words, data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Tokens uint64[m] of each document and their bounds int64[n+1]: BOS, the words of a line, EOS; line after line.

    Lines without a word have no tokens. A word that is written like a mark is UNK. `words`, `data`: of `kernels.words`.
    O(bytes between words).
    """
    tokens = np.empty(3 * len(words.hashes), np.uint64)
    bounds = np.zeros(len(words.bounds), np.int64)
    marks = np.array([BOS, EOS, UNK], np.uint64)
    count = _sentences(
        frozen(words.starts, np.int64), frozen(words.ends, np.int64), frozen(words.bounds, np.int64),
        frozen(words.hashes, np.uint64), frozen(data, np.uint8), marks, tokens, bounds,
    )  # fmt: skip
    return tokens[:count], bounds


def new_table(entries: int) -> npt.NDArray[np.uint64]:
    """An empty table for so many entries: uint64[2 * slots], slots a power of two, at most two thirds of them used."""
    slots = 4
    while slots * 2 < entries * 3:
        slots *= 2
    return np.zeros(2 * slots, np.uint64)


def gram_keys(grams: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """uint64[k]: keys of n-grams, `grams` uint64[k, n] of hashes in the order in which they are read. O(k n)."""
    keys = np.zeros(len(grams), np.uint64)
    for column in range(grams.shape[1]):
        keys = keys * _BASE + grams[:, column]
    return keys


def slots_of(table: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64], *, insert: bool = False) -> npt.NDArray[np.int64]:
    """int64[k]: where the keys stand, -1 where they do not; `insert`: enter those that do not, in order. O(k)."""
    out = np.empty(len(keys), np.int64)
    if insert:
        _insert(table, frozen(keys, np.uint64), out)
    else:
        _lookup(frozen(table, np.uint64), frozen(keys, np.uint64), out)
    return out


def suffix_closed(table: npt.NDArray[np.uint64], grams: npt.NDArray[np.uint64]) -> bool:
    """Whether of each of the n-grams (n > 1) the one without its first word, and the one without its last, are there too."""
    parts = (grams[:, 1:], grams[:, :-1])
    return all(bool((slots_of(table, gram_keys(part)) >= 0).all()) for part in parts)


def log_probabilities(
    tokens: npt.NDArray[np.uint64], bounds: npt.NDArray[np.int64], table: npt.NDArray[np.uint64], order: int, closed: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """log10 of the probability of each document, float64[n], and how many tokens were predicted (words and EOS), int64[n].

    `tokens`, `bounds`: of `sentences`. `table`: with an entry for UNK. `order`: longest n-gram. `closed`: of every n-gram the
    table holds the ones inside it, so that none is looked up whose parts are not there. O(tokens x order) lookups at most.
    """
    logs, counts = np.zeros(len(bounds) - 1, np.float64), np.zeros(len(bounds) - 1, np.int64)
    table = frozen(table, np.uint64)
    values = table.view(np.float32)
    marks = np.array([BOS, EOS, UNK], np.uint64)
    _score(
        frozen(tokens, np.uint64), frozen(bounds, np.int64), table, values, marks, order, closed, logs, counts,
    )  # fmt: skip
    return logs, counts


class Grams(NamedTuple):
    """The k different n-grams of one order."""

    ids: npt.NDArray[np.uint32]
    """uint32[k, n]: the last word first."""
    raw: npt.NDArray[np.int64]
    """int64[k]: how often it comes."""
    adjusted: npt.NDArray[np.int64]
    """int64[k]: the count that Kneser-Ney smoothing takes."""


def collapse(windows: npt.NDArray[np.uint32], bos: int) -> list[Grams]:
    """The n-grams of all orders from the windows that end in each token: `windows` uint32[m, order], the last word first.

    Where a sentence begins inside the window `bos` fills it up. All windows with the same last word must be there: counts of
    an n-gram are complete then. O(m log m) for sorting.
    """
    order = windows.shape[1]
    windows = windows[np.lexsort([windows[:, n] for n in reversed(range(order))])]
    first, raw, adjusted = (np.zeros((order, len(windows)), np.int64) for _ in range(3))
    counts = np.zeros(order, np.int64)
    _collapse(frozen(windows, np.uint32), np.uint32(bos), first, raw, adjusted, counts)
    return [
        Grams(windows[first[n, : counts[n]], : n + 1], raw[n, : counts[n]].copy(), adjusted[n, : counts[n]].copy())
        for n in range(order)
    ]


def add_contexts(
    slots: npt.NDArray[np.int64], adjusted: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_],
    discounts: npt.NDArray[np.float64], total: npt.NDArray[np.float64], spared: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """Add n-grams to what is known of their contexts: `total` (sum of counts) and `spared` (what discounts and pruning leave).

    `slots` int64[k]: of the contexts, -1: none. `discounts` float64[4]: by count up to 3. `total`, `spared`: by slot.
    """
    _contexts(
        frozen(slots, np.int64), frozen(adjusted, np.int64), frozen(kept, np.bool_), frozen(discounts, np.float64),
        total, spared,
    )  # fmt: skip


def set_probabilities(
    slots: npt.NDArray[np.int64], contexts: npt.NDArray[np.int64], shorter: npt.NDArray[np.int64],
    adjusted: npt.NDArray[np.int64], discounts: npt.NDArray[np.float64],
    total: npt.NDArray[np.float64], spared: npt.NDArray[np.float64], probabilities: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """Interpolated probabilities of n-grams: (count - discount) / total + spared / total x that of the one a word shorter.

    `slots`, `contexts`, `shorter` int64[k]: where the n-gram, its context and the n-gram without its first word stand.
    """
    count = frozen(adjusted, np.int64)
    left = np.asarray(discounts, np.float64)[np.minimum(count, 3)]
    probabilities[slots] = (count - left + spared[contexts] * probabilities[shorter]) / total[contexts]


@njit(cache=True, nogil=True)
def _find(table: Any, mask: Any, key: Any) -> Any:
    """Slot of the key, or the free one where it goes. Key 0 marks a free slot; such an n-gram would never be found."""
    slot = (key ^ (key >> _FOLD)) & mask
    while table[2 * slot] != key and table[2 * slot] != _FREE:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True, nogil=True)
def _insert(table: Any, keys: Any, out: Any) -> None:
    mask = np.uint64(len(table) // 2 - 1)
    for k in range(len(keys)):
        slot = _find(table, mask, keys[k])
        table[2 * slot] = keys[k]
        out[k] = slot


@njit(cache=True, nogil=True)
def _lookup(table: Any, keys: Any, out: Any) -> None:
    mask = np.uint64(len(table) // 2 - 1)
    for k in range(len(keys)):
        slot = _find(table, mask, keys[k])
        out[k] = np.int64(slot) if table[2 * slot] == keys[k] and keys[k] != _FREE else -1


@njit(cache=True, nogil=True)
def _sentences(
    starts: Any, ends: Any, bounds: Any, hashes: Any, data: Any, marks: Any, tokens: Any, out: Any
) -> int:  # fmt: skip
    k = 0
    for d in range(len(bounds) - 1):
        for i in range(bounds[d], bounds[d + 1]):
            new = i == bounds[d]
            if not new:
                for at in range(ends[i - 1], starts[i]):
                    if data[at] == _NEWLINE:
                        new = True
                        break
                if new:
                    tokens[k] = marks[1]
                    k += 1
            if new:
                tokens[k] = marks[0]
                k += 1
            tokens[k] = marks[2] if hashes[i] == marks[0] or hashes[i] == marks[1] else hashes[i]
            k += 1
        if bounds[d] < bounds[d + 1]:
            tokens[k] = marks[1]
            k += 1
        out[d + 1] = k
    return k


@njit(cache=True, nogil=True)
def _score(
    tokens: Any, bounds: Any, table: Any, values: Any, marks: Any, order: int, closed: bool, logs: Any, counts: Any
) -> None:  # fmt: skip
    longest = 1
    for d in range(len(bounds) - 1):
        longest = max(longest, bounds[d + 1] - bounds[d])
    # Of the n-gram that ends at each token: its key, whether it is there, its back-off weight; n grows by one each round.
    words, keys, there = np.empty(longest, np.uint64), np.empty(longest, np.uint64), np.empty(longest, np.bool_)
    logp, backoff, place = np.empty(longest, np.float64), np.empty(longest, np.float32), np.empty(longest, np.int64)
    mask = np.uint64(len(table) // 2 - 1)
    unknown = _find(table, mask, marks[2])
    for d in range(len(bounds) - 1):
        start, n = bounds[d], bounds[d + 1] - bounds[d]
        for i in range(n):
            word = tokens[start + i]
            place[i] = 0 if word == marks[0] else place[i - 1] + 1
            slot = _find(table, mask, word)
            if table[2 * slot] != word:
                word, slot = marks[2], unknown
            words[i], keys[i], there[i] = word, word, True
            logp[i], backoff[i] = values[4 * slot + 2], values[4 * slot + 3]
        for size in range(2, order + 1):
            # From the right, because token i needs what the round before left at i - 1.
            for i in range(n - 1, -1, -1):
                found = False
                if place[i] >= size - 1:
                    key = keys[i - 1] * _BASE + words[i]
                    keys[i] = key
                    if not closed or (there[i] and there[i - 1]):
                        slot = _find(table, mask, key)
                        found = table[2 * slot] == key
                    if found:
                        logp[i] = values[4 * slot + 2]
                        backoff[i] = values[4 * slot + 3]
                    else:
                        logp[i] += backoff[i - 1]
                if not found:
                    backoff[i] = 0.0
                there[i] = found
        total, predicted = 0.0, 0
        for i in range(n):
            if place[i] > 0:
                total += logp[i]
                predicted += 1
        logs[d], counts[d] = total, predicted


@njit(cache=True, nogil=True)
def _collapse(windows: Any, bos: Any, first: Any, raw: Any, adjusted: Any, counts: Any) -> None:
    order = windows.shape[1]
    for r in range(len(windows)):
        same = 0
        if r > 0:
            while same < order and windows[r, same] == windows[r - 1, same]:
                same += 1
        for n in range(order):
            if n > 0 and windows[r, n - 1] == bos:
                break  # what is longer only repeats the mark of the beginning
            if n >= same:
                k = counts[n]
                counts[n] += 1
                first[n, k] = r
                if n > 0:
                    adjusted[n - 1, counts[n - 1] - 1] += 1
            k = counts[n] - 1
            raw[n, k] += 1
            if n == order - 1 or windows[r, n] == bos:
                adjusted[n, k] += 1


@njit(cache=True, nogil=True)
def _contexts(slots: Any, adjusted: Any, kept: Any, discounts: Any, total: Any, spared: Any) -> None:
    for k in range(len(slots)):
        slot = slots[k]
        if slot >= 0:
            total[slot] += adjusted[k]
            spared[slot] += discounts[min(adjusted[k], 3)] if kept[k] else adjusted[k]
