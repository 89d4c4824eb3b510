"""Ties inside groups against plain Python sets."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.verify import GROUP, LEADERS, gather, jaccard_of_sets, ties

small_sets = st.lists(st.frozensets(st.integers(0, 12), max_size=12), min_size=1, max_size=8)
thresholds = st.sampled_from([0.2, 1 / 3, 0.5, 0.6, 0.75, 0.8, 0.9, 1.0])


def jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b) if a | b else -1.0


@settings(max_examples=300)
@given(small_sets, thresholds)
def test_jaccard_equals_twin(sets: list[frozenset[int]], threshold: float) -> None:
    for a, b in itertools.product(sets, repeat=2):
        exact = jaccard(a, b)
        found = jaccard_of_sets(np.array(sorted(a), np.uint32), np.array(sorted(b), np.uint32), threshold)
        assert found == (exact if exact >= threshold else -1.0)


def run(groups: list[list[int]], sets: list[frozenset[int]], threshold: float, done: list[bool]) -> tuple[list[object], int]:
    bounds = np.cumsum([0, *map(len, sets)])
    values = np.array([value for one in sets for value in sorted(one)], np.uint32)
    members = np.array([member for group in groups for member in group], np.int64)
    before, after, similarity, short = ties(
        members, np.cumsum([0, *map(len, groups)]), values, bounds[:-1], bounds[1:], threshold, np.array(done)
    )
    return list(zip(before.tolist(), after.tolist(), similarity.tolist(), strict=True)), short


@settings(max_examples=300)
@given(small_sets, thresholds, st.data())
def test_small_groups_are_compared_pair_by_pair(sets: list[frozenset[int]], threshold: float, data: st.DataObject) -> None:
    group = st.lists(st.integers(0, len(sets) - 1), unique=True)
    groups = data.draw(st.lists(group, max_size=4))
    done = data.draw(st.lists(st.booleans(), min_size=len(sets), max_size=len(sets)))
    expected = []
    over = list(done)
    for one in groups:
        for k, member in enumerate(one):
            fits = [other for other in one[:k] if jaccard(sets[other], sets[member]) >= threshold]
            if fits and not over[member]:
                expected.append((fits[0], member, jaccard(sets[fits[0]], sets[member])))
                over[member] = True
    assert run(groups, sets, threshold, done) == (expected, 0)


def test_large_groups_are_led_by_the_first_that_differ() -> None:
    different = [frozenset(range(10 * i, 10 * i + 10)) for i in range(LEADERS + 5)]
    sets = [*different, different[3], different[LEADERS - 1], different[LEADERS]]
    found, short = run([list(range(len(sets)))], sets, 0.8, [False] * len(sets))
    assert len(sets) > GROUP
    assert found == [(3, LEADERS + 5, 1.0), (LEADERS - 1, LEADERS + 6, 1.0)]
    assert short == 5 + 1


def test_equal_members_are_compared_once_each() -> None:
    one = frozenset(range(50))
    count = 5000
    found, short = run([list(range(count))], [one] * count, 0.8, [False] * count)
    assert found == [(0, i, 1.0) for i in range(1, count)]
    assert short == 0


def test_gather() -> None:
    values = np.arange(10, dtype=np.uint32)
    assert gather(values, np.array([7, 0, 4]), np.array([9, 1, 4])).tolist() == [7, 8, 0]
