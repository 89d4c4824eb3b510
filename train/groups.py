"""Rows that hold a prompt and answers to it: pairs, rankings, labels, samples, ranking tasks. Reading them, nothing else.

A row is one of
    pair       {instruction | prompt, chosen, rejected, margin?}; also TRL's, with messages, the prompt inside them or beside
    group      {instruction | prompt, answers: [text | {answer | text, rank?, score?, label?}, ...]}; also a task of task.json
    one of K   {group_id, instruction | prompt, output | answer | completion, rank? | score?}; those of one group_id are joined
    answer     {instruction | prompt, output | answer | completion, label?}, or a chat that ends with the assistant
    prompt     {instruction | prompt}, or a chat, whose last answer is left out
`prompt` is a text or messages. Any of them may have `split`: train or validation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from train.errors import DataError
from train.rows import Row, in_heldout, list_files, read_rows

__all__ = ["Group", "Said", "Turns", "group_in_heldout", "outside", "read_groups"]

Turns = list[dict[str, str]]

TEXTS = ("text", "answer", "output", "completion")


@dataclass(frozen=True)
class Said:
    """One answer. rank: 1 is best; score: more is better; label: it is good, or it is not."""

    text: str
    rank: float | None = None
    score: float | None = None
    label: bool | None = None
    name: str | None = None
    """What the row calls it: a letter, in ranking tasks."""
    ended: bool = True
    """It ended by itself; False: it was cut at the most tokens."""


@dataclass(frozen=True)
class Group:
    """A prompt and the answers that rows give to it."""

    where: str
    turns: Turns
    answers: list[Said]
    row: dict[str, Any] = field(repr=False)
    """The row it was read from (the first, of several)."""

    @property
    def key(self) -> str:
        """The prompt as a text: what decides the side that it falls on."""
        return json.dumps(self.turns, ensure_ascii=False, sort_keys=True)

    def order(self) -> list[float] | None:
        """How bad each answer is: its rank, or its score with the sign turned; None: not every one is judged."""
        if all(said.rank is not None for said in self.answers):
            return [float(said.rank or 0) for said in self.answers]
        if all(said.score is not None for said in self.answers):
            return [-float(said.score or 0) for said in self.answers]
        return None


def group_in_heldout(group: Group, share: float, by_column: bool) -> bool:
    """Whether a group is held out: by the `split` of its row when `by_column`, else by a hash of its prompt, so that all that
    is said to a prompt is on one side. Raises DataError when some rows say their split and others do not."""
    split = {"split": group.row["split"]} if "split" in group.row else {}
    return in_heldout(Row(group.where, {"id": group.key, **split}), share, by_column)


def outside(data: str | list[str]) -> list[str]:
    """The files and folders in `data` that no earlier stage writes."""
    return [name for name in ([data] if isinstance(data, str) else data) if not name.startswith("stage:")]


def read_groups(data: str | list[str]) -> Iterator[Group]:
    """The groups that the rows of `data` make, in the order of their first rows.

    Rows of one group_id are held in memory until the end. Raises DataError for a row that is none of the kinds above, or
    whose ranks, scores or margin are no finite numbers.
    """
    joined: dict[str, Group] = {}
    for file in list_files(data):
        yield from _of_file(file, joined)
    yield from joined.values()


def _of_file(file: Path, joined: dict[str, Group]) -> Iterator[Group]:
    for row in read_rows(file):
        group = _group(row)
        name = row.value.get("group_id")
        if name is None or len(group.answers) != 1 or "answers" in row.value:
            yield group
            continue
        before = joined.get(str(name))
        if before is None:
            joined[str(name)] = group
        elif before.turns != group.turns:
            raise DataError(f"{row.where}: group_id {name!r} stands beside another prompt at {before.where}")
        else:
            joined[str(name)] = replace(before, answers=[*before.answers, *group.answers])


def _group(row: Row) -> Group:
    value = row.value
    if value.get("input"):
        raise DataError(f"{row.where}: has an 'input' beside the prompt, which would be lost; convert the file first")
    if "chosen" in value and "rejected" in value:
        return _pair(row)
    if isinstance(value.get("messages"), list):
        turns = _messages(row, "messages")
        last = turns[-1]["role"] == "assistant"
        return Group(row.where, turns[:-1] if last else turns, [_said(row, turns[-1]["content"])] if last else [], value)
    turns = _prompt(row)
    if "answers" in value:
        if not isinstance(value["answers"], list):
            raise DataError(f"{row.where}: answers is no list")
        return Group(row.where, turns, [_item(row, item) for item in value["answers"]], value)
    name = next((key for key in TEXTS if key in value), None)
    if name is None:
        return Group(row.where, turns, [], value)
    return Group(row.where, turns, [_said(row, _text(row, name))], value)


def _said(row: Row, text: str, given: dict[str, Any] | None = None) -> Said:
    value = row.value if given is None else given
    label = value.get("label")
    if label is not None and not isinstance(label, bool):
        raise DataError(f"{row.where}: label is {label!r}, not true or false")
    name = value.get("answer") if given is not None and "text" in given else None
    ended = value.get("ended", True) is not False
    return Said(text, _number(row, value, "rank"), _number(row, value, "score"), label, name, ended)


def _item(row: Row, item: Any) -> Said:
    if isinstance(item, str):
        return Said(item)
    text = next((item[key] for key in TEXTS if isinstance(item.get(key), str)), None) if isinstance(item, dict) else None
    if text is None:
        raise DataError(f"{row.where}: an answer is a text, or an object with the text under {', '.join(TEXTS)}")
    return _said(row, text, item)


def _number(row: Row, value: dict[str, Any], key: str) -> float | None:
    found = value.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise DataError(f"{row.where}: {key} is {found!r}, which is no finite number")
    return float(found)


def _pair(row: Row) -> Group:
    value = row.value
    margin = _number(row, value, "margin")
    sides = [_answer_side(row, key) for key in ("chosen", "rejected")]
    if "instruction" in value or "prompt" in value:
        turns = _prompt(row)
        told = [side[len(turns) :] if side[: len(turns)] == turns and len(side) > 1 else side for side in sides]
    else:
        turns = sides[0][:-1]
        if not turns or sides[1][:-1] != turns:
            raise DataError(f"{row.where}: has no prompt: neither beside chosen and rejected, nor the same within both")
        told = [side[-1:] for side in sides]
    if any(len(side) != 1 or side[0]["role"] != "assistant" for side in told):
        raise DataError(f"{row.where}: chosen and rejected are one answer each, a text or a message of the assistant")
    better, worse = (side[0]["content"] for side in told)
    return Group(row.where, turns, [Said(better, 1.0, margin, True), Said(worse, 2.0, margin and 0.0, False)], value)


def _answer_side(row: Row, key: str) -> Turns:
    if isinstance(row.value[key], str):
        return [{"role": "assistant", "content": row.value[key]}]
    return _messages(row, key)


def _prompt(row: Row) -> Turns:
    for key in ("instruction", "prompt"):
        value = row.value.get(key)
        if isinstance(value, str) and value.strip():
            return [{"role": "user", "content": value}]
        if isinstance(value, list):
            return _messages(row, key)
    keys = ", ".join(sorted(row.value)) or "(none)"
    raise DataError(f"{row.where}: has no prompt: no text in instruction or prompt, and no messages (its keys: {keys})")


def _text(row: Row, key: str) -> str:
    value = row.value[key]
    if isinstance(value, list) and len(turns := _messages(row, key)) == 1:  # TRL's completion
        return turns[0]["content"]
    if not isinstance(value, str):
        raise DataError(f"{row.where}: {key} must be a string, not {type(value).__name__}")
    return value


def _messages(row: Row, key: str) -> Turns:
    value = row.value[key]
    if not isinstance(value, list) or not value:
        raise DataError(f"{row.where}: {key} is neither a text nor an array of messages")
    for i, message in enumerate(value):
        if not isinstance(message, dict) or not all(isinstance(message.get(k), str) for k in ("role", "content")):
            raise DataError(f"{row.where}: {key}.{i}: a message has a role and a content, both strings")
    return [{"role": message["role"], "content": message["content"]} for message in value]
