from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from tests.train.conftest import pairs, write_jsonl
from train.data import Cursor, Rows, open_shards
from train.errors import DataError
from train.rows import Row, format_of, in_heldout, list_files, read_rows


@pytest.fixture
def copy(shards: Path, tmp_path: Path) -> Path:
    shutil.copytree(shards, tmp_path / "copy")
    return tmp_path / "copy"


def edit(folder: Path, change: Any) -> None:
    header = json.loads((folder / "tokens.json").read_text())
    change(header)
    (folder / "tokens.json").write_text(json.dumps(header))


def test_rows_cover_the_stream_across_shards(shards: Path) -> None:
    opened = open_shards(shards)
    split = opened.split("train", 2)
    stream = np.concatenate([np.fromfile(file, "<u2") for file in split.files])
    rows = Rows(split, 32, opened.vocab_size, seed=0)
    assert rows.count == (len(stream) - 1) // 32
    every = rows.take(list(range(rows.count)))
    assert every.positions is None
    for i in range(rows.count):
        assert (every.inputs[i] == stream[i * 32 : i * 32 + 32]).all()
        assert (every.targets[i] == stream[i * 32 + 1 : i * 32 + 33]).all()


def test_a_pass_has_every_row_once_and_the_next_has_another_order(shards: Path) -> None:
    opened = open_shards(shards)
    rows = Rows(opened.split("train", 2), 32, opened.vocab_size, seed=3)
    first, second = rows.next(rows.count), rows.next(rows.count)
    assert rows.cursor == Cursor(1, rows.count)
    assert not (first.inputs == second.inputs).all()
    every = rows.take(list(range(rows.count)))
    for some in (first, second):
        assert sorted(some.inputs.tolist()) == sorted(every.inputs.tolist())
        assert sorted(some.targets.tolist()) == sorted(every.targets.tolist())


def test_the_cursor_goes_on_with_the_next_row(shards: Path) -> None:
    opened = open_shards(shards)
    rows, later = (Rows(opened.split("train", 2), 32, opened.vocab_size, seed=3) for _ in range(2))
    rows.next(rows.count - 2)
    later.cursor = Cursor(rows.cursor.epoch, rows.cursor.position)
    assert (rows.next(7).inputs == later.next(7).inputs).all()


def test_heldout_rows_are_spread_over_the_split(shards: Path) -> None:
    opened = open_shards(shards)
    rows = Rows(opened.split("train", 2), 32, opened.vocab_size, seed=3)
    spread = rows.spread(5).inputs
    assert spread.shape == (5, 32)
    assert (spread[0] == rows.take([0]).inputs[0]).all()
    assert (spread[-1] == rows.take([rows.count - 1]).inputs[0]).all()
    assert rows.spread(10**9).inputs.shape == (rows.count, 32)


def test_broken_folders_are_one_line(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        open_shards(tmp_path / "none")
    with pytest.raises(DataError, match="no split 'test'"):
        open_shards(copy).split("test", 2)
    with pytest.raises(DataError, match="fewer than one row"):
        open_shards(copy).split("validation", 10**6)
    edit(copy, lambda h: h.update(format="other"))
    with pytest.raises(DataError, match=r"tokens.json: format: 'curate-tokens-1' was expected"):
        open_shards(copy)


def test_a_shard_of_the_wrong_size_is_refused(copy: Path) -> None:
    with (copy / "train-1.bin").open("ab") as stream:
        stream.write(b"\0\0")
    with pytest.raises(DataError, match=r"train-1.bin: has \d+ bytes, tokens.json says \d+"):
        open_shards(copy)
    (copy / "train-1.bin").unlink()
    with pytest.raises(DataError, match=r"train-1.bin: cannot be read"):
        open_shards(copy)


def test_verify_reads_the_content(copy: Path) -> None:
    open_shards(copy).verify()
    content = bytearray((copy / "train-0.bin").read_bytes())
    content[10] ^= 1
    (copy / "train-0.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"train-0.bin: its content is not what"):
        open_shards(copy).verify()


def test_an_id_past_the_vocabulary_is_refused(copy: Path) -> None:
    edit(copy, lambda h: h.update(vocab_size=100, eos_id=0))
    opened = open_shards(copy)
    with pytest.raises(DataError, match="is not below vocab_size 100"):
        opened.verify()
    with pytest.raises(DataError, match="is not below vocab_size 100"):
        Rows(opened.split("train", 2), 32, opened.vocab_size, 0).next(8)


def test_rows_read_the_same_from_every_kind_of_file(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pairs(5, 1)
    plain = write_jsonl(tmp_path / "a.jsonl", rows)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + plain.read_bytes()))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(plain.read_bytes()))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    files = list_files(str(tmp_path))
    assert [f.name for f in files] == ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet"]
    for file in files:
        assert [row.value for row in read_rows(file)] == rows
    assert [row.where for row in read_rows(plain)][4] == f"{plain}:5"


