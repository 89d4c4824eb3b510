"""XLSX sheets (openpyxl): lists to choose ranks from, a header that stays, wrapped text, and a sheet that says how."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.errors import MissingExtra
from curate.rank.campaign import Campaign, Task
from curate.rank.sheets.table import HOW_TO, Longer, cell_text, header, most_answers, rows

__all__ = ["UNSAVED", "unescaped", "write"]

UNSAVED = "2000-01-01T00:00:00Z"
"""Time of a file that nobody saved since it was made."""

LINE_POINTS = 15
MAX_POINTS = 360
"""Height of the tallest row; Excel has 409 at most, and a row that fills the screen cannot be scrolled past."""

_WIDE = re.compile("[\u1100-\U0010ffff]")

_WIDTHS = {"task": 16, "order": 8, "prompt": 50, "all_bad": 9, "skip": 7, "comment": 30, "annotator": 14}


def write(path: Path, campaign: Campaign, tasks: Sequence[Task], annotator: str, longer: Longer) -> None:
    """Write a sheet. Raises OutputError, and MissingExtra without openpyxl. Memory: about 50 times the cells (openpyxl)."""
    from curate.io.files import atomic

    try:
        from openpyxl import Workbook
        from openpyxl.utils import get_column_letter
        from openpyxl.writer.excel import ExcelWriter
    except ImportError as error:
        raise MissingExtra("an XLSX sheet", "rank") from error
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "ranking"
    names = header(campaign, most_answers(tasks))
    widths = [_WIDTHS.get(name, 60 if len(name) == 1 else max(9, len(name) + 1)) for name in names]
    for number, line in enumerate([names, *rows(campaign, tasks, annotator, longer)], 1):
        _row(sheet, number, line)
        # Programs do not agree on who fits a row to wrapped text: it is done here.
        lines = max(_lines(text, width) for text, width in zip(line, widths, strict=True))
        sheet.row_dimensions[number].height = min(LINE_POINTS * lines, MAX_POINTS)
    for column, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.column_dimensions["B"].hidden = True
    sheet.freeze_panes = "D2"
    _lists(sheet, names, len(tasks), most_answers(tasks))
    how = book.create_sheet("how to")
    how.column_dimensions["A"].width = 110
    for number, text in enumerate([*HOW_TO, *cell_text(campaign.instructions).split("\n")], 1):
        _row(how, number, [text[:32_000]])
    buffer = io.BytesIO()
    # Not compressed, since `_timeless` does that.
    ExcelWriter(book, zipfile.ZipFile(buffer, "w", allowZip64=True)).save()
    with atomic(path) as out:
        out.write(_timeless(buffer))


def _lines(text: str, width: int) -> int:
    """How many lines a text takes in a column of so many characters, up to what a row shows; a wide character (from U+1100
    on) counts as two."""
    text = text[: (width + 1) * (MAX_POINTS // LINE_POINTS + 1)]
    return sum(1 + (len(part) + len(_WIDE.findall(part))) // width for part in text.split("\n"))


def _timeless(book: io.BytesIO) -> bytes:
    """The file without the time of its making, so that the same tasks give the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(book) as parts, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for part in parts.infolist():
            content = parts.read(part)
            if part.filename == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", UNSAVED.encode(), content)
            entry = zipfile.ZipInfo(part.filename, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(entry, content)
    return made.getvalue()


def _row(sheet: Any, number: int, cells: Sequence[str]) -> None:
    """Cells as text, whatever they look like: a text that begins as a formula does is marked as quoted."""
    from openpyxl.styles import Alignment, Font

    style = None
    for column, text in enumerate(cells, 1):
        if not text and number > 1:
            continue
        cell = sheet.cell(number, column)
        cell.value = _escaped(text)
        cell.data_type = "s"
        if style is None:
            cell.quotePrefix = True
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            if number == 1:
                cell.font = Font(bold=True)
            style = cell._style
        # One for the row: openpyxl looks each style up among all there are.
        cell._style = style


def _escaped(text: str) -> str:
    """`_x0041_` in a cell reads as the character of that number (ECMA-376 22.4.2.4): its first `_` is written as one."""
    return re.sub(r"_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", text)


def unescaped(text: str) -> str:
    """The text of a cell whose `_x0041_` stand for characters."""
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def _lists(sheet: Any, names: Sequence[str], tasks: int, answers: int) -> None:
    """Lists to choose from in the columns that people fill."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    ranks = DataValidation("list", formula1=f'"{",".join(map(str, range(1, answers + 1)))}"', allow_blank=True)
    ranks.errorTitle, ranks.error = "rank", f"A whole number from 1 (the best) to {answers}; equal answers get equal ranks."
    marks = DataValidation("list", formula1='"yes"', allow_blank=True)
    marks.errorTitle, marks.error = "yes or empty", "Choose yes, or leave it empty."
    for column, name in enumerate(names, 1):
        place = f"{get_column_letter(column)}2:{get_column_letter(column)}{max(tasks, 1) + 1}"
        if name.startswith("rank_"):
            ranks.add(place)
        elif name in ("all_bad", "skip"):
            marks.add(place)
    for validation in (ranks, marks):
        validation.showErrorMessage = True
        sheet.add_data_validation(validation)
