"""From comparisons to one order: Bradley-Terry, Plackett-Luce, Elo, Borda, and which items can be compared at all.

Sources: Hunter, MM Algorithms for Generalized Bradley-Terry Models (Annals of Statistics 2004), for the iterations; Caron and
Doucet (2012) for a prior in them; Elo as Chatbot Arena used it (scale 400, K = 4).
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Choices", "bradley_terry", "choices", "components", "elo", "plackett_luce"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CHOOSE = np.array([[float(comb(n, k)) for k in range(10)] for n in range(10)])

ROUNDS = 10_000
"""Most iterations; those of items that hardly meet are many and cheap."""


def bradley_terry(wins: Floats, prior: float = 0.1, tolerance: float = 1e-8) -> Floats:
    """Log strengths [..., n] of items from wins [..., n, n], i over j; a tie is half a win for both. Their mean is 0.

    prior: wins and losses (half of it each) that every item is given against an item of strength 1, so that strengths stay
    finite where an item never loses, and exist where the comparisons fall apart; 0: the plain maximum of the likelihood, for
    comparisons that are strongly connected. Stops when no log strength moves by more than `tolerance`. O(rounds n^2).
    """
    n = wins.shape[-1]
    own = (..., np.arange(n), np.arange(n))
    games = wins + np.swapaxes(wins, -1, -2)
    won = wins.sum(-1) - wins[own] + prior / 2
    games[own] = 0
    log = np.zeros(wins.shape[:-1])
    for _ in range(ROUNDS):
        p = np.exp(log)
        met = (games / (p[..., :, None] + p[..., None, :])).sum(-1) + prior / (p + 1)
        log, before = _step(won, met, log, prior)
        if np.abs(log - before).max(initial=0.0) < tolerance:
            break
    found: Floats = log - log.mean(-1, keepdims=True)
    return found


def _step(won: Floats, met: Floats, log: Floats, prior: float) -> tuple[Floats, Floats]:
    """One round: new log strengths, and the old. Without a prior their mean is free, and put to 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        new = np.where(met > 0, np.log(won / met), log)
    # Nothing won at all: as weak as floats need, for a plain maximum that lies at minus infinity.
    new = np.clip(new, -50.0, 50.0)
    return (new if prior > 0 else new - new.mean(-1, keepdims=True)), log


class Choices(NamedTuple):
    """What rankings say, one choice after another: out of a set of items one was taken.

    took_vote, took, part: who was taken by which vote, and how often (a fraction where answers are tied). vote, sets, weight:
    the sets that were chosen from, as rows of items in order (-1: none), and how often.
    """

    took_vote: Ints
    took: Ints
    part: Floats
    vote: Ints
    sets: Ints
    weight: Floats


def choices(ranks: NDArray[np.int8], items: Ints) -> Choices:
    """The choices of rankings. ranks, items: [votes, K], rank (0: not ranked) and item of every answer.

    The best is taken out of all, the next out of the rest, and so on down to the last, which is no choice. A tie counts as
    every order of its answers in equal parts (their mean log-likelihood), so that a tie of two is half a win for both, as in
    Bradley-Terry. O(votes K^2), and 2^K for each different ranking.
    """
    digits = ranks @ 10 ** np.arange(ranks.shape[1])
    _, one, of = np.unique(digits, return_index=True, return_inverse=True)
    kinds = ranks[one]
    kind, column, part, from_kind, inside, weight = _choices_of(kinds)
    took_vote, at = _spread(of, kind, len(kinds))
    vote, line = _spread(of, from_kind, len(kinds))
    sets = np.where(inside[line], items[vote], -1)
    sets.sort(axis=1)
    return Choices(took_vote, items[took_vote, column[at]], part[at], vote, sets, weight[line])


def _spread(of: Ints, kind: Ints, kinds: int) -> tuple[Ints, Ints]:
    """Lines of kinds (ascending) for every vote of the kind: the vote, and the line."""
    many = np.bincount(kind, minlength=kinds)
    times = many[of]
    vote = np.repeat(np.arange(len(of)), times)
    within = np.arange(len(vote)) - np.repeat(np.cumsum(times) - times, times)
    return vote, (np.cumsum(many) - many)[of[vote]] + within


