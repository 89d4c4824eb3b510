"""Reading a file through the readers, as the engine does: its rows, its rejects, its notes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from curate.io.files import cut, resolve
from curate.io.read import read
from curate.io.rows import Reject, Take

TEXT = Take(columns=("text",))
CHAT = Take(columns=("messages",), json_columns=("messages",), array_as="messages")
WHOLE = Take(columns=(), whole=True, array_as="record")
HTML = Take(columns=("html", "url", "content_type"))


class Found(NamedTuple):
    rows: list[dict[str, Any]]
    rejects: list[Reject]
    notes: list[str]
    shards: int
    skipped: dict[str, int]

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]

    def errors(self) -> list[tuple[int, str]]:
        return [(reject.line, reject.error) for reject in self.rejects]


def read_all(*addresses: str | Path, take: Take = TEXT) -> Found:
    """Everything in the files, shard after shard."""
    sources, _ = resolve([str(address) for address in addresses])
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    notes: list[str] = []
    skipped: Counter[str] = Counter()
    shards = cut(sources)
    for shard in shards:
        for chunk in read(shard, take):
            assert isinstance(chunk.frame, pl.DataFrame)
            rows += chunk.frame.to_dicts()
            rejects += chunk.rejects
            notes += chunk.notes
            skipped.update(chunk.skipped)
    return Found(rows, rejects, notes, len(shards), dict(skipped))
