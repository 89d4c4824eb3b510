"""Files that hold one document: text, Markdown, HTML, PDF."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from curate.errors import InputError
from tests.reading import HTML, read_all


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
