"""Functions that the tests of the `python` filter name."""

from __future__ import annotations

import polars as pl

NOT_A_FUNCTION = 3


def long_enough(rows: pl.DataFrame) -> pl.Series:
    return rows["text"].str.len_chars() >= 3


def length(rows: pl.DataFrame) -> pl.Series:
    return rows["text"].str.len_chars()


def liked(rows: pl.DataFrame) -> pl.Series:
    assert rows.columns == ["id", "text", "likes"]
    return rows["likes"].cast(pl.Float64, strict=False)


def refuses(rows: pl.DataFrame) -> pl.Series:
    if rows["text"].str.contains("bad").any():
        raise ValueError("a bad text")
    return rows["text"].is_not_null()


def unsure(rows: pl.DataFrame) -> pl.Series:
    return pl.repeat(None, rows.height, eager=True)


def too_few(rows: pl.DataFrame) -> pl.Series:
    return long_enough(rows).head(1)


def words(rows: pl.DataFrame) -> pl.Series:
    return rows["text"]


def listed(rows: pl.DataFrame) -> list[bool]:
    return long_enough(rows).to_list()
