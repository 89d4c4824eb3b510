"""Runs that go on from earlier ones: together they keep what one run over all rows keeps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from tests.grouping.corpora import dedupe, read_lines, versions

Row = dict[str, Any]


def rows_of(texts: list[str], first: int = 0) -> list[Row]:
    return [{"id": str(first + i), "text": text} for i, text in enumerate(texts)]


def ids(folder: Path, given: list[Row], /, **options: Any) -> list[str]:
    return [row["id"] for row in dedupe(folder, given, **options)[0]]


def test_runs_one_after_another_keep_what_one_keeps(tmp_path: Path) -> None:
    rows = rows_of(versions(5, originals=20, copies=6))
    index = {"index": str(tmp_path / "index"), "threshold": 0.6}
    parts = [rows[:50], rows[50:51], rows[51:]]
    found = [ids(tmp_path / str(i), part, **index) for i, part in enumerate(parts)]
    assert [one for part in found for one in part] == ids(tmp_path / "whole", rows, threshold=0.6)
    # Done again, in any order, each run gives what it gave, and the index stays as it is.
    before = generations(tmp_path / "index")
    for i in (1, 0, 2):
        assert ids(tmp_path / "again" / str(i), parts[i], **index) == found[i]
    assert generations(tmp_path / "index") == before
    assert before == ["generation-00001", "generation-00002", "generation-00003"]


def generations(index: Path) -> list[str]:
    return sorted(path.name for path in index.iterdir() if path.name != ".lock")


texts = st.lists(st.sampled_from("abcde"), min_size=0, max_size=9).map(" ".join)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts, min_size=2, max_size=14), st.data())
def test_any_cut_keeps_the_same(tmp_path: Path, corpus: list[str], data: st.DataObject) -> None:
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    rows = rows_of(corpus)
    options = {"threshold": 0.5, "ngram": 2, "bands": 16, "rows": 1}
    cut = data.draw(st.integers(1, len(rows) - 1))
    parts = rows[:cut], rows[cut:]
    index = str(tmp_path / "runs" / "index")
    found = [ids(tmp_path / "runs" / str(i), part, index=index, **options) for i, part in enumerate(parts)]
    assert [one for part in found for one in part] == ids(tmp_path / "runs" / "whole", rows, **options)


def test_dropped_rows_name_the_earlier_one(tmp_path: Path) -> None:
    index = {"index": str(tmp_path / "index")}
    dedupe(tmp_path / "a", [{"id": "old", "text": "one text"}, {"id": "older", "text": "one text"}], **index)
    kept, folder = dedupe(tmp_path / "b", [{"id": "new", "text": "one text"}, {"id": "other", "text": "another"}], **index)
    assert [row["id"] for row in kept] == ["other"]
    assert [(row["id"], row["value"]) for row in read_lines(folder / "dropped")] == [("new", "old")]
    (cluster,) = read_lines(folder / "clusters")
    assert cluster["cluster"] == "old"


def test_earlier_rows_come_before_better_ones(tmp_path: Path) -> None:
    index = {"index": str(tmp_path / "index"), "keep": "longest"}
    assert ids(tmp_path / "a", [{"id": "a", "text": "one text"}], **index) == ["a"]
    assert ids(tmp_path / "b", [{"id": "b", "text": "one text!"}, {"id": "c", "text": "two"}], **index) == ["c"]


def test_a_finished_run_stays_finished(tmp_path: Path) -> None:
    index = {"index": str(tmp_path / "index")}
    rows = rows_of(["one", "two", "one"])
    _, folder = dedupe(tmp_path / "a", rows, **index)
    before = json.loads((folder / "stats.json").read_bytes())
    dedupe(tmp_path / "b", rows_of(["one", "three"], 10), **index)
    dedupe(tmp_path / "a", rows, **index)
    assert json.loads((folder / "stats.json").read_bytes()) == before


def test_a_killed_generation_is_made_again(tmp_path: Path) -> None:
    index = tmp_path / "index"
    left = index / ".generation-00001.tmp" / "shards"
    left.mkdir(parents=True)
    assert ids(tmp_path / "a", rows_of(["one", "one"]), index=str(index)) == ["0"]
    assert generations(index) == ["generation-00001"]


def test_other_options_are_refused(tmp_path: Path) -> None:
    dedupe(tmp_path / "a", rows_of(["one"]), index=str(tmp_path / "index"))
    with pytest.raises(UsageError, match="made with ngram=5"):
        dedupe(tmp_path / "b", rows_of(["two"]), index=str(tmp_path / "index"), ngram=4)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(UsageError, match=r"holds 'letter.txt'"):
        dedupe(tmp_path / "a", rows_of(["one"]), index=str(tmp_path / "mine"))
