"""What CSV and XLSX sheets share: a row a task, and what a spreadsheet makes of texts.

Columns: `task`, `order`, `prompt`, `A`, `B` ... (the answers as this annotator sees them), `rank_A` ... for each criterion
(`rank_A helpful` where there are several), `all_bad`, `skip`, `comment`, `annotator`. `order` names the answers of A, B ...

A task's name has `t_` before it: twelve digits, or digits around an `e`, would become a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from curate.rank.campaign import Campaign, Task, shown_order

__all__ = [
    "HOW_TO", "LETTERS", "MARK", "Longer", "cell_text", "header", "most_answers", "plain_prompt", "rank_column", "rows",
]  # fmt: skip

LETTERS = "ABCDEFGHI"

MARK = "t_"

CELL_UNITS = 32_767
"""UTF-16 units that a cell of Excel holds (https://support.microsoft.com: Excel specifications and limits)."""

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NO_CHARACTER = re.compile("[\ud800-\udfff\ufffe\uffff]")

HOW_TO = (
    "Read the prompt, then all the answers to it. They are in no order, and you are not told who wrote them.",
    "In the rank columns give 1 to the best answer, 2 to the next, and so on. Equal answers get equal ranks.",
    "Leave the rank of an answer empty if you cannot judge it. A row without any rank is not done, and can be done later.",
    "all_bad: choose yes if none of the answers will do. skip: choose yes to pass the task on. comment: anything to say.",
    "Do not change the columns task and order: they say what your ranks are about. Rows may be sorted or left out.",
    "Save the file in the form it has (CSV as CSV UTF-8) and give it back.",
)


class Longer:
    """Texts that do not fit into a cell, written to files once each. written: their files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: set[str] = set()

    def cut(self, text: str, name: str) -> str:
        """The text as it fits into a cell; where it was cut the end says so and where the whole is."""
        from curate.io.files import atomic

        if len(text) < CELL_UNITS // 2 or _units(text) <= CELL_UNITS - 1:
            return text
        if name not in self.written:
            with atomic(self.folder / f"{name}.txt") as out:
                out.write(text.encode("utf-8", "replace"))
            self.written.add(name)
        told = f"\n[... cut here, a cell holds no more. The whole text: {self.folder.name}/{name}.txt]"
        keep = text[: CELL_UNITS - 200]
        while _units(keep) > CELL_UNITS - 200:
            keep = keep[: len(keep) - max(1, (_units(keep) - CELL_UNITS + 200) // 2)]
        return keep + told


def _units(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def cell_text(text: str) -> str:
    """A text as cells can hold it: line ends as `\\n`, control characters as their pictures (U+2400 on), halves as U+FFFD."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _ILLEGAL.sub(lambda found: chr(0x2400 + ord(found[0])) if found[0] != "\x7f" else "\u2421", text)
    return _NO_CHARACTER.sub("\ufffd", text)


def plain_prompt(task: Task) -> str:
    """A prompt as one text: a lone question as it is, else each message after its role."""
    if len(task.prompt) == 1 and task.prompt[0]["role"] == "user":
        return task.prompt[0]["content"]
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in task.prompt)


def most_answers(tasks: Sequence[Task]) -> int:
    """How many answers the largest task has."""
    return max((len(task.answers) for task in tasks), default=2)


def rank_column(letter: str, criterion: str, campaign: Campaign) -> str:
    """The header of a rank column."""
    return f"rank_{letter}" if len(campaign.criteria) == 1 else f"rank_{letter} {criterion}"


def header(campaign: Campaign, answers: int) -> list[str]:
    """The columns of a sheet."""
    letters = LETTERS[:answers]
    ranks = [rank_column(letter, criterion, campaign) for criterion in campaign.criteria for letter in letters]
    return ["task", "order", "prompt", *letters, *ranks, "all_bad", "skip", "comment", "annotator"]


def rows(campaign: Campaign, tasks: Sequence[Task], annotator: str, longer: Longer) -> list[list[str]]:
    """The cells of a sheet, without its header; texts as cells can hold them."""
    answers = most_answers(tasks)
    lines = []
    for task in tasks:
        order = shown_order(campaign, task, annotator)
        texts = {answer.answer: answer.text for answer in task.answers}
        prompt = longer.cut(cell_text(plain_prompt(task)), f"{task.task}-prompt")
        shown = [longer.cut(cell_text(texts[name]), f"{task.task}-{name}") for name in order]
        shown += [""] * (answers - len(shown))
        ranks = [""] * (answers * len(campaign.criteria))
        lines.append([MARK + task.task, "".join(order), prompt, *shown, *ranks, "", "", "", annotator])
    return lines
