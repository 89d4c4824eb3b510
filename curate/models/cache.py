"""Answers kept on disk under the keys of their requests, from the moment they arrive."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from curate.errors import InputError, OutputError
from curate.models.ask import Answer

__all__ = ["Cache"]

AT_ONCE = 256
"""Keys in one look-up; SQLite takes 32,766 values in a statement, in old releases 999."""


class Cache:
    """An SQLite file: key -> answer as JSON. Several threads and processes may use one file at a time.

    Each answer is committed when it is written. The file is in WAL mode, synchronous NORMAL: a process that is killed at any
    moment loses nothing that was written; a machine that loses power may lose the last moments, and never the file.
    Keys stand in an index of their own, so that answers are not moved about as others come.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises OutputError where it cannot be made, InputError where it is something else."""
        self.path = path
        self._lock = Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA mmap_size = 1073741824")
            self._db.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB NOT NULL UNIQUE, answer TEXT NOT NULL)")
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error):
                raise InputError(f"{path}: not a cache of answers ({error}); move it away or name another file") from error
            raise OutputError(f"{path}: the cache of answers cannot be opened ({error})") from error
        except OSError as error:
            raise OutputError(f"{path}: the cache of answers cannot be made ({error.strerror})") from error

    def __len__(self) -> int:
        with self._lock:
            (count,) = self._db.execute("SELECT count(*) FROM answers").fetchone()
        return int(count)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """The answers that are there. O(log n) a key."""
        found: dict[bytes, Answer] = {}
        for start in range(0, len(keys), AT_ONCE):
            part = keys[start : start + AT_ONCE]
            marks = ",".join("?" * len(part))
            with self._lock:
                rows = self._db.execute(f"SELECT key, answer FROM answers WHERE key IN ({marks})", part).fetchall()
            for key, value in rows:
                text, reasoning, finish, prompt_tokens, completion_tokens = json.loads(value)
                found[key] = Answer(text, reasoning, finish, prompt_tokens, completion_tokens, True)
        return found

    def put(self, key: bytes, answer: Answer) -> None:
        """Write and commit an answer. What is there under the key stays. Raises OutputError, as when the disk is full."""
        # As JSON with every character beyond ASCII escaped: an answer may hold half of a surrogate pair.
        value = json.dumps(
            [answer.text, answer.reasoning, answer.finish, answer.prompt_tokens, answer.completion_tokens],
            separators=(",", ":"),
        )
        try:
            with self._lock:
                self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, value))
        except sqlite3.Error as error:
            raise OutputError(f"{self.path}: an answer cannot be written ({error}); those before it are kept") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
