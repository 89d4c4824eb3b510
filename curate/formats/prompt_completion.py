"""Prompt and completion: `prompt`, `completion`, both text or both lists of messages (TRL; OpenAI's first fine-tuning format).

Rows that mark their completion (`label`, as KTO does) are read where the mark is good. Texts are taken as they stand:
separators that people put between prompt and completion are the data's own.
https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import Members, frame_of, message_list
from curate.formats.turns import chat_problem, first_problem, known_role, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["marked_bad", "read", "turns_of"]


def marked_bad(record: pl.Series) -> pl.Series:
    """Rows whose own label says that the answer is a bad one: nobody should be taught it."""
    label = Members(record, ("label",), "label").raw("label")
    return label.str.strip_chars('"').str.to_lowercase().is_in(["false", "0"]).fill_null(False)


def turns_of(name: str, role: str) -> pl.Expr:
    """Turns of a member that was decoded both as text, under its name, and as messages, under `<name>_nested`."""
    import polars as pl

    said = pl.element().struct
    message = pl.struct(known_role(said.field("role")).alias("role"), said.field("content"))
    as_text = pl.concat_list(turn(role, pl.col(name))).list.drop_nulls()
    return pl.coalesce(pl.col(f"{name}_nested").list.eval(message), as_text)


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns: those of the prompt, then those of the completion."""
    import polars as pl

    names = ("prompt", "completion")
    rows = frame_of(record, names, dict.fromkeys(names, message_list())).with_columns(marked_bad(record).alias("bad"))
    prompt, completion = turns_of("prompt", "user"), turns_of("completion", "assistant")
    turns = pl.concat_list(prompt, completion)
    return rows.select(
        turns.alias("turns"),
        first_problem(
            unreadable=~pl.col("read"),
            bad_answer=pl.col("bad"),
            empty_instruction=prompt.list.len() == 0,
            empty_output=completion.list.len() == 0,
            **chat_problem(turns),
        ),
    )
