"""Our own preference format: `instruction`, `chosen`, `rejected`, all texts; `input` (Alpaca ranking) joins the instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.alpaca import asked
from curate.formats.decode import frame_of
from curate.formats.turns import blank, first_problem, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and two answers."""
    import polars as pl

    rows = frame_of(record, ("instruction", "input", "chosen", "rejected"))
    rows = rows.with_columns(asked().alias("instruction"))
    return rows.select(
        pl.concat_list(turn("user", pl.col("instruction"))).list.drop_nulls().alias("turns"),
        "instruction",
        "chosen",
        "rejected",
        first_problem(
            unreadable=~pl.col("read"),
            empty_instruction=blank(pl.col("instruction")),
            empty_output=blank(pl.col("chosen")) | blank(pl.col("rejected")),
        ),
    )
