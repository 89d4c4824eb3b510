"""HH-RLHF: `chosen` and `rejected` are whole transcripts, "\\n\\nHuman: ...\\n\\nAssistant: ...", that part at the last answer.

The prompt is what both share up to the last "\\n\\nAssistant:"; a pair that parts earlier has no two answers to one prompt.
A prompt of one turn becomes its text; a longer one stays the transcript that it is, marks and all, as one text.
https://github.com/anthropics/hh-rlhf
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of
from curate.formats.turns import blank, chat_problem, first_problem, lone_user

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]

_MARK = r"\n\n(Human|Assistant):"
_CUT = "\x1e"
"""Put before each mark to split there; RECORD SEPARATOR is in no text that a person wrote, and rows with it are refused."""


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and two answers."""
    import polars as pl

    rows = frame_of(record, ("chosen", "rejected"))
    prompt = pl.col("chosen").str.extract(r"(?s)^(.*\n\nAssistant:)")
    rows = rows.with_columns(prompt.alias("prompt")).with_columns(
        (
            pl.col("rejected").str.starts_with(pl.col("prompt"))
            & ~pl.col("rejected").str.strip_prefix(pl.col("prompt")).str.contains(_MARK)
        ).alias("shared"),
        # The last "\n\nAssistant:" opens the answers and is no turn.
        pl.col("prompt")
        .str.strip_suffix("\n\nAssistant:")
        .str.replace_all(_MARK, f"{_CUT}$1:")
        .str.split(_CUT)
        .list.eval(pl.element().filter(~blank(pl.element())))
        .alias("turns"),
    )
    said = pl.element().str
    role = (
        pl.when(said.starts_with("Human:")).then(pl.lit("user")).when(said.starts_with("Assistant:")).then(pl.lit("assistant"))
    )
    turn = pl.struct(role.alias("role"), said.replace("^(Human|Assistant):", "").str.strip_chars().alias("content"))
    rows = rows.with_columns(
        pl.col("turns").list.eval(turn),
        *(pl.col(name).str.strip_prefix(pl.col("prompt")).str.strip_chars() for name in ("chosen", "rejected")),
        pl.col("chosen").str.contains(_CUT, literal=True).alias("cut"),
    )
    transcript = pl.col("prompt").str.strip_chars().str.strip_suffix("\n\nAssistant:")
    return rows.select(
        "turns",
        pl.coalesce(lone_user(pl.col("turns")), transcript).alias("instruction"),
        "chosen",
        "rejected",
        first_problem(
            unreadable=~pl.col("read") | pl.col("cut"),
            prompts_differ=~pl.col("shared").fill_null(False),
            empty_output=blank(pl.col("chosen")) | blank(pl.col("rejected")),
            **chat_problem(pl.col("turns")),
        ),
    )
