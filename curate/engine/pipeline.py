"""The runner of row-wise steps: what is kept, what is dropped and why, what is rejected. Nothing is swallowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from curate.declare import Batch, Expand, Filter, Map, Rewrite, Step
from curate.engine.scores import ScoreCounts, judge, read_scores
from curate.errors import CurateError, StepError
from curate.formats.readings import Reading, pick
from curate.io.rows import REST

if TYPE_CHECKING:
    import polars as pl

__all__ = ["READ", "TAG", "Outcome", "Pipeline", "without_text"]

READ = "read"
"""The name under which the runner itself drops rows: those without a text."""

TAG = "dropped_by"
"""The column that says why a row would be dropped, where it is tagged instead."""


@dataclass
class Outcome:
    """What became of the rows of one batch: rows_in + made = kept + dropped + rejected."""

    frame: pl.DataFrame
    """The rows to write."""
    rows_in: int = 0
    made: int = 0
    """Rows that there are more, as steps made several of one."""
    kept: int = 0
    dropped: list[pl.DataFrame] = field(default_factory=list)
    """Frames with id, step, reason, score, value, text."""
    rejected: list[dict[str, Any]] = field(default_factory=list)
    """id, step, error, text of the rows on which a step failed."""


@dataclass
class _Flow:
    """Rows between two steps. A row that a filter drops stays in the batch for a while, with its fate."""

    batch: Batch
    reading: Reading
    fate: pl.Series | None = None
    """For each row of the batch the `step.reason` for which it goes, null while it stays; None: all stay."""

    def stays(self) -> pl.Series | None:
        """Which rows are still in; None: all."""
        return None if self.fate is None else self.fate.is_null()

    def only(self, keep: pl.Series) -> None:
        """Go on with some of the rows."""
        batch = self.batch
        self.batch = Batch(batch.frame.filter(keep), batch.text.filter(keep), batch.row.filter(keep), batch.shard)
        self.fate = None if self.fate is None else self.fate.filter(keep)

    def few(self) -> bool:
        """Whether fewer than half of the rows, or of the bytes of text, are still in: then the others cost more than what
        the steps share of the batch saves."""
        stays = self.stays()
        if stays is None:
            return False
        sizes = self.batch.text.str.len_bytes()
        return 2 * int(stays.sum()) < stays.len() or 2 * int(sizes.filter(stays).sum()) < int(sizes.sum())


class Pipeline:
    """Steps bound in this process, applied to batch after batch.

    Filters that follow one another judge the same batch, so that they share what they compute of it; a row's fate is that of
    the first filter that it fails, and what happens to it in later ones does not count.

    keep_scores: write each filter's scores as columns `<step>.<score>`.
    tag: drop no row for its scores; write `step.reason` of the filter that would, or null, as column `dropped_by`.
    Raises StepError when a step breaks its contract; a step that raises on a row gets the row rejected.
    """

    def __init__(self, steps: Sequence[Step], reading: Reading, *, keep_scores: bool = False, tag: bool = False) -> None:
        self._reading = reading
        self._keep_scores = keep_scores
        self.tags = tag
        self._steps: list[tuple[Step, Callable[[Any], Any]]] = [(step, _bound(step)) for step in steps]
        self.seconds: dict[str, float] = {}
        self.scores = ScoreCounts()
        self.counts: dict[str, dict[str, int]] = {}
        """What rewrites counted on the rows that went on, by step."""

    def run(self, frame: pl.DataFrame, first_row: int, shard: int) -> Outcome:
        """Apply the steps to a frame of readable rows, the first of which is row `first_row` of its shard."""
        import polars as pl

        reading = self._reading
        frame = reading.normalize(frame)
        row = pl.int_range(first_row, first_row + frame.height, eager=True)
        text = reading.text(frame)
        outcome = Outcome(frame, rows_in=frame.height)
        missing = text.is_null()
        if missing.any():
            outcome.dropped.append(without_text(frame, text))
            frame, row, text = frame.filter(~missing), row.filter(~missing), text.filter(~missing)
        flow = _Flow(Batch(frame, text, row, shard), reading)
        for number, (step, function) in enumerate(self._steps):
            began = time.perf_counter()
            if not isinstance(step, Filter) or flow.few():
                self._settle(flow)
            if len(flow.batch) == 0:
                break
            self._apply(number, step, function, flow, outcome)
            self.seconds[step.step] = self.seconds.get(step.step, 0.0) + time.perf_counter() - began
        self._settle(flow)
        outcome.frame = flow.batch.frame
        if self.tags:
            nothing = pl.Series([None], dtype=pl.String).new_from_index(0, outcome.frame.height)
            outcome.frame = outcome.frame.with_columns((nothing if flow.fate is None else flow.fate).alias(TAG))
        outcome.kept = outcome.frame.height
        gone = sum(frame.height for frame in outcome.dropped) + len(outcome.rejected)
        if outcome.rows_in + outcome.made != outcome.kept + gone:
            raise StepError(f"rows do not add up: {outcome.rows_in} in, {outcome.made} made, {outcome.kept} kept, {gone} gone")
        return outcome

    def _settle(self, flow: _Flow) -> bool:
        """Take the rows that are to go out of the batch; whether there were any. Tagged rows stay to the end."""
        stays = flow.stays()
        if stays is None or self.tags:
            return False
        flow.only(stays)
        flow.fate = None
        return True

    def _apply(self, number: int, step: Step, function: Callable[[Any], Any], flow: _Flow, outcome: Outcome) -> None:
        import polars as pl

        def counted(keep: bool) -> None:
            for name, n in getattr(function, "counts", dict)().items():
                if keep:
                    of_step = self.counts.setdefault(step.step, {})
                    of_step[name] = of_step.get(name, 0) + n

        try:
            result = _call(step, function, flow.batch, flow.reading)
            counted(True)
        except CurateError:
            raise
        except (Exception, pl.exceptions.PanicException):  # noqa: BLE001 - the culprit is found row by row, and rejected
            counted(False)
            if self._settle(flow):  # it may be one that is out already
                self._apply(number, step, function, flow, outcome)
                return
            result = _row_by_row(step, function, flow, outcome, counted)
            if len(flow.batch) == 0:
                return
        batch, reading = flow.batch, flow.reading
        match step:
            case Filter():
                self._judge(number, step, result, flow, outcome)
                if self._keep_scores and not step.from_scores:
                    names = [score for score in dict.fromkeys(rule.score for rule in step.rules()) if score in result.columns]
                    batch.frame = batch.frame.with_columns(result.select(pl.col(s).alias(step.score_column(s)) for s in names))
            case Rewrite():
                flow.batch = Batch(result, partial(reading.text, result), batch.row, batch.shard)
            case Map():
                frame = batch.frame.with_columns(result)
                if set(step.adds()) & set(reading.columns):
                    flow.batch = Batch(frame, partial(reading.text, frame), batch.row, batch.shard)
                else:
                    batch.frame = frame
            case Expand():
                makes = step.makes_format()
                flow.reading = pick(makes) if makes else reading
                frame, parent = _expand(step, result, batch)
                gone = _not_made(step, result, batch)
                if gone.height:
                    outcome.dropped.append(gone)
                outcome.made += frame.height + gone.height - len(batch)
                flow.batch = Batch(frame, partial(flow.reading.text, frame), batch.row.gather(parent), batch.shard)
                flow.fate = None if flow.fate is None else flow.fate.gather(parent)
            case _:
                raise StepError(f"step '{step.step}' is of no known kind")

    def _judge(self, number: int, step: Filter, scores: pl.DataFrame, flow: _Flow, outcome: Outcome) -> None:
        """Give the rows that the filter's rules do not keep their fate, and write them down with the score that decided.

        Counted are the rows that come so far: with `tag` all of them.
        """
        import polars as pl

        stays = flow.stays()
        came = pl.Series("__in", [True]).new_from_index(0, len(flow.batch)) if stays is None else stays.alias("__in")
        judged = judge(step, pl.DataFrame([came, *scores.get_columns()]))
        self.scores.add(number, step, judged if self.tags else judged.filter("__in"))
        gone = judged["__reason"].is_not_null()
        if not gone.any():
            return
        fate = pl.select(pl.lit(f"{step.step}.") + judged["__reason"]).to_series()
        flow.fate = fate if flow.fate is None else pl.select(pl.coalesce(flow.fate, fate)).to_series()
        if not self.tags:
            outcome.dropped.append(_judged(step, judged.filter(gone), flow.batch, gone))


def _bound(step: Step) -> Callable[[Any], Any]:
    """A step's work: its own, or for scores that were kept the reading of them."""
    return read_scores(step) if isinstance(step, Filter) and step.from_scores else step.bind()


