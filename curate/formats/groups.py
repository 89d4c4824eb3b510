"""Several answers to one prompt, with scores: pairs of them, and the best.

As InstructGPT's comparisons (Ouyang et al. 2022, section 3.5): of K answers all K(K-1)/2 pairs, without ties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.how import How
from curate.formats.judged import about, joined
from curate.formats.turns import blank, first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = ["answer", "answer_type", "best", "pairs"]


def answer_type() -> pl.Struct:
    """One answer: its text, its score (more is better; null where nobody judged it), who wrote it, why it cannot be used."""
    import polars as pl

    return pl.Struct({"text": pl.String, "score": pl.Float64, "model": pl.String, "problem": pl.String})


def answer(text: pl.Expr, score: pl.Expr, model: pl.Expr | None = None) -> pl.Expr:
    """An answer from its parts; `pl.element()` may be among them."""
    import polars as pl

    nothing = pl.lit(None, pl.String)
    return pl.struct(
        text.alias("text"),
        score.cast(pl.Float64).alias("score"),
        (nothing if model is None else model).alias("model"),
        nothing.alias("problem"),
    )


def _told(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The answers that can be compared, a line each, the best of a row first; the others; and rows that have none at all.

    Lines have the columns of their row but `answers`, and `row`, `of` (how many can be compared), `text`, `score`, `model`.
    """
    import polars as pl

    rows = rows.with_row_index("row").with_columns(
        pl.coalesce("problem", first_problem(empty_output=pl.col("answers").list.len().fill_null(0) == 0))
    )
    wrong = rows.filter(pl.col("problem").is_not_null()).drop("answers")
    lines = rows.filter(pl.col("problem").is_null()).drop("problem").explode("answers", empty_as_null=False, keep_nulls=False)
    lines = lines.unnest("answers").with_columns(
        pl.coalesce("problem", first_problem(empty_output=blank(pl.col("text")), unscored=pl.col("score").is_null()))
    )
    usable = pl.col("problem").is_null()
    lines = lines.with_columns(usable.sum().over("row").alias("of"), pl.int_range(pl.len()).over("row").alias("place"))
    good = lines.filter(usable).sort("row", "score", "place", descending=[False, True, False])
    return good.with_columns(pl.int_range(pl.len()).over("row").alias("place")), lines.filter(~usable), wrong


def _about(rows: pl.DataFrame, **members: pl.Expr) -> pl.Expr:
    """What is said of a pair or an answer, after what is said of its prompt."""
    import polars as pl

    new = about(**members)
    return joined(pl.col("about"), new) if "about" in rows.columns else new


def pairs(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Groups as pairs, the best answers first. O(rows K^2).

    Lines with a problem: two answers whose scores are too near, an answer that cannot be compared, and one that is alone.
    """
    import polars as pl

    good, bad, wrong = _told(rows)
    second = good.select(
        "row",
        pl.col("place").alias("after"),
        pl.col("text").alias("rejected"),
        pl.col("score").alias("score_rejected"),
        pl.col("model").alias("model_rejected"),
    )
    met = good.rename({"text": "chosen", "score": "score_chosen", "model": "model_chosen"})
    met = met.join(second, on="row", how="left", maintain_order="left_right")
    # Where others were left out for a reason of their own, a last one is not worth a second word.
    with_others = pl.col("row").is_in(bad["row"].unique().implode())
    met = met.filter((pl.col("after") > pl.col("place")) | ((pl.col("of") == 1) & ~with_others))
    alone = (pl.col("problem") == "unscored") & (pl.len().over("row") == 1) & (pl.col("of") == 0)
    bad = bad.with_columns(pl.when(alone).then(pl.lit("one_answer")).otherwise("problem").alias("problem"))
    if how.pairs == "best_worst":
        met = met.filter((pl.col("place") == 0) & (pl.col("after") == pl.col("of") - 1))
    margin = pl.col("score_chosen") - pl.col("score_rejected")
    met = met.with_columns(margin.alias("margin"))
    met = met.with_columns(
        first_problem(one_answer=pl.col("of") == 1, tie=margin <= 0, small_margin=margin < how.min_margin),
        _about(met, **{name: pl.col(name) for name in _PAIR}),
    )
    columns = [name for name in rows.columns if name not in ("answers", "about")]
    met = met.select("row", *columns, "chosen", "rejected", "margin", "about")
    lines = pl.concat([met, bad.select("row", *columns), wrong.select("row", *columns)], how="diagonal")
    return lines.sort("row", maintain_order=True).drop("row")


_PAIR = ("score_chosen", "score_rejected", "model_chosen", "model_rejected")


def best(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Groups as turns: the prompt and the answer of the highest score, of equal ones the first."""
    import polars as pl

    good, bad, wrong = _told(rows)
    said = pl.concat_list(pl.struct(pl.lit("assistant").alias("role"), pl.col("text").alias("content")))
    first = good.filter(pl.col("place") == 0)
    first = first.select(
        "row",
        "parent",
        pl.concat_list("turns", said).alias("turns"),
        _about(first, score=pl.col("score"), model=pl.col("model")),
        "problem",
    )
    none = bad.filter(pl.col("of") == 0).unique("row", keep="first", maintain_order=True)
    lost = pl.concat([lines.select("row", "parent", "turns", "problem") for lines in (none, wrong)])
    return pl.concat([first, lost], how="diagonal").sort("row", maintain_order=True).drop("row")
