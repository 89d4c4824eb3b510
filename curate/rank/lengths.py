"""Whether the longer of two answers wins: by annotator and criterion, and by how much longer it is.

People and models alike prefer longer answers beyond what is in them (Singhal et al. 2023; Dubois et al. 2024), and a reward
model learns that. A share above a half is no proof of it, since longer answers may be better: compare annotators with one
another, and with those whom you trust.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.rank.agreement import wilson
from curate.rank.ballots import COUPLES, Ballots, couples
from curate.rank.campaign import NAMES, TASKS, read_tasks
from curate.rank.concord import clean

__all__ = ["RATIOS", "answer_lengths", "length_bias"]

Ints = NDArray[np.int64]

RATIOS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
"""Where the groups of pairs begin, by the longer answer's length over the shorter one's; the last has no end."""


def answer_lengths(folder: Path) -> pl.DataFrame:
    """Characters of each answer of a campaign: `task`, and `a` to `i` (0 where the task has none). O(bytes of the tasks)."""
    answer = pl.Struct({"answer": pl.String, "text": pl.String})
    try:
        tasks = pl.read_ndjson(folder / TASKS, schema={"task": pl.String, "answers": pl.List(answer)})
    except (pl.exceptions.PolarsError, OSError):
        # The careful way says which line is wrong.
        rows = [{"task": task.task, "answers": [vars(one) for one in task.answers]} for task in read_tasks(folder)]
        tasks = pl.DataFrame(rows, schema={"task": pl.String, "answers": pl.List(answer)})
    lines = tasks.explode("answers").unnest("answers")
    per_answer = (
        pl.col("text").str.len_chars().filter(pl.col("answer") == name).first().fill_null(0).cast(pl.Int64).alias(name)
        for name in NAMES
    )
    return lines.group_by("task", maintain_order=True).agg(*per_answer)


def length_bias(ballots: Ballots, lengths: pl.DataFrame) -> dict[str, Any]:
    """How often the longer answer won, of the pairs that a vote decided and whose answers differ in length.

    lengths: as `answer_lengths`. Every group has `pairs`, `longer_won` (share), `low` and `high` (95 %), and the median
    characters of the better and the worse answer. Intervals are Wilson's for as many independent pairs as the spread between
    tasks is worth (the ratio estimator's variance over whole tasks), since the pairs of a task are not independent.
    O(36 votes).
    """
    lines = _decided(ballots, lengths)
    ratio = pl.col("longer") / pl.col("shorter").clip(1)
    group = pl.sum_horizontal(*(ratio >= edge for edge in RATIOS[1:])).alias("ratio")
    by_ratio = {row.pop("ratio"): row for row in _shares(lines.with_columns(group), ["ratio"])}
    ends = [*RATIOS[1:], None]
    return {
        "over_all": next(iter(_shares(lines, [])), {"pairs": 0, "longer_won": None, "low": None, "high": None}),
        "criteria": _shares(lines, ["criterion"]),
        "annotators": _shares(lines, ["annotator", "criterion"]),
        "by_ratio": [
            {"from": start, "to": end, **by_ratio[i]}
            for i, (start, end) in enumerate(zip(RATIOS, ends, strict=True))
            if i in by_ratio
        ],
    }


def _decided(ballots: Ballots, lengths: pl.DataFrame) -> pl.DataFrame:
    """A line for each pair that a vote decided: who, on what, whether the longer answer won, and all four lengths."""
    characters = ballots.frame.select("task").join(lengths, on="task", how="left", maintain_order="left").drop("task")
    table: Ints = characters.fill_null(0).to_numpy().reshape(-1, len(NAMES))
    vote, which, result = couples(ballots.ranks)
    first, second = np.array(COUPLES).T
    one, other = table[vote, first[which]], table[vote, second[which]]
    at = np.flatnonzero((result != 0) & (one != other))
    vote, one, other, first_won = vote[at], one[at], other[at], result[at] > 0
    return pl.DataFrame(
        {
            **{name: ballots.frame[name].gather(vote) for name in ("annotator", "criterion", "task")},
            "won": first_won == (one > other),
            "longer": np.maximum(one, other),
            "shorter": np.minimum(one, other),
            "better": np.where(first_won, one, other),
            "worse": np.where(first_won, other, one),
        }
    )


def _shares(lines: pl.DataFrame, by: Sequence[str]) -> list[dict[str, Any]]:
    """The figures of every group, in order."""
    if not lines.height:
        return []
    won, n = pl.col("won").cast(pl.Float64), pl.col("n").cast(pl.Float64)
    tasks = lines.group_by(*by, "task").agg(pl.col("won").sum(), pl.len().alias("n"))
    sums = {
        "tasks": pl.len(),
        "x": won.sum(),
        "n": n.sum(),
        "xx": (won * won).sum(),
        "xn": (won * n).sum(),
        "nn": (n * n).sum(),
    }
    named = [value.alias(name) for name, value in sums.items()]
    medians = [pl.col(name).median().alias(f"{name}_characters") for name in ("better", "worse")]
    if by:
        found = tasks.group_by(*by).agg(*named).join(lines.group_by(*by).agg(*medians), on=list(by)).sort(*by)
    else:
        found = pl.concat([tasks.select(*named), lines.select(*medians)], how="horizontal")
    return [_figures(row, by) for row in found.iter_rows(named=True)]


def _figures(row: dict[str, Any], by: Sequence[str]) -> dict[str, Any]:
    p, n, tasks = row["x"] / row["n"], row["n"], row["tasks"]
    worth = float(tasks)
    if 0 < p < 1 and tasks > 1:
        spread = max(0.0, row["xx"] - 2 * p * row["xn"] + p * p * row["nn"]) * tasks / (tasks - 1)
        worth = min(n, p * (1 - p) * n * n / spread) if spread > 0 else n
    low, high = wilson(p * worth, worth)
    return {
        **{name: row[name] for name in by},
        "pairs": int(n),
        "longer_won": clean(p),
        "low": clean(low),
        "high": clean(high),
        **{name: clean(row[name]) for name in ("better_characters", "worse_characters")},
    }
