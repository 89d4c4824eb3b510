"""Files that hold one document: text, Markdown, HTML."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from curate.errors import InputError
from tests.reading import HTML, read_all


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
