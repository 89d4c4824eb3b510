"""Vectors of rows: read from a column, kept on disk as whole numbers, and grouped by spherical k-means.

All arithmetic on them is exact (see `curate.kernels.vectors.quantised`), so nothing here depends on how many threads a BLAS
uses, on its version, or on how rows are cut into blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.declare import Batch
from curate.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Vectors", "centroids", "column_vectors", "fine", "lengths", "nearest", "unlike"]

ROUNDS = 10
"""Rounds of k-means: by then few rows of the sample change their group."""

PRODUCTS = 1 << 22
"""Inner products that are held at a time, 4 bytes each."""


def column_vectors(batch: Batch, column: str) -> NDArray[Any]:
    """float64[n, d]: the lists of numbers of a column, which is JSON text or a list of numbers.

    Raises InputError, which names the row, where one has none, no list of numbers, or one of another length than the first.
    """
    import numpy as np
    import polars as pl

    ids, lists = batch.frame["id"], _lists(batch.frame["id"], batch.frame[column])
    if lists.null_count():
        raise InputError(
            f"dedupe: row {ids.filter(lists.is_null())[0]}: has no '{column}', and embedding_column asks for one in every row"
        )
    size = lists.list.len()
    other = size != size[0]
    if other.any():
        raise InputError(
            f"dedupe: row {ids.filter(other)[0]}: '{column}' holds {size.filter(other)[0]} numbers, in row {ids[0]} {size[0]}"
        )
    values: NDArray[Any] = lists.explode(empty_as_null=False).cast(pl.Float64).fill_null(np.nan).to_numpy()
    return values.reshape(len(batch), int(size[0]))


def _lists(ids: pl.Series, values: pl.Series) -> pl.Series:
    import polars as pl

    numbers = pl.List(pl.Float64)
    if values.dtype != pl.String:
        inner = getattr(values.dtype, "inner", None)
        if isinstance(values.dtype, pl.List | pl.Array) and inner is not None and inner.is_numeric():
            return values.cast(numbers)
        raise InputError(f"dedupe: column '{values.name}' holds {values.dtype}, not lists of numbers")
    try:
        return values.str.json_decode(numbers)
    except pl.exceptions.ComputeError as error:
        for name, value in zip(ids, values, strict=True):
            try:
                pl.Series([value], dtype=pl.String).str.json_decode(numbers)
            except pl.exceptions.ComputeError:
                said = f"{value[:40]}..." if len(value) > 40 else value
                raise InputError(f"dedupe: row {name}: '{values.name}' is {said}, no list of numbers") from None
        raise InputError(f"dedupe: column '{values.name}' holds no lists of numbers: {error}") from error


def fine(vectors: NDArray[Any], ids: pl.Series, name: str, zero_is_none: bool) -> NDArray[Any]:
    """int16[n, d]: the vectors as they are compared; zeros for a zero vector, where that means that there is none.

    name: what the vectors are called. Raises InputError, which names the row: not finite, zero, no or too many numbers.
    """
    import numpy as np

    from curate.kernels.vectors import FINE, MOST_DIMENSIONS, NOT_FINITE, quantised

    if len(vectors) and not 0 < vectors.shape[1] <= MOST_DIMENSIONS:
        raise InputError(f"dedupe: row {ids[0]}: {name} holds {vectors.shape[1]} numbers, not 1 to {MOST_DIMENSIONS}")
    made, state = quantised(vectors)
    odd = np.flatnonzero(state == NOT_FINITE if zero_is_none else state != FINE)
    if len(odd):
        what = "a value that is no finite number" if state[odd[0]] == NOT_FINITE else "zeros alone, which has no direction"
        raise InputError(f"dedupe: row {ids[int(odd[0])]}: {name} holds {what}")
    return made


class Vectors:
    """The vectors of all rows, from files of int16[n, d] without a header, one a shard, mapped while they are read."""

    def __init__(self, paths: Sequence[Path], dimensions: int) -> None:
        self._paths = paths
        self.dimensions = dimensions

    def of_shard(self, shard: int) -> NDArray[Any]:
        """int16[n, d] of a shard, mapped."""
        import numpy as np

        path = self._paths[shard]
        rows = path.stat().st_size // max(1, 2 * self.dimensions)
        if not rows:
            return np.zeros((0, self.dimensions), np.int16)
        return np.memmap(path, np.int16, "r", shape=(rows, self.dimensions))

    def gather(self, shard: NDArray[Any], at: NDArray[Any]) -> NDArray[Any]:
        """int16[m, d]: those of some rows, in the order given."""
        import numpy as np

        out = np.empty((len(at), self.dimensions), np.int16)
        order = np.lexsort((at, shard))
        edges = np.flatnonzero(np.append(True, shard[order][1:] != shard[order][:-1])) if len(order) else order
        for first, last in itertools.pairwise([*edges, len(order)]):
            mine = order[first:last]
            out[mine] = self.of_shard(int(shard[mine[0]]))[at[mine]]
        return out


def unlike(vectors: NDArray[Any]) -> NDArray[Any]:
    """The numbers of the vectors that are not zero, and equal to none before them, ascending."""
    import numpy as np

    _, first = np.unique(digests(vectors), return_index=True)
    some: NDArray[Any] = np.sort(first[np.flatnonzero(vectors[first].any(axis=1))])
    return some


def digests(vectors: NDArray[Any]) -> NDArray[Any]:
    """uint64[n]: a hash of each vector, as `curate.kernels.hashing` makes it of strings."""
    import numpy as np

    from curate.kernels.hashing import hash_strings

    bounds = np.arange(len(vectors) + 1) * (2 * vectors.shape[1])
    return hash_strings(bounds, np.ascontiguousarray(vectors).view(np.uint8).reshape(-1))


def lengths(vectors: NDArray[Any]) -> NDArray[Any]:
    """float64[n]: the Euclidean length of each vector: a whole number under the root."""
    import numpy as np

    wide = vectors.astype(np.float32)
    found: NDArray[Any] = np.sqrt(np.einsum("ij,ij->i", wide, wide).astype(np.float64))
    return found


def nearest(vectors: NDArray[Any], middles: NDArray[Any], count: int) -> Iterator[NDArray[Any]]:
    """uint32[m, count] for blocks of the vectors in order: which of the k middles are nearest by cosine, nearest first.

    The first where two are even; k where there are fewer than `count`. O(n k d); PRODUCTS floats at a time.
    """
    import numpy as np

    k = len(middles)
    wide, weight = middles.astype(np.float32).T, (1 / lengths(middles)).astype(np.float32)
    step = max(1, PRODUCTS // max(1, k))
    for first in range(0, len(vectors), step):
        near = vectors[first : first + step].astype(np.float32) @ wide
        near *= weight
        row, found = np.arange(len(near)), np.full((len(near), count), k, np.uint32)
        for place in range(min(count, k)):
            found[:, place] = near.argmax(axis=1)
            near[row, found[:, place]] = -np.inf
        yield found


def centroids(sample: NDArray[Any], k: int, seed: int) -> NDArray[Any]:
    """int16[k, d]: the middles of k groups of the sample, by spherical k-means (Dhillon and Modha 2001), ROUNDS rounds.

    sample: int16[s, d], no two equal, none zero; fewer than k middles come back for fewer than k vectors. It starts from k
    vectors drawn with `seed`; a group that nothing is nearest to keeps its middle. O(s k d ROUNDS).
    """
    import numpy as np

    from curate.kernels.vectors import quantised

    middles = sample[np.random.default_rng(seed).permutation(len(sample))[:k]]
    for _ in range(ROUNDS if len(middles) > 1 else 0):
        group = np.concatenate([found[:, 0] for found in nearest(sample, middles, 1)])
        order = np.argsort(group, kind="stable")
        there, first = np.unique(group[order], return_index=True)
        sums = np.add.reduceat(sample[order], first, axis=0, dtype=np.int64)
        made, _ = quantised(sums.astype(np.float64))
        moved = made.any(axis=1)
        middles[there[moved]] = made[moved]
    return middles