def _judged(step: Filter, judged: pl.DataFrame, batch: Batch, gone: pl.Series) -> pl.DataFrame:
    """What is written of the rows of a batch that a filter drops."""
    import polars as pl

    score = pl.lit(None, pl.String)
    value = pl.lit(None, pl.String)
    for rule in step.rules():
        if rule.on:
            mine = pl.col("__reason") == rule.reason
            score = pl.when(mine).then(pl.lit(rule.score)).otherwise(score)
            value = pl.when(mine).then(pl.col(rule.score).cast(pl.String)).otherwise(value)
    decided = judged.select(pl.col("__reason").alias("reason"), score.alias("score"), value.alias("value"))
    return pl.DataFrame(
        {
            "id": batch.frame["id"].filter(gone),
            "step": pl.Series([step.step]).new_from_index(0, judged.height),
            **{name: decided[name] for name in ("reason", "score", "value")},
            "text": _shown(batch.frame.filter(gone), batch.text.filter(gone)),
        }
    )


def _call(step: Step, function: Callable[[Any], Any], batch: Batch, reading: Reading) -> Any:
    """The step's result for a batch, checked against its contract."""

    if isinstance(step, Rewrite):
        return reading.rewrite(batch.frame, lambda texts: _checked_texts(step, function(texts), texts))
    result: pl.DataFrame = function(_with_line_feeds(batch) if isinstance(step, Filter) else batch)
    if isinstance(step, Filter):
        wanted = [rule.score for rule in step.rules() if rule.on]
        _check_frame(step, result, wanted, batch)
    elif isinstance(step, Map):
        _check_frame(step, result, list(step.adds()), batch)
        result = result.select(step.adds())
    elif isinstance(step, Expand):
        missing = {"parent", *step.makes()} - set(result.columns)
        if missing:
            raise StepError(f"step '{step.step}' makes no column {sorted(missing)}")
        if step.one_to_one and result["parent"].n_unique() != result.height:
            raise StepError(f"step '{step.step}' makes several rows of one, against its declaration")
        if "reason" in result.columns and not set(result["reason"].drop_nulls()) <= set(step.gives_up):
            raise StepError(f"step '{step.step}' gives rows up for a reason that it does not declare")
    return result


