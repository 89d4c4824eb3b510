"""What every dialect is read as: turns (who said what), or a prompt with two answers; and how turns are checked and written.

A dialect's `read` takes rows of JSON text and gives a frame with `problem` (String, null where the row could be read) and the
columns of its kind. One line a row, in order, unless it has a column `parent`, the position of the row that each line is of,
ascending: then a row may give several lines, at least one.

| kind  | columns                                                                                                       |
|-------|---------------------------------------------------------------------------------------------------------------|
| turns | `turns` List(Struct{role, content}); optional: `messages` String, the chat as its JSON text, where it holds    |
|       | more than turns do; `label` Boolean: whether the answer is a good one                                          |
| pair  | `turns`: the prompt's; `chosen`, `rejected` String; optional: `instruction`, the prompt as one text; `margin`   |
|       | Float64, by how much the chosen one is better                                                                  |
| group | `turns`: the prompt's; `answers`, a list of `groups.answer_type`; optional: `instruction`                       |
| text  | `text`                                                                                                        |

A target may also take turns that are `labelled`, all of which have a column `label`.
All kinds may have `about` String: what else is known of the row's answers (scores, who wrote them), as members of a JSON object
without its braces (see `judged.about`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from curate.formats.decode import decode
from curate.formats.messages import encode

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "ROLES",
    "Kind",
    "as_chats",
    "blank",
    "chat_problem",
    "content_of",
    "first_problem",
    "known_role",
    "lone_user",
    "turn",
]

Kind = Literal["turns", "pair", "group", "text", "labelled"]

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

    found = (pl.when(holds).then(pl.lit(name)) for name, holds in problems.items())
    return pl.coalesce(*found, pl.lit(None, pl.String)).alias("problem")


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


def as_chats(rows: pl.DataFrame) -> pl.DataFrame:
    """`turns` as the JSON text of chats. A `function_call` becomes a tool call, its JSON verbatim."""
    import polars as pl

    calling = pl.col("turns").list.eval(pl.element().struct.field("role") == "function_call").list.any().fill_null(False)
    if not rows.select(calling.any()).item():
        return rows.select("parent", encode(rows["turns"]).alias("messages"), "problem")
    flat = rows.with_row_index("row").explode("turns", empty_as_null=True).unnest("turns")
    call = pl.col("role") == "function_call"
    # Line breaks between tokens go, as a row is one line; inside JSON strings there can be none.
    bare = pl.col("content").str.replace_all(r"[\r\n]", " ")
    name = flat["content"].set(flat["role"] != "function_call", None)
    named = decode(name, pl.Struct({"name": pl.String})).struct.field("name").is_not_null()
    written = (
        pl.when(call)
        .then(
            pl.concat_str(
                pl.lit('{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":'), bare, pl.lit("}]}")
            )
        )
        .otherwise(pl.struct("role", "content").struct.json_encode())
    )
    lines = flat.with_columns(written.alias("line"), (call & ~pl.lit(named)).alias("bad_call"))
    return (
        lines.group_by("row", maintain_order=True)
        .agg(
            pl.col("parent").first(),
            pl.concat_str(pl.lit("["), pl.col("line").str.join(","), pl.lit("]")).first().alias("messages"),
            pl.coalesce(pl.col("problem").first(), first_problem(bad_call=pl.col("bad_call").any())),
        )
        .select("parent", "messages", "problem")
    )
