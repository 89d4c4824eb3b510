"""Votes: reading them, telling the last from those it replaced, and adding new ones to a campaign."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import OutputError
from curate.rank.campaign import checked_rows

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Vote", "append_votes", "last_votes", "now", "rank_lines", "read_votes"]


@dataclass(frozen=True)
class Vote:
    """What one annotator said of one task by one criterion; see `schemas/vote.json`. ranks None: skipped."""

    task: str
    annotator: str
    criterion: str
    ranks: dict[str, int] | None
    at: str
    all_bad: bool = False
    comment: str = ""
    shown: tuple[str, ...] = ()
    seconds: float | None = None
    source: str = ""

    def row(self) -> dict[str, Any]:
        """The vote as a line of votes.jsonl."""
        row: dict[str, Any] = {"task": self.task, "annotator": self.annotator, "criterion": self.criterion}
        row |= {"skipped": True} if self.ranks is None else {"ranks": self.ranks}
        optional = {"all_bad": self.all_bad, "comment": self.comment, "shown": list(self.shown), "source": self.source}
        row |= {name: value for name, value in optional.items() if value}
        if self.seconds is not None:
            row["seconds"] = self.seconds
        return {**row, "at": self.at}


def now() -> str:
    """The time as votes have it: UTC, microseconds, Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_votes(path: Path) -> list[Vote]:
    """The votes of a file, in order. Raises InputError at the first line that is not what the schema says."""
    votes = []
    for _, row in checked_rows(path, "vote"):
        row.pop("skipped", None)
        votes.append(Vote(**{"ranks": None, **row, "shown": tuple(row.get("shown", ()))}))
    return votes


def append_votes(path: Path, votes: Iterable[Vote]) -> None:
    """Add votes to a file, on disk when this returns. Raises OutputError."""
    lines = "".join(json.dumps(vote.row(), ensure_ascii=False) + "\n" for vote in votes)
    try:
        with path.open("ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error


def last_votes(votes: Sequence[Vote]) -> list[Vote]:
    """The votes that count: of several by one annotator on one task and criterion the last. In order of task and annotator."""
    last: dict[tuple[str, str, str], Vote] = {}
    for vote in votes:
        place = (vote.task, vote.criterion, vote.annotator)
        if place not in last or vote.at >= last[place].at:
            last[place] = vote
    return [last[place] for place in sorted(last)]


def rank_lines(votes: Sequence[Vote]) -> pl.DataFrame:
    """The ranks of votes as a table: task, criterion, annotator, answer, rank (Int64; 1 is best), a line a ranked answer."""
    import polars as pl

    lines = [
        (vote.task, vote.criterion, vote.annotator, answer, rank)
        for vote in votes
        for answer, rank in sorted((vote.ranks or {}).items())
    ]
    schema = {"task": pl.String, "criterion": pl.String, "annotator": pl.String, "answer": pl.String, "rank": pl.Int64}
    return pl.DataFrame(lines, schema=schema, orient="row")
