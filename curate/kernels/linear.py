"""A linear classifier over hashed words and pairs of words: features, training, scores.

The bag of fastText (Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification", arXiv 1607.01759) with one weight
a feature in place of a vector, hashed as there (Weinberger et al. 2009, "Feature Hashing", arXiv 0902.2206): each word and
each pair of neighbours adds the weight of its bucket, and the sum over n features is divided by sqrt(n). A mean, as fastText
takes it, says the same of a line as of a book; the sum says more with every word; between them the logistic function stays
away from 0 and 1 where there is little to go by.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.words import Words

__all__ = ["bag_of_pairs", "fit", "linear_scores"]

_BASE = np.uint64(0x9E3779B97F4A7C15)  # as in kernels.ngrams: the hashes of words are well mixed, so one product is enough
_BITS = 64


def bag_of_pairs(words: Words, bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """The features of each document: `offsets` int64[n+1] and `buckets` uint32[...] below 2^bits, words first, then pairs.

    A document of m > 0 words has m + m - 1 features, in order and as often as they occur; one without words has none.
    O(words).
    """
    counts = np.diff(words.bounds)
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(np.maximum(2 * counts - 1, 0), out=offsets[1:])
    buckets = np.empty(int(offsets[-1]), np.uint32)
    _bag(frozen(words.hashes, np.uint64), frozen(words.bounds, np.int64), offsets, np.uint64(_BITS - bits), buckets)
    return offsets, buckets


def fit(
    offsets: npt.NDArray[np.int64],
    buckets: npt.NDArray[np.uint32],
    labels: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    *,
    rates: tuple[float, float],
    rate: float,
    l2: float,
) -> tuple[float, float]:
    """Logistic regression by Adagrad (Duchi et al. 2011), one document a step, in the given order; changes `weights`.

    `offsets`, `buckets`: as `bag_of_pairs` makes them. `labels` bool[n]. `order` int64[...]: documents to visit, epoch after
    epoch. `rates`: weight of a false and of a true document in the loss. `rate`: learning rate. `l2`: pulls a weight towards
    0 whenever its feature occurs. Returns the bias and the mean loss of the last visits of each document.

    One thread, in one order: the same input gives the same bits. O(features of the visits), 4 bytes a weight besides.
    """
    bias = np.zeros(2, np.float64)
    state = np.zeros(len(weights), np.float32)
    loss = _fit(
        frozen(offsets, np.int64), frozen(buckets, np.uint32), frozen(labels, np.bool_), frozen(order, np.int64),
        weights, state, bias, np.array(rates, np.float64), rate, l2,
    )  # fmt: skip
    return float(bias[0]), float(loss)


def linear_scores(words: Words, weights: npt.NDArray[np.float32], bias: float) -> npt.NDArray[np.float64]:
    """float64[n]: the probability that each document is a true one, in (0, 1); 0 where there is no word.

    `weights` float32[2^bits]. Equal to the sum over the features of `bag_of_pairs`, in the order of the words. O(words).
    """
    out = np.zeros(len(words.bounds) - 1, np.float64)
    shift = np.uint64(_BITS - (len(weights).bit_length() - 1))
    _scores(frozen(words.hashes, np.uint64), frozen(words.bounds, np.int64), frozen(weights, np.float32), bias, shift, out)
    return out


@njit(cache=True, nogil=True)
def _pair(left: Any, right: Any) -> Any:
    return (left * _BASE + right) * _BASE


@njit(cache=True, nogil=True)
def _bag(hashes: Any, bounds: Any, offsets: Any, shift: Any, buckets: Any) -> None:
    for d in range(len(bounds) - 1):
        k, start, stop = offsets[d], bounds[d], bounds[d + 1]
        for i in range(start, stop):
            buckets[k] = hashes[i] >> shift
            k += 1
        for i in range(start + 1, stop):
            buckets[k] = _pair(hashes[i - 1], hashes[i]) >> shift
            k += 1


@njit(cache=True, nogil=True)
def _scores(hashes: Any, bounds: Any, weights: Any, bias: float, shift: Any, out: Any) -> None:
    for d in range(len(out)):
        start, stop = bounds[d], bounds[d + 1]
        if start == stop:
            continue
        total = np.float64(weights[hashes[start] >> shift])
        for i in range(start + 1, stop):
            total += weights[hashes[i] >> shift]
            total += weights[_pair(hashes[i - 1], hashes[i]) >> shift]
        out[d] = 1.0 / (1.0 + np.exp(-(bias + total / np.sqrt(2.0 * (stop - start) - 1.0))))


@njit(cache=True, nogil=True)
def _fit(
    offsets: Any, buckets: Any, labels: Any, order: Any,
    weights: Any, state: Any, bias: Any, rates: Any, rate: float, l2: float,
) -> float:  # fmt: skip
    losses, seen = 0.0, 0
    for step in range(len(order)):
        d = order[step]
        start, stop = offsets[d], offsets[d + 1]
        if start == stop:
            continue
        total = 0.0
        for k in range(start, stop):
            total += weights[buckets[k]]
        x = 1.0 / np.sqrt(np.float64(stop - start))
        margin = bias[0] + total * x
        label = 1 if labels[d] else 0
        cost = rates[label]
        error = cost * (1.0 / (1.0 + np.exp(-margin)) - label)
        losses += cost * (np.log1p(np.exp(-abs(margin))) + max(margin, 0.0) - label * margin)
        seen += 1
        bias[1] += error * error
        if error != 0.0:
            bias[0] -= rate * error / np.sqrt(bias[1])
        for k in range(start, stop):
            b = buckets[k]
            slope = error * x + l2 * weights[b]
            state[b] += np.float32(slope * slope)
            if state[b] > 0.0:
                weights[b] -= np.float32(rate * slope / np.sqrt(np.float64(state[b])))
    return losses / max(seen, 1)
