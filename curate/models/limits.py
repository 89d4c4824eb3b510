"""Ends to what a run may ask and spend, and what it has spent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Literal

from curate.errors import CurateError
from curate.models.ask import Answer, Ask, FailureKind

__all__ = ["Limits", "Reserved", "Spent", "StopReason", "Stopped", "tokens_in"]

StopReason = Literal["max_requests", "max_tokens", "max_cost", "postponed"] | FailureKind
"""The limit that was reached; postponed: requests wait in a batch file; or the failure that nothing can be asked after."""

MILLION = 1_000_000
BYTES_A_TOKEN = 4
"""Of UTF-8, about, where an endpoint does not count: English has a little more, other scripts and code less."""


class Stopped(CurateError):
    """No more is asked in this run. What was answered is in the cache: the same command again goes on from there."""

    def __init__(self, reason: StopReason, message: str) -> None:
        self.reason: StopReason = reason
        super().__init__(message)


def tokens_in(text: str) -> int:
    """About how many tokens a text has: a quarter of its bytes, rounded up."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN)


@dataclass(frozen=True)
class Reserved:
    """What a request may come to, held until it is answered. tokens: prompt (estimated) and the longest answer."""

    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def of(cls, ask: Ask) -> Reserved:
        """O(length of the prompt). A turn of a chat has about four tokens more than its text."""
        if ask.prompt is not None:
            return cls(tokens_in(ask.prompt), ask.max_tokens)
        return cls(sum(tokens_in(message["content"]) + 4 for message in ask.messages), ask.max_tokens)


@dataclass
class Spent:
    """Sums over all who share it; tokens and money of requests under way are in `held_*`."""

    requests: int = 0
    tokens: int = 0
    cost: float = 0.0
    held_tokens: int = 0
    held_cost: float = 0.0
    lock: Lock = field(default_factory=Lock, repr=False)


@dataclass(frozen=True)
class Limits:
    """Ends for one run. Answers from a cache cost nothing and count as nothing; every try of a request counts as a request.

    Before a request starts, its longest answer is held back from what is left, so that `max_tokens` and `max_cost` are not
    passed, but for the estimate of the prompt's tokens where the endpoint counts more. A request that timed out or broke off
    is taken to have cost nothing.

    prompt_price, completion_price: money for a million tokens. spent: shared by those who share the limits.
    """

    max_requests: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    prompt_price: float = 0.0
    completion_price: float = 0.0
    spent: Spent = field(default_factory=Spent)

    def priced(self, prompt_price: float, completion_price: float) -> Limits:
        """The same ends, and what is spent under them, for a model of other prices."""
        return replace(self, prompt_price=prompt_price, completion_price=completion_price)

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Money for so many tokens."""
        return (prompt_tokens * self.prompt_price + completion_tokens * self.completion_price) / MILLION

    def hold(self, reserved: Reserved) -> StopReason | None:
        """Take a request into account that is about to start; or the limit that it would pass, and nothing is taken."""
        tokens = reserved.prompt_tokens + reserved.completion_tokens
        cost = self.cost(reserved.prompt_tokens, reserved.completion_tokens)
        spent = self.spent
        with spent.lock:
            if self.max_requests is not None and spent.requests + 1 > self.max_requests:
                return "max_requests"
            if self.max_tokens is not None and spent.tokens + spent.held_tokens + tokens > self.max_tokens:
                return "max_tokens"
            if self.max_cost is not None and spent.cost + spent.held_cost + cost > self.max_cost * (1 + 1e-9):
                return "max_cost"
            spent.requests += 1
            spent.held_tokens += tokens
            spent.held_cost += cost
        return None

    def release(self, reserved: Reserved, answer: Answer | None) -> None:
        """Book what a request came to; None: it failed, and cost nothing."""
        spent = self.spent
        with spent.lock:
            spent.held_tokens -= reserved.prompt_tokens + reserved.completion_tokens
            spent.held_cost -= self.cost(reserved.prompt_tokens, reserved.completion_tokens)
            if answer is not None:
                prompt, completion = counted(answer, reserved)
                spent.tokens += prompt + completion
                spent.cost += self.cost(prompt, completion)

    def reached(self, reason: StopReason) -> Stopped:
        """The error that says which limit ended the run."""
        spent = self.spent
        if reason == "max_cost":
            limit, had = f"{self.max_cost:g}", f"{spent.cost:.4f} spent"
        elif reason == "max_tokens":
            limit, had = f"{self.max_tokens:,}", f"{spent.tokens:,} tokens used"
        else:
            limit, had = f"{self.max_requests:,}", f"{spent.requests:,} requests sent"
        return Stopped(
            reason,
            f"stopped by {reason} {limit} ({had}; the next request may pass it); what was answered is kept: run again to go on",
        )


def counted(answer: Answer, reserved: Reserved) -> tuple[int, int]:
    """Tokens of prompt and answer: as the endpoint says, else about."""
    prompt = reserved.prompt_tokens if answer.prompt_tokens is None else answer.prompt_tokens
    if answer.completion_tokens is not None:
        return prompt, answer.completion_tokens
    return prompt, tokens_in(answer.text) + tokens_in(answer.reasoning or "")
