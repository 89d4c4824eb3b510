"""The runner of row-wise steps: what is kept, what is dropped and why, what is rejected. Nothing is swallowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.declare import Batch, Expand, Filter, Map, Rewrite, Rule, Step
from curate.errors import CurateError, StepError
from curate.formats.readings import Reading, pick
from curate.io.rows import REST

if TYPE_CHECKING:
    import polars as pl

__all__ = ["READ", "Outcome", "Pipeline", "score_columns", "without_text"]

READ = "read"
"""The name under which the runner itself drops rows: those without a text."""


@dataclass
class Outcome:
    """What became of the rows of one batch: rows_in = kept + dropped + rejected."""

    frame: pl.DataFrame
    """The rows to write."""
    rows_in: int = 0
    kept: int = 0
    dropped: list[pl.DataFrame] = field(default_factory=list)
    """Frames with id, step, reason, score, value, text."""
    rejected: list[dict[str, Any]] = field(default_factory=list)
    """id, step, error, text of the rows on which a step failed."""


class Pipeline:
    """Steps bound in this process, applied to batch after batch.

    keep_scores: write each filter's scores as columns `<step>.<score>`.
    Raises StepError when a step breaks its contract; a step that raises on a row gets the row rejected.
    """

    def __init__(self, steps: Sequence[Step], reading: Reading, *, keep_scores: bool = False) -> None:
        self._reading = reading
        self._keep_scores = keep_scores
        self._steps: list[tuple[Step, Callable[[Any], Any]]] = [(step, step.bind()) for step in steps]
        self.seconds: dict[str, float] = {}
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
        batch = Batch(frame, text, row, shard)
        for step, function in self._steps:
            if len(batch) == 0:
                break
            began = time.perf_counter()
            batch, reading = self._apply(step, function, batch, reading, outcome)
            self.seconds[step.step] = self.seconds.get(step.step, 0.0) + time.perf_counter() - began
        outcome.frame = batch.frame
        outcome.kept = outcome.rows_in - sum(d.height for d in outcome.dropped) - len(outcome.rejected)
        if not self._expands() and outcome.kept != batch.frame.height:
            raise StepError(
                f"rows do not add up: {outcome.rows_in} in, {batch.frame.height} kept, {outcome.kept} accounted for"
            )
        return outcome

    def _expands(self) -> bool:
        return any(isinstance(step, Expand) and not step.one_to_one for step, _ in self._steps)

    def _apply(
        self, step: Step, function: Callable[[Any], Any], batch: Batch, reading: Reading, outcome: Outcome
    ) -> tuple[Batch, Reading]:
        import polars as pl

        def counted(keep: bool) -> None:
            for name, n in getattr(function, "counts", dict)().items():
                if keep:
                    of_step = self.counts.setdefault(step.step, {})
                    of_step[name] = of_step.get(name, 0) + n

        try:
            result = _call(step, function, batch, reading)
            counted(True)
        except CurateError:
            raise
        except (Exception, pl.exceptions.PanicException):  # noqa: BLE001 - the culprit is found row by row, and rejected
            counted(False)
            batch, result = _row_by_row(step, function, batch, reading, outcome, counted)
            if len(batch) == 0:
                return batch, reading
        match step:
            case Filter():
                keep = self._judge(step, result, batch, outcome)
                if self._keep_scores:
                    scores = result.select(pl.col(s).alias(column) for s, column in score_columns(step) if s in result.columns)
                    batch.frame = batch.frame.with_columns(scores)
                return (batch if keep is None else _only(batch, keep)), reading
            case Rewrite():
                return Batch(result, reading.text(result), batch.row, batch.shard), reading
            case Map():
                frame = batch.frame.with_columns(result)
                if set(step.adds()) & set(reading.columns):
                    return Batch(frame, reading.text(frame), batch.row, batch.shard), reading
                batch.frame = frame
                return batch, reading
            case Expand():
                makes = step.makes_format()
                reading = pick(makes) if makes else reading
                frame, row, barren = _expand(step, result, batch)
                if barren.any():
                    outcome.dropped.append(_barren(step, result, batch, barren))
                return Batch(frame, reading.text(frame), row, batch.shard), reading
            case _:
                raise StepError(f"step '{step.step}' is of no known kind")

    def _judge(self, step: Filter, scores: pl.DataFrame, batch: Batch, outcome: Outcome) -> pl.Series | None:
        """Which rows the filter's rules keep; None when all. The others are written down with the score that decided."""
        import polars as pl

        rules = [rule for rule in step.rules() if rule.on]
        reason = pl.lit(None, pl.String)
        for rule in reversed(rules):
            reason = pl.when(_fails(rule)).then(pl.lit(rule.reason)).otherwise(reason)
        reasons = scores.select(reason.alias("reason")).to_series()
        keep = reasons.is_null()
        if keep.all():
            return None
        gone = ~keep
        scores, reasons = scores.filter(gone), reasons.filter(gone)
        score = pl.lit(None, pl.String)
        value = pl.lit(None, pl.String)
        for rule in rules:
            mine = pl.col("__reason") == rule.reason
            score = pl.when(mine).then(pl.lit(rule.score)).otherwise(score)
            value = pl.when(mine).then(pl.col(rule.score).cast(pl.String)).otherwise(value)
        decided = scores.with_columns(reasons.alias("__reason")).select(score.alias("score"), value.alias("value"))
        outcome.dropped.append(
            pl.DataFrame(
                {
                    "id": batch.frame["id"].filter(gone),
                    "step": pl.Series([step.step]).new_from_index(0, reasons.len()),
                    "reason": reasons,
                    "score": decided["score"],
                    "value": decided["value"],
                    "text": _shown(batch.frame.filter(gone), batch.text.filter(gone)),
                }
            )
        )
        return keep


