"""What an OpenAI-compatible endpoint sends back, read: an answer, or a failure with its kind.

Servers differ: usage, finish reason and even the content may be missing, content may be a list of parts, errors may come with
status 200, reasoning in a member of its own (`reasoning_content`, `reasoning`) or in the text, within `<think>`.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from typing import Any

from curate.models.ask import Answer, Failed

__all__ = ["RAW_KEPT", "failure_of", "message_of", "read_reply", "split_reasoning", "wait_asked_for"]

RAW_KEPT = 10_000
"""Characters of a reply that is no answer."""

FINISH = {
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "safety": "content_filter",
}
"""Reasons of other servers for the same ends."""

_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size|limit)|maximum (model|input|prompt|sequence)? ?(length|context)|max_model_len"
    r"|prompt (is )?too long|input (is )?too long|too many (input )?tokens|inputs? tokens \+|exceeds? the (available )?context",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model_not_found|\bmodels?\b.{0,200}?\b(not found|not exist|unknown|not supported|not available|no such)"
    r"|(unknown|invalid|no such) model|not a valid model",
    re.IGNORECASE | re.DOTALL,
)


def read_reply(body: bytes, *, chat: bool) -> Answer | Failed:
    """The body of a reply with status 200."""
    raw = body.decode("utf-8", "replace")[:RAW_KEPT]
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        return Failed("broken", f"the reply is not JSON ({error})", raw)
    if not isinstance(reply, dict):
        return Failed("broken", "the reply is not a JSON object", raw)
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    wrong = reply.get("error") or (choice.get("error") if isinstance(choice, dict) else None)
    if wrong:
        code = wrong.get("code") if isinstance(wrong, dict) else None
        return failure_of(code if isinstance(code, int) and 400 <= code < 600 else 500, body, {})
    if not isinstance(choice, dict):
        return Failed("broken", "the reply has no choices", raw)
    finish = choice.get("finish_reason")
    finish = FINISH.get(finish.lower(), finish.lower()) if isinstance(finish, str) and finish else "stop"
    reasoning: str | None = None
    if chat:
        message = choice.get("message")
        if not isinstance(message, dict):
            return Failed("broken", "the reply has no message", raw)
        text = _text(message.get("content"))
        if text is None:
            return Failed("broken", "the content of the reply is no text", raw)
        said = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(said, str):
            reasoning = said
        elif text:
            text, reasoning = split_reasoning(text)
        refusal = message.get("refusal")
        if not text and isinstance(refusal, str) and refusal:
            text, finish = refusal, "content_filter"
    else:
        given = choice.get("text")
        if not isinstance(given, str):
            return Failed("broken", "the reply has no text", raw)
        text = given
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Answer(text, reasoning, finish, _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _text(content: Any) -> str | None:
    """Content as text: a string, nothing, or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "".join(part for part in parts if isinstance(part, str))
    return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def split_reasoning(text: str) -> tuple[str, str | None]:
    """(answer, reasoning) of a text that may open with `<think>...</think>`; the opening tag may be in the prompt instead.

    Reasoning that never closes leaves no answer.
    """
    bare = text.lstrip()
    opened = bare.startswith("<think>")
    if not opened and "</think>" not in bare:
        return text, None
    inside = bare.removeprefix("<think>")
    reasoning, closed, answer = inside.partition("</think>")
    return (answer.strip(), reasoning.strip()) if closed else ("", inside.strip())


def message_of(body: bytes) -> str:
    """What an error's body says, in one line: of the many layouts of errors the text, else its first characters."""
    text = body.decode("utf-8", "replace")
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = text
    for _ in range(3):
        if isinstance(found, dict):
            found = next((found[name] for name in ("error", "message", "detail", "msg") if found.get(name)), text)
        elif isinstance(found, list) and found:
            found = found[0]
    line = " ".join(str(found if isinstance(found, str) else text).split())
    return line if len(line) <= 300 else line[:300] + "..."


def failure_of(status: int, body: bytes, headers: dict[bytes, bytes]) -> Failed:
    """What a reply with another status than 200 means. Header names in lower case."""
    raw = body.decode("utf-8", "replace")[:RAW_KEPT]
    said = message_of(body)
    message = f"status {status}" + (f": {said}" if said else "")
    wait = wait_asked_for(headers.get(b"retry-after"))
    if status in (401, 403):
        return Failed("refused_key", f"the endpoint refuses the key ({message})", raw, hopeless=status == 401)
    if status == 402 or (status == 429 and "insufficient_quota" in raw):
        return Failed("rate_limited", f"nothing is left of the account ({message})", raw, hopeless=True)
    if status == 429:
        return Failed("rate_limited", message, raw, retry_after=wait)
    if status == 407:
        return Failed("unreachable", f"the proxy wants a user and password, or others ({message})", raw, hopeless=True)
    if status == 408:
        return Failed("timeout", message, raw)
    if status == 413 or (status in (400, 422, 500) and _TOO_LONG.search(raw)):
        return Failed("too_long", f"the prompt does not fit the model's context ({message})", raw)
    if status >= 500 and status != 501:
        return Failed("server_error", message, raw, retry_after=wait)
    if 300 <= status < 400:
        to = headers.get(b"location", b"").decode("latin-1")
        return Failed("wrong_request", f"the endpoint is elsewhere, at {to} (status {status})", raw, hopeless=True)
    hopeless = status in (404, 405, 410, 501) or bool(_NO_MODEL.search(raw))
    return Failed("wrong_request", message, raw, hopeless=hopeless)


def wait_asked_for(header: bytes | None) -> float | None:
    """Seconds of a Retry-After: a number, or a date."""
    if header is None:
        return None
    value = header.decode("latin-1").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None
