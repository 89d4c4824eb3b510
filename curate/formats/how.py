"""How a conversion is done: the choices that a user has, on the way from a dialect to a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["How", "Loss", "Pairs"]

Pairs = Literal["all", "best_worst"]

Loss = Literal["system", "earlier_turns"]
"""What a target that holds one question may lose of a chat: its system prompt; all but its last question and answer."""


@dataclass(frozen=True)
class How:
    """Choices of a conversion.

    text_column: where the text stands in rows of the text format.
    min_margin:  by how much the score of the better answer must be higher for two answers to be a pair; equal scores never are.
    pairs:       which pairs several answers make: all, or the best with the worst alone.
    lose:        what may be left out of rows whose target cannot hold it.
    template:    chat template that chats become text by: `chatml`, or where one is (see `curate.formats.templates`).
    """

    text_column: str = "text"
    min_margin: float = 0.0
    pairs: Pairs = "all"
    lose: tuple[Loss, ...] = ()
    template: str | None = None
