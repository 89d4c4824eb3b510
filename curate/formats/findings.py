"""Findings: how often each problem was met, where first, and what it looked like; collected shard by shard, merged in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FIRST", "Place", "Tally"]

FIRST = 5
"""Places that are kept of each kind."""

EXAMPLE = 200
"""Characters of an example that are kept."""


class Place(NamedTuple):
    """Where a row stands: see `curate.io.rows.PLACE`. A line of a whole file has `start` 0."""

    file: str
    start: int
    line: int


class Tally:
    """Counts by name, with the first places, what was seen there (`text`), and the place that it goes with (`also`)."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[dict[str, Any]]] = {}

    def add(self, name: str, count: int, first: Iterable[dict[str, Any]]) -> None:
        """Count `count` more; `first`: entries with `place`, `text` and perhaps `also`, of which the missing ones are kept."""
        self.counts[name] = self.counts.get(name, 0) + count
        kept = self.first.setdefault(name, [])
        for entry in first:
            if len(kept) >= FIRST:
                break
            kept.append(entry)

    def add_columns(self, found: pl.DataFrame, places: pl.DataFrame) -> None:
        """Count the rows of each column that are not null, whose text is the evidence; `places` has the columns of `PLACE`."""
        for column in found:
            count = len(column) - column.null_count()
            if count:
                kept = len(self.first.get(column.name, ()))
                at = column.is_not_null().arg_true().head(FIRST - kept)
                where = (Place(*row) for row in places[at].iter_rows())
                texts = column.gather(at).to_list()
                self.add(column.name, count, [_entry(place, text) for place, text in zip(where, texts, strict=True)])

    def merge(self, other: Mapping[str, Any]) -> None:
        """Add what `as_json` gave of other rows, with all of its places."""
        for name, count in other["counts"].items():
            self.counts[name] = self.counts.get(name, 0) + count
            self.first.setdefault(name, []).extend(other["first"].get(name, ()))

    def as_json(self) -> dict[str, Any]:
        """For `merge`."""
        return {"counts": self.counts, "first": self.first}


def _entry(place: Place, text: str | None) -> dict[str, Any]:
    return {"place": list(place), "text": shortened(text)}


def shortened(text: str | None) -> str | None:
    """A text as an example: not longer than `EXAMPLE`."""
    return text if text is None or len(text) <= EXAMPLE else f"{text[:EXAMPLE]}..."
