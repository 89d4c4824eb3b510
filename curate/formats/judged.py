"""What rows say of their answers beside the texts: scores, who wrote them, by how much one is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import Members
from curate.formats.turns import first_problem

if TYPE_CHECKING:
    import polars as pl

    from curate.formats.how import How

__all__ = ["ABOUT", "SCORES", "about", "disputed", "joined", "number", "scores_of", "words_of"]

SCORES = {
    "score_chosen": ("score_chosen", "chosen_score", "chosen_rating", "chosen-rating", "chosen_avg_rating"),
    "score_rejected": ("score_rejected", "rejected_score", "rejected_rating", "rejected-rating", "rejected_avg_rating"),
    "margin": ("margin",),
}
"""Names that the scores of two answers go by: UltraFeedback binarized, Argilla's sets; `margin` is TRL's."""

ABOUT = ("margin", "score_chosen", "score_rejected", "model_chosen", "model_rejected", "score", "model", "lang")
"""Members that rows may get from what their answers were judged to be."""


def about(**members: pl.Expr) -> pl.Expr:
    """The values that are not null as members of a JSON object, without braces; the empty string where all are."""
    import polars as pl

    parts = []
    for name, value in members.items():
        text = pl.struct(value.alias("m")).struct.json_encode().str.strip_prefix('{"m":').str.strip_suffix("}")
        parts.append(pl.when(value.is_not_null()).then(pl.concat_str(pl.lit(f'"{name}":'), text)))
    return pl.concat_str(parts, separator=",", ignore_nulls=True).alias("about")


def joined(*parts: pl.Expr) -> pl.Expr:
    """Members of one object from several, each the text of its members or empty."""
    import polars as pl

    return pl.concat_str([pl.when(part != "").then(part) for part in parts], separator=",", ignore_nulls=True).alias("about")


def number(text: pl.Expr) -> pl.Expr:
    """A text as a number; null where it is none, as in "N/A", or not finite."""
    import polars as pl

    value = text.str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def words_of(record: pl.Series, *names: str) -> pl.DataFrame:
    """Members that may be strings, numbers or true and false, as one small-lettered word each; null where absent or null."""
    import polars as pl

    members = Members(record, names)
    column = pl.DataFrame([members.raw(name).rename(name) for name in names])
    word = pl.all().str.strip_chars('"').str.strip_chars().str.to_lowercase()
    return column.select(word).select(pl.when(pl.col(name) != "null").then(name).alias(name) for name in names)


def scores_of(record: pl.Series) -> pl.DataFrame:
    """`score_chosen`, `score_rejected`, `margin` of rows with two answers, and `about`, the scores as members.

    The margin is the row's own, else the difference of the scores; null where there is neither.
    """
    import polars as pl

    words = words_of(record, *(name for names in SCORES.values() for name in names))
    scores = words.select(pl.coalesce(number(pl.col(name)) for name in names).alias(to) for to, names in SCORES.items())
    margin = pl.coalesce("margin", pl.col("score_chosen") - pl.col("score_rejected"))
    scores = scores.with_columns(margin.alias("margin"))
    return scores.with_columns(about(**{name: pl.col(name) for name in ("score_chosen", "score_rejected")}))


def disputed(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Pairs with the problem of those whose own scores do not bear out which answer is better, or not by enough."""
    import polars as pl

    if "margin" not in rows.columns:
        return rows
    margin = pl.col("margin")
    against = first_problem(tie=margin == 0, scores_disagree=margin < 0, small_margin=margin < how.min_margin)
    return rows.with_columns(pl.coalesce("problem", against))
