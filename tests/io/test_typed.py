"""Files with columns: Parquet, CSV and TSV, saved datasets; and files behind fsspec addresses."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import datasets
import fsspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.io import files, jsonl
from curate.io.rows import Take
from curate.io.utf8 import Utf8
from tests.reading import CHAT, TEXT, WHOLE, read_all


def test_parquet_keeps_types_and_numbers_rows_over_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pl.DataFrame({"text": [f"row {i}" for i in range(5000)], "n": range(5000)})
    rows.write_parquet(tmp_path / "a.parquet", row_group_size=500)
    monkeypatch.setattr(files, "SHARD_BYTES", 1000)
    found = read_all(tmp_path / "a.parquet")
    assert found.shards == 10
    assert found.column("text") == rows["text"].to_list()
    assert found.column("n") == list(range(5000))
    assert found.column("id") == [f"a.parquet:{i + 1}" for i in range(5000)]


def test_parquet_ids_and_wrong_columns(tmp_path: Path) -> None:
    pl.DataFrame({"id": [7, None], "text": ["a", None]}).write_parquet(tmp_path / "a.parquet")
    assert read_all(tmp_path / "a.parquet").column("id") == ["7", "a.parquet:2"]
    pl.DataFrame({"body": ["a"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="no column 'text'; its columns: body"):
        read_all(tmp_path / "b.parquet")
    pl.DataFrame({"text": [1]}).write_parquet(tmp_path / "c.parquet")
    with pytest.raises(InputError, match="holds Int64, not strings"):
        read_all(tmp_path / "c.parquet")
    pl.DataFrame({"text": ["a"], "pic": [b"\xff"]}).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(InputError, match="column 'pic' holds bytes"):
        read_all(tmp_path / "d.parquet", take=WHOLE)
    (tmp_path / "e.html").write_bytes(b"<p>")
    with pytest.raises(InputError, match="curate extract"):
        read_all(tmp_path / "e.html", take=WHOLE)


@pytest.mark.parametrize("kept", [0, 10, 500, -20])
def test_broken_parquet_is_rejected(tmp_path: Path, kept: int) -> None:
    pl.DataFrame({"text": ["row"] * 1000}).write_parquet(tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data[:kept])
    found = read_all(tmp_path / "a.parquet")
    assert (found.rows, len(found.rejects)) == ([], 1)
    assert "not a readable Parquet file" in found.rejects[0].error


def test_damaged_parquet_pages_are_rejected(tmp_path: Path) -> None:
    pl.DataFrame({"text": [f"row {i * i}" for i in range(10_000)]}).write_parquet(tmp_path / "a.parquet", row_group_size=1000)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    (tmp_path / "a.parquet").write_bytes(data)
    found = read_all(tmp_path / "a.parquet")
    assert len(found.rejects) == 1
    assert found.column("text") == [f"row {i * i}" for i in range(len(found.rows))]


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("tsv", "\t")])
def test_csv_values_stay_the_text_that_they_are(tmp_path: Path, ending: str, mark: str) -> None:
    lines = ["\ufefftext,n,empty", '"two\n\nlines",007,', '"say ""hi"", you",1e5,', "", "ünï,NA,"]
    content = "\r\n".join(lines).replace(",", mark).replace(f'hi""{mark}', 'hi"",')
    (tmp_path / f"a.{ending}").write_bytes(content.encode())
    found = read_all(tmp_path / f"a.{ending}")
    assert found.column("text") == ["two\n\nlines", 'say "hi", you', "ünï"]
    assert found.column("n") == ["007", "1e5", "NA"]
    assert found.column("id") == [f"a.{ending}:{i}" for i in (2, 3, 4)]
    assert found.column("empty") == ["", "", ""]


@pytest.mark.parametrize("block", [20, 1 << 20])
def test_bad_csv_rows_are_rejected_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    from curate.io import read

    monkeypatch.setattr(read, "BLOCK_BYTES", block)
    rows = [b"text,n", b"first,1", b"short", b"long,2,3", b"bad \xff,4", b"nul \0,5", b"", b"last,6", b"x"]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"\n".join(rows)))
    found = read_all(tmp_path / "a.csv.gz")
    assert found.rows == [{"text": "first", "n": "1", "id": "a.csv.gz:2"}, {"text": "last", "n": "6", "id": "a.csv.gz:7"}]
    assert found.errors() == [
        (3, "expected 2 columns, found 1"),
        (4, "expected 2 columns, found 3"),
        (5, "NUL byte or invalid UTF-8 (shown as NUL)"),
        (6, "NUL byte or invalid UTF-8 (shown as NUL)"),
        (8, "expected 2 columns, found 1"),
    ]
    assert found.rejects[2].text == "bad \0,4"


def test_csv_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    (reject,) = read_all(tmp_path / "a.csv").rejects
    assert "not readable further as CSV" in reject.error
    (tmp_path / "a.csv").write_bytes("text,n\na,1\n".encode("utf-16"))
    with pytest.raises(InputError, match="it is not UTF-8 text"):
        read_all(tmp_path / "a.csv")
    # Wrong in two ways at once: its text is shown all the same.
    (tmp_path / "a.csv").write_bytes(b"text,n\nbad \xff\nfine,1\n")
    found = read_all(tmp_path / "a.csv")
    assert found.column("text") == ["fine"]
    assert found.rejects == [("a.csv", 2, "expected 2 columns, found 1", "bad \0")]


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=5), max_size=10), st.integers(1, 9))
def test_what_is_not_utf8_becomes_nul_however_it_is_read(parts: list[bytes], size: int) -> None:
    content = b"".join([*parts, "é😀".encode(), b"\xf0\x9f"])
    whole = Utf8(io.BytesIO(content)).read()
    handle = Utf8(io.BytesIO(content))
    pieces = list(iter(lambda: handle.read(size), b""))
    assert b"".join(pieces) == whole
    assert all(len(piece) <= max(size, 4) for piece in pieces)
    assert whole.decode().endswith("é😀\0")
    try:
        content[:-2].decode()
    except UnicodeDecodeError:
        assert b"\0" in whole[:-1]
    else:
        assert whole[:-1] == content[:-2]


def test_csv_with_two_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,text\na,b\n")
    with pytest.raises(InputError, match="two columns are called 'text'"):
        read_all(tmp_path / "a.csv")


def test_a_cut_off_compressed_csv_is_told(tmp_path: Path) -> None:
    content = b"text\n" + b"".join(b"row %d %d\n" % (i, i * i * 7919) for i in range(100_000))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content)[:-1000])
    found = read_all(tmp_path / "a.csv.gz")
    assert "cut off" in found.rejects[-1].error


def test_saved_datasets(tmp_path: Path) -> None:
    rows = {"text": ["a", "b"], "n": [1, 2]}
    datasets.Dataset.from_dict(rows).save_to_disk(str(tmp_path / "one"))
    found = read_all(tmp_path / "one")
    assert (found.column("text"), found.column("n")) == (["a", "b"], [1, 2])
    both = datasets.DatasetDict(
        {"train": datasets.Dataset.from_dict(rows), "test": datasets.Dataset.from_dict({"text": ["c"]})}
    )
    both.save_to_disk(str(tmp_path / "two"))
    assert sorted(read_all(tmp_path / "two").column("text")) == ["a", "b", "c"]


def test_typed_chats_are_json_text_in_the_frame(tmp_path: Path) -> None:
    pl.DataFrame({"messages": [[{"role": "user", "content": "hi"}]]}).write_parquet(tmp_path / "a.parquet")
    (row,) = read_all(tmp_path / "a.parquet", take=CHAT).rows
    assert row["messages"] == [{"role": "user", "content": "hi"}]


def test_columns_that_steps_want_are_there(tmp_path: Path) -> None:
    take = Take(columns=("text",), also=("url", "meta"))
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a", "meta": {"k": 1e5}, "x": 1}\n{"url": "u", "text": "b", "meta": null}\n')
    pl.DataFrame({"text": ["c"], "url": ["v"]}).write_parquet(tmp_path / "b.parquet")
    found = read_all(tmp_path, take=take)
    assert found.column("url") == [None, "u", "v"]
    assert found.column("meta") == ['{"k": 1e5}', None, None]
    assert [row.get("_rest") for row in found.rows] == ['"x":1,"meta":{"k": 1e5}', '"url":"u","meta":null', None]


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    fs = fsspec.filesystem("memory")
    yield fs
    for name in ("/curate-test",):
        if fs.exists(name):
            fs.rm(name, recursive=True)


def test_fsspec_addresses(memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"".join(b'{"text": "line %d"}\n' % i for i in range(1000))
    memory.pipe("/curate-test/a.jsonl", content)
    memory.pipe("/curate-test/sub/b.jsonl.gz", gzip.compress(content))
    memory.pipe("/curate-test/c.unknown", b"")
    monkeypatch.setattr(files, "SHARD_BYTES", 3000)
    monkeypatch.setattr(jsonl, "BLOCK_BYTES", 700)
    one = read_all("memory://curate-test/a.jsonl")
    assert one.shards > 3
    assert one.column("text") == [f"line {i}" for i in range(1000)]
    assert len(read_all("memory://curate-test").rows) == 2000
    assert len(read_all("memory://curate-test/*.jsonl").rows) == 1000
    for address, error in {
        "memory://curate-test/none.jsonl": "none.jsonl",
        "memory://curate-test/*.csv": "nothing there",
        "memory://curate-test/c.unknown": "what kind of file",
        "nonsense://x/a.jsonl": "nonsense",
    }.items():
        with pytest.raises(InputError, match=error):
            read_all(address)


def test_globs_folders_and_what_is_left_out(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "sub/c.jsonl", ".hidden/d.jsonl", "e.exe"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'{"text": "%s"}\n' % name.encode())
    assert read_all(tmp_path).column("text") == ["a.jsonl", "b.jsonl", "sub/c.jsonl"]
    assert read_all(tmp_path).column("id") == ["a.jsonl:1", "b.jsonl:1", "sub/c.jsonl:1"]
    assert read_all(tmp_path / "*.jsonl").column("text") == ["a.jsonl", "b.jsonl"]
    assert files.resolve([str(tmp_path)])[1] == [str(tmp_path / "e.exe")]


def test_files_of_one_name_give_rows_of_different_ids(tmp_path: Path) -> None:
    for name in ("x/a.jsonl", "y/a.jsonl", "y/b.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'{"text": "t"}\n')
    x, y = tmp_path / "x", tmp_path / "y"
    assert read_all(x, y).column("id") == [f"{x}/a.jsonl:1", f"{y}/a.jsonl:1", "b.jsonl:1"]
    assert read_all(x / "a.jsonl", y / "a.jsonl").column("id") == [f"{x}/a.jsonl:1", f"{y}/a.jsonl:1"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "t"}\n')
    with pytest.raises(InputError, match="named twice"):
        read_all(tmp_path / "a.jsonl", tmp_path)


def test_the_columns_of_an_empty_frame(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text\nx,y\n")
    assert read_all(tmp_path / "a.csv", take=TEXT).rejects[0].line == 2


def test_the_run_of_a_recipe_is_not_read_whole(tmp_path):
    (tmp_path / "01-clean" / "data").mkdir(parents=True)
    (tmp_path / "01-clean" / "data" / "00000-0000.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "01-clean" / "stats.json").write_text("{}")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="01-clean"):
        files.resolve([str(tmp_path)])
    (source,), _ = files.resolve([str(tmp_path / "01-clean")])
    assert source.name == "00000-0000.jsonl"
