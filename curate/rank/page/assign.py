"""Who gets which task next, and what becomes of tasks that were opened and left.

A task that an annotator was given is in one of four states. Open and voted ones count towards the campaign's overlap;
those that were returned (left for too long) or skipped do not, and go to somebody else.
"""

from __future__ import annotations

import hashlib
import sqlite3

from curate.rank.campaign import Campaign

__all__ = ["OPEN", "RETURNED", "SKIPPED", "VOTED", "next_task", "progress", "touch", "was_given"]

OPEN, VOTED, RETURNED, SKIPPED = 0, 1, 2, 3

GOLD_EVERY = 10
"""Of so many tasks at the most one is gold, wherever the annotator cannot foresee."""


def next_task(db: sqlite3.Connection, annotator: str, campaign: Campaign, at: float, timeout: float) -> str | None:
    """The task that this annotator works on next; None when there is none for them. O(tasks they did) in the worst case.

    One that they have open comes first; else the first of those that the fewest people were given, below the overlap.
    Gold tasks are mixed in, are given to everybody, and their overlap is not counted. at, timeout: seconds.
    """
    _return(db, at - timeout)
    row = db.execute(
        "SELECT task FROM opened WHERE annotator = ? AND state = 0 ORDER BY since LIMIT 1", (annotator,)
    ).fetchone()
    row = row or _pick(db, annotator, campaign)
    if row is None:
        return None
    touch(db, annotator, row[0], at)
    return str(row[0])


def touch(db: sqlite3.Connection, annotator: str, task: str, at: float, state: int = OPEN) -> None:
    """Book that the annotator works on the task, or what they made of it."""
    row = db.execute("SELECT state FROM opened WHERE annotator = ? AND task = ?", (annotator, task)).fetchone()
    before = RETURNED if row is None else row[0]
    if state == OPEN and before in (VOTED, SKIPPED):
        return
    db.execute(
        "INSERT INTO opened VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state, at = excluded.at",
        (annotator, task, state, at, at),
    )
    change = (state in (OPEN, VOTED)) - (before in (OPEN, VOTED))
    if change:
        db.execute("UPDATE tasks SET taken = taken + ? WHERE task = ?", (change, task))


def was_given(db: sqlite3.Connection, annotator: str, task: str) -> float | None:
    """When the annotator first opened the task; None when they never did."""
    row = db.execute(
        "SELECT since FROM opened JOIN tasks USING (task) WHERE annotator = ? AND task = ?", (annotator, task)
    ).fetchone()
    return None if row is None else float(row[0])


def progress(db: sqlite3.Connection, annotator: str, overlap: int) -> tuple[int, int]:
    """How many tasks the annotator has done, and how many are left for them, without gold that is still to come."""
    (done,) = db.execute("SELECT count(*) FROM opened WHERE annotator = ? AND state IN (1, 3)", (annotator,)).fetchone()
    (free,) = db.execute("SELECT coalesce(sum(tasks), 0) FROM counts WHERE gold = 0 AND taken < ?", (overlap,)).fetchone()
    (mine, open_) = db.execute(
        "SELECT coalesce(sum(gold = 0 AND taken < ? AND state != 2), 0), coalesce(sum(state = 0), 0)"
        " FROM opened JOIN tasks USING (task) WHERE annotator = ?",
        (overlap, annotator),
    ).fetchone()
    return done, free - mine + open_


def _return(db: sqlite3.Connection, before: float) -> None:
    """Give back what was opened and not worked on since."""
    for annotator, task in db.execute("SELECT annotator, task FROM opened WHERE state = 0 AND at < ?", (before,)).fetchall():
        touch(db, annotator, task, before, RETURNED)


def _pick(db: sqlite3.Connection, annotator: str, campaign: Campaign) -> tuple[str] | None:
    question = (
        "SELECT task FROM tasks WHERE gold = ? AND taken < ? AND NOT EXISTS (SELECT 1 FROM opened"
        " WHERE opened.annotator = ? AND opened.task = tasks.task AND opened.state != 2) ORDER BY taken, position LIMIT 1"
    )
    everybody = 2**62
    plain = db.execute(question, (0, campaign.overlap, annotator)).fetchone()
    gold = None
    if _gold_is_due(db, annotator, campaign.seed, last=plain is None):
        gold = db.execute(question, (1, everybody, annotator)).fetchone()
    return gold or plain  # type: ignore[no-any-return]


def _gold_is_due(db: sqlite3.Connection, annotator: str, seed: int, last: bool) -> bool:
    """Whether the annotator's next task is a gold one: one in each stretch of tasks, at a place drawn for it.

    last: no other tasks are left, and the stretch gets its gold task now where it still lacks one.
    """
    tasks, gold = db.execute("SELECT sum(tasks), sum(tasks * gold) FROM counts").fetchone()
    if not gold or gold == tasks:
        return bool(gold)
    stretch = max(2, min(GOLD_EVERY, tasks // gold))
    (given,) = db.execute("SELECT count(*) FROM opened WHERE annotator = ? AND state != 2", (annotator,)).fetchone()
    number, place = divmod(given, stretch)
    draw = int.from_bytes(hashlib.blake2b(f"{seed} {annotator} {number}".encode(), digest_size=8).digest(), "big") % stretch
    return bool(0 < place <= draw if last else place == draw)
