"""Strengths from comparisons and rankings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from curate.rank.aggregate import bradley_terry, choices, components, elo, plackett_luce

wins_of = st.integers(2, 5).flatmap(lambda n: arrays.arrays(np.float64, (n, n), elements=st.integers(0, 6).map(float)))
weak_orders = st.integers(2, 5).flatmap(
    lambda k: arrays.arrays(np.int8, st.tuples(st.integers(1, 4), st.just(k)), elements=st.integers(0, k))
)


def luce(ranks, items, n, prior=0.1):
    chosen = choices(np.array(ranks, np.int8), np.array(items))
    won = np.bincount(chosen.took, weights=chosen.part, minlength=n)
    return plackett_luce(won[None], chosen.sets, chosen.weight[None], prior)[0]


@given(wins_of)
def test_strengths_are_where_the_likelihood_is_level(wins):
    """At the maximum each item has won as much as its strength says it should; the prior counts."""
    log = bradley_terry(wins, 0.5, 1e-11)
    np.fill_diagonal(wins, 0)
    assert abs(log.mean()) < 1e-6
    assert np.isfinite(log).all()
    # The prior's opponent has strength 1 before the mean is taken out: find it again.
    shift = np.linspace(-8, 8, 3201)
    chance = 1 / (1 + np.exp(log[None, :] - log[:, None]))
    surplus = wins.sum(1) - ((wins + wins.T) * chance).sum(1)
    against = 1 / (1 + np.exp(-(log[None, :] + shift[:, None])))
    assert np.abs(surplus + 0.5 * (0.5 - against)).max(1).min() < 5e-3


@given(wins_of, st.randoms(use_true_random=False))
def test_names_do_not_matter(wins, random):
    order = list(range(len(wins)))
    random.shuffle(order)
    assert np.allclose(bradley_terry(wins)[order], bradley_terry(wins[np.ix_(order, order)]), atol=1e-5)


@given(st.lists(wins_of.filter(lambda w: len(w) == 3), min_size=2, max_size=3))
@settings(max_examples=25)
def test_many_at_once_are_each_by_itself(several):
    together = bradley_terry(np.stack(several), tolerance=1e-10)
    assert np.allclose(together, [bradley_terry(wins, tolerance=1e-10) for wins in several], atol=1e-6)


def test_one_that_never_loses_stays_finite():
    log = bradley_terry(np.array([[0.0, 10, 10], [0, 0, 5], [0, 5, 0]]))
    assert log[0] > 3
    assert np.isfinite(log).all()
    assert log[1] == pytest.approx(log[2])


@given(weak_orders)
def test_a_tie_is_the_mean_of_its_orders(ranks):
    """Choices of a ranking with ties against those of every strict order that it may stand for, in equal parts."""
    items = np.tile(np.arange(ranks.shape[1]), (len(ranks), 1))
    found = choices(ranks, items)
    sets: dict[tuple[int, tuple[int, ...]], float] = {}
    taken: dict[tuple[int, int], float] = {}
    for vote, row in enumerate(ranks):
        ranked = [i for i in range(len(row)) if row[i]]
        orders = [o for o in itertools.permutations(ranked) if all(row[a] <= row[b] for a, b in itertools.pairwise(o))]
        for order in orders:
            for at in range(len(order) - 1):
                left = (vote, tuple(sorted(order[at:])))
                sets[left] = sets.get(left, 0) + 1 / len(orders)
                taken[vote, order[at]] = taken.get((vote, order[at]), 0) + 1 / len(orders)
    got = {
        (int(v), tuple(int(i) for i in s if i >= 0)): w for v, s, w in zip(found.vote, found.sets, found.weight, strict=True)
    }
    assert got == pytest.approx(sets)
    took = {(int(v), int(i)): p for v, i, p in zip(found.took_vote, found.took, found.part, strict=True) if p > 0}
    assert took == pytest.approx(taken)


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 2)), min_size=1, max_size=8))
def test_of_two_answers_both_models_say_the_same(votes):
    wins = np.zeros((2, 2))
    for a, b in votes:
        wins += [[0, (np.sign(b - a) + 1) / 2], [(np.sign(a - b) + 1) / 2, 0]]
    assert np.allclose(luce(votes, [[0, 1]] * len(votes), 2), bradley_terry(wins), atol=1e-5)


def test_strengths_of_simulated_rankings_are_found():
    rng = np.random.default_rng(0)
    true = np.array([1.0, 0.4, 0, -0.5, -0.9])
    items = np.array([rng.permutation(5)[:4] for _ in range(4000)])
    ranks = (-(true[items] + rng.gumbel(size=items.shape))).argsort(1).argsort(1) + 1
    assert np.allclose(luce(ranks, items, 5), true, atol=0.08)


def test_elo():
    # The first game moves both by half of k; the next is worth less, as it was expected.
    assert elo(np.array([0]), np.array([1]), np.array([1.0]), 2).tolist() == [1002, 998]
    ratings = elo(np.array([0, 0]), np.array([1, 1]), np.array([1.0, 0.5]), 3)
    assert ratings[0] == pytest.approx(1002 + 4 * (0.5 - 1 / (1 + 10 ** (-4 / 400))))
    assert ratings.sum() == pytest.approx(3000)
    assert ratings[2] == 1000


def test_components():
    games = np.zeros((5, 5))
    games[0, 1] = games[1, 0] = games[3, 4] = 1
    assert components(games) == [[0, 1], [3, 4], [2]]
    assert components(games, strong=True) == [[0, 1], [2], [3], [4]]
