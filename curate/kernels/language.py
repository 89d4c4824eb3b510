"""The language of every document by py3langid's model: a byte automaton, feature counts, naive Bayes."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["Model", "classify"]

_BASE = np.uint64((1 << 20) - 1)  # 20 bits of a slot
_NEXT, _FEATURE, _BYTE = np.uint64(20), np.uint64(40), np.uint64(8)
_START = np.uint64(256 << 8)
_BLOCK = 1 << 21
_LOG1P = np.log1p(np.arange(1024)).astype(np.float32)


class Model(NamedTuple):
    """A classifier of F features and L languages; `curate.kernels.langid.load` makes it of py3langid's file.

    The automaton (Aho-Corasick over byte n-grams) moves by `slots` where a trie node of three bytes or more is reached, and by
    `pairs` everywhere else, which depends on the last two bytes alone. An entry holds, from the lowest bit: 20 bits of the
    state it moves from (slots only), 20 of the state it moves to, and the feature there (0: none). A state is its
    base: the entry for byte b stands in `slots[base + b]`, if that one's lowest bits are the base.
    """

    slots: npt.NDArray[np.uint64]
    """uint64[S]: entries, S <= 2^20 + 255."""
    pairs: npt.NDArray[np.uint64]
    """uint64[257 * 256]: entry for (byte before, byte); row 256 is the start of a text."""
    weights: npt.NDArray[np.uint16]
    """uint16[F + 1, W]: -512 * log p(feature | language), whole numbers; row 0 and the columns past L are zero."""
    prior: npt.NDArray[np.float32]
    """float32[L]: log p(language)."""
    column: npt.NDArray[np.int64]
    """int64[L]: the first column with the same language; some have two, one for each script."""
    start: npt.NDArray[np.uint64]
    """uint64[1]: base of the first state."""
    languages: npt.NDArray[np.str_]
    """str[L]: codes."""


def classify(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], model: Model
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """`(language int64[n], confidence float64[n])`: columns of the model, and the probability of that language, 0 to 1.

    `offsets` int64[n+1] and `data` uint8[...] are strings in NFC, lower-cased if all their letters were capitals. Scores are
    log p(l) + sum over features of log(1 + count) * log p(f | l); probabilities are the softmax of scores / sqrt(bytes),
    which keeps those of long texts comparable. A string without any feature gets -1 and 0.

    Same as `LanguageIdentifier(norm_probs=True).classify` of py3langid 0.4 (Lui and Baldwin, ACL 2012, is the method), but for
    rounding: sums are of float32, in another order. O(bytes + L * different features). Memory: 9 bytes for each byte of
    2 MiB of text, or of the longest document, and 4 bytes a feature.
    """
    n = len(offsets) - 1
    language, confidence = np.empty(n, np.int64), np.empty(n, np.float64)
    lengths = np.diff(offsets)
    room = 1 + max(min(_BLOCK, int(lengths.sum())), int(lengths.max(initial=0)))
    _classify(
        frozen(offsets, np.int64), frozen(data, np.uint8), *(frozen(array, array.dtype.type) for array in model[:5]),
        model.start[0], _LOG1P, np.empty(room, np.bool_), np.empty(room, np.uint32), np.empty(room, np.float32),
        np.empty(n, np.uint64), language, confidence,
    )  # fmt: skip
    return language, confidence


@njit(cache=True, nogil=True)
def _move(i: Any, data: Any, fresh: Any, slots: Any, pairs: Any, start: Any, base: Any, before: Any) -> Any:
    """The feature at byte i, the state after it, and the byte itself as the one before the next.

    No branch depends on the text: a wrong guess of the processor costs more than the work it saves.
    """
    base = start if fresh[i] else base
    before = _START if fresh[i] else before
    byte = np.uint64(data[i])
    entry, other = slots[base + byte], pairs[before | byte]
    entry = entry if entry & _BASE == base else other
    return entry >> _FEATURE, (entry >> _NEXT) & _BASE, byte << _BYTE


@njit(cache=True, nogil=True)
def _walk(offsets: Any, data: Any, fresh: Any, slots: Any, pairs: Any, start: Any, found: Any) -> None:
    """found[i] = the feature at byte i, 0 for none. `fresh` marks the bytes that documents start with.

    Four parts of the documents in step: each move waits for the memory that the one before it asked for, and these waits
    are then shared.
    """
    n, size = len(offsets) - 1, offsets[-1]
    cut = np.zeros(5, np.uint64)
    for j in range(5):
        cut[j] = offsets[min(n, np.searchsorted(offsets, size * j // 4))]
    both = min(min(cut[1] - cut[0], cut[2] - cut[1]), min(cut[3] - cut[2], cut[4] - cut[3]))
    a, b, c, d = cut[0], cut[1], cut[2], cut[3]
    sa = sb = sc = sd = start
    pa = pb = pc = pd = _START
    for i in range(both):
        found[a + i], sa, pa = _move(a + i, data, fresh, slots, pairs, start, sa, pa)
        found[b + i], sb, pb = _move(b + i, data, fresh, slots, pairs, start, sb, pb)
        found[c + i], sc, pc = _move(c + i, data, fresh, slots, pairs, start, sc, pc)
        found[d + i], sd, pd = _move(d + i, data, fresh, slots, pairs, start, sd, pd)
    for i in range(a + both, b):
        found[i], sa, pa = _move(i, data, fresh, slots, pairs, start, sa, pa)
    for i in range(b + both, c):
        found[i], sb, pb = _move(i, data, fresh, slots, pairs, start, sb, pb)
    for i in range(c + both, d):
        found[i], sc, pc = _move(i, data, fresh, slots, pairs, start, sc, pc)
    for i in range(d + both, cut[4]):
        found[i], sd, pd = _move(i, data, fresh, slots, pairs, start, sd, pd)


@njit(cache=True, nogil=True)
def _count(first: Any, stop: Any, m: Any, log1p: Any, seen: Any, found: Any, weight: Any) -> Any:
    """Move the different features of found[first:stop] to found[m:], with the weight of each; gives where they end."""
    begin = m
    for i in range(np.uint64(first), np.uint64(stop)):
        feature = found[i]
        count = seen[feature]
        found[m] = feature
        m += np.uint64(count == 0)
        seen[feature] = count + np.uint32(1)
    for k in range(begin, m):
        count = seen[found[k]]
        weight[k] = log1p[count] if count < len(log1p) else np.float32(math.log1p(count))
        seen[found[k]] = 0
    return m


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add(found: Any, weight: Any, k: Any, stop: Any, weights: Any, sums: Any) -> None:
    """sums[l] = sum of weight * weights[feature, l]. Four rows at a time, for speed."""
    sums[:] = 0
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    while k + four <= stop:
        a, b, c, d = weights[found[k]], weights[found[k + one]], weights[found[k + two]], weights[found[k + three]]
        wa, wb, wc, wd = weight[k], weight[k + one], weight[k + two], weight[k + three]
        for j in range(len(sums)):
            sums[j] += (
                wa * np.float32(np.int32(a[j])) + wb * np.float32(np.int32(b[j]))
                + wc * np.float32(np.int32(c[j])) + wd * np.float32(np.int32(d[j]))
            )  # fmt: skip
        k += four
    while k < stop:
        a, wa = weights[found[k]], weight[k]
        for j in range(len(sums)):
            sums[j] += wa * np.float32(np.int32(a[j]))
        k += one


@njit(cache=True, nogil=True)
def _decide(sums: Any, prior: Any, column: Any, scale: float, scores: Any, shares: Any) -> Any:
    """The best column and its probability, columns of one language taken together."""
    best = -math.inf
    for j in range(len(prior)):
        scores[j] = (prior[j] - sums[j] / 512) * scale
        shares[j] = 0.0
    for j in range(len(prior)):
        best = max(best, scores[j])
    total, top = 0.0, 0
    for j in range(len(prior)):
        if scores[j] > best - 25:  # e^-25 is 1e-11: nothing beside the 1 of the best
            share = math.exp(scores[j] - best)
            shares[column[j]] += share
            total += share
    for j in range(len(prior)):
        if shares[j] > shares[top]:
            top = j
    return top, shares[top] / total


@njit(cache=True, nogil=True)
def _classify(
    offsets: Any, data: Any, slots: Any, pairs: Any, weights: Any, prior: Any, column: Any, start: Any, log1p: Any,
    fresh: Any, found: Any, weight: Any, bounds: Any, language: Any, confidence: Any,
) -> None:  # fmt: skip
    """Documents a to b - 1 that fit in `found` together: first the features of all, then the sums of all.

    The automaton and the weights then each have the processor's caches to themselves, which doubles the speed.
    """
    seen, sums = np.zeros(len(weights), np.uint32), np.empty(weights.shape[1], np.float32)
    scores, shares = np.empty(len(prior)), np.empty(len(prior))
    a, n = 0, len(offsets) - 1
    while a < n:
        b = a + 1
        while b < n and offsets[b + 1] - offsets[a] < len(found):
            b += 1
        place = offsets[a : b + 1] - offsets[a]
        fresh[: place[-1] + 1] = False
        for d in range(b - a):
            fresh[place[d]] = True
        _walk(place, data[offsets[a] : offsets[b]], fresh, slots, pairs, start, found)
        m = np.uint64(0)
        for d in range(b - a):
            m = _count(place[d], place[d + 1], m, log1p, seen, found, weight)
            bounds[d] = m
        m = np.uint64(0)
        for d in range(b - a):
            if bounds[d] == m or (bounds[d] == m + np.uint64(1) and found[m] == 0):
                language[a + d], confidence[a + d] = -1, 0.0
            else:
                _add(found, weight, m, bounds[d], weights, sums)
                scale = 1 / math.sqrt(place[d + 1] - place[d])
                language[a + d], confidence[a + d] = _decide(sums, prior, column, scale, scores, shares)
            m = bounds[d]
        a = b
