"""What the runner decides with one filter on a few texts."""

from __future__ import annotations

from typing import Any

import polars as pl

from curate.declare import Batch, Filter
from curate.engine.pipeline import Pipeline
from curate.formats.readings import pick
from tests.work import rows


def scores(step: Filter, texts: list[str]) -> list[dict[str, Any]]:
    """The scores of each text."""
    frame = rows(texts)
    measured: pl.DataFrame = step.bind()(Batch(frame, frame["text"], pl.int_range(frame.height, eager=True)))
    return measured.to_dicts()


def reasons(step: Filter, texts: list[str]) -> list[str | None]:
    """Why each text is dropped, None when it is kept."""
    frame = rows(texts)
    outcome = Pipeline([step], pick("text")).run(frame, 0, 0)
    assert not outcome.rejected, outcome.rejected
    why = {row["id"]: row["reason"] for part in outcome.dropped for row in part.to_dicts()}
    assert len(why) + outcome.kept == len(texts)
    return [why.get(id) for id in frame["id"]]


def off(step: type[Filter], **limits: Any) -> Filter:
    """The filter with these limits and no other rule."""
    none = {name: None for name in step.model_fields if name.startswith(("min_", "max_"))}
    return step.model_validate(none | limits)
