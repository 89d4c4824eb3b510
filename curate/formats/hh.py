"""HH-RLHF: `chosen` and `rejected` are whole transcripts, "\\n\\nHuman: ...\\n\\nAssistant: ...", that part at the last answer.

The prompt is what each has up to its last "\\n\\nAssistant:", and must be the same in both. Of 2,312 pairs of its
harmless-base test set, 13 have two turns of one speaker in a row, 4 a turn without words, and 5 two prompts.
A prompt of one turn becomes its text; where a target holds one text alone, a longer one stays the transcript that it is.
https://github.com/anthropics/hh-rlhf
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of
from curate.formats.turns import blank, chat_problem, first_problem, lone_user

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CUT", "alternate", "read", "spoken", "transcript_text"]

_MARK = r"\n\n(Human|Assistant):"
CUT = "\x1e"
"""Put before each mark to split there; RECORD SEPARATOR is in no text that a person wrote, and rows with it are refused."""


def spoken(transcript: pl.Expr) -> pl.Expr:
    """The turns of a transcript; what stands before the first mark has no role. A last "Assistant:" is no turn."""
    import polars as pl

    said = pl.element().str
    role = (
        pl.when(said.starts_with("Human:")).then(pl.lit("user")).when(said.starts_with("Assistant:")).then(pl.lit("assistant"))
    )
    content = said.replace("^(Human|Assistant):", "").str.strip_chars()
    parts = transcript.str.strip_chars_end().str.strip_suffix("\n\nAssistant:").str.replace_all(_MARK, f"{CUT}$1:")
    turn = pl.struct(role.alias("role"), content.alias("content"))
    return parts.str.split(CUT).list.eval(pl.element().filter(~blank(pl.element()))).list.eval(turn)


def alternate(turns: pl.Expr) -> pl.Expr:
    """Whether the user and the assistant take turns, the user first and last."""
    import polars as pl

    roles = turns.list.eval(pl.element().struct.field("role")).list.join(" ")
    return roles.str.contains("^user( assistant user)*$")


def transcript_text(turns: pl.Expr, transcript: pl.Expr) -> pl.Expr:
    """A prompt as one text: what the user says where that is all, else the transcript."""
    import polars as pl

    return pl.coalesce(lone_user(turns), transcript.str.strip_chars().str.strip_suffix("\n\nAssistant:"))


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and two answers."""
    import polars as pl

    names = ("chosen", "rejected")
    rows = frame_of(record, names).with_columns(
        *(pl.col(name).str.extract(r"(?s)^(.*\n\nAssistant:)").alias(f"{name}_prompt") for name in names),
        pl.any_horizontal(pl.col(name).str.contains(CUT, literal=True) for name in names).alias("cut"),
    )
    rows = rows.with_columns(
        spoken(pl.col("chosen_prompt")).alias("turns"),
        *(pl.col(name).str.strip_prefix(pl.col(f"{name}_prompt")).alias(name) for name in names),
    )
    roles = pl.col("turns").list.eval(pl.element().struct.field("role").is_null()).list.any()
    return rows.select(
        "turns",
        transcript_text(pl.col("turns"), pl.col("chosen_prompt")).alias("instruction"),
        *(pl.col(name).str.strip_chars() for name in names),
        first_problem(
            unreadable=~pl.col("read") | pl.col("cut").fill_null(True),
            prompts_differ=~pl.col("chosen_prompt").eq(pl.col("rejected_prompt")).fill_null(False),
            empty_output=blank(pl.col("chosen")) | blank(pl.col("rejected")),
            not_an_answer=pl.any_horizontal(pl.col(name).str.contains(_MARK) for name in names),
            **chat_problem(pl.col("turns")),
            roles_do_not_alternate=~alternate(pl.col("turns")) & ~roles,
        ),
    )
