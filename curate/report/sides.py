"""Rows just inside and just outside the limits of filters: what a limit tells apart, to be judged by looking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.declare import Rule
from curate.report.books import Dropped, excerpt
from curate.report.scores import limit_text, value_text

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Sides", "add_rows", "print_sides", "sides_of"]

EXCERPT = 200
"""Characters of a text that are shown: its beginning."""


@dataclass
class Sides:
    """For a rule of a step, the rows nearest to its limit on either side, the nearest first; of strings, the first rows."""

    step: str
    rule: Rule
    each: int
    outside: list[tuple[float, Dropped]] = field(default_factory=list)
    inside: list[tuple[float, Dropped]] = field(default_factory=list)

    @property
    def limit(self) -> str:
        """The limits as text."""
        return limit_text(self.rule._asdict())

    def add(self, frame: pl.DataFrame, value: str, *, dropped: bool = False) -> None:
        """Take rows in: a frame with `id`, `text` and the score as column `value`.

        dropped: the rule dropped all of them; else it is told from the score.
        """
        import polars as pl

        rule = self.rule
        score = pl.col(value).cast(pl.Float64 if rule.among is None else pl.String, strict=False)
        rows = frame.select("id", "text", score.alias("value")).drop_nulls("value")
        if rule.among is not None:
            rows = rows.with_columns(far=pl.lit(0.0), out=~pl.col("value").is_in(list(rule.among)))
        else:
            low, high = (pl.lit(limit, pl.Float64) for limit in (rule.min, rule.max))
            far = pl.min_horizontal((pl.col("value") - low).abs(), (pl.col("value") - high).abs())
            beyond = (pl.col("value") < low) | (pl.col("value") > high) | pl.col("value").is_nan()
            rows = rows.with_columns(far=far.fill_nan(float("inf")), out=beyond.fill_null(False))
        for out, side in ((True, self.outside), (False, self.inside)):
            mine = rows.filter(pl.lit(out) if dropped else pl.col("out") == out)
            for id, text, found, far_off, _ in mine.sort("far", maintain_order=True).head(self.each).iter_rows():
                shown = excerpt(found, 80) if rule.among is not None else value_text(found)
                side.append((far_off, Dropped(excerpt(id, 120), rule.score, shown, excerpt(text or "", EXCERPT))))
            side.sort(key=lambda item: item[0])
            del side[self.each :]


def sides_of(filters: Sequence[Mapping[str, Any]], each: int) -> list[Sides]:
    """A Sides for every rule of the filters of a job's stats (`curate.engine.scores.summary`)."""
    return [
        Sides(entry["step"], Rule(*(rule[key] for key in ("reason", "score", "min", "max", "among"))), each)
        for entry in filters
        for rule in entry["rules"]
    ]


def add_rows(sides: list[Sides], frame: pl.DataFrame, text: pl.Series) -> None:
    """Take rows in that hold their scores as columns `STEP.SCORE`."""
    rows = frame.with_columns(text.alias("text"))
    for side in sides:
        column = f"{side.step}.{side.rule.score}"
        if column in rows.columns:
            side.add(rows, column)


def print_sides(console: Any, sides: list[Sides], dropped: Mapping[str, int] | None = None) -> None:
    """Print the rows either side of each limit; rules that no row breaks are named in one line.

    dropped: how many rows each `step.reason` dropped, where that is known.
    """
    idle = []
    for side in sides:
        name = f"{side.step}.{side.rule.reason}"
        if not side.outside:
            idle.append(name)
            continue
        count = f" ({dropped[name]:,})" if dropped and name in dropped else ""
        console.print(f"\n{name}{count}: {side.rule.score} {side.limit}", soft_wrap=True)
        for where, rows in (("out", side.outside[::-1]), ("in", side.inside)):
            for _, row in rows:
                console.print(f"  {where:3} {row.value:>8}  {row.id}: {row.text or '(no text)'}", soft_wrap=True)
    if idle:
        console.print(f"\nno example beyond the limit of {', '.join(idle)}", soft_wrap=True)
