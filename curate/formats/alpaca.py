"""Alpaca's rule for what is asked: the input follows the instruction after a blank line.

Its rows are read as those of `texts`. An instruction that is empty beside an input is the input.
https://github.com/tatsu-lab/stanford_alpaca
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.turns import blank

if TYPE_CHECKING:
    import polars as pl

__all__ = ["NO_INPUT", "asked", "given"]

NO_INPUT = ("n/a", "<noinput>", "noinput", "no input", "none")
"""What people write for an input that there is not, in lower case (AlpacaDataCleaned lists them)."""


def given() -> pl.Expr:
    """Whether the column `input` holds an input."""
    import polars as pl

    text = pl.col("input")
    # Nothing longer is one of them, and lower case costs.
    short = text.str.len_bytes() < 64
    return ~blank(text) & ~(short & pl.when(short).then(text).str.strip_chars().str.to_lowercase().is_in(NO_INPUT))


def asked() -> pl.Expr:
    """The instruction with its input, from the columns of these names; null when both are blank."""
    import polars as pl

    both = pl.concat_str(
        pl.when(~blank(pl.col("instruction"))).then("instruction"),
        pl.when(given()).then("input"),
        separator="\n\n",
        ignore_nulls=True,
    )
    return pl.when(both != "").then(both)
