import csv
import io
import json
import re
from datetime import datetime
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from curate.errors import InputError
from curate.rank.campaign import shown_order
from curate.rank.sheets.back_table import rank_of
from curate.rank.sheets.csv import neutral
from curate.rank.sheets.writing import file_names
from tests.rank.sheets import FILL, back, fill_csv, made, ranks, task_of

HOSTILE = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(\"http://example.org\")", "\uff1d1+1",
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "<!--", "]]>", "&amp;",
    "\u202eleft\u202c", "nul \x00 bell \x07 escape \x1b", "\ufffe\uffff", "_x0041_", "_x005F_", "a\r\nb\rc\u2028d",
    "'quoted", '"quoted"', "1,2", "1;2", "x" * 1_000_000, "\U0001f600" * 40_000, "0123", "1e5", "TRUE",
    "{{data}}", "{{policy}}",
]  # fmt: skip

TABLES = ["csv", "xlsx"]
numbers = count()


@pytest.mark.parametrize("kind", TABLES)
def test_ranks_ties_blanks_skips_and_comments_come_back(tmp_path, kind):
    tasks = [task_of("x", "y", "z", prompt=f"q{i}") for i in range(7)]
    context = made(tmp_path, tasks, kind)
    names = [task.task for task in tasks]
    said = {
        names[0]: {"a": 1, "b": 2, "c": 3},
        names[1]: {"a": 1, "b": 1, "c": 2, "comment": "=close"},
        names[2]: {"b": 1},
        names[4]: {"skip": "yes"},
        names[5]: {"all_bad": "yes"},
        names[6]: {"a": 2, "b": 1, "c": 2, "all_bad": "yes"},
    }
    FILL[kind](tmp_path / "sheets" / kind / f"ada.{kind}", said, context.campaign)
    came = back(tmp_path, kind, context)
    assert came.refused == []
    assert came.blank == 1
    votes = {vote.task: vote for vote in came.votes}
    assert ranks(came.votes) == {
        names[0]: {"a": 1, "b": 2, "c": 3},
        names[1]: {"a": 1, "b": 1, "c": 2},
        names[2]: {"b": 1},
        names[4]: None,
        names[5]: {"a": 1, "b": 1, "c": 1},
        names[6]: {"a": 2, "b": 1, "c": 2},
    }
    assert [name for name in names if name in votes and votes[name].all_bad] == [names[5], names[6]]
    assert {vote.annotator for vote in came.votes} == {"ada"}
    assert {vote.source for vote in came.votes} == {kind}
    assert votes[names[0]].shown == shown_order(context.campaign, tasks[0], "ada")
    if kind == "csv":
        assert votes[names[1]].comment == "=close"


@pytest.mark.parametrize("kind", TABLES)
def test_criteria_are_ranked_each_by_itself(tmp_path, kind):
    context = made(tmp_path, [task_of("x", "y")], kind, criteria=("helpful", "harmless"))
    (name,) = context.tasks
    FILL[kind](
        tmp_path / "sheets" / kind / f"ada.{kind}", {name: {"a helpful": 1, "b helpful": 2, "b harmless": 1}}, context.campaign
    )
    came = back(tmp_path, kind, context)
    assert [(vote.criterion, vote.ranks) for vote in came.votes] == [("helpful", {"a": 1, "b": 2}), ("harmless", {"b": 1})]


@pytest.mark.parametrize("kind", TABLES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text() | st.sampled_from(HOSTILE[:22]), min_size=2, max_size=9, unique_by=str.strip), data=st.data())
def test_any_text_survives(tmp_path, kind, texts, data):
    folder = tmp_path / str(next(numbers))
    task = task_of(*texts, prompt=data.draw(st.text()))
    context = made(folder, [task], kind)
    said = {answer.answer: data.draw(st.integers(1, len(texts))) for answer in task.answers}
    FILL[kind](folder / "sheets" / kind / f"ada.{kind}", {task.task: said}, context.campaign)
    came = back(folder, kind, context)
    assert came.refused == []
    assert ranks(came.votes) == {task.task: said}


