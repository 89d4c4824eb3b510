"""Gemini: `contents` of {`role`, `parts`: [{`text`}]}, and a `systemInstruction` beside them; what Vertex AI tunes on.

The texts of a turn's parts are one text. Calls and their responses become tool calls and turns of the tool; other parts (files,
pictures) are more than text, and a row with one cannot be read.
https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from curate.formats.chats import Unreadable, chats, load_member
from curate.formats.decode import Members

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read"]


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns, and as the chats they are."""
    members = Members(record, ("contents", "systemInstruction", "system_instruction"))
    rows = zip(*(members.raw(name) for name in members.names), strict=True)
    return chats(
        [_messages(load_member(contents), load_member(system) or load_member(other)) for contents, system, other in rows]
    )


def _messages(contents: Any, system: Any) -> Any:
    out: list[dict[str, Any]] = []
    try:
        if system is not None:
            out.append({"role": "system", "content": system if isinstance(system, str) else _content(system)["content"]})
        if not isinstance(contents, list):
            raise Unreadable("unreadable")
        for turn in contents:
            message = _content(turn)
            out.append({"role": turn.get("role"), **message})
    except Unreadable as problem:
        return problem
    return out if contents else []


def _content(turn: Any) -> dict[str, Any]:
    """A turn's parts as members of a message."""
    parts = turn.get("parts") if isinstance(turn, dict) else None
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise Unreadable("unreadable")
    texts, calls = [], []
    for part in parts:
        match part:
            case {"text": str(text)}:
                texts.append(text)
            case {"functionCall": {"name": str(name), **rest}}:
                arguments = json.dumps(rest.get("args", {}), ensure_ascii=False)
                calls.append({"type": "function", "function": {"name": name, "arguments": arguments}})
            case {"functionResponse": {"name": str(name), "response": response}} if len(parts) == 1:
                return {"role": "tool", "name": name, "content": json.dumps(response, ensure_ascii=False)}
            case _:
                raise Unreadable("more_than_text")
    content = "".join(texts)
    return {"content": content or None, "tool_calls": calls} if calls else {"content": content}
