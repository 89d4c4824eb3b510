"""The agreement of a campaign: figures over all votes, by criterion, source and pair of annotators, and about each annotator.

Rankings are compared answer with answer: for each two answers of a task a vote says that one is better, or that they are tied.
An answer is who it is, not where it stood, so that orders drawn for each annotator do no harm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.rank.agreement import (
    Alpha,
    alpha,
    cohen_kappa,
    counts_of,
    fleiss_kappa,
    kendall_w,
    raw_agreement,
    tau_b,
    wilson,
)  # fmt: skip
from curate.rank.ballots import COUPLES, Ballots, couples

__all__ = ["annotators", "by_pair", "clean", "figures", "flag_text", "gold_hits", "position_bias"]

RESULTS = np.array([-1.0, 0.0, 1.0])
"""The second is better, a tie, the first is better."""

FAST = 1 / 3
"""An annotator is fast whose median time is below this share of the median over annotators."""

FEW = 5
"""With fewer votes nothing is said of an annotator."""

GOLD = 0.75
"""An annotator misses gold when the interval of the accuracy reaches down to a half, as guessing gives, and not up to this."""

CHANCE = 0.01
"""Level of the tests for flags, divided by the number of annotators tested."""

MOST_PAIRS = 40
"""Annotators whose pairs are all listed; of more, those with the most votes."""


FLAGS = {"fast": "much faster than the others", "against_gold": "misses gold tasks"}


def flag_text(flag: str) -> str:
    """A flag of `annotators` in words."""
    return FLAGS.get(flag) or f"best answer is shown as number {flag.removeprefix('place_')} too often"


def clean(value: float) -> float | None:
    """A figure for JSON: null where it is not defined."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)


def _mean(values: NDArray[np.float64]) -> tuple[float | None, int]:
    values = values[~np.isnan(values)]
    return (clean(values.mean()) if len(values) else None), len(values)


def _alpha(found: Alpha) -> dict[str, Any]:
    return {"alpha": clean(found.alpha), "low": clean(found.low), "high": clean(found.high)}


def _lines(ballots: Ballots) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    """Compared pairs of answers: the vote, its task, the pair (the same number for the same pair of a task), who won."""
    vote, which, result = couples(ballots.ranks)
    place = pl.struct("task", "criterion").rank("dense").cast(pl.Int64) - 1
    task = ballots.frame.select(place).to_series().to_numpy().astype(np.int64)
    return vote, task, task[vote] * len(COUPLES) + which, result