def _choices_of(ranks: NDArray[np.int8]) -> tuple[Ints, Ints, Floats, Ints, NDArray[np.bool_], Floats]:
    """The choices of different rankings: ranking, answer and part of what was taken; ranking, set and weight of the sets."""
    k = ranks.shape[1]
    ranked = ranks > 0
    kind, column = np.nonzero(ranked & (ranked.sum(1) >= 2)[:, None])
    worst = ranks.max(1, initial=0)
    alike = (ranks == worst[:, None]).sum(1)[kind]
    # Of g answers at the very bottom each is the last one, which is no choice, in one part of g.
    part = np.where(ranks[kind, column] == worst[kind], 1 - 1 / alike, 1.0)
    of, sets, weights = [kind[:0]], [np.zeros((0, k), bool)], [np.zeros(0)]
    for mask in range(1, 1 << k):
        inside = (mask >> np.arange(k)) & 1 > 0
        if inside.sum() < 2:
            continue
        # What is left at some stage: of one group of ties some, of the groups below all, of those above none.
        best = np.where(inside, ranks, 127).min(1)
        outside = ranked & ~inside
        at = np.flatnonzero((ranked | ~inside).all(1) & (~outside | (ranks <= best[:, None])).all(1))
        group = ranks[at] == best[at, None]
        size, left = group.sum(1), (group & inside).sum(1)
        of.append(at)
        sets.append(np.broadcast_to(inside, (len(at), k)))
        weights.append(1 / _CHOOSE[size, left])
    order = np.argsort(np.concatenate(of), kind="stable")
    return kind, column, part, np.concatenate(of)[order], np.concatenate(sets)[order], np.concatenate(weights)[order]


def plackett_luce(won: Floats, sets: Ints, weight: Floats, prior: float = 0.1, tolerance: float = 1e-8) -> Floats:
    """Log strengths [samples, n] of items, their mean 0, from choices.

    won: [samples, n], how often each was taken. sets: [S, K] items that were chosen from (-1: none); weight: [samples, S], how
    often. prior, tolerance: as `bradley_terry`. O(rounds samples S K).
    """
    from scipy.sparse import csr_array

    n = won.shape[1]
    row, column = np.nonzero(sets >= 0)
    # An item may stand in a set twice: two answers by one model.
    members = csr_array((np.ones(len(row)), (row, sets[row, column])), shape=(len(sets), n))
    turned = members.T.tocsr()
    won = won + prior / 2
    log = np.zeros(won.shape)
    for _ in range(ROUNDS):
        p = np.exp(log)
        met = (turned @ (weight.T / (members @ p.T))).T + prior / (p + 1)
        log, before = _step(won, met, log, prior)
        if np.abs(log - before).max(initial=0.0) < tolerance:
            break
    found: Floats = log - log.mean(1, keepdims=True)
    return found


def elo(first: Ints, second: Ints, score: Floats, items: int, k: float = 4.0) -> Floats:
    """Elo ratings after games in order, from 1000, 400 points a factor of ten. score: 1 the first won, 0.5 a tie, 0 it lost.

    For show: ratings depend on the order of the games, and the first ones fade. O(games), in Python.
    """
    rating = [1000.0] * items
    for i, j, s in zip(first.tolist(), second.tolist(), score.tolist(), strict=True):
        step = k * (s - 1 / (1 + 10 ** ((rating[j] - rating[i]) / 400)))
        rating[i] += step
        rating[j] -= step
    return np.array(rating)


def components(games: Floats, strong: bool = False) -> list[list[int]]:
    """Groups of items that comparisons connect, the largest first, from games [n, n] (`strong`: wins, i over j).

    Between two groups nothing can be said but what the prior says. strong: groups within which everyone, by way of others,
    has both won and lost (half a win each for a tie); only within one is the plain maximum of the likelihood finite.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    graph = csr_array(games > 0)
    _, label = connected_components(graph, directed=True, connection="strong" if strong else "weak")
    groups = [np.flatnonzero(label == i).tolist() for i in range(int(label.max(initial=-1)) + 1)]
    return sorted(groups, key=lambda group: (-len(group), group))
