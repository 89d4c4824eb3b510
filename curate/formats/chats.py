"""Chats whose messages hold more than a role and a text, brought to our format one by one.

Every dialect of chats is given here as messages of OpenAI's members. Role names are mapped; the typed parts of LLaMA-Factory's
v1 files become `content`, `reasoning_content` and `tool_calls`; arguments of a call that were encoded twice are JSON text once.
Whatever else a message holds (`name`, `weight`, `loss_weight`, `thinking`, axolotl's `train` and `train_detail`) is kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from curate.formats.decode import Members, decode, message_list
from curate.formats.messages import encode, to_json
from curate.formats.turns import ROLES, as_chats

if TYPE_CHECKING:
    import polars as pl

__all__ = ["HOLD_TOOLS", "STANDARD", "Unreadable", "chats", "load", "load_member", "merged", "tools_of"]

STANDARD = ("system", "developer", "user", "assistant", "tool")


HOLD_TOOLS = ("chat", "openai", "trl_sft", "trl_prompt_completion", "trl_kto", "trl_grpo", "sharegpt")
"""Targets whose rows can have tools beside their messages; ShareGPT has them as JSON text."""


class Unreadable(ValueError):
    """A chat that cannot be read; its message is one of `problems.PROBLEMS`."""


def load(text: str | None) -> Any:
    """The value of JSON text; None for none, and for what Python cannot read (nested too deep)."""
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def load_member(text: str | None) -> Any:
    """`load` of a member that is a list or an object, or, as CSV has it, a string with its JSON text."""
    value = load(text)
    return load(value) if isinstance(value, str) else value


def chats(rows: list[Any]) -> pl.DataFrame:
    """Lists of messages as `turns`, `messages` and `problem`. `turns` is null where a message is more than a text."""
    import polars as pl

    schema = {"messages": pl.String, "turns": pl.String, "problem": pl.String}
    frame = pl.DataFrame([_standard(row) for row in rows], schema=schema, orient="row")
    frame = frame.with_columns(decode(frame["turns"], message_list()).alias("turns")).with_row_index("parent")
    # Turns alone, calls among them, are written as the JSON they are.
    written = as_chats(frame.filter(pl.col("messages").is_null() & pl.col("problem").is_null()))
    made = frame.join(written, on="parent", how="left", maintain_order="left", suffix="_made")
    return made.select("turns", *(pl.coalesce(name, f"{name}_made").alias(name) for name in ("messages", "problem")))


def merged(turns: pl.Series, others: pl.DataFrame) -> pl.DataFrame:
    """Turns of plain rows with `chats` of the rows between, those where `turns` is null, in order."""
    import polars as pl

    places = others.with_columns(turns.is_null().arg_true().cast(pl.Int64).alias("row"))
    rows = pl.DataFrame({"row": pl.int_range(len(turns), eager=True), "plain": turns})
    found = rows.join(places, on="row", how="left", maintain_order="left")
    found = found.select(pl.coalesce("plain", "turns").alias("turns"), "messages", "problem")
    written = pl.when(pl.col("messages").is_null() & pl.col("problem").is_null()).then(pl.lit(encode(turns)))
    return found.select("turns", pl.coalesce("messages", written).alias("messages"), "problem")


def _standard(messages: Any) -> tuple[str | None, str | None, str | None]:
    try:
        if isinstance(messages, Unreadable):
            raise messages
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise Unreadable("unreadable")
        if not messages:
            raise Unreadable("empty")
        # A null says no more than an absent member: typed rows (Parquet) have every member.
        messages = [
            {key: value for key, value in message.items() if value is not None or key == "content"} for message in messages
        ]
        if all(_is_turn(message) for message in messages):
            turns = to_json([{**message, "role": ROLES[message["role"]]} for message in messages])
            return None, turns, "unreadable" if turns is None else None
        out = [_message(message) for message in messages]
    except Unreadable as problem:
        return None, None, str(problem)
    chat = to_json(out)
    simple = all(isinstance(message.get("content"), str) and not message.get("tool_calls") for message in out)
    turns = to_json([{"role": message["role"], "content": message["content"]} for message in out]) if simple else None
    return chat, turns, "unreadable" if chat is None else None


def _is_turn(message: dict[str, Any]) -> bool:
    """Whether a message is a role and a text and nothing else; the text of a call a single one, that can stay as it is."""
    role, content = message.get("role"), message.get("content")
    if len(message) != 2 or not isinstance(role, str) or not isinstance(content, str) or not content.strip():
        return False
    if ROLES.get(role) != "function_call":
        return role in ROLES
    called = load(content)
    arguments = load(called.get("arguments")) if isinstance(called, dict) and isinstance(called.get("arguments"), str) else None
    return isinstance(called, dict) and isinstance(called.get("name"), str) and not isinstance(arguments, str)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    role = message.get("role")
    role = ROLES.get(role) if isinstance(role, str) else None
    if role == "function_call":
        return _call(message)
    if role is None:
        raise Unreadable("unknown_role")
    content = message.get("content")
    new = {**message, "role": role, **(_parts(content) if isinstance(content, list) else {})}
    if new.get("tool_calls"):
        new["tool_calls"] = _calls(new["tool_calls"])
    content = new.get("content")
    if not isinstance(content, str | list | None):
        raise Unreadable("unreadable")
    silent = not content or (isinstance(content, str) and not content.strip())
    if silent and not (new.get("tool_calls") or isinstance(new.get("function_call"), dict)):
        raise Unreadable("empty_content")
    return new


def _call(message: dict[str, Any]) -> dict[str, Any]:
    """A turn whose content is a call (LLaMA-Factory's `function_call`): {`name`, `arguments`} as JSON, or a list of them."""
    called = load(message["content"]) if isinstance(message.get("content"), str) else message.get("content")
    found = called if isinstance(called, list) else [called]
    if not found or not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in found):
        raise Unreadable("bad_call")
    return {
        **message,
        "role": "assistant",
        "content": None,
        "tool_calls": _calls([{"type": "function", "function": one} for one in found]),
    }


