"""An index and more than one run: one at a time, and killed at any point."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from curate.errors import OutputError, UsageError
from curate.grouping.index import Index
from tests.command import environment, results, tree
from tests.grouping.corpora import dedupe, versions


def write_rows(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"id": f"{path.stem}-{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    return path


def go(index: Path, source: Path, out: Path, kill: int = 0) -> subprocess.CompletedProcess[str]:
    given = [str(index), str(kill), "dedupe", str(source), "--output", str(out), "--index", str(index), "--workers", "1"]
    command = [sys.executable, "-m", "tests.grouping.killed_index", *given]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120, check=False)
    assert done.returncode == (-signal.SIGKILL if kill else 0), done.stderr
    return done


@pytest.mark.parametrize("points", ["two", pytest.param("many", marks=pytest.mark.slow)])
def test_a_run_killed_while_it_adds_a_generation_is_made_whole_by_the_next(tmp_path: Path, points: str) -> None:
    texts = versions(17, originals=20, copies=7)
    first, second = write_rows(tmp_path / "a.jsonl", texts[:80]), write_rows(tmp_path / "b.jsonl", texts[80:])
    whole = tmp_path / "whole" / "index"
    go(whole, first, tmp_path / "first")
    begun = tmp_path / "begun"
    shutil.copytree(whole, begun)
    go(whole, second, tmp_path / "whole" / "out")
    right, kept = tree(whole), results(tmp_path / "whole" / "out")
    assert sorted(path.name for path in whole.glob("gen*")) == ["generation-00001", "generation-00002"]
    assert len(list((whole / "generation-00002" / "shards").iterdir())) > 1
    events = int(Path(f"{whole}.events").read_text())
    assert events > 20
    few, many = {-1, events // 2}, {1, 2, *range(0, events, 5), events - 2, events - 1, events} - {0}
    for kill in sorted(few if points == "two" else many):
        folder = tmp_path / str(kill)
        shutil.copytree(begun, folder / "index")
        go(folder / "index", second, folder / "out", kill)
        # Half a generation is none.
        there = sorted(path.name for path in (folder / "index").glob("gen*"))
        assert there == ["generation-00001", "generation-00002"][: 1 if kill > 0 else 2]
        go(folder / "index", second, folder / "out")
        assert tree(folder / "index") == right, kill
        assert results(folder / "out") == kept, kill


def test_one_run_at_a_time(tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    rows = [{"id": "a", "text": "one"}]
    with open(index / ".lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match=r"index: another run of curate is working there$"):
            dedupe(tmp_path / "a", rows, index=str(index))
    # The file that is left is no lock.
    assert [row["id"] for row in dedupe(tmp_path / "a", rows, index=str(index))[0]] == ["a"]


def test_an_index_that_grew_under_a_stopped_run_is_not_added_to(tmp_path: Path) -> None:
    index = {"index": str(tmp_path / "index")}
    _, folder = dedupe(tmp_path / "a", [{"id": "a", "text": "one"}], **index)
    (generation,) = (tmp_path / "index").glob("gen*")
    options = json.loads((generation / "about.json").read_bytes())["options"]
    del options["layout"]
    with pytest.raises(UsageError, match="another run added to the index while this one was stopped"):
        Index(tmp_path / "index", options).add("other rows", [], [], [])
    assert folder.is_dir()
