"""ShareGPT: `conversations` of {`from`, `value`}, and a `system` and `tools` beside them in some files.

Messages that call them `role` and `value` (Pygmalion) or `role` and `content` are read too. Roles go by many names, all of
`turns.ROLES`; a `function_call` (LLaMA-Factory, Glaive) is a tool call of the assistant.
https://github.com/lm-sys/FastChat, https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.formats.chats import STANDARD, Unreadable, chats, load_member, merged
from curate.formats.decode import Members
from curate.formats.plain import chat_turns, listed, nothing
from curate.formats.turns import ROLES, known_role, turn

if TYPE_CHECKING:
    import polars as pl

    from curate.kernels.json_turns import Turns

__all__ = ["conversation", "message_type", "plain", "read"]

_ROLES = {name: STANDARD.index(role) for name, role in ROLES.items() if role in STANDARD}


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


def plain(members: Members) -> Turns:
    """Turns of the rows whose messages are plain; a system beside them comes first."""
    import numpy as np

    from curate.kernels.json_lines import STRING
    from curate.kernels.json_turns import Turns, said

    turns = chat_turns(members, "conversations", (("from", "role"), ("value", "content")), _ROLES)
    at = members.names.index("system")
    start, end = members.scan.value_start[:, at], members.scan.value_end[:, at]
    has = members.scan.kind[:, at] == STRING
    has &= end - start > 2
    if not has.any():
        return turns._replace(plain=turns.plain & (nothing(members, "system") | (members.scan.kind[:, at] == STRING)))
    system = STANDARD.index("system")
    opens = np.append(turns.code, 255)[turns.rows[:-1]]
    plain = turns.plain & (nothing(members, "system") | (members.scan.kind[:, at] == STRING))
    # Its own system prompt counts where it has both; which one is for `read` to tell where that is not sure.
    plain &= ~has | said(members.data, start, end, has)
    added = turns.plain & has & (opens != system)
    places = turns.rows[:-1][added]
    rows = turns.rows + np.concatenate([[0], np.cumsum(added)])
    return Turns(
        plain,
        rows,
        np.insert(turns.code, places, system),
        np.insert(turns.start, places, start[added]),
        np.insert(turns.end, places, end[added]),
    )


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns, and as the chats they are."""
    import polars as pl

    members = Members(record, ("conversations", "system"))
    turns = listed(members, plain(members))
    rest = turns.is_null()
    texts = members.strings("system")
    silent = pl.Series(nothing(members, "system"))
    others = zip(
        members.raw("conversations").filter(rest), texts.filter(rest), (silent | texts.is_not_null()).filter(rest), strict=True
    )
    return merged(
        turns,
        chats([_messages(load_member(array), system) if good else Unreadable("unreadable") for array, system, good in others]),
    )


def _messages(conversation: Any, system: str | None) -> Any:
    """A conversation as messages that call their members as OpenAI's do."""
    if not isinstance(conversation, list) or not all(isinstance(message, dict) for message in conversation):
        return Unreadable("unreadable")
    out = []
    for message in conversation:
        role = message.get("role") if message.get("from") is None else message["from"]
        content = message.get("content") if message.get("value") is None else message["value"]
        if not isinstance(content, str | None) or not isinstance(role, str | None):
            return Unreadable("unreadable")
        others = {key: value for key, value in message.items() if key not in ("from", "value", "role", "content")}
        out.append({"role": role, "content": content, **others})
    if system and system.strip() and out and ROLES.get(out[0]["role"] or "") != "system":
        out.insert(0, {"role": "system", "content": system})
    return out
