"""A campaign on disk: its settings, its tasks, and the key to them. See `curate.rank`."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from curate.errors import InputError

__all__ = [
    "CAMPAIGN", "KEY", "TASKS", "VOTES", "Answer", "Campaign", "Key", "Task", "campaign_folder", "checked_rows",
    "read_campaign", "read_key", "read_tasks", "shown_order", "task_name", "write_campaign",
]  # fmt: skip

CAMPAIGN, TASKS, KEY, VOTES = "campaign.json", "tasks.jsonl", "key.jsonl", "votes.jsonl"

FORMAT = "curate-rank-1"

NAMES = "abcdefghi"
"""Names of answers within a task; a task has 2 to 9."""


@dataclass(frozen=True)
class Campaign:
    """Settings of a campaign. overlap: how many annotators see each task."""

    criteria: tuple[str, ...] = ("overall",)
    overlap: int = 1
    seed: int = 0
    instructions: str = ""
    """What annotators are told, as Markdown."""

    annotators: tuple[str, ...] = ()
    """Names, where tasks were handed out to people known beforehand."""


@dataclass(frozen=True)
class Answer:
    """An answer of a task. answer: its name within the task."""

    answer: str
    text: str


@dataclass(frozen=True)
class Task:
    """A prompt, as messages of role and content, with answers in an order that says nothing."""

    task: str
    prompt: tuple[dict[str, str], ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Key:
    """What annotators must not see of a task."""

    task: str
    models: dict[str, str] = field(default_factory=dict)
    """Who wrote each answer, by the answer's name."""

    rows: dict[str, str] = field(default_factory=dict)
    """The id of the row that each answer came from."""

    gold: dict[str, int] | None = None
    """The right ranks, where the task is there to check annotators."""


def task_name(prompt: Sequence[dict[str, str]], answers: Iterable[str]) -> str:
    """The name of a task: 12 hexadecimal digits of BLAKE2b over its prompt and its answers, whatever their order."""
    content = json.dumps([list(prompt), sorted(answers)], ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def shown_order(campaign: Campaign, task: Task, annotator: str) -> tuple[str, ...]:
    """The names of the answers in the order that this annotator sees, drawn by seed, task and annotator."""
    seed = hashlib.blake2b(json.dumps([campaign.seed, task.task, annotator]).encode(), digest_size=16).digest()
    names = [answer.answer for answer in task.answers]
    random.Random(seed).shuffle(names)
    return tuple(names)


def write_campaign(folder: Path, campaign: Campaign, tasks: Iterable[Task], keys: Iterable[Key]) -> None:
    """Write a campaign's settings, tasks and key; votes that are there stay. Raises OutputError."""
    from curate.io.files import atomic

    for name, rows in ((TASKS, tasks), (KEY, keys)):
        with atomic(folder / name) as file:
            for row in rows:
                file.write((json.dumps(asdict(row), ensure_ascii=False) + "\n").encode())
    with atomic(folder / CAMPAIGN) as file:
        file.write((json.dumps({"format": FORMAT, **asdict(campaign)}, indent=2, ensure_ascii=False) + "\n").encode())


def campaign_folder(path: str | Path) -> Path:
    """Where a campaign's files are: the folder itself, or `data/` of the folder that `curate rank export -o` was given."""
    folder = Path(path)
    below = folder / "data"
    return below if not (folder / CAMPAIGN).is_file() and (below / CAMPAIGN).is_file() else folder


def read_campaign(folder: Path) -> Campaign:
    """The settings of a campaign. Raises InputError when there is none, or it is not one."""
    path = folder / CAMPAIGN
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict) or value.pop("format", None) != FORMAT:
            raise InputError(f"{path}: not a campaign of `curate rank export`")
        lists = {name: tuple(value.pop(name, ())) for name in ("criteria", "annotators")}
        return Campaign(**{**value, **lists})
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; `curate rank export` makes such folders") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a campaign: {error}") from error


def read_tasks(folder: Path) -> Iterator[Task]:
    """The tasks of a campaign in order. Raises InputError at the first that is not what the schema says."""
    for _, row in checked_rows(folder / TASKS, "task"):
        answers = tuple(Answer(**answer) for answer in row["answers"])
        yield Task(row["task"], tuple(row["prompt"]), answers)


def read_key(folder: Path) -> dict[str, Key]:
    """The key by task. Raises InputError."""
    keys = {}
    for line, row in checked_rows(folder / KEY, None):
        try:
            keys[row["task"]] = Key(**row)
        except (TypeError, KeyError) as error:
            raise InputError(f"{folder / KEY}:{line}: not a line of a key: {error}") from error
    return keys


@cache
def _validator(schema: str) -> Any:
    import jsonschema

    from schemas import load

    return jsonschema.Draft202012Validator(load(schema))


def checked_rows(path: Path, schema: str | None) -> Iterator[tuple[int, Any]]:
    """Lines of JSON with their numbers, each checked against the schema. Raises InputError."""
    from jsonschema.exceptions import best_match

    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                row = json.loads(line)
                error = best_match(_validator(schema).iter_errors(row)) if schema else None
                if error is not None:
                    raise InputError(f"{path}:{number}: {error.json_path}: {error.message[:200]}")
                yield number, row
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; `curate rank export` makes it") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON lines in UTF-8: {error}") from error
