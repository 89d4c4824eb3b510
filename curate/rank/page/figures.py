"""What the admin page shows: how far the campaign and each annotator are, how they agree, how fast and how right they are.

Agreement, gold accuracy and length bias are those of `curate rank agreement`, of the same code.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from curate.rank.ballots import Ballots, as_table, ballots_of, task_sizes
from curate.rank.campaign import Campaign, Key
from curate.rank.concord import annotators, flag_text, gold_hits
from curate.rank.concord import figures as agreement_of
from curate.rank.lengths import answer_lengths, length_bias
from curate.rank.page.store import votes_of
from curate.rank.votes import Vote, last_votes

__all__ = ["figures"]


def figures(
    db: sqlite3.Connection, folder: Path, campaign: Campaign, key: dict[str, Key], others: Sequence[Vote]
) -> dict[str, Any]:
    """The figures of the page. folder: the campaign's. others: votes of other sources. O(votes). Raises InputError."""
    votes = last_votes([*others, *votes_of(db)])
    (tasks, gold) = db.execute("SELECT count(*), coalesce(sum(gold), 0) FROM tasks").fetchone()
    (given,) = db.execute("SELECT coalesce(sum(min(taken, ?)), 0) FROM tasks WHERE gold = 0", (campaign.overlap,)).fetchone()
    (waiting,) = db.execute("SELECT count(*) FROM opened JOIN tasks USING (task) WHERE gold = 0 AND state = 0").fetchone()
    wanted = (tasks - gold) * campaign.overlap
    done = max(0, given - waiting)
    links = dict(db.execute("SELECT name, secret FROM annotators ORDER BY name").fetchall())
    by_person: dict[str, list[Vote]] = {name: [] for name in links}
    for vote in votes:
        by_person.setdefault(vote.annotator, []).append(vote)
    open_now = dict(db.execute("SELECT annotator, count(*) FROM opened WHERE state = 0 GROUP BY annotator").fetchall())
    sizes = task_sizes(folder)
    # Votes on tasks that were taken out of the campaign are kept, and say nothing of it.
    ballots = ballots_of(folder, as_table([vote for vote in votes if vote.task in sizes]))
    known = {task: entry.gold for task, entry in key.items() if entry.gold}
    told = {row["annotator"]: row for row in annotators(ballots, known)}
    lengths = answer_lengths(folder)
    longer = length_bias(ballots, lengths)["annotators"]
    # Models that voted stand in the table; what is said of the campaign is of people.
    human = ballots.where(~pl.col("source").str.starts_with("model:"))
    people = [
        {
            "name": name, "link": links.get(name), "model": name.startswith("model:"),
            "open": open_now.get(name, 0), **_of_person(by_person[name]),
            "gold": told.get(name, {}).get("gold"), "flags": [flag_text(flag) for flag in told.get(name, {}).get("flags", [])],
            "longer": [row for row in longer if row["annotator"] == name],
        }
        for name in sorted(by_person)
    ]  # fmt: skip
    hits = gold_hits(human, known) if known else None
    of_gold = 0 if hits is None else int(hits["of"].sum())
    return {
        "criteria": [(name, *_agreement(human.where(pl.col("criterion") == name))) for name in campaign.criteria],
        "tasks": tasks, "gold": gold, "overlap": campaign.overlap, "wanted": wanted, "done": done, "open": waiting,
        "share_done": done / wanted if wanted else 0.0, "people": people, "longer": length_bias(human, lengths)["over_all"],
        "gold_accuracy": (hits["right"].sum() / of_gold if hits is not None and of_gold else None, of_gold),
        "votes": len({(v.task, v.annotator) for v in votes if v.ranks}), "seconds": _median(votes),
    }  # fmt: skip


def _agreement(ballots: Ballots) -> tuple[float | None, float | None, int]:
    """Raw agreement, ordinal alpha, and of how many pairs of answers that two annotators or more compared."""
    found = agreement_of(ballots, 0, 0)
    return found["raw_agreement"], found["alpha"]["ordinal"]["alpha"], found["pairs_compared"]


def _of_person(votes: list[Vote]) -> dict[str, Any]:
    return {
        "done": len({vote.task for vote in votes if vote.ranks}),
        "skipped": len({vote.task for vote in votes if not vote.ranks}),
        "seconds": _median(votes),
        "last": max((vote.at for vote in votes), default=""),
    }


def _median(votes: Sequence[Vote]) -> float | None:
    """Median seconds a task."""
    times = {(vote.annotator, vote.task): vote.seconds for vote in votes if vote.ranks and vote.seconds is not None}
    return median(times.values()) if times else None
