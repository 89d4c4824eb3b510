"""nanoGPT's token files: `train.bin` and `val.bin`, the ids of all documents one after another as uint16, no header.

Facts from karpathy/nanoGPT data/openwebtext/prepare.py: each document is closed by the end-of-text id; the files are read with
`numpy.memmap(file, dtype=numpy.uint16)`. Other splits keep their names. (The `.bin` of llm.c and modded-nanogpt, which have a
header of 256 numbers, are another layout.)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.io.token_shards import BLOCK, Documents, Stream, blocks

if TYPE_CHECKING:
    from curate.io.layouts import Files

__all__ = ["open_split", "write"]


def _name(split: str) -> str:
    return "val.bin" if split == "validation" else f"{split}.bin"


def write(out: Files, split: str, documents: Documents, vocab_size: int) -> None:
    """One file. Ids are below 65536: see `check_layout`."""
    with out.writing(_name(split)) as file:
        for i in range(documents.parts):
            for _, _, ids in blocks(documents.part(i)):
                file.write(ids.astype("<u2").tobytes())


def open_split(folder: Path, split: str, eos_id: int) -> Documents:
    """The documents of a file: it has no index, so the whole is looked through for the ids that close them. 8 bytes each."""
    import numpy as np

    path = folder / _name(split)
    tokens: Any = np.memmap(path, "<u2", mode="r") if path.stat().st_size else np.zeros(0, "<u2")
    ends = [np.flatnonzero(tokens[i : i + BLOCK] == eos_id) + i + 1 for i in range(0, len(tokens), BLOCK)]
    positions = np.concatenate([np.zeros(1, np.int64), *ends])
    if positions[-1] != len(tokens):
        positions = np.append(positions, len(tokens))
    return Documents([len(positions) - 1], lambda _: Stream(tokens, positions))
