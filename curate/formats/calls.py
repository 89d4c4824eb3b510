"""Tool calls in chats: whether each is answered, by whom, and whether its arguments can be read.

A call is an entry of an assistant's `tool_calls`, `{"id": ..., "function": {"name": ..., "arguments": ...}}` as the OpenAI
interface has it. The last turn may call: then the call is what is learned.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["call_problems"]


def call_problems(messages: list[Any]) -> dict[str, str]:
    """Problem -> evidence for one chat, by the names of `curate.formats.checks.ROW`. O(turns)."""
    found: dict[str, str] = {}
    known: set[str] = set()
    open_calls: list[str] = []
    for turn in messages:
        if not isinstance(turn, dict):
            continue
        role = turn.get("role")
        if role == "tool":
            answers = turn.get("tool_call_id")
            if isinstance(answers, str) and known and answers not in known:
                found.setdefault("call_id_unknown", answers[:80])
            if isinstance(answers, str) and answers in open_calls:
                open_calls.remove(answers)
            elif open_calls:
                open_calls.pop(0)
            continue
        if open_calls:
            found.setdefault("call_not_answered", ", ".join(open_calls)[:80])
            open_calls = []
        calls = turn.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if not isinstance(call, dict):
                continue
            inner = call.get("function")
            function: dict[str, Any] = inner if isinstance(inner, dict) else call
            name = str(call.get("id") or function.get("name") or "a call")
            open_calls.append(name)
            if isinstance(call.get("id"), str):
                known.add(call["id"])
            if "arguments" in function and (why := _unreadable(function["arguments"])):
                found.setdefault("arguments_not_json", f"{name}: {why}")
    return found


def _unreadable(arguments: Any) -> str | None:
    """Why arguments are no object and not the JSON text of one."""
    if isinstance(arguments, dict):
        return None
    if not isinstance(arguments, str):
        return f"a {type(arguments).__name__}"
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return f"not JSON: {arguments[:60]}"
    if isinstance(value, str):
        return f"JSON text inside JSON text: {arguments[:60]}"
    return None if isinstance(value, dict) else f"not an object: {arguments[:60]}"
