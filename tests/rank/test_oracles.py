"""Our figures against evalica's (Apache-2.0) and choix's (MIT), which were written apart from ours."""

from __future__ import annotations

import choix
import evalica
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from curate.rank.aggregate import bradley_terry, choices, plackett_luce
from curate.rank.agreement import alpha
from tests.rank.test_agreement import CODINGS, LEVELS, counts, matrices

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_of_the_published_codings(level):
    theirs = evalica.alpha(pd.DataFrame(CODINGS).replace(0, np.nan), level)
    assert alpha(counts(CODINGS, 5), np.arange(1.0, 6.0), level, samples=0).alpha == pytest.approx(theirs.alpha, abs=1e-12)


@settings(max_examples=50)
@given(matrices, st.sampled_from(LEVELS))
def test_alpha(matrix, level):
    ours = alpha(counts(matrix, 4), np.arange(1.0, 5.0), level, samples=0).alpha
    assume(not np.isnan(ours))
    theirs = evalica.alpha(pd.DataFrame(matrix.astype(float)).replace(0, np.nan), level)
    assert ours == pytest.approx(theirs.alpha, abs=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_intervals_of_two_annotators(level):
    """Theirs draws pairs of values and keeps the expected disagreement (KALPHA); with two annotators that is nearly ours."""
    true = RNG.integers(1, 5, 600)
    matrix = np.stack([np.where(RNG.random(600) < 0.8, true, RNG.integers(1, 5, 600)) for _ in range(2)])
    ours = alpha(counts(matrix, 4), np.arange(1.0, 5.0), level, samples=2000)
    theirs = evalica.alpha_bootstrap(pd.DataFrame(matrix.astype(float)), level, random_state=0)
    assert ours.low == pytest.approx(theirs.low, abs=0.015)
    assert ours.high == pytest.approx(theirs.high, abs=0.015)


def drawn(rankings: int, items: int, of: int) -> list[tuple[int, ...]]:
    """Rankings by Plackett-Luce, best first."""
    true = np.linspace(1, -1, items)
    found = []
    for _ in range(rankings):
        some = RNG.permutation(items)[:of]
        found.append(tuple(int(i) for i in some[(-(true[some] + RNG.gumbel(size=of))).argsort()]))
    return found


def luce(rankings: list[tuple[int, ...]], items: int, prior: float) -> np.ndarray:
    chosen = choices(np.tile(np.arange(1, len(rankings[0]) + 1, dtype=np.int8), (len(rankings), 1)), np.array(rankings))
    sets, kind = np.unique(chosen.sets, axis=0, return_inverse=True)
    won = np.bincount(chosen.took, weights=chosen.part, minlength=items)
    return plackett_luce(won[None], sets, np.bincount(kind.ravel(), weights=chosen.weight)[None], prior)[0]


@pytest.mark.parametrize("of", [2, 3, 5])
def test_plackett_luce(of):
    rankings = drawn(200, 6, of)
    assert np.allclose(luce(rankings, 6, 0), choix.opt_rankings(6, rankings), atol=1e-5)


def test_bradley_terry():
    pairs = [(r[a], r[b]) for r in drawn(150, 6, 4) for a in range(4) for b in range(a + 1, 4)]
    wins = np.zeros((6, 6))
    for winner, loser in pairs:
        wins[winner, loser] += 1
    assert np.allclose(bradley_terry(wins, 0), choix.opt_pairwise(6, pairs), atol=1e-5)
    sides = [list(side) for side in zip(*pairs, strict=True)]
    theirs = evalica.bradley_terry(*sides, [evalica.Winner.X] * len(pairs), tolerance=1e-10).scores.sort_index().to_numpy()
    assert np.allclose(bradley_terry(wins, 0), np.log(theirs) - np.log(theirs).mean(), atol=1e-4)


def test_ties_are_half_a_win_for_both():
    sides = ["a", "a", "b", "c", "a", "b"], ["b", "c", "c", "a", "b", "a"]
    who = [evalica.Winner.X, evalica.Winner.X, evalica.Winner.Draw, evalica.Winner.X, evalica.Winner.Draw, evalica.Winner.X]
    wins = np.zeros((3, 3))
    for first, second, winner in zip(*sides, who, strict=True):
        i, j = "abc".index(first), "abc".index(second)
        score = {evalica.Winner.X: 1, evalica.Winner.Draw: 0.5}[winner]
        wins[i, j] += score
        wins[j, i] += 1 - score
    theirs = np.log(evalica.bradley_terry(*sides, who, tie_weight=0.5, tolerance=1e-10).scores.loc[["a", "b", "c"]].to_numpy())
    assert np.allclose(bradley_terry(wins, 0), theirs - theirs.mean(), atol=1e-4)
