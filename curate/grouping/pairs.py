"""Ties between rows: a row and one that is kept before it, found among those that share a key, and verified where need be.

Rows are in one order, that of `keep`; a row that is tied to one before it goes. So nobody goes for what comes later: two
rows that do not resemble one another both stay, even if a third resembles both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.grouping.keys import BAND, SHARED, ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Order", "match", "tie_table", "tie_type"]

SET_BYTES = 64_000_000
"""Bytes of sets that are held at a time, a group at least."""


class Order:
    """Which of two rows is kept: earlier runs' before ours, then the one that is wanted more, then the first.

    shards: folders of all shards, those of earlier runs first; `earlier` of them. wanted: whether rows say how much.
    """

    def __init__(self, shards: Sequence[Path], earlier: int, wanted: bool) -> None:
        self.shards = shards
        self.earlier = earlier
        self._wanted = wanted
        self._held: dict[int, NDArray[Any]] = {}

    def of(self, shard: NDArray[Any], at: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Keys for `np.lexsort`, the least weighty first."""
        import numpy as np

        if not self._wanted:
            return at, shard
        want = np.zeros(len(at), np.float64)
        for number in np.unique(shard):
            if number >= self.earlier:
                mine = shard == number
                want[mine] = self._wants(int(number))[at[mine]]
        return at, shard, -want, shard >= self.earlier

    def _wants(self, shard: int) -> NDArray[Any]:
        import polars as pl

        if shard not in self._held:
            column = pl.read_parquet(self.shards[shard] / "rows.parquet", columns=["wanted"])["wanted"]
            self._held[shard] = column.fill_null(float("-inf")).to_numpy()
        return self._held[shard]


def tie_type() -> Any:
    """A row (`shard`, `at`) that goes, the row before it (`to_shard`, `to`) it is tied to, how similar (0: not told), why."""
    import numpy as np

    names = (("shard", "u4"), ("at", "u4"), ("to_shard", "u4"), ("to", "u4"), ("similarity", "f8"), ("kind", "u1"))
    return np.dtype(list(names))


def match(order: Order, unit: int, threshold: float) -> tuple[NDArray[Any], dict[str, int]]:
    """The ties that the keys of a unit's ranges give, and counts of how they came about.

    threshold: Jaccard similarity from which rows that share a band are tied. Time O(e log e) for e entries, and what
    `curate.kernels.verify.ties` says. Memory: ENTRIES and SET_BYTES, but a group of one key is held whole.
    """
    import numpy as np

    found = [np.zeros(0, tie_type())]
    counts = {"candidates": 0, "ties": 0, "compared_in_part": 0}
    for table, shard in ranges(order.shards, unit):
        # Most keys are alone: only those that meet another are put in order.
        by_key = np.argsort(table["key"], kind="stable")
        key = table["key"][by_key]
        same = key[1:] == key[:-1]
        meets = np.zeros(len(key), bool)
        meets[1:] |= same
        meets[:-1] |= same
        chosen = np.sort(by_key[meets])
        table, shard = table[chosen], shard[chosen]
        ordered = np.lexsort((*order.of(shard, table["at"]), table["low"], table["key"], table["kind"]))
        table, shard = table[ordered], shard[ordered]
        first = _firsts(table, "kind", "key", "low")
        found.append(_equal(table, shard, first, order.earlier))
        mine = first & (table["kind"] == BAND)
        some, short, candidates = _similar(order, table[mine], shard[mine], threshold)
        found.append(some)
        counts["candidates"] += candidates
        counts["compared_in_part"] += short
    ties = np.concatenate(found)
    counts["ties"] = len(ties)
    return ties, counts


def _firsts(table: NDArray[Any], *names: str) -> NDArray[Any]:
    """bool[n]: whether an entry differs from the one before it."""
    import numpy as np

    first = np.ones(len(table), bool)
    if len(table):
        first[1:] = np.any([table[name][1:] != table[name][:-1] for name in names], axis=0)
    return first


