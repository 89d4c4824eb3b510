"""The judge of deduplicated files, on components that can be seen."""

from __future__ import annotations

from benchmarks.dedupe_quality import Quality, quality

PAIRS = [(0, 1, 0.9), (1, 2, 0.8), (3, 4, 0.85), (5, 6, 0.7)]


def test_all_that_must_go_is_gone() -> None:
    assert quality(7, PAIRS, {0, 3, 5, 6}, 0.8) == Quality(1.0, 1.0, 1.0, removed=3, needed=3, pairs_left=0)


def test_rows_that_no_pair_joins_may_stay() -> None:
    # 0 and 2 resemble 1 alone.
    assert quality(7, PAIRS, {0, 2, 3, 5, 6}, 0.8).recall == 1.0


def test_what_is_lost_whole_and_what_is_left() -> None:
    found = quality(7, PAIRS, {0, 1, 2}, 0.8)
    assert (found.precision, found.recall, found.pairs_left) == (0.0, 1 - 2 / 3, 2)
