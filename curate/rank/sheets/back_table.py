"""Votes out of CSV and XLSX sheets, with what spreadsheets and people do to them."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from curate.errors import InputError, MissingExtra, nearest
from curate.rank.importing import Came, Context, Refusal
from curate.rank.sheets.csv import neutral
from curate.rank.sheets.table import LETTERS, MARK
from curate.rank.sheets.xlsx import UNSAVED, unescaped
from curate.rank.votes import Vote

__all__ = ["rank_of", "read_csv", "read_xlsx"]

_YES = {"yes", "y", "x", "true", "1", "ok", "\u2713", "\u2714", "\u25cb", "\u306f\u3044"}
_NO = {"", "no", "n", "false", "0", "-", "\u3044\u3044\u3048"}


_DATE = re.compile(
    r"\d{1,4}[-/]\d{1,2}([-/]\d{1,4})?|\d{1,2}\.\d{1,2}\.\d{2,4}|\d{1,2}-[A-Za-z]{3}|[A-Za-z]{3}-\d{1,2}|\d+\u6708\d+\u65e5"
)


def rank_of(value: Any) -> int | None:
    """A cell as a rank; None where it is empty. Raises ValueError: what is wrong with it, or what a spreadsheet made of it."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    text = unicodedata.normalize("NFKC", str(value)).strip().lstrip("'")
    if isinstance(value, datetime | date | time) or _DATE.fullmatch(text):
        raise ValueError(f"{text[:40]!r}: a date or time, which spreadsheets make of 1-2 or 1/2; type a whole number such as 1")
    if re.fullmatch(r"\d+\s*[,;]\s*\d+.*", text):
        raise ValueError(f"{text[:40]!r}: more than one number; type one rank a cell (equal answers get equal ranks)")
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}(\.0*)?", text):
        raise ValueError(f"{text[:40]!r}: a rank is a whole number from 1")
    rank = int(text.split(".")[0])
    if not 1 <= rank <= 9:
        raise ValueError(f"{rank}: a rank is a whole number from 1 to 9")
    return rank


def _yes(value: Any) -> bool:
    """A cell that is marked or not. Raises ValueError."""
    text = unicodedata.normalize("NFKC", "" if value is None else str(value)).strip().casefold()
    if text in _YES or text == "1.0":
        return True
    if text in _NO:
        return False
    raise ValueError(f"{text!r:.40}: choose yes, or leave it empty")


def _text(value: Any) -> str:
    """A cell that people type text into."""
    text = "" if value is None else str(value).strip()
    return text[1:] if text.startswith("'") and neutral(text[1:]) != text[1:] else text


def read_csv(path: Path, content: bytes, saved: str, context: Context) -> Came:
    """The votes of a CSV sheet: UTF-8, UTF-16 or cp932 (Japanese Excel), commas, semicolons or tabs."""
    came = Came("csv")
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "cp932"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise InputError(f"{path}: neither UTF-8 nor cp932: save it as CSV UTF-8")
    if encoding == "cp932":
        came.notes.append(f"{path}: read as cp932, as Japanese Excel saves CSV; characters that it lacks are lost")
    line = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=line.count)
    csv.field_size_limit(1 << 28)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{path}: not CSV: {error}") from error
    if not _read(came, rows, path, "", saved, context):
        raise InputError(f"{path}: not a sheet of votes: its first row does not name the columns task and order")
    return came


