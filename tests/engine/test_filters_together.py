"""Filters that follow one another judge one batch; what they decide is what they decide one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.declare import Batch, Filter, Rewrite, Rule, Step
from curate.engine.pipeline import Outcome, Pipeline
from curate.formats.readings import pick
from curate.steps.c4 import C4Quality
from curate.steps.clean import Whitespace
from curate.steps.fineweb import FinewebQuality
from curate.steps.gopher import GopherQuality, GopherRepetition
from curate.steps.length import Length
from curate.steps.split import Split
from tests.contract.texts import PROSE, TEXTS


class Judge(Filter):
    """Reads its score from the row: `NUMBER` for its letter, `none`, `nan`, or `boom`, on which it fails."""

    step: Literal["a", "b", "c"] = "a"
    min: float | None = 1

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("low", "s", min=self.min), Rule("high", "t", max=8))

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        def measure(batch: Batch) -> pl.DataFrame:
            found = [json.loads(text)[self.step] for text in batch.text]
            batch.share(_seen).append((self.step, len(batch)))
            if "boom" in found:
                raise ZeroDivisionError("boom")
            numbers = [math.nan if value == "nan" else value for value in found]
            return pl.DataFrame({"s": numbers, "t": numbers}, schema={"s": pl.Float64, "t": pl.Float64})

        return measure


class Same(Rewrite):
    """Changes nothing; what comes after it works on a new batch."""

    step: Literal["same"] = "same"

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        return lambda texts: texts


SEEN: list[list[tuple[str, int]]] = []


def _seen(batch: Batch) -> list[tuple[str, int]]:
    SEEN.append([])
    return SEEN[-1]


def frame_of(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [f"r{i}" for i in range(len(texts))], "text": texts}, schema=dict.fromkeys(("id", "text"), pl.String)
    )


def through(steps: list[Step], frame: pl.DataFrame, cut: int, **how: bool) -> tuple[pl.DataFrame, list[Any], list[Any], Any]:
    """The rows kept, dropped (in order of the filters, then of the rows) and rejected; and the counts."""
    pipeline = Pipeline(steps, pick("text"), **how)
    outcomes = [pipeline.run(frame.slice(i, cut), i, 0) for i in range(0, max(frame.height, 1), cut)]
    for outcome in outcomes:
        assert outcome.rows_in == outcome.kept + sum(d.height for d in outcome.dropped) + len(outcome.rejected)
    return *_gathered(outcomes, steps), pipeline.scores.as_json()


def _gathered(outcomes: list[Outcome], steps: list[Step]) -> tuple[pl.DataFrame, list[Any], list[Any]]:
    order = [step.step for step in steps]
    frame = pl.concat([o.frame for o in outcomes if o.frame.height] or [outcomes[0].frame], how="diagonal_relaxed")
    dropped = [row for o in outcomes for d in o.dropped for row in d.to_dicts()]
    rejected = [row for o in outcomes for row in o.rejected]
    return frame, sorted(dropped, key=lambda r: order.index(r["step"])), sorted(rejected, key=lambda r: order.index(r["step"]))


def one_by_one(steps: list[Step], frame: pl.DataFrame, **how: bool) -> tuple[pl.DataFrame, list[Any], list[Any]]:
    dropped, rejected = [], []
    for step in steps:
        outcome = Pipeline([step], pick("text"), **how).run(frame, 0, 0)
        frame = outcome.frame
        dropped += [row for d in outcome.dropped for row in d.to_dicts()]
        rejected += outcome.rejected
    return frame, dropped, rejected


values = st.sampled_from([0, 1, 5, 8, 9, None, "nan", "boom"])
rows = st.lists(st.fixed_dictionaries({"a": values, "b": values, "c": values}), max_size=12)
filters = [Judge(step="a"), Judge(step="b"), Judge(step="c")]


@settings(max_examples=200)
@given(rows, st.integers(1, 12), st.booleans(), st.booleans())
def test_filters_together_are_filters_one_by_one(data: list[dict[str, Any]], cut: int, keep: bool, split: bool) -> None:
    frame = frame_of([json.dumps(row) for row in data])
    steps: list[Step] = [*filters[:2], Same(), filters[2]] if split else list(filters)
    kept, dropped, rejected, counts = through(steps, frame, cut, keep_scores=keep)
    alone, gone, bad = one_by_one(steps, frame, keep_scores=keep)
    if kept.height:
        assert kept.equals(alone, null_equal=True)
    assert (dropped, rejected) == (gone, bad)
    assert counts == through(steps, frame, max(len(data), 1), keep_scores=keep)[3]


def test_the_catalog_together_is_the_catalog_one_by_one() -> None:
    frame = frame_of([*TEXTS, *(f"{PROSE} {i} {'- list' * (i % 5)}\n" * (1 + i % 3) for i in range(80))])
    frame = pl.concat([frame, frame_of([f"{PROSE.replace('.', '')} of {i}" for i in range(20)])])
    steps: list[Step] = [Whitespace(), Length(min_words=3), GopherQuality(), Split(validation=0.5), GopherRepetition()]
    steps += [FinewebQuality(), C4Quality(min_sentences=3)]
    whole = through(steps, frame, frame.height, keep_scores=True)
    alone = one_by_one(steps, frame, keep_scores=True)
    assert whole[0].height > 9
    assert whole[0].equals(alone[0], null_equal=True)
    assert whole[1:3] == alone[1:]
    assert {row["step"] for row in whole[1]} >= {"length", "gopher_quality", "gopher_repetition", "fineweb_quality"}
    for cut in (1, 7, 50):
        cut_up = through(steps, frame, cut, keep_scores=True)
        assert cut_up[0].equals(whole[0], null_equal=True)
        assert cut_up[1:] == whole[1:]


@pytest.mark.parametrize(("good", "batches"), [(9, [[("a", 10), ("b", 10)]]), (3, [[("a", 10)], [("b", 3)]])])
def test_rows_leave_the_batch_when_they_are_many(good: int, batches: list[list[tuple[str, int]]]) -> None:
    data = [{"a": 5 if i < good else 0, "b": 5} for i in range(10)]
    SEEN.clear()
    kept, dropped, _, _ = through(list(filters[:2]), frame_of([json.dumps(row) for row in data]), 10)
    assert batches == SEEN
    assert (kept.height, len(dropped)) == (good, 10 - good)


def test_few_rows_that_hold_most_of_the_text_leave_the_batch() -> None:
    data = [{"a": 0 if i == 0 else 5, "b": 5, "text": "x" * 1000 * (i == 0)} for i in range(10)]
    SEEN.clear()
    through(list(filters[:2]), frame_of([json.dumps(row) for row in data]), 10)
    assert SEEN == [[("a", 10)], [("b", 9)]]


def test_a_row_that_is_out_is_never_rejected() -> None:
    data = [{"a": 5, "b": 5}, {"a": 0, "b": "boom"}, {"a": 5, "b": "boom"}, {"a": 5, "b": 0}]
    kept, dropped, rejected, counts = through(list(filters[:2]), frame_of([json.dumps(row) for row in data]), 10)
    assert kept["id"].to_list() == ["r0"]
    assert [(row["id"], row["step"]) for row in dropped] == [("r1", "a"), ("r3", "b")]
    assert [row["id"] for row in rejected] == ["r2"]
    assert (counts["0"]["rows"], counts["1"]["rows"]) == (4, 2)
