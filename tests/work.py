"""A `Work` over frames in memory: what a stage's own work needs of the engine, for tests of one job at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from curate.declare import Batch, Exchange, Job, Reading, Shards, Single


@dataclass
class MemoryWork:
    """Shards are lists of frames with `id` and `text`."""

    folder: Path
    input: list[list[pl.DataFrame]]
    index: int = 0
    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    single: bool = False
    said: list[str] = field(default_factory=list)
    rows: int = 0
    reading: Reading = "text"
    dropped: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    beside: int = 0
    """How many of the last lists are of what the job reads beside its input."""

    @property
    def shards(self) -> int:
        return len(self.input)

    @property
    def own_shards(self) -> int:
        return self.shards - self.beside

    def batches(self) -> Iterator[Batch]:
        for shard in range(self.shards) if self.single else [self.index]:
            row = 0
            for frame in self.input[shard]:
                yield Batch(frame, frame["text"], pl.int_range(row, row + frame.height, eager=True), shard)
                row += frame.height

    def drop(self, batch: Batch, rows: Sequence[int], reasons: Sequence[str]) -> None:
        self.dropped += zip(batch.frame["id"].gather(list(rows)), reasons, strict=True)

    def reject(self, batch: Batch, rows: Sequence[int], errors: Sequence[str]) -> None:
        self.rejected += zip(batch.frame["id"].gather(list(rows)), errors, strict=True)

    def progress(self, rows: int, bytes: int) -> None:
        self.rows += rows

    def say(self, message: str, passing: bool = False) -> None:
        if not passing:
            self.said.append(message)


def run_job(
    job: Job, folder: Path, input: list[list[pl.DataFrame]], order: list[int] | None = None, *, beside: int = 0
) -> MemoryWork:
    """Run a job made of `Shards`, `Exchange` and `Single` stages; shards are worked on in `order`.

    The last `beside` lists of the input are of what the job reads beside it. Returns the last stage's work.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    last = MemoryWork(folder, input, beside=beside)
    for stage in job.stages():
        if isinstance(stage, Exchange):
            works = (MemoryWork(folder, input, i, results, beside=beside) for i in range(stage.partitions))
            results[stage.name] = [stage.work(work) for work in works]
        elif isinstance(stage, Shards):
            done = {i: stage.work(MemoryWork(folder, input, i, results, beside=beside)) for i in order or range(len(input))}
            results[stage.name] = [done[i] for i in range(len(input))]
        else:
            assert isinstance(stage, Single)
            last = MemoryWork(folder, input, 0, results, single=True, beside=beside)
            results[stage.name] = [stage.work(last)]
    return last


def rows(texts: list[str], start: int = 0, **columns: list[Any]) -> pl.DataFrame:
    """A frame of texts with ids `d<n>`, n from `start` on."""
    return pl.DataFrame({"id": [f"d{start + i}" for i in range(len(texts))], "text": texts, **columns})
