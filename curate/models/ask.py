"""What is asked of a model, what it answers, and how that may fail: the same for an endpoint, a local model and a batch file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Answer", "Ask", "Failed", "FailureKind", "Message", "key_of"]

Message = dict[str, str]
"""`role` and `content`."""

FailureKind = Literal[
    "unreachable",
    "timeout",
    "broken",
    "rate_limited",
    "server_error",
    "refused_key",
    "wrong_request",
    "too_long",
    "empty",
    "cut",
    "filtered",
    "not_parsed",
]
"""unreachable: no connection; timeout; broken: the connection closed within the answer, or the answer is no JSON of an endpoint;
rate_limited: 429 after all retries; server_error: 5xx after all retries; refused_key: 401 or 403; wrong_request: another 4xx, such
as an unknown model; too_long: the prompt does not fit the context; empty: an answer without content; cut: ended by its length;
filtered: withheld by the provider; not_parsed: the answer has not the shape that was asked for."""


@dataclass(frozen=True)
class Ask:
    """One request. Either `messages` (chat) or `prompt` (raw completion).

    sample: which of several answers to the same request this is, from 0; part of the request's key.
    schema: JSON Schema of the answer, for endpoints that hold a model to one.
    """

    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int | None = None
    sample: int = 0
    schema: dict[str, Any] | None = None
    more: dict[str, Any] = field(default_factory=dict)
    """Further members of the request, as the endpoint knows them."""

    def __post_init__(self) -> None:
        if bool(self.messages) == (self.prompt is not None):
            raise ValueError("an Ask has either messages or a prompt")


@dataclass(frozen=True)
class Answer:
    """What came back. Token counts are None where the endpoint does not say.

    finish: why it ended: `stop`, `length`, `content_filter`, or whatever the endpoint says.
    """

    text: str
    reasoning: str | None = None
    finish: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached: bool = False
    """Read from the cache: it cost nothing this time."""


@dataclass(frozen=True)
class Failed:
    """A request that has no usable answer. raw: what came back, as far as anything did."""

    kind: FailureKind
    message: str
    raw: str = ""


def key_of(endpoint: str, ask: Ask) -> bytes:
    """The 16 bytes that stand for a request in a cache: of the endpoint and everything of the request that decides its answer."""
    content = json.dumps([endpoint, asdict(ask)], ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()