def _calls(calls: Any) -> list[Any]:
    """Tool calls with their arguments encoded once. Raises Unreadable for what is no list of objects."""
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise Unreadable("bad_call")
    new = []
    for call in calls:
        function = call.get("function")
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            once = load(function["arguments"])
            if isinstance(once, str) and isinstance(load(once), dict | list):
                call = {**call, "function": {**function, "arguments": once}}
        new.append(call)
    return new


def _parts(content: list[Any]) -> dict[str, Any]:
    """Typed parts {`type`, `value`} as members of a message; none when they are not such parts (OpenAI's stay as they are)."""
    members: dict[str, Any] = {}
    for part in content:
        if not isinstance(part, dict) or not isinstance(part.get("value"), str):
            return {}
        match part.get("type"):
            case "text":
                members["content"] = members.get("content", "") + part["value"]
            case "reasoning":
                members["reasoning_content"] = members.get("reasoning_content", "") + part["value"]
            case "tool_call":
                called = load(part["value"])
                if not isinstance(called, dict) or not isinstance(called.get("name"), str):
                    raise Unreadable("bad_call")
                members.setdefault("tool_calls", []).append({"type": "function", "function": called})
            case _:
                return {}
    return {"content": None, **members} if members else {}


def tools_of(record: pl.Series) -> pl.DataFrame:
    """The tools that stand beside each chat: `tools`, a JSON array of OpenAI's tools, null where there is none; and `problem`.

    `tools` is an array or, in ShareGPT files, its JSON text; `functions` is its older name. Functions alone are put into tools.
    """
    import polars as pl

    members = Members(record, ("tools", "functions", "messages"), "messages")
    rows = [_tools(load(tools) or load(old)) for tools, old in zip(members.raw("tools"), members.raw("functions"), strict=True)]
    return pl.DataFrame(rows, schema={"tools": pl.String, "problem": pl.String}, orient="row")


def _tools(found: Any) -> tuple[str | None, str | None]:
    """Tools as JSON text, or a problem."""
    if not found or found in ("[]", "null"):
        return None, None
    found = load(found) if isinstance(found, str) else found
    if not isinstance(found, list) or not all(isinstance(tool, dict) for tool in found):
        return None, "bad_tools"
    text = to_json([_tool(tool) for tool in found])
    return text, "bad_tools" if text is None else None


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return tool if "type" in tool and "function" in tool else {"type": "function", "function": tool}
