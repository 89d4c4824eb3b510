"""Which documents share a row: best-fit-decreasing bin packing of lengths."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["best_fit"]


def best_fit(lengths: npt.NDArray[np.int64], capacity: int) -> npt.NDArray[np.int64]:
    """int64[n]: the row of each document, so that no row holds more than `capacity` tokens.

    Documents are placed from the longest to the shortest (equal ones in their order), each into the row that it leaves the
    least room in, or into a new one: best-fit decreasing, as in Ding et al. 2024, Fewer Truncations Improve Language Modeling
    (arXiv 2404.10830). It never needs more than 11/9 of the fewest possible rows and one (Johnson 1974). Of rows with equal
    room the one that came to it last is taken. Rows are numbered by their first document, so that they follow the order of
    the input as far as they can.

    lengths: in 1..capacity. O(n log capacity) time: documents are sorted by counting, and a tree over the amounts of room
    finds the smallest that will do. Memory: 32 bytes a document and 25 a token of capacity.
    Raises ValueError for a length that is out of range.
    """
    lengths = frozen(lengths, np.int64)
    if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= capacity:
        raise ValueError(f"lengths from {int(lengths.min())} to {int(lengths.max())} do not fit rows of 1 to {capacity}")
    row = np.empty(len(lengths), np.int64)
    _best_fit(lengths, capacity, row)
    return row


@njit(cache=True, nogil=True)
def _best_fit(lengths: Any, capacity: Any, row: Any) -> None:
    n = len(lengths)
    # Counting sort, longest first; equal lengths keep their order.
    starts = np.zeros(capacity + 2, np.int64)
    for length in lengths:
        starts[capacity - length + 1] += 1
    for i in range(1, capacity + 2):
        starts[i] += starts[i - 1]
    order = np.empty(n, np.int64)
    for i in range(n):
        place = capacity - lengths[i]
        order[starts[place]] = i
        starts[place] += 1
    # Rows by the room they have left: a stack for each amount, and a tree that says which stacks are not empty.
    leaves = 1
    while leaves < capacity + 1:
        leaves *= 2
    there = np.zeros(2 * leaves, np.bool_)
    top = np.full(capacity + 1, -1, np.int64)
    under = np.empty(n, np.int64)
    rows = 0
    for document in order:
        length = lengths[document]
        room = _least(there, leaves, length)
        if room < 0:
            found = rows
            rows += 1
            left = capacity - length
        else:
            found = top[room]
            top[room] = under[found]
            if top[room] < 0:
                _clear(there, leaves + room)
            left = room - length
        row[document] = found
        under[found] = top[left]
        top[left] = found
        place = leaves + left
        while place and not there[place]:
            there[place] = True
            place >>= 1
    names = np.full(rows, -1, np.int64)
    named = 0
    for i in range(n):
        if names[row[i]] < 0:
            names[row[i]] = named
            named += 1
        row[i] = names[row[i]]


@njit(cache=True, nogil=True)
def _least(there: Any, leaves: Any, least: Any) -> Any:
    """The smallest amount of room that is `least` or more and that some row has; -1: none."""
    place = leaves + least
    if there[place]:
        return least
    while place > 1:
        if place & 1 == 0 and there[place + 1]:
            place += 1
            while place < leaves:
                place *= 2
                if not there[place]:
                    place += 1
            return place - leaves
        place >>= 1
    return -1


@njit(cache=True, nogil=True)
def _clear(there: Any, place: Any) -> None:
    """No row has this amount of room any more."""
    there[place] = False
    place >>= 1
    while place and not (there[2 * place] or there[2 * place + 1]):
        there[place] = False
        place >>= 1
