"""The order of documents, and which of them share a row: shuffled and packed through files, in bounded memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from curate.io.files import atomic
from curate.io.token_shards import TokenDtype, read, writing_shard
from curate.tokenizing.documents import pieces, spans

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.tokenizing.options import Arrangement

__all__ = ["PARTITIONS", "Notes", "Rows", "arrange", "packed"]

PARTITIONS = 64
"""Most shards that a split is arranged into."""

SHARD_TOKENS = 1 << 26
"""Tokens of a shard that documents are arranged into; more once there are PARTITIONS of them. What is packed together."""

CHUNK_TOKENS = 1 << 21
"""Tokens that are brought into their order at a time, in 40 MB of memory."""


class Notes:
    """What arranging needs to know of the documents of a shard besides their tokens: NAME.npy beside it, 16 bytes each.

    draw:  what the document's row draws, for its place in the order; 0 where the order stays.
    bytes: of the text that the document's row reads as; 0 for all but the first document of a row.
    """

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []

    def add(self, draw: NDArray[np.float64], size: NDArray[np.int64]) -> None:
        """Append those of some documents."""
        import numpy as np

        part = np.empty(len(size), [("draw", "<f8"), ("bytes", "<i8")])
        part["draw"], part["bytes"] = draw, size
        self._parts.append(part)

    def write(self, file: Path) -> None:
        """Write them all."""
        import numpy as np

        with atomic(file) as handle:
            _save(handle, np.concatenate(self._parts))


def _save(handle: IO[bytes], table: NDArray[Any]) -> None:
    import numpy as np

    np.save(handle, table)


class Rows(NamedTuple):
    """Documents packed into rows.

    document: int64[p], the document of each piece; offset: int64[p], where in it the piece begins; length: int64[p].
    rows: int64[r], pieces in each row; they follow one another. cut: how many documents are in more than one piece.
    """

    document: NDArray[np.int64]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    rows: NDArray[np.int64]
    cut: int


def packed(lengths: NDArray[np.int64], capacity: int, best: bool) -> Rows:
    """Documents in rows of at most `capacity` tokens, every token once.

    One after another, cut where a row is full (all rows but the last are full); or, `best`, where they fill rows best
    (`curate.kernels.packing`), only those longer than a row cut, into whole rows and a rest. O(n log capacity) for n pieces.
    """
    import numpy as np

    from curate.kernels.packing import best_fit

    if best:
        document, length = pieces(lengths, capacity)
        row = best_fit(length, capacity)
    else:
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        bounds = np.union1d(np.arange(0, total, capacity), np.append(ends - lengths, total))
        length, begins = np.diff(bounds), bounds[:-1]
        document = np.searchsorted(ends, begins, "right")
        row = begins // capacity
    # Pieces of a document stand together here, in its order.
    offset = np.cumsum(length) - length
    offset -= (np.cumsum(lengths) - lengths)[document]
    order = np.argsort(row, kind="stable")
    cut = int((np.bincount(document, minlength=len(lengths)) > 1).sum())
    return Rows(document[order], offset[order], length[order], np.bincount(row), cut)


@dataclass(frozen=True)
class _Pool:
    """The chosen documents of all shards: the shard each is in, where it begins there, and its length."""

    shard: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]

    def at(self, document: NDArray[np.int64], offset: Any, length: NDArray[np.int64]) -> _Pool:
        """Pieces of documents."""
        return _Pool(self.shard[document], self.start[document] + offset, length)


def arrange(
    source: Path, target: Path, split: str, entries: list[dict[str, Any]], dtype: TokenDtype, index: int, layout: Arrangement
) -> dict[str, Any] | None:
    """Write shard `index` of a split in its final order; None when there are fewer.

    source, entries: the shards with the documents as they were read, and their Notes. Documents come in order of what they
    draw, or as they were read; each shard takes its share of that order, about SHARD_TOKENS, whatever the shards before were
    cut into. Returns {split, entry, cut, room}: documents cut, and the tokens that the rows could hold.

    Memory: 110 bytes a document of the shard, 24 a document of one shard of `source`, and 40 MB. Every shard reads the notes
    of all documents. Measured: 60 million masked tokens in a million documents 139 MB, in 100,000 documents 45 MB.
    """
    import numpy as np

    total = sum(entry["tokens"] for entry in entries)
    parts = min(PARTITIONS, -(-total // SHARD_TOKENS))
    if index >= parts:
        return None
    shards, starts, lengths, draws = [], [], [], []
    size = base = 0
    for number, entry in enumerate(entries):
        positions = np.fromfile(source / f"{entry['file']}.idx", "<u8").astype(np.int64)
        notes = np.load(source / f"{entry['file']}.npy")
        part = (notes["draw"] * parts).astype(np.int64) if layout.shuffle else (base + positions[:-1]) * parts // total
        mine = np.flatnonzero(part == index)
        shards.append(np.full(len(mine), number))
        starts.append(positions[:-1][mine])
        lengths.append(np.diff(positions)[mine])
        draws.append(notes["draw"][mine])
        size += int(notes["bytes"][mine].sum())
        base += int(positions[-1])
    pool = _Pool(np.concatenate(shards), np.concatenate(starts), np.concatenate(lengths))
    if not len(pool.length):
        return None
    if layout.shuffle:
        # Documents of one row draw the same, and stay together.
        order = np.argsort(np.concatenate(draws), kind="stable")
        pool = pool.at(order, 0, pool.length[order])
    rows: Rows | None = None
    if layout.sequence is not None:
        rows = packed(pool.length, layout.sequence + 1, layout.pack == "best_fit")
        pool = pool.at(rows.document, rows.offset, rows.length)
    masked = "mask_blake2b" in entries[0]
    with writing_shard(target, f"{split}-{index:05d}", dtype, masked=masked) as writer:
        files: dict[int, tuple[NDArray[Any], NDArray[Any] | None]] = {}
        for chunk in _chunks(pool.length):
            tokens, mask = _gather(source, entries, dtype, files, pool, chunk)
            writer.add(tokens, pool.length[chunk], 0, mask)
        writer.add(np.empty(0, dtype), np.empty(0, np.int64), size, np.empty(0, np.uint8))
        if rows is not None:
            writer.rows = rows.rows
    found: dict[str, Any] = {"split": split, "entry": writer.entry()}
    if rows is not None and layout.sequence is not None:
        found |= {"cut": rows.cut, "room": len(rows.rows) * (layout.sequence + 1)}
    return found


def _chunks(lengths: NDArray[np.int64]) -> list[slice]:
    """Documents in order, CHUNK_TOKENS of them at a time, and one at least."""
    import numpy as np

    chunk = (np.cumsum(lengths) - 1) // CHUNK_TOKENS
    bounds = np.flatnonzero(np.diff(chunk, prepend=-1, append=-1)).tolist()
    return [slice(begin, end) for begin, end in itertools.pairwise(bounds)]


def _gather(
    source: Path,
    entries: list[dict[str, Any]],
    dtype: TokenDtype,
    files: dict[int, tuple[NDArray[Any], NDArray[Any] | None]],
    pool: _Pool,
    chunk: slice,
) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """The tokens of some documents, and their mask."""
    import numpy as np

    shard, start, length = pool.shard[chunk], pool.start[chunk], pool.length[chunk]
    place = np.cumsum(length) - length
    tokens = np.empty(int(length.sum()), dtype)
    masked = "mask_blake2b" in entries[0]
    mask = np.empty(len(tokens) if masked else 0, np.uint8)
    for number in np.unique(shard).tolist():
        if number not in files:
            entry = entries[number]
            ids, _ = read(source, entry, dtype)
            files[number] = ids, np.memmap(source / f"{entry['file']}.mask", np.uint8, "r") if masked else None
        ids, trained = files[number]
        mine = shard == number
        to, of = spans(place[mine], length[mine]), spans(start[mine], length[mine])
        tokens[to] = ids[of]
        if trained is not None:
            mask[to] = trained[of]
    return tokens, mask if masked else None
