"""Votes out of sheets and files: what each holds is told by its content, and every cell that cannot be meant is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import InputError, nearest
from curate.rank.campaign import Campaign, Task
from curate.rank.votes import Vote

__all__ = ["Came", "Context", "Refusal", "new_votes", "read_file"]


class Refusal(NamedTuple):
    """A cell or a line that cannot be meant. sheet and column: empty where the file has none. row: from 1; 0: the file."""

    file: str
    sheet: str
    row: int
    column: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}" + (f" [{self.sheet}]" if self.sheet else "")
        cell = f"{self.column}{self.row}" if self.column and self.sheet else f"{self.row} {self.column}".strip()
        return f"{place}:{cell}: {self.reason}" if self.row else f"{place}: {self.reason}"


@dataclass
class Context:
    """What votes are checked against. annotator: whose votes they are where a file does not say."""

    campaign: Campaign
    tasks: Mapping[str, Task]
    annotator: str = ""


@dataclass
class Came:
    """What one file gave."""

    kind: str = ""
    votes: list[Vote] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    blank: int = 0
    """Tasks of the file that nobody did."""

    places: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """Where a task, annotator and criterion was met first, in files that have each once."""

    def add(self, context: Context, vote: Vote, file: str, sheet: str, row: int, column: str = "", *, once: bool) -> None:
        """Take a vote in, or refuse it. once: the file holds no history, so that a second one is a mistake."""
        reason = check(context, vote)
        key = (vote.task, vote.annotator, vote.criterion)
        if reason is None and once and key in self.places:
            reason = f"{vote.annotator} ranked task {vote.task} by {vote.criterion} in {self.places[key]} too: keep one"
        if reason is not None:
            self.refused.append(Refusal(file, sheet, row, column, reason))
            return
        self.places.setdefault(key, f"row {row}")
        self.votes.append(vote)


def check(context: Context, vote: Vote) -> str | None:
    """Why a vote cannot be of this campaign; None where it can."""
    task = context.tasks.get(vote.task)
    if task is None:
        return f"no task {vote.task!r:.80} in this campaign"
    known = context.campaign.annotators
    if not vote.annotator:
        return "nobody is named as annotator: fill it in, or name one with --annotator"
    if len(vote.annotator) > 200:
        return "an annotator's name has 200 characters at most"
    if known and vote.annotator not in known:
        return f"no annotator {vote.annotator!r:.80} in this campaign{nearest(vote.annotator, known)}"
    if vote.criterion not in context.campaign.criteria:
        return f"no criterion {vote.criterion!r:.80} in this campaign{nearest(vote.criterion, context.campaign.criteria)}"
    names = {answer.answer for answer in task.answers}
    if wrong := sorted({*(vote.ranks or {}), *vote.shown} - names):
        return f"task {vote.task} has no answer {wrong[0]!r}"
    if vote.ranks is not None and max(vote.ranks.values()) > len(names):
        return f"rank {max(vote.ranks.values())}: the task has {len(names)} answers"
    if len(vote.comment) > 10_000:
        return f"a comment of {len(vote.comment):,} characters; 10,000 are the most"
    return None


def read_file(path: Path, context: Context) -> Came:
    """The votes of a file, of whatever kind; what is refused, and what a person should be told.

    Kinds, by content: XLSX and CSV sheets, votes as JSON lines (of the page, of HTML sheets, of another machine), the JSON that
    Label Studio and Argilla export. Raises InputError when the file cannot be read or is none of these.
    """
    from curate.rank.sheets import back_json, back_table

    try:
        content = path.read_bytes()
        saved = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if content[:4] == b"PK\x03\x04":
        return back_table.read_xlsx(path, content, saved, context)
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1000]
    if start[:1] == b"<":
        raise InputError(f"{path}: this is a sheet, not its votes: open it and press 'Download votes'")
    if content[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise InputError(f"{path}: an old or protected Excel file: save it as .xlsx without a password")
    if not start:
        raise InputError(f"{path}: empty")
    if start[:1] in (b"[", b"{"):
        return back_json.read(path, content, saved, context)
    return back_table.read_csv(path, content, saved, context)


def new_votes(there: Iterable[Vote], came: Iterable[Vote]) -> list[Vote]:
    """Those of the votes that came which the campaign does not have, oldest first.

    A vote is there already when one by the same annotator on the same task and criterion, made at the same time, says the
    same, wherever it came from. One that repeats at another time what was said before is new: in between something else may
    have been said, in a file that is yet to come.
    """

    def key(vote: Vote) -> tuple[str, ...]:
        return vote.task, vote.criterion, vote.annotator, vote.at, said(vote)

    known = {key(vote) for vote in there}
    fresh = {key(vote): vote for vote in sorted(came, key=lambda vote: vote.at) if key(vote) not in known}
    return list(fresh.values())


def said(vote: Vote) -> str:
    """What a vote says, as text to compare: ranks or skipped, all bad, and the comment."""
    content: list[Any] = [vote.ranks, vote.all_bad, vote.comment]
    return json.dumps(content, sort_keys=True)