def read_xlsx(path: Path, content: bytes, saved: str, context: Context) -> Came:
    """The votes of an XLSX sheet: of every worksheet with the columns. `at` is when the file was saved, as it says itself."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingExtra("an XLSX sheet", "rank") from error
    came = Came("xlsx")
    try:
        book = load_workbook(io.BytesIO(content), data_only=True)
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            core = parts.read("docProps/core.xml") if "docProps/core.xml" in parts.namelist() else b""
    except Exception as error:  # openpyxl raises whatever its parsers do
        raise InputError(f"{path}: cannot be read as XLSX: {type(error).__name__}: {error}") from error
    told = re.search(rb"<dcterms:modified[^>]*>\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z\s*<", core)
    if told and told[1].decode() + "Z" != UNSAVED:
        saved = f"{told[1].decode()}.000000Z"
    found = False
    for sheet in book.worksheets:
        rows = [[unescaped(v) if isinstance(v, str) else v for v in row] for row in sheet.iter_rows(values_only=True)]
        found |= _read(came, rows, path, sheet.title, saved, context)
    if not found:
        raise InputError(f"{path}: no worksheet whose first row names the columns task and order")
    return came


def _column(sheet: str, number: int, name: str) -> str:
    """How a column is told: by its letters in a workbook, by its name in CSV."""
    if not sheet:
        return name
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _read(came: Came, rows: Sequence[Sequence[Any]], path: Path, sheet: str, saved: str, context: Context) -> bool:
    """Read a table into votes and refusals; whether it is a sheet of votes."""
    names = [str(cell or "").strip().casefold() for cell in rows[0]] if rows else []
    if "task" not in names or "order" not in names:
        return False
    file = str(path)
    wanted: dict[tuple[str, str], int] = {}
    criteria = context.campaign.criteria
    headers = {f"rank_{letter} {criterion}".casefold(): (letter, criterion) for letter in LETTERS for criterion in criteria}
    if len(criteria) == 1:
        headers |= {f"rank_{letter}".casefold(): (letter, criteria[0]) for letter in LETTERS}
    for place, name in enumerate(names):
        if name in headers and headers[name] not in wanted:
            wanted[headers[name]] = place
        elif name.startswith("rank_") or (name in ("task", "order") and names.index(name) != place):
            reason = f"column {name!r}: {'there twice' if name in names[:place] else 'no such column' + nearest(name, headers)}"
            came.refused.append(Refusal(file, sheet, 1, _column(sheet, place, name), reason))
    if not wanted:
        came.refused.append(Refusal(file, sheet, 1, "", "no column of ranks (rank_A, rank_B ...)"))
    at: dict[str, int] = {
        name: names.index(name) for name in ("task", "order", "all_bad", "skip", "comment", "annotator") if name in names
    }
    for number, row in enumerate(rows[1:], 2):
        if any(cell is not None and str(cell).strip() for cell in row):
            _row(came, number, row, at, wanted, names, _Place(file, sheet, saved), context)
    return True


class _Place:
    """Where rows come from, and when they were saved."""

    def __init__(self, file: str, sheet: str, saved: str) -> None:
        self.file = file
        self.sheet = sheet
        self.saved = saved


def _row(
    came: Came,
    number: int,
    row: Sequence[Any],
    at: dict[str, int],
    wanted: dict[tuple[str, str], int],
    names: Sequence[str],
    place: _Place,
    context: Context,
) -> None:
    """One row as votes, one a criterion. A row with anything that cannot be meant gives none."""
    wrong: list[Refusal] = []

    def cell(column: int | None) -> Any:
        return row[column] if column is not None and column < len(row) else None

    def refuse(column: int | None, reason: str) -> None:
        told = "" if column is None else _column(place.sheet, column, names[column])
        wrong.append(Refusal(place.file, place.sheet, number, told, reason))

    ranks: dict[str, dict[str, int]] = {}
    for (letter, criterion), column in wanted.items():
        try:
            rank = rank_of(cell(column))
        except ValueError as error:
            refuse(column, str(error))
            continue
        if rank is not None:
            ranks.setdefault(criterion, {})[letter] = rank
    marks = {}
    for name in ("all_bad", "skip"):
        try:
            marks[name] = _yes(cell(at.get(name)))
        except ValueError as error:
            refuse(at[name], str(error))
            marks[name] = False
    comment, annotator = _text(cell(at.get("comment"))), _text(cell(at.get("annotator"))) or context.annotator
    if not ranks and not any(marks.values()) and not wrong:
        came.blank += 1
        if comment:
            came.notes.append(f"{place.file}: row {number}: a comment without a rank is no vote, and is not taken in")
        return
    told = _text(cell(at["task"]))
    name = told.removeprefix(MARK)
    order = _text(cell(at["order"])).casefold()
    task = context.tasks.get(name)
    if task is None:
        refuse(at["task"], f"no task {told!r:.80} in this campaign")
    elif sorted(order) != [answer.answer for answer in sorted(task.answers, key=lambda one: one.answer)]:
        refuse(
            at["order"],
            f"{order!r:.40}: not the names of the task's answers: the cell was changed, take it from the sheet given",
        )
    else:
        for (letter, criterion), column in wanted.items():
            rank = ranks.get(criterion, {}).get(letter)
            if rank is None:
                continue
            if LETTERS.index(letter) >= len(order):
                refuse(column, f"the task has no answer {letter}")
            elif rank > len(order):
                refuse(column, f"rank {rank}: the task has {len(order)} answers")
        if marks["skip"] and ranks:
            refuse(at["skip"], "skip, and ranks in the same row: keep one")
    came.refused += wrong
    if wrong:
        return
    source = "xlsx" if place.sheet else "csv"
    first = True
    for criterion in context.campaign.criteria:
        given = {order[LETTERS.index(letter)]: rank for letter, rank in ranks.get(criterion, {}).items()}
        if not given and not any(marks.values()):
            continue
        if not given and marks["all_bad"] and not marks["skip"]:
            given = dict.fromkeys(order, 1)
        vote = Vote(
            name, annotator, criterion, None if marks["skip"] else given, place.saved, marks["all_bad"] and not marks["skip"],
            comment if first else "", tuple(order), None, source,
        )  # fmt: skip
        first = False
        whose = at.get("annotator")
        told_at = "" if whose is None else _column(place.sheet, whose, names[whose])
        came.add(context, vote, place.file, place.sheet, number, told_at, once=True)
