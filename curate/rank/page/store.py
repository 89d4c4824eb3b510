"""The database of the page: one SQLite file in the campaign's folder, and the one thread that writes to it.

Writes that wait together are committed together, with one flush to disk for all of them, and nobody is told that a
vote is saved before its flush is done (WAL, `synchronous=FULL`). Killing the server loses nothing that was told saved.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from curate.errors import InputError, OutputError
from curate.rank.campaign import VOTES, Key, Task
from curate.rank.votes import Vote, append_votes, now

__all__ = [
    "DATABASE",
    "Store",
    "add_annotator",
    "as_vote",
    "connect",
    "export_votes",
    "fill",
    "has_votes",
    "setting",
    "votes_of",
    "whole_lines",
]

DATABASE = "page.sqlite"

T = TypeVar("T")
Do = Callable[[sqlite3.Connection], T]

TOGETHER = 256
"""The most writes that are committed at once."""

TABLES = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS annotators (name TEXT PRIMARY KEY, secret TEXT UNIQUE NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (position INTEGER PRIMARY KEY, task TEXT UNIQUE NOT NULL, gold INTEGER NOT NULL,
    taken INTEGER NOT NULL, content TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS free ON tasks (gold, taken, position);
CREATE TABLE IF NOT EXISTS counts (gold INTEGER NOT NULL, taken INTEGER NOT NULL, tasks INTEGER NOT NULL,
    PRIMARY KEY (gold, taken)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS counted AFTER UPDATE OF taken ON tasks BEGIN
    UPDATE counts SET tasks = tasks - 1 WHERE gold = old.gold AND taken = old.taken;
    INSERT INTO counts VALUES (new.gold, new.taken, 1) ON CONFLICT DO UPDATE SET tasks = tasks + 1;
END;
CREATE TABLE IF NOT EXISTS opened (annotator TEXT NOT NULL, task TEXT NOT NULL, state INTEGER NOT NULL,
    at REAL NOT NULL, since REAL NOT NULL, PRIMARY KEY (annotator, task)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS waiting ON opened (state, at);
CREATE TABLE IF NOT EXISTS drafts (annotator TEXT NOT NULL, task TEXT NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (annotator, task)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS votes (id INTEGER PRIMARY KEY, annotator TEXT NOT NULL, task TEXT NOT NULL,
    criterion TEXT NOT NULL, at TEXT NOT NULL, submission TEXT NOT NULL, row TEXT NOT NULL,
    UNIQUE (annotator, submission, criterion));
CREATE INDEX IF NOT EXISTS said ON votes (annotator, task);
"""
"""opened.state: see `curate.rank.page.assign`. opened.at: when it was last worked on; since: when it was first opened.
counts: how many tasks there are of each `gold` and `taken`, so that nobody has to count them."""


def connect(folder: Path) -> sqlite3.Connection:
    """The campaign's database, made when there is none; only its owner may read it. Raises OutputError."""
    path = folder / DATABASE
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(TABLES)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise OutputError(f"{path}: {error}") from error
    return db


