"""How far asking is, in numbers for a live display and for reports."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Progress"]


@dataclass
class Progress:
    """Counts since the first request. answered: new answers; cached: those read from the cache; retried: tries that failed and
    were made again, and failed: requests given up, by kind. estimated: answers whose tokens the endpoint did not count."""

    answered: int = 0
    cached: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0
    cost: float = 0.0
    under_way: int = 0
    concurrency: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the first request."""
        return time.monotonic() - self.began

    @property
    def done(self) -> int:
        """Requests that came to an end, good or bad."""
        return self.answered + self.cached + self.failed.total()

    def line(self) -> str:
        """One line for a person who waits."""
        parts = [f"{self.done:,} requests", f"{self.done / max(self.seconds, 1e-3):,.1f}/s"]
        if self.cached:
            parts.append(f"{self.cached:,} from the cache")
        parts.append(f"{self.prompt_tokens + self.completion_tokens:,} tokens")
        if self.cost:
            parts.append(f"cost {self.cost:.4f}")
        parts.append(f"{self.under_way} of {self.concurrency} under way")
        for name, counts in (("retried", self.retried), ("failed", self.failed)):
            if counts:
                parts.append(f"{name}: " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(counts.items())))
        return " · ".join(parts)
