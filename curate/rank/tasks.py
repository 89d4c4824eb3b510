"""Tasks made of what rows hold: answers joined by prompt, equal ones merged, blind, with gold among them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import InputError
from curate.rank.campaign import NAMES, Answer, Key, Task, task_name

__all__ = ["Candidate", "Made", "Row", "leaks", "make_tasks", "read_gold"]

Prompt = tuple[dict[str, str], ...]

LEAKS = (
    "openai", "chatgpt", r"gpt-?[345]\w*", "anthropic", "claude", "gemini", "google bard", "deepmind", r"llama[- ]?[234]\w*",
    "meta ai", "mistral", "mixtral", "command-r", "qwen", "alibaba cloud", "tongyi", "deepseek", "vicuna", "lmsys",
    "guanaco", "baichuan", "chatglm", "zhipu", "moonshot", "kimi", r"grok-?\d", "ernie bot", "hunyuan", "gemma",
    "falcon-?[0-9]+b", "wizardlm", "zephyr-?[0-9]+b", "nemotron", "olmo", "elyza", "stablelm", "rinna",
)  # fmt: skip
"""Names of models and of who makes them, as answers give themselves away (FastChat's arena drops such votes)."""


class Candidate(NamedTuple):
    """An answer before it has a name. row: the id of the row that it came from."""

    text: str
    model: str | None
    row: str


class Row(NamedTuple):
    """Answers to one prompt as one row gave them; see `curate.rank.answers.Given`."""

    id: str
    prompt: Prompt
    answers: tuple[Candidate, ...]
    single: bool
    ranks: tuple[int, ...] | None = None
    """The right ranks of gold, as many as answers."""


@dataclass
class Made:
    """Tasks with their keys, what was dropped (id of the row, reason, more), and what was left out of tasks, counted."""

    tasks: list[Task] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    dropped: list[dict[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def make_tasks(rows: Iterable[Row], gold: Iterable[Row], *, seed: int, most: int) -> Made:
    """Tasks in the order of their prompts' first rows, gold evenly among them.

    Rows of a single answer are joined by prompt. Blank answers go; of equal ones (white space around them aside) one that the
    seed draws stays; of more than `most` so many are drawn. A task has its answers in an order drawn by the seed. Dropped with
    the reason: fewer than two answers left (`one_answer`, `equal_answers`), the same task again (`duplicate_task`).
    O(rows) memory and time.
    """
    from curate.rank.assignment import spread

    made = Made()
    prompts: dict[str, list[Row]] = {}
    for row in rows:
        key = json.dumps(row.prompt, sort_keys=True) if row.single else f"row {len(prompts)} {row.id}"
        prompts.setdefault(key, []).append(row)
    found: dict[str, tuple[Task, Key]] = {}
    order: dict[bool, list[str]] = {False: [], True: []}
    joined = [Row(group[0].id, group[0].prompt, tuple(a for r in group for a in r.answers), True) for group in prompts.values()]
    for is_gold, candidates in ((True, gold), (False, joined)):
        for row in candidates:
            one = _task(row, made, seed, most)
            if one is None:
                continue
            if one[0].task in found:
                made.dropped.append({"id": row.id, "reason": "duplicate_task", "value": one[0].task})
                continue
            found[one[0].task] = one
            order[is_gold].append(one[0].task)
    for name in spread(order[False], order[True]):
        made.tasks.append(found[name][0])
        made.keys.append(found[name][1])
    return made


def _task(row: Row, made: Made, seed: int, most: int) -> tuple[Task, Key] | None:
    """A row as a task with its key; None, and the reason among what is dropped, where it makes none."""
    lot = _lot(seed, row.prompt)
    said = [(answer, None if row.ranks is None else row.ranks[i]) for i, answer in enumerate(row.answers)]
    there = [one for one in said if one[0].text.strip()]
    made.counts["blank answers"] += len(said) - len(there)
    there.sort(key=lambda one: lot(one[0]))
    different = list({one[0].text.strip(): one for one in reversed(there)}.values())[::-1]
    made.counts["equal answers"] += len(there) - len(different)
    if len(different) < 2:
        reason = "equal_answers" if len(there) > 1 else "one_answer" if there else "no_answer"
        made.dropped.append({"id": row.id, "reason": reason, "value": str(len(row.answers))})
        return None
    made.counts["answers over the most"] += max(0, len(different) - most)
    chosen = different[:most]
    names = dict(zip(NAMES, chosen, strict=False))
    name = task_name(row.prompt, [answer.text for answer, _ in chosen])
    key = Key(
        name,
        {letter: answer.model for letter, (answer, _) in names.items() if answer.model},
        {letter: answer.row for letter, (answer, _) in names.items()},
        None if row.ranks is None else {letter: rank for letter, (_, rank) in names.items() if rank is not None},
    )
    return Task(name, row.prompt, tuple(Answer(letter, answer.text) for letter, (answer, _) in names.items())), key


def _lot(seed: int, prompt: Prompt) -> Callable[[Candidate], bytes]:
    """A place for each answer that says nothing of who wrote it, of its row or its text."""
    start = json.dumps([seed, prompt], sort_keys=True)

    def place(answer: Candidate) -> bytes:
        content = f"{start}\n{answer.row}\n{answer.model}\n{answer.text}"
        return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=8).digest()

    return place


def read_gold(path: Path) -> list[Row]:
    """Tasks with their right ranks: lines of `prompt` (a text or messages), `answers` (texts), `ranks` (as many; 1 is best).

    Raises InputError at the first line that is not such a one.
    """
    from curate.rank.campaign import checked_rows

    rows = []
    for line, row in checked_rows(path, None):
        where = f"{path}:{line}"
        if not isinstance(row, dict) or not isinstance(row.get("answers"), list) or not isinstance(row.get("ranks"), list):
            raise InputError(f"{where}: gold is lines of prompt, answers and ranks")
        prompt, answers, ranks = _gold_prompt(row.get("prompt")), row["answers"], row["ranks"]
        if prompt is None or not all(isinstance(answer, str) and answer.strip() for answer in answers):
            raise InputError(f"{where}: the prompt is a text or messages of role and content, each answer a text")
        if not 2 <= len(answers) <= 9 or len({answer.strip() for answer in answers}) < len(answers):
            raise InputError(f"{where}: gold has 2 to 9 answers, no two of them equal")
        whole = all(isinstance(rank, int) and not isinstance(rank, bool) and 1 <= rank <= 9 for rank in ranks)
        if len(ranks) != len(answers) or not whole:
            raise InputError(f"{where}: {len(answers)} answers need as many ranks, whole numbers from 1 (the best) to 9")
        candidates = tuple(Candidate(answer, None, f"gold:{line}#{i}") for i, answer in enumerate(answers))
        rows.append(Row(f"gold:{line}", prompt, candidates, False, tuple(ranks)))
    return rows


def _gold_prompt(value: Any) -> Prompt | None:
    if isinstance(value, str) and value.strip():
        return ({"role": "user", "content": value},)
    roles = ("system", "developer", "user", "assistant", "tool")
    if not isinstance(value, list) or not value:
        return None
    sound = all(isinstance(m, dict) and m.get("role") in roles and isinstance(m.get("content"), str) for m in value)
    return tuple({"role": m["role"], "content": m["content"]} for m in value) if sound else None


def leaks(tasks: Sequence[Task], keys: Sequence[Key]) -> Counter[str]:
    """How many answers hold the name of a known model or vendor, or of one of the campaign, by the name in small letters."""
    import polars as pl

    own = {re.escape(model.lower()) for key in keys for model in key.models.values() if len(model) > 3}
    own -= {"chosen", "rejected"}
    # Words that are no names of models go by themselves: a model may be called `answers`, after its file.
    own = {name for name in own if re.search(r"\d", name)}
    pattern = rf"(?i)\b(?:{'|'.join(sorted({*LEAKS, *own}))})\b"
    texts = pl.Series([answer.text for task in tasks for answer in task.answers], dtype=pl.String)
    names = texts.str.extract_all(pattern).list.eval(pl.element().str.to_lowercase()).list.unique().explode().drop_nulls()
    return Counter(dict(names.value_counts().iter_rows()))
