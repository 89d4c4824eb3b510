"""Messages: `messages`, or a bare array, of {`role`, `content`, ...}; what OpenAI, TRL and our own chat format use.

Messages of only a role and a content stay as they are, byte for byte. Others are brought to our format one by one: role names
are mapped, and the typed parts of LLaMA-Factory's v1 files become `content`, `reasoning_content` and `tool_calls`. What else a
message holds is kept.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from curate.formats.decode import Members, decode, message_list
from curate.formats.messages import PLAIN, to_json
from curate.formats.prompt_completion import label_of
from curate.formats.turns import ROLES, blank, first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]

_STANDARD = ["system", "developer", "user", "assistant", "tool"]


def _parts(content: list[Any]) -> dict[str, Any] | None:
    """Typed parts {`type`, `value`} as members of a message; None when they are not such parts."""
    members: dict[str, Any] = {}
    for part in content:
        if not isinstance(part, dict) or not isinstance(part.get("value"), str):
            return None
        match part.get("type"):
            case "text":
                members["content"] = members.get("content", "") + part["value"]
            case "reasoning":
                members["reasoning_content"] = members.get("reasoning_content", "") + part["value"]
            case "tool_call":
                try:
                    call = json.loads(part["value"])
                except ValueError:
                    return None
                members.setdefault("tool_calls", []).append({"type": "function", "function": call})
            case _:
                return None
    return {"content": None, **members}


def _standard(row: str | None) -> tuple[str | None, str | None, str | None]:
    """A chat with more in it than roles and contents: in our format; who said what alone; why it cannot be read if so.

    The second is None where a message is more than a text by somebody: a call, or content in parts.
    """
    try:
        messages = json.loads(row or "null")
    except (ValueError, RecursionError):
        messages = None
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return None, None, "unreadable"
    if not messages:
        return None, None, "empty"
    out = []
    for message in messages:
        role = message.get("role")
        role = ROLES.get(role) if isinstance(role, str) else None
        if role not in _STANDARD:
            return None, None, "unknown_role"
        content = message.get("content")
        members = _parts(content) if isinstance(content, list) else None
        new = {**message, "role": role, **(members or {})}
        if not (new.get("content") or new.get("tool_calls")):
            return None, None, "empty_content"
        out.append(new)
    chat = to_json(out)
    simple = all(isinstance(message.get("content"), str) and not message.get("tool_calls") for message in out)
    turns = to_json([{"role": message["role"], "content": message["content"]} for message in out]) if simple else None
    return chat, turns, "unreadable" if chat is None else None


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns, and as the chats they are. `turns` is null where a message is more than a text by somebody."""
    import polars as pl

    messages = Members(record, ("messages",), "messages").raw("messages")
    plain = messages.str.contains(PLAIN).fill_null(False)
    turns = decode(messages.set(~plain, None), message_list())
    roles = turns.list.eval(pl.element().struct.field("role").is_in(_STANDARD)).list.all()
    plain = plain & roles.fill_null(False)
    frame = pl.DataFrame(
        [(text, None, None) if known else _standard(text) for text, known in zip(messages, plain, strict=True)],
        schema={"messages": pl.String, "turns": pl.String, "problem": pl.String},
        orient="row",
    )
    others = decode(frame["turns"], message_list())
    frame = frame.with_columns(turns.zip_with(plain, others).alias("turns"), label_of(record))
    silent = pl.col("turns").list.eval(blank(pl.element().struct.field("content"))).list.any()
    return frame.with_columns(pl.coalesce("problem", first_problem(empty_content=silent)))
