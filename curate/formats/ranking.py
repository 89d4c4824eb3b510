"""Ranked ShareGPT of LLaMA-Factory: `conversations` is the prompt, `chosen` and `rejected` are {`from`, `value`}.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of
from curate.formats.sharegpt import conversation, message_type
from curate.formats.turns import blank, chat_problem, first_problem, lone_user

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and two answers."""
    import polars as pl

    message = message_type()
    rows = frame_of(record, ("system",), {"conversations": pl.List(message), "chosen": message, "rejected": message})
    rows = rows.with_columns(
        conversation().alias("turns"),
        *(
            pl.coalesce(pl.col(name).struct.field("value"), pl.col(name).struct.field("content")).alias(name)
            for name in ("chosen", "rejected")
        ),
    )
    return rows.select(
        "turns",
        lone_user(pl.col("turns")).alias("instruction"),
        "chosen",
        "rejected",
        first_problem(
            unreadable=~pl.col("read"),
            **chat_problem(pl.col("turns")),
            empty_output=blank(pl.col("chosen")) | blank(pl.col("rejected")),
        ),
    )
