"""The votes of a campaign that count, as columns: what agreement, leaderboards and preferences are computed from.

Answers are columns by their name within the task, `a` to `i`. That is who they are, whatever place they were shown in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.errors import InputError
from curate.rank.campaign import NAMES, TASKS, VOTES, read_campaign, read_tasks
from curate.rank.votes import Vote, read_votes

__all__ = [
    "COUPLES", "Ballots", "as_table", "ballots_of", "couples", "of_sources", "read_ballots", "read_table", "task_sizes",
]  # fmt: skip

Ranks = NDArray[np.int8]

COUPLES = tuple(combinations(range(len(NAMES)), 2))
"""Pairs of answers of a task, by position in `NAMES`: 36."""

_TYPES = {
    "task": pl.String(),
    "annotator": pl.String(),
    "criterion": pl.String(),
    "ranks": pl.Struct(dict.fromkeys(NAMES, pl.Int64)),
    "skipped": pl.Boolean(),
    "all_bad": pl.Boolean(),
    "shown": pl.List(pl.String),
    "seconds": pl.Float64(),
    "at": pl.String(),
    "source": pl.String(),
}


@dataclass(frozen=True)
class Ballots:
    """Votes that count, in order of task, criterion and annotator.

    frame: task, annotator, criterion, skipped, all_bad, seconds, at, source, and `size`, how many answers the task has.
    ranks: int8 [votes, 9], 1 is best, 0 where the answer was not ranked (all are 0 where the task was skipped).
    shown: int8 [votes, 9], the answer that stood at each place, -1 where that is not known.
    """

    frame: pl.DataFrame
    ranks: Ranks
    shown: Ranks

    def __len__(self) -> int:
        return self.frame.height

    def where(self, chosen: pl.Expr) -> Ballots:
        """The votes for which the expression holds."""
        at = self.frame.select(chosen.fill_null(False).arg_true()).to_series().to_numpy()
        return Ballots(self.frame[at], self.ranks[at], self.shown[at])

    def complete(self) -> NDArray[np.bool_]:
        """Whether the vote ranks every answer of its task."""
        done: NDArray[np.bool_] = (self.ranks > 0).sum(1) == self.frame["size"].to_numpy()
        return done


def task_sizes(folder: Path) -> dict[str, int]:
    """How many answers each task has. Raises InputError."""
    answers = pl.List(pl.Struct({"answer": pl.String}))
    try:
        frame = pl.read_ndjson(folder / TASKS, schema={"task": pl.String, "answers": answers})
        names = pl.col("answers").list.eval(pl.element().struct.field("answer")).list.sort().list.join("")
        sizes = frame.select("task", names.alias("names"), pl.col("answers").list.len().alias("size"))
        fine = sizes.select(
            (pl.col("names") == pl.lit(NAMES).str.head(pl.col("size"))).all() & pl.col("task").is_not_null().all()
        )
        if fine.item() and sizes.select(pl.col("size").is_between(2, len(NAMES)).all()).item():
            return dict(zip(sizes["task"].to_list(), sizes["size"].to_list(), strict=True))
    except (pl.exceptions.PolarsError, OSError):
        pass
    # The careful way says which line is wrong.
    return {task.task: len(task.answers) for task in read_tasks(folder)}


def read_table(path: Path) -> pl.DataFrame:
    """All votes of a file as columns, in order, as the schema says. O(votes); raises InputError that names the line.

    Read at once where nothing is wrong; else one by one, for the error. Members that the schema does not name are passed over.
    """
    try:
        table = pl.read_ndjson(path, schema=_TYPES)
        if _is_sound(table):
            return table
    except (pl.exceptions.PolarsError, OSError):
        pass
    return as_table(read_votes(path))


def _is_sound(table: pl.DataFrame) -> bool:
    rank = [pl.col("ranks").struct.field(name) for name in NAMES]
    ranked = pl.any_horizontal(r.is_not_null() for r in rank)
    sound = (
        pl.all_horizontal(pl.col(name).is_not_null() for name in ("task", "annotator", "criterion", "at"))
        & pl.all_horizontal(r.is_null() | r.is_between(1, len(NAMES)) for r in rank)
        & (ranked != pl.col("skipped").fill_null(False))
        & (pl.col("seconds").is_null() | (pl.col("seconds") >= 0))
        & pl.col("shown").list.eval(pl.element().is_in(list(NAMES))).list.all().fill_null(True)
    )
    return bool(table.select(sound.all()).item())


def as_table(votes: Sequence[Vote]) -> pl.DataFrame:
    """Votes as columns, in order."""
    rows = [
        {
            **{name: getattr(vote, name) for name in ("task", "annotator", "criterion", "all_bad", "seconds", "at", "source")},
            "ranks": vote.ranks and {name: vote.ranks.get(name) for name in NAMES},
            "skipped": vote.ranks is None,
            "shown": list(vote.shown),
        }
        for vote in votes
    ]
    return pl.DataFrame(rows, schema=_TYPES)


def read_ballots(folder: Path) -> Ballots:
    """The votes of a campaign's folder that count: of several by one annotator on one task and criterion the last.

    As `votes.last_votes`, in columns: 10^6 votes took 8 s of one core and 1.0 GB at most. Raises InputError: no campaign,
    a broken line, votes on tasks or answers that the campaign does not have, or no vote at all.
    """
    read_campaign(folder)
    path = folder / VOTES
    if not path.is_file():
        raise InputError(f"{path}: there is none; `curate rank serve` and `curate rank import` bring votes in")
    table = read_table(path)
    if not table.height:
        raise InputError(f"{path}: no vote in it; `curate rank serve` and `curate rank import` bring votes in")
    return ballots_of(folder, table)


def ballots_of(folder: Path, table: pl.DataFrame) -> Ballots:
    """Votes as `read_table` gives them, as `read_ballots` does those of the folder's file. Raises InputError."""
    path = folder / VOTES
    key = ["task", "criterion", "annotator"]
    table = table.sort("at", maintain_order=True).unique(key, keep="last", maintain_order=True).sort(key)
    sizes = task_sizes(folder)
    known = pl.DataFrame({"task": list(sizes), "size": list(sizes.values())}, schema={"task": pl.String, "size": pl.Int64})
    table = table.join(known, on="task", how="left", maintain_order="left")
    strange = table.filter(pl.col("size").is_null())
    if strange.height:
        raise InputError(f"{path}: a vote on task {strange['task'][0]}, which {folder / TASKS} does not have")
    ranks = _ranks(table)
    beyond = ((ranks > 0) & (np.arange(len(NAMES)) >= table["size"].to_numpy()[:, None])).any(1)
    if beyond.any():
        raise InputError(f"{path}: a vote ranks an answer that task {table['task'][int(beyond.argmax())]} does not have")
    columns = [
        *("task", "annotator", "criterion", "seconds", "at", "size"),
        pl.col("skipped").fill_null(False),
        pl.col("all_bad").fill_null(False),
        pl.when(pl.col("source").fill_null("") == "").then(pl.lit("unknown")).otherwise("source").alias("source"),
    ]
    return Ballots(table.select(columns), ranks, _shown(table))


