"""Steps that give rows up: dropped for a reason of their own, beside those that make no row."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import polars as pl
import pytest

from curate.declare import Batch, Expand, FormatName
from curate.engine.pipeline import Pipeline
from curate.errors import StepError
from curate.formats.readings import pick
from curate.steps.length import Length


class Try(Expand):
    """A row for each that is neither empty nor hard; on `boom` it fails."""

    reason: ClassVar[str] = "empty"
    gives_up: ClassVar[tuple[str, ...]] = ("too_hard",)
    one_to_one: ClassVar[bool] = True
    step: Literal["try"] = "try"
    says: str = "too_hard"

    def makes(self) -> tuple[str, ...]:
        return ("text",)

    def makes_format(self) -> FormatName:
        return "text"

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        def work(batch: Batch) -> pl.DataFrame:
            if "boom" in batch.text.to_list():
                raise ValueError("boom")
            hard = batch.text.str.starts_with("hard")
            made = pl.DataFrame({"parent": range(len(batch)), "text": batch.text})
            reasons = pl.when(hard).then(pl.lit(self.says)).alias("reason")
            return made.with_columns(reasons, value=pl.lit("because")).filter(batch.text != "")

        return work


def test_rows_are_given_up_for_a_reason() -> None:
    texts = ["a", "hard 1", "", "b", "boom", "hard 2"]
    frame = pl.DataFrame({"id": [f"r{i}" for i in range(6)], "text": texts, "n": range(6)})
    outcome = Pipeline([Try()], pick("text")).run(frame, 0, 0)
    assert outcome.frame.rows() == [("r0", 0, "a"), ("r3", 3, "b")]
    assert (outcome.rows_in, outcome.kept) == (6, 2)
    assert [row["id"] for row in outcome.rejected] == ["r4"]
    (dropped,) = outcome.dropped
    assert dropped.columns == ["id", "step", "reason", "score", "value", "text"]
    assert dropped.rows() == [
        ("r1", "try", "too_hard", None, "because", "hard 1"),
        ("r2", "try", "empty", None, None, ""),
        ("r5", "try", "too_hard", None, "because", "hard 2"),
    ]


def test_a_reason_must_be_declared() -> None:
    frame = pl.DataFrame({"id": ["r0"], "text": ["hard"]})
    with pytest.raises(StepError, match="step 'try' gives rows up for a reason that it does not declare"):
        Pipeline([Try(says="bored")], pick("text")).run(frame, 0, 0)


class Sentences(Expand):
    """A row a sentence; questions are left out, each told."""

    reason: ClassVar[str] = "empty"
    gives_up: ClassVar[tuple[str, ...]] = ("question",)
    step: Literal["sentences"] = "sentences"

    def makes(self) -> tuple[str, ...]:
        return ("text",)

    def makes_format(self) -> FormatName:
        return "text"

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        def work(batch: Batch) -> pl.DataFrame:
            said = pl.DataFrame({"parent": range(len(batch)), "text": batch.text.str.extract_all(r"[^.?]+[.?]")})
            said = said.explode("text", empty_as_null=True).drop_nulls()
            asks = pl.col("text").str.ends_with("?")
            return said.with_columns(
                reason=pl.when(asks).then(pl.lit("question")), value=pl.when(asks).then(pl.lit("?")), left="text"
            )

        return work


def test_parts_of_a_row_are_given_up_and_filters_may_follow() -> None:
    texts = ["One. Two? Three.", "", "Four? Five?", "Six seven."]
    frame = pl.DataFrame({"id": [f"r{i}" for i in range(4)], "text": texts})
    outcome = Pipeline([Sentences(), Length(min_words=2)], pick("text")).run(frame, 0, 0)
    assert outcome.frame.select("id", "text").rows() == [("r3", "Six seven.")]
    assert [(row["id"], row["reason"], row["text"]) for gone in outcome.dropped for row in gone.to_dicts()] == [
        ("r0", "question", " Two?"),
        ("r1", "empty", ""),
        ("r2", "question", "Four?"),
        ("r2", "question", " Five?"),
        ("r0#1", "too_few_words", "One."),
        ("r0#2", "too_few_words", " Three."),
    ]
    assert (outcome.rows_in, outcome.made, outcome.kept) == (4, 3, 1)
