"""Rows of the input as messages: what is asked in them, and the answers they hold."""

from __future__ import annotations

import json
from typing import Any

from curate.models.ask import Message
from curate.synth.sessions import Item

__all__ = ["answers_of", "instruction_of", "prompt_of", "texts_of"]


def messages_of(item: Item) -> list[Message]:
    """The messages of a chat that have a role and a text; none where the row is no chat."""
    value = item.columns.get("messages")
    found = json.loads(value) if isinstance(value, str) else []
    return [
        {"role": str(m.get("role")), "content": m["content"]}
        for m in found
        if isinstance(m, dict) and isinstance(m.get("content"), str)
    ]


def prompt_of(item: Item) -> tuple[Message, ...] | None:
    """What a row asks: its instruction, its text, or its chat up to the last message of the user; None: nobody asks."""
    if item.columns.get("messages") is not None:
        chat = messages_of(item)
        while chat and chat[-1]["role"] != "user":
            chat.pop()
        return tuple(chat) or None
    text = str(item.columns.get("instruction") or item.text)
    return ({"role": "user", "content": text},) if text.strip() else None


def instruction_of(item: Item) -> str:
    """What a row asks as one text; of a chat up to its last user message; what the row reads as where nobody asks."""
    messages = prompt_of(item)
    return "\n\n".join(message["content"] for message in messages) if messages else item.text


def texts_of(value: Any) -> list[str]:
    """A list of texts, as a column holds it or as JSON text; empty where it is something else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def answers_of(item: Item) -> list[str]:
    """The answers that a row holds: its `responses`, or both of a preference, or its output, or its chat's last answer."""
    columns = item.columns
    if responses := texts_of(columns.get("responses")):
        return responses
    both = [columns[name] for name in ("chosen", "rejected") if columns.get(name) is not None]
    if both:
        return both
    if columns.get("output") is not None:
        return [columns["output"]]
    chat = messages_of(item)
    return [chat[-1]["content"]] if chat and chat[-1]["role"] == "assistant" else []
