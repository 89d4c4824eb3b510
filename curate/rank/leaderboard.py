"""Models in order of how people rank their answers, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.rank.aggregate import bradley_terry, choices, components, elo, plackett_luce
from curate.rank.ballots import COUPLES, Ballots, couples
from curate.rank.campaign import NAMES, Key

__all__ = ["by_voter", "leaderboard"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 1 << 23
"""Most numbers of a block of bootstrap draws."""


class Entries(NamedTuple):
    """Who wrote each answer: models in order of name; items [votes, 9], -1 where nobody is known; the task of each vote."""

    models: list[str]
    items: Ints
    task: Ints
    tasks: int


def _entries(ballots: Ballots, key: Mapping[str, Key]) -> Entries:
    names = ballots.frame["task"].unique(maintain_order=True).to_list()
    number = {name: i for i, name in enumerate(names)}
    written = {name: key[name].models for name in names if name in key}
    models = sorted({model for by in written.values() for model in by.values()})
    place = {model: i for i, model in enumerate(models)}
    who = np.full((len(names), len(NAMES)), -1, np.int64)
    for name, by in written.items():
        for letter, model in by.items():
            if letter in NAMES:
                who[number[name], NAMES.index(letter)] = place[model]
    task = ballots.frame["task"].replace_strict(number, return_dtype=pl.Int64).to_numpy() if names else np.zeros(0, np.int64)
    return Entries(models, who[task], task, len(names))


def leaderboard(ballots: Ballots, key: Mapping[str, Key], *, prior: float, samples: int, seed: int) -> dict[str, Any]:
    """Bradley-Terry, Plackett-Luce, Borda, majority and Elo of the models of these votes, best first by Bradley-Terry.

    Strengths are natural logarithms with mean 0; `low` and `high` are the ends of a 95 % bootstrap interval that draws whole
    tasks. Answers whose model the key does not name, and two answers of one model, are not compared. `components`: groups that
    no comparison connects; `one_way`: whether some models never lost, or never won, against all others, so that only the prior
    keeps their strengths finite. O(votes K^2 + samples (tasks K^2 + rounds n^2)).
    """
    from scipy.sparse import csr_array

    entries = _entries(ballots, key)
    n = len(entries.models)
    ranks = np.where(entries.items >= 0, ballots.ranks, 0).astype(np.int8)
    vote, which, result = couples(ranks)
    first, second = np.array(COUPLES).T
    i, j = entries.items[vote, first[which]], entries.items[vote, second[which]]
    other = i != j
    vote, i, j, result = vote[other], i[other], j[other], result[other]
    if not len(vote):
        return {"models": [], "games": 0, "components": [], "one_way": False}
    # A tie is half a win for both.
    score = (result + 1) / 2
    task = entries.task[vote]
    lines = np.concatenate([score, 1 - score])
    where = (np.tile(task, 2), np.concatenate([i * n + j, j * n + i]))
    wins_by_task = csr_array((lines, where), shape=(entries.tasks, n * n))
    chosen = choices(ranks, entries.items)
    sets, kind = _different(chosen.sets)
    took = csr_array((chosen.part, (entries.task[chosen.took_vote], chosen.took)), shape=(entries.tasks, n))
    sets_by_task = csr_array((chosen.weight, (entries.task[chosen.vote], kind)), shape=(entries.tasks, len(sets)))

    def strengths(draw: Floats, tolerance: float) -> tuple[Floats, Floats]:
        wins = (wins_by_task.T @ draw.T).T.reshape(-1, n, n)
        out_of = (sets_by_task.T @ draw.T).T
        by_sets = plackett_luce((took.T @ draw.T).T, sets, out_of, prior, tolerance)
        return bradley_terry(wins, prior, tolerance), by_sets

    bt, pl_ = (found[0] for found in strengths(np.ones((1, entries.tasks)), 1e-9))
    spread = _bootstrap(strengths, entries.tasks, len(sets), samples, seed)
    wins = wins_by_task.sum(0).reshape(n, n)
    games = wins + wins.T
    tables = {
        "bradley_terry": (bt, spread[0]),
        "plackett_luce": (pl_, spread[1]),
    }
    total = games.sum(1)
    shares = {
        "win_rate": wins.sum(1) / np.maximum(total, 1),
        "borda": _borda(ranks, entries.items, n),
        "majority": _majority(task, i, j, score, n),
    }
    in_time = np.argsort(ballots.frame["at"].rank("dense").to_numpy()[vote], kind="stable")
    points = elo(i[in_time], j[in_time], score[in_time], n)
    rows = []
    for m in sorted((m for m in range(n) if total[m]), key=lambda m: (-bt[m], entries.models[m])):
        row: dict[str, Any] = {"model": entries.models[m], "games": int(total[m]), "elo": round(float(points[m]), 1)}
        row |= {name: round(float(value[m]), 6) for name, value in shares.items()}
        for name, (value, draws) in tables.items():
            low, high = np.quantile(draws[:, m], (0.025, 0.975)) if len(draws) else (np.nan, np.nan)
            ends = {"low": low, "high": high} if len(draws) else {}
            row[name] = {"score": round(float(value[m]), 6)} | {end: round(float(at), 6) for end, at in ends.items()}
        row["ranks"] = _ranks_of(ranks, entries.items, m)
        rows.append(row)
    present = [m for m in range(n) if total[m]]
    named = [[entries.models[present[m]] for m in group] for group in components(games[np.ix_(present, present)])]
    strong = components(wins[np.ix_(present, present)], strong=True)
    return {"models": rows, "games": len(vote), "components": named, "one_way": len(strong) > len(named)}


def by_voter(ballots: Ballots, key: Mapping[str, Key], *, prior: float) -> dict[str, dict[str, float]]:
    """Bradley-Terry scores by model as people's votes alone have them (`people`), and as each model's votes alone do.

    Empty where nobody but people, or but one model, voted.
    """
    sources = ballots.frame["source"].unique().sort().to_list()
    models = [source for source in sources if source.startswith("model:")]
    voters = {"people": ~pl.col("source").is_in(models), **{name: pl.col("source") == name for name in models}}
    boards = {}
    for voter, theirs in voters.items():
        board = leaderboard(ballots.where(theirs), key, prior=prior, samples=0, seed=0)
        boards[voter] = {row["model"]: row["bradley_terry"]["score"] for row in board["models"]}
    boards = {voter: scores for voter, scores in boards.items() if scores}
    return boards if len(boards) > 1 else {}


def _different(sets: Ints) -> tuple[Ints, Ints]:
    """The different rows, and which of them each row is."""
    frame = pl.DataFrame(sets, schema=[str(i) for i in range(sets.shape[1])])
    kinds = frame.unique().sort(frame.columns).with_row_index("kind")
    of = frame.join(kinds, on=frame.columns, how="left", maintain_order="left")["kind"]
    return kinds.drop("kind").to_numpy(), of.cast(pl.Int64).to_numpy()


def _bootstrap(strengths: Any, tasks: int, width: int, samples: int, seed: int) -> tuple[Floats, Floats]:
    """Strengths of samples of tasks, each [samples, n]."""
    rng = np.random.default_rng(seed)
    block = max(1, min(samples, BLOCK // max(tasks, width)))
    found = []
    for begin in range(0, samples, block):
        draws = min(block, samples - begin)
        drawn = np.stack([np.bincount(rng.integers(0, tasks, tasks), minlength=tasks) for _ in range(draws)])
        found.append(strengths(drawn.astype(np.float64), 1e-6))
    if not found:
        return np.zeros((0, 0)), np.zeros((0, 0))
    return np.concatenate([bt for bt, _ in found]), np.concatenate([p for _, p in found])


def _borda(ranks: NDArray[np.int8], items: Ints, n: int) -> Floats:
    """Mean over a model's ranked answers of the share of the others that each beats; a tie is half."""
    ranked = ranks > 0
    beaten = np.zeros(ranks.shape)
    for k in range(ranks.shape[1]):
        mine = ranks[:, k, None]
        beaten[:, k] = ((ranks > mine).sum(1) + ((ranks == mine).sum(1) - 1) / 2) / np.maximum(ranked.sum(1) - 1, 1)
    used = ranked & (ranked.sum(1) >= 2)[:, None]
    sums = np.bincount(items[used], weights=beaten[used], minlength=n)
    share: Floats = sums / np.maximum(np.bincount(items[used], minlength=n), 1)
    return share


def _majority(task: Ints, i: Ints, j: Ints, score: Floats, n: int) -> Floats:
    """Share of a model's meetings with another on a task that it won by most votes; an even vote is half."""
    low, high = np.minimum(i, j), np.maximum(i, j)
    ahead = np.where(i == low, score, 1 - score)
    meeting, of = np.unique((task * n + low) * n + high, return_inverse=True)
    mean = np.bincount(of, weights=ahead) / np.bincount(of)
    won = (np.sign(np.round(mean - 0.5, 9)) + 1) / 2
    lower, upper = meeting // n % n, meeting % n
    wins = np.bincount(lower, weights=won, minlength=n) + np.bincount(upper, weights=1 - won, minlength=n)
    met = np.bincount(lower, minlength=n) + np.bincount(upper, minlength=n)
    share: Floats = wins / np.maximum(met, 1)
    return share


def _ranks_of(ranks: NDArray[np.int8], items: Ints, model: int) -> list[int]:
    """How often the model's answers got each rank, from 1 on."""
    got = np.bincount(ranks[(items == model) & (ranks > 0)], minlength=2)
    return [int(times) for times in got[1:]]
