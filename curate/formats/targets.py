"""What is written: each target, the kind of rows that it takes, and the ways from one kind to another.

A target's `write` takes rows of its kind (see `curate.formats.turns`) and gives `parent`, its columns, and `problem`. What it
cannot hold is a problem, unless the user named it as something to lose (`How.lose`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from curate.declare import FormatName
from curate.formats import layouts, templates
from curate.formats.groups import best, pairs
from curate.formats.how import How
from curate.formats.judged import about, disputed, joined
from curate.formats.messages import SEPARATOR
from curate.formats.turns import Kind, as_chats, content_of, first_problem, lone_user

if TYPE_CHECKING:
    import polars as pl

__all__ = ["COLUMNS", "TARGETS", "Target", "TargetName", "reachable", "written"]

TargetName = Literal[
    "text", "instruction", "chat", "preference", "trl_sft", "trl_prompt_completion", "trl_dpo", "trl_reward", "trl_kto",
    "trl_grpo", "openai", "openai_preference", "sharegpt", "alpaca",
]  # fmt: skip

_SYSTEM = ("system", "developer")

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
    """Gives a line a row, in their order."""

    format: FormatName | None = None
    """Which of the four formats the rows are in; None: a layout of another tool, written as whole rows."""

    layout: tuple[str, ...] = ()
    """Members of a layout's rows."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the rows; a layout's row is JSON text, the column `record`."""
        return ("record",) if self.format is None else COLUMNS[self.format]

    @property
    def members(self) -> tuple[str, ...]:
        """Members of the rows written."""
        return self.layout if self.format is None else COLUMNS[self.format]


def _text(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    return rows.select("parent", "text", "problem")


def _chat(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    return rows.select("parent", "messages", "problem") if "messages" in rows.columns else as_chats(rows)


def _calls(rows: pl.DataFrame) -> pl.Expr:
    """Rows with more in them than texts by somebody."""
    import polars as pl

    roles = pl.col("turns").list.eval(pl.element().struct.field("role"))
    return (pl.col("turns").is_null() | roles.list.contains("function_call")).fill_null(True)


def _lessened(turns: pl.Expr, how: How, ends: int) -> pl.Expr:
    """Turns without what may be lost; `ends`: how many turns at the end are the last question, and its answer if it has one."""
    import polars as pl

    role = pl.element().struct.field("role")
    if "system" in how.lose:
        turns = turns.list.eval(pl.element().filter(~role.is_in(_SYSTEM)))
    if "earlier_turns" in how.lose:
        opening = turns.list.eval(pl.element().filter(role.is_in(_SYSTEM)))
        turns = pl.concat_list(opening, turns.list.eval(pl.element().filter(~role.is_in(_SYSTEM))).list.tail(ends))
    return turns


def _more(turns: pl.Expr, roles: str) -> dict[str, pl.Expr]:
    """What makes turns more than `roles`."""
    import polars as pl

    found = turns.list.eval(pl.element().struct.field("role"))
    system = pl.any_horizontal(found.list.contains(name) for name in _SYSTEM)
    return {"more_than_system": system, "more_than_one_turn": found.list.join(" ") != roles}


def _instruction(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    import polars as pl

    turns = _lessened(pl.col("turns"), how, 2)
    return rows.select(
        "parent",
        content_of(turns, 0).alias("instruction"),
        content_of(turns, 1).alias("output"),
        pl.coalesce("problem", first_problem(more_than_text=_calls(rows), **_more(turns, "user assistant"))),
    )


def _preference(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    import polars as pl

    turns = _lessened(pl.col("turns"), how, 1)
    asked = pl.coalesce("instruction", lone_user(turns))
    more = {name: asked.is_null() & holds for name, holds in _more(turns, "user").items()}
    return rows.select(
        "parent",
        asked.alias("instruction"),
        "chosen",
        "rejected",
        pl.coalesce("problem", first_problem(**more)).alias("problem"),
    )


TARGETS: dict[TargetName, Target] = {
    "text": Target("text", _text, "text"),
    "instruction": Target("turns", _instruction, "instruction"),
    "chat": Target("turns", _chat, "chat"),
    "preference": Target("pair", _preference, "preference"),
    "trl_sft": Target("turns", layouts.sft, layout=("messages",)),
    "trl_prompt_completion": Target("turns", layouts.prompt_completion, layout=("prompt", "completion")),
    "trl_dpo": Target("pair", layouts.trl_dpo, layout=("prompt", "chosen", "rejected")),
    "trl_reward": Target("pair", layouts.trl_reward, layout=("chosen", "rejected", "margin")),
    "trl_kto": Target("labelled", layouts.kto, layout=("prompt", "completion", "label")),
    "trl_grpo": Target("turns", layouts.grpo, layout=("prompt", "reference")),
    "openai": Target("turns", layouts.openai, layout=("messages",)),
    "openai_preference": Target(
        "pair", layouts.openai_preference, layout=("input", "preferred_output", "non_preferred_output")
    ),
    "sharegpt": Target("turns", layouts.sharegpt, layout=("conversations",)),
    "alpaca": Target("turns", layouts.alpaca, layout=("instruction", "input", "output", "system", "history")),
}
"""The four formats, and the layouts of other tools (see `curate.formats.layouts`)."""


def _good(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns whose answer nobody marked as a bad one: nobody should be taught it."""
    import polars as pl

    if "label" not in rows.columns:
        return rows
    return rows.with_columns(pl.coalesce("problem", first_problem(bad_answer=~pl.col("label"))))


