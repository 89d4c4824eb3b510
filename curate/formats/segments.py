"""Segments: one text in parts, each with `label`, whether a model is trained on it (Axolotl's template-free `input_output`).

Parts that follow one another with the same label are one turn: an assistant's where they are labelled, else a user's.
Their texts are taken as they stand, and so may hold the marks of a chat template; `curate validate` finds those.
https://docs.axolotl.ai/docs/dataset-formats/template_free.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of
from curate.formats.turns import chat_problem, first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns. O(bytes)."""
    import polars as pl

    part = pl.Struct({"label": pl.Boolean, "text": pl.String})
    rows = frame_of(record, (), {"segments": pl.List(part)}).with_row_index("row")
    parts = rows.select("row", "segments").explode("segments", empty_as_null=True).unnest("segments")
    role = pl.when("label").then(pl.lit("assistant")).when(~pl.col("label")).then(pl.lit("user"))
    turns = (
        parts.with_columns(role.alias("role"), pl.struct("row", "label").rle_id().alias("turn"))
        .group_by("row", "turn", maintain_order=True)
        .agg(pl.col("role").first(), pl.col("text").str.join(ignore_nulls=False).alias("content"))
        .group_by("row", maintain_order=True)
        .agg(pl.struct("role", "content").alias("turns"))
    )
    return rows.join(turns, on="row", how="left", maintain_order="left").select(
        "turns",
        first_problem(
            unreadable=~pl.col("read"),
            empty=pl.col("segments").is_null() | (pl.col("segments").list.len() == 0),
            **{name: holds for name, holds in chat_problem(pl.col("turns")).items() if name != "empty"},
        ),
    )
