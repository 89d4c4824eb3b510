"""What becomes of each row of a cluster: decided once, written down shard by shard, carried out by the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from curate.declare import Batch, Filter, Map, Result, Rule
from curate.grouping.clusters import Clusters, names, write_book
from curate.grouping.keys import KINDS, SET, SHARED

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["DropDuplicates", "MarkDuplicates", "decide", "gone_rows"]

NAMED_SOURCES = 200
"""Sources that the stats name: those that lose most rows."""


def decide(
    folder: Path, shards: Sequence[Path], earlier: int, max_cluster: int | None, max_source_loss: float
) -> tuple[Result, list[pl.Series]]:
    """Draw the clusters, write the verdicts of our shards and the book; returns counts, and what stays for each row (its id).

    folder: the job's. shards: folders of all shards, the first `earlier` of them those of earlier runs.
    Memory: that of `Clusters`, and some 100 bytes for each row that is in a cluster.
    """
    import numpy as np
    import polars as pl

    rows = [(shard / "bounds.bin").stat().st_size // 8 - 1 for shard in shards]
    clusters = Clusters(rows, sorted((folder / "work" / "ties").glob("*.npy")))
    sizes = clusters.sizes()
    number = np.flatnonzero(sizes[clusters.root] > 1)
    root, kind = clusters.root[number], clusters.kind[number]
    tied = clusters.to[number] != number
    size = sizes[root]
    large = size > max_cluster if max_cluster is not None else np.zeros(len(size), bool)
    table = pl.DataFrame(
        {
            "number": number,
            "root": root,
            "id": names(shards, clusters.base, number),
            "cluster": names(shards, clusters.base, root, earlier),
            "tied_to": names(shards, clusters.base, clusters.to[number]),
            "method": pl.Series([*KINDS]).gather(np.where(tied, kind, 0)),
            "similarity": pl.select(
                pl.when(pl.Series(kind) != SHARED).then(pl.Series(clusters.similarity[number]))
            ).to_series(),
            "size": size,
            "stays": ~tied | (large & (kind >= SET)) | (number < clusters.base[earlier]),
            "tied": tied,
        }
    ).with_columns(pl.when("tied").then(pl.col("tied_to", "method", "similarity")))
    first, sources = int(clusters.base[earlier]), []
    for index, shard in enumerate(shards[earlier:]):
        low, high = clusters.base[earlier + index], clusters.base[earlier + index + 1]
        mine = table.filter(pl.col("number").is_between(low, high, closed="left"))
        sources.append(_save(folder / "work" / "verdicts" / f"{index:05d}.parquet", shard, mine, int(low)))
    write_book(folder / "clusters" / "clusters.jsonl.zst", table.drop("size"))
    ours = table.filter(pl.col("number") >= first)
    gone = ours.filter(~pl.col("stays"))
    counts: Result = {
        "clusters": table["root"].n_unique(),
        "largest_cluster": int(sizes.max()) if len(sizes) else 0,
        **{f"{name}_duplicates": int((gone["method"] == name).sum()) for name in dict.fromkeys(KINDS)},
    }
    warnings = []
    if max_cluster is not None:
        counts["large_clusters"] = table.filter(pl.col("size") > max_cluster)["root"].n_unique()
        if counts["large_clusters"]:
            spared = ours.filter(pl.col("stays") & pl.col("tied")).height
            warnings.append(
                f"{counts['large_clusters']} clusters of more than {max_cluster} rows, the largest of "
                f"{counts['largest_cluster']}: {spared} near duplicates in them stay (see clusters/)"
            )
    lost = pl.concat(sources).group_by("source").sum() if sources else pl.DataFrame()
    if lost.height:
        lost = lost.sort("dropped", "source", descending=[True, False])
        warnings += [
            f"source {name}: {dropped} of its {total} rows are duplicates of others (see clusters/)"
            for name, total, dropped in lost.filter(pl.col("dropped") > max_source_loss * pl.col("rows")).iter_rows()
        ]
        counts["sources"] = {
            name: {"rows": total, "dropped": dropped} for name, total, dropped in lost.head(NAMED_SOURCES).iter_rows()
        }
    kept = []
    for index in range(earlier, len(shards)):
        number = np.arange(clusters.base[index], clusters.base[index + 1])
        kept.append(names(shards, clusters.base, clusters.root[number], earlier))
    return {**counts, "warnings": warnings}, kept


def _save(path: Path, shard: Path, mine: pl.DataFrame, first: int) -> pl.DataFrame:
    """Write the verdicts of a shard; gives for each source its rows and how many of them go."""
    import polars as pl

    from curate.io.files import atomic

    rows = pl.read_parquet(shard / "rows.parquet")
    place = mine["number"] - first
    verdicts = mine.select("tied_to", "method", "similarity", "cluster", "size", "stays")
    with atomic(path) as handle:
        verdicts.insert_column(0, rows["row"].gather(place)).write_parquet(handle)
    if "source" not in rows.columns:
        return pl.DataFrame(schema={"source": pl.String, "rows": pl.UInt32, "dropped": pl.UInt32})
    lost = pl.Series("dropped", [False]).new_from_index(0, rows.height).scatter(place.filter(~mine["stays"]), True)
    counted = rows.select("source", lost).drop_nulls("source").group_by("source")
    return counted.agg(pl.len().alias("rows").cast(pl.UInt32), pl.col("dropped").sum().cast(pl.UInt32))


def gone_rows(folder: Path, shard: int) -> NDArray[Any]:
    """Rows of a shard that go, ascending. folder: `work/` of the job."""
    import numpy as np
    import polars as pl

    verdicts = pl.read_parquet(folder / "verdicts" / f"{shard:05d}.parquet", columns=["row", "stays"])
    gone: NDArray[Any] = np.sort(verdicts.filter(~pl.col("stays"))["row"].to_numpy())
    return gone


def _joined(folder: str) -> Callable[[Batch], pl.DataFrame]:
    """batch -> the verdicts of its rows, null for those in no cluster."""
    import polars as pl

    held: dict[int, pl.DataFrame] = {}

    def of(batch: Batch) -> pl.DataFrame:
        if batch.shard not in held:
            held.clear()
            held[batch.shard] = pl.read_parquet(Path(folder) / "verdicts" / f"{batch.shard:05d}.parquet")
        rows = pl.DataFrame({"row": batch.row.cast(pl.Int64)})
        return rows.join(held[batch.shard], on="row", how="left", maintain_order="left")

    return of


class DropDuplicates(Filter):
    """Drops the rows that the stages before found to be duplicates. `folder`: where they left their verdicts."""

    step: Literal["duplicates"] = "duplicates"
    releases_gil: ClassVar[bool] = True
    folder: str

    def rules(self) -> tuple[Rule, ...]:
        """Any row that has a twin is out: no value is among those allowed."""
        return tuple(Rule(f"{name}_duplicate", f"{name}_duplicate_of", among=()) for name in dict.fromkeys(KINDS))

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        verdicts = _joined(self.folder)

        def twins(batch: Batch) -> pl.DataFrame:
            similar = pl.lit(" (similarity ") + pl.col("similarity").round(3).cast(pl.String) + pl.lit(")")
            cosine = pl.lit(" (cosine ") + pl.col("similarity").round(3).cast(pl.String) + pl.lit(")")
            named = {
                "near": pl.col("tied_to") + similar.fill_null(" (a band of the signature)"),
                "semantic": pl.col("tied_to") + cosine,
            }
            return verdicts(batch).select(
                pl.when((pl.col("method") == name) & ~pl.col("stays"))
                .then(named.get(name, pl.col("tied_to")))
                .alias(f"{name}_duplicate_of")
                for name in dict.fromkeys(KINDS)
            )

        return twins


class MarkDuplicates(Map):
    """Says of each row that stays how many rows it stands for, and which cluster it is of."""

    step: Literal["count"] = "count"
    releases_gil: ClassVar[bool] = True
    folder: str

    def adds(self) -> tuple[str, ...]:
        return ("duplicates", "cluster")

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        verdicts = _joined(self.folder)
        return lambda batch: verdicts(batch).select(
            pl.col("size").fill_null(1).cast(pl.Int64).alias("duplicates"), pl.col("cluster")
        )
