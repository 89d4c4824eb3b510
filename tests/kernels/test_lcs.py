"""LCS by bits against the table that everyone writes, and ROUGE-L's F by its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.lcs import most_similar, signature

# Few kinds of token, so that sequences have much in common; lengths over a word of 64 bits and over two.
TOKENS = st.lists(st.integers(0, 9), max_size=150)


def length(a: list[int], b: list[int]) -> int:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def rouge(a: list[int], b: list[int]) -> float:
    common = length(a, b)
    if not common:
        return 0.0
    precision, recall = common / len(b), common / len(a)
    return 2 * precision * recall / (precision + recall)


def found(query: list[int], others: list[list[int]], threshold: float) -> tuple[int, float]:
    place = np.zeros(16, np.int32)
    tokens = np.array([t for other in others for t in other], np.int32)
    bounds = np.cumsum([0, *map(len, others)])
    signatures = np.array([signature(np.array(other, np.int32)) for other in others], np.uint64).reshape(-1, 2)
    result = most_similar(np.array(query, np.int32), tokens, bounds, signatures, len(others), place, threshold)
    assert not place.any()
    return result


@settings(max_examples=200)
@given(query=TOKENS, other=TOKENS)
def test_f_is_that_of_the_table(query: list[int], other: list[int]) -> None:
    assert found(query, [other], -1.0) == (0, rouge(query, other))


@settings(max_examples=200)
@given(query=TOKENS, others=st.lists(TOKENS, max_size=6), threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9, 1.0]))
def test_the_bounds_pass_over_none_that_counts(query: list[int], others: list[list[int]], threshold: float) -> None:
    scores = [rouge(query, other) for other in others]
    best = max([threshold, *scores])
    wanted = (scores.index(best), best) if best > threshold else (-1, threshold)
    assert found(query, others, threshold) == wanted


def test_a_score_at_the_limit_is_not_above_it() -> None:
    query, other = list(range(8)), [*range(7), 9]
    f = rouge(query, other)
    assert found(query, [other], f) == (-1, f)
    assert found(query, [other], np.nextafter(f, 0)) == (0, f)


@pytest.mark.parametrize("size", [63, 64, 65, 127, 128, 129, 1000])
def test_long_sequences_carry_from_word_to_word(size: int) -> None:
    rng = np.random.default_rng(size)
    query, other = rng.integers(0, 5, size).tolist(), rng.integers(0, 5, size).tolist()
    assert found(query, [other], -1.0) == (0, rouge(query, other))


def test_signature() -> None:
    bits = signature(np.arange(1000, dtype=np.int32))
    assert bits.tolist() == [2**64 - 1, 2**64 - 1]
    assert signature(np.zeros(0, np.int32)).tolist() == [0, 0]
    assert sum(int(x).bit_count() for x in signature(np.array([3, 3, 3], np.int32))) == 1
