"""Benchmark items: which part of a row is the question, which the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from curate.errors import InputError, nearest

__all__ = ["ANSWERS", "QUESTIONS", "Item", "item_of", "read_items"]

QUESTIONS = ("question", "problem", "prompt", "query", "instruction", "input", "goal", "ctx", "sentence", "text")
"""Names of columns that hold questions, as published benchmarks have them (MMLU, GSM8K, ARC, MATH, HumanEval, PIQA, HellaSwag
...). All that a row has are taken, in this order, but `text` only where there is no other."""

ANSWERS = (
    "answer",
    "answers",
    "solution",
    "canonical_solution",
    "correct_answer",
    "best_answer",
    "output",
    "target",
    "response",
)
"""Names of columns that hold answers; the first that a row has is taken."""

CHOICES = ("choices", "options", "endings")
"""Where an answer that is a number or a letter stands in full."""


class Item(NamedTuple):
    """One item of a benchmark."""

    benchmark: str
    """The file's name."""
    row: int
    """Its row there, from 0."""
    question: str
    answer: str
    """Empty where there is none."""


def read_items(addresses: Sequence[str], questions: Sequence[str], answers: Sequence[str]) -> tuple[list[Item], list[str]]:
    """The items of files and folders of any kind that rows are read from; and what a person should know about them.

    `questions` and `answers` name the columns; none: those that are known. A call a row: benchmarks are small.
    Raises InputError where nothing is found, a row cannot be read, or a file has none of the columns.
    """
    import json

    from curate.io.files import cut, resolve
    from curate.io.read import read
    from curate.io.rows import Take

    sources, ignored = resolve(addresses)
    notes = [f"left out, of no known kind: {', '.join(ignored)}"] if ignored else []
    whole = Take(columns=(), whole=True, array_as="record")
    items: list[Item] = []
    counts: Counter[str] = Counter()
    for shard in cut(sources):
        for piece in shard.pieces:
            name = piece.source.name
            for chunk in read(shard.model_copy(update={"pieces": (piece,)}), whole):
                if chunk.rejects:
                    bad = chunk.rejects[0]
                    raise InputError(f"{bad.file}:{bad.line}: {bad.error}")
                for record in chunk.frame["record"]:
                    row = json.loads(record)
                    question, answer = item_of(row, questions, answers)
                    if not question:
                        has = ", ".join(list(row)[:8]) if isinstance(row, dict) else type(row).__name__
                        hint = nearest(questions[0], row) if questions and isinstance(row, dict) else ""
                        hint = hint or "; name its columns with --questions"
                        raise InputError(f"{name}: row {counts[name]} holds no question ({has}){hint}")
                    items.append(Item(name, counts[name], question, answer))
                    counts[name] += 1
    if not items:
        raise InputError(f"{', '.join(addresses)}: no items there")
    return items, notes


def item_of(row: Any, questions: Sequence[str], answers: Sequence[str]) -> tuple[str, str]:
    """The question and the answer of a row; empty where there is none. A chat's are what the user and the assistant say."""
    if isinstance(row, list):
        row = {"messages": row}
    if isinstance(row.get("messages"), list) and not questions:
        turns = [turn for turn in row["messages"] if isinstance(turn, dict)]
        return tuple(  # type: ignore[return-value]
            "\n".join(plain(turn.get("content")) for turn in turns if turn.get("role") == role)
            for role in ("user", "assistant")
        )
    there = [name for name in questions or QUESTIONS if plain(row.get(name))]
    if not questions and len(there) > 1:
        there = [name for name in there if name != "text"]
    question = "\n".join(plain(row[name]) for name in there)
    if answers:
        return question, "\n".join(plain(row.get(name)) for name in answers if row.get(name) is not None)
    answer = next((row[name] for name in ANSWERS if row.get(name) is not None and name not in there), None)
    return question, _in_full(answer, row)


def plain(value: Any) -> str:
    """What a value reads as: strings and numbers as they are, lists line by line, of a mapping its `text`."""
    match value:
        case str():
            return value.strip()
        case bool() | None:
            return ""
        case int() | float():
            return str(value)
        case list():
            return "\n".join(filter(None, map(plain, value)))
        case dict():
            return plain(value.get("text"))
        case _:
            return ""


def _in_full(answer: Any, row: dict[str, Any]) -> str:
    """An answer that is the number or letter of a choice, as that choice reads."""
    choices = next((row[name] for name in CHOICES if row.get(name)), None)
    texts = choices.get("text") if isinstance(choices, dict) else choices
    if not isinstance(texts, list):
        return plain(answer)
    if isinstance(answer, str) and len(answer.strip()) == 1 and answer.strip().isalpha():
        answer = ord(answer.strip().upper()) - ord("A")
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(texts):
        return plain(texts[answer])
    return plain(answer)
