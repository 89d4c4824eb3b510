"""DPO: `prompt`, `chosen`, `rejected`, as TRL takes them: texts, or lists of messages; and without `prompt` (implicit).

Lists of messages that repeat the whole conversation in both answers (UltraFeedback binarized) are cut to the last message; all
before it must be the same in both. Scores of the two, by the names of `judged.SCORES`, must not contradict which is better.
https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of, message_list
from curate.formats.judged import scores_of
from curate.formats.prompt_completion import turns_of
from curate.formats.turns import blank, chat_problem, content_of, first_problem, lone_user

if TYPE_CHECKING:
    import polars as pl

__all__ = ["compared", "read"]


def compared(rows: pl.DataFrame) -> pl.DataFrame:
    """Turns of a `prompt`, empty where it is in both answers, and of `chosen` and `rejected`, as a prompt and two answers."""
    import polars as pl

    answers = ("chosen", "rejected")
    before = {name: pl.col(name).list.head(pl.col(name).list.len().cast(pl.Int64) - 1) for name in answers}
    shared = before["chosen"].list.len() > 0
    # An answer of several turns is a conversation that goes on by itself, and no prompt with an answer.
    goes_on = [
        (pl.col("prompt").list.len() > 0) & (before[name].list.get(0, null_on_oob=True).struct.field("role") == "assistant")
        for name in answers
    ]
    rows = rows.with_columns(
        pl.when(shared).then(before["chosen"]).otherwise("prompt").alias("turns"),
        (before["chosen"] != before["rejected"]).alias("differ"),
        pl.any_horizontal(goes_on).fill_null(False).alias("goes_on"),
        *(content_of(pl.col(name), -1).alias(f"{name}_text") for name in answers),
        *(pl.col(name).list.last().struct.field("role").alias(f"{name}_role") for name in answers),
    )
    return rows.select(
        "turns",
        lone_user(pl.col("turns")).alias("instruction"),
        pl.col("chosen_text").alias("chosen"),
        pl.col("rejected_text").alias("rejected"),
        pl.coalesce(
            "problem",
            first_problem(
                empty_output=blank(pl.col("chosen_text")) | blank(pl.col("rejected_text")),
                prompts_differ=pl.col("differ") & ~pl.col("goes_on"),
                not_an_answer=pl.col("goes_on")
                | (pl.col("chosen_role").fill_null("") != "assistant")
                | (pl.col("rejected_role").fill_null("") != "assistant"),
                **chat_problem(pl.col("turns")),
            ),
        ).alias("problem"),
    )


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and two answers."""
    import polars as pl

    names = ("prompt", "chosen", "rejected")
    rows = frame_of(record, names, dict.fromkeys(names, message_list())).select(
        turns_of("prompt", "user").alias("prompt"),
        turns_of("chosen", "assistant").alias("chosen"),
        turns_of("rejected", "assistant").alias("rejected"),
        first_problem(unreadable=~pl.col("read")),
    )
    return compared(rows).hstack(scores_of(record))
