"""Rows whose members go by names of their own: a file's columns called as a dialect calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from curate.errors import UsageError
from curate.formats.decode import Members

if TYPE_CHECKING:
    import polars as pl

__all__ = ["named_columns", "renamed"]


def named_columns(pairs: Sequence[str]) -> dict[str, str]:
    """`instruction=Question` and the like, several joined by commas, as {`instruction`: `Question`}. Raises UsageError."""
    found: dict[str, str] = {}
    for text in pairs:
        for pair in re.split(r",(?=\w+=)", text):
            name, sign, column = pair.partition("=")
            if not (name and sign and column):
                raise UsageError(f"columns: expected name=column (as in instruction=Question), found '{pair}'")
            if name in found:
                raise UsageError(f"columns: '{name}' is named twice")
            found[name] = column
    return found


def renamed(record: pl.Series, columns: Mapping[str, str]) -> pl.Series:
    """Rows of JSON text with their members called anew; a member that had one of the new names goes. O(bytes)."""
    import polars as pl

    found = Members(record, tuple(dict.fromkeys((*columns.values(), *columns, "messages"))), "messages")
    stays = [name for name in ("messages",) if name not in (*columns, *columns.values())]
    members = [
        pl.lit(f'"{name}":') + pl.lit(found.raw(column)) for name, column in (*columns.items(), *zip(stays, stays, strict=True))
    ]
    rest = found.rest()
    parts = [pl.when(pl.lit(rest) != "").then(pl.lit(rest)), *members]
    return (
        pl.select(pl.lit("{") + pl.concat_str(parts, separator=",", ignore_nulls=True) + pl.lit("}"))
        .to_series()
        .rename("record")
    )
