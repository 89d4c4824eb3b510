"""Rows at the edges: nothing, one key for all, more than fits at a time, one giant row, any number of workers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from curate.engine.chain import run_command
from curate.grouping import keys, pairs
from curate.io import files
from curate.jobs.dedupe import Dedupe
from curate.report.watch import Silent
from tests.command import results
from tests.grouping.corpora import dedupe, read_lines, versions


def test_nothing_has_no_duplicates(tmp_path: Path) -> None:
    kept, folder = dedupe(tmp_path, [{"id": "a", "text": None}, {"id": "b", "text": None}])
    assert kept == []
    assert [row["reason"] for row in read_lines(folder / "dropped")] == ["no_text", "no_text"]


def test_little_at_a_time_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = versions(11, originals=30, copies=6)
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    whole, _ = dedupe(tmp_path / "whole", rows, threshold=0.7)
    monkeypatch.setattr(keys, "ENTRIES", 40)
    monkeypatch.setattr(pairs, "SET_BYTES", 2000)
    monkeypatch.setattr(files, "SHARD_BYTES", 20_000)
    parts, folder = dedupe(tmp_path / "parts", rows, threshold=0.7)
    assert json.loads((folder / "stats.json").read_bytes())["shards"] > 3
    assert parts == whole
    assert len(whole) < len(rows)


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.jsonl"
    texts = versions(13, originals=20, copies=6)
    source.write_text("".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)))
    found = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        run_command(Dedupe(input=(str(source),), keep="longest", count=True), str(out), workers=workers, watcher=Silent())
        (stats,) = out.glob("**/stats.json")
        found.append({name.partition("/")[2]: data for name, data in results(stats.parent).items()})
        found[-1]["book"] = (stats.parent / "clusters" / "clusters.jsonl.zst").read_bytes()
    assert found[0] == found[1]


@pytest.mark.slow
def test_one_giant_row(tmp_path: Path) -> None:
    draw = random.Random(1)
    words = [f"w{draw.randrange(10**7)}" for _ in range(11_000_000)]
    giant = " ".join(words)
    words[5_000_000] = "other"
    kept, _ = dedupe(tmp_path, [{"id": "a", "text": giant}, {"id": "b", "text": " ".join(words)}, {"id": "c", "text": "x"}])
    assert len(giant) > 90_000_000
    assert [row["id"] for row in kept] == ["a", "c"]
