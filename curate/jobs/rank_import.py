"""Votes from sheets and files into a campaign: `curate rank import`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Job, Result, Single, Stage, Work
from curate.errors import CurateError, InputError, MissingExtra

if TYPE_CHECKING:
    from curate.rank.importing import Came, Context, Refusal
    from curate.rank.votes import Vote

__all__ = ["ImportVotes"]

SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".json", ".jsonl", ".ndjson")
"""Files that are taken of a folder."""

TOLD = 20
"""Refusals that are said; all are written."""


class ImportVotes(Job):
    """Take the votes of sheets and files into a campaign: CSV, XLSX, HTML sheets, Label Studio, Argilla, votes.jsonl.

    What a file is, is told by its content. Ties and partial rankings are votes; a row without ranks is not done, and is none.
    Of several votes by one annotator on a task and criterion the last counts: of sheets by when the file was saved, else by
    when the vote was made. All are kept; a vote that is there already is not taken in again.

    A cell or line that cannot be meant is refused with its place and the reason: unknown tasks, annotators and criteria, one
    task twice in a sheet, ranks that a spreadsheet made dates of. Then nothing at all is taken in, unless `partial`; every
    refusal stands in `rejected/votes.jsonl`.

    Output: the campaign's `votes.jsonl` grows; `data/votes.jsonl` holds the votes of these files.
    """

    grows: ClassVar[tuple[str, ...]] = ("campaign",)

    job: Literal["rank import"] = "rank import"
    input: tuple[str, ...] = Field((), description="Files with votes, or folders of such files.")
    campaign: str = Field(description="The folder of the campaign, as `curate rank export` was given it.")
    annotator: str | None = Field(
        None, min_length=1, max_length=200, description="Whose votes they are, where a file does not say."
    )
    partial: bool = Field(False, description="Take in what is sound even if something is refused.")

    def stages(self) -> tuple[Stage, ...]:
        return (Single("votes", self._votes),)

    def _votes(self, work: Work) -> Result:
        from curate.io.files import atomic
        from curate.rank.campaign import VOTES, campaign_folder, read_campaign, read_tasks
        from curate.rank.importing import Context, new_votes
        from curate.rank.votes import append_votes, last_votes, read_votes

        folder = campaign_folder(self.campaign)
        campaign = read_campaign(folder)
        context = Context(campaign, {task.task: task for task in read_tasks(folder)}, self.annotator or "")
        came = {path: _read(path, context) for path in self._paths()}
        votes: list[Vote] = [vote for one in came.values() for vote in one.votes]
        refused = [refusal for one in came.values() for refusal in one.refused] + _at_odds(came)
        for path, one in came.items():
            work.say(f"{path}: {one.kind}, {len(one.votes):,} votes, {one.blank:,} not done, {len(one.refused):,} refused")
            for note in one.notes[:TOLD]:
                work.say(note)
        lines = (json.dumps({**refusal._asdict()}, ensure_ascii=False) + "\n" for refusal in refused)
        with atomic(work.folder / "rejected" / "votes.jsonl") as out:
            out.writelines(line.encode("utf-8", "replace") for line in lines)
        for refusal in refused[:TOLD]:
            work.say(f"refused: {refusal}")
        if len(refused) > TOLD:
            work.say(f"refused: {len(refused) - TOLD:,} more, see rejected/votes.jsonl")
        if refused and not self.partial:
            raise InputError(
                f"rank import: {len(refused):,} refused, nothing was taken in; first: {refused[0]} (all: "
                f"{work.folder / 'rejected' / 'votes.jsonl'}). Correct them, or take in the others with --partial"
            )
        with atomic(work.folder / "data" / "votes.jsonl") as out:
            out.writelines((json.dumps(vote.row(), ensure_ascii=False) + "\n").encode("utf-8", "replace") for vote in votes)
        there = read_votes(folder / VOTES) if (folder / VOTES).is_file() else []
        fresh = new_votes(there, votes)
        if fresh:
            append_votes(folder / VOTES, fresh)
        counting = len(last_votes([*there, *fresh]))
        work.say(f"{len(fresh):,} new votes, {len(votes) - len(fresh):,} known; {counting:,} count in {folder / VOTES}")
        kinds = Counter(one.kind for one in came.values())
        return {"votes": len(votes), "refused": len(refused), "files": dict(sorted(kinds.items()))}

    def _paths(self) -> list[Path]:
        """The files to read. Raises InputError."""
        found: list[Path] = []
        for address in self.input:
            path = Path(address)
            if path.is_dir():
                found += sorted(
                    p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith((".", "~$"))
                )
            elif path.is_file():
                found.append(path)
            else:
                raise InputError(f"{address}: no such file or folder")
        if not found:
            raise InputError("rank import: name files with votes")
        return list(dict.fromkeys(found))


def _read(path: Path, context: Context) -> Came:
    """What a file gave; one that cannot be read at all is refused whole, so that the others are looked through, too."""
    from curate.rank.importing import Came, Refusal, read_file

    try:
        return read_file(path, context)
    except MissingExtra:
        raise
    except CurateError as error:
        return Came("refused", refused=[Refusal(str(path), "", 0, "", str(error).removeprefix(f"{path}: "))])


def _at_odds(came: dict[Path, Came]) -> list[Refusal]:
    """Votes of different files that say different things at the same time: none of them can be the last."""
    from curate.rank.importing import Refusal, said

    met: dict[tuple[str, str, str, str], tuple[Path, str]] = {}
    found = []
    for path, one in came.items():
        for vote in one.votes:
            key = (vote.task, vote.annotator, vote.criterion, vote.at)
            other, before = met.setdefault(key, (path, said(vote)))
            if other != path and before != said(vote):
                reason = f"{vote.annotator} on task {vote.task}: {other} says another thing at the same time: keep one"
                found.append(Refusal(str(path), "", 0, "", reason))
    return found
