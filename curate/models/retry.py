"""Which failures are tried again, how often, and after how long; and how many requests are under way at once."""

from __future__ import annotations

import random

from curate.models.ask import Failed, FailureKind

__all__ = ["GIVE_UP_AFTER", "PATIENCE", "TRIES", "Pace", "pause_before"]

TRIES: dict[FailureKind, int] = {
    "unreachable": 6,
    "timeout": 3,
    "broken": 4,
    "rate_limited": 20,
    "server_error": 6,
}
"""Tries in all of a request that fails so; other kinds have one: the same request would fail the same way."""

GIVE_UP_AFTER: dict[FailureKind, int] = {
    "unreachable": 1,
    "refused_key": 3,
    "timeout": 20,
    "broken": 20,
    "rate_limited": 20,
    "server_error": 20,
    "wrong_request": 20,
}
"""Requests given up one after the other, with no answer between, from which no more are asked: the endpoint is at fault, or
what all requests have in common."""

PATIENCE = 600.0
"""Seconds from which a wait that the endpoint asks for ends the run."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


def pause_before(tries: int, failed: Failed, chance: random.Random) -> float:
    """Seconds before the next try, after so many: doubled each time, give or take half; or as the endpoint asks."""
    if failed.retry_after is not None:
        return failed.retry_after * (1 + 0.1 * chance.random())
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1)) * (0.5 + chance.random()))


class Pace:
    """How many requests are under way at once: additive increase, multiplicative decrease (Chiu and Jain 1989).

    Begins at `most`. One that is refused for its rate takes a quarter off, once for all that were under way then; each 25
    that are answered add one.
    """

    LESS = 0.75
    GOOD = 25

    def __init__(self, most: int) -> None:
        self.most = most
        self._limit = float(most)
        self._good = 0
        self.round = 0
        """Given to each request as it starts, and back with what came of it."""

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    def answered(self) -> None:
        """One was answered."""
        self._good += 1
        if self._good >= self.GOOD:
            self._good = 0
            self._limit = min(float(self.most), self._limit + 1)

    def refused(self, round: int) -> None:
        """One that started in `round` was refused for its rate."""
        self._good = 0
        if round == self.round:
            self._limit = max(1.0, self._limit * self.LESS)
            self.round += 1
