"""Records for Argilla, and the fields and questions of their dataset: https://docs.argilla.io/latest/reference/argilla/records/.

A ranking question has the same values for all records: A to the most answers that a task has. Those that a task lacks are not
counted, whatever rank they got.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.rank.campaign import Campaign, Task, shown_order
from curate.rank.sheets.table import LETTERS, most_answers, plain_prompt

__all__ = ["question", "write", "write_settings"]


def question(number: int) -> str:
    """The name of the question of the Nth criterion, from 1."""
    return f"rank-{number}"


def write(path: Path, campaign: Campaign, tasks: Sequence[Task], annotator: str) -> None:
    """Write records. Raises OutputError."""
    from curate.io.files import atomic

    records: list[dict[str, Any]] = []
    for task in tasks:
        order = shown_order(campaign, task, annotator)
        texts = {answer.answer: answer.text for answer in task.answers}
        fields = {"prompt": plain_prompt(task), **{LETTERS[i]: texts[name] for i, name in enumerate(order)}}
        about = {"task": task.task, "order": "".join(order), "annotator": annotator}
        records.append({"id": task.task, "fields": fields, "metadata": about})
    with atomic(path) as out:
        out.write(json.dumps(records, ensure_ascii=False, indent=1).encode("utf-8", "replace"))


def write_settings(folder: Path, campaign: Campaign, tasks: Sequence[Task]) -> None:
    """Write the fields and questions of a dataset for the records. Raises OutputError."""
    from curate.io.files import atomic

    letters = LETTERS[: most_answers(tasks)]
    fields = [{"name": "prompt", "title": "Prompt", "required": True, "settings": {"type": "text", "use_markdown": False}}]
    for i, name in enumerate(letters):
        fields.append({"name": name, "title": name, "required": i < 2, "settings": {"type": "text", "use_markdown": False}})
    options = [{"value": letter, "text": letter} for letter in letters]
    questions: list[dict[str, Any]] = []
    for number, criterion in enumerate(campaign.criteria, 1):
        settings = {"type": "ranking", "options": options}
        questions.append({"name": question(number), "title": criterion, "required": True, "settings": settings})
    label = {"type": "multi_label_selection", "options": [{"value": "all_bad", "text": "all bad"}]}
    questions.append({"name": "all-bad", "title": "None will do", "required": False, "settings": label})
    comment = {"type": "text", "use_markdown": False}
    questions.append({"name": "comment", "title": "Comment", "required": False, "settings": comment})
    metadata = [{"name": name, "title": name, "settings": {"type": "terms"}} for name in ("task", "order", "annotator")]
    whole: dict[str, Any] = {"guidelines": campaign.instructions or None, "allow_extra_metadata": True}
    whole |= {"fields": fields, "questions": questions, "metadata": metadata}
    with atomic(folder / "settings.json") as out:
        out.write(json.dumps(whole, ensure_ascii=False, indent=1).encode())
