from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError, OutputError
from curate.io.token_shards import HEADER, dtype_for, read, read_header, write_header, writing_shard


def write(folder: Path, documents: list[list[int]], dtype: Any = "uint16", name: str = "train-00000") -> dict[str, Any]:
    with writing_shard(folder, name, dtype) as shard:
        # Two batches, so that positions must count on.
        for part in (documents[: len(documents) // 2], documents[len(documents) // 2 :]):
            tokens = np.array([token for document in part for token in document], np.uint32)
            shard.add(tokens, np.array([len(document) for document in part], np.int64), 3 * len(part))
    return shard.entry()


def header(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "format": "curate-tokens-1",
        "dtype": "uint16",
        "vocab_size": 1000,
        "eos_id": 0,
        "tokenizer": "tokenizer",
        "splits": {"train": [entry]},
        **changes,
    }


@pytest.mark.parametrize(("dtype", "top"), [("uint16", 65535), ("uint32", 2**32 - 1)])
def test_documents_come_back(tmp_path_factory: pytest.TempPathFactory, dtype: Any, top: int) -> None:
    @settings(max_examples=50)
    @given(st.lists(st.lists(st.integers(0, top), max_size=5), max_size=8))
    def check(documents: list[list[int]]) -> None:
        folder = tmp_path_factory.mktemp("shards")
        entry = write(folder, documents, dtype)
        tokens, positions = read(folder, entry, dtype, check=True)
        ends = positions.tolist()
        assert [tokens[a:b].tolist() for a, b in itertools.pairwise(ends)] == documents
        assert entry["documents"] == len(documents)
        assert entry["tokens"] == sum(map(len, documents))
        assert entry["bytes"] == 3 * len(documents)

    check()


def test_the_bytes_on_disk_are_what_the_schema_says(tmp_path: Path) -> None:
    entry = write(tmp_path, [[1, 2, 0], [258, 0]])
    data = (tmp_path / "train-00000.bin").read_bytes()
    assert data == bytes([1, 0, 2, 0, 0, 0, 2, 1, 0, 0])
    assert (tmp_path / "train-00000.idx").read_bytes() == b"".join(n.to_bytes(8, "little") for n in (0, 3, 5))
    assert entry["blake2b"] == hashlib.blake2b(data, digest_size=16).hexdigest()
    write_header(tmp_path, header(entry))
    assert read_header(tmp_path) == header(entry)
    assert sorted(path.name for path in tmp_path.iterdir()) == [HEADER, "train-00000.bin", "train-00000.idx"]


def test_narrow_while_every_id_fits() -> None:
    assert [dtype_for(n) for n in (1, 65536, 65537)] == ["uint16", "uint16", "uint32"]


def test_an_interrupted_shard_leaves_nothing_and_spares_the_one_before(tmp_path: Path) -> None:
    entry = write(tmp_path, [[1, 0]])

    def interrupted() -> None:
        with writing_shard(tmp_path, "train-00000", "uint16") as shard:
            shard.add(np.array([9, 9, 9], np.uint32), np.array([3], np.int64), 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert read(tmp_path, entry, "uint16", check=True)[0].tolist() == [1, 0]
    assert len(list(tmp_path.iterdir())) == 2


def test_damage_is_found(tmp_path: Path) -> None:
    entry = write(tmp_path, [[1, 2, 0], [3, 0]])
    path, idx = tmp_path / "train-00000.bin", tmp_path / "train-00000.idx"
    good, good_idx = path.read_bytes(), idx.read_bytes()
    path.write_bytes(good[:-1])
    with pytest.raises(InputError, match=r"train-00000\.bin: has 9 bytes, tokens\.json says 10"):
        read(tmp_path, entry, "uint16")
    path.write_bytes(b"\7" + good[1:])
    with pytest.raises(InputError, match="BLAKE2b"):
        read(tmp_path, entry, "uint16", check=True)
    path.write_bytes(good)
    idx.write_bytes(good_idx[:16] + b"\6" + good_idx[17:])
    with pytest.raises(InputError, match="does not run from 0 to 5"):
        read(tmp_path, entry, "uint16")
    idx.unlink()
    with pytest.raises(InputError, match=r"train-00000\.idx: missing"):
        read(tmp_path, entry, "uint16")


def test_a_header_that_breaks_the_schema_is_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="vocab_size"):
        write_header(tmp_path, header({}, vocab_size=0))
    with pytest.raises(InputError, match=r"tokens\.json: No such file"):
        read_header(tmp_path)
    (tmp_path / HEADER).write_text("{\n oops")
    with pytest.raises(InputError, match=r"tokens\.json:2: not JSON"):
        read_header(tmp_path)
    (tmp_path / HEADER).write_text("{}")
    with pytest.raises(InputError, match="required property"):
        read_header(tmp_path)
