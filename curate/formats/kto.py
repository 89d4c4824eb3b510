"""LLaMA-Factory's KTO: a row of Alpaca, ShareGPT or messages with `kto_tag`, whether its answer is a good one.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from curate.formats.decode import Members
from curate.formats.judged import words_of
from curate.formats.turns import as_chats, first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = ["reader"]

_TAGS = {"true": True, "1": True, "false": False, "0": False}


def _as_messages(rows: pl.DataFrame) -> pl.DataFrame:
    """Turns with the JSON text of their chats, which turns that are read beside messages must have too."""
    chats = as_chats(rows)
    return rows.drop("problem").hstack(chats.select("messages", "problem"))


def reader(
    sharegpt: Callable[[pl.Series], pl.DataFrame],
    messages: Callable[[pl.Series], pl.DataFrame],
    alpaca: Callable[[pl.Series], pl.DataFrame],
) -> Callable[[pl.Series], pl.DataFrame]:
    """A reader of rows with a tag, from those of the rows without. A tag that is neither true nor false is `unreadable`."""

    def read(record: pl.Series) -> pl.DataFrame:
        import polars as pl

        members = Members(record, ("conversations", "messages"))
        talk = members.there("conversations")
        chat = members.there("messages") & ~talk
        label = words_of(record, "kto_tag")["kto_tag"].replace_strict(_TAGS, default=None, return_dtype=pl.Boolean)
        done = []
        for untagged, held in ((sharegpt, talk), (messages, chat), (alpaca, ~(talk | chat))):
            if held.any():
                part = untagged(record.filter(held))
                place = part["parent"] if "parent" in part.columns else pl.int_range(part.height, eager=True)
                done.append(part.with_columns(held.arg_true().cast(pl.Int64).gather(place).alias("parent")))
        if any("messages" in part.columns for part in done):
            done = [part if "messages" in part.columns else _as_messages(part) for part in done]
        rows = pl.concat(done, how="diagonal").sort("parent", maintain_order=True)
        rows = rows.with_columns(label.gather(rows["parent"]).alias("label"))
        return rows.with_columns(pl.coalesce("problem", first_problem(unreadable=pl.col("label").is_null())))

    return read
