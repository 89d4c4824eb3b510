"""The next token of each row of a batch, and whether the row is at its end: each row by its own request."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from curate.models.ask import Ask, key_of

if TYPE_CHECKING:
    import torch

__all__ = ["End", "Sample", "random_of"]


def random_of(ask: Ask) -> random.Random:
    """The random sequence of a request: the same for the same request and `sample`."""
    return random.Random(int.from_bytes(key_of("", ask)))


class Sample:
    """A logits processor that leaves one token of each row: drawn at its temperature from its top_p, by one number of its own
    random sequence; the likeliest at temperature 0. A step is O(rows x vocabulary), with top_p O(rows x vocabulary x log).
    """

    def __init__(self, rows: Sequence[tuple[float, float, random.Random]]) -> None:
        self._rows = rows

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        chosen = scores.argmax(-1)
        for row, (temperature, top_p, numbers) in enumerate(self._rows):
            if temperature <= 0:
                continue
            shares = torch.softmax(scores[row].double() / temperature, -1)
            order: torch.Tensor | None = None
            if top_p < 1:
                shares, order = shares.sort(descending=True, stable=True)
                # The fewest tokens whose shares sum to top_p.
                shares = shares * ((shares.cumsum(-1) - shares) < top_p)
            sums = shares.cumsum(-1)
            place = torch.searchsorted(sums, sums[-1:] * numbers.random(), right=True).clamp(max=len(sums) - 1)[0]
            chosen[row] = place if order is None else order[place]
        one = torch.full_like(scores, float("-inf"))
        return one.scatter(1, chosen[:, None], 0.0)


class End:
    """A stopping criterion for each row: so many tokens, one of the ids that end an answer, or one of its own strings."""

    def __init__(
        self,
        tokenizer: Any,
        start: int,
        most: Sequence[int],
        stops: Sequence[Sequence[str]],
        ends: Sequence[int],
        ended: Callable[[], bool],
    ) -> None:
        self._tokenizer, self._start, self._most, self._stops = tokenizer, start, most, stops
        self._ends = set(ends)
        self._ended = ended

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor, **more: Any) -> torch.Tensor:
        import torch

        made = ids.shape[1] - self._start
        if self._ended():
            return torch.ones(len(ids), dtype=torch.bool, device=ids.device)
        done = [made >= most for most in self._most]
        for row, stops in enumerate(self._stops):
            if stops and not done[row]:
                # A string of n characters spans no more than n tokens of one character and, in bytes, four times that.
                tail = ids[row, max(self._start, ids.shape[1] - 4 * max(map(len, stops))) :]
                text = self._tokenizer.decode(tail, skip_special_tokens=True)
                done[row] = any(stop in text for stop in stops)
        return torch.tensor(done, device=ids.device)
