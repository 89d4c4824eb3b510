"""The job `scrape` against real servers on loopback."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator
from pydantic import ValidationError

import curate
from curate.declare import Single
from curate.errors import InputError, TooManyErrors
from curate.io.crawl.warc import write_warcs
from curate.jobs.scrape import Scrape

pytest.importorskip("scrapy")

FANOUT = 12

PAGES: dict[str, str] = {
    "/": '<a href="/a#top">a</a> <a href="/b">b</a> <a href="/moved">m</a> <a href="/gone">g</a> <a href="/private/x">p</a>'
    '<a href="/data.bin">d</a> <a href="/file">f</a> <a href="/slow">s</a> <a href="/wide">w</a>'
    '<a href="http://other.invalid/">o</a> <a href="mailto:x@example.org">mail</a> <a href="/broken">br</a>',
    "/a": '<h1>A</h1> <a href="/">loop</a> <a href="/q?x=1&y=2">q</a> <a href="/q?y=2&x=1">same</a>',
    "/b": '<h1>B</h1> <a href="/a">a</a> <a href="/skip/me">skipped by rule</a>',
    "/target": '<h1>Target é</h1> <a href="/deep1">deep</a>',
    "/deep1": '<a href="/deep2">deeper</a>',
    "/deep2": "<p>deep</p>",
    "/slow": "<p>slow</p>",
    "/wide": "".join(f'<a href="/w{i}">{i}</a>' for i in range(FANOUT)),
    "/broken": "<a href='http://[bad'>x</a><a href='/b'>unclosed <p>&nbsp;<b>",
    "/skip/me": "<p>skip</p>",
    "/private/x": "<p>private</p>",
    **{f"/w{i}": f"<p>page {i} {'text ' * 200}</p>" for i in range(FANOUT)},
}


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[str]
    agents: set[str]
    fails: dict[str, int]

    def do_GET(self) -> None:
        path = self.path
        self.asked.append(path)
        self.agents.add(self.headers["User-Agent"])
        if path == "/robots.txt":
            self.answer(200, b"User-agent: *\nDisallow: /private/\n", {"Content-Type": "text/plain"})
        elif path == "/moved":
            self.answer(302, b"", {"Location": "/target"})
        elif path == "/empty":
            self.answer(200, b"", {"Content-Type": "text/html"})
        elif path == "/file":
            self.answer(
                200, gzip.compress(b"%PDF" + bytes(9999)), {"Content-Type": "application/pdf", "Content-Encoding": "gzip"}
            )
        elif self.fails.get(path, 0) > 0:
            self.fails[path] -= 1
            self.answer(503, b"try again", {"Content-Type": "text/html"})
        elif path in PAGES or path.startswith("/q?"):
            if path == "/slow":
                time.sleep(0.2)
            body = f"<html><head><title>{path.partition('?')[0]}</title></head><body>{PAGES.get(path, 'query')}</body></html>"
            packed = "gzip" in self.headers.get("Accept-Encoding", "")
            headers = {"Content-Type": "text/html; charset=utf-8"} | ({"Content-Encoding": "gzip"} if packed else {})
            self.answer(200, gzip.compress(body.encode()) if packed else body.encode(), headers)
        else:
            self.answer(404, b"<p>none</p>", {"Content-Type": "text/html"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Tests say what they need themselves."""


