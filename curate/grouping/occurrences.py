"""Which of many hashed things, found all over a dataset, were there before: decided partition by partition, from files.

A shard writes its entries in order, parted by the top bits of their hashes. A partition sees every entry with its hashes, so
it can say which are repeated; what it says is cut up by shard again, so that a shard reads back its own alone. Nothing holds
more than a partition in memory, and nothing depends on the order in which shards or partitions are worked on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PARTITIONS", "entries", "mark", "marked", "put", "save"]

PARTITIONS = 64
"""Each is sorted in memory alone: a 64th of all entries, 20 bytes each and 16 while they are sorted."""


def entries(hashes: NDArray[Any], row: NDArray[Any], at: NDArray[Any], size: NDArray[Any]) -> NDArray[Any]:
    """Entries of 20 bytes: hash, row of the shard, where in the row, and a size that is added up of those that repeat."""
    import numpy as np

    table = np.empty(len(hashes), np.dtype([("hash", "u8"), ("row", "u4"), ("at", "u4"), ("size", "u4")]))
    table["hash"], table["row"], table["at"], table["size"] = hashes, row, at, size
    return table


def put(folder: Path, shard: int, table: NDArray[Any]) -> None:
    """Write a shard's entries, which are in order of row and place."""
    import numpy as np

    partition = (table["hash"] >> np.uint64(58)).astype(np.uint8)
    order = np.argsort(partition, kind="stable")
    edges = np.searchsorted(partition[order], np.arange(PARTITIONS + 1))
    for i in range(PARTITIONS):
        if edges[i] < edges[i + 1]:
            save(folder / "entries" / f"{i:02d}" / f"{shard:05d}.npy", table[order[edges[i] : edges[i + 1]]])


def mark(folder: Path, partition: int, shards: int, which: Literal["later", "all"]) -> dict[str, int]:
    """Mark the entries of a partition whose hash is there more than once: all of them, or all but the first.

    Returns how many there are, how many are marked, and the sum of the sizes of these. O(e log e).
    """
    import numpy as np

    tables = []
    for shard in range(shards):
        path = folder / "entries" / f"{partition:02d}" / f"{shard:05d}.npy"
        tables.append(np.load(path) if path.is_file() else entries(*np.zeros((4, 0), np.int64)))
    table = np.concatenate(tables)
    order = np.argsort(table["hash"], kind="stable")
    same = table["hash"][order[1:]] == table["hash"][order[:-1]]
    chosen = np.zeros(len(table), bool)
    chosen[order[1:][same]] = True
    if which == "all":
        chosen[order[:-1][same]] = True
    shard_of = np.repeat(np.arange(shards), [len(part) for part in tables])
    save(folder / "bounds" / f"{partition:02d}.npy", np.searchsorted(shard_of[chosen], np.arange(shards + 1)))
    save(folder / "marked" / f"{partition:02d}.npy", table[chosen])
    size = int(table["size"][chosen].sum(dtype=np.int64))
    return {"entries": len(table), "repeated": int(chosen.sum()), "size": size}


def marked(folder: Path, shard: int) -> NDArray[Any]:
    """The marked entries of a shard, in order of row and place."""
    import numpy as np

    parts = []
    for partition in range(PARTITIONS):
        bounds = np.load(folder / "bounds" / f"{partition:02d}.npy")
        table = np.load(folder / "marked" / f"{partition:02d}.npy", mmap_mode="r")
        parts.append(table[bounds[shard] : bounds[shard + 1]])
    table = np.concatenate(parts)
    ordered: NDArray[Any] = table[np.lexsort((table["at"], table["row"]))]
    return ordered


def save(path: Path, array: NDArray[Any]) -> None:
    """Write an array, whole or not at all."""
    import numpy as np

    from curate.io.files import atomic

    with atomic(path) as handle:
        np.save(handle, array)
