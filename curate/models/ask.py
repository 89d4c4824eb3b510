"""What is asked of a model, what it answers, how that may fail: the same for endpoints, local models and batch files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["Answer", "Ask", "Failed", "FailureKind", "Message", "key_of", "tell_schema"]

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
"""unreachable: no connection; timeout; broken: the connection closed within the answer, or the answer is no JSON of an
endpoint; rate_limited: 429 after all retries; server_error: 5xx after all retries; refused_key: 401 or 403; wrong_request:
another 4xx, such as an unknown model; too_long: the prompt does not fit the context; empty: an answer without content; cut:
ended by its length; filtered: withheld by the provider; not_parsed: the answer has not the shape that was asked for."""


@dataclass(frozen=True)
class Ask:
    """One request. Either `messages` (chat) or `prompt` (raw completion).

    sample: which of several answers to the same request this is, from 0; part of the request's key. Where `seed` is given
    the endpoint gets `seed + sample`.
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
    may_be_cut: bool = False
    """Whether an answer that ended by its length is taken as it is. Otherwise it is a failure, `cut`. Not part of the key."""

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
    hopeless: bool = False
    """Any other request would fail as this one did: an unknown model, a key that is refused, no such address."""
    retry_after: float | None = None
    """Seconds that the endpoint asks to wait."""


def key_of(endpoint: str, ask: Ask) -> bytes:
    """The 16 bytes that stand for a request in a cache: of the endpoint, and of all of the request that decides its answer."""
    members = {name: value for name, value in vars(ask).items() if name != "may_be_cut"}
    content = json.dumps([endpoint, members], ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def tell_schema(ask: Ask) -> Ask:
    """The same request for an endpoint that cannot hold a model to a schema: the model is told, in the last message."""
    told = "Answer with JSON alone, valid under this JSON Schema:\n" + json.dumps(ask.schema, ensure_ascii=False)
    if ask.prompt is not None:
        # Raw prompts are exact: what the model goes on from is not touched.
        return replace(ask, schema=None)
    *before, last = ask.messages
    return replace(ask, schema=None, messages=(*before, {**last, "content": f"{last['content']}\n\n{told}"}))
