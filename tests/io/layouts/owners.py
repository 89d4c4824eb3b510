"""Readers of other tools' shards, written from their descriptions in plain Python: nothing of curate is in them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any


def megatron(prefix: Path) -> list[list[int]]:
    """The documents of `prefix`.bin and .idx, sequence by sequence, with the checks of Megatron-LM's own reader."""
    data, index = prefix.with_name(prefix.name + ".bin").read_bytes(), prefix.with_name(prefix.name + ".idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, code, n, marks = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    letter, size = {4: ("i", 4), 8: ("H", 2)}[code]
    at = 9 + 8 + 1 + 8 + 8
    lengths = struct.unpack_from(f"<{n}i", index, at)
    pointers = struct.unpack_from(f"<{n}q", index, at + 4 * n)
    documents = struct.unpack_from(f"<{marks}q", index, at + 12 * n)
    assert len(index) == at + 12 * n + 8 * marks
    assert documents == tuple(range(n + 1))
    found = [
        list(struct.unpack_from(f"<{length}{letter}", data, begin)) for length, begin in zip(lengths, pointers, strict=True)
    ]
    assert sum(lengths) * size == len(data)
    return found


def nanogpt(path: Path) -> list[int]:
    """All ids of a file."""
    data = path.read_bytes()
    return list(struct.unpack(f"<{len(data) // 2}H", data))


def mds(folder: Path) -> list[list[int]]:
    """The column `tokens` of every sample of every shard."""
    index = json.loads((folder / "index.json").read_bytes())
    assert index["version"] == 2
    found = []
    for shard in index["shards"]:
        assert (shard["format"], shard["version"], shard["compression"], shard["zip_data"]) == ("mds", 2, None, None)
        assert (shard["column_names"], shard["column_encodings"], shard["column_sizes"]) == (
            ["tokens"],
            ["ndarray:int32"],
            [None],
        )
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        (samples,) = struct.unpack_from("<I", data)
        assert samples == shard["samples"]
        places = struct.unpack_from(f"<{samples + 1}I", data, 4)
        config = json.loads(data[8 + 4 * samples : places[0]])
        assert config.items() <= shard.items()
        assert places[-1] == len(data)
        found += [_sample(data[places[i] : places[i + 1]]) for i in range(samples)]
    return found


def _sample(data: bytes) -> list[int]:
    (size,) = struct.unpack_from("<I", data)
    value = data[4 : 4 + size]
    assert len(value) == len(data) - 4
    assert value[0] >> 2 == 1
    letter, width = {0: ("B", 1), 1: ("H", 2), 2: ("I", 4)}[value[0] & 3]
    (length,) = struct.unpack_from(f"<{letter}", value, 1)
    # The owner takes the narrowest width that holds the dimension.
    assert {0: 0, 1: 1 << 8, 2: 1 << 16}[value[0] & 3] <= length < 1 << (8 * width)
    return list(struct.unpack(f"<{length}i", value[1 + width :]))


def read_all(layout: str, folder: Path, split: str) -> Any:
    """The documents of a split; of nanoGPT's all ids in one list."""
    if layout == "megatron":
        return megatron(folder / f"{split}_text_document")
    if layout == "nanogpt":
        return nanogpt(folder / {"validation": "val.bin"}.get(split, f"{split}.bin"))
    if layout == "mds":
        return mds(folder / split)
    import datasets

    return list(datasets.load_from_disk(str(folder))[split]["input_ids"])
