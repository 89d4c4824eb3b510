"""Rows that mean nearly the same: near in the space of an embedding, found by groups (SemDeDup, Abbas et al. 2023).

The vectors of a seeded sample are grouped by spherical k-means. Each row joins the groups of its PROBES nearest middles; in a
group each row is compared with every one before it, in the order of `keep`, by the exact cosine of their vectors. Pairs that
share no group are not met.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.declare import Batch, Exchange, Options, Result, Shards, Single, Stage, Work
from curate.errors import InputError
from curate.grouping.facts import Compare, compared
from curate.grouping.keys import SEMANTIC
from curate.grouping.occurrences import save
from curate.grouping.pairs import Order, tie_table
from curate.grouping.vectors import Vectors, centroids, column_vectors, digests, fine, lengths, nearest, unlike

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Semantic"]

PROBES = 2
"""Groups that a row joins."""

GROUP = 8192
"""Rows that a group holds on average in a small corpus, where comparing them costs little and more groups would lose pairs."""

UNITS = 64
"""Units of the stage that compares rows: each holds the members of its groups, 24 bytes a row of them."""

PER_GROUP = 256
"""Rows of the sample for each middle; fewer where SAMPLE_BYTES is in the way."""

SAMPLE_BYTES = 256_000_000
"""Bytes of the sample."""

HELD = 128_000_000
"""Bytes of the vectors of a group that are held at a time, twice in a group that has more."""

SLICE = 8192
"""Rows whose vectors are made at a time."""

BLOCK = 1024
"""Rows of a block of the product of matrices."""


class Semantic(Options):
    """How rows are compared by their vectors: from `column`, or made by the model in the folder `model`.

    On disk, while the job runs, a row takes 2 bytes a dimension and 32 more. In memory: SAMPLE_BYTES while groups are drawn;
    HELD twice and PRODUCTS in a worker. Time O(n k d) for n rows in k groups, and O(n^2 d / k) where groups are even.
    """

    column: str | None
    model: str | None
    compare: Compare
    threshold: float
    groups: int | None
    seed: int

    def stages(self, order: Any) -> tuple[Stage, ...]:
        """The stages that write the ties. `order`: a function that gives the `Order` of the rows for a `Work`."""
        return (
            # Torch and lists of tokens hold the lock of Python.
            Shards("embed", self._embed, releases_gil=self.model is None),
            Single("group", self._group),
            Shards("join", self._join, releases_gil=True),
            Exchange("meet", UNITS, lambda work: self._meet(work, order(work)), releases_gil=True),
        )

    def _embed(self, work: Work) -> Result:
        """Write the vectors of a shard."""
        from curate.io.files import atomic

        dimensions, rows, there, first = 0, 0, 0, ""
        with atomic(_vectors(work)[work.index]) as handle:
            for batch in work.batches():
                for made, ids in self._made(compared(batch, self.compare)):
                    if not rows:
                        dimensions, first = made.shape[1], ids[0]
                    elif made.shape[1] != dimensions:
                        raise _other(str(ids[0]), made.shape[1], first, dimensions)
                    rows += len(made)
                    there += int(made.any(axis=1).sum())
                    handle.write(made.tobytes())
                work.progress(len(batch), int(batch.text.str.len_bytes().sum() or 0))
        return {"rows": rows, "vectors": there, "dimensions": dimensions, "first": first}

    def _made(self, batch: Batch) -> Iterator[tuple[NDArray[Any], Any]]:
        for start in range(0, len(batch), SLICE):
            frame, text = batch.frame.slice(start, SLICE), batch.text.slice(start, SLICE)
            if self.column is not None:
                found = column_vectors(Batch(frame, text, batch.row.slice(start, SLICE)), self.column)
                yield fine(found, frame["id"], f"'{self.column}'", zero_is_none=False), frame["id"]
            else:
                from curate.models.embedder import embedder

                assert self.model is not None
                made = embedder(self.model)(text.to_list())
                yield fine(made, frame["id"], f"the vector that {self.model} makes", zero_is_none=True), frame["id"]

    def _group(self, work: Work) -> Result:
        """Draw the middles of the groups from a sample of all rows."""
        import numpy as np

        shards = work.results["embed"]
        some = [shard for shard in shards if shard["rows"]]
        for shard in some[1:]:
            if shard["dimensions"] != some[0]["dimensions"]:
                raise _other(shard["first"], shard["dimensions"], some[0]["first"], some[0]["dimensions"])
        dimensions = some[0]["dimensions"] if some else 0
        there = sum(shard["vectors"] for shard in shards)
        k = self.groups or default_groups(there)
        ends = np.cumsum([shard["rows"] for shard in shards])
        rows = int(ends[-1]) if len(ends) else 0
        most = min(PER_GROUP * k, max(1, SAMPLE_BYTES // (2 * max(1, dimensions))))
        drawn = np.arange(rows if k > 1 else 0)
        if len(drawn) > most:
            drawn = np.sort(np.random.default_rng(self.seed).choice(rows, most, replace=False, shuffle=False))
        source = np.searchsorted(ends, drawn, "right")
        sample = Vectors(_vectors(work), dimensions).gather(source, drawn - np.concatenate([[0], ends])[source])
        middles = centroids(sample[unlike(sample)], k, self.seed)
        if there and not len(middles):  # one group, whatever its middle
            middles = np.full((1, dimensions), 1, np.int16)
        save(work.folder / "work" / "middles.npy", middles)
        return {"groups": len(middles), "dimensions": dimensions, "without_vector": rows - there}

    def _join(self, work: Work) -> Result:
        """Write which rows of a shard are in each group: group u4, at u4, digest u8, in order of group and row."""
        import numpy as np

        middles = np.load(work.folder / "work" / "middles.npy")
        table = np.zeros(0, _member_type())
        if len(middles):
            own = Vectors(_vectors(work), middles.shape[1]).of_shard(work.index)
            found = [table]
            for first in range(0, len(own), SLICE):
                some = np.asarray(own[first : first + SLICE])
                joined = np.concatenate(list(nearest(some, middles, PROBES)))
                row, probe = np.nonzero((joined < len(middles)) & some.any(axis=1, keepdims=True))
                part = np.empty(len(row), _member_type())
                part["group"], part["at"], part["digest"] = joined[row, probe], first + row, digests(some)[row]
                found.append(part)
            table = np.concatenate(found)
        save(_members(work)[work.index], table[np.argsort(table["group"], kind="stable")])
        return {}

    def _meet(self, work: Work, order: Order) -> Result:
        """The ties within the groups of a unit."""
        import numpy as np

        (made,) = work.results["group"]
        vectors = Vectors(_vectors(work), made["dimensions"])
        first, last = (unit * made["groups"] // UNITS for unit in (work.index, work.index + 1))
        found, largest = [tie_table(*np.zeros((6, 0), np.int64))], 0
        for table, shard in _of_groups(_members(work), first, last):
            ordered = np.lexsort((*order.of(shard, table["at"]), table["group"]))
            table, shard = table[ordered], shard[ordered]
            edges = np.flatnonzero(np.append(True, table["group"][1:] != table["group"][:-1]))
            for start, end in itertools.pairwise([*edges, len(table)]):
                # Equal vectors stand in the same groups: all go for the first of them, which is compared for all.
                _, head, equal = np.unique(table["digest"][start:end], return_index=True, return_inverse=True)
                to = start + head[equal]
                later = np.flatnonzero(to != np.arange(start, end)) + start
                to = to[later - start]
                found.append(_ties(table, shard, later, to, np.ones(len(later))))
                some = start + np.sort(head)
                largest = max(largest, len(some))
                row, before, cosine = similar(vectors, shard[some], table["at"][some], self.threshold)
                found.append(_ties(table, shard, some[row], some[before], cosine))
        ties = np.concatenate(found)
        save(work.folder / "work" / "ties" / f"semantic-{work.index:02d}.npy", ties)
        return {"ties": len(ties), "largest_group": largest}


def default_groups(rows: int) -> int:
    """Groups of about GROUP rows, each row in PROBES, until assigning rows to them would cost more than comparing."""
    return max(1, ceil(min(PROBES * rows / GROUP, sqrt(PROBES * rows)))) if rows > GROUP else 1


def similar(
    vectors: Vectors, shard: NDArray[Any], at: NDArray[Any], threshold: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """`(row, before, cosine)`: rows with one before them of at least this cosine, the most similar one, the first if even.

    shard, at: uint32[m], the rows in order. O(m^2 d) products, in blocks; a group that is larger than HELD is read again for
    each part of that size.
    """
    import numpy as np

    held = max(BLOCK, HELD // (2 * vectors.dimensions))
    rows, befores, cosines = [], [], []
    for first in range(0, len(at), held):
        part = vectors.gather(shard[first : first + held], at[first : first + held])
        size = lengths(part)
        best, to = np.full(len(part), -np.inf, np.float32), np.zeros(len(part), np.int64)
        for other in range(0, first + 1, held):
            before = part if other == first else vectors.gather(shard[other : other + held], at[other : other + held])
            weight = (1 / (size if other == first else lengths(before))).astype(np.float32)
            for i, j in _blocks(len(part), len(before), other == first):
                here, there = slice(i, i + BLOCK), slice(j, j + BLOCK)
                near = part[here].astype(np.float32) @ before[there].astype(np.float32).T
                near *= weight[there]
                if other == first and i == j:
                    near[np.triu_indices(len(near), 0, near.shape[1])] = -np.inf
                most = near.argmax(axis=1)
                value = near[np.arange(len(near)), most]
                more = value > best[here]
                best[here][more], to[here][more] = value[more], other + j + most[more]
        # Near the limit by the rounded quotient; then exactly.
        close = np.flatnonzero(best >= (threshold - 1e-5) * size)
        twin = vectors.gather(shard[to[close]], at[to[close]])
        product = np.einsum("ij,ij->i", part[close].astype(np.float32), twin.astype(np.float32)).astype(np.float64)
        cosine = np.minimum(product / (size[close] * lengths(twin)), 1.0)
        enough = cosine >= threshold
        rows.append(first + close[enough])
        befores.append(to[close][enough])
        cosines.append(cosine[enough])
    return np.concatenate(rows), np.concatenate(befores), np.concatenate(cosines)


def _blocks(rows: int, before: int, same: bool) -> Iterator[tuple[int, int]]:
    for i in range(0, rows, BLOCK):
        for j in range(0, i + 1 if same else before, BLOCK):
            yield i, j


def _of_groups(paths: list[Path], first: int, last: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The members of the groups first..last, a few groups at a time but groups whole: `(members, shard)`."""
    import numpy as np

    tables = [np.load(path, mmap_mode="r") for path in paths]
    edges = np.array([np.searchsorted(table["group"], np.arange(first, last + 1)) for table in tables]).reshape(
        -1, last - first + 1
    )
    sizes = np.diff(edges, axis=1).sum(axis=0)
    # A cut wherever the running sum enters another share of 2 million.
    share = (np.cumsum(sizes) - sizes) // 2_000_000
    cuts = [0, *(np.flatnonzero(share[1:] != share[:-1]) + 1).tolist(), len(sizes)]
    for low, high in itertools.pairwise(cuts):
        parts = [table[edge[low] : edge[high]] for table, edge in zip(tables, edges, strict=True)]
        shard = np.repeat(np.arange(len(parts), dtype=np.uint32), [len(part) for part in parts])
        if len(shard):
            yield np.concatenate(parts), shard


def _ties(table: NDArray[Any], shard: NDArray[Any], row: NDArray[Any], to: NDArray[Any], cosine: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return tie_table(shard[row], table["at"][row], shard[to], table["at"][to], cosine, np.full(len(row), SEMANTIC))


def _member_type() -> Any:
    import numpy as np

    return np.dtype([("group", "u4"), ("at", "u4"), ("digest", "u8")])


def _vectors(work: Work) -> list[Path]:
    return [work.folder / "work" / "vectors" / f"{index:05d}.i2" for index in range(work.shards)]


def _members(work: Work) -> list[Path]:
    return [work.folder / "work" / "members" / f"{index:05d}.npy" for index in range(work.shards)]


def _other(row: str, size: int, first: str, right: int) -> InputError:
    return InputError(f"dedupe: row {row}: its vector holds {size} numbers, that of row {first} {right}")
