from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from curate.engine.pipeline import Pipeline
from curate.errors import UsageError
from curate.formats.readings import pick
from curate.steps.python import Python
from tests.command import curate
from tests.contract.cases import written_rows
from tests.steps.judge import reasons, scores
from tests.work import rows

HERE = "tests.steps.functions"


def named(function: str, **options: object) -> Python:
    return Python.model_validate({"function": f"{HERE}:{function}"} | options)


@pytest.mark.parametrize(
    ("step", "kept", "dropped"),
    [
        (named("long_enough"), "abc", "ab"),
        (named("length", min=2), "ab", "a"),
        (named("length", max=2), "ab", "abc"),
        (named("length", min=2, max=2), "ab", "abc"),
    ],
)
def test_each_rule_on_both_sides_of_its_limit(step: Python, kept: str, dropped: str) -> None:
    assert reasons(step, [kept, dropped]) == [None, "function"]


def test_columns_scores_and_nulls() -> None:
    frame = rows(["a", "b", "c"], likes=["3", None, "1"], other=["x", "y", "z"])
    outcome = Pipeline([named("liked", columns=("likes", "text"), min=2)], pick("text"), keep_scores=True).run(frame, 0, 0)
    assert outcome.frame.select("id", "python.score").rows() == [("d0", 3.0), ("d1", None)]
    assert outcome.frame["other"].to_list() == ["x", "y"]
    assert outcome.dropped[0].select("id", "reason", "value").rows() == [("d2", "function", "1.0")]
    assert reasons(named("unsure"), ["a", "b"]) == [None, None]
    assert scores(named("long_enough"), ["abc", ""]) == [{"score": 1.0}, {"score": 0.0}]


def test_a_row_on_which_it_raises_is_rejected() -> None:
    outcome = Pipeline([named("refuses")], pick("text")).run(rows(["good", "bad", "fine"]), 0, 0)
    assert outcome.frame["id"].to_list() == ["d0", "d2"]
    assert [(row["id"], row["error"]) for row in outcome.rejected] == [("d1", "ValueError: a bad text")]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (named("too_few"), "gave 1 values for 2 rows"),
        (named("words"), r"gave a series of String; it must be of booleans, as neither"),
        (named("length"), r"gave a series of UInt32; it must be of booleans"),
        (named("long_enough", min=1), r"gave a series of Boolean; it must be of numbers"),
        (named("listed"), r"gave a list; it must give a polars Series"),
    ],
)
def test_a_function_that_gives_something_else_ends_the_run(step: Python, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pipeline([step], pick("text")).run(rows(["a", "b"]), 0, 0)


def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(function: str, message: str, **options: object) -> None:
        with pytest.raises(UsageError, match=message):
            Python.model_validate({"function": function} | options).bind()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "broken_rules.py").write_text("1 / 0\n")
    (tmp_path / "needy_rules.py").write_text("import no_such_library\n")
    (tmp_path / "colorsys.py").write_text("def keep(rows): ...\n")
    fails("no_such_rules:keep", "no module 'no_such_rules', neither installed nor in")
    fails("mine.py:keep", "without its .py")
    fails("polars.no_such:keep", "no module 'polars.no_such'")
    fails("broken_rules:keep", "broken_rules cannot be imported: ZeroDivisionError")
    fails("needy_rules:keep", "needs the module 'no_such_library'")
    fails("colorsys:keep", "has the name of an installed module")
    fails(f"{HERE}:long_enuff", "has no function 'long_enuff'; did you mean 'long_enough'")
    fails(f"{HERE}:NOT_A_FUNCTION", "is no function, but a value of type int")
    fails(f"{HERE}:length", "no file gone.py", sources=["gone.py"])
    for wrong in ("keep", "a/b.py:keep", "a:b:c", "a:b()", ":keep"):
        with pytest.raises(ValidationError, match="should match pattern"):
            Python(function=wrong)


def test_workers_find_the_working_folder_and_see_a_change(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": f"{'x' * (i % 5)}."}) + "\n" for i in range(400)))
    (tmp_path / "limits.py").write_text("LEAST = 4\n")
    mine = tmp_path / "mine.py"
    mine.write_text("import limits\n\ndef keep(rows):\n    return rows['text'].str.len_chars() >= limits.LEAST\n")
    recipe = {
        "name": "own",
        "jobs": [
            {
                "job": "clean",
                "input": ["in.jsonl"],
                "steps": [{"step": "python", "function": "mine:keep", "sources": ["mine.py", "limits.py"]}],
            }
        ],
    }
    (tmp_path / "own.yaml").write_text(json.dumps(recipe))

    def kept() -> int:
        # As a script, so that Python itself does not put the working folder on the path.
        done = curate("run", "own.yaml", "--workers", "2", cwd=tmp_path, small=True)
        assert done.returncode == 0, done.stderr
        return len(written_rows(next((tmp_path / "runs").glob("*/*/data"))))

    assert kept() == 160
    (tmp_path / "limits.py").write_text("LEAST = 5  # changed\n")
    assert kept() == 80
