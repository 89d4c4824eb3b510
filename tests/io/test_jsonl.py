"""JSON Lines as they come: whatever is broken in a line or a file is told with its place, and takes nothing along."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.io import files, jsonl
from tests.reading import CHAT, TEXT, WHOLE, read_all

PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}


def lines(count: int) -> bytes:
    return b"".join(b'{"text": "line %d"}\n' % i for i in range(count))


@pytest.mark.parametrize("ending", PACK)
def test_reads_plain_and_compressed(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(PACK[ending](lines(100)))
    found = read_all(path)
    assert found.column("text") == [f"line {i}" for i in range(100)]
    assert found.column("id") == [f"{path.name}:{i + 1}" for i in range(100)]
    assert found.rejects == []


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_members_after_one_another_are_one_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(PACK[ending](lines(10)) + PACK[ending](b"") + PACK[ending](lines(5)))
    assert len(read_all(path).rows) == 15


def test_zeros_after_a_gzip_member_are_padding(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines(10)) + bytes(70_000))
    found = read_all(path)
    assert (len(found.rows), found.rejects) == (10, [])


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_off_file_gives_what_it_holds_and_is_rejected(tmp_path: Path, ending: str, kept: float) -> None:
    content = "".join(json.dumps({"text": f"{i * i * 7919 % 10**12:x} {i}"}) + "\n" for i in range(50_000)).encode()
    packed = PACK[ending](content)
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(packed[: int(len(packed) * kept)])
    found = read_all(path)
    texts = [json.loads(line)["text"] for line in content.splitlines()]
    assert found.column("text") == texts[: len(found.rows)]
    # A block of 128 kB and the input taken at a time are the most that a cut may hide.
    assert len(found.rows) >= 50_000 * kept - 12_000
    assert found.rejects
    assert "cut off before its end" in found.rejects[-1].error
    assert found.rejects[-1].line in (len(found.rows) + 1, len(found.rows) + 2)


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_garbage_after_compressed_data_is_told(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(PACK[ending](lines(10)) + b"garbage")
    found = read_all(path)
    assert len(found.rows) == 10
    assert [line for line, _ in found.errors()] == [11]
    assert "damaged" in found.rejects[0].error


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_file_that_is_not_compressed_at_all(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(lines(10))
    found = read_all(path)
    assert found.rows == []
    assert "damaged" in found.rejects[0].error


BROKEN = {
    b'{"text": "a"': "the line ends before its value is complete",
    b"{text: 1}": "expecting a key in double quotes",
    b'{"text": "\xff"}': "invalid UTF-8",
    b'{"text": "a\x00b"}': "NUL byte",
    b'{"text": 5}': "text: expected a string, found a number",
    b'{"text": ["a"]}': "text: expected a string, found an array",
    b'"a string"': "expected an object, found a string",
    b'[{"text": "a"}]': "expected an object, found an array",
    b'{"text": "a"} {"text": "b"}': "more text after the value",
    b'{"text": "a", "n": NaN}': "NaN and Infinity are not JSON",
    b'{"text": "\\ud800"}': "unpaired surrogate escape",
    b"\xef\xbb\xbf" + b'{"text": "a"}': "byte order mark inside the file",
    b"not json": "found text that is not JSON",
}


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_line_is_rejected_with_its_place_and_nothing_else_is(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "first"}\n\n' + line + b'\n{"text": "last"}\n')
    found = read_all(path)
    assert found.column("text") == ["first", "last"]
    assert found.column("id") == ["a.jsonl:1", "a.jsonl:4"]
    (reject,) = found.rejects
    assert (reject.file, reject.line) == ("a.jsonl", 3)
    assert BROKEN[line] in reject.error
    assert reject.text == line.decode("utf-8", "replace")


def test_a_byte_order_mark_at_the_start_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines(2))
    found = read_all(path)
    assert found.column("text") == ["line 0", "line 1"]
    assert found.notes == ["a.jsonl: a byte order mark at the start was left out"]


def test_utf16_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"text": "a"}\n{"text": "b"}\n'.encode("utf-16"))
    found = read_all(path)
    assert found.rows == []
    assert len(found.rejects) >= 2


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"", []),
        (b"\n\n  \n", []),
        (b'{"text": "a"}', ["a"]),
        (b'{"text": "a"}\r\n{"text": "b"}\r\n', ["a", "b"]),
        (b'\n{"text": "a"}\n\n\n{"text": "b"}', ["a", "b"]),
        (b'{"text": null}\n{}\n', [None, None]),
    ],
)
def test_line_ends_blank_lines_and_missing_texts(tmp_path: Path, content: bytes, texts: list[str | None]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    found = read_all(path)
    assert (found.column("text"), found.rejects) == (texts, [])


def test_own_ids_are_kept_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a", "id": "x"}\n{"text": "b", "id": 007}\n{"text": "c", "id": 7}\n{"text": "d", "id": null}\n')
    found = read_all(path)
    assert found.column("id") == ["x", "7", "a.jsonl:4"]
    assert found.errors()[0][0] == 2


@pytest.mark.parametrize("ending", PACK)
def test_a_giant_line_is_rejected_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setattr(jsonl, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(jsonl, "MAX_LINE", 10_000)
    path = tmp_path / f"a.jsonl{ending}"
    giant = json.dumps({"text": "x" * 50_000}).encode() + b"\n"
    path.write_bytes(PACK[ending](lines(3) + giant + lines(2) + giant + b'{"text": 1}\n' + lines(1) + giant))
    found = read_all(path)
    assert found.column("text") == ["line 0", "line 1", "line 2", "line 0", "line 1", "line 0"]
    assert [line for line, _ in found.errors()] == [4, 7, 8, 10]
    assert "longer than" in found.rejects[0].error
    assert len(found.rejects[0].text) == 2000


def content_of(texts: list[str], broken: list[int], last_newline: bool) -> bytes:
    parts = [json.dumps({"text": text}) if i not in broken else text.replace("\n", " ") for i, text in enumerate(texts)]
    return "\n".join(parts).encode() + (b"\n" if last_newline else b"")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=25),
    broken=st.lists(st.integers(0, 24), max_size=4),
    last_newline=st.booleans(),
    shard=st.integers(1, 200),
    block=st.integers(1, 100),
)
def test_a_file_cut_anywhere_gives_the_lines_of_the_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    texts: list[str],
    broken: list[int],
    last_newline: bool,
    shard: int,
    block: int,
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content_of(texts, broken, last_newline))
    whole = read_all(path)
    with monkeypatch.context() as patch:
        patch.setattr(files, "SHARD_BYTES", shard)
        patch.setattr(jsonl, "BLOCK_BYTES", block)
        pieces = read_all(path)
    assert pieces.shards >= min(2, path.stat().st_size // (shard + 1))
    assert pieces.rows == whole.rows
    assert pieces.rejects == whole.rejects


def test_two_pieces_cut_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n\n{"text": 1}\r\n{"text": "b"}\n{"text": "c"}')
    whole = read_all(path)
    (shard,) = files.cut(files.resolve([str(path)])[0])
    source = shard.pieces[0].source
    for at in range(1, source.size):
        rows, rejects = [], []
        for start, end in ((0, at), (at, source.size)):
            for chunk in jsonl.read_jsonl(files.Piece(source=source, start=start, end=end), TEXT):
                rows += chunk.frame.to_dicts()
                rejects += chunk.rejects
        assert (rows, rejects) == (whole.rows, whole.rejects), at


def test_other_members_pass_verbatim(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"n": 1e5, "text": "a", "f": 2.50, "u": "\\u00e9\\/", "big": 123456789012345678901234567890, "o": { "k" : [ 1 ] }}\n'
    )
    (row,) = read_all(path).rows
    assert row["_rest"] == '"n":1e5,"f":2.50,"u":"\\u00e9\\/","big":123456789012345678901234567890,"o":{ "k" : [ 1 ] }'


def test_chats_bare_and_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'[{"role": "user", "content": "hi"}]\n{"messages": [ ], "id": "x", "k": 1}\n{"messages": "no"}\n')
    found = read_all(path, take=CHAT)
    assert found.column("messages") == ['[{"role": "user", "content": "hi"}]', "[ ]"]
    assert found.column("_rest") == ["", '"k":1']
    assert found.errors() == [(3, "messages: expected an array, found a string")]


def test_records_are_taken_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b' {"a": 1e5} \n["x"]\n7\n')
    found = read_all(path, take=WHOLE)
    assert [json.loads(record) for record in found.column("record")] == [{"a": 1e5}, ["x"]]
    assert found.errors()[0][0] == 3


def test_json_arrays_and_lines_under_the_name_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[\n {"text": "a", "n": 1e5},\n {"text":\n "b"}, {"text": 3} ]\n')
    found = read_all(path)
    assert found.column("text") == ["a", "b"]
    assert found.column("id") == ["a.json:1", "a.json:2"]
    assert found.errors() == [(3, "text: expected a string, found a number")]
    path.write_bytes(lines(3))
    assert len(read_all(path).rows) == 3
    path.write_bytes(b'[{"role": "user", "content": "hi"}]\n[{"role": "user", "content": "ho"}]\n')
    assert len(read_all(path, take=CHAT).rows) == 2


@pytest.mark.parametrize(
    ("content", "good", "error"),
    [
        (b'[{"text": "a"}, {"text": "b\xff"}, {"text": "c"}]', ["a", "c"], "UTF-8"),
        (b'[{"text": "a"}, {"text": "b"', ["a"], "broken JSON array"),
        (b'[{"text": "a"} {"text": "b"}]', ["a"], "broken JSON array"),
        (b'[{"text": "a"}] x', ["a"], "something follows"),
        (b'[{"text": "a"}, {"text": NaN}]', ["a"], "NaN"),
        (b"\xff\xfe[\x00]\x00", [], "UTF-8"),
    ],
)
def test_a_broken_array_gives_what_stands_before_the_break(tmp_path: Path, content: bytes, good: list[str], error: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    found = read_all(path)
    assert found.column("text") == good
    assert error in found.rejects[0].error


def test_a_cut_off_compressed_array_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps([{"text": str(i)} for i in range(1000)]).encode())[:-20])
    assert "cut off" in read_all(path).rejects[-1].error


def test_missing_files_name_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(lines(1))
    with pytest.raises(InputError, match=r"no such file or folder; did you mean 'train\.jsonl'\?"):
        read_all(tmp_path / "tain.jsonl")
    with pytest.raises(InputError, match="no file matches"):
        read_all(tmp_path / "*.parquet")
    (tmp_path / "a.exe").write_bytes(b"")
    with pytest.raises(InputError, match="what kind of file is this"):
        read_all(tmp_path / "a.exe")
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match="no file in it that can be read"):
        read_all(tmp_path / "sub")
