"""Sets of shingles against Python's sets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.shingles import character_hashes, shingle_sets
from tests.kernels.texts import column, columns

_MASK = 2**64 - 1
_BASE, _PRIME, _LOW = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F

units = st.lists(st.lists(st.integers(0, 5) | st.integers(0, _MASK), max_size=40), max_size=6)


def mixed(x: int) -> int:
    x = ((x ^ x >> 32) * _PRIME) & _MASK
    return x ^ x >> 32


def shingle(run: list[int]) -> int:
    h = 0
    for unit in run:
        h = h * _BASE + unit
    return mixed((h + len(run) * _LOW) & _MASK) >> 32


def set_of(run: list[int], ngram: int) -> set[int]:
    return {shingle(run[i : i + ngram]) for i in range(max(len(run) - ngram, 0) + 1)} if run else set()


@settings(max_examples=200)
@given(units, st.integers(1, 6))
def test_equals_twin(documents: list[list[int]], ngram: int) -> None:
    bounds = np.cumsum([0, *map(len, documents)])
    found = shingle_sets(np.array([unit for one in documents for unit in one], np.uint64), bounds, ngram)
    expected = [set_of(one, ngram) for one in documents]
    assert [found.values[i:j].tolist() for i, j in itertools.pairwise(found.bounds)] == [sorted(one) for one in expected]
    digests = [[sum(mixed((v + 1) * k & _MASK) for v in one) & _MASK for k in (_BASE, _LOW)] for one in expected]
    assert found.digests.tolist() == digests


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 5000])
def test_many_repeats(size: int) -> None:
    drawn = np.random.default_rng(size).integers(0, 2, size).astype(np.uint64)
    found = shingle_sets(drawn, np.array([0, size]), 3)
    assert found.values.tolist() == sorted(set_of(drawn.tolist(), 3))


@settings(max_examples=100)
@given(columns)
def test_characters_equal_twin(texts: list[str]) -> None:
    hashes, bounds = character_hashes(*column(texts))
    assert np.diff(bounds).tolist() == [len(text) for text in texts]
    codes = [int.from_bytes(char.encode()) for text in texts for char in text]
    assert hashes.tolist() == [mixed((code + 1) * _BASE & _MASK) for code in codes]


def test_ngrams_have_units() -> None:
    with pytest.raises(ValueError, match="one unit or more"):
        shingle_sets(np.zeros(0, np.uint64), np.zeros(1, np.int64), 0)
