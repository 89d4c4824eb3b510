"""Rows at the edges: nothing, one key for all, more than fits at a time, one giant row, any number of workers."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from curate.engine.chain import run_command
from curate.grouping import keys, pairs
from curate.io import files
from curate.jobs.dedupe import Dedupe
from curate.report.watch import Silent
from tests.command import arguments, environment, results
from tests.grouping.corpora import dedupe, read_lines, versions
from tests.grouping.embeddings import static_model


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


# A process of its own between: Linux counts to a child the memory that its parent had when it was started.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("methods", [["exact", "near"], ["line"], ["span"], ["semantic"]], ids="-".join)
def test_giant_rows(tmp_path: Path, methods: list[str]) -> None:
    draw = random.Random(1)
    words = [f"w{draw.randrange(10**7)}" for _ in range(11_000_000)]
    lines = [" ".join(words[i : i + 20]) for i in range(0, len(words), 20)]
    giant = "\n".join(lines)
    assert len(giant) > 90_000_000
    lines[len(lines) // 2] = odd = "a line of words that the first of the rows does not hold"
    rows = {"a": giant, "b": "\n".join(lines), "c": "x", "d": "", "e": giant + " "}
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in rows.items()))
    given = ["dedupe", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl", "--workers", "1"]
    given += [argument for method in methods for argument in ("--methods", method)]
    if methods == ["semantic"]:
        vectors = {word: [float(i % 7), float(i % 11)] for i, word in enumerate(words[:1000])}
        given += ["--embedding-model", static_model(tmp_path / "model", vectors)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments(*given)], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kept = {row["id"]: row["text"] for row in map(json.loads, (tmp_path / "out.jsonl").open())}
    if methods in (["line"], ["span"]):
        assert kept == {"a": giant, "b": odd, "c": "x", "d": ""}
    else:
        assert kept == {"a": giant, "c": "x", "d": ""}
    # Some 20 times the largest row, however many there are; in kilobytes on Linux.
    assert int(done.stdout.splitlines()[-1]) < 2_500_000 or sys.platform != "linux"
