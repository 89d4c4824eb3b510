"""LLaMA-Factory's KTO: a row of Alpaca, ShareGPT or messages with `kto_tag`, whether its answer is a good one.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats import alpaca, openai, sharegpt
from curate.formats.decode import Members
from curate.formats.judged import words_of
from curate.formats.turns import first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]

_TAGS = {"true": True, "1": True, "false": False, "0": False}


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns whose answer is labelled. A tag that is neither true nor false is `unreadable`."""
    import polars as pl

    members = Members(record, ("conversations", "messages"))
    talk = members.there("conversations")
    chat = members.there("messages") & ~talk
    label = words_of(record, "kto_tag")["kto_tag"].replace_strict(_TAGS, default=None, return_dtype=pl.Boolean)
    done = []
    for read_as, held in ((sharegpt.read, talk), (openai.read, chat), (alpaca.read, ~(talk | chat))):
        if held.any():
            done.append(read_as(record.filter(held)).with_columns(held.arg_true().alias("row")))
    rows = pl.concat(done, how="diagonal").sort("row").drop("row").with_columns(label.alias("label"))
    return rows.with_columns(pl.coalesce("problem", first_problem(unreadable=pl.col("label").is_null())))