def _joined(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns as one text: their contents, or as a chat template has them."""
    import polars as pl

    rows = _good(rows, how)
    if how.template is not None:
        return templates.rendered(_chat(rows, how), how.template)
    said = pl.col("turns").list.eval(pl.element().struct.field("content")).list.join(SEPARATOR)
    problem = pl.coalesce("problem", first_problem(more_than_text=_calls(rows)))
    return rows.select("parent", said.alias("text"), problem.alias("problem"))


def _chosen(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """A pair as its prompt and the answer that was chosen."""
    import polars as pl

    answer = pl.concat_list(pl.struct(pl.lit("assistant").alias("role"), pl.col("chosen").alias("content")))
    about = ["about"] if "about" in rows.columns else []
    return rows.select("parent", pl.concat_list("turns", answer).alias("turns"), *about, "problem")


def _labelled(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns with a `label`, null where they have none."""
    import polars as pl

    return rows if "label" in rows.columns else rows.with_columns(pl.lit(None, pl.Boolean).alias("label"))


def _unpaired(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """A pair as two rows of turns, the chosen answer a good one, the rejected a bad one."""
    import polars as pl

    rows = disputed(rows, how)
    both = [
        _chosen(rows.with_columns(chosen=name), how).with_columns(label=name == "chosen") for name in ("chosen", "rejected")
    ]
    return pl.concat(both).sort("parent", maintain_order=True)


def _same(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    return rows


_WAYS: dict[tuple[Kind, Kind], Callable[[pl.DataFrame, How], pl.DataFrame]] = {
    ("text", "text"): _same,
    ("turns", "turns"): _good,
    ("turns", "text"): _joined,
    ("pair", "pair"): disputed,
    ("pair", "turns"): _chosen,
    ("group", "pair"): pairs,
    ("group", "turns"): best,
    ("turns", "labelled"): _labelled,
    ("pair", "labelled"): _unpaired,
}
"""From the kind that a dialect is read as to the kind that a target takes."""


def reachable(kind: Kind, takes: Kind) -> bool:
    """Whether rows of a kind can be brought to what a target takes without a word made up."""
    return (kind, takes) in _WAYS


def written(rows: pl.DataFrame, kind: Kind, target: Target, how: How) -> pl.DataFrame:
    """Rows that a dialect was read as, as rows of the target: `parent`, its columns, `problem`; `about` where it is known."""
    import polars as pl

    if kind in ("pair", "group") and "instruction" not in rows.columns:
        rows = rows.with_columns(lone_user(pl.col("turns")).alias("instruction"))
    rows = _WAYS[kind, target.takes](rows, how)
    if "margin" in rows.columns and "margin" not in target.members:
        rows = rows.with_columns(joined(about(margin=pl.col("margin")), pl.col("about")))
    lines = target.write(rows, how)
    return lines.with_columns(rows["about"]) if "about" in rows.columns else lines
