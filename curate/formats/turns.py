"""What every dialect is read as: turns (who said what), or a prompt with two answers; and how turns are checked and written.

A dialect's `read` takes rows of JSON text and gives a frame, one row a row, with `problem` (String, null when the row could be
read) and the columns of its kind:

| kind  | columns                                                                                                |
|-------|--------------------------------------------------------------------------------------------------------|
| turns | `turns` List(Struct{role, content}); `messages` String: the chat as its JSON text, where it holds more  |
| pair  | `turns`: the prompt's; `instruction` String: the prompt as one text, or null; `chosen`, `rejected`     |
| text  | `text`                                                                                                 |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ROLES", "Kind", "blank", "chat_problem", "content_of", "first_problem", "known_role", "lone_user", "turn"]

Kind = Literal["turns", "pair", "text"]

ROLES = {
    **dict.fromkeys(("user", "human", "Human", "User", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bard", "bing", "bot", "model", "Assistant"), "assistant"),
    **dict.fromkeys(("system", "System"), "system"),
    "developer": "developer",
    **dict.fromkeys(("tool", "observation", "function"), "tool"),
    "function_call": "function_call",
}
"""Names that roles go by in the wild. `function_call` is an assistant's turn whose content is the call, as JSON."""


def blank(column: pl.Expr) -> pl.Expr:
    """Whether a text says nothing: null, or white space alone."""
    return column.is_null() | (column.str.strip_chars() == "")


def known_role(role: pl.Expr) -> pl.Expr:
    """The role by its standard name; null when it is none we know."""
    import polars as pl

    return role.replace_strict(ROLES, default=None, return_dtype=pl.String)


def turn(role: str, content: pl.Expr) -> pl.Expr:
    """A turn, or null where there is nothing said."""
    import polars as pl

    return pl.when(~blank(content)).then(pl.struct(pl.lit(role).alias("role"), content.alias("content")))


def first_problem(**problems: pl.Expr) -> pl.Expr:
    """The name of the first condition that holds, null where none does."""
    import polars as pl

    return pl.coalesce(pl.when(holds).then(pl.lit(name)) for name, holds in problems.items()).alias("problem")


def chat_problem(turns: pl.Expr) -> dict[str, pl.Expr]:
    """What makes turns no chat: none at all, a role nobody knows, or a turn that says nothing."""
    import polars as pl

    return {
        "empty": turns.is_null() | (turns.list.len() == 0),
        "unknown_role": turns.list.eval(pl.element().struct.field("role").is_null()).list.any(),
        "empty_content": turns.list.eval(blank(pl.element().struct.field("content"))).list.any(),
    }


def content_of(turns: pl.Expr, position: int) -> pl.Expr:
    """What is said in one turn; null when there is none at that position."""
    return turns.list.get(position, null_on_oob=True).struct.field("content")


def lone_user(turns: pl.Expr) -> pl.Expr:
    """The content of turns that are one user's turn alone, else null."""
    import polars as pl

    first = turns.list.get(0, null_on_oob=True).struct.field("role")
    return pl.when((turns.list.len() == 1) & (first == "user")).then(content_of(turns, 0))
