"""Votes as columns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError
from curate.rank.ballots import COUPLES, couples, read_ballots, read_table
from curate.rank.votes import last_votes, rank_lines, read_votes
from tests.rank.votes_of import campaign


def add(folder: Path, *lines: str) -> None:
    with (folder / "votes.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


def vote(folder: Path, **changes: object) -> str:
    task = json.loads((folder / "tasks.jsonl").read_text().splitlines()[0])["task"]
    row = {"task": task, "annotator": "zoe", "criterion": "overall", "ranks": {"a": 1}, "at": "2026-01-02T00:00:00.000000Z"}
    return json.dumps({k: v for k, v in {**row, **changes}.items() if v is not None})


def test_they_are_the_last_votes(tmp_path):
    campaign(tmp_path, tasks=8, criteria=("overall", "honest"))
    add(
        tmp_path,
        vote(tmp_path),
        vote(tmp_path, ranks=None, skipped=True),
        vote(tmp_path, annotator="ada", ranks={"b": 1, "a": 1}),
    )
    # An earlier time counts for nothing, wherever the line stands.
    add(tmp_path, vote(tmp_path, annotator="ada", ranks={"d": 1}, at="2025-01-01T00:00:00.000000Z"))
    ballots = read_ballots(tmp_path)
    last = last_votes(read_votes(tmp_path / "votes.jsonl"))
    assert ballots.frame["annotator"].to_list() == [vote.annotator for vote in last]
    assert ballots.frame["skipped"].to_list() == [vote.ranks is None for vote in last]
    lines = rank_lines(last)
    at, answer = np.nonzero(ballots.ranks)
    assert [["abcdefghi"[i] for i in answer], ballots.ranks[at, answer].tolist()] == [
        lines["answer"].to_list(),
        lines["rank"].to_list(),
    ]
    shown = [["abcdefghi"[i] for i in row if i >= 0] for row in ballots.shown]
    assert shown == [list(vote.shown) for vote in last]


def test_both_ways_of_reading_say_the_same(tmp_path):
    campaign(tmp_path, tasks=5)
    add(tmp_path, vote(tmp_path, ranks=None, skipped=True), vote(tmp_path, all_bad=True, source="csv", comment="ü"))
    fast = read_table(tmp_path / "votes.jsonl")
    add(tmp_path, vote(tmp_path, shown=["a", "b"], seconds=1e-3).replace('"shown"', '"\\u0073hown"'))
    slow = pl.DataFrame([v.row() for v in read_votes(tmp_path / "votes.jsonl")], infer_schema_length=None)
    assert fast["task"].to_list() == slow["task"].to_list()[:-1]
    assert fast["all_bad"].fill_null(False).sum() == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{broken", "not JSON lines"),
        ('{"task": "t"}', ":16: .*required"),
        ({"ranks": {"a": 0}}, ":16: .*minimum of 1"),
        ({"ranks": {"a": "1"}}, ":16: .*not of type 'integer'"),
        ({"ranks": {"a": 1.5}}, ":16: "),
        ({"ranks": {}}, ":16: "),
        ({"skipped": True}, ":16: "),
        ({"ranks": None}, ":16: "),
        ({"seconds": -1}, ":16: .*minimum of 0"),
        ({"shown": ["x"]}, ":16: "),
        ({"task": "nowhere"}, "a vote on task nowhere"),
        ({"ranks": {"a": 1, "f": 2}}, "ranks an answer that task"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, said):
    campaign(tmp_path, tasks=5)
    add(tmp_path, line if isinstance(line, str) else vote(tmp_path, **line))
    with pytest.raises(InputError, match=said) as error:
        read_ballots(tmp_path)
    assert "\n" not in str(error.value)


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="curate rank export"):
        read_ballots(tmp_path)
    campaign(tmp_path, tasks=2)
    (tmp_path / "votes.jsonl").write_text("")
    with pytest.raises(InputError, match="no vote in it"):
        read_ballots(tmp_path)
    (tmp_path / "votes.jsonl").unlink()
    with pytest.raises(InputError, match="there is none"):
        read_ballots(tmp_path)


@given(st.lists(st.lists(st.integers(0, 9), min_size=9, max_size=9), max_size=6))
def test_couples_by_the_book(rows):
    ranks = np.array(rows, np.int8).reshape(-1, 9)
    expected = [
        (vote, number, int(np.sign(row[j] - row[i])))
        for vote, row in enumerate(rows)
        for number, (i, j) in enumerate(COUPLES)
        if row[i] and row[j]
    ]
    assert list(zip(*(column.tolist() for column in couples(ranks)), strict=True)) == expected
