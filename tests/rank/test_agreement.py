"""Figures of agreement: published numbers, other implementations, and what must hold whatever the votes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import kendalltau, rankdata

from curate.rank.agreement import (
    alpha,
    average_ranks,
    cohen_kappa,
    counts_of,
    fleiss_kappa,
    kendall_w,
    raw_agreement,
    tau_b,
    wilson,
)

# Four observers, twelve units, 0: missing. Krippendorff (2011), section C.
CODINGS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)
LEVELS = ("nominal", "ordinal", "interval")

matrices = arrays.arrays(np.int64, st.tuples(st.integers(2, 5), st.integers(1, 12)), elements=st.integers(0, 4))
"""Values 1 to 4 of annotators [rows] on units; 0: none."""

rankings = st.tuples(st.integers(2, 5), st.integers(2, 6)).flatmap(
    lambda shape: arrays.arrays(np.int8, shape, elements=st.integers(1, shape[1]))
)


def counts(matrix: np.ndarray, values: int) -> np.ndarray:
    return np.stack([(matrix == value).sum(0) for value in range(1, values + 1)], axis=1).astype(float)


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_published_alpha(level, published):
    found = alpha(counts(CODINGS, 5), np.arange(1.0, 6.0), level, samples=0)
    assert round(found.alpha, 3) == published
    assert (found.units, found.values) == (11, 40)
    assert math.isnan(found.low)


@given(matrices, st.sampled_from(LEVELS))
def test_alpha_is_the_mean_over_pairs(matrix, level):
    """Alpha by its definition: observed over expected distance, pair by pair."""
    used = [column[column > 0] for column in matrix.T if (column > 0).sum() >= 2]
    assume(used)
    pooled = np.concatenate(used)
    n = len(pooled)
    times = np.bincount(pooled, minlength=5)

    def distance(a, b):
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return float((a - b) ** 2)
        low, high = min(a, b), max(a, b)
        return float((times[low : high + 1].sum() - (times[a] + times[b]) / 2) ** 2)

    observed = sum(sum(distance(a, b) for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in used) / n
    expected = sum(distance(a, b) for a, b in itertools.permutations(pooled, 2)) / (n * (n - 1))
    found = alpha(counts(matrix, 4), np.arange(1.0, 5.0), level, samples=0).alpha
    if expected == 0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(1 - observed / expected, abs=1e-9)


@given(matrices, st.sampled_from(LEVELS), st.randoms(use_true_random=False))
def test_alpha_does_not_depend_on_order(matrix, level, random):
    values = np.arange(1.0, 5.0)
    rows, columns = list(range(matrix.shape[0])), list(range(matrix.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    one = alpha(counts(matrix, 4), values, level, samples=50, seed=3)
    other = alpha(counts(matrix[rows][:, columns], 4), values, level, samples=50, seed=3)
    assert np.allclose(one, other, equal_nan=True)


@given(st.lists(st.integers(1, 4), min_size=2, max_size=20), st.integers(2, 6), st.sampled_from(LEVELS))
def test_full_agreement_is_one(units, people, level):
    assume(len(set(units)) > 1)
    table = counts(np.tile(np.array(units), (people, 1)), 4)
    found = alpha(table, np.arange(1.0, 5.0), level, samples=20)
    assert found.alpha == 1
    assert found.high == 1
    assert raw_agreement(table) == 1
    assert fleiss_kappa(table) == (1, people, len(units))


def test_the_interval_holds_the_figure_and_narrows():
    rng = np.random.default_rng(1)
    widths = []
    for units in (50, 800):
        true = rng.integers(1, 4, units)
        matrix = np.stack([np.where(rng.random(units) < 0.7, true, rng.integers(1, 4, units)) for _ in range(3)])
        found = alpha(counts(matrix, 3), np.arange(1.0, 4.0), "nominal", samples=500)
        assert found.low < found.alpha < found.high
        widths.append(found.high - found.low)
        assert alpha(counts(matrix, 3), np.arange(1.0, 4.0), "nominal", samples=500) == found
    assert 3 < widths[0] / widths[1] < 5  # a quarter of the width, of sixteen times the units


def test_units_that_hang_together_are_drawn_together():
    rng = np.random.default_rng(2)
    per_task = rng.integers(0, 2, 60)
    matrix = np.repeat(np.stack([np.ones(60, int), 1 + per_task]), 5, axis=1)
    matrix = np.where(np.arange(300) % 2, 3 - matrix, matrix)
    table = counts(matrix, 2)
    alone = alpha(table, np.arange(1.0, 3.0), "nominal")
    together = alpha(table, np.arange(1.0, 3.0), "nominal", group=np.repeat(np.arange(60), 5))
    assert alone.alpha == pytest.approx(together.alpha)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_cohen_kappa():
    # Two people, 50 applications: both yes 20, both no 15 (a textbook table: 0.7 observed, 0.5 expected).
    assert cohen_kappa(np.array([[20.0, 5], [10, 15]])) == pytest.approx(0.4)
    table = np.array([[10.0, 5, 1], [2, 8, 3], [0, 4, 9]])
    n, apart = table.sum(), np.abs(np.subtract.outer(range(3), range(3)))
    chance = np.outer(table.sum(1), table.sum(0)) / n
    for weights, power in (("linear", 1), ("quadratic", 2)):
        expected = 1 - (table * apart**power).sum() / (chance * apart**power).sum()
        assert cohen_kappa(table, weights) == pytest.approx(expected)
    assert math.isnan(cohen_kappa(np.zeros((3, 3))))
    assert math.isnan(cohen_kappa(np.diag([4.0, 0, 0])))


def test_fleiss_kappa():
    # Fleiss' table of 14 raters on 10 subjects in 5 categories, as it is widely reprinted: 0.210.
    table = """0 0 0 0 14;0 2 6 4 2;0 0 3 5 6;0 3 9 2 0;2 2 8 1 1;7 7 0 0 0;3 2 6 3 0;2 5 3 2 2;6 5 2 1 0;0 2 2 3 7"""
    votes = np.array([[float(x) for x in row.split()] for row in table.split(";")])
    kappa, people, units = fleiss_kappa(votes)
    assert (round(kappa, 3), people, units) == (0.210, 14, 10)
    uneven = np.vstack([votes, [[1.0, 1, 0, 0, 0]], [[1.0, 0, 0, 0, 0]]])
    assert fleiss_kappa(uneven) == (kappa, 14, 10)
    assert math.isnan(fleiss_kappa(np.array([[1.0, 0.0]]))[0])


@given(rankings)
def test_average_ranks_are_scipys(ranks):
    assert np.array_equal(average_ranks(ranks), rankdata(ranks, axis=1))


@given(rankings)
def test_w_and_tau_by_their_definitions(ranks):
    m, k = ranks.shape
    task = np.zeros(m, np.int64)
    placed = rankdata(ranks, axis=1)
    ties = sum((times**3 - times).sum() for times in (np.unique(row, return_counts=True)[1] for row in ranks))
    sums = placed.sum(0)
    most = m * m * (k**3 - k) - m * ties
    w = kendall_w(ranks, task)[0]
    if most == 0:
        assert math.isnan(w)
    else:
        assert w == pytest.approx(12 * ((sums - sums.mean()) ** 2).sum() / most)
        assert -1e-9 <= w <= 1 + 1e-9
    told = [row for row in ranks if len(set(row)) > 1]
    taus = [kendalltau(a, b).statistic for a, b in itertools.combinations(told, 2)]
    found = tau_b(ranks, task)[0]
    assert (math.isnan(found) and not taus) or found == pytest.approx(np.mean(taus))


@given(st.permutations(range(1, 6)), st.integers(2, 5))
def test_all_alike_is_one_with_ties_too(order, people):
    for ranks in (order, [min(rank, 3) for rank in order]):
        same = np.tile(np.array(ranks, np.int8), (people, 1))
        assert kendall_w(same, np.zeros(people, np.int64))[0] == pytest.approx(1)
        assert tau_b(same, np.zeros(people, np.int64))[0] == pytest.approx(1)


def test_figures_of_nothing():
    nothing = np.zeros((0, 3))
    assert math.isnan(alpha(nothing, np.arange(3.0), "nominal").alpha)
    assert math.isnan(raw_agreement(nothing))
    assert kendall_w(np.zeros((0, 3), np.int8), np.zeros(0, np.int64)).size == 0
    assert counts_of(np.zeros(0, np.int64), np.zeros(0, np.int64), 0, 3).shape == (0, 3)


def test_wilson():
    # Newcombe (1998), table I: 15 of 148, and 0 of 20.
    assert [round(end, 4) for end in wilson(15, 148)] == [0.0624, 0.1605]
    assert [round(end, 4) for end in wilson(0, 20)] == [0.0, 0.1611]
    assert all(math.isnan(end) for end in wilson(0, 0))
