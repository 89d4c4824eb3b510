from __future__ import annotations

import bisect

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.kernels.packing import best_fit


def twin(lengths: list[int], capacity: int) -> list[int]:
    """Best-fit decreasing over a sorted list of (room, -when it came to it, row)."""
    row = [0] * len(lengths)
    rooms: list[tuple[int, int, int]] = []
    rows = 0
    for when, document in enumerate(sorted(range(len(lengths)), key=lambda i: -lengths[i])):
        at = bisect.bisect_left(rooms, (lengths[document], -len(lengths), 0))
        if at < len(rooms):
            room, _, row[document] = rooms.pop(at)
        else:
            room, row[document] = capacity, rows
            rows += 1
        bisect.insort(rooms, (room - lengths[document], -when, row[document]))
    names: dict[int, int] = {}
    return [names.setdefault(found, len(names)) for found in row]


@settings(deadline=None)
@given(st.integers(1, 40).flatmap(lambda most: st.tuples(st.lists(st.integers(1, most), max_size=80), st.just(most))))
@example(([], 1))
@example(([1, 1, 1], 1))
@example(([3, 5, 3, 5, 2], 8))
def test_equal_to_a_plain_loop(case: tuple[list[int], int]) -> None:
    lengths, capacity = case
    row = best_fit(np.array(lengths, np.int64), capacity)
    assert row.tolist() == twin(lengths, capacity)
    if lengths:
        filled = np.bincount(row, lengths)
        assert filled.max() <= capacity
        # Two rows that would fit into one are never left apart, so all but one are more than half full together.
        smallest = np.sort(filled)[:2]
        assert len(filled) == 1 or smallest.sum() > capacity


def test_a_length_that_fits_no_row_is_refused() -> None:
    for lengths in ([0], [3, 9]):
        with pytest.raises(ValueError, match="do not fit rows of 1 to 8"):
            best_fit(np.array(lengths, np.int64), 8)


def test_rows_are_nearly_full_where_short_documents_are_many() -> None:
    draw = np.random.default_rng(1)
    lengths = np.clip(draw.lognormal(5.5, 1.2, 20_000).astype(np.int64), 1, 2049)
    rows = int(best_fit(lengths, 2049).max()) + 1
    assert lengths.sum() / (rows * 2049) > 0.999
