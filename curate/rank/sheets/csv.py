"""CSV sheets: UTF-8 with a byte order mark, which Excel needs to read it as UTF-8; every cell quoted, lines end in CR LF."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from curate.rank.campaign import Campaign, Task
from curate.rank.sheets.table import Longer, header, most_answers, rows

__all__ = ["neutral", "write"]

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of what spreadsheets take for a formula (OWASP, CSV injection); the last four are the wide forms."""


def neutral(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: `'` before one that looks like it. It is read by people alone."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA) else cell


def write(path: Path, campaign: Campaign, tasks: Sequence[Task], annotator: str, longer: Longer) -> None:
    """Write a sheet. Raises OutputError."""
    from curate.io.files import atomic

    text = io.StringIO(newline="")
    sheet = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    sheet.writerow([neutral(cell) for cell in header(campaign, most_answers(tasks))])
    sheet.writerows([neutral(cell) for cell in row] for row in rows(campaign, tasks, annotator, longer))
    with atomic(path) as out:
        out.write(text.getvalue().encode("utf-8-sig"))
