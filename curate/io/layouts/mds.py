"""MosaicML streaming's MDS: a folder a split for `StreamingDataset(local=..., split=...)`, with one column `tokens`.

Facts from mosaicml/streaming streaming/base/format/mds (writer.py, reader.py, encodings.py): a shard is the number of samples
(uint32), where each begins and the last ends (uint32 each), the shard's facts as JSON, and the samples. A sample of one column
of no fixed size is its size (uint32) and its value; an `ndarray:int32` of any shape is a byte (dimensions << 2 | width of the
sizes: 0, 1, 2 for 1, 2, 4 bytes), the sizes, and the values. `index.json` lists the shards. Little-endian. int32 is what
mosaicml/llm-foundry writes and reads for the column `tokens`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError
from curate.io.token_shards import Documents

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.io.layouts import Files

__all__ = ["open_split", "write"]

SIZE_LIMIT = 1 << 26
"""Bytes of a shard, if no single document is more: what streaming's writer does when it is told nothing."""

FACTS: dict[str, Any] = {
    "column_encodings": ["ndarray:int32"],
    "column_names": ["tokens"],
    "column_sizes": [None],
    "compression": None,
    "format": "mds",
    "hashes": [],
    "size_limit": SIZE_LIMIT,
    "version": 2,
}


def write(out: Files, split: str, documents: Documents, vocab_size: int) -> None:
    """The shards of a split and their index. Memory: a few times SIZE_LIMIT, or of one document if it is more."""
    import numpy as np

    config = json.dumps(FACTS, sort_keys=True).encode()
    shards: list[dict[str, Any]] = []
    for i in range(documents.parts):
        part = documents.part(i)
        lengths = part.lengths()
        # Bytes of a sample with its place in the head.
        ends = np.cumsum(_heads(lengths) + 4 * lengths + 4)
        first = 0
        while first < len(part):
            begin = int(ends[first - 1]) if first else 0
            last = max(first + 1, int(np.searchsorted(ends, begin + SIZE_LIMIT - 8 - len(config), "right")))
            if int(ends[last - 1]) - begin + 8 + len(config) >= 1 << 32:
                raise InputError("layout mds: a document is 4 GiB or more; split it first")
            name = f"shard.{len(shards):05d}.mds"
            with out.writing(f"{split}/{name}") as file:
                values = part.joined(first, last).astype("<i4")
                for data in _shard(lengths[first:last], values, config):
                    file.write(data)
                shards.append(
                    {
                        **FACTS,
                        "raw_data": {"basename": name, "bytes": file.size, "hashes": {}},
                        "samples": last - first,
                        "zip_data": None,
                    }
                )
            first = last
    out.json(f"{split}/index.json", {"shards": shards, "version": 2})


def _heads(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes before the ids of each sample: size, shape byte, and the one dimension in 1, 2 or 4 bytes."""
    import numpy as np

    return np.int64(5) + np.where(lengths < 1 << 8, 1, np.where(lengths < 1 << 16, 2, 4))


def _shard(lengths: NDArray[np.int64], values: NDArray[np.int32], config: bytes) -> Iterator[bytes | memoryview]:
    """The bytes of one shard. O(bytes), without a loop over samples."""
    import numpy as np

    n = len(lengths)
    heads = _heads(lengths)
    sizes = heads + 4 * lengths
    ends = np.cumsum(sizes)
    starts = ends - sizes
    places = np.concatenate([[0], ends]) + 4 + 4 * (n + 1) + len(config)
    yield np.concatenate([[n], places]).astype("<u4").tobytes() + config
    body = np.empty(int(ends[-1]), np.uint8)
    is_value = np.ones(len(body), np.bool_)
    widths = heads - 5
    # Size of the value, the shape byte (one dimension), and the dimension: byte by byte over all samples at once.
    dimension = np.where(widths == 4, 2, widths - 1) | 1 << 2
    for place in range(4):
        body[starts + place] = (sizes - 4) >> (8 * place) & 255
        is_value[starts + place] = False
    body[starts + 4] = dimension
    is_value[starts + 4] = False
    for place in range(4):
        wide = starts[widths > place] + 5 + place
        body[wide] = lengths[widths > place] >> (8 * place) & 255
        is_value[wide] = False
    body[is_value] = values.view(np.uint8)
    yield body.data


class _Shard:
    """One shard, mapped."""

    def __init__(self, path: Path, samples: int) -> None:
        import numpy as np

        self._data = np.memmap(path, np.uint8, mode="r")
        if int(self._data[:4].view("<u4")[0]) != samples:
            raise InputError(f"{path}: does not hold the {samples} samples that its index.json says; tokenize again")
        self._places = self._data[4 : 8 + 4 * samples].view("<u4")

    def __len__(self) -> int:
        return len(self._places) - 1

    def __getitem__(self, i: int, /) -> NDArray[Any]:
        begin, end = int(self._places[i]), int(self._places[i + 1])
        width = 1 << (int(self._data[begin + 4]) & 3)
        found: NDArray[Any] = self._data[begin + 5 + width : end].copy().view("<i4")
        return found

    def lengths(self) -> NDArray[np.int64]:
        import numpy as np

        # Without the size and the shape byte there are 1, 2 or 4 bytes, and 4 for each id.
        places = self._places.astype(np.int64)
        return (places[1:] - places[:-1] - 6) // 4

    def joined(self, first: int, last: int, /) -> NDArray[Any]:
        import numpy as np

        return np.concatenate([self[i] for i in range(first, last)])


def open_split(folder: Path, split: str, eos_id: int) -> Documents:
    """The documents of a split's shards."""
    shards = json.loads((folder / split / "index.json").read_bytes())["shards"]
    return Documents(
        [shard["samples"] for shard in shards],
        lambda i: _Shard(folder / split / shards[i]["raw_data"]["basename"], shards[i]["samples"]),
    )
