"""Keys of rows, by which rows that may be duplicates meet: written shard by shard, read range by range.

A shard has a folder of its own, which says all that later stages, and later runs, must know of it:

    rows.parquet   id, row (number in the shard), and for `keep` how much it is wanted, of each row that has a text
    keys.bin       entries of 21 bytes, in order of the top bits of their keys
    edges.bin      where each range of keys begins among them, int64
    bounds.bin     where each row's set begins among the values, and the end of the last, int64
    sets.bin       sets of shingles, 4 bytes a distinct shingle (method near)

The arrays have no header, because each unit of work reads a little of every shard. A row is known by its place in
`rows.parquet`. Keys are spread evenly, so ranges are about equally full.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["BAND", "EXACT", "KINDS", "RANGES", "SEMANTIC", "SET", "SHARED", "UNITS", "URL", "entries", "put_shard", "ranges"]

EXACT, URL, SET, BAND, SHARED, SEMANTIC = range(6)
KINDS = ("exact", "url", "near", "near", "near", "semantic")
"""What a person calls them. SET: the same set of shingles; BAND: a band of the signature, so perhaps similar.
SHARED: a band of the signature that is enough, as FineWeb has it; SEMANTIC: near by their vectors, without keys."""

RANGES = 4096
"""Ranges of keys that can be read apart from one another: by their top 12 bits."""

UNITS = 16
"""Units of the stage that compares rows; each works on its ranges one by one, a few at a time."""

ENTRIES = 2_000_000
"""Entries that are held at a time, a range at least: 21 bytes each, and about 80 while they are sorted."""


def entries(key: NDArray[Any], low: NDArray[Any], kind: int, at: NDArray[Any]) -> NDArray[Any]:
    """Entries: `key` brings rows together, and for all but bands `low` must be equal too; `at` is the place of the row.

    Of a band `low` is the digest of the row's set: in a group those with the same are one.
    """
    import numpy as np

    table = np.empty(len(key), np.dtype([("key", "u8"), ("low", "u8"), ("kind", "u1"), ("at", "u4")]))
    table["key"], table["low"], table["kind"], table["at"] = key, low, kind, at
    return table


def put_shard(folder: Path, rows: pl.DataFrame, tables: Sequence[NDArray[Any]], sets: Sequence[NDArray[Any]]) -> str:
    """Write a shard's folder; gives a digest of its ids and keys.

    sets: values and sizes of batch after batch, see `curate.kernels.shingles.Sets`.
    """
    import numpy as np

    from curate.analysis import text_buffers
    from curate.io.files import atomic

    def save(name: str, *arrays: NDArray[Any]) -> None:
        with atomic(folder / name) as handle:
            for array in arrays:
                handle.write(array.data.cast("B") if array.size else b"")

    table = np.concatenate([_none(), *tables])
    part = (table["key"] >> np.uint64(52)).astype(np.uint16)
    order = np.argsort(part, kind="stable")
    save("keys.bin", table[order])
    save("edges.bin", np.searchsorted(part[order], np.arange(RANGES + 1)))
    save("bounds.bin", np.cumsum(np.concatenate([np.zeros(1, np.int64), *sets[1::2]])))
    save("sets.bin", *sets[0::2])
    with atomic(folder / "rows.parquet") as handle:
        rows.write_parquet(handle)
    offsets, ids = text_buffers(rows["id"])
    seen = hashlib.blake2b(digest_size=16)
    for content in (table, offsets, ids):
        seen.update(content.tobytes())
    return seen.hexdigest()


def ranges(shards: Sequence[Path], unit: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The entries of a unit's ranges, few at a time but ranges whole: `(entries, shard u4)`, in order of shards and rows."""
    import numpy as np

    first, count = unit * RANGES // UNITS, RANGES // UNITS
    edges = [np.fromfile(shard / "edges.bin", np.int64, count + 1, offset=8 * first) for shard in shards]
    sizes = np.sum([np.diff(edge) for edge in edges], axis=0) if edges else np.zeros(RANGES // UNITS, np.int64)
    # A cut wherever the running sum enters another share of ENTRIES.
    share = (np.cumsum(sizes) - sizes) // ENTRIES
    kind = _none().dtype
    cuts = [0, *(np.flatnonzero(share[1:] != share[:-1]) + 1).tolist(), len(sizes)]
    for first, last in itertools.pairwise(cuts):
        parts = [
            np.fromfile(shard / "keys.bin", kind, edge[last] - edge[first], offset=kind.itemsize * edge[first])
            for shard, edge in zip(shards, edges, strict=True)
        ]
        number = np.repeat(np.arange(len(parts), dtype=np.uint32), [len(part) for part in parts])
        yield np.concatenate([_none(), *parts]), number


def _none() -> NDArray[Any]:
    import numpy as np

    nothing = np.zeros(0, np.uint64)
    return entries(nothing, nothing, BAND, nothing)
