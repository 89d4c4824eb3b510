"""What the admin page shows: how far the campaign and each annotator are, how they agree, how fast and how right they are."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import median
from typing import Any

from curate.rank.campaign import Campaign, Key
from curate.rank.page.store import votes_of
from curate.rank.votes import Vote, last_votes

__all__ = ["agreement", "figures", "gold_accuracy"]


def figures(db: sqlite3.Connection, campaign: Campaign, key: dict[str, Key], others: Sequence[Vote]) -> dict[str, Any]:
    """The figures of the page. others: votes of other sources. O(votes)."""
    votes = last_votes([*others, *votes_of(db)])
    (tasks, gold) = db.execute("SELECT count(*), coalesce(sum(gold), 0) FROM tasks").fetchone()
    (given,) = db.execute("SELECT coalesce(sum(min(taken, ?)), 0) FROM tasks WHERE gold = 0", (campaign.overlap,)).fetchone()
    (waiting,) = db.execute("SELECT count(*) FROM opened JOIN tasks USING (task) WHERE gold = 0 AND state = 0").fetchone()
    wanted = (tasks - gold) * campaign.overlap
    done = max(0, given - waiting)
    links = dict(db.execute("SELECT name, secret FROM annotators ORDER BY name").fetchall())
    by_person: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_person[vote.annotator].append(vote)
    open_now = dict(db.execute("SELECT annotator, count(*) FROM opened WHERE state = 0 GROUP BY annotator").fetchall())
    people = [
        {"name": name, "link": links.get(name), "open": open_now.get(name, 0), **_of_person(by_person[name], key)}
        for name in sorted({*links, *by_person})
    ]
    return {
        "criteria": [(name, *agreement([v for v in votes if v.criterion == name])) for name in campaign.criteria],
        "tasks": tasks, "gold": gold, "overlap": campaign.overlap, "wanted": wanted, "done": done, "open": waiting,
        "share_done": done / wanted if wanted else 0.0, "people": people, "gold_accuracy": gold_accuracy(votes, key),
        "votes": len({(v.task, v.annotator) for v in votes if v.ranks}), "seconds": _median(votes),
    }  # fmt: skip


def _of_person(votes: list[Vote], key: dict[str, Key]) -> dict[str, Any]:
    return {
        "done": len({vote.task for vote in votes if vote.ranks}),
        "skipped": len({vote.task for vote in votes if not vote.ranks}),
        "seconds": _median(votes),
        "gold": gold_accuracy(votes, key),
        "last": max((vote.at for vote in votes), default=""),
    }


def _median(votes: Sequence[Vote]) -> float | None:
    """Median seconds a task."""
    times = {(vote.annotator, vote.task): vote.seconds for vote in votes if vote.ranks and vote.seconds is not None}
    return median(times.values()) if times else None


def _sides(ranks: dict[str, int]) -> Iterator[tuple[tuple[str, str], int]]:
    """Every two answers, and which is better: -1 the first, 0 neither, 1 the second."""
    for first, second in combinations(sorted(ranks), 2):
        yield (first, second), (ranks[first] > ranks[second]) - (ranks[first] < ranks[second])


def agreement(votes: Sequence[Vote]) -> tuple[float | None, int]:
    """Raw agreement: of every two answers that two annotators compared, how often both said the same; and of how many."""
    said: dict[tuple[str, tuple[str, str]], Counter[int]] = defaultdict(Counter)
    for vote in votes:
        for pair, side in _sides(vote.ranks or {}):
            said[vote.task, pair][side] += 1
    same = sum(n * (n - 1) // 2 for counts in said.values() for n in counts.values())
    of = sum(n * (n - 1) // 2 for n in (counts.total() for counts in said.values()))
    return (same / of if of else None), of


def gold_accuracy(votes: Sequence[Vote], key: dict[str, Key]) -> tuple[float | None, int]:
    """How often two answers of a gold task were put in the right order, and of how many that have one. A tie is wrong."""
    right = of = 0
    for vote in votes:
        gold = key[vote.task].gold if vote.task in key else None
        sides = dict(_sides(gold or {}))
        for pair, side in _sides(vote.ranks or {}):
            if sides.get(pair):
                of += 1
                right += side == sides[pair]
    return (right / of if of else None), of
