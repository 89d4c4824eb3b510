"""Web archives: what is a page and what is not, damage, bodies in every coding, bombs."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.io.http_body import http_body
from curate.io.rows import MAX_PAGE_BYTES, PAGE_BYTES, Take
from tests.io.archives import packed, record, response
from tests.reading import HTML, read_all

WET = Take(columns=("text",))
PAGE = "<p>Eine Seite über Flüsse</p>".encode() * 20


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_a_web_archive_gives_its_pages(tmp_path: Path, name: str) -> None:
    records = [
        record("warcinfo", "", b"software: test\r\n", "application/warc-fields"),
        record("request", "http://a/", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "application/http; msgtype=request"),
        response("http://a/", b"<p>one</p>"),
        response("http://a/x.png", b"\x89PNG", "image/png"),
        response("http://a/2", "<p>zwei ü</p>".encode()),
    ]
    (tmp_path / name).write_bytes(packed(records, name))
    found = read_all(tmp_path / name, take=HTML)
    assert found.column("html") == [b"<p>one</p>", "<p>zwei ü</p>".encode()]
    assert found.column("url") == ["http://a/", "http://a/2"]
    assert found.column("date") == ["2024-01-02T03:04:05Z"] * 2
    assert len(set(found.column("id"))) == 2
    assert found.rejects == []
    assert found.skipped == {"warcinfo": 1, "request": 1, "not_html": 1}


def test_a_wet_file_gives_its_texts_and_rejects_what_is_none(tmp_path: Path) -> None:
    bodies = ["ünï".encode(), b"bad \xff", b"nul \0", b"last"]
    records = [record("conversion", f"http://a/{i}", body) for i, body in enumerate(bodies)]
    (tmp_path / "a.wet.gz").write_bytes(b"".join(map(gzip.compress, records)))
    found = read_all(tmp_path / "a.wet.gz", take=WET)
    assert found.column("text") == ["ünï", "last"]
    assert [(line, error.split(":")[-1].strip()) for line, error in found.errors()] == [
        (2, "invalid UTF-8 at byte 4"),
        (3, "this is not text"),
    ]


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_cut_off_archive_is_told(tmp_path: Path, name: str, kept: float) -> None:
    pages = [f"<p>{i} {i * i * 7919 % 10**9:x}</p>".encode() * 50 for i in range(200)]
    records = [response(f"http://a/{i}", page) for i, page in enumerate(pages)]
    content = packed(records, name)
    (tmp_path / name).write_bytes(content[: int(len(content) * kept)])
    found = read_all(tmp_path / name, take=HTML)
    whole = found.column("html")
    assert len(whole) >= 200 * kept - 2
    assert whole == pages[: len(whole)]
    assert len(found.rejects) == 1


def test_an_archive_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"this is no archive\n" * 10)
    found = read_all(tmp_path / "a.warc", take=HTML)
    assert found.rows == []
    assert len(found.rejects) == 1


def test_records_that_are_no_page_are_counted(tmp_path: Path) -> None:
    records = [
        record("warcinfo", "", b"software: test\r\n", "application/warc-fields"),
        record("request", "http://a/", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "application/http; msgtype=request"),
        response("http://a/", PAGE),
        record("metadata", "http://a/", b"fetchTimeMs: 1\r\n", "application/warc-fields"),
        record(
            "revisit", "http://a/", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "application/http; msgtype=response"
        ),
        response("http://a/404", PAGE, status="404 Not Found"),
        response("http://a/moved", b"", status="301 Moved"),
        response("http://a/404b", PAGE, status="404 Not Found"),
        response("http://a/x.pdf", b"%PDF-", "application/pdf"),
        record("response", "dns:a", b"20240102030405\na. 1 IN A 127.0.0.1\n", "text/dns"),
        record("response", "http://a/odd", b"this is no HTTP", "application/http; msgtype=response"),
        response("http://a/xhtml", PAGE, "application/xhtml+xml"),
        record("resource", "file:///a.html", PAGE, "text/html"),
        record("sonstiges", "http://a/", b"x"),
    ]
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    found = read_all(tmp_path / "a.warc", take=HTML)
    assert found.column("url") == ["http://a/", "http://a/xhtml", "file:///a.html"]
    assert found.column("html") == [PAGE] * 3
    assert found.rejects == []
    assert found.skipped == {
        "warcinfo": 1,
        "request": 1,
        "metadata": 1,
        "revisit": 1,
        "status_404": 2,
        "status_301": 1,
        "not_html": 2,
        "no_http_response": 1,
        "unknown": 1,
    }


def test_headers_with_bare_line_feeds_are_read(tmp_path: Path) -> None:
    http = b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n" + PAGE
    (tmp_path / "a.warc").write_bytes(record("response", "http://a/", http, "application/http; msgtype=response"))
    assert read_all(tmp_path / "a.warc", take=HTML).column("html") == [PAGE]


def pages_of(count: int) -> list[bytes]:
    return [f"<p>{i} {i * i * 7919 % 10**9:x}</p>".encode() * 50 for i in range(count)]


@pytest.mark.parametrize("place", [0, 1, 100, 198, 199])
@pytest.mark.parametrize("damage", ["flipped", "zeros", "cut"])
def test_a_damaged_member_costs_its_record_alone(tmp_path: Path, place: int, damage: str) -> None:
    pages = pages_of(200)
    members = [gzip.compress(response(f"http://a/{i}", page)) for i, page in enumerate(pages)]
    start = sum(map(len, members[:place]))
    bad = bytearray(members[place])
    match damage:
        case "flipped":
            bad[60] ^= 0xFF
        case "zeros":
            bad[40:90] = bytes(50)
        case "cut":
            del bad[len(bad) // 2 :]
    members[place] = bytes(bad)
    (tmp_path / "a.warc.gz").write_bytes(b"".join(members))
    found = read_all(tmp_path / "a.warc.gz", take=HTML)
    assert found.column("html") == pages[:place] + pages[place + 1 :]
    (reject,) = found.rejects
    assert reject.file == "a.warc.gz"
    assert reject.line == place + 1
    if damage != "cut" or place < 199:
        assert f"in the compressed member at byte {start}:" in reject.error
    assert ("reading goes on behind it" in reject.error) == (place < 199)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ""])
def test_what_is_no_record_between_records_costs_nothing_else(tmp_path: Path, suffix: str) -> None:
    pages = pages_of(60)
    records = [response(f"http://a/{i}", page) for i, page in enumerate(pages)]
    records[20] = b"what is this?\r\n\r\n" * 20_000
    records[40] = records[40].replace(b"Content-Length: ", b"Content-Length: 9", 1)
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress, "": bytes}[suffix]
    (tmp_path / f"a.warc{suffix}").write_bytes(b"".join(map(pack, records)))
    found = read_all(tmp_path / f"a.warc{suffix}", take=HTML)
    assert found.column("html")[:39] == pages[:20] + pages[21:40]
    assert 1 <= len(found.rejects) <= 2
    assert all("damaged" in reject.error or "ends within" in reject.error for reject in found.rejects)


CODED = {
    "gzip": gzip.compress(PAGE),
    "x-gzip": gzip.compress(PAGE[:100]) + gzip.compress(PAGE[100:]),
    "deflate": zlib.compress(PAGE),
    "Deflate": zlib.compress(PAGE)[2:-4],
    "br": brotli.compress(PAGE),
    "zstd": zstandard.ZstdCompressor().compress(PAGE),
    "gzip, br": brotli.compress(gzip.compress(PAGE)),
    "identity": PAGE,
    "utf-8": PAGE,
}


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_are_decoded(tmp_path: Path, coding: str, chunked: bool) -> None:
    body, extra = CODED[coding], f"Content-Encoding: {coding}\r\n"
    if chunked:
        body = b"".join(b"%X;a=b\r\n%b\r\n" % (len(body[i : i + 30]), body[i : i + 30]) for i in range(0, len(body), 30))
        body, extra = body + b"0\r\nTrailer: x\r\n\r\n", extra + "Transfer-Encoding: chunked\r\n"
    (tmp_path / "a.warc").write_bytes(response("http://a/", body, extra=extra))
    found = read_all(tmp_path / "a.warc", take=HTML)
    assert found.rejects == []
    assert found.column("html") == [PAGE]


def test_bodies_that_are_not_what_their_headers_say() -> None:
    assert http_body(PAGE, "chunked", "gzip", PAGE_BYTES) == PAGE, "decoded already"
    assert http_body(CODED["gzip"][:-20], "", "gzip", PAGE_BYTES) in PAGE, "cut off"
    assert http_body(CODED["br"][:-3], "", "br", PAGE_BYTES) in PAGE, "cut off"
    for coding in ("gzip", "deflate", "br", "zstd"):
        assert http_body(b"", "", coding, PAGE_BYTES) == b""
        with pytest.raises(ValueError, match=rf"not what its Content-Encoding says \({coding}\)"):
            http_body(b"\xff\xfe no such thing", "", coding, PAGE_BYTES)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(["", "chunked"]), st.sampled_from(["", *CODED]), st.integers(0, 100))
def test_no_body_makes_more_than_is_asked_for(body: bytes, transfer: str, content: str, most: int) -> None:
    for given_body in (body, b"<" + body, CODED.get(content, b"") + body):
        with contextlib.suppress(ValueError):  # the one that it declares
            assert len(http_body(given_body, transfer, content, most)) <= most


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_bombs_are_read_to_the_limit_only(coding: str) -> None:
    blank = b" " * (8 << 20)
    match coding:
        case "gzip":
            body = gzip.compress(blank * 8) * 100
        case "deflate":
            body = zlib.compress(blank * 16)
        case "br":
            body = brotli.compress(blank * 16, quality=4)
        case _:
            body = zstandard.ZstdCompressor().compress(blank) * 100
    assert len(body) < 10 << 20
    assert len(http_body(body, "", coding, PAGE_BYTES)) == PAGE_BYTES


def test_a_record_that_is_a_bomb_is_a_page_too_large_for_any_job(tmp_path: Path) -> None:
    records = [response("http://a/", b" " * (MAX_PAGE_BYTES + (32 << 20))), response("http://b/", PAGE)]
    (tmp_path / "a.warc.gz").write_bytes(packed(records, "a.warc.gz"))
    bomb, page = read_all(tmp_path / "a.warc.gz", take=HTML).column("html")
    assert len(bomb) == PAGE_BYTES == MAX_PAGE_BYTES + 1
    assert page == PAGE


@settings(max_examples=100)
@given(st.data())
def test_no_damage_stops_the_reading(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["a.warc", "a.warc.gz"]))
    content = bytearray(packed([response(f"http://a/{i}", page[:300]) for i, page in enumerate(pages_of(8))], name))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content)))
        content[place : place + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    path = tmp_path_factory.mktemp("warc") / name
    path.write_bytes(content)
    found = read_all(path, take=HTML)
    assert len(found.rows) + len(found.rejects) + sum(found.skipped.values()) <= 20
