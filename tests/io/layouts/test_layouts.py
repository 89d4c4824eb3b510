"""Shards in other tools' layouts: what their owners read is what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError, OutputError
from curate.io import layouts, token_shards
from curate.io.layouts import check_layout, mds, open_layout, read_record, verify_files, write_layout
from curate.io.token_shards import Documents, writing_shard
from tests.io.layouts.owners import read_all

LAYOUTS: list[layouts.Layout] = ["megatron", "nanogpt", "datasets", "mds"]
EOS = 7


def written(folder: Path, layout: layouts.Layout, splits: dict[str, list[list[list[int]]]], vocab_size: int) -> dict[str, Any]:
    """Write splits, each a list of parts of documents, first as shards of ours and then in a layout. Returns its record."""
    dtype = token_shards.dtype_for(vocab_size)
    entries: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}
    for split, parts in splits.items():
        for i, documents in enumerate(parts):
            with writing_shard(folder / "ours", f"{split}-{i:05d}", dtype) as shard:
                tokens = np.array([token for document in documents for token in document], np.uint32)
                shard.add(tokens, np.array(list(map(len, documents)), np.int64), 5)
            entries[split].append(shard.entry())
    header = {"dtype": dtype, "splits": entries}
    counts = {
        name: {kind: sum(e[kind] for e in some) for kind in ("documents", "tokens", "bytes")} for name, some in entries.items()
    }
    about = {"vocab_size": vocab_size, "eos_id": EOS, "tokenizer": "tokenizer", "tokenizer_blake2b": "0" * 32}
    documents = {split: Documents.of(folder / "ours", header, split) for split in splits}
    write_layout(layout, folder / "out", documents, counts, about)
    return read_record(folder / "out")


def expected(layout: str, parts: list[list[list[int]]]) -> Any:
    every = [document for part in parts for document in part]
    return [token for document in every for token in document] if layout == "nanogpt" else every


SPLITS = {
    # One document each side of where the size of a dimension takes another byte.
    "train": [
        [[1, 2, EOS], [EOS], [9] * 255 + [EOS], [8] * 254 + [EOS]],
        [[3] * 65_535 + [EOS], [4] * 65_534 + [EOS], [5, EOS]],
    ],
    "validation": [[[600, EOS]]],
    "test": [[], [[999, EOS], [1, EOS]]],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("vocab_size", [1000, 65_499, 65_500, 65_536, 200_000])
def test_every_document_is_read_back_by_a_reader_of_the_layout(tmp_path: Path, layout: layouts.Layout, vocab_size: int) -> None:
    if layout == "nanogpt" and vocab_size > 1 << 16:
        with pytest.raises(InputError, match="layout nanogpt holds ids below 65,536, and the tokenizer has 200,000"):
            check_layout(layout, vocab_size)
        return
    check_layout(layout, vocab_size)
    top = [[[vocab_size - 1, EOS]], *SPLITS["train"]]
    record = written(tmp_path, layout, {**SPLITS, "train": top}, vocab_size)
    for split, parts in {**SPLITS, "train": top}.items():
        assert read_all(layout, tmp_path / "out", split) == expected(layout, parts)
        ours = open_layout(tmp_path / "out", record, split)
        every = [document for part in parts for document in part]
        assert [ours[i].tolist() for i in range(len(ours))] == every
        assert np.concatenate([ours.part(i).lengths() for i in range(ours.parts)]).tolist() == list(map(len, every))
        joined = [token_shards.blocks(ours.part(i)) for i in range(ours.parts)]
        assert [ids.tolist() for some in joined for _, _, ids in some if len(ids)]
        verify_files(tmp_path / "out", record, split)
        facts = record["splits"][split]
        assert (facts["documents"], facts["tokens"]) == (len(every), sum(map(len, every)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_documents(tmp_path_factory: pytest.TempPathFactory, layout: layouts.Layout) -> None:
    document = st.lists(st.integers(8, 65_535), max_size=6).map(lambda ids: [*ids, EOS])

    @settings(deadline=None, max_examples=10)
    @given(st.lists(st.lists(document, max_size=5), min_size=1, max_size=3))
    def check(parts: list[list[list[int]]]) -> None:
        folder = tmp_path_factory.mktemp("any")
        record = written(folder, layout, {"train": parts}, 65_536)
        assert read_all(layout, folder / "out", "train") == expected(layout, parts)
        ours = open_layout(folder / "out", record, "train")
        assert [ids.tolist() for _, ids in ours.iterate()] == [document for part in parts for document in part]

    check()


def test_mds_starts_another_shard_at_its_limit_and_a_long_document_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mds, "SIZE_LIMIT", 1000)
    part = [[i] * 20 + [EOS] for i in range(10, 60)] + [[9] * 500 + [EOS], [1, EOS]]
    written(tmp_path, "mds", {"train": [part]}, 1000)
    shards = json.loads((tmp_path / "out/train/index.json").read_text())["shards"]
    assert read_all("mds", tmp_path / "out", "train") == part
    sizes = [(shard["samples"], shard["raw_data"]["bytes"]) for shard in shards]
    assert all(size <= 1000 for samples, size in sizes if samples > 1)
    assert any(samples == 1 and size > 2000 for samples, size in sizes)
    assert len(sizes) > 5


def test_large_parts_are_written_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_shards, "BLOCK", 30)
    parts = [[[i] * (i % 13) + [EOS] for i in range(10, 200)], [[9] * 100 + [EOS]]]
    for layout in LAYOUTS:
        written(tmp_path / layout, layout, {"train": parts}, 1000)
        assert read_all(layout, tmp_path / layout / "out", "train") == expected(layout, parts)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damage_is_found(tmp_path: Path, layout: layouts.Layout) -> None:
    record = written(tmp_path, layout, SPLITS, 1000)
    out = tmp_path / "out"
    entry = record["splits"]["train"]["files"][0]
    path = out / entry["file"]
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(InputError, match=rf"{path.name}: its BLAKE2b is "):
        verify_files(out, record, "train")
    path.write_bytes(good[:-2])
    with pytest.raises(InputError, match=rf"{path.name}: has {len(good) - 2} bytes, shards\.json says {len(good)}"):
        open_layout(out, record, "train")
    path.unlink()
    with pytest.raises(InputError, match=rf"{path.name}: missing"):
        open_layout(out, record, "train")


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shards\.json: No such file"):
        read_record(tmp_path)
    (tmp_path / "shards.json").write_text("{")
    with pytest.raises(InputError, match=r"shards\.json: not JSON"):
        read_record(tmp_path)
    (tmp_path / "shards.json").write_text("{}")
    with pytest.raises(InputError, match="required property"):
        read_record(tmp_path)
    with pytest.raises(OutputError, match=r"shards\.json: "):
        write_layout("nanogpt", tmp_path, {}, {}, {"vocab_size": 0})


def test_megatron_itself_reads_them(tmp_path: Path) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    for vocab_size in (1000, 200_000):
        written(tmp_path / str(vocab_size), "megatron", SPLITS, vocab_size)
        for split, parts in SPLITS.items():
            found = indexed.IndexedDataset(str(tmp_path / str(vocab_size) / "out" / f"{split}_text_document"))
            assert [found[i].tolist() for i in range(len(found))] == expected("megatron", parts)
            assert found.document_indices.tolist() == list(range(len(found) + 1))


def test_mosaicml_streaming_itself_reads_them(tmp_path: Path) -> None:
    streaming = pytest.importorskip("streaming")
    written(tmp_path, "mds", SPLITS, 200_000)
    for split, parts in SPLITS.items():
        found = streaming.StreamingDataset(local=str(tmp_path / "out"), split=split, batch_size=1)
        assert [found[i]["tokens"].tolist() for i in range(found.num_samples)] == expected("mds", parts)