@pytest.mark.parametrize("kind", TABLES)
def test_hostile_texts_are_text_and_long_ones_are_told(tmp_path, kind):
    tasks = [task_of(text, "plain", prompt=text) for text in HOSTILE]
    context = made(tmp_path, tasks, kind)
    path = tmp_path / "sheets" / kind / f"ada.{kind}"
    if kind == "csv":
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
        cells = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
        for row in cells:
            assert not any(cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d")) for cell in row)
    else:
        sheet = load_workbook(path)["ranking"]
        assert not any(cell.data_type == "f" for row in sheet for cell in row)
        assert all(cell.quotePrefix for row in sheet for cell in row if cell.value)
        cells = [[cell.value or "" for cell in row] for row in sheet]
    assert all(len(cell) <= 32_767 for row in cells for cell in row)
    cut = [cell for row in cells for cell in row if "cut here" in cell]
    assert len(cut) == 4
    for cell in cut:
        whole = re.search(r"long/(\S+\.txt)", cell)[1]
        text = (tmp_path / "sheets" / "long" / whole).read_text("utf-8")
        assert text in ("x" * 1_000_000, "\U0001f600" * 40_000)
    said = {task.task: {"a": 2, "b": 1} for task in tasks}
    FILL[kind](path, said, context.campaign)
    assert ranks(back(tmp_path, kind, context).votes) == said


def test_an_xlsx_sheet_has_what_it_needs_to_be_worked_on(tmp_path):
    tasks = [task_of("x", "y", "z"), task_of("x" * 500, "y"), task_of("\u3042" * 5000, "y")]
    made(tmp_path, tasks, "xlsx", instructions="Be kind.\n=1")
    book = load_workbook(tmp_path / "sheets" / "xlsx" / "ada.xlsx")
    sheet = book["ranking"]
    assert sheet.freeze_panes == "D2"
    lists = {v.formula1: v for v in sheet.data_validations.dataValidation}
    for column, cell in enumerate(sheet[1], 1):
        wanted = {'"1,2,3"'} if cell.value.startswith("rank_") else {'"yes"'} if cell.value in ("all_bad", "skip") else set()
        assert {text for text, one in lists.items() if sheet.cell(2, column).coordinate in one.sqref} == wanted
    assert sheet["C2"].alignment.wrap_text
    assert [sheet.row_dimensions[row].height for row in (2, 3, 4)] == [15, 135, 360], "as high as the texts are, within reason"
    assert "Be kind." in [cell.value for cell in book["how to"]["A"]]
    assert book.active is sheet


@pytest.mark.parametrize(
    ("cell", "rank"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        (1, 1),
        (2.0, 2),
        ("3", 3),
        (" 1 ", 1),
        ("1.0", 1),
        ("\uff12", 2),
        ("'2", 2),
        ("\u2461", 2),
    ],
)
def test_ranks_are_read(cell, rank):
    assert rank_of(cell) == rank


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (datetime(2026, 1, 2), "date"), ("1-2", "date"), ("1/2", "date"), ("2-Jan", "date"), ("1\u67082\u65e5", "date"),
        ("02.01.2026", "date"),
        ("1,2", "more than one"), ("1;2", "more than one"), ("1.5", "whole"), (1.5, "whole"), (0, "1 to 9"),
        (10, "1 to 9"), (-1, "whole"),
        ("first", "whole"), (True, "whole"), ("#N/A", "whole"), ("1" * 5000, "whole"), ("nan", "whole"),
        (float("inf"), "whole"),
    ],
)  # fmt: skip
def test_what_is_no_rank_is_told(cell, told):
    with pytest.raises(ValueError, match=told):
        rank_of(cell)


@given(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.datetimes()))
def test_a_cell_is_a_rank_or_refused(cell):
    rank, told = None, ""
    try:
        rank = rank_of(cell)
    except ValueError as error:
        told = str(error)
    assert rank is None or 1 <= rank <= 9
    assert "\n" not in told
    assert len(told) < 250


@given(st.text())
def test_no_cell_looks_like_a_formula(text):
    assert not neutral(text).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize(
    ("encoding", "how"),
    [
        ("utf-8", {}),
        ("utf-16", {"delimiter": "\t"}),
        ("cp932", {}),
        ("utf-8-sig", {"delimiter": ";"}),
        ("cp932", {"delimiter": "\t"}),
    ],
)
def test_csv_as_other_programs_save_it(tmp_path, encoding, how):
    context = made(tmp_path, [task_of("\u3042\u3044", "y, z;", prompt="\u6771\u4eac")], "csv", annotator="\u82b1\u5b50")
    (name,) = context.tasks
    path = tmp_path / "sheets" / "csv" / "\u82b1\u5b50.csv"
    fill_csv(path, {name: {"a": 1, "b": 2}}, context.campaign, encoding, **how)
    came = back(tmp_path, "csv", context, "\u82b1\u5b50")
    assert came.refused == []
    assert [(vote.annotator, vote.ranks) for vote in came.votes] == [("\u82b1\u5b50", {"a": 1, "b": 2})]
    assert bool(came.notes) == (encoding == "cp932")


@pytest.mark.parametrize(
    "content",
    [b"\x81", b"a,b\n1,2\n", b"PK\x03\x04nothing", b"<html>", b"", b"[1]", b'{"text": 1}', b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"],
)
def test_files_of_no_votes_are_told_in_a_line(tmp_path, content):
    context = made(tmp_path, [task_of("x", "y")], "csv")
    (tmp_path / "sheets" / "csv" / "ada.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"ada\.csv: ") as error:
        back(tmp_path, "csv", context)
    assert "\n" not in str(error.value)


def test_file_names_are_safe_and_no_two_the_same():
    names = file_names(["ada", "Ada", "../x", "a/b", "a\\b", "", "con", "x" * 300, ".", "\u202e"])
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert all(re.fullmatch(r"[\w.-]{1,60}", name) and not name.startswith(".") for name in names.values())


def test_label_studio_and_argilla_files_are_what_they_read(tmp_path):
    made(tmp_path, [task_of("<b>x</b>", "y", "z")], "label-studio", "argilla", criteria=("helpful", "a<b"))
    (task,) = json.loads((tmp_path / "sheets" / "label-studio" / "ada.json").read_text())
    assert {item["id"] for item in task["data"]["items"]} == {"a", "b", "c"}
    config = (tmp_path / "sheets" / "label-studio" / "config.xml").read_text()
    import xml.etree.ElementTree as xml

    rankers = xml.fromstring(config).findall("Ranker")
    assert [(r.get("name"), [b.get("name") for b in r]) for r in rankers] == [
        (f"rank-{i}", [f"rank_{r}{more}" for r in (1, 2, 3)]) for i, more in ((1, ""), (2, "-2"))
    ]
    names = [one.get("name") for one in xml.fromstring(config).iter() if one.get("name")]
    assert len(names) == len(set(names)), "Label Studio refuses a configuration with a name that is there twice"
    (record,) = json.loads((tmp_path / "sheets" / "argilla" / "ada.json").read_text())
    assert set(record["fields"]) == {"prompt", "A", "B", "C"}
    options = json.loads((tmp_path / "sheets" / "argilla" / "settings.json").read_text())["questions"]
    assert [q["settings"]["type"] for q in options] == ["ranking", "ranking", "multi_label_selection", "text"]
