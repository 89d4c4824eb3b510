"""`stage:NAME` in a recipe: the model or the rows that an earlier stage of the chain left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["REFERENCE", "references"]

REFERENCE = "stage:"
"""What the name of an earlier stage follows where its model or its rows are meant."""


def references(value: Any) -> Iterator[str]:
    """Names of the stages that `stage:NAME` strings anywhere in the options point to, in order."""
    match value:
        case str() if value.startswith(REFERENCE):
            yield value.removeprefix(REFERENCE)
        case dict():
            for item in value.values():
                yield from references(item)
        case list() | tuple():
            for item in value:
                yield from references(item)
