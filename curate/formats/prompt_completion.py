"""Prompt and completion: `prompt`, `completion`, both text or both lists of messages (TRL; OpenAI's first fine-tuning format).

Rows may mark their completion as good or bad (`label`, as KTO does). Texts are taken as they stand:
separators that people put between prompt and completion are the data's own.
https://huggingface.co/docs/trl/dataset_formats
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import Members, frame_of, message_list
from curate.formats.turns import chat_problem, first_problem, known_role, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["label_of", "read", "turns_of"]


def label_of(record: pl.Series) -> pl.Series:
    """What a row's own `label` says of its answer: a good one, a bad one, or null where it does not say."""
    import polars as pl

    label = Members(record, ("label",)).raw("label").str.strip_chars('"').str.to_lowercase()
    known = {"true": True, "1": True, "false": False, "0": False}
    return label.replace_strict(known, default=None, return_dtype=pl.Boolean).rename("label")


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
    rows = frame_of(record, names, dict.fromkeys(names, message_list())).with_columns(label_of(record))
    prompt, completion = turns_of("prompt", "user"), turns_of("completion", "assistant")
    turns = pl.concat_list(prompt, completion)
    return rows.select(
        turns.alias("turns"),
        "label",
        first_problem(
            unreadable=~pl.col("read"),
            empty_instruction=prompt.list.len() == 0,
            empty_output=completion.list.len() == 0,
            **chat_problem(turns),
        ),
    )
