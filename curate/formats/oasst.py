"""OASST trees: `message_tree_id` and `prompt`, a message with `replies`, each with replies of its own.

As turns: every path from the prompt to an assistant's message that no other answers further down. As groups: an assistant's
messages that answer the same one, scored by their `rank`, 0 the best. A message that was deleted, failed its review
(`review_result` false) or cannot be read is a line with that problem and ends its branch, as is a user's message without a
reply. A message that a model wrote (`synthetic`) is one like any other, its `model_name` kept with it.
https://github.com/LAION-AI/Open-Assistant
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.formats.decode import Members, message_list
from curate.formats.groups import answer_type
from curate.formats.judged import about
from curate.formats.messages import to_json
from curate.formats.turns import ROLES

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MAX_LEVELS", "read_groups", "read_paths"]

MAX_LEVELS = 200
"""Messages in a row that a tree may have: json's decoder calls itself for each, and Python allows it 1,000 calls."""


class _Message(NamedTuple):
    """A message of a tree, with the place of the one that it answers in the list of messages; -1: the prompt."""

    parent: int
    role: str
    text: str
    problem: str | None
    rank: float | None
    model: str | None
    lang: str | None


def _tree(text: str) -> list[_Message] | str:
    """The messages of a tree, each after the one that it answers; or why there is no telling. A branch ends at a problem."""
    try:
        prompt = json.loads(text)
    except RecursionError:
        return "too_deep"
    except ValueError:
        return "unreadable"
    if to_json(prompt) is None:
        return "unreadable"
    found: list[_Message] = []
    waiting = [(prompt, -1, 1)]
    while waiting:
        value, parent, level = waiting.pop()
        if level > MAX_LEVELS:
            return "too_deep"
        message, replies = _message(value, parent)
        waiting += [(reply, len(found), level + 1) for reply in reversed(replies)]
        found.append(message)
    return found


def _message(value: Any, parent: int) -> tuple[_Message, list[Any]]:
    """A message, and those that answer it; none where it has a problem."""
    members = value if isinstance(value, dict) else {}
    text, role, rank = members.get("text"), members.get("role"), members.get("rank")
    known = ROLES.get(role) if isinstance(role, str) else None
    replies = members.get("replies") or []
    problem = None
    if not isinstance(text, str) or not isinstance(replies, list):
        problem = "unreadable"
    elif members.get("deleted") is True:
        problem = "deleted"
    elif members.get("review_result") is False:
        problem = "failed_review"
    elif known not in ("user", "assistant"):
        problem = "unknown_role"
    elif not text.strip():
        problem = "empty_content"
    model, lang = members.get("model_name"), members.get("lang")
    message = _Message(
        parent,
        known or "",
        text if isinstance(text, str) else "",
        problem,
        float(rank) if isinstance(rank, int | float) and not isinstance(rank, bool) and abs(rank) < 1e9 else None,
        model if isinstance(model, str) else None,
        lang if isinstance(lang, str) else None,
    )
    return message, replies if problem is None else []


def _path(tree: list[_Message], place: int) -> list[dict[str, str]]:
    """The turns from the prompt to a message."""
    turns = []
    while place >= 0:
        turns.append({"role": tree[place].role, "content": tree[place].text})
        place = tree[place].parent
    return turns[::-1]


def _trees(record: pl.Series) -> Iterator[tuple[int, list[_Message] | str]]:
    for row, text in enumerate(Members(record, ("prompt",)).raw("prompt")):
        yield row, _tree(text or "null")


def read_paths(record: pl.Series) -> pl.DataFrame:
    """Trees as turns. O(messages times levels)."""
    import polars as pl

    lines: list[tuple[int, list[dict[str, str]] | None, str | None, str | None, str | None]] = []
    for row, tree in _trees(record):
        if isinstance(tree, str):
            lines.append((row, None, None, None, tree))
            continue
        # A message is answered where an assistant's comes anywhere below it; parents stand before their replies.
        answered, replied = [False] * len(tree), {message.parent for message in tree}
        for place in range(len(tree) - 1, 0, -1):
            message = tree[place]
            if message.problem is None and (message.role == "assistant" or answered[place]):
                answered[message.parent] = True
        for place, message in enumerate(tree):
            if message.problem is not None:
                lines.append((row, None, None, None, message.problem))
            elif message.role == "assistant" and not answered[place]:
                lines.append((row, _path(tree, place), message.model, message.lang, None))
            elif message.role == "user" and place not in replied:
                lines.append((row, None, None, None, "unanswered"))
    schema = {"turns": message_list(), "model": pl.String(), "lang": pl.String(), "problem": pl.String()}
    rows = pl.DataFrame(lines, schema={"parent": pl.Int64(), **schema}, orient="row")
    return rows.select("parent", "turns", about(model=pl.col("model"), lang=pl.col("lang")), "problem")


def read_groups(record: pl.Series) -> pl.DataFrame:
    """Trees as groups of answers. O(messages times levels)."""
    import polars as pl

    lines: list[tuple[int, list[dict[str, str]] | None, list[dict[str, Any]] | None, str | None, str | None]] = []
    for row, tree in _trees(record):
        if isinstance(tree, str):
            lines.append((row, None, None, None, tree))
            continue
        answers: dict[int, list[dict[str, Any]]] = {}
        replied = {message.parent for message in tree}
        for place, message in enumerate(tree):
            if message.problem is not None and message.role != "assistant":
                lines.append((row, None, None, None, message.problem))
            elif message.role == "assistant":
                score = None if message.rank is None else -message.rank
                told = {"text": message.text, "score": score, "model": message.model, "problem": message.problem}
                answers.setdefault(message.parent, []).append(told)
            elif place not in replied:
                lines.append((row, None, None, None, "unanswered"))
        for place, several in answers.items():
            lang = tree[place].lang if place >= 0 else None
            lines.append((row, _path(tree, place), several, lang, None if place >= 0 else "empty"))
    schema = {"turns": message_list(), "answers": pl.List(answer_type()), "lang": pl.String(), "problem": pl.String()}
    rows = pl.DataFrame(lines, schema={"parent": pl.Int64(), **schema}, orient="row")
    return rows.select("parent", "turns", "answers", about(lang=pl.col("lang")), "problem")
