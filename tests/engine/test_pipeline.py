"""The runner of steps: it takes them at their word only after a look."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import polars as pl
import pytest

from curate.declare import Batch, Expand, Filter, FormatName, Map, Rewrite, Rule, Step
from curate.engine.pipeline import Outcome, Pipeline
from curate.errors import StepError
from curate.formats.readings import pick


class Score(Filter):
    """Gives the scores that it is told."""

    step: Literal["score"] = "score"
    scores: tuple[float | None, ...] = ()
    low: float | None = None
    high: float | None = None
    rows: int = 0

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("low", "s", min=self.low), Rule("high", "s", max=self.high))

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        def work(batch: Batch) -> pl.DataFrame:
            texts = batch.text.to_list()
            if "boom" in texts:
                raise ZeroDivisionError("boom")
            if "panic" in texts:
                raise pl.exceptions.PanicException("the library gave up")
            scores = [self.scores[i] for i in batch.row] if self.scores else [1.0] * len(batch)
            return pl.DataFrame({"s": scores + [0.0] * self.rows}, schema={"s": pl.Float64})

        return work


class Shout(Rewrite):
    """Upper case, or nonsense."""

    step: Literal["shout"] = "shout"
    how: Literal["well", "fewer", "null"] = "well"

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        ways: dict[str, Callable[[pl.Series], pl.Series]] = {
            "well": lambda texts: texts.str.to_uppercase(),
            "fewer": lambda texts: texts.head(1),
            "null": lambda texts: pl.Series([None] * texts.len(), dtype=pl.String),
        }
        return ways[self.how]


class Vowels(Rewrite):
    """Takes out the vowels, and counts them; fails on a text with a digit, in the middle."""

    step: Literal["vowels"] = "vowels"

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        return _Vowels()


class _Vowels:
    def __init__(self) -> None:
        self._found: dict[str, int] = {}

    def __call__(self, texts: pl.Series) -> pl.Series:
        for text in texts:
            for char in text:
                if char.isdigit():
                    raise ValueError("a digit")
                if char in "aeiou":
                    self._found[char] = self._found.get(char, 0) + 1
        return texts.str.replace_all("[aeiou]", "")

    def counts(self) -> dict[str, int]:
        found, self._found = self._found, {}
        return found


class Tag(Map):
    """Adds a column, or not."""

    step: Literal["tag"] = "tag"
    gives: tuple[str, ...] = ("tag",)

    def adds(self) -> tuple[str, ...]:
        return ("tag",)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        return lambda batch: pl.DataFrame({name: batch.text for name in self.gives})


class Words(Expand):
    """A row for each word; on `boom` it fails."""

    reason: ClassVar[str] = "no_words"
    step: Literal["words"] = "words"

    def makes(self) -> tuple[str, ...]:
        return ("text",)

    def makes_format(self) -> FormatName:
        return "text"

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        def work(batch: Batch) -> pl.DataFrame:
            if "boom" in batch.text.to_list():
                raise ValueError("boom")
            made = [(i, word) for i, text in enumerate(batch.text) for word in text.split()]
            return pl.DataFrame(made, schema={"parent": pl.UInt32, "text": pl.String}, orient="row")

        return work


def run(texts: list[str | None], *steps: Step, keep_scores: bool = False) -> Outcome:
    frame = pl.DataFrame(
        {"id": [f"r{i}" for i in range(len(texts))], "text": pl.Series(texts, dtype=pl.String), "n": range(len(texts))}
    )
    return Pipeline(steps, pick("text"), keep_scores=keep_scores).run(frame, 0, 0)


def dropped(outcome: Outcome) -> list[dict[str, Any]]:
    return [row for frame in outcome.dropped for row in frame.to_dicts()]


def test_rows_without_a_text_never_reach_a_step() -> None:
    outcome = run([None, "a", None], Score(low=0))
    assert outcome.frame["id"].to_list() == ["r1"]
    assert [(row["id"], row["step"], row["reason"], row["text"]) for row in dropped(outcome)] == [
        ("r0", "read", "no_text", ""),
        ("r2", "read", "no_text", ""),
    ]
    assert (outcome.rows_in, outcome.kept) == (3, 1)


def test_limits_include_their_ends_null_passes_and_nan_does_not() -> None:
    scores = (0.5, 1.0, 2.0, 2.5, None, math.nan)
    for low, high, kept in (
        (1.0, 2.0, [1, 2, 4]),
        (1.0, None, [1, 2, 3, 4]),
        (None, 2.0, [0, 1, 2, 4]),
        (None, None, [0, 1, 2, 3, 4, 5]),
    ):
        outcome = run(["t"] * 6, Score(scores=scores, low=low, high=high))
        assert outcome.frame["n"].to_list() == kept, (low, high)
    gone = dropped(run(["t"] * 6, Score(scores=scores, low=1.0, high=2.0)))
    assert [(row["id"], row["reason"], row["score"], row["value"]) for row in gone] == [
        ("r0", "low", "s", "0.5"),
        ("r3", "high", "s", "2.5"),
        ("r5", "low", "s", "NaN"),
    ]


def test_scores_are_kept_when_asked() -> None:
    outcome = run(["a", "b"], Score(scores=(1.5, 0.1), low=1), keep_scores=True)
    assert outcome.frame["score.s"].to_list() == [1.5]


@pytest.mark.parametrize(
    ("text", "error"), [("boom", "ZeroDivisionError: boom"), ("panic", "PanicException: the library gave up")]
)
def test_the_row_that_a_step_fails_on_is_rejected_alone(text: str, error: str) -> None:
    outcome = run(["a", text, "b"], Score(low=0), Shout())
    assert outcome.frame["text"].to_list() == ["A", "B"]
    assert outcome.frame["n"].to_list() == [0, 2]
    assert outcome.rejected == [{"id": "r1", "step": "score", "error": error, "text": text}]
    assert (outcome.rows_in, outcome.made, outcome.kept) == (3, 0, 2)
    assert run([text], Score(low=0), Shout()).frame.height == 0


@pytest.mark.parametrize("step", [Score(rows=1, low=0), Shout(how="fewer"), Shout(how="null"), Tag(gives=("other",))])
def test_a_step_that_breaks_its_contract_is_an_error_and_no_reject(step: Step) -> None:
    with pytest.raises(StepError, match=f"step '{step.step}' "):
        run(["a", "b"], step)


def test_maps_add_columns_and_nothing_else() -> None:
    outcome = run(["a"], Tag(gives=("tag", "unasked")))
    assert outcome.frame.columns == ["id", "text", "n", "tag"]


def test_new_rows_know_their_parents() -> None:
    outcome = run(["one two", "", "three"], Words())
    assert outcome.frame.select("id", "parent_id", "text", "n").rows() == [
        ("r0#1", "r0", "one", 0),
        ("r0#2", "r0", "two", 0),
        ("r2", None, "three", 2),
    ]
    assert [(row["id"], row["reason"]) for row in dropped(outcome)] == [("r1", "no_words")]
    assert (outcome.rows_in, outcome.made, outcome.kept) == (3, 1, 3)


def test_new_rows_know_their_parents_when_a_row_fails() -> None:
    outcome = run(["one two", "boom", "three"], Words())
    assert outcome.frame.select("id", "text", "n").rows() == [("r0#1", "one", 0), ("r0#2", "two", 0), ("r2", "three", 2)]
    assert [row["id"] for row in outcome.rejected] == ["r1"]


def test_an_analysis_is_made_once_and_forgotten_when_the_text_changes() -> None:
    seen: list[str] = []

    def analysis(batch: Batch) -> int:
        seen.append(batch.text[0])
        return len(seen)

    batch = Batch(pl.DataFrame({"id": ["a"]}), pl.Series(["x"]), pl.Series([0]))
    assert [batch.share(analysis), batch.share(analysis)] == [1, 1]
    assert seen == ["x"]


def test_what_rewrites_count() -> None:
    pipeline = Pipeline([Vowels()], pick("instruction"))
    frame = pl.DataFrame({"id": ["x", "y"], "instruction": ["a tree", "io"], "output": ["an oak", ""]})
    pipeline.run(frame, 0, 0)
    assert pipeline.counts == {"vowels": {"a": 3, "e": 2, "o": 2, "i": 1}}


def test_rejected_rows_are_not_counted() -> None:
    pipeline = Pipeline([Vowels()], pick("instruction"))
    frame = pl.DataFrame({"id": ["x", "y", "z"], "instruction": ["aa", "aaa", "a"], "output": ["", "i 7", "o"]})
    outcome = pipeline.run(frame, 0, 0)
    assert [row["id"] for row in outcome.rejected] == ["y"]
    assert pipeline.counts == {"vowels": {"a": 3, "o": 1}}
