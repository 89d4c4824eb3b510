"""How a conversion is done: the choices that a user has, on the way from a dialect to a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["How", "Pairs"]

Pairs = Literal["all", "best_worst"]


@dataclass(frozen=True)
class How:
    """Choices of a conversion.

    text_column: where the text stands in rows of the text format.
    min_margin:  by how much the score of the better answer must be higher for two answers to be a pair; equal scores never are.
    pairs:       which pairs several answers make: all, or the best with the worst alone.
    """

    text_column: str = "text"
    min_margin: float = 0.0
    pairs: Pairs = "all"
