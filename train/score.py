"""Rewards for answers that are there, at any number: the loop by which a reward model does the work of people."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

from train.append import in_windows
from train.config import ScoreStage
from train.errors import DataError, TrainError
from train.groups import Group, outside, read_groups
from train.rewards import Asked, open_judges, total
from train.rows import fingerprint, list_files
from train.sample import CHECKED, about, group_id, prompt_member
from train.stage import Context, Outcome

__all__ = ["inputs", "run"]

WINDOW = 256
"""Prompts whose answers are scored between two writes."""


def inputs(stage: ScoreStage) -> str:
    """Digest of the data of `stage` that no earlier stage writes."""
    named = _tasks(stage, outside(stage.data))
    return fingerprint(list_files(named)) if named else ""


def run(stage: ScoreStage, context: Context) -> Outcome:
    """Score, and leave data/rows.jsonl (or data/votes.jsonl): see `ScoreStage.to`.

    scores.jsonl beside data/ grows as it goes, so that an interrupted run goes on after the rows that are done. Raises
    DataError for unusable rows, models or functions, TrainError when a reward is no number, Interrupted when stopped.
    """
    judges = open_judges(stage.rewards, context, stage.max_length, stage.precision)
    data = _tasks(stage, context.rows(stage.data))

    def work(_: int, batch: list[Group]) -> list[Any]:
        asked: list[Asked] = [(group.turns, said.text, group.row) for group in batch for said in group.answers]
        scores = iter(total(judges, asked))
        return [[_less(next(scores), said.ended, stage.cut_penalty) for said in group.answers] for group in batch]

    groups: Iterator[Group] = read_groups(data)
    if context.check:
        groups = (group for group, _ in zip(groups, range(CHECKED), strict=False))
    file = context.folder / "scores.jsonl"
    in_windows(file, groups, WINDOW, work, context)
    made = _Made(stage)
    out = context.folder / "data" / ("votes.jsonl" if stage.to == "votes" else "rows.jsonl")
    _write(out, (line for group, scores in _scored(data, file) for line in made.of(group, scores)))
    if not made.groups:
        raise DataError(f"{stage.data}: there is no row in it")
    context.note(f"{made.groups:,} prompts, {made.scored:,} answers scored, {made.rows:,} rows written to {out}")
    mean = made.sum / max(1, made.scored)
    summary = {
        "rows_in": made.groups,
        "rows_out": made.rows,
        "rows_dropped": dict(sorted(made.dropped.items())),
        "answers_scored": made.scored,
        "answers_not_scored": made.not_scored,
        "score_mean": mean,
        "score_std": math.sqrt(max(0.0, made.squares / max(1, made.scored) - mean * mean)),
    }
    return Outcome(summary, "")


def _less(score: float | None, ended: bool, penalty: float) -> float | None:
    return score if ended or score is None else score - penalty


def _tasks(stage: ScoreStage, data: list[str]) -> list[str]:
    """The files to read: of a campaign's folder its tasks alone."""
    if stage.to != "votes":
        return data
    found = []
    for name in data:
        places = [Path(name) / "tasks.jsonl", Path(name) / "data" / "tasks.jsonl"]
        found.append(next((str(place) for place in places if place.is_file()), name))
    return found


def _scored(data: list[str], file: Path) -> Iterator[tuple[Group, list[float | None]]]:
    """Groups and the scores of their answers."""
    with file.open(encoding="utf-8") as stream:
        for group, line in zip(read_groups(data), stream, strict=False):
            yield group, json.loads(line)


def _write(file: Path, rows: Iterator[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.tmp")
    try:
        with fresh.open("w", encoding="utf-8") as stream:
            for row in rows:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        raise TrainError(f"{file}: cannot be written ({error.strerror}); make room and run again") from error
    fresh.replace(file)


@dataclass
class _Made:
    """Rows from scored groups, and what became of each group."""

    stage: ScoreStage
    at: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    groups: int = 0
    rows: int = 0
    scored: int = 0
    not_scored: int = 0
    sum: float = 0.0
    squares: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    """Groups that make no row: no_answer, one_answer, all_tied, small_margin."""

    def of(self, group: Group, scores: list[float | None]) -> list[dict[str, Any]]:
        """The rows that a group makes; none where it is dropped."""
        known = [i for i, score in enumerate(scores) if score is not None]
        values = {i: score for i, score in enumerate(scores) if score is not None}
        self.groups += 1
        self.scored += len(known)
        self.not_scored += len(scores) - len(known)
        self.sum += math.fsum(values.values())
        self.squares += math.fsum(score * score for score in values.values())
        made = self._rows(group, sorted(known, key=lambda i: -values[i]), values)
        if isinstance(made, str):
            self.dropped[made] += 1
            return []
        self.rows += len(made)
        return made

    def _rows(self, group: Group, order: list[int], scores: dict[int, float]) -> list[dict[str, Any]] | str:
        """order: the answers that have a score, best first."""
        stage = self.stage
        if not order:
            return "no_answer"
        ranks = {i: 1 + sum(other > scores[i] for other in scores.values()) for i in order}
        head = {"group_id": group_id(group.turns), **prompt_member(group.turns)}
        text = [said.text for said in group.answers]
        if stage.to == "scores":
            answers = [{"answer": text[i], "rank": ranks[i], "score": scores[i]} for i in order]
            return [{**head, "answers": answers, **about(group.row)}]
        if stage.to == "best":
            best = order[0]
            said = {"role": "assistant", "content": text[best]}
            whole = (
                {"instruction": head["instruction"], "output": text[best]}
                if "instruction" in head
                else {"messages": [*group.turns, said]}
            )
            return [{**whole, "score": scores[best], "group_id": head["group_id"], **about(group.row)}]
        if len(order) < 2:
            return "one_answer"
        if stage.to == "votes":
            return [self._vote(group, ranks)]
        pairs = list(combinations(order, 2)) if stage.pairs == "all" else [(order[0], order[-1])]
        told = [(i, j) for i, j in pairs if scores[i] > scores[j]]
        wide = [(i, j) for i, j in told if scores[i] - scores[j] >= stage.min_margin]
        if not wide:
            return "small_margin" if told else "all_tied"
        return [self._pair(group, head, text[i], text[j], scores[i], scores[j]) for i, j in wide]

    @staticmethod
    def _pair(group: Group, head: dict[str, Any], better: str, worse: str, high: float, low: float) -> dict[str, Any]:
        sides: dict[str, Any] = {"chosen": better, "rejected": worse}
        if "prompt" in head:  # TRL's conversational layout
            sides = {name: [{"role": "assistant", "content": text}] for name, text in sides.items()}
        return {**head, **sides, "margin": high - low, "score_chosen": high, "score_rejected": low, **about(group.row)}

    def _vote(self, group: Group, ranks: dict[int, int]) -> dict[str, Any]:
        names = [said.name for said in group.answers]
        if "task" not in group.row or None in names:
            raise DataError(f"{group.where}: is no ranking task; votes are for the tasks of a campaign (rank export)")
        return {
            "task": group.row["task"],
            "annotator": self.stage.annotator,
            "criterion": self.stage.criterion,
            "ranks": {str(names[i]): ranks[i] for i in sorted(ranks)},
            "at": self.at,
            "source": f"model:{self.stage.annotator}",
        }
