"""Several answers to one prompt, with scores: pairs of them, and the best.

As InstructGPT's comparisons (Ouyang et al. 2022, section 3.5): of K answers all K(K-1)/2 pairs, without ties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.how import How
from curate.formats.turns import blank, first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = ["best", "pairs"]


def _answers(rows: pl.DataFrame) -> pl.DataFrame:
    """A line an answer that can be compared, the best of a row first; rows in their order."""
    import polars as pl

    said = pl.col("answers").list.eval(pl.element().filter(pl.element().struct.field("score").is_not_null()))
    lines = rows.with_row_index("row").with_columns(said).explode("answers", empty_as_null=False, keep_nulls=False)
    lines = lines.unnest("answers").with_columns(pl.int_range(pl.len()).over("row").alias("place"))
    return lines.sort("row", "score", "place", descending=[False, True, False])


def _usable(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with a problem where their answers cannot be compared."""
    import polars as pl

    field = pl.element().struct.field
    scored = pl.col("answers").list.eval(field("score").is_not_null()).list.sum()
    silent = pl.col("answers").list.eval(blank(field("text"))).list.any()
    return rows.with_columns(pl.coalesce("problem", first_problem(empty_output=silent, unscored=scored.fill_null(0) == 0)))


def pairs(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Groups as pairs, the best answers first. Two answers whose scores are too near are a line with a problem. O(rows K^2)."""
    import polars as pl

    rows = _usable(rows)
    wrong = rows.filter(pl.col("problem").is_not_null())
    lines = _answers(rows.filter(pl.col("problem").is_null())).with_columns(
        pl.int_range(pl.len()).over("row").alias("place"), pl.len().over("row").alias("of")
    )
    second = lines.select(
        "row", pl.col("place").alias("after"), pl.col("text").alias("rejected"), pl.col("score").alias("less")
    )
    met = lines.rename({"text": "chosen"}).join(second, on="row", how="left", maintain_order="left_right")
    met = met.filter((pl.col("after") > pl.col("place")) | (pl.col("of") == 1))
    if how.pairs == "best_worst":
        met = met.filter((pl.col("place") == 0) & (pl.col("after") == pl.col("of") - 1))
    margin = pl.col("score") - pl.col("less")
    met = met.with_columns(
        first_problem(one_answer=pl.col("of") == 1, tie=margin <= 0, small_margin=margin < how.min_margin),
        margin.alias("margin"),
    )
    return pl.concat(
        [met.select(*rows.drop("answers").columns, "chosen", "rejected", "margin"), wrong.drop("answers")], how="diagonal"
    )


def best(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Groups as turns: the prompt and the answer of the highest score, of equal ones the first."""
    import polars as pl

    rows = _usable(rows)
    wrong = rows.filter(pl.col("problem").is_not_null())
    lines = _answers(rows.filter(pl.col("problem").is_null())).unique("row", keep="first", maintain_order=True)
    answer = pl.concat_list(pl.struct(pl.lit("assistant").alias("role"), pl.col("text").alias("content")))
    made = lines.select("parent", pl.concat_list("turns", answer).alias("turns"), "problem")
    return pl.concat([made, wrong.select("parent", "turns", "problem")])
