"""Alpaca: `instruction`, `input`, `output`; also our own instruction format, which is the same without `input`.

`response` instead of `output` (GPTeacher), `system`, and `history` ([[user, assistant], ...], LLaMA-Factory) are read too. The
input follows the instruction after a blank line; an instruction that is empty beside an input is the input.
https://github.com/tatsu-lab/stanford_alpaca
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of
from curate.formats.turns import blank, first_problem, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["NO_INPUT", "asked", "read"]

NO_INPUT = ("n/a", "<noinput>", "noinput", "no input", "none")
"""What people write for an input that there is not, in lower case (AlpacaDataCleaned lists them)."""


def asked() -> pl.Expr:
    """The instruction with its input, from the columns of these names; null when both are blank."""
    import polars as pl

    text = pl.col("input")
    given = ~blank(text) & ~text.str.strip_chars().str.to_lowercase().is_in(NO_INPUT)
    both = pl.concat_str(
        pl.when(~blank(pl.col("instruction"))).then("instruction"),
        pl.when(given).then(text),
        separator="\n\n",
        ignore_nulls=True,
    )
    return pl.when(both != "").then(both)


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns: system and history where there are any, then the instruction and the output."""
    import polars as pl

    texts = ("instruction", "input", "output", "response", "system")
    rows = frame_of(record, texts, {"history": pl.List(pl.List(pl.String))})
    said = pl.element().list
    exchange = pl.concat_list(turn("user", said.get(0, null_on_oob=True)), turn("assistant", said.get(1, null_on_oob=True)))
    rows = rows.with_columns(
        asked().alias("instruction"),
        pl.coalesce("output", "response").alias("output"),
        pl.col("history").fill_null([]).list.eval(exchange.explode(empty_as_null=False)),
    )
    return rows.select(
        pl.concat_list(
            turn("system", pl.col("system")),
            "history",
            turn("user", pl.col("instruction")),
            turn("assistant", pl.col("output")),
        )
        .list.drop_nulls()
        .alias("turns"),
        first_problem(
            unreadable=~pl.col("read"), empty_instruction=blank(pl.col("instruction")), empty_output=blank(pl.col("output"))
        ),
    )
