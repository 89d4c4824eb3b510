"""ShareGPT: `conversations` of {`from`, `value`}, and a `system` beside them in some files.

Messages that call them `role` and `value` (Pygmalion) or `role` and `content` are read too. Roles go by many names, all of
`turns.ROLES`; a `function_call` (LLaMA-Factory, Glaive) is a tool call of the assistant.
https://github.com/lm-sys/FastChat, https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of
from curate.formats.turns import chat_problem, first_problem, known_role, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["conversation", "message_type", "read"]


def message_type() -> pl.Struct:
    """Every member that a ShareGPT message goes by."""
    import polars as pl

    return pl.Struct(dict.fromkeys(("from", "value", "role", "content"), pl.String))


def conversation() -> pl.Expr:
    """Turns from the columns `conversations` and `system`."""
    import polars as pl

    said = pl.element().struct
    message = pl.struct(
        known_role(pl.coalesce(said.field("from"), said.field("role"))).alias("role"),
        pl.coalesce(said.field("value"), said.field("content")).alias("content"),
    )
    # A system prompt beside a conversation that opens with one of its own would be said twice.
    opens = pl.col("conversations").list.get(0, null_on_oob=True).struct
    has_system = pl.coalesce(opens.field("from"), opens.field("role")).is_in(["system", "System"]).fill_null(False)
    system = pl.when(~has_system).then(turn("system", pl.col("system")))
    # concat_list makes a list of the one system turn; where it is null, a null element, which goes.
    return pl.concat_list(pl.concat_list(system).list.drop_nulls(), pl.col("conversations").list.eval(message))


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns."""
    import polars as pl

    rows = frame_of(record, ("system",), {"conversations": pl.List(message_type())})
    turns = conversation()
    return rows.select(turns.alias("turns"), first_problem(unreadable=~pl.col("read"), **chat_problem(turns)))