def _with_line_feeds(batch: Batch) -> Batch:
    """The batch as filters see it: `\\r\\n` reads as `\\n`, whatever is written.

    Or the same text would score otherwise when it comes from Windows: to rules that part paragraphs at two `\\n`, a book with
    `\\r\\n` is one paragraph, and every line that is blank but for `\\r` repeats the one before.
    """
    seen = batch.share(_line_feeds)
    if seen is None:
        return batch
    seen.frame = batch.frame  # which a map may have given a column since
    return seen


def _line_feeds(batch: Batch) -> Batch | None:
    if not batch.text.str.contains("\r\n", literal=True).any():
        return None
    return Batch(batch.frame, batch.text.str.replace_all("\r\n", "\n", literal=True), batch.row, batch.shard)


def _checked_texts(step: Step, after: pl.Series, before: pl.Series) -> pl.Series:
    if after.len() != before.len() or after.null_count():
        raise StepError(f"step '{step.step}' gave {after.len()} texts ({after.null_count()} null) for {before.len()}")
    return after


def _check_frame(step: Step, result: pl.DataFrame, wanted: list[str], batch: Batch) -> None:
    missing = set(wanted) - set(result.columns)
    if missing:
        raise StepError(f"step '{step.step}' gives no column {sorted(missing)}")
    if result.height != len(batch) and (result.width or wanted):
        raise StepError(f"step '{step.step}' gave {result.height} rows for {len(batch)}")


