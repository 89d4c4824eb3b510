"""A small campaign with its sheets, and filling them in as people do."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from curate.rank.campaign import NAMES, Answer, Campaign, Key, Task, task_name, write_campaign
from curate.rank.importing import Came, Context, read_file
from curate.rank.sheets.writing import write_sheets
from curate.rank.votes import Vote

Marks = Mapping[str, Any]
"""What a person says of a task, by the column; ranks by the answer's name: {"a": 1, "b": 2, "comment": "both good"}."""


def task_of(*texts: str, prompt: str = "q") -> Task:
    turns = ({"role": "user", "content": prompt},)
    names = zip(NAMES, texts, strict=False)
    return Task(task_name(turns, texts), turns, tuple(Answer(name, text) for name, text in names))


def made(folder: Path, tasks: list[Task], *kinds: str, annotator: str = "ada", **settings: Any) -> Context:
    """A campaign in `folder`, all its tasks on the sheets of one annotator ("": of nobody)."""
    campaign = Campaign(annotators=(annotator,) if annotator else (), **settings)
    write_campaign(folder, campaign, tasks, [Key(task.task) for task in tasks])
    write_sheets(folder / "sheets", kinds, campaign, tasks, {annotator: [task.task for task in tasks]})
    return Context(campaign, {task.task: task for task in tasks})


def fill_row(names: list[str], row: list[Any], marks: Marks, campaign: Campaign) -> list[Any]:
    """A row with what is said in its cells."""
    order = row[names.index("order")]
    filled = list(row)
    for name, value in marks.items():
        answer, _, criterion = name.partition(" ")
        if len(answer) == 1:
            column = f"rank_{'ABCDEFGHI'[order.index(answer)]}" + (f" {criterion}" if len(campaign.criteria) > 1 else "")
        else:
            column = name
        filled[names.index(column)] = value
    return filled


def fill_csv(path: Path, marks: Mapping[str, Marks], campaign: Campaign, encoding: str = "utf-8-sig", **how: Any) -> None:
    names, *rows = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
    filled = [fill_row(names, row, marks.get(row[0].removeprefix("t_"), {}), campaign) for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text, **how).writerows([names, *filled])
    path.write_bytes(text.getvalue().encode(encoding, "replace"))


def fill_xlsx(path: Path, marks: Mapping[str, Marks], campaign: Campaign) -> None:
    from openpyxl import load_workbook

    from curate.rank.sheets.xlsx import unescaped

    book = load_workbook(path)
    sheet = book["ranking"]
    names = [cell.value for cell in sheet[1]]
    for line in sheet.iter_rows(min_row=2):
        said = marks.get(unescaped(line[0].value).removeprefix("t_"), {})
        before = [cell.value for cell in line]
        for cell, value, old in zip(line, fill_row(names, before, said, campaign), before, strict=True):
            if value != old:
                cell.value = value
    book.save(path)


FILL: dict[str, Callable[[Path, Mapping[str, Marks], Campaign], None]] = {"csv": fill_csv, "xlsx": fill_xlsx}


def back(folder: Path, kind: str, context: Context, name: str = "ada") -> Came:
    return read_file(folder / "sheets" / kind / f"{name}.{kind}", context)


def ranks(votes: list[Vote]) -> dict[str, dict[str, int] | None]:
    return {vote.task: vote.ranks for vote in votes}
