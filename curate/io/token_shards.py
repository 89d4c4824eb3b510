"""Token shards: the ids of tokenized documents on disk, as `schemas/tokens.json` says.

A shard is `NAME.bin`, the ids of its documents one after another (little-endian uint16 or uint32, no header), and `NAME.idx`,
documents + 1 little-endian uint64 positions: document i is tokens[idx[i]:idx[i+1]], its last token the end-of-text id.
`tokens.json` beside them names the shards of each split, with their counts and checksums.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from curate.errors import InputError, OutputError
from curate.io.files import atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "HEADER",
    "ShardWriter",
    "TokenDtype",
    "dtype_for",
    "read",
    "read_header",
    "write_header",
    "writing_shard",
]

HEADER = "tokens.json"

TokenDtype = Literal["uint16", "uint32"]


def dtype_for(vocab_size: int) -> TokenDtype:
    """The narrowest kind of number that holds every id below `vocab_size`: uint16 up to 65536 ids, else uint32."""
    return "uint16" if vocab_size <= 1 << 16 else "uint32"


class ShardWriter:
    """A shard being written, batch by batch, in memory of one batch and 8 bytes a document. See `writing_shard`."""

    def __init__(self, file: IO[bytes], name: str, dtype: TokenDtype) -> None:
        import numpy as np

        self.name = name
        self._file = file
        self._stored = np.dtype(dtype).newbyteorder("<")
        self._lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._hash = hashlib.blake2b(digest_size=16)
        self._bytes = 0

    def add(self, tokens: NDArray[Any], lengths: NDArray[np.int64], text_bytes: int) -> None:
        """Append documents: their `tokens` one after another, how many each has, and the UTF-8 bytes that all stand for."""
        data = tokens.astype(self._stored, copy=False).tobytes()
        self._file.write(data)
        self._hash.update(data)
        self._lengths.append(lengths)
        self._bytes += text_bytes

    def positions(self) -> NDArray[np.uint64]:
        """Where each document begins, and where the last ends."""
        import numpy as np

        return np.cumsum(np.concatenate(self._lengths)).astype("<u8")

    def entry(self) -> dict[str, Any]:
        """The shard's entry in `tokens.json`."""
        positions = self.positions()
        return {
            "file": self.name,
            "tokens": int(positions[-1]),
            "documents": len(positions) - 1,
            "bytes": self._bytes,
            "blake2b": self._hash.hexdigest(),
        }


@contextlib.contextmanager
def writing_shard(folder: Path, name: str, dtype: TokenDtype) -> Iterator[ShardWriter]:
    """Write the shard `name`: both files appear, whole, when the block ends well, in place of any of the same name.

    Raises OutputError when they cannot be written.
    """
    with atomic(folder / f"{name}.bin") as file:
        shard = ShardWriter(file, name, dtype)
        yield shard
        with atomic(folder / f"{name}.idx") as positions:
            positions.write(shard.positions().tobytes())


def write_header(folder: Path, header: dict[str, Any]) -> None:
    """Write `tokens.json`. Raises OutputError when `header` is not what the schema says, or it cannot be written."""
    import jsonschema

    from schemas import load

    try:
        jsonschema.validate(header, load("tokens"))
    except jsonschema.ValidationError as error:
        raise OutputError(f"{folder / HEADER}: {error.json_path}: {error.message}") from error
    with atomic(folder / HEADER) as file:
        file.write((json.dumps(header, indent=2, ensure_ascii=False) + "\n").encode())


def read_header(folder: Path) -> dict[str, Any]:
    """`tokens.json` of a folder of token shards, checked against the schema. Raises InputError."""
    import jsonschema

    from schemas import load

    path = folder / HEADER
    try:
        header: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.validate(header, load("tokens"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; `curate tokenize` writes such folders") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except jsonschema.ValidationError as error:
        raise InputError(f"{path}: {error.json_path}: {error.message}") from error
    return header


def read(
    folder: Path, entry: dict[str, Any], dtype: TokenDtype, *, check: bool = False
) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """One shard: its tokens (mapped, not loaded) and its documents + 1 positions.

    Raises InputError when the files are missing or do not have the sizes that `entry` says; with `check` also when the
    checksum differs, for which the whole file is read.
    """
    import numpy as np

    path, idx = folder / f"{entry['file']}.bin", folder / f"{entry['file']}.idx"
    stored = np.dtype(dtype).newbyteorder("<")
    for file, size in ((path, entry["tokens"] * stored.itemsize), (idx, (entry["documents"] + 1) * 8)):
        if not file.is_file():
            raise InputError(f"{file}: missing, but {HEADER} names it; tokenize again")
        if file.stat().st_size != size:
            raise InputError(f"{file}: has {file.stat().st_size} bytes, {HEADER} says {size}; tokenize again")
    # An empty file cannot be mapped.
    tokens: NDArray[Any] = np.memmap(path, stored, mode="r") if entry["tokens"] else np.zeros(0, stored)
    positions = np.fromfile(idx, "<u8")
    if positions[0] != 0 or positions[-1] != entry["tokens"]:
        raise InputError(f"{idx}: does not run from 0 to {entry['tokens']}; tokenize again")
    if check:
        with path.open("rb") as handle:
            found = hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        if found != entry["blake2b"]:
            raise InputError(f"{path}: its BLAKE2b is {found}, {HEADER} says {entry['blake2b']}; tokenize again")
    return tokens, positions
