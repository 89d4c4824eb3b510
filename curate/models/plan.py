"""What asking will come to, told before the first request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from curate.models.ask import Answer, Ask, key_of
from curate.models.cache import Cache
from curate.models.limits import Limits, Reserved, counted

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """calls: requests that are not in the cache. completion_tokens, cost: expected where answers were seen, else the most."""

    calls: int
    cached: int
    prompt_tokens: int
    completion_tokens: int
    most_completion_tokens: int
    cost: float
    most_cost: float

    def line(self) -> str:
        """One line for a person."""
        known = self.completion_tokens < self.most_completion_tokens
        about = f"about {self.completion_tokens:,}, at most " if known else "at most "
        money = f"; cost about {self.cost:.4f}, at most {self.most_cost:.4f}" if self.most_cost else ""
        return (
            f"{self.calls:,} requests ({self.cached:,} more are in the cache); about {self.prompt_tokens:,} tokens of prompts, "
            f"{about}{self.most_completion_tokens:,} of answers{money}"
        )


def plan(
    asks: Iterable[Ask],
    limits: Limits,
    *,
    total: int | None = None,
    seen: Sequence[Answer] = (),
    cache: Cache | None = None,
    endpoint: str = "",
) -> Plan:
    """Calls, tokens and money of `total` requests of which `asks` is a sample (None: it is all of them).

    seen: answers of a preview: the rest is taken to have the share of the longest answer that these have on average. Tokens of
    prompts are estimated from bytes. O(bytes of the sample).
    """
    sample = list(asks)
    keys = [key_of(endpoint, ask) for ask in sample]
    kept = cache.get(keys) if cache is not None else {}
    held = [Reserved.of(ask) for ask, key in zip(sample, keys, strict=True) if key not in kept]
    scale = (len(sample) if total is None else total) / max(1, len(sample))
    prompt = scale * sum(one.prompt_tokens for one in held)
    most = scale * sum(one.completion_tokens for one in held)
    likely = most
    if seen:
        mean = sum(counted(answer, Reserved(0, 0))[1] for answer in seen) / len(seen)
        likely = min(most, scale * len(held) * mean)
    return Plan(
        calls=round(scale * len(held)),
        cached=round(scale * (len(sample) - len(held))),
        prompt_tokens=round(prompt),
        completion_tokens=round(likely),
        most_completion_tokens=round(most),
        cost=limits.cost(prompt, likely),
        most_cost=limits.cost(prompt, most),
    )