def test_broken_files_name_the_line(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    for content, message in [
        (b'{"text": "a"}\n{"te', ":2: is not JSON"),
        (b'\n"a"\n', ":2: a row is an object"),
        (b'"\xff"\n', ":1: is not"),
    ]:
        file.write_bytes(content)
        with pytest.raises(DataError, match=message):
            list(read_rows(file))
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"text": "a"}\n' * 100)[:-9])
    with pytest.raises(DataError, match=r"b\.jsonl\.gz: cannot be read to its end"):
        list(read_rows(packed))
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is no readable Parquet file"):
        list(read_rows(tmp_path / "c.parquet"))
    with pytest.raises(DataError, match="no such file"):
        list_files(str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="cannot be read as rows"):
        list_files(__file__)


def test_the_keys_tell_the_format() -> None:
    assert format_of(Row("f:1", {"text": "a", "id": 3}), "auto") == "text"
    assert format_of(Row("f:1", {"instruction": "a", "output": "b"}), "auto") == "instruction"
    assert format_of(Row("f:1", {"messages": []}), "auto") == "chat"
    for value, expected, message in [
        ({"a": 1}, "auto", "f:1: keys a are those of no format"),
        ({"instruction": "a", "chosen": "b", "rejected": "c"}, "auto", "f:1: a preference row"),
        ({"text": "a"}, "chat", "f:1: a row of text among rows of chat"),
        ({"instruction": "a", "output": "b", "input": "c"}, "auto", "f:1: has an 'input'"),
    ]:
        with pytest.raises(DataError, match=message):
            format_of(Row("f:1", value), expected)


def test_the_heldout_share_is_stable_and_keeps_parents_together() -> None:
    rows = [Row("f", {"id": str(i), "parent_id": str(i // 4), "text": "x"}) for i in range(4000)]
    held = [in_heldout(row, 0.1, by_column=False) for row in rows]
    assert 0.05 < sum(held) / len(held) < 0.15
    assert all(len(set(held[i : i + 4])) == 1 for i in range(0, len(held), 4))
    assert all(in_heldout(row, 0.2, by_column=False) for row, h in zip(rows, held, strict=True) if h)


def test_a_split_column_decides_or_is_an_error() -> None:
    assert in_heldout(Row("f:1", {"split": "validation"}), 0.5, by_column=True)
    assert not in_heldout(Row("f:1", {"split": "train"}), 0.5, by_column=True)
    for value, by_column in [({"split": "test"}, True), ({}, True), ({"split": "train"}, False)]:
        with pytest.raises(DataError, match=r"^f:1: "):
            in_heldout(Row("f:1", value), 0.5, by_column=by_column)


def test_the_tokenizer_beside_the_shards_is_the_one_that_wrote_them(copy: Path) -> None:
    import schemas

    file = copy / "tokenizer" / "tokenizer.json"
    content = json.loads(file.read_text())
    edit(copy, lambda header: header.update(tokenizer_blake2b=schemas.tokenizer_digest(content)))
    open_shards(copy)
    content["model"]["merges"].pop()
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"is not the tokenizer that wrote the shards \(digest "):
        open_shards(copy)
    edit(copy, lambda header: header.update(vocab_size=header["vocab_size"] + 1))
    with pytest.raises(DataError, match=r"tokenizer\.json: has \d+ ids, and the shards of .* need \d+"):
        open_shards(copy)
    file.write_text("{}")
    with pytest.raises(DataError, match="not a tokenizer"):
        open_shards(copy)


def test_tokenizers_with_one_vocabulary_and_other_merges_are_two(copy: Path) -> None:
    from transformers import AutoTokenizer

    from train.tokenizer import same_ids

    own = AutoTokenizer.from_pretrained(copy / "tokenizer")
    own.save_pretrained(copy / "saved")
    assert same_ids(own, AutoTokenizer.from_pretrained(copy / "saved"))
    content = json.loads((copy / "saved" / "tokenizer.json").read_text())
    content["model"]["merges"].pop()
    (copy / "saved" / "tokenizer.json").write_text(json.dumps(content))
    other = AutoTokenizer.from_pretrained(copy / "saved")
    assert other.get_vocab() == own.get_vocab()
    assert not same_ids(own, other)
