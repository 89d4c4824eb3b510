"""DPO: `prompt`, `chosen`, `rejected`, as TRL takes them: texts, or lists of messages; and without `prompt` (implicit).

Lists of messages that repeat the whole conversation in both answers (UltraFeedback binarized) are cut to the last message; all
before it must be the same in both.
https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of, message_list
from curate.formats.prompt_completion import turns_of
from curate.formats.turns import blank, chat_problem, content_of, first_problem, lone_user

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and two answers."""
    import polars as pl

    names = ("prompt", "chosen", "rejected")
    rows = frame_of(record, names, dict.fromkeys(names, message_list())).with_columns(
        turns_of("prompt", "user").alias("prompt"),
        turns_of("chosen", "assistant").alias("chosen"),
        turns_of("rejected", "assistant").alias("rejected"),
    )
    before = {name: pl.col(name).list.head(pl.col(name).list.len().cast(pl.Int64) - 1) for name in ("chosen", "rejected")}
    shared = before["chosen"].list.len() > 0
    turns = pl.when(shared).then(before["chosen"]).otherwise("prompt")
    rows = rows.with_columns(
        turns.alias("turns"),
        (before["chosen"] != before["rejected"]).alias("differ"),
        *(content_of(pl.col(name), -1).alias(f"{name}_text") for name in ("chosen", "rejected")),
        *(pl.col(name).list.last().struct.field("role").alias(f"{name}_role") for name in ("chosen", "rejected")),
    )
    return rows.select(
        "turns",
        lone_user(pl.col("turns")).alias("instruction"),
        pl.col("chosen_text").alias("chosen"),
        pl.col("rejected_text").alias("rejected"),
        first_problem(
            unreadable=~pl.col("read"),
            empty_output=blank(pl.col("chosen_text")) | blank(pl.col("rejected_text")),
            prompts_differ=pl.col("differ"),
            not_an_answer=(pl.col("chosen_role") != "assistant") | (pl.col("rejected_role") != "assistant"),
            **chat_problem(pl.col("turns")),
        ),
    )