def _row_by_row(
    step: Step, function: Callable[[Any], Any], flow: _Flow, outcome: Outcome, counted: Callable[[bool], None]
) -> Any:
    """Apply a step that failed on a batch to each of its rows alone: the good rows go on, with their result; the others are
    rejected. `counted` is told after each whether what the step counted is kept."""
    import polars as pl

    batch = flow.batch
    results: list[pl.DataFrame] = []
    good: list[bool] = []
    for i in range(len(batch)):
        one = Batch(batch.frame.slice(i, 1), batch.text.slice(i, 1), batch.row.slice(i, 1), batch.shard)
        try:
            result = _call(step, function, one, flow.reading)
            counted(True)
        except CurateError:
            raise
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - any error of a step is its row's
            counted(False)
            good.append(False)
            outcome.rejected.append(
                {
                    "id": one.frame["id"][0],
                    "step": step.step,
                    "error": f"{type(error).__name__}: {error}",
                    "text": one.text[0],
                }
            )
            continue
        if isinstance(step, Expand):
            result = result.with_columns(pl.lit(sum(good)).cast(result.schema["parent"]).alias("parent"))
        good.append(True)
        results.append(result)
    flow.only(pl.Series(good, dtype=pl.Boolean))
    return pl.concat(results, how="vertical_relaxed") if results else None


def _expand(step: Expand, made: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.Series]:
    """The new rows with what they keep of their parents, and the parents' positions."""
    import polars as pl

    if "reason" in made.columns:
        made = made.filter(pl.col("reason").is_null())
    parent = made["parent"].cast(pl.Int64)
    drops = step.drops()
    gone = set(batch.frame.columns) - {"id"} if drops is None else {*drops, "parent_id"}
    kept = batch.frame.drop([c for c in batch.frame.columns if c in gone or c in step.makes()])
    rows = kept[parent]
    if not step.one_to_one and parent.n_unique() == len(parent):
        rows = rows.with_columns(pl.lit(None, pl.String).alias("parent_id"))
    elif not step.one_to_one:
        number = made.select(pl.int_range(pl.len()).over("parent")).to_series() + 1
        several = pl.lit(made.select(pl.len().over("parent")).to_series() > 1)
        rows = rows.with_columns(
            pl.when(several).then(pl.col("id") + pl.lit("#") + pl.lit(number.cast(pl.String))).otherwise("id").alias("id"),
            pl.when(several).then("id").alias("parent_id"),
        )
    rows = rows.hstack(made.select(step.makes()))
    if REST in rows.columns:
        rows = rows.select(pl.exclude(REST), REST)
    return rows, parent


def _not_made(step: Expand, made: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """What is written of parents that made no row, and of what a parent held that made none: in order of the parents."""
    import polars as pl

    columns = {"parent": pl.Int64, "reason": pl.String, "value": pl.String, "left": pl.String}
    lines = pl.DataFrame(schema=columns)
    if "reason" in made.columns:
        left = pl.col("left") if "left" in made.columns else pl.lit(None, pl.String)
        given_up = made.filter(pl.col("reason").is_not_null())
        lines = given_up.select(pl.col("parent").cast(pl.Int64), "reason", pl.col("value").cast(pl.String), left.alias("left"))
    barren = ~pl.int_range(0, len(batch), eager=True).is_in(made["parent"].cast(pl.Int64).implode())
    without = pl.DataFrame({"parent": barren.arg_true().cast(pl.Int64)}).with_columns(pl.lit(step.reason).alias("reason"))
    lines = pl.concat([lines, without], how="diagonal").sort("parent", maintain_order=True)
    if not lines.height:
        return lines
    text = _shown(batch.frame, batch.text)[lines["parent"]]
    gone = _dropped(batch.frame["id"][lines["parent"]], lines["left"].fill_null(text), step.step, step.reason)
    return gone.with_columns(lines["reason"], lines["value"])


def without_text(frame: pl.DataFrame, text: pl.Series) -> pl.DataFrame:
    """What is written of the rows that are dropped because their text is null."""
    gone = frame.filter(text.is_null())
    return _dropped(gone["id"], _shown(gone, text.filter(text.is_null())), READ, "no_text")


def _shown(frame: pl.DataFrame, text: pl.Series) -> pl.Series:
    """What is written of rows that go: their text, or the whole row where it has none yet."""
    return frame["record"] if "record" in frame.columns else text.fill_null("")


def _dropped(ids: pl.Series, text: pl.Series, step: str, reason: str) -> pl.DataFrame:
    import polars as pl

    nothing = pl.lit(None, pl.String)
    return pl.DataFrame({"id": ids, "text": text}).select(
        "id",
        pl.lit(step).alias("step"),
        pl.lit(reason).alias("reason"),
        nothing.alias("score"),
        nothing.alias("value"),
        "text",
    )
