"""Token shards: the ids of tokenized documents on disk, as `schemas/tokens.json` says.

A shard is `NAME.bin`, the ids of its documents one after another (little-endian uint16 or uint32, no header), and `NAME.idx`,
documents + 1 little-endian uint64 positions: document i is tokens[idx[i]:idx[i+1]]. Where only some tokens are trained on,
`NAME.mask` is a byte for each token, 1 or 0. Where documents are packed into rows of training, `NAME.rows` is rows + 1
little-endian uint64 numbers: row i is the documents rows[i] to rows[i+1]. `tokens.json` beside them names the shards of each
split, with their counts and checksums.

To read them: `open_split(folder, "train")` is a sequence of documents, mapped and not loaded. A place in it is one number, that
of the next document, so that whoever reads can stop, keep the number, and go on with `iterate(number)`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

from curate.errors import InputError, OutputError, nearest
from curate.io.files import atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "HEADER",
    "Documents",
    "Part",
    "ShardWriter",
    "Stream",
    "TokenDtype",
    "blocks",
    "dtype_for",
    "open_split",
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

    def __init__(self, file: IO[bytes], name: str, dtype: TokenDtype, mask: IO[bytes] | None = None) -> None:
        import numpy as np

        self.name = name
        self.rows: NDArray[np.int64] | None = None
        """Documents in each row, where documents are packed into rows."""
        self._file = file
        self._mask = mask
        self._mask_hash = hashlib.blake2b(digest_size=16)
        self._trained = 0
        self._stored = np.dtype(dtype).newbyteorder("<")
        self._lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        self._hash = hashlib.blake2b(digest_size=16)
        self._bytes = 0

    def add(
        self, tokens: NDArray[Any], lengths: NDArray[np.int64], text_bytes: int, mask: NDArray[np.uint8] | None = None
    ) -> None:
        """Append documents: their `tokens` one after another, how many each has, and the UTF-8 bytes that all stand for.

        `mask`: which tokens are trained on, for a shard that has one.
        """
        if len(tokens) and int(tokens.max()) > (most := _most(self._stored)):
            raise OutputError(f"{self.name}: id {int(tokens.max())} is over {most}, the most that {self._stored.name} holds")
        data = tokens.astype(self._stored).data
        self._file.write(data)
        self._hash.update(data)
        self._lengths.append(lengths)
        self._bytes += text_bytes
        if self._mask is not None:
            assert mask is not None
            self._mask.write(mask.tobytes())
            self._mask_hash.update(mask.tobytes())
            self._trained += int(mask.sum())

    def positions(self) -> NDArray[np.uint64]:
        """Where each document begins, and where the last ends."""
        import numpy as np

        return np.cumsum(np.concatenate(self._lengths)).astype("<u8")

    def entry(self) -> dict[str, Any]:
        """The shard's entry in `tokens.json`."""
        positions = self.positions()
        entry = {
            "file": self.name,
            "tokens": int(positions[-1]),
            "documents": len(positions) - 1,
            "bytes": self._bytes,
            "blake2b": self._hash.hexdigest(),
        }
        if self._mask is not None:
            entry |= {"trained": self._trained, "mask_blake2b": self._mask_hash.hexdigest()}
        return entry | ({} if self.rows is None else {"rows": len(self.rows)})


def _most(dtype: Any) -> int:
    """The largest number of a kind of number."""
    import numpy as np

    return int(np.iinfo(dtype).max)