def of_sources(ballots: Ballots, sources: Sequence[str], say: Callable[[str], None]) -> Ballots:
    """The votes of these sources (none: of all). Votes by models among votes by people are told. Raises InputError."""
    there = ballots.frame["source"].unique().sort().to_list()
    if unknown := [source for source in sources if source not in there]:
        raise InputError(f"no votes of source '{unknown[0]}'; there are votes of {', '.join(there)}")
    if sources:
        return ballots.where(pl.col("source").is_in(list(sources)))
    models = int(ballots.frame["source"].str.starts_with("model:").sum())
    if 0 < models < len(ballots):
        say(f"{models:,} of {len(ballots):,} votes are by models, and count like those by people; `sources` picks")
    return ballots


def _ranks(table: pl.DataFrame) -> Ranks:
    ranks = table.select(pl.col("ranks").struct.field(name).fill_null(0).cast(pl.Int8) for name in NAMES)
    return np.ascontiguousarray(ranks.to_numpy().reshape(-1, len(NAMES)))


def _shown(table: pl.DataFrame) -> Ranks:
    places = {name: i for i, name in enumerate(NAMES)}
    answer = (pl.col("shown").list.get(i, null_on_oob=True) for i in range(len(NAMES)))
    shown = table.select(a.replace_strict(places, default=-1, return_dtype=pl.Int8).alias(str(i)) for i, a in enumerate(answer))
    return np.ascontiguousarray(shown.to_numpy().reshape(-1, len(NAMES)))


def couples(ranks: Ranks) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int8]]:
    """Every pair of answers that a vote ranked both of: the vote, which of `COUPLES`, and who won.

    ranks: as `Ballots` has them. Who won: 1 the first of the couple, -1 the second, 0 a tie. In order of the votes.
    O(36 votes).
    """
    votes, which, result = [], [], []
    for number, (i, j) in enumerate(COUPLES):
        both = np.flatnonzero((ranks[:, i] > 0) & (ranks[:, j] > 0))
        if len(both):
            votes.append(both)
            which.append(np.full(len(both), number, np.int8))
            result.append(np.sign(ranks[both, j] - ranks[both, i]).astype(np.int8))
    if not votes:
        return np.zeros(0, np.int64), np.zeros(0, np.int8), np.zeros(0, np.int8)
    vote = np.concatenate(votes)
    order = np.argsort(vote, kind="stable")
    return vote[order], np.concatenate(which)[order], np.concatenate(result)[order]
