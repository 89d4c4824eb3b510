"""Pages made to stop a crawl: each is dropped for what it does, and the run goes on to the right counts."""

from __future__ import annotations

import gzip
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.engine.chain import run_command
from curate.io import files
from curate.jobs.extract import Extract
from curate.report.watch import Silent
from curate.steps.extract import ExtractHtml
from tests.command import curate, results, start, stats
from tests.io.archives import response
from tests.reading import WHOLE, read_all

PROSE = "<p>A river is a natural flowing watercourse, usually of fresh water, that runs towards an ocean or a lake.</p>"
GOOD = f"<html><head><title>Page {{}}</title></head><body><article>{PROSE * 3}</article></body></html>"

HOSTILE = {
    "a million nested tags": "<div>" * 1_000_000 + "x",
    "nested formatting": "<b><i><u>" * 50_000 + "x",
    "one line": "<p>" + "lorem ipsum dolor " * 2_000_000,
    "nested tables": "<table><tr><td>" * 50_000 + "x",
    "rows": "<table>" + "<tr>" * 50_000 + "<td>x",
    "attributes": "<div " + " ".join(f"a{i}=b" for i in range(100_000)) + ">" + PROSE,
    "options": "<select>" + "<option>x" * 100_000,
    "links": "<ul>" + "<li><a href='http://a/b'>word word</a> <a href='c'>other</a></li>" * 50_000 + "</ul>",
    "unclosed comments": "<!--" * 500_000 + PROSE,
    "NULs": "\0" * 100_000 + PROSE + "\0",
    "entities": "&amp;" * 500_000 + "&#xD800;&#x110000;&#0;" * 1000,
    "foreign": "<svg><foreignObject><math><mi>" * 20_000,
}
BYTES = {
    "broken UTF-8": PROSE.encode() + b"\xff\xfe\xc3\xe2\x82" * 10_000 + b"\xe2\x82",
    "random": bytes(i * i * 7919 % 251 for i in range(100_000)),
    "UTF-16 with an odd byte": b"\xff\xfe" + PROSE.encode("utf-16-le") + b"x",
}
SLOW: dict[str, set[str]] = {
    "curate": set(),
    "resiliparse": {"attributes", "options"},
    "trafilatura": {"attributes", "options", "links"},
}
"""Pages that cost either library more than ten seconds."""


def pages() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for number, (name, page) in enumerate([*((name, page.encode()) for name, page in HOSTILE.items()), *BYTES.items()]):
        found[name] = page
        found[f"good {number}"] = GOOD.format(number).encode()
    return found


@pytest.mark.parametrize("engine", ["curate", "resiliparse", "trafilatura"])
def test_a_hostile_page_is_dropped_and_the_others_are_kept(tmp_path: Path, engine: Any) -> None:
    there = pages()
    frame = pl.DataFrame({"id": list(there), "html": list(there.values())})
    frame.write_parquet(tmp_path / "pages.parquet")
    job = Extract(input=(str(tmp_path / "pages.parquet"),), engine=engine, page_seconds=0.5, page_memory=128 << 20)
    run(job, tmp_path / "out")
    counts = stats(tmp_path / "out")
    assert counts["rows_in"] == len(there) == counts["kept"] + sum(counts["dropped"].values())
    assert counts["rejected"] == 0
    kept = {row["id"]: row for row in rows_of(tmp_path / "out", "data")}
    good = {name for name in there if name.startswith("good")}
    assert good <= kept.keys()
    assert len({kept[name]["text"] for name in good}) == 1
    assert {kept[name]["title"] for name in good} == {f"Page {name.split()[1]}" for name in good}
    dropped = {row["id"]: row for row in rows_of(tmp_path / "out", "dropped")}
    assert kept.keys() | dropped.keys() == there.keys()
    assert dropped.pop("one line")["reason"] == "page_too_large"
    assert {row["reason"] for row in dropped.values()} <= {*ExtractHtml.gives_up, ExtractHtml.reason}
    for name in SLOW[engine]:
        assert dropped[name]["reason"] in ("page_timed_out", "page_out_of_memory")
        assert dropped[name]["value"] in ("more than 0.5 s of processor time", "more than 134,217,728 bytes")


def run(job: Extract, out: Path, workers: int = 1) -> None:
    run_command(job, str(out), workers=workers, watcher=Silent())


def rows_of(out: Path, part: str) -> list[dict[str, Any]]:
    return [json.loads(row["record"]) for row in read_all(out / part, take=WHOLE).rows]


def test_worker_processes_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SHARD_BYTES", 1000)
    source = tmp_path / "in"
    source.mkdir()
    slow = HOSTILE["attributes"].encode()
    for name in "abcd":
        records = [response(f"http://{name}/{i}", GOOD.format(i).encode()) for i in range(50)]
        records[20] = response(f"http://{name}/slow", slow)
        records[30] = b"damage\r\n\r\n"
        content = b"".join(gzip.compress(record, mtime=0) for record in records)
        (source / f"{name}.warc.gz").write_bytes(content)
    made = []
    for workers in (1, 3):
        job = Extract(input=(str(source),), engine="resiliparse", page_seconds=0.5, max_errors=4)
        run(job, tmp_path / f"out{workers}", workers)
        counts = stats(tmp_path / f"out{workers}")
        assert counts["shards"] == counts["rejected"] == 4
        assert counts["dropped"] == {"extract_html.page_timed_out": 4}
        assert counts["kept"] == 4 * 48
        made.append(results(tmp_path / f"out{workers}"))
    assert made[0] == made[1]


def descendants(pid: int) -> set[int]:
    try:
        own = {int(found) for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return own.union(*(descendants(child) for child in own))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_process(tmp_path: Path, ending: signal.Signals) -> None:
    slow = HOSTILE["attributes"].encode()
    for name in "ab":
        content = b"".join(response(f"http://{name}/{i}", slow) for i in range(50))
        (tmp_path / f"{name}.warc").write_bytes(content)
    run = start(
        "extract",
        tmp_path / "a.warc",
        tmp_path / "b.warc",
        "--output",
        tmp_path / "out",
        "--workers",
        "2",
        "--engine",
        "resiliparse",
    )
    deadline = time.monotonic() + 60
    started: set[int] = set()
    # Two workers, a process for the engine of each, its copy; and the tracker of multiprocessing.
    while len(started) < 7:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        started = descendants(run.pid)
    run.send_signal(ending)
    run.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(lives(pid) for pid in started):
        assert time.monotonic() < deadline, "a process lives on"
        time.sleep(0.1)


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_is_no_page_is_counted_and_shown(tmp_path: Path) -> None:
    records = [response("http://a/", GOOD.encode()), response("http://a/x", b"no", status="404 Not Found")] * 2
    (tmp_path / "a.warc").write_bytes(b"".join([*records, response("http://a/i.png", b"x", "image/png")]))
    done = curate("extract", tmp_path / "a.warc", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    counts = stats(tmp_path / "out")
    assert counts["skipped"] == {"status_404": 2, "not_html": 1}
    assert counts["rows_in"] == counts["kept"] == 2
    for shown in (done.stdout, curate("inspect", tmp_path / "out").stdout):
        lines = [line.split() for line in shown.splitlines()]
        assert ["extract", "status_404", "2"] in lines
        assert ["extract", "not_html", "1"] in lines
    assert "2 status_404, 1 not_html" in (tmp_path / "out" / "report.html").read_text()
