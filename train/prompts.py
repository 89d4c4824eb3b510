"""Prompts to be answered: read from rows of any kind, each once, split into training and held out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from train.errors import DataError
from train.groups import Turns, group_in_heldout, read_groups
from train.render import Renderer

__all__ = ["Prompt", "Prompts", "read_prompts", "spread"]


@dataclass(frozen=True)
class Prompt:
    """A prompt as messages and as ids, and the row it was read from."""

    turns: Turns
    ids: list[int]
    row: dict[str, Any] = field(repr=False)


@dataclass
class Prompts:
    """What `read_prompts` found, every row of it in train, heldout or dropped."""

    train: list[Prompt] = field(default_factory=list)
    heldout: list[Prompt] = field(default_factory=list)
    rows_in: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def told(self) -> str:
        """The counts in a line."""
        drops = "".join(f", {n:,} dropped ({reason})" for reason, n in sorted(self.dropped.items()))
        held = f": {len(self.train):,} to train on, {len(self.heldout):,} held out" if self.heldout else ""
        return f"{self.rows_in:,} rows with prompts{held}{drops}"

    def counts(self) -> dict[str, Any]:
        """The counts for a summary."""
        return {
            "rows_in": self.rows_in,
            "rows_trained": len(self.train),
            "rows_heldout": len(self.heldout),
            "rows_dropped": dict(sorted(self.dropped.items())),
        }


def read_prompts(
    data: str | list[str], renderer: Renderer, most: int, heldout: float | None = None, split: str | None = None
) -> Prompts:
    """Prompts of at most `most` tokens, each once; with `heldout`, that share of them apart (else all are in `train`).

    Reasons to drop a row: too_long, special_token, same_prompt, other_split (with `split`: it says another, or none). Raises
    DataError when a side is empty.
    """
    found = Prompts()
    seen: set[str] = set()
    by_column: bool | None = None
    for group in read_groups(data):
        found.rows_in += 1
        if by_column is None:
            by_column = "split" in group.row
        choice = renderer.render_answers(group.where, group.turns, [])
        dropped = choice.dropped or ("too_long" if len(choice.prompt) > most else None)
        if group.key in seen:
            dropped = "same_prompt"
        if split is not None and group.row.get("split") != split:
            dropped = "other_split"
        if dropped:
            found.dropped[dropped] += 1
            continue
        seen.add(group.key)
        held = heldout is not None and group_in_heldout(group, heldout, by_column)
        (found.heldout if held else found.train).append(Prompt(group.turns, choice.prompt, group.row))
    if not found.train or (heldout is not None and not found.heldout):
        side = "answer" if heldout is None else "train on" if not found.train else "hold out"
        drops = ", ".join(f"{n} {reason}" for reason, n in found.dropped.items()) or "none"
        raise DataError(
            f"{data}: no prompt left to {side} of {found.rows_in} rows (dropped: {drops}); look at max_length and split"
        )
    return found


def spread(prompts: list[Prompt], most: int) -> list[Prompt]:
    """At most `most` of them, evenly spread."""
    count = min(most, len(prompts))
    return [prompts[i * len(prompts) // count] for i in range(count)]