def _equal(table: NDArray[Any], shard: NDArray[Any], first: NDArray[Any], earlier: int) -> NDArray[Any]:
    """Ties of rows that are equal in a key: each to the first of its group."""
    import numpy as np

    head = np.flatnonzero(first)[np.cumsum(first) - 1]
    later = np.flatnonzero(~first & (table["kind"] != BAND) & (shard >= earlier))
    head, kind = head[later], table["kind"][later]
    similarity = np.where(kind == SHARED, 0.0, 1.0)
    return tie_table(shard[later], table["at"][later], shard[head], table["at"][head], similarity, kind)


def _similar(order: Order, table: NDArray[Any], shard: NDArray[Any], threshold: float) -> tuple[NDArray[Any], int, int]:
    """Ties of rows that share a band and are similar; how many were compared with a part of their group; how many rows met.

    table: entries of bands, one of each set that is there several times.
    """
    import numpy as np

    from curate.kernels.verify import ties

    ordered = np.lexsort((*order.of(shard, table["at"]), table["key"]))
    table, shard = table[ordered], shard[ordered]
    start = np.flatnonzero(_firsts(table, "key"))
    size = np.diff(np.append(start, len(table)))
    meets = np.repeat(size > 1, size)
    table, shard, size = table[meets], shard[meets], size[size > 1]
    if not len(table):
        return np.zeros(0, tie_type()), 0, 0
    row, member = np.unique(shard.astype(np.uint64) << np.uint64(32) | table["at"], return_inverse=True)
    places = _Places(order.shards, row)
    done = (row >> np.uint64(32)) < order.earlier
    groups = np.concatenate([[0], np.cumsum(size)])
    weight = 4 * np.cumsum(places.size[member])[groups[1:] - 1]
    cuts = np.unique(np.searchsorted(weight, np.arange(0, weight[-1] + SET_BYTES, SET_BYTES), "right").clip(max=len(size)))
    found, short = [np.zeros(0, tie_type())], 0
    for i, j in zip(np.append(0, cuts[:-1]), cuts, strict=True):
        inside = member[groups[i] : groups[j]]
        if not len(inside):
            continue
        some = np.unique(inside)
        sets, ends = places.sets(some)
        left = done[some]
        before, after, similarity, missed = ties(
            np.searchsorted(some, inside), groups[i : j + 1] - groups[i], sets, ends[:-1], ends[1:], threshold, left
        )
        done[some] = left
        short += missed
        gone, kept = row[some[after]], row[some[before]]
        high, low = np.uint64(32), np.uint64(0xFFFFFFFF)
        found.append(tie_table(gone >> high, gone & low, kept >> high, kept & low, similarity, np.full(len(gone), BAND)))
    return np.concatenate(found), short, len(row)


class _Places:
    """Where the sets of rows stand. row: uint64, shard and place in it, ascending."""

    def __init__(self, shards: Sequence[Path], row: NDArray[Any]) -> None:
        import numpy as np

        self._shards = shards
        self._shard = (row >> np.uint64(32)).astype(np.int64)
        self._first = np.empty(len(row), np.int64)
        self._last = np.empty(len(row), np.int64)
        for shard in np.unique(self._shard):
            mine = slice(*np.searchsorted(self._shard, [shard, shard + 1]))
            at = (row[mine] & np.uint64(0xFFFFFFFF)).astype(np.int64)
            edges = np.fromfile(shards[shard] / "bounds.bin", np.int64)
            self._first[mine], self._last[mine] = edges[at], edges[at + 1]
        self.size = self._last - self._first

    def sets(self, some: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The sets of some of the rows (ascending numbers), one after another, and their bounds."""
        import numpy as np

        from curate.kernels.verify import gather

        parts = [np.zeros(0, np.uint32)]
        shard = self._shard[some]
        for number in np.unique(shard):
            mine = some[slice(*np.searchsorted(shard, [number, number + 1]))]
            values = np.memmap(self._shards[number] / "sets.bin", np.uint32, "r")
            parts.append(gather(values, self._first[mine], self._last[mine]))
        return np.concatenate(parts), np.concatenate([[0], np.cumsum(self.size[some])])


def tie_table(*columns: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    ties = np.empty(len(columns[0]), tie_type())
    for name, column in zip(ties.dtype.names or (), columns, strict=True):
        ties[name] = column
    return ties
