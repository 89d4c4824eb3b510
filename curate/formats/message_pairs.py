"""Pairs whose answers are lists of messages.

| dialect           | members                                                                                               |
|-------------------|-------------------------------------------------------------------------------------------------------|
| v1_pairs          | `chosen_messages`, `rejected_messages`: whole conversations, in typed parts (LLaMA-Factory v1)         |
| openai_preference | `input` {`messages`}, `preferred_output`, `non_preferred_output`: one assistant message each           |
| swift_messages    | `messages`: the conversation with the better answer; `rejected_response`: the other, a text (ms-swift) |

A prompt or an answer with more in it than texts (a tool call, reasoning, an image) is `more_than_text`.
https://platform.openai.com/docs/guides/direct-preference-optimization, https://github.com/modelscope/ms-swift
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats import openai
from curate.formats.decode import Members, frame_of
from curate.formats.dpo import compared
from curate.formats.turns import first_problem, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_openai", "read_swift", "read_v1"]


def _conversation(raw: pl.Series, name: str) -> pl.DataFrame:
    """The JSON text of lists of messages as turns, column `name`; and why it cannot be read, `<name>_problem`."""
    import polars as pl

    held = raw.str.starts_with("[").fill_null(False)
    rows = openai.read(raw.set(~held, "[5]"))
    more = pl.col("turns").is_null() | pl.col("messages").str.contains('"reasoning_content":"', literal=True)
    return rows.select(
        pl.col("turns").alias(name),
        pl.coalesce("problem", first_problem(more_than_text=more)).alias(f"{name}_problem"),
    )


def _pairs(*sides: pl.DataFrame) -> pl.DataFrame:
    """Conversations as pairs, with the first problem of any of them."""
    import polars as pl

    rows = pl.concat(sides, how="horizontal")
    problems = [name for name in rows.columns if name.endswith("_problem")]
    return compared(rows.with_columns(pl.coalesce(problems).alias("problem")))


def _no_prompt(height: int) -> pl.DataFrame:
    import polars as pl

    from curate.formats.decode import message_list

    return pl.DataFrame({"prompt": [[]] * height}, schema={"prompt": message_list()})


def read_v1(record: pl.Series) -> pl.DataFrame:
    """Rows with two whole conversations."""
    members = Members(record, ("chosen_messages", "rejected_messages"))
    chosen = _conversation(members.raw("chosen_messages"), "chosen")
    rejected = _conversation(members.raw("rejected_messages"), "rejected")
    return _pairs(_no_prompt(len(record)), chosen, rejected)


def read_openai(record: pl.Series) -> pl.DataFrame:
    """Rows of a prompt's messages and two messages that answer it."""
    import polars as pl

    members = Members(record, ("input", "preferred_output", "non_preferred_output"))
    raw = members.raw("input")
    inside = raw.set(~raw.str.starts_with("{").fill_null(False), "{}")
    prompt = _conversation(Members(inside, ("messages",)).raw("messages"), "prompt")
    chosen = _conversation(members.raw("preferred_output"), "chosen")
    rejected = _conversation(members.raw("non_preferred_output"), "rejected")
    rows = pl.concat([chosen, rejected], how="horizontal")
    lone = (rows["chosen"].list.len() == 1) & (rows["rejected"].list.len() == 1)
    several = chosen.with_columns(
        pl.coalesce("chosen_problem", first_problem(not_an_answer=~pl.lit(lone))).alias("chosen_problem")
    )
    return _pairs(prompt, several, rejected)


def read_swift(record: pl.Series) -> pl.DataFrame:
    """Rows of a conversation and another last answer."""
    import polars as pl

    chosen = _conversation(Members(record, ("messages",)).raw("messages"), "chosen")
    answer = frame_of(record, ("rejected_response",)).select(
        pl.concat_list(turn("assistant", pl.col("rejected_response"))).list.drop_nulls().alias("answer"),
        first_problem(unreadable=~pl.col("read")).alias("rejected_problem"),
    )
    before = pl.col("chosen").list.head(pl.col("chosen").list.len().cast(pl.Int64) - 1)
    rejected = pl.concat([chosen, answer], how="horizontal").select(
        pl.when(pl.col("answer").list.len() > 0).then(pl.concat_list(before, "answer")).alias("rejected"), "rejected_problem"
    )
    return _pairs(_no_prompt(len(record)), chosen, rejected)
