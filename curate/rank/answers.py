"""What rows hold for people to rank: prompts with several answers, pairs, or one answer each; see `read_answers`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Given", "Said", "read_answers"]

PROMPTS = ("prompt", "instruction", "question", "input", "messages", "conversations")
LISTS = ("responses", "answers", "completions", "candidates", "outputs", "generations")
TEXTS = ("text", "answer", "response", "content", "output", "completion", "value")
MODELS = ("model", "models", "generator", "generators", "source", "sources")
"""Names that the parts of a row with a list of answers go by."""


ALONE = "messages"
"""What a row that is a bare array is read as."""


class Said(NamedTuple):
    """One answer. model: who wrote it, where the row says so."""

    text: str
    model: str | None


class Given(NamedTuple):
    """What a row holds. single: it is one answer, to be joined with those that other rows give to the same prompt.

    problem: why nothing can be made of it (one of `curate.formats.problems.PROBLEMS`, or `no_answer`); None: it is sound.
    """

    prompt: tuple[dict[str, str], ...]
    answers: tuple[Said, ...]
    single: bool = False
    problem: str | None = None


def read_answers(record: pl.Series, model_column: str = "model") -> list[tuple[int, Given]]:
    """Rows of JSON text, of any dialect that `convert` reads or with a plain list of answers: position of the row, and result.

    In order; a row gives one result, and one that is a tree of messages one for each message that is answered.
    A row with a list of texts (or of objects with a text) under one of `LISTS` and a prompt under one of `PROMPTS` needs no
    scores; who wrote each is told by the objects, or by a list beside it. A chat is a prompt with one answer, its last turn.
    model_column: the member that says who wrote a single answer, or all of a list. O(bytes).
    """
    from curate.formats.convert import detect_dialect

    listed = [_listed(text, model_column) for text in record]
    found = [(i, one) for i, one in enumerate(listed) if one is not None]
    left = [i for i, one in enumerate(listed) if one is None]
    if left:
        rest = record.gather(left)
        dialects = detect_dialect(rest)
        for name in dialects.unique(maintain_order=True):
            here = dialects.eq(name).arg_true().to_list()
            found += [(left[here[place]], one) for place, one in _of_dialect(rest.gather(here), name, model_column)]
    return sorted(found, key=lambda one: one[0])


def _listed(text: str, model_column: str) -> Given | None:
    """A row that is a prompt with a list of answers; None where it is something else."""
    if not any(f'"{name}"' in text for name in LISTS):
        return None
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    name = next((name for name in LISTS if isinstance(row, dict) and isinstance(row.get(name), list) and row[name]), None)
    prompt = _prompt(row) if name else None
    if name is None or prompt is None:
        return None
    said = [_said(item) for item in row[name]]
    if any(one is None for one in said):
        return None
    beside = next((row[m] for m in MODELS if isinstance(row.get(m), list) and len(row[m]) == len(said)), [None] * len(said))
    whole = _word(row.get(model_column))
    answers = [Said(one.text, one.model or _word(model) or whole) for one, model in zip(said, beside, strict=True) if one]
    return Given(prompt, tuple(answers))


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _said(item: Any) -> Said | None:
    if isinstance(item, str):
        return Said(item, None)
    if not isinstance(item, dict):
        return None
    text = next((item[name] for name in TEXTS if isinstance(item.get(name), str)), None)
    return None if text is None else Said(text, next((_word(item.get(name)) for name in MODELS if _word(item.get(name))), None))


def _prompt(row: dict[str, Any]) -> tuple[dict[str, str], ...] | None:
    """The prompt of a row, a text or a list of messages; None where there is none that is plain."""
    from curate.formats.turns import ROLES

    for name in PROMPTS:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            # Alpaca's `input` is what the instruction is about.
            more = row.get("input") if name == "instruction" else None
            text = f"{value}\n\n{more}" if isinstance(more, str) and more.strip() else value
            return ({"role": "user", "content": text},)
        if isinstance(value, list) and value:
            turns = [(m.get("role", m.get("from")), m.get("content", m.get("value"))) for m in value if isinstance(m, dict)]
            known = [(ROLES.get(str(role)), content) for role, content in turns]
            if len(known) == len(value) and all(role and isinstance(said, str) for role, said in known):
                return tuple({"role": str(role), "content": str(said)} for role, said in known)
    return None


def _of_dialect(record: pl.Series, name: str, model_column: str) -> Iterator[tuple[int, Given]]:
    """Rows of one dialect: position, and result."""
    import polars as pl

    from curate.formats.decode import Members
    from curate.formats.dialects import DIALECTS

    if name not in DIALECTS:
        problem = "unreadable" if name == "unreadable" else "unknown_dialect"
        yield from ((i, Given((), (), problem=problem)) for i in range(len(record)))
        return
    kind, read = DIALECTS[name].read_for("pair")
    shaped = read(record)
    if "parent" not in shaped.columns:
        shaped = shaped.with_columns(pl.int_range(pl.len()).alias("parent"))
    models = Members(record, (model_column, ALONE), ALONE).strings(model_column).to_list()
    for row in shaped.iter_rows(named=True):
        yield row["parent"], _of_row(row, kind, models[row["parent"]])


def _of_row(row: dict[str, Any], kind: str, model: str | None) -> Given:
    turns = tuple(row["turns"] or ())
    if row["problem"] is not None:
        return Given((), (), problem=row["problem"])
    if any(turn["role"] == "function_call" for turn in turns):
        return Given((), (), problem="more_than_text")
    if kind == "group":
        answers = tuple(Said(one["text"] or "", one["model"] or model) for one in row["answers"] or ())
        return Given(turns, answers)
    if kind == "pair":
        about = json.loads("{" + (row.get("about") or "") + "}")
        return Given(
            turns,
            tuple(Said(row[side] or "", about.get(f"model_{side}") or side) for side in ("chosen", "rejected")),
        )
    if kind != "turns" or len(turns) < 2 or turns[-1]["role"] != "assistant":
        return Given((), (), problem="no_answer")
    return Given(turns[:-1], (Said(turns[-1]["content"], model),), single=True)
