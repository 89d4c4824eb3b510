"""Who goes, and for whom: of the ties of each row the best, the row that is kept in the end, and the books of the clusters."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Clusters", "names", "write_book"]

BOOK_ROWS = 500_000
"""Rows of clusters that are put into JSON at a time, a cluster at least."""


class Clusters:
    """Rows numbered through all shards, each with what it is tied to.

    to: int64[n], the row that each is tied to, itself if to none: the tie by the strongest method (exact, url, near,
    semantic), the most similar one, the first. similarity, kind: of that tie. root: int64[n], the row that stands at the
    end of the ties: the one that is kept. Rows that share a root are a cluster, and the root is the first of them in the order
    of `keep`.

    A tie leads to a row that is kept before, so that ties make trees, and doubling their steps finds the roots in O(n log n).
    Memory: 33 bytes a row, 33 GB for 10^9, and the ties of one unit.
    """

    def __init__(self, rows: Sequence[int], ties: Sequence[Path]) -> None:
        import numpy as np

        self.base = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
        n = int(self.base[-1])
        self.to = np.arange(n)
        self.similarity = np.zeros(n, np.float64)
        self.kind = np.full(n, 255, np.uint8)
        for path in ties:
            self._add(np.load(path))
        self.root = self.to.copy()
        while True:
            further = self.root[self.root]
            if (further == self.root).all():
                break
            self.root = further

    def _add(self, table: NDArray[Any]) -> None:
        import numpy as np

        row = self.base[table["shard"]] + table["at"]
        to = self.base[table["to_shard"]] + table["to"]
        order = np.lexsort((to, -table["similarity"], table["kind"], row))
        order = order[np.append(True, row[order][1:] != row[order][:-1])] if len(order) else order
        row, to, similarity, kind = row[order], to[order], table["similarity"][order], table["kind"][order]
        closer = (similarity > self.similarity[row]) | ((similarity == self.similarity[row]) & (to < self.to[row]))
        better = (kind < self.kind[row]) | ((kind == self.kind[row]) & closer)
        row = row[better]
        self.to[row], self.similarity[row], self.kind[row] = to[better], similarity[better], kind[better]

    def sizes(self) -> NDArray[Any]:
        """int64[n]: how many rows stand under each root; 0 for rows that are none."""
        import numpy as np

        return np.bincount(self.root, minlength=len(self.root))


def names(shards: Sequence[Path], base: NDArray[Any], wanted: NDArray[Any], winners: int = 0) -> pl.Series:
    """Ids of rows by their numbers over all shards; one shard's ids in memory at a time.

    Of rows in the first `winners` shards, those of earlier runs, the id of the row that was kept for them.
    """
    import numpy as np
    import polars as pl

    found = pl.Series([None], dtype=pl.String).new_from_index(0, len(wanted))
    shard = np.searchsorted(base, wanted, "right") - 1
    for number in np.unique(shard):
        mine = np.flatnonzero(shard == number)
        column = "kept" if number < winners else "id"
        ids = pl.read_parquet(shards[number] / "rows.parquet", columns=[column])[column]
        found = found.scatter(mine, ids.gather(wanted[mine] - base[number]))
    return found


def write_book(path: Path, members: pl.DataFrame) -> None:
    """Write the clusters, largest first: a line each, JSON, zstandard.

    members: `root` and `number` of each row of a cluster, `cluster` (id), `id`, `stays`, `tied_to`, `method`, `similarity`. A
    line holds the cluster's id (that of the row that is kept first), its size, the ids that stay, and the members in order.
    """
    import polars as pl
    import zstandard

    from curate.io.files import atomic

    sized = members.with_columns(pl.len().over("root").alias("size")).sort(
        "size", "root", "number", descending=[True, False, False]
    )
    edges = [0, *sized.select((pl.col("root") != pl.col("root").shift()).fill_null(False).arg_true()).to_series(), sized.height]
    # Some rows at a time, clusters whole.
    cuts = sorted({0, sized.height, *(edges[bisect_left(edges, at)] for at in range(0, sized.height, BOOK_ROWS))})
    with atomic(path) as raw, zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as handle:
        for first, last in itertools.pairwise(cuts):
            lines = (
                sized[first:last]
                .group_by("root", maintain_order=True)
                .agg(
                    pl.col("cluster").first(),
                    pl.len().alias("size"),
                    pl.col("id").filter("stays").alias("kept"),
                    pl.struct("id", "tied_to", "method", "similarity").alias("members"),
                )
            )
            handle.write(lines.drop("root").write_ndjson().encode())
