from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import schemas
import train.sample
import train.score
from tests.train.conftest import pairs, ranked, write_jsonl
from tests.train.test_reinforce import AfterStep
from train.errors import DataError, Interrupted
from train.stage import Interrupts

Run = Callable[..., dict[str, Any]]

JUDGE = """
def words(prompt, answer, row):
    return len(answer.split())
"""


@pytest.fixture
def scoring(tmp_path: Path) -> dict[str, Any]:
    """A recipe that scores 12 rankings of three by their words: the worst has most of two, the best five."""
    (tmp_path / "judge.py").write_text(JUDGE)
    rows = [row | {"topic": "sounds"} for row in ranked(12, 5)]
    stage = {
        "stage": "score",
        "data": str(write_jsonl(tmp_path / "rows.jsonl", rows)),
        "rewards": [{"function": f"{tmp_path}/judge.py:words"}],
    }
    return {"out": str(tmp_path / "out"), "threads": 1, "device": "cpu", "stages": [stage]}


def written(recipe: dict[str, Any], name: str, file: str = "rows.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(recipe["out"]) / name / "data" / file).read_text().splitlines()]


def with_stage(recipe: dict[str, Any], **options: Any) -> dict[str, Any]:
    return recipe | {"stages": [recipe["stages"][0] | options]}


def test_scores_ranks_and_what_else_a_row_says(run: Run, scoring: dict[str, Any]) -> None:
    summary = run(scoring)["stages"][0]
    rows = written(scoring, "score")
    assert (summary["rows_in"], summary["rows_out"], summary["answers_scored"]) == (12, 12, 36)
    assert summary["score_mean"] == pytest.approx((5 + 4 + 2) / 3)
    for row in rows:
        assert [(a["rank"], a["score"], len(a["answer"].split())) for a in row["answers"]] == [(1, 5, 5), (2, 4, 4), (3, 2, 2)]
        assert row["topic"] == "sounds"
        assert row["instruction"].startswith("what does the ")


def test_pairs_of_best_and_worst_or_all(run: Run, scoring: dict[str, Any]) -> None:
    run(with_stage(scoring, to="preference", name="two"))
    rows = written(scoring, "two")
    assert len(rows) == 12
    assert all(row["margin"] == 3 and row["chosen"].endswith("thanks") for row in rows)
    for row in rows:
        jsonschema.validate(row, schemas.load("preference"))
    summary = run(with_stage(scoring, to="preference", pairs="all", min_margin=1.5, name="all"))["stages"][0]
    assert [row["margin"] for row in written(scoring, "all")] == [3, 2] * 12
    assert summary["rows_dropped"] == {}
    summary = run(with_stage(scoring, to="preference", min_margin=3.5, name="none"))["stages"][0]
    assert summary["rows_dropped"] == {"small_margin": 12}


def test_the_best_answer_becomes_an_instruction_row(run: Run, scoring: dict[str, Any], tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    rows = [
        {"instruction": "x", "answers": [{"text": "a b", "ended": False}, "c", "c c c"]},
        {"prompt": turns, "answers": ["one", "one more"]},
        {"instruction": "nothing said"},
    ]
    data = str(write_jsonl(tmp_path / "mixed.jsonl", rows))
    summary = run(with_stage(scoring, data=data, to="best"))["stages"][0]
    first, second = written(scoring, "score")
    assert (first["instruction"], first["output"], first["score"]) == ("x", "c c c", 3)
    assert second["messages"] == [*turns, {"role": "assistant", "content": "one more"}]
    assert summary["rows_dropped"] == {"no_answer": 1}
    # Cut before it ended, an answer pays.
    run(with_stage(scoring, data=data, name="scores"))
    assert [a["score"] for a in written(scoring, "scores")[0]["answers"]] == [3, 1, 1]


def test_votes_fill_the_tasks_of_a_campaign(run: Run, scoring: dict[str, Any], tmp_path: Path) -> None:
    from curate.rank.votes import read_votes

    said = ("a b", "a b c", "a b")
    answers = [{"answer": letter, "text": text} for letter, text in zip("abc", said, strict=True)]
    task = {"task": "5f1c0b7e9a32", "prompt": [{"role": "user", "content": "x"}], "answers": answers}
    jsonschema.validate(task, schemas.load("task"))
    (tmp_path / "campaign").mkdir()
    write_jsonl(tmp_path / "campaign" / "tasks.jsonl", [task])
    write_jsonl(tmp_path / "campaign" / "key.jsonl", [{"task": "5f1c0b7e9a32"}])
    run(with_stage(scoring, data=str(tmp_path / "campaign"), to="votes", annotator="counter"))
    (vote,) = written(scoring, "score", "votes.jsonl")
    jsonschema.validate(vote, schemas.load("vote"))
    assert vote["ranks"] == {"a": 2, "b": 1, "c": 2}
    assert vote["source"] == "model:counter"
    (read,) = read_votes(Path(scoring["out"]) / "score" / "data" / "votes.jsonl")
    assert read.annotator == "counter"
    with pytest.raises(DataError, match="is no ranking task"):
        run(with_stage(scoring, to="votes"))


def test_a_killed_run_goes_on_and_writes_the_same_bytes(
    run: Run, scoring: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.score, "WINDOW", 4)
    run(scoring | {"out": str(tmp_path / "whole")})
    with pytest.raises(Interrupted, match="stopped after 8 rows"):
        run(scoring, AfterStep(8, interrupts := Interrupts()), interrupts=interrupts)
    scores = Path(scoring["out"]) / "score" / "scores.jsonl"
    with scores.open("a") as stream:
        stream.write("[1, 2, 3]\n[7")  # half a window, and half a line
    events: list[dict[str, Any]] = []
    run(scoring, events)
    assert any("after 8 rows" in e.get("message", "") for e in events)
    for name in ("score/scores.jsonl", "score/data/rows.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (Path(scoring["out"]) / name).read_bytes()


def test_answers_are_drawn_again_alike_after_a_kill_and_scored(
    run: Run, scoring: dict[str, Any], speaker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.sample, "WINDOW", 4)
    rows = [*pairs(9, 7), pairs(1, 7)[0], {"instruction": "long " * 80}]
    rows = [row | {"split": "train"} for row in rows] + [{"instruction": "no split"}]
    draw = {
        "stage": "sample", "model": speaker, "data": str(write_jsonl(tmp_path / "prompts.jsonl", rows)),
        "answers": 3, "max_length": 64, "max_new_tokens": 12, "split": "train",
    }  # fmt: skip
    scoring["stages"] = [draw, scoring["stages"][0] | {"data": "stage:sample", "to": "preference"}]
    whole = run(scoring | {"out": str(tmp_path / "whole")})
    assert whole["stages"][0]["rows_dropped"] == {"other_split": 1, "same_prompt": 1, "too_long": 1}
    assert (whole["stages"][0]["answers"], whole["stages"][1]["rows_in"]) == (27, 9)
    with pytest.raises(Interrupted):
        run(scoring, AfterStep(4, interrupts := Interrupts()), interrupts=interrupts)
    run(scoring)
    for name in ("sample", "score"):
        file = Path(name) / "data" / "rows.jsonl"
        assert (tmp_path / "whole" / file).read_bytes() == (Path(scoring["out"]) / file).read_bytes()
    drawn = written(scoring, "sample")
    assert all(len(row["answers"]) == 3 and row["model"] == "sft" for row in drawn)
    assert len({a["text"] for row in drawn for a in row["answers"]}) > 3


def test_rows_that_cannot_be_scored_are_one_line(run: Run, scoring: dict[str, Any], tmp_path: Path, base: str) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    for options, message in (
        ({"data": str(tmp_path / "empty.jsonl")}, "there is no row in it"),
        ({"rewards": [{"model": base}]}, "is no reward model"),
        ({"data": str(write_jsonl(tmp_path / "odd.jsonl", [{"answers": ["a"]}]))}, "odd.jsonl:1: has no prompt"),
    ):
        with pytest.raises(DataError, match=message):
            run(with_stage(scoring, **options))
