"""What is written: each target, the kind of rows that it takes, and the ways from one kind to another.

A target's `write` takes rows of its kind (see `curate.formats.turns`) and gives `parent`, its columns, and `problem`. What it
cannot hold is a problem, unless the user named it as something to lose (`How.lose`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from curate.declare import FormatName
from curate.formats.groups import best, pairs
from curate.formats.how import How
from curate.formats.messages import SEPARATOR
from curate.formats.turns import Kind, as_chats, content_of, first_problem, lone_user

if TYPE_CHECKING:
    import polars as pl

__all__ = ["COLUMNS", "TARGETS", "Target", "TargetName", "reachable", "written"]

TargetName = Literal["text", "instruction", "chat", "preference"]

COLUMNS: dict[FormatName, tuple[str, ...]] = {
    "text": ("text",),
    "instruction": ("instruction", "output"),
    "chat": ("messages",),
    "preference": ("instruction", "chosen", "rejected"),
}
"""Columns of the rows written, by format."""


@dataclass(frozen=True)
class Target:
    """A format or layout that rows are written in."""

    takes: Kind
    write: Callable[[pl.DataFrame, How], pl.DataFrame]
    format: FormatName | None = None
    """Which of the four formats the rows are in; None: a layout of another tool, written as whole rows."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the rows; a layout's row is JSON text, the column `record`."""
        return ("record",) if self.format is None else COLUMNS[self.format]


def _text(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    return rows.select("parent", "text", "problem")


def _chat(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    return rows.select("parent", "messages", "problem") if "messages" in rows.columns else as_chats(rows)


def _calls(rows: pl.DataFrame) -> pl.Expr:
    """Rows with more in them than texts by somebody."""
    import polars as pl

    roles = pl.col("turns").list.eval(pl.element().struct.field("role"))
    return (pl.col("turns").is_null() | roles.list.contains("function_call")).fill_null(True)


def _instruction(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    import polars as pl

    turns = pl.col("turns")
    roles = turns.list.eval(pl.element().struct.field("role"))
    pair = roles.list.join(" ") == "user assistant"
    return rows.select(
        "parent",
        content_of(turns, 0).alias("instruction"),
        content_of(turns, 1).alias("output"),
        pl.coalesce("problem", first_problem(more_than_text=_calls(rows), more_than_one_turn=~pair)),
    )


def _preference(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    import polars as pl

    problem = pl.coalesce("problem", first_problem(more_than_one_turn=pl.col("instruction").is_null()))
    return rows.select("parent", "instruction", "chosen", "rejected", problem)


TARGETS: dict[TargetName, Target] = {
    "text": Target("text", _text, "text"),
    "instruction": Target("turns", _instruction, "instruction"),
    "chat": Target("turns", _chat, "chat"),
    "preference": Target("pair", _preference, "preference"),
}


def _good(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns whose answer nobody marked as a bad one: nobody should be taught it."""
    import polars as pl

    if "label" not in rows.columns:
        return rows
    return rows.with_columns(pl.coalesce("problem", first_problem(bad_answer=~pl.col("label"))))


def _joined(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """The contents of turns as one text."""
    import polars as pl

    rows = _good(rows, how)
    said = pl.col("turns").list.eval(pl.element().struct.field("content")).list.join(SEPARATOR)
    return rows.select(
        "parent", said.alias("text"), pl.coalesce("problem", first_problem(more_than_text=_calls(rows))).alias("problem")
    )


def _chosen(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """A pair as its prompt and the answer that was chosen."""
    import polars as pl

    answer = pl.concat_list(pl.struct(pl.lit("assistant").alias("role"), pl.col("chosen").alias("content")))
    return rows.select("parent", pl.concat_list("turns", answer).alias("turns"), "problem")


def _same(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    return rows


_WAYS: dict[tuple[Kind, Kind], Callable[[pl.DataFrame, How], pl.DataFrame]] = {
    ("text", "text"): _same,
    ("turns", "turns"): _good,
    ("turns", "text"): _joined,
    ("pair", "pair"): _same,
    ("pair", "turns"): _chosen,
    ("group", "pair"): pairs,
    ("group", "turns"): best,
}
"""From the kind that a dialect is read as to the kind that a target takes."""


def reachable(kind: Kind, takes: Kind) -> bool:
    """Whether rows of a kind can be brought to what a target takes without a word made up."""
    return (kind, takes) in _WAYS


def written(rows: pl.DataFrame, kind: Kind, target: Target, how: How) -> pl.DataFrame:
    """Rows that a dialect was read as, as rows of the target: `parent`, its columns, `problem`."""
    import polars as pl

    if kind in ("pair", "group") and "instruction" not in rows.columns:
        rows = rows.with_columns(lone_user(pl.col("turns")).alias("instruction"))
    return target.write(_WAYS[kind, target.takes](rows, how), how)
