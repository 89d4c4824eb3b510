"""Which blocks of a page are its main text: the score of each by learnt trees, and the choice among them."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.html_tree import Pages

__all__ = ["choose", "score", "seen"]

_START, _END, _NODE, _MASS = range(4)
_PARENT, _TAG, _OWN = range(3)
_HIDDEN = 1 << 16  # MARKS of html_names
_REPEATED = 60  # mass from which a block that stands on the page before is left out
_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def score(
    features: npt.NDArray[np.float32], splits: npt.NDArray[np.float64], leaves: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """float64[blocks]: how likely each block is main text, the logistic function of the sum of the trees.

    `splits` float64[trees, splits, 4]: feature, the threshold up to which it goes left, where left and right lead: to a split,
    or to leaf `-1 - x`. `leaves` float64[trees, leaves]. O(blocks x trees x depth).
    """
    out = np.empty(len(features), np.float64)
    _score(
        # Small types: the trees stay in the fastest cache.
        frozen(features, np.float32), frozen(splits[:, :, 0], np.int16), frozen(splits[:, :, 1], np.float32),
        frozen(splits[:, :, 2:], np.int16), frozen(leaves, np.float32), out,
    )  # fmt: skip
    return out


def choose(pages: Pages, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """bool[blocks]: the blocks of the main text.

    All that are more likely main text than not; and where a page has few of these, so many of the next as the expected F1,
    by mass, is greatest with (Lewis 1995; for probabilities it is greatest at a threshold of half its value): a page
    without an article gives what is best on it. Long blocks that stand on the page twice are taken once.
    O(blocks log blocks).
    """
    keep = np.zeros(len(scores), np.bool_)
    _choose(
        frozen(pages.text, np.uint8), frozen(pages.blocks, np.int64), frozen(pages.page_blocks, np.int64),
        frozen(scores, np.float64), keep,
    )  # fmt: skip
    return keep


def seen(pages: Pages) -> npt.NDArray[np.bool_]:
    """bool[blocks]: those that a browser shows. O(blocks + nodes)."""
    keep = np.zeros(len(pages.blocks), np.bool_)
    _seen(frozen(pages.blocks, np.int64), frozen(pages.nodes, np.int64), keep)
    return keep


@njit(cache=True, nogil=True)
def _score(features: Any, feature: Any, threshold: Any, children: Any, leaves: Any, out: Any) -> None:
    for b in range(len(out)):
        total = 0.0
        for tree in range(len(leaves)):
            at = np.int64(0)
            while at >= 0:
                at = np.int64(children[tree, at, 0 if features[b, feature[tree, at]] <= threshold[tree, at] else 1])
            total += leaves[tree, -1 - at]
        out[b] = 1.0 / (1.0 + np.exp(-total))


@njit(cache=True, nogil=True)
def _choose(text: Any, blocks: Any, page_blocks: Any, scores: Any, keep: Any) -> None:
    for page in range(len(page_blocks) - 1):
        first, last = page_blocks[page], page_blocks[page + 1]
        if first == last:
            continue
        expected = 0.0
        for b in range(first, last):
            expected += scores[b] * blocks[b, _MASS]
        order = np.argsort(-scores[first:last], kind="mergesort")
        right, taken, best, limit = 0.0, 0.0, -1.0, 0.5
        for k in range(last - first):
            b = first + order[k]
            right += scores[b] * blocks[b, _MASS]
            taken += blocks[b, _MASS]
            value = 2 * right / (taken + expected)
            if value > best:
                best, limit = value, scores[b]
        limit = min(limit, 0.5)
        slots = 2
        while slots < 2 * (last - first):
            slots *= 2
        seen = np.zeros(slots, np.uint64)
        for b in range(first, last):
            if scores[b] < limit:
                continue
            keep[b] = True
            if blocks[b, _MASS] < _REPEATED:
                continue
            value = _OFFSET
            for i in range(blocks[b, _START], blocks[b, _END]):
                value = (value ^ np.uint64(text[i])) * _PRIME
            value |= np.uint64(1)
            slot = value & np.uint64(slots - 1)
            while seen[slot] != 0 and seen[slot] != value:
                slot = (slot + np.uint64(1)) & np.uint64(slots - 1)
            keep[b] = seen[slot] == 0
            seen[slot] = value


@njit(cache=True, nogil=True)
def _seen(blocks: Any, nodes: Any, keep: Any) -> None:
    hidden = np.zeros(len(nodes), np.bool_)
    for k in range(len(nodes)):
        up = nodes[k, _PARENT]
        hidden[k] = (nodes[k, _OWN] & _HIDDEN) != 0 or (up >= 0 and hidden[up])
    for b in range(len(blocks)):
        keep[b] = not hidden[blocks[b, _NODE]] and not (blocks[b, 12] & _HIDDEN)
