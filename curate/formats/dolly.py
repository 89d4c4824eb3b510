"""Dolly: `instruction`, `context`, `response` (and `category`). The context follows the instruction after a blank line.

https://github.com/databrickslabs/dolly
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of
from curate.formats.turns import blank, first_problem, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns: the instruction with its context, and the response."""
    import polars as pl

    rows = frame_of(record, ("instruction", "context", "response"))
    context = pl.when(~blank(pl.col("context"))).then("context")
    asked = pl.concat_str("instruction", context, separator="\n\n", ignore_nulls=True)
    return rows.select(
        pl.concat_list(turn("user", asked), turn("assistant", pl.col("response"))).list.drop_nulls().alias("turns"),
        first_problem(
            unreadable=~pl.col("read"), empty_instruction=blank(pl.col("instruction")), empty_output=blank(pl.col("response"))
        ),
    )
