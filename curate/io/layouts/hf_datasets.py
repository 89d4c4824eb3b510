"""Hugging Face `datasets`: a folder that `load_from_disk` loads, its splits with one column `input_ids` (lists of int32).

Facts from huggingface/datasets src/datasets/arrow_dataset.py and dataset_dict.py: `dataset_dict.json` names the splits. Each
has a folder with `data-NNNNN-of-NNNNN.arrow` (Arrow's stream format), `state.json` (the files and a fingerprint) and
`dataset_info.json` (the features). The files are mapped, not loaded.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError
from curate.io.files import atomic
from curate.io.token_shards import Documents, blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.io.layouts import Files
    from curate.io.token_shards import Part

__all__ = ["finish", "open_split", "write"]

COLUMN = "input_ids"


def write(out: Files, split: str, documents: Documents, vocab_size: int) -> None:
    """A folder with an Arrow file for each part. Memory: a batch of some millions of tokens, or one document if it has more."""
    import datasets
    import pyarrow as pa

    features = datasets.Features({COLUMN: datasets.List(datasets.Value("int32"))})
    schema = features.arrow_schema
    names = [f"data-{i:05d}-of-{documents.parts:05d}.arrow" for i in range(documents.parts)]
    for i, name in enumerate(names):
        with out.writing(f"{split}/{name}") as file, pa.ipc.new_stream(pa.PythonFile(file, "w"), schema) as stream:
            for batch in _batches(documents.part(i), schema):
                stream.write_batch(batch)
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in names],
        # Of the content, so that the same rows are the same dataset to the cache of `datasets`.
        "_fingerprint": _fingerprint(out, split),
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    out.json(f"{split}/state.json", state)
    out.json(f"{split}/dataset_info.json", dataclasses.asdict(datasets.DatasetInfo(features=features)))


def finish(folder: Path, splits: list[str]) -> None:
    """Name the splits of the folder."""
    with atomic(folder / "dataset_dict.json") as file:
        file.write(json.dumps({"splits": splits}).encode())


def _fingerprint(out: Files, split: str) -> str:
    import hashlib

    digests = [entry["blake2b"] for entry in out.written]
    return hashlib.blake2b(json.dumps([split, digests]).encode(), digest_size=8).hexdigest()


def _batches(part: Part, schema: Any) -> Iterator[Any]:
    """The documents of a part as record batches of about BLOCK tokens. A document of 2^31 tokens is an InputError."""
    import numpy as np
    import pyarrow as pa

    lengths = part.lengths()
    for first, last, ids in blocks(part):
        if len(ids) >= 1 << 31:
            raise InputError("layout datasets: a document has 2^31 tokens or more; split it first")
        offsets = np.concatenate([[0], np.cumsum(lengths[first:last])]).astype(np.int32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids.astype(np.int32)))
        yield pa.record_batch([lists.cast(schema.field(COLUMN).type)], schema=schema)


class _Table:
    """One Arrow file, mapped."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        try:
            self._lists = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()[COLUMN]
        except (pa.ArrowException, KeyError) as error:
            raise InputError(f"{path}: not an Arrow file with a column {COLUMN}: {error}") from error

    def __len__(self) -> int:
        return len(self._lists)

    def __getitem__(self, i: int, /) -> NDArray[Any]:
        found: NDArray[Any] = self._lists[i].values.to_numpy()
        return found

    def lengths(self) -> NDArray[np.int64]:
        import numpy as np
        import pyarrow.compute as pc

        return np.asarray(pc.list_value_length(self._lists).to_numpy(), np.int64)

    def joined(self, first: int, last: int, /) -> NDArray[Any]:
        found: NDArray[Any] = self._lists.slice(first, last - first).combine_chunks().flatten().to_numpy()
        return found


def open_split(folder: Path, split: str, eos_id: int) -> Documents:
    """The documents of a split's Arrow files."""
    state = json.loads((folder / split / "state.json").read_bytes())
    tables = [_Table(folder / split / entry["filename"]) for entry in state["_data_files"]]
    return Documents([len(table) for table in tables], tables.__getitem__)
