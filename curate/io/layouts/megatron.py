"""Megatron-LM's indexed dataset: `SPLIT_text_document.bin` and `.idx`, the prefix being what its `--data-path` takes.

Facts from NVIDIA/Megatron-LM megatron/core/datasets/indexed_dataset.py: `.bin` is the ids alone; `.idx` is `MMIDIDX` and two
zero bytes, version 1 (uint64), the code of the kind of number (uint8: 4 int32, 8 uint16), how many sequences and how many
document marks (uint64 each), the length of each sequence (int32), where each begins in bytes (int64), and the number of the
sequence at which each document begins, with one more at the end (int64). Little-endian. A sequence here is a document.
Ids are uint16 for vocabularies below 65,500, else int32.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError
from curate.io.token_shards import Documents, Stream, blocks

if TYPE_CHECKING:
    from curate.io.layouts import Files

__all__ = ["open_split", "write"]

MAGIC = b"MMIDIDX\0\0"
CODES = {4: "<i4", 8: "<u2"}
_HEAD = struct.Struct("<9sQBQQ")
_STEP = 1 << 20
"""Document marks that are written together."""


def _prefix(split: str) -> str:
    """As Megatron's preprocessing names what it makes of the key `text`."""
    return f"{split}_text_document"


def write(out: Files, split: str, documents: Documents, vocab_size: int) -> None:
    """One pair of files. Memory: the positions of one part. Raises InputError for a document of 2^31 tokens or more."""
    import numpy as np

    code = 8 if vocab_size < 65_500 else 4
    stored = np.dtype(CODES[code])
    with out.writing(f"{_prefix(split)}.bin") as file:
        for i in range(documents.parts):
            for _, _, ids in blocks(documents.part(i)):
                file.write(ids.astype(stored).tobytes())
    n = len(documents)
    with out.writing(f"{_prefix(split)}.idx") as file:
        file.write(_HEAD.pack(MAGIC, 1, code, n, n + 1))
        for i in range(documents.parts):
            lengths = documents.part(i).lengths()
            if len(lengths) and int(lengths.max()) >= 1 << 31:
                raise InputError("layout megatron: a document has 2^31 tokens or more; split it first")
            file.write(lengths.astype("<i4").tobytes())
        begin = 0
        for i in range(documents.parts):
            ends = np.cumsum(documents.part(i).lengths(), dtype=np.int64) * stored.itemsize
            file.write((begin + np.concatenate([[0], ends])[:-1]).astype("<i8").tobytes())
            begin += int(ends[-1]) if len(ends) else 0
        for first in range(0, n + 1, _STEP):
            file.write(np.arange(first, min(first + _STEP, n + 1), dtype="<i8").tobytes())


def open_split(folder: Path, split: str, eos_id: int) -> Documents:
    """The documents of a pair of files. Raises InputError for another header or sizes that do not fit."""
    import numpy as np

    idx, path = folder / f"{_prefix(split)}.idx", folder / f"{_prefix(split)}.bin"
    size = idx.stat().st_size
    with idx.open("rb") as file:
        head = file.read(_HEAD.size)
    magic, version, code, n, marks = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0, 0, 0, 0)
    if (magic, version) != (MAGIC, 1) or code not in CODES or size != _HEAD.size + 12 * n + 8 * marks:
        raise InputError(f"{idx}: not an index of Megatron-LM, or cut off; tokenize again")
    lengths = np.memmap(idx, "<i4", mode="r", offset=_HEAD.size, shape=(n,)) if n else np.zeros(0, np.int32)
    positions = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    tokens: Any = np.memmap(path, CODES[code], mode="r") if path.stat().st_size else np.zeros(0, CODES[code])
    if len(tokens) != positions[-1]:
        raise InputError(f"{path}: has {len(tokens)} tokens, {idx.name} says {int(positions[-1])}; tokenize again")
    return Documents([n], lambda _: Stream(tokens, positions))