@contextlib.contextmanager
def writing_shard(folder: Path, name: str, dtype: TokenDtype, *, masked: bool = False) -> Iterator[ShardWriter]:
    """Write the shard `name`: its files appear, whole, when the block ends well, in place of any of the same name.

    Raises OutputError when they cannot be written.
    """
    with contextlib.ExitStack() as files:
        file = files.enter_context(atomic(folder / f"{name}.bin"))
        mask = files.enter_context(atomic(folder / f"{name}.mask")) if masked else None
        shard = ShardWriter(file, name, dtype, mask)
        yield shard
        with atomic(folder / f"{name}.idx") as positions:
            positions.write(shard.positions().tobytes())
        if shard.rows is not None:
            import numpy as np

            with atomic(folder / f"{name}.rows") as rows:
                rows.write(np.concatenate([[0], np.cumsum(shard.rows)]).astype("<u8").tobytes())


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

    Raises InputError when the files, mask and rows too, are missing or do not have the sizes that `entry` says; with `check`
    also when a checksum differs, for which the whole file is read.
    """
    import numpy as np

    path, idx, mask, rows = (folder / f"{entry['file']}.{kind}" for kind in ("bin", "idx", "mask", "rows"))
    stored = np.dtype(dtype).newbyteorder("<")
    sizes = {path: entry["tokens"] * stored.itemsize, idx: (entry["documents"] + 1) * 8}
    sizes |= {mask: entry["tokens"]} if "mask_blake2b" in entry else {}
    sizes |= {rows: (entry["rows"] + 1) * 8} if "rows" in entry else {}
    for file, size in sizes.items():
        if not file.is_file():
            raise InputError(f"{file}: missing, but {HEADER} names it; tokenize again")
        if file.stat().st_size != size:
            raise InputError(f"{file}: has {file.stat().st_size} bytes, {HEADER} says {size}; tokenize again")
    # An empty file cannot be mapped.
    tokens: NDArray[Any] = np.memmap(path, stored, mode="r") if entry["tokens"] else np.zeros(0, stored)
    positions: NDArray[np.uint64] = np.memmap(idx, "<u8", mode="r")
    if positions[0] != 0 or positions[-1] != entry["tokens"]:
        raise InputError(f"{idx}: does not run from 0 to {entry['tokens']}; tokenize again")
    for file, kind in ((path, "blake2b"), (mask, "mask_blake2b")):
        if not check or kind not in entry:
            continue
        with file.open("rb") as handle:
            found = hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        if found != entry[kind]:
            raise InputError(f"{file}: its BLAKE2b is {found}, {HEADER} says {entry[kind]}; tokenize again")
    return tokens, positions


def open_split(folder: str | Path, split: str) -> Documents:
    """The documents of a split of a folder of token shards: `len(documents)`, `documents[i]`, `documents.iterate(start)`.

    Files are checked by their size when they are first needed. Raises InputError for a folder without a header, a split that
    is not there, or a shard that is missing or cut off.
    """
    return Documents.of(Path(folder), read_header(Path(folder)), split)


class Part(Protocol):
    """Some documents in a row: one file, usually."""

    def __len__(self) -> int:
        """How many documents."""
        ...

    def __getitem__(self, i: int, /) -> NDArray[Any]:
        """The ids of document i, its end-of-text id last."""
        ...

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every document."""
        ...

    def joined(self, first: int, last: int, /) -> NDArray[Any]:
        """The ids of documents first to last - 1, one after another."""
        ...


BLOCK = 1 << 22
"""Tokens that are looked at together."""


def blocks(part: Part) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Documents first to last - 1 and their ids, about BLOCK of them at a time, or one longer document."""
    import numpy as np

    ends = np.cumsum(part.lengths())
    first = 0
    while first < len(part):
        begin = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, begin + BLOCK, "right")))
        yield first, last, part.joined(first, last)
        first = last


class Stream:
    """Documents one after another in one array: `tokens[positions[i]:positions[i + 1]]` is document i."""

    def __init__(self, tokens: NDArray[Any], positions: NDArray[Any]) -> None:
        self.tokens, self.positions = tokens, positions

    def __len__(self) -> int:
        return len(self.positions) - 1

    def __getitem__(self, i: int, /) -> NDArray[Any]:
        return self.tokens[int(self.positions[i]) : int(self.positions[i + 1])]

    def lengths(self) -> NDArray[np.int64]:
        import numpy as np

        positions = self.positions.astype(np.int64)
        return positions[1:] - positions[:-1]

    def joined(self, first: int, last: int, /) -> NDArray[Any]:
        return self.tokens[int(self.positions[first]) : int(self.positions[last])]


class Documents:
    """The documents of one split by their number, over all its parts; a part is opened when it is first needed.

    `len(documents)`, `documents[i]` (O(log parts), no copy), `documents.iterate(start)`.
    """

    def __init__(self, counts: Sequence[int], open: Callable[[int], Part]) -> None:
        """`counts`: documents of each part. `open(i)`: part i."""
        import numpy as np

        self.parts = len(counts)
        self._ends = np.cumsum(np.asarray(counts, np.int64)) if counts else np.zeros(0, np.int64)
        self._open = open
        self._opened: dict[int, Part] = {}

    @classmethod
    def of(cls, folder: Path, header: dict[str, Any], split: str) -> Documents:
        """One split of a folder of token shards, `header` being its `read_header`.

        Raises InputError for a split that is not there; a shard that is broken is told when it is opened.
        """
        entries = header["splits"].get(split)
        if entries is None:
            raise InputError(f"{folder / HEADER}: there is no split '{split}'{nearest(split, header['splits'])}")
        dtype = header["dtype"]
        return cls([entry["documents"] for entry in entries], lambda i: Stream(*read(folder, entries[i], dtype)))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def part(self, i: int) -> Part:
        """Part i."""
        if i not in self._opened:
            self._opened[i] = self._open(i)
        return self._opened[i]

    def __getitem__(self, i: int) -> NDArray[Any]:
        """The ids of document i, its end-of-text id last. Raises IndexError."""
        if not 0 <= i < len(self):
            raise IndexError(f"document {i} of {len(self)}")
        part = int(self._ends.searchsorted(i, "right"))
        first = int(self._ends[part - 1]) if part else 0
        return self.part(part)[i - first]

    def iterate(self, start: int = 0) -> Iterator[tuple[int, NDArray[Any]]]:
        """Documents from number `start` on, each with the number to go on from after it."""
        for i in range(start, len(self)):
            yield i + 1, self[i]
