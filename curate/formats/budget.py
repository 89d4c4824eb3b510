"""Rows against a tokenizer and a context: which are too long, and how much of them training would cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.validity import Examined

if TYPE_CHECKING:
    import polars as pl

    from curate.io.encoder import Encoder

__all__ = ["lengths"]


def lengths(examined: Examined, encoder: Encoder, max_length: int) -> tuple[pl.DataFrame, dict[str, int]]:
    """Columns `too_long` and `answer_cut`, the evidence; and sums: tokens, cut, longest, answers, answers_cut.

    Counted are the tokens of the texts, of a chat the names of the roles too; a template adds a few for each turn. Of two
    answers the longer counts. Cut is what lies past `max_length`, at the end.
    """
    import polars as pl

    rows = examined.rows
    prompt = _tokens(encoder, rows["prompt"].str.replace_all("[\x00\x01]", "\n"))
    answer = _tokens(encoder, rows["answer"])
    rejected = _tokens(encoder, rows["rejected"])
    known = rows["format"].is_not_null()
    sizes = pl.DataFrame({"prompt": prompt, "answer": answer, "rejected": rejected, "known": known}).with_columns(
        (pl.col("prompt") + pl.max_horizontal("answer", "rejected")).alias("tokens")
    )
    over = pl.col("tokens") > max_length
    asks = (pl.col("prompt") > 0) & (pl.col("answer") > 0)
    lost = asks & (pl.col("prompt") >= max_length)
    columns = sizes.select(
        pl.when(over)
        .then(pl.format("{} tokens, {} past the limit", "tokens", pl.col("tokens") - max_length))
        .alias("too_long"),
        pl.when(lost).then(pl.format("the prompt alone has {} tokens", "prompt")).alias("answer_cut"),
    )
    totals = sizes.select(
        tokens=pl.col("tokens").sum(),
        cut=(pl.col("tokens") - max_length).clip(0).sum(),
        longest=pl.col("tokens").max().fill_null(0),
        answers=asks.sum(),
        answers_cut=lost.sum(),
    ).row(0, named=True)
    return columns, {name: int(value) for name, value in totals.items()}


def _tokens(encoder: Encoder, text: pl.Series) -> pl.Series:
    """Tokens of each text; 0 where there is none."""
    import numpy as np
    import polars as pl

    _, counts = encoder.encode(text.fill_null(""))
    return pl.Series(np.asarray(counts, np.int64) - 1).set(text.is_null(), 0)
