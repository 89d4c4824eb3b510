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
    rounding: sums are of float32, in another order. O(bytes + L * different features). 9 bytes of memory for each byte of
    the longest document, and 4 bytes a feature.
    """
    n = len(offsets) - 1
    language, confidence = np.empty(n, np.int64), np.empty(n, np.float64)
    longest = int(np.diff(offsets).max(initial=0))
    _classify(
        frozen(offsets, np.int64), frozen(data, np.uint8), *(frozen(array, array.dtype.type) for array in model[:5]),
        model.start[0], _LOG1P, np.empty(longest + 1, np.uint32), np.zeros(len(model.weights), np.uint32), language, confidence,
    )  # fmt: skip
    return language, confidence


@njit(cache=True, nogil=True)
def _find(data: Any, first: Any, stop: Any, slots: Any, pairs: Any, base: Any, found: Any, seen: Any) -> Any:
    """Write the different features of a text to `found`, add up their counts in `seen`, and give how many there are.

    No branch depends on the text: a wrong guess of the processor costs more than the work it saves. Feature 0 counts too.
    """
    m, before = np.uint64(0), _START
    for i in range(np.uint64(first), np.uint64(stop)):
        byte = np.uint64(data[i])
        entry, other = slots[base + byte], pairs[before | byte]
        entry = entry if entry & _BASE == base else other
        base = (entry >> _NEXT) & _BASE
        before = byte << _BYTE
        feature = entry >> _FEATURE
        count = seen[feature]
        found[m] = feature
        m += np.uint64(count == 0)
        seen[feature] = count + np.uint32(1)
    return m


@njit(cache=True, nogil=True)
def _weight(count: Any, log1p: Any) -> Any:
    return log1p[count] if count < len(log1p) else np.float32(math.log1p(count))


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add(found: Any, m: Any, seen: Any, weights: Any, log1p: Any, sums: Any) -> None:
    """sums[l] = sum of weight(count) * weights[feature, l]; counts are put back to 0. Four rows at a time, for speed."""
    sums[:] = 0
    k, width = np.uint64(0), len(sums)
    while k + np.uint64(4) <= m:
        a, b, c, d = found[k], found[k + np.uint64(1)], found[k + np.uint64(2)], found[k + np.uint64(3)]
        wa, wb, wc, wd = _weight(seen[a], log1p), _weight(seen[b], log1p), _weight(seen[c], log1p), _weight(seen[d], log1p)
        seen[a] = seen[b] = seen[c] = seen[d] = 0
        ra, rb, rc, rd = weights[a], weights[b], weights[c], weights[d]
        for j in range(width):
            sums[j] += (
                wa * np.float32(np.int32(ra[j])) + wb * np.float32(np.int32(rb[j]))
                + wc * np.float32(np.int32(rc[j])) + wd * np.float32(np.int32(rd[j]))
            )  # fmt: skip
        k += np.uint64(4)
    while k < m:
        a = found[k]
        w, row = _weight(seen[a], log1p), weights[a]
        seen[a] = 0
        for j in range(width):
            sums[j] += w * np.float32(np.int32(row[j]))
        k += np.uint64(1)


@njit(cache=True, nogil=True)
def _classify(
    offsets: Any, data: Any, slots: Any, pairs: Any, weights: Any, prior: Any, column: Any, start: Any, log1p: Any,
    found: Any, seen: Any, language: Any, confidence: Any,
) -> None:  # fmt: skip
    sums = np.empty(weights.shape[1], np.float32)
    scores, shares = np.empty(len(prior)), np.empty(len(prior))
    for d in range(len(offsets) - 1):
        first, stop = offsets[d], offsets[d + 1]
        m = _find(data, first, stop, slots, pairs, start, found, seen)
        if m == 0 or (m == 1 and found[0] == 0):
            seen[0] = 0
            language[d], confidence[d] = -1, 0.0
            continue
        _add(found, m, seen, weights, log1p, sums)
        scale, best = 1 / math.sqrt(stop - first), -math.inf
        for j in range(len(prior)):
            scores[j] = (prior[j] - sums[j] / 512) * scale
            best = max(best, scores[j])
            shares[j] = 0.0
        total, top = 0.0, 0
        for j in range(len(prior)):
            share = math.exp(scores[j] - best) if scores[j] - best > -40 else 0.0  # e^-40 is lost in a sum of 1
            shares[column[j]] += share
            total += share
        for j in range(len(prior)):
            if shares[j] > shares[top]:
                top = j
        language[d], confidence[d] = top, shares[top] / total