@contextmanager
def serving(**fails: int) -> Iterator[tuple[str, type[Site]]]:
    handler = type("Handler", (Site,), {"asked": [], "agents": set(), "fails": {f"/{k}": v for k, v in fails.items()}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Folder:
    """The engine's side of a `Single` stage."""

    folder: Path
    index: int = 0
    shards: int = 0
    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rows: int = 0
    said: list[str] = field(default_factory=list)

    def batches(self) -> Iterator[Any]:
        return iter(())

    def progress(self, rows: int, bytes: int) -> None:
        self.rows += rows

    def say(self, message: str) -> None:
        self.said.append(message)


def scrape(work: Folder, **options: Any) -> dict[str, Any]:
    (stage,) = Scrape(**options).stages()
    assert isinstance(stage, Single)
    return stage.work(work)


def records(folder: Path) -> list[tuple[str, bytes, str]]:
    """(path and query, body, id) of every record, in order; each digest verified."""
    found = []
    for path in sorted((folder / "data").iterdir()):
        with open(path, "rb") as handle:
            for record in ArchiveIterator(handle, parse_http=False):
                assert record.verify_block_digest()
                record.parse_http()
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record.headers["WARC-Date"])
                assert record.http_content_type == "text/html"
                url = re.sub(r"^http://[^/]+", "", record.headers["WARC-Target-URI"])
                found.append((url, record.reader.read(), record.record_id))
    return found


def test_a_site(tmp_path: Path) -> None:
    work = Folder(tmp_path)
    with serving(b=1) as (base, site):
        result = scrape(work, input=(f"{base}/",), delay=0, depth=2, deny=("/skip/",), user_agent="tester (x@example.org)")
    got = records(tmp_path)
    assert [url for url, _, _ in got] == sorted(
        ["/", "/a", "/b", "/broken", "/q?x=1&y=2", "/target", "/deep1", "/slow", "/wide", *(f"/w{i}" for i in range(FANOUT))]
    )
    assert dict((url, body) for url, body, _ in got)["/target"].decode().count("Target é") == 1, "stored without gzip"
    assert result["rows_out"] == len(got) == work.rows
    assert result["bytes_out"] == sum(path.stat().st_size for path in (tmp_path / "data").iterdir())
    assert result["errors"] == {"robots": 1, "status_404": 1}
    assert result["left_out"] == {"denied": 1, "not_html": 2, "other_host": 1, "too_deep": 1}
    rejected = [json.loads(line) for line in (tmp_path / "rejected" / "pages.jsonl").read_text().splitlines()]
    assert rejected == [
        {"url": f"{base}/gone", "error": "status_404", "referrer": f"{base}/"},
        {"url": f"{base}/private/x", "error": "robots", "referrer": f"{base}/"},
    ]
    assert site.asked[0] == "/robots.txt"
    assert "/private/x" not in site.asked
    assert "/file" in site.asked, "what it is only the answer says"
    assert "/data.bin" not in site.asked, "the name says what it is"
    assert site.asked.count("/b") == 2, "a 503 is asked again"
    assert len(set(site.asked)) == len(site.asked) - 1, "nothing else is asked twice"
    assert site.agents == {"tester (x@example.org)"}
    depths = {"/": 0, "/a": 1, "/wide": 1, "/deep1": 2, "/w0": 2}
    order = [site.asked.index(path) for path in depths]
    assert max(order[1:3]) < min(order[3:]), "breadth first"


def test_pages_have_one_gzip_member_each_and_parts_are_cut_by_size(tmp_path: Path) -> None:
    with serving() as (base, _):
        scrape(Folder(tmp_path), input=(f"{base}/",), delay=0, max_pages=4)
    pages = sorted((tmp_path / "work" / "pages").glob("*/*"))
    whole = (tmp_path / "data" / "pages-00000.warc.gz").read_bytes()
    assert whole.count(b"\x1f\x8b\x08") == 4
    kept = [path for path in pages if b"text/html" in path.read_bytes().partition(b"\n")[0]][:3]
    written = write_warcs(kept, tmp_path / "small", 1)
    parts = sorted((tmp_path / "small").iterdir())
    assert [path.name for path in parts] == [f"pages-{i:05d}.warc.gz" for i in range(3)]
    assert sum(path.stat().st_size for path in parts) == written


def test_the_page_limit_is_exact_and_said(tmp_path: Path) -> None:
    work = Folder(tmp_path)
    with serving() as (base, _):
        result = scrape(work, input=(f"{base}/",), delay=0, max_pages=3)
    assert result["rows_out"] == 3
    assert result["waiting"] > 0
    assert work.said[0].startswith(f"stopped at max_pages=3; {result['waiting']} addresses")


def test_delay_is_kept_between_requests(tmp_path: Path) -> None:
    with serving() as (base, _):
        began = time.monotonic()
        scrape(Folder(tmp_path), input=(f"{base}/wide",), delay=0.3, max_pages=3)
    assert time.monotonic() - began > 3 * 0.3, "robots.txt and three pages: three pauses"


def test_killed_and_run_again_gives_the_same_bytes_and_asks_nothing_twice(tmp_path: Path) -> None:
    program = tmp_path / "run.py"
    program.write_text(
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[3])\n"
        "from test_scrape import Folder, scrape\n"
        "scrape(Folder(Path(sys.argv[1])), input=(sys.argv[2],), delay=0)\n"
    )
    root = str(Path(curate.__file__).parent.parent)
    with serving() as (base, site):
        command = [sys.executable, str(program), str(tmp_path / "killed"), f"{base}/", str(Path(__file__).parent)]
        for pages in (3, 9):
            child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root})
            while len(list((tmp_path / "killed" / "work").glob("pages/*/*"))) < pages:
                assert child.poll() is None
                time.sleep(0.002)
            child.send_signal(signal.SIGKILL)
            child.wait()
            time.sleep(0.3)  # for the crawl's process to notice
            quiet = len(site.asked)
            time.sleep(0.5)
            assert len(site.asked) == quiet, "the crawl dies with its parent"
        assert quiet < len(PAGES)
        scrape(Folder(tmp_path / "killed"), input=(f"{base}/",), delay=0)
        # One request may be under way at each kill.
        assert len(site.asked) - len(set(site.asked)) <= 2
        scrape(Folder(tmp_path / "whole"), input=(f"{base}/",), delay=0)
        asked = len(site.asked)
        scrape(Folder(tmp_path / "killed"), input=(f"{base}/",), delay=0)
        assert len(site.asked) == asked, "all is on disk"
    first = (tmp_path / "killed" / "data" / "pages-00000.warc.gz").read_bytes()
    whole = (tmp_path / "whole" / "data" / "pages-00000.warc.gz").read_bytes()
    date = re.compile(rb"WARC-Date: [^\r]+")
    assert date.sub(b"", gzip.decompress(first)) == date.sub(b"", gzip.decompress(whole)), "all but the time of fetching"
    assert (tmp_path / "killed/rejected/pages.jsonl").read_bytes() == (tmp_path / "whole/rejected/pages.jsonl").read_bytes()