@contextmanager
def whole(db: sqlite3.Connection) -> Iterator[None]:
    """All of it on disk, or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


class Store:
    """The database of a campaign that is served. `write` is for whatever changes it, `read` for long looks at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._db = connect(folder)
        self._queue: queue.SimpleQueue[tuple[Do[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="votes")
        self._thread.start()

    async def write(self, do: Do[T]) -> T:
        """What `do` returns, when what it wrote is on disk. Raises what it raises, and then nothing of it is written."""
        future: Future[T] = Future()
        self._queue.put((do, future))
        return await asyncio.wrap_future(future)

    async def read(self, do: Do[T]) -> T:
        """What `do` returns, of a connection of its own, beside the writing."""
        return await asyncio.to_thread(self._read, do)

    def close(self) -> None:
        """Write what waits, and end."""
        self._queue.put(None)
        self._thread.join()
        self._db.close()

    def _read(self, do: Do[T]) -> T:
        db = sqlite3.connect(self.folder / DATABASE, timeout=10, isolation_level=None)
        try:
            return do(db)
        finally:
            db.close()

    def _write(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < TOGETHER and not self._queue.empty():
                batch.append(self._queue.get())
            self._commit([work for work in batch if work is not None and work[1].set_running_or_notify_cancel()])
            if None in batch:
                return

    def _commit(self, batch: list[tuple[Do[Any], Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any, Exception | None]] = []
        try:
            with whole(self._db):
                for do, future in batch:
                    self._db.execute("SAVEPOINT one")
                    try:
                        done.append((future, do(self._db), None))
                    except Exception as error:  # noqa: BLE001 - it is the asker's, and the others' writes go on
                        self._db.execute("ROLLBACK TO one")
                        done.append((future, None, error))
                    self._db.execute("RELEASE one")
        except sqlite3.Error as error:
            # The disk is full, or the like: nothing of the batch was saved, and nobody is told that it was.
            done = [(future, None, error) for _, future in batch]
        for future, value, fault in done:
            if fault is None:
                future.set_result(value)
            else:
                future.set_exception(fault)


def fill(db: sqlite3.Connection, tasks: Iterable[Task], key: dict[str, Key], before: Iterable[Vote]) -> int:
    """Bring the tasks and the votes of other sources in, in place of those of an earlier start; the number of tasks."""
    with whole(db):
        db.execute("DELETE FROM tasks")
        for position, task in enumerate(tasks):
            content = {"prompt": task.prompt, "answers": [[answer.answer, answer.text] for answer in task.answers]}
            gold = task.task in key and key[task.task].gold is not None
            row = (position, task.task, gold, json.dumps(content))
            db.execute("INSERT OR IGNORE INTO tasks VALUES (?, ?, ?, 0, ?)", row)
        skipped: dict[tuple[str, str], bool] = {}
        for vote in before:
            if vote.source.startswith("model:"):
                # A model's vote is beside those that people were asked for.
                continue
            place = (vote.annotator, vote.task)
            skipped[place] = skipped.get(place, True) and vote.ranks is None
        # Whoever did a task on a sheet is not given it again.
        db.executemany(
            "INSERT OR IGNORE INTO opened VALUES (?, ?, ?, 0, 0)",
            [(*place, 3 if skip else 1) for place, skip in skipped.items()],
        )
        db.execute(
            "UPDATE tasks SET taken = n FROM (SELECT task AS name, count(*) AS n FROM opened WHERE state IN (0, 1)"
            " GROUP BY task) WHERE task = name"
        )
        db.execute("DELETE FROM counts")
        db.execute("INSERT INTO counts SELECT gold, taken, count(*) FROM tasks GROUP BY gold, taken")
    return int(db.execute("SELECT count(*) FROM tasks").fetchone()[0])


def setting(db: sqlite3.Connection, name: str, value: str) -> str:
    """The setting of this name; `value` where there was none."""
    db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, value))
    return str(db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()[0])


def add_annotator(db: sqlite3.Connection, name: str) -> str:
    """The secret of an annotator's link: 128 bits at random, drawn when there was none. Raises InputError."""
    if not 1 <= len(name) <= 200 or not name.isprintable() or name != name.strip():
        raise InputError(f"annotator {name[:50]!r}: a name has 1 to 200 printable characters, and no blanks around them")
    row = (name, secrets.token_urlsafe(16), now())
    db.execute("INSERT OR IGNORE INTO annotators VALUES (?, ?, ?)", row)
    return str(db.execute("SELECT secret FROM annotators WHERE name = ?", (name,)).fetchone()[0])


def as_vote(row: str) -> Vote:
    """A vote of its line of JSON, which the page wrote."""
    value = json.loads(row)
    value.pop("skipped", None)
    return Vote(**{"ranks": None, **value, "shown": tuple(value.get("shown", ()))})


def votes_of(db: sqlite3.Connection) -> list[Vote]:
    """Every vote given on the page, in order, with those that later ones replaced."""
    return [as_vote(row) for (row,) in db.execute("SELECT row FROM votes ORDER BY id")]


def has_votes(folder: Path) -> bool:
    """Whether votes were given on the page of a campaign. One whose database cannot be read is taken to have some."""
    if not (folder / DATABASE).is_file():
        return False
    db = sqlite3.connect(folder / DATABASE, timeout=10)
    try:
        return db.execute("SELECT 1 FROM votes LIMIT 1").fetchone() is not None
    except sqlite3.Error as error:
        return "no such table" not in str(error)
    finally:
        db.close()


def export_votes(db: sqlite3.Connection, folder: Path) -> int:
    """Add to votes.jsonl the votes of the page that are not in it; how many. Raises InputError, OutputError."""
    path = folder / VOTES
    there = set()
    if path.exists():
        whole_lines(path)
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                    there.add((row["annotator"], row["task"], row["criterion"], row["at"]))
                except (ValueError, KeyError, TypeError) as error:
                    raise InputError(f"{path}:{number}: not a vote; the page's votes stay in {DATABASE}") from error
    new = [vote for vote in votes_of(db) if (vote.annotator, vote.task, vote.criterion, vote.at) not in there]
    if new or not path.exists():
        append_votes(path, new)
    return len(new)


def whole_lines(path: Path) -> None:
    """Cut off a last line that was broken off while it was written: the database has it, and it is added again."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end == len(content):
        return
    with path.open("rb+") as file:
        try:
            json.loads(content[end:])
        except ValueError:
            file.truncate(end)
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
