"""`curate inspect --steps`: what steps would do to a sample of rows, before anything is run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.declare import Expand, Rows, RowsJob, Step
from curate.engine.pipeline import TAG, Outcome, Pipeline
from curate.engine.plan import Plan, make_plan
from curate.engine.scores import summary
from curate.errors import InputError, UsageError
from curate.formats.readings import pick
from curate.io.files import atomic
from curate.io.read import read
from curate.io.rows import Reject
from curate.report.page import render
from curate.report.scores import print_scores, score_views
from curate.report.sides import Sides, add_rows, print_sides, sides_of
from curate.report.tables import bytes_text

if TYPE_CHECKING:
    import polars as pl

__all__ = ["look"]

LOOK_BYTES = 128 << 20
"""Bytes of input, uncompressed, that are read to draw a sample: a smaller input is read whole."""

PLACES = 16
"""Places, spread evenly over a larger input, from which it is read."""


def look(console: Any, job: RowsJob, rows: int, sample: int, html: Path | None) -> int:
    """Apply the steps of a job to a sample of its input, in memory, and print for each score how it is spread, the limits,
    the share of rows that fails each rule, and `rows` examples on either side of each limit. Returns the exit code 0.

    The sample is the `sample` rows whose ids have the lowest hash, of all rows or, of an input past LOOK_BYTES, of those at
    the beginnings of PLACES units of work (64 MB each), spread evenly: always the same rows for the same input. Writes nothing
    but the page `html`. Raises InputError, UsageError.
    """
    if sample < 1:
        raise UsageError(f"--sample {sample}: must be 1 or more")
    options = {"keep_scores": True, "tag": True} if "keep_scores" in type(job).model_fields else {}
    # A place that can hold nothing: what it says of the output is not asked.
    plan = make_plan(job.model_copy(update=options), Path(os.devnull))
    steps = [step for stage in job.stages() if isinstance(stage, Rows) for step in stage.steps]
    drawn = _sample(plan, sample)
    if not drawn.frame.height:
        raise InputError(f"{', '.join(plan.inputs[:3])}: no row in it can be read (see `curate validate`)")
    assert plan.reading is not None
    reading = pick(plan.reading, plan.text_column)
    pipeline = Pipeline(steps, reading, keep_scores=True, tag=True)
    outcome = pipeline.run(drawn.frame, 0, 0)
    filters = summary(steps, pipeline.scores.as_json())
    sides = sides_of(filters, rows)
    made = [name for step in steps if isinstance(step, Expand) and (name := step.makes_format())]
    add_rows(sides, outcome.frame, (pick(made[-1]) if made else reading).text(outcome.frame))
    lines = _lines(plan, steps, drawn, outcome)
    for line in lines:
        console.print(line, soft_wrap=True)
    print_scores(console, filters)
    print_sides(console, sides)
    if html is not None:
        _write(html, lines, filters, sides, job)
        console.print(f"\nPage: {html}", soft_wrap=True)
    return 0


@dataclass
class Sample:
    """The rows drawn, in their order, and how much was read."""

    frame: pl.DataFrame
    rows: int = 0
    bytes: int = 0
    unreadable: int = 0
    first: Reject | None = None
    places: int | None = None
    """How many places of the input were read from; None: all of it was."""


def _sample(plan: Plan, count: int) -> Sample:
    import polars as pl

    from curate.analysis import draw

    assert plan.take is not None
    pieces = [piece for shard in plan.shards for piece in shard.pieces]
    size = sum(piece.source.size * piece.share * (4 if piece.source.compressed else 1) for piece in pieces)
    shards = plan.shards
    if len(shards) > PLACES:
        shards = tuple(shards[len(shards) * i // PLACES] for i in range(PLACES))
    found = Sample(pl.DataFrame(schema={"id": pl.String, "__row": pl.Int64, "__draw": pl.Float64}))
    if size > LOOK_BYTES:
        found.places = len(shards)
    else:
        shards = plan.shards
    for shard in shards:
        before = found.bytes
        for chunk in read(shard, plan.take):
            found.unreadable += len(chunk.rejects)
            found.first = found.first or next(iter(chunk.rejects), None)
            place = pl.int_range(found.rows, found.rows + chunk.frame.height, eager=True)
            drawn = chunk.frame.with_columns(place.alias("__row"), pl.Series("__draw", draw(chunk.frame["id"], 0)))
            found.frame = pl.concat([found.frame, drawn], how="diagonal_relaxed").bottom_k(count, by=["__draw", "__row"])
            found.rows += chunk.frame.height
            found.bytes += chunk.bytes
            if found.places and found.bytes - before >= LOOK_BYTES // found.places:
                break
    found.frame = found.frame.sort("__row").drop("__row", "__draw")
    return found


def _lines(plan: Plan, steps: list[Step], sample: Sample, outcome: Outcome) -> list[str]:
    """What was read and what became of it."""
    failed, dropped = outcome.rejected, sum(frame.height for frame in outcome.dropped)
    total = outcome.frame.height + len(failed) + dropped
    places = f" at {sample.places} places, spread over the input" if sample.places else ""
    lines = [
        f"{', '.join(plan.inputs[:3])}: {sample.frame.height:,} rows drawn of {sample.rows:,} by the hash of their ids, as "
        f"{plan.reading} ({bytes_text(sample.bytes)} read{places})",
        f"steps: {', '.join(step.step for step in steps)}",
    ]
    if sample.first:
        lines.append(
            f"{sample.unreadable:,} rows cannot be read, first: {sample.first.file}:{sample.first.line}: {sample.first.error}"
        )
    stay = outcome.frame[TAG].null_count()
    missing = f"; {dropped:,} dropped before any filter" if dropped else ""
    lines.append(f"{stay:,} of {total:,} would stay ({100 * stay / total:.1f} %){missing}")
    if failed:
        lines.append(f"a step failed on {len(failed):,}, first: {failed[0]['id']}: {failed[0]['step']}: {failed[0]['error']}")
    return lines


def _write(path: Path, lines: list[str], filters: list[dict[str, Any]], sides: list[Sides], job: RowsJob) -> None:
    from curate.recipe import Recipe, recipe_yaml

    recipe = recipe_yaml(Recipe(name=job.label(), jobs=(job,)))
    with atomic(path) as handle:
        handle.write(render("look.html.j2", lines=lines, groups=score_views(filters), sides=sides, recipe=recipe).encode())
