"""Jobs that write no rows of their own account for the rows that they read all the same."""

from __future__ import annotations

import json

import pytest

from curate.declare import Job
from curate.engine.chain import run_command
from curate.errors import TooManyErrors
from curate.jobs.tokenize import Tokenize
from curate.jobs.tokenizer import TrainTokenizer
from curate.report.watch import Silent

WELL = "".join(json.dumps({"text": f"The words of row {i} are these: {'more ' * i}"}) + "\n" for i in range(40))


@pytest.mark.parametrize("job", ["tokenize", "tokenizer train"])
def test_jobs_without_rows_of_their_own_book_what_they_cannot_read(job, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text(WELL + '{broken\n{"text": 5}\n{"text": null, "id": "none"}\n')
    train = TrainTokenizer(input=(str(source),), vocab_size=512, max_errors=2)
    stats = run_command(train, str(tmp_path / "tokenizer"), workers=1, watcher=Silent()).jobs[0]
    done: Job = train
    if job == "tokenize":
        done = Tokenize(input=(str(source),), tokenizer=str(tmp_path / "tokenizer" / "data"), max_errors=2)
        stats = run_command(done, str(tmp_path / "out"), workers=1, watcher=Silent()).jobs[0]
    rows = WELL.count("\n")
    assert (stats["rows_in"], stats["kept"], stats["rejected"]) == (rows + 3, rows, 2)
    assert stats["dropped"] == {"read.no_text": 1}
    folder = tmp_path / ("out" if job == "tokenize" else "tokenizer")
    rejects = [json.loads(line) for line in (folder / "rejected" / "00000-0000.jsonl").read_text().splitlines()]
    assert [(r["file"], r["line"]) for r in rejects] == [("in.jsonl", rows + 1), ("in.jsonl", rows + 2)]
    with pytest.raises(TooManyErrors, match=f"in.jsonl:{rows + 1}"):
        run_command(done.model_copy(update={"max_errors": 1}), str(folder), workers=1, watcher=Silent())