def figures(ballots: Ballots, samples: int, seed: int) -> dict[str, Any]:
    """Agreement of these votes, over all pairs of answers. Votes by several criteria are compared within each.

    Intervals draw whole tasks, as the pairs of a task are not independent. Kendall's W and tau-b are means over the tasks on
    which two annotators or more ranked every answer. O(votes K^2 + samples tasks).
    """
    _, task, pair, result = _lines(ballots)
    names, unit = np.unique(pair, return_inverse=True)
    counts = counts_of(unit, result.astype(np.int64) + 1, len(names), 3)
    levels = {}
    found = None
    for level in ("nominal", "ordinal", "interval"):
        found = alpha(counts, RESULTS, level, group=names // len(COUPLES), samples=samples, seed=seed)
        levels[level] = _alpha(found)
    kappa, of, units = fleiss_kappa(counts)
    w, tau, tasks = _rank_figures(ballots, task)
    assert found is not None
    return {
        "votes": len(ballots),
        "annotators": ballots.frame["annotator"].n_unique(),
        "tasks": ballots.frame["task"].n_unique(),
        "pairs_compared": found.units,
        "judgements": found.values,
        "alpha": levels,
        "raw_agreement": clean(raw_agreement(counts)),
        "tie_rate": clean(float((result == 0).mean())) if len(result) else None,
        "fleiss_kappa": {"kappa": clean(kappa), "annotators": of, "pairs": units},
        "kendall_w": {"mean": w, "tasks": tasks[0]},
        "tau_b": {"mean": tau, "tasks": tasks[1]},
    }


def _rank_figures(ballots: Ballots, task: NDArray[np.int64]) -> tuple[float | None, float | None, tuple[int, int]]:
    """Mean W and tau-b over tasks, whatever their number of answers, and over how many."""
    size = ballots.frame["size"].to_numpy()
    whole = ballots.complete()
    ws, taus = [np.zeros(0)], [np.zeros(0)]
    for k in np.unique(size[whole]):
        at = np.flatnonzero(whole & (size == k))
        of = np.unique(task[at], return_inverse=True)[1]
        ws.append(kendall_w(ballots.ranks[at, :k], of))
        taus.append(tau_b(ballots.ranks[at, :k], of))
    w, tasks_w = _mean(np.concatenate(ws))
    tau, tasks_tau = _mean(np.concatenate(taus))
    return w, tau, (tasks_w, tasks_tau)


def by_pair(ballots: Ballots) -> list[dict[str, Any]]:
    """Each two annotators who compared the same answers: pairs compared, raw agreement, Cohen's kappa (plain and linear).

    In order of names; of more than `MOST_PAIRS` annotators only those with the most votes. O(votes x overlap).
    """
    most = ballots.frame["annotator"].value_counts().sort(["count", "annotator"], descending=[True, False]).head(MOST_PAIRS)
    ballots = ballots.where(pl.col("annotator").is_in(most["annotator"].implode()))
    vote, _, pair, result = _lines(ballots)
    lines = pl.DataFrame({"pair": pair, "who": ballots.frame["annotator"].gather(vote), "result": result})
    met = lines.join(lines, on="pair").filter(pl.col("who") < pl.col("who_right"))
    counted = met.group_by("who", "who_right", "result", "result_right").len().sort("who", "who_right")
    found = []
    for (first, second), cells in counted.group_by("who", "who_right", maintain_order=True):
        table = np.zeros((3, 3))
        table[cells["result"].to_numpy() + 1, cells["result_right"].to_numpy() + 1] = cells["len"].to_numpy()
        found.append(
            {
                "annotators": [first, second],
                "pairs": int(table.sum()),
                "raw_agreement": clean(np.trace(table) / table.sum()),
                "kappa": clean(cohen_kappa(table)),
                "kappa_linear": clean(cohen_kappa(table, "linear")),
            }
        )
    return found


def _best_place(ballots: Ballots) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Votes with one best answer whose place is known: position of the vote, the place, and how many places there were."""
    ranked = np.where(ballots.ranks > 0, ballots.ranks, 99)
    best = ranked.min(1)
    alone = (ranked == best[:, None]).sum(1) == 1
    places = (ballots.shown >= 0).sum(1)
    at = np.flatnonzero(alone & (best < 99) & (places >= 2))
    where = ballots.shown[at] == ranked[at].argmin(1)[:, None]
    at, where = at[where.any(1)], where[where.any(1)]
    return at, where.argmax(1), places[at]


def position_bias(ballots: Ballots) -> dict[str, Any]:
    """How often the best answer was the one shown first, second ...; against the even share, by a chi-square test.

    Votes whose best answer is tied, or whose order is not known, do not count. With tasks of several sizes the expected share
    of a place is over the votes that have such a place, and the test is a little too careful.
    """
    from scipy.stats import chi2

    _, place, places = _best_place(ballots)
    if not len(place):
        return {"votes": 0, "places": [], "chi2": None, "p": None}
    k = int(places.max())
    seen = np.bincount(place, minlength=k)
    expected = np.array([(1 / places[places > i]).sum() for i in range(k)])
    statistic = float(((seen - expected) ** 2 / expected).sum())
    lines = [
        {"place": i + 1, "best": int(n), "share": clean(n / len(place)), "expected": clean(e / len(place))}
        | dict(zip(("low", "high"), map(clean, wilson(n, len(place))), strict=True))
        for i, (n, e) in enumerate(zip(seen, expected, strict=True))
    ]
    return {"votes": len(place), "places": lines, "chi2": clean(statistic), "p": clean(chi2.sf(statistic, k - 1))}


def gold_hits(ballots: Ballots, gold: Mapping[str, Mapping[str, int]]) -> pl.DataFrame:
    """Votes on gold tasks against the right ranks: annotator, `right` (pairs ordered alike; a tie is half), `of` (pairs that
    the right ranks tell apart and the vote ranks)."""
    vote, which, result = couples(ballots.ranks)
    tasks = ballots.frame["task"]
    on = np.flatnonzero(tasks.is_in(list(gold)).to_numpy()[vote])
    vote, which, result = vote[on], which[on], result[on]
    names = sorted(gold)
    number = {name: i for i, name in enumerate(names)}
    true = np.array([[gold[name].get(letter, 0) for letter in "abcdefghi"] for name in names] or [[0] * 9], np.int8)
    t = np.array([number[name] for name in tasks.gather(vote).to_list()], np.int64)
    first, second = np.array(COUPLES).T
    i, j = true[t, first[which]], true[t, second[which]]
    told = (i > 0) & (j > 0) & (i != j)
    right = np.where(result == 0, 0.5, result == np.sign(j - i))[told]
    frame = pl.DataFrame({"annotator": ballots.frame["annotator"].gather(vote[told]), "right": right})
    return frame.group_by("annotator").agg(pl.col("right").sum(), pl.len().alias("of")).sort("annotator")


def annotators(ballots: Ballots, gold: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Each annotator: votes, skips, ties, time, where the best answer stood, accuracy on gold tasks; and flags.

    fast: a median time below a third of the others' median. first (second ...): the best answer stood there more often than
    chance would have it (binomial test, 1 % over all annotators). against_gold: the accuracy on gold tasks may be
    that of guessing or worse, and is below 75 % with 95 % confidence. A flag is a reason to look, not a verdict.
    """
    frame = ballots.frame.with_columns(pl.Series("tied", _tie_share(ballots)))
    people = frame.group_by("annotator").agg(
        pl.len().alias("votes"),
        pl.col("skipped").sum(),
        pl.col("all_bad").sum(),
        pl.col("tied").drop_nans().mean().alias("tie_rate"),
        pl.col("seconds").median().alias("median_seconds"),
        pl.col("seconds").count().alias("timed"),
    )
    usual = people.filter(pl.col("timed") >= FEW)["median_seconds"].median()
    places = _places(ballots)
    known = {row["annotator"]: row for row in gold_hits(ballots, gold).iter_rows(named=True)} if gold else {}
    found = []
    for row in people.sort("annotator").iter_rows(named=True):
        flags = []
        if isinstance(usual, float) and row["timed"] >= FEW and row["median_seconds"] < FAST * usual:
            flags.append("fast")
        place = places.get(row["annotator"])
        if place and place["p"] < CHANCE / len(places):
            flags.append(f"place_{place['place']}")
        line = {
            **{name: row[name] for name in ("annotator", "votes", "skipped", "all_bad")},
            "tie_rate": clean(row["tie_rate"]),
            "median_seconds": clean(row["median_seconds"]),
            "best_place": {k: v if k == "place" else clean(v) for k, v in place.items()} if place else None,
            "gold": None,
        }
        if (hit := known.get(row["annotator"])) is not None:
            low, high = wilson(hit["right"], hit["of"])
            line["gold"] = {
                "accuracy": clean(hit["right"] / hit["of"]),
                "low": clean(low),
                "high": clean(high),
                "pairs": hit["of"],
            }
            if low <= 0.5 and high < GOLD:
                flags.append("against_gold")
        found.append({**line, "flags": flags})
    return found


def _tie_share(ballots: Ballots) -> NDArray[np.float64]:
    """The share of a vote's pairs that are tied; NaN where it ranks fewer than two answers."""
    vote, _, result = couples(ballots.ranks)
    of = np.bincount(vote, minlength=len(ballots))
    tied = np.bincount(vote, weights=result == 0, minlength=len(ballots))
    with np.errstate(invalid="ignore"):
        share: NDArray[np.float64] = tied / of
    return share


def _places(ballots: Ballots) -> dict[str, dict[str, Any]]:
    """For annotators with enough votes: the place where the best answer stood most beyond chance, its share, and how likely."""
    from scipy.stats import binomtest

    at, place, places = _best_place(ballots)
    lines = pl.DataFrame({"who": ballots.frame["annotator"].gather(at), "place": place, "places": places})
    found = {}
    for (who,), mine in lines.group_by("who", maintain_order=True):
        if mine.height < FEW:
            continue
        n = mine.height
        seen = np.bincount(mine["place"].to_numpy(), minlength=int(mine["places"].max()))  # type: ignore[arg-type]
        even = [float((1 / mine["places"].to_numpy()[mine["places"].to_numpy() > i]).sum() / n) for i in range(len(seen))]
        p = [binomtest(int(k), n, min(e, 1.0), alternative="greater").pvalue for k, e in zip(seen, even, strict=True)]
        worst = int(np.argmin(p))
        # The place was picked among several.
        likely = min(1.0, float(p[worst]) * len(seen))
        found[str(who)] = {"place": worst + 1, "share": seen[worst] / n, "expected": even[worst], "p": likely}
    return found