def score_columns(step: Filter) -> list[tuple[str, str]]:
    """A filter's scores, and the columns that they are kept as."""
    return [(score, f"{step.step}.{score}") for score in dict.fromkeys(rule.score for rule in step.rules())]


def _fails(rule: Rule) -> pl.Expr:
    """Whether the score breaks the rule. Null breaks none; NaN breaks a limit, because it is no number within it."""
    import polars as pl

    score = pl.col(rule.score)
    fails = pl.lit(False)
    # polars orders NaN above every number.
    if rule.min is not None:
        fails = fails | (score < rule.min) | ~(score <= float("inf"))
    if rule.max is not None:
        fails = fails | (score > rule.max)
    if rule.among is not None:
        fails = fails | ~score.is_in(list(rule.among))
    return fails.fill_null(False)


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


def _only(batch: Batch, keep: pl.Series) -> Batch:
    return Batch(batch.frame.filter(keep), batch.text.filter(keep), batch.row.filter(keep), batch.shard)


def _row_by_row(
    step: Step,
    function: Callable[[Any], Any],
    batch: Batch,
    reading: Reading,
    outcome: Outcome,
    counted: Callable[[bool], None],
) -> tuple[Batch, Any]:
    """Apply a step that failed on a batch to each of its rows alone: the good rows and their result; the others rejected.

    `counted` is told after each whether what the step counted is kept.
    """
    import polars as pl

    results: list[pl.DataFrame] = []
    good: list[bool] = []
    for i in range(len(batch)):
        one = Batch(batch.frame.slice(i, 1), batch.text.slice(i, 1), batch.row.slice(i, 1), batch.shard)
        try:
            result = _call(step, function, one, reading)
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
    left = _only(batch, pl.Series(good, dtype=pl.Boolean))
    return left, pl.concat(results, how="vertical_relaxed") if results else None


def _expand(step: Expand, made: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.Series, pl.Series]:
    """The new rows with what they keep of their parents; the parents' row numbers; and which parents made none."""
    import polars as pl

    if "reason" in made.columns:
        made = made.filter(pl.col("reason").is_null())
    parent = made["parent"].cast(pl.Int64)
    barren = ~pl.int_range(0, len(batch), eager=True).is_in(parent.implode())
    drops = step.drops()
    gone = set(batch.frame.columns) - {"id"} if drops is None else {*drops, "parent_id"}
    kept = batch.frame.drop([c for c in batch.frame.columns if c in gone or c in step.makes()])
    rows = kept[parent]
    if not step.one_to_one:
        number = made.select(pl.int_range(pl.len()).over("parent")).to_series() + 1
        rows = rows.with_columns(
            (rows["id"] + pl.lit("#") + number.cast(pl.String)).alias("id") if rows.height else pl.col("id"),
            rows["id"].alias("parent_id"),
        )
    rows = rows.hstack(made.select(step.makes()))
    if REST in rows.columns:
        rows = rows.select(pl.exclude(REST), REST)
    return rows, batch.row.gather(parent), barren


def _barren(step: Expand, made: pl.DataFrame, batch: Batch, barren: pl.Series) -> pl.DataFrame:
    """What is written of the parents that made no row: given up for a reason of their own, or else the step's."""
    import polars as pl

    gone = _dropped(batch.frame["id"], _shown(batch.frame, batch.text), step.step, step.reason)
    if "reason" in made.columns:
        given_up = made.select(pl.col("parent").cast(pl.Int64), "reason", "value").filter(pl.col("reason").is_not_null())
        places = pl.DataFrame({"parent": pl.int_range(0, len(batch), eager=True)})
        why = places.join(given_up.unique("parent", keep="first"), on="parent", how="left", maintain_order="left")
        gone = gone.with_columns(why["reason"].fill_null(step.reason), why["value"])
    return gone.filter(barren)


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