def test_a_finished_crawl_written_again_is_the_same_file(tmp_path: Path) -> None:
    with serving() as (base, _):
        scrape(Folder(tmp_path), input=(f"{base}/",), delay=0, max_pages=5)
        first = (tmp_path / "data" / "pages-00000.warc.gz").read_bytes()
        scrape(Folder(tmp_path), input=(f"{base}/",), delay=0, max_pages=5)
    assert (tmp_path / "data" / "pages-00000.warc.gz").read_bytes() == first


def test_too_many_errors(tmp_path: Path) -> None:
    with (
        serving() as (base, _),
        pytest.raises(TooManyErrors, match=r"1 addresses failed, more than max_errors=0: 1 status_404"),
    ):
        scrape(Folder(tmp_path), input=(f"{base}/",), delay=0, max_errors=0)
    assert (tmp_path / "rejected" / "pages.jsonl").exists()


def test_no_page_is_an_error_that_names_the_first_failure(tmp_path: Path) -> None:
    with serving() as (base, _):
        with pytest.raises(InputError, match=r"no page could be fetched from .*/gone; first failure: .*/gone: status_404"):
            scrape(Folder(tmp_path / "1"), input=(f"{base}/gone",), delay=0)
        with pytest.raises(InputError, match=r"first failure: .*/file: not_html"):
            scrape(Folder(tmp_path / "2"), input=(f"{base}/file",), delay=0)
        with pytest.raises(InputError, match=r"first failure: .*/empty: empty_page"):
            scrape(Folder(tmp_path / "6"), input=(f"{base}/empty",), delay=0)
        with pytest.raises(InputError, match=r"first failure: .*/wide: page_too_large"):
            scrape(Folder(tmp_path / "3"), input=(f"{base}/wide",), delay=0, max_page_bytes=50)
        with pytest.raises(InputError, match=r"first failure: .*/slow: timeout"):
            scrape(Folder(tmp_path / "4"), input=(f"{base}/slow",), delay=0, timeout=0.05, retries=0)
    with pytest.raises(InputError, match=r"first failure: .*: connection_refused"):
        scrape(Folder(tmp_path / "5"), input=(f"{base}/",), delay=0, retries=0)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    from curate.errors import OutputError

    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "pages").write_text("in the way")
    with serving() as (base, _), pytest.raises(OutputError, match=r"pages.*cannot be written"):
        scrape(Folder(tmp_path), input=(f"{base}/",), delay=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": ("example.org/docs",)}, "not a web address; write https://example.org/docs"),
        ({"input": ("ftp://example.org",)}, "'ftp://example.org' is not a web address"),
        ({}, "give addresses to start from, or a source"),
        ({"input": ("http://localhost/",), "source": {"kind": "pydoc"}}, "and not both"),
        ({"input": ("https://example.org/",), "delay": 0}, "delay 0 is for sites on this machine only"),
        ({"input": ("https://example.org/",), "allow": ("(",)}, "is not a regular expression"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        Scrape(**options)


def test_pydoc_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        result = scrape(
            Folder(tmp_path / name), source={"kind": "pydoc"}, delay=0, max_pages=5, allow=("/ftplib", "topic", "/_abc")
        )
        assert result["rows_out"] == 5
        assert result["errors"] == {}
    one, two = records(tmp_path / "one"), records(tmp_path / "two")
    assert one == two
    assert [url for url, _, _ in one] == ["/", "/_abc.html", "/ftplib.html", "/topic?key=ASSERTION", "/topics.html"]
    assert b"assert" in one[3][1]
    with open(tmp_path / "one" / "data" / "pages-00000.warc.gz", "rb") as handle:
        assert next(iter(ArchiveIterator(handle))).headers["WARC-Target-URI"] == "http://pydoc.localhost/"
