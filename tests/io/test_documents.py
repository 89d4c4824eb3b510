"""Files that hold documents: text, Markdown, HTML, web archives, PDF."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from curate.errors import InputError
from curate.io.rows import Take
from tests.reading import HTML, read_all

WET = Take(columns=("text",))


def record(kind: str, uri: str, body: bytes, content_type: str = "text/plain", extra: str = "") -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2024-01-02T03:04:05Z\r\n"
    head += f"WARC-Record-ID: <urn:uuid:{abs(hash((uri, kind))) % 10**12:012d}-0000>\r\nContent-Type: {content_type}\r\n{extra}"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


def response(uri: str, page: bytes, content_type: str = "text/html; charset=utf-8") -> bytes:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(page)}\r\n\r\n".encode() + page
    return record("response", uri, http, "application/http; msgtype=response")


def pdf_of(*pages: str) -> bytes:
    """A PDF written by hand: each page one line of Helvetica."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode()]
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for i, text in enumerate(pages):
        content = f"BT /F1 24 Tf 72 700 Td ({text}) Tj ET".encode() if text else b""
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R"
        objects.append(f"{page} /Resources << /Font << /F1 3 0 R >> >> >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % p for p in places)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.markdown", "a.txt.gz"])
def test_a_text_file_is_one_row(tmp_path: Path, name: str) -> None:
    content = "# Título\r\n\r\nzwei\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = read_all(tmp_path / name)
    assert found.rows == [{"id": name, "text": "# Título\r\n\r\nzwei\n"}]


def test_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\nbad \xff\n")
    (tmp_path / "b.txt").write_bytes(b"one\ntwo\0")
    (tmp_path / "c.txt").write_bytes("wide".encode("utf-16"))
    (tmp_path / "d.txt").write_bytes(b"\xef\xbb\xbfmarked")
    (tmp_path / "e.txt.gz").write_bytes(gzip.compress(b"cut off" * 1000)[:-10])
    (tmp_path / "f.txt.zst").write_bytes(b"no such thing")
    found = read_all(tmp_path)
    assert [(row["id"], row["text"]) for row in found.rows] == [("d.txt", "marked")]
    assert found.notes == ["d.txt: a byte order mark at the start was left out"]
    assert [(reject.file, reject.line) for reject in found.rejects] == [
        ("a.txt", 2),
        ("b.txt", 2),
        ("c.txt", 1),
        ("e.txt.gz", 1),
        ("f.txt.zst", 1),
    ]


def test_html_is_taken_as_bytes_and_is_no_text(tmp_path: Path) -> None:
    page = "<p>Grüße".encode("latin-1")
    (tmp_path / "a.html").write_bytes(page)
    (row,) = read_all(tmp_path / "a.html", take=HTML).rows
    assert row == {"id": "a.html", "html": page, "url": None, "content_type": None}
    with pytest.raises(InputError, match="run `curate extract` on it first"):
        read_all(tmp_path / "a.html")


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_a_web_archive_gives_its_pages(tmp_path: Path, name: str) -> None:
    records = [
        record("warcinfo", "", b"software: test\r\n", "application/warc-fields"),
        record("request", "http://a/", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "application/http; msgtype=request"),
        response("http://a/", b"<p>one</p>"),
        response("http://a/x.png", b"\x89PNG", "image/png"),
        response("http://a/2", "<p>zwei ü</p>".encode()),
    ]
    packed = b"".join(map(gzip.compress, records)) if name.endswith(".gz") else b"".join(records)
    (tmp_path / name).write_bytes(packed)
    found = read_all(tmp_path / name, take=HTML)
    assert found.column("html") == [b"<p>one</p>", "<p>zwei ü</p>".encode()]
    assert found.column("url") == ["http://a/", "http://a/2"]
    assert found.column("date") == ["2024-01-02T03:04:05Z"] * 2
    assert len(set(found.column("id"))) == 2
    assert found.rejects == []


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
    packed = b"".join(map(gzip.compress, records)) if name.endswith(".gz") else b"".join(records)
    (tmp_path / name).write_bytes(packed[: int(len(packed) * kept)])
    found = read_all(tmp_path / name, take=HTML)
    whole = found.column("html")
    assert len(whole) >= 200 * kept - 20
    assert whole == pages[: len(whole)]
    assert len(found.rejects) == 1


def test_an_archive_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"this is no archive\n" * 10)
    found = read_all(tmp_path / "a.warc", take=HTML)
    assert found.rows == []
    assert len(found.rejects) == 1


def test_a_pdf_is_the_text_of_its_pages(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf_of("Hello page one", "", "Second"))
    assert read_all(tmp_path / "a.pdf").rows == [{"id": "a.pdf", "text": "Hello page one\n\nSecond"}]


def test_a_pdf_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\nnonsense")
    (tmp_path / "b.pdf").write_bytes(b"")
    (tmp_path / "c.txt").write_bytes(b"text")
    found = read_all(tmp_path)
    assert found.column("id") == ["c.txt"]
    assert [reject.file for reject in found.rejects] == ["a.pdf", "b.pdf"]
    assert "not a readable PDF" in found.rejects[0].error
