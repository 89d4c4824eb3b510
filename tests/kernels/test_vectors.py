"""Rounded vectors against plain Python, and the promise that they are made for: exact products in any order."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.vectors import FINE, MOST_DIMENSIONS, NOT_FINITE, RADIUS, ZERO, add_vectors, quantised

numbers = st.floats(width=64)
tables = st.integers(1, 6).flatmap(lambda d: st.lists(st.lists(numbers, min_size=d, max_size=d), min_size=1, max_size=5))


def plain(vector: list[float]) -> tuple[list[int], int]:
    if not all(math.isfinite(x) for x in vector):
        return [0] * len(vector), NOT_FINITE
    most = max(abs(x) for x in vector)
    if most == 0:
        return [0] * len(vector), ZERO
    total = 0.0
    for x in vector:
        total += (x / most) * (x / most)
    return [round(x / most / math.sqrt(total) * RADIUS) for x in vector], FINE


@given(tables)
def test_quantised_is_plain_rounding(table: list[list[float]]) -> None:
    made, state = quantised(np.array(table, np.float64))
    for vector, row, found in zip(table, made.tolist(), state.tolist(), strict=True):
        assert (row, found) == plain(vector)


@given(st.integers(0, 10**6), st.sampled_from([1, 3, 64, 1000]))
def test_products_are_exact_and_cosines_near(seed: int, d: int) -> None:
    draw = np.random.default_rng(seed)
    given = draw.normal(size=(4, d)) * 10.0 ** draw.integers(-200, 200, size=(4, 1))
    made, _ = quantised(given)
    exact = made.astype(np.int64) @ made.astype(np.int64).T
    assert int(exact.diagonal().max()) <= 2**24
    shuffled = made[:, draw.permutation(d)].astype(np.float32)
    assert np.array_equal((shuffled @ shuffled.T).astype(np.int64), exact)
    unit = given / np.abs(given).max(axis=1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    size = np.sqrt(exact.diagonal())
    assert np.abs(exact / size[:, None] / size - unit @ unit.T).max() < 0.001


def test_lengths_stay_below_the_limit_in_the_most_dimensions() -> None:
    # Components of RADIUS / sqrt(d), just above a half, round up: rounding adds most to the length.
    made, _ = quantised(np.ones((1, MOST_DIMENSIONS)))
    assert int((made.astype(np.int64) ** 2).sum()) <= 2**24
    assert (RADIUS + math.sqrt(MOST_DIMENSIONS) / 2) ** 2 <= 2**24


@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 30))
def test_sums_are_those_of_plain_python_however_they_are_cut(seed: int, tokens: int, cut: int) -> None:
    draw = np.random.default_rng(seed)
    table = draw.normal(size=(7, 3)).astype(np.float32)
    ids, owner, weights = draw.integers(0, 7, tokens), np.sort(draw.integers(0, 4, tokens)), draw.normal(size=tokens)
    sums = np.zeros((4, 3))
    for part in (slice(0, cut), slice(cut, None)):
        add_vectors(table, ids[part], weights[part], owner[part], sums)
    plain = [[0.0] * 3 for _ in range(4)]
    for token, to, weight in zip(ids, owner, weights.tolist(), strict=True):
        for k in range(3):
            plain[to][k] += weight * float(table[token, k])
    assert sums.tolist() == plain
