"""Which members of groups of candidates are near duplicates of a member before them: exact Jaccard similarity of sets."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["GROUP", "LEADERS", "gather", "jaccard_of_sets", "ties"]

GROUP = 64
"""Up to so many members, each is compared with every one before it, until one is similar enough."""

LEADERS = 64
"""In larger groups each is compared with the first so many members that resemble none before them."""

_NONE = np.int64(-1)


def ties(
    members: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    sets: npt.NDArray[np.uint32],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    threshold: float,
    done: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], int]:
    """`(before int64[t], after int64[t], similarity float64[t], short)`: members tied to one before them in their group.

    members: int64[m], which set each is; group g is `members[groups[g]:groups[g + 1]]`, the one to keep first. Set i is
    `sets[starts[i]:ends[i]]`, ascending, each value once. done: bool[sets], those that need no tie (any more); it is
    written to, so that a set is tied once. Two are tied when the Jaccard similarity of their sets, the quotient of two whole
    numbers in double precision, is `threshold` or more. Empty sets are tied to nothing.

    In a group of `GROUP` members each is compared with all before it until one fits. In a larger one with the `LEADERS`
    first that were tied to none; `short` counts the members that met so many leaders, all in vain, and were left at that.
    So a group of m costs at most m x 64 comparisons, one of equal members m. A comparison of sets of x and y is O(x + y) and
    ends as soon as the threshold is out of reach.
    """
    most = len(members)
    before, after, similarity = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.float64)
    found, short = _ties(
        frozen(members, np.int64), frozen(groups, np.int64), frozen(sets, np.uint32), frozen(starts, np.int64),
        frozen(ends, np.int64), float(threshold), done, before, after, similarity,
    )  # fmt: skip
    return before[:found], after[:found], similarity[:found], short


def jaccard_of_sets(left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32], threshold: float = 0.0) -> float:
    """|A and B| / |A or B| of two ascending arrays without repeats; -1 when it is below `threshold`, or both are empty."""
    both = np.concatenate([left, right])
    n = len(left)
    return float(_jaccard(frozen(both, np.uint32), 0, n, n, len(both), float(threshold)))


def gather(
    values: npt.NDArray[np.uint32], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    """The ranges `values[starts[i]:ends[i]]` one after another. O(their length): the rest is not touched."""
    out = np.empty(int((ends - starts).sum()), np.uint32)
    _gather(frozen(values, np.uint32), frozen(starts, np.int64), frozen(ends, np.int64), out)
    return out


@njit(cache=True, nogil=True)
def _gather(values: Any, starts: Any, ends: Any, out: Any) -> None:
    at = 0
    for i in range(len(starts)):
        size = ends[i] - starts[i]
        out[at : at + size] = values[starts[i] : ends[i]]
        at += size


@njit(cache=True, nogil=True)
def _jaccard(sets: Any, i: int, i_end: int, j: int, j_end: int, threshold: float) -> float:
    total = (i_end - i) + (j_end - j)
    # J >= t needs |A and B| >= t (|A| + |B|) / (1 + t); one less, so that rounding never decides here.
    apart = total - 2 * (int(threshold * total / (1.0 + threshold)) - 1)
    both, differ = 0, 0
    if total == 0:
        return -1.0
    while i < i_end and j < j_end:
        a, b = sets[i], sets[j]
        i += a <= b
        j += b <= a
        both += a == b
        differ += a != b
        if differ > apart:
            return -1.0
    similarity = both / (total - both)
    return similarity if similarity >= threshold else -1.0


@njit(cache=True, nogil=True)
def _ties(
    members: Any, groups: Any, sets: Any, starts: Any, ends: Any, threshold: float, done: Any,
    before: Any, after: Any, similarity: Any,
) -> Any:  # fmt: skip
    found, short = 0, 0
    leaders = np.empty(LEADERS, np.int64)
    for g in range(len(groups) - 1):
        first, last = groups[g], groups[g + 1]
        large = last - first > GROUP
        led = 0
        for k in range(first, last):
            m = members[k]
            best = _NONE
            score = -1.0
            if not done[m]:
                for e in range(led if large else k - first):
                    other = leaders[e] if large else members[first + e]
                    if other == m:
                        continue
                    score = _jaccard(sets, starts[other], ends[other], starts[m], ends[m], threshold)
                    if score >= 0.0:
                        best = other
                        break
            if best != _NONE:
                before[found], after[found], similarity[found] = best, m, score
                found += 1
                done[m] = True
            elif large and led < LEADERS:
                # One that is done in another group leads nothing here, unless it is one of the first: those stay.
                leaders[led] = m
                led += 1
            elif large and not done[m]:
                short += 1
    return found, short
