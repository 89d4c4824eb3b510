"""`curate dedupe`: exact and near duplicates, found across the whole dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from pydantic import Field

from curate.declare import Batch, Exchange, Filter, Result, Rows, RowsJob, Rule, Shards, Single, Stage, Step, Work
from curate.grouping.inside import Inside, InsideMethod

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Dedupe", "DropDuplicates"]

PARTITIONS = 64
"""Files that keys are grouped through: each is sorted in memory alone, so memory is a 64th of all keys a worker."""

EXACT = 255
"""Stands where near duplicates have the number of the band."""


class Dedupe(RowsJob):
    """Drop rows whose text another row has already: the same text (`exact`), or nearly the same words (`near`).

    `near` is MinHash LSH (Broder 1997; Leskovec et al., Mining of Massive Datasets, chapter 3): sets of word n-grams, a
    signature of each, bands of the signature as keys; rows that share a key are compared by their signatures, and count as
    duplicates from `threshold` on (the share of equal permutations estimates the Jaccard similarity, standard error
    sqrt(J(1-J)/permutations)). Of rows that are tied together, directly or through others, the first is kept.
    Each dropped row names the row that it duplicates and how similar they are.

    `line`, `paragraph` and `span` come after: of the rows that stay, they take text out (text format only).

    Cost: O(words). A row takes on disk 4 bytes a permutation and 24 a band (about 1 kB with the defaults) while the job
    runs; in memory 24 bytes when clusters are drawn, and its share of a 64th of the keys a worker.
    At 10^9 rows: 1.1 TB of disk, 24 GB of memory.
    """

    job: Literal["dedupe"] = "dedupe"
    methods: tuple[Literal["exact", "near", "line", "paragraph", "span"], ...] = Field(
        ("exact", "near"),
        min_length=1,
        description="exact: equal texts but for outer white space; near: similar words. line, paragraph and span take out of a "
        "text what an earlier row holds already: lines or paragraphs of the same words, runs of `span_words` words.",
    )
    threshold: float = Field(0.8, gt=0, le=1, description="Estimated Jaccard similarity from which rows are near duplicates.")
    ngram: int = Field(5, ge=1, description="Words in an n-gram.")
    permutations: int = Field(128, ge=16, le=1024, description="Length of the signatures: more estimate better and cost more.")
    min_unit_words: int = Field(
        5, ge=1, description="Words that a line or paragraph must have to be taken out: shorter ones are said again rightly."
    )
    span_words: int = Field(50, ge=2, description="Words in a run that `span` takes out.")
    min_words_left: int = Field(
        1, ge=0, description="Drop a row that something was taken out of when fewer words are left in it."
    )
    splitter: Literal["unicode", "whitespace"] = Field("unicode", description="How text is split into words.")
    seed: int = Field(0, ge=0, description="Seed of the permutations.")

    def stages(self) -> tuple[Stage, ...]:
        whole: tuple[Stage, ...] = (
            Shards("sign", self._sign),
            Exchange("match", PARTITIONS, self._match),
            Single("cluster", self._cluster),
        )
        inside = self._inside()
        return (*(whole if self._whole_rows() else ()), *inside.stages(self._gone), Rows((), left=self._steps))

    def _whole_rows(self) -> bool:
        return bool({"exact", "near"} & set(self.methods))

    def _inside(self) -> Inside:
        methods = tuple(method for method in self.methods if method in get_args(InsideMethod))
        return Inside(
            methods=cast("tuple[InsideMethod, ...]", methods),
            text_column=self.text_column,
            min_unit_words=self.min_unit_words,
            span_words=self.span_words,
        )

    def _steps(self, folder: Path) -> tuple[Step, ...]:
        place = folder / "work"
        inside = self._inside()
        return (
            *((DropDuplicates(folder=str(place)),) if self._whole_rows() else ()),
            *(inside.steps(place, self.min_words_left) if inside.methods else ()),
        )

    def _gone(self, work: Work) -> NDArray[Any] | None:
        """Rows of a shard that are duplicates as a whole, sorted."""
        import numpy as np
        import polars as pl

        if not self._whole_rows():
            return None
        path = work.folder / "work" / "verdicts" / f"{work.index:05d}.parquet"
        gone: NDArray[Any] = np.sort(pl.read_parquet(path, columns=["row"])["row"].to_numpy())
        return gone

    def peak_memory(self, bytes: int, rows: int) -> int | None:
        """A worker's chunks, and what the docstring of the job states for a row."""
        return 500_000_000 + rows * (24 + 24 * self.bands()[0] // PARTITIONS)

    def disk(self, bytes: int) -> int | None:
        """The rows that stay, and while the job runs about 1 kB for each of 4.5 kB."""
        kept = super().disk(bytes)
        return None if kept is None else kept + bytes * (4 * self.permutations + 24 * self.bands()[0]) // 4500

    def bands(self) -> tuple[int, int]:
        """Bands and rows a band for the threshold, as datasketch chooses them: fewest false positives and negatives."""
        from datasketch import MinHashLSH

        lsh = MinHashLSH(threshold=self.threshold, num_perm=self.permutations)
        return lsh.b, lsh.r

    def _sign(self, work: Work) -> Result:
        """Signatures and keys of a shard's rows; the keys into one file a partition."""
        import numpy as np

        from curate.analysis import buffers, text_buffers, words
        from curate.kernels.hashing import hash128
        from curate.kernels.minhash import bands, minhash

        count, rows_a_band = self.bands()
        near = "near" in self.methods
        signatures: list[Any] = []
        keys: list[Any] = []
        ids: list[pl.Series] = []
        rows: list[Any] = []
        total = 0
        for batch in work.batches():
            row = batch.row.to_numpy()
            total = int(row[-1]) + 1
            ids.append(batch.frame["id"])
            rows.append(row)
            if "exact" in self.methods:
                high, low = hash128(*text_buffers(batch.text.str.strip_chars()))
                keys.append(_keys(high, low, np.full(len(row), EXACT, np.uint8), work.index, row))
            if near:
                signature, some = minhash(batch.share(words, self.splitter), self.ngram, self.permutations, self.seed)
                signatures.append(signature)
                band_keys = bands(signature, count, rows_a_band)
                for band in range(count):
                    key = band_keys[some, band]
                    keys.append(_keys(key, np.zeros_like(key), np.full(len(key), band, np.uint8), work.index, row[some]))
            work.progress(len(batch), len(batch.share(buffers)[1]))
        folder = work.folder / "work"
        _save(folder / "rows" / f"{work.index:05d}.npy", np.concatenate(rows) if rows else np.zeros(0, np.int64))
        _save_ids(folder / "ids" / f"{work.index:05d}.parquet", ids)
        if near and signatures:
            _save(folder / "signatures" / f"{work.index:05d}.npy", np.concatenate(signatures))
        if keys:
            table = np.concatenate(keys)
            partition = (table["key"] >> np.uint64(58)).astype(np.uint8)
            order = np.argsort(partition, kind="stable")
            table, partition = table[order], partition[order]
            edges = np.searchsorted(partition, np.arange(PARTITIONS + 1))
            for i in range(PARTITIONS):
                if edges[i] < edges[i + 1]:
                    _save(folder / "keys" / f"{i:02d}" / f"{work.index:05d}.npy", table[edges[i] : edges[i + 1]])
        return {"rows_in": total}

    def _match(self, work: Work) -> Result:
        """Rows of a partition that share a key, compared: pairs that are duplicates."""
        import numpy as np

        folder = work.folder / "work"
        files = sorted((folder / "keys" / f"{work.index:02d}").glob("*.npy"))
        if not files:
            _save(folder / "pairs" / f"{work.index:02d}.npy", np.zeros(0, pair_type()))
            return {"pairs": 0}
        table = np.concatenate([np.load(f) for f in files])
        order = np.lexsort((table["row"], table["shard"], table["low"], table["key"], table["band"]))
        table = table[order]
        same = np.all([table[name][1:] == table[name][:-1] for name in ("band", "key", "low")], axis=0)
        start = np.flatnonzero(np.concatenate([[True], ~same]))
        first = np.repeat(start, np.diff(np.append(start, len(table))))
        member = np.arange(len(table))
        # Each member of a group is compared with the group's first and with the one before it.
        left = np.concatenate([first, member - 1])
        right = np.concatenate([member, member])
        pairs = (left >= np.concatenate([first, first])) & (left < right)
        left, right = left[pairs], right[pairs]
        exact = table["band"][left] == EXACT
        similarity = np.ones(len(left), np.float32)
        if (~exact).any():
            similarity[~exact] = _similarity(folder, table[left[~exact]], table[right[~exact]], self.permutations)
        # An estimate is a whole number of permutations; the threshold is met by the nearest one.
        found = exact | (similarity >= np.float32(np.ceil(self.threshold * self.permutations - 1e-9) / self.permutations))
        left, right = left[found], right[found]
        out = np.zeros(len(left), pair_type())
        for side, index in (("a", left), ("b", right)):
            out[f"{side}_shard"], out[f"{side}_row"] = table["shard"][index], table["row"][index]
        out["similarity"], out["exact"] = similarity[found], exact[found]
        out = np.unique(out)
        _save(folder / "pairs" / f"{work.index:02d}.npy", out)
        return {"pairs": len(out)}

    def _cluster(self, work: Work) -> Result:
        """Ties of all pairs: for each shard which rows go, and which row each duplicates."""
        import numpy as np

        from curate.kernels.unionfind import components

        folder = work.folder / "work"
        counts = [result["rows_in"] for result in work.results["sign"]]
        base = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        pairs = np.unique(np.concatenate([np.load(f) for f in sorted((folder / "pairs").glob("*.npy"))]))
        a = base[pairs["a_shard"]] + pairs["a_row"]
        b = base[pairs["b_shard"]] + pairs["b_row"]
        root = components(int(base[-1]), a, b)
        gone = root != np.arange(len(root))
        # Of the pairs that a dropped row is the later member of, the most similar explains it; else one it is earlier in.
        both = np.concatenate([b, a])
        other = np.concatenate([a, b])
        similarity = np.concatenate([pairs["similarity"], pairs["similarity"]])
        exact = np.concatenate([pairs["exact"], pairs["exact"]])
        earlier = np.concatenate([np.zeros(len(b), np.int8), np.ones(len(a), np.int8)])
        order = np.lexsort((other, earlier, -similarity, ~exact, both))
        both, other, similarity, exact = both[order], other[order], similarity[order], exact[order]
        firsts = np.concatenate([[True], both[1:] != both[:-1]]) if len(both) else np.zeros(0, bool)
        firsts &= gone[both] if len(both) else firsts
        both, other, similarity, exact = both[firsts], other[firsts], similarity[firsts], exact[firsts]
        names = _names(folder, base, other)
        for shard in range(len(counts)):
            mine = (both >= base[shard]) & (both < base[shard + 1])
            _save_verdict(folder, shard, both[mine] - base[shard], names.filter(mine), similarity[mine], exact[mine])
        sizes = np.bincount(root)
        return {
            "clusters": int((sizes > 1).sum()),
            "largest_cluster": int(sizes.max()) if len(sizes) else 0,
            "exact_duplicates": int(exact.sum()),
            "near_duplicates": int((~exact).sum()),
        }


class DropDuplicates(Filter):
    """Drops the rows that the stages before found to be duplicates. `folder`: where they left their verdicts."""

    step: Literal["duplicates"] = "duplicates"
    folder: str

    def rules(self) -> tuple[Rule, ...]:
        """Any row that has a twin is out: no value is among those allowed."""
        return (
            Rule("exact_duplicate", "exact_duplicate_of", among=()),
            Rule("near_duplicate", "near_duplicate_of", among=()),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        verdicts: dict[int, pl.DataFrame] = {}

        def twins(batch: Batch) -> pl.DataFrame:
            if batch.shard not in verdicts:
                verdicts.clear()
                verdicts[batch.shard] = pl.read_parquet(Path(self.folder) / "verdicts" / f"{batch.shard:05d}.parquet")
            rows = pl.DataFrame({"row": batch.row.cast(pl.Int64)})
            found = rows.join(verdicts[batch.shard], on="row", how="left", maintain_order="left")
            named = pl.col("twin") + pl.lit(" (similarity ") + pl.col("similarity").round(3).cast(pl.String) + pl.lit(")")
            return found.select(
                pl.when(pl.col("exact")).then(pl.col("twin")).alias("exact_duplicate_of"),
                pl.when(~pl.col("exact")).then(named).alias("near_duplicate_of"),
            )

        return twins


def pair_type() -> Any:
    """Two rows that are duplicates, the earlier first."""
    import numpy as np

    return np.dtype(
        [("a_shard", "u4"), ("a_row", "u4"), ("b_shard", "u4"), ("b_row", "u4"), ("similarity", "f4"), ("exact", "?")]
    )


def _keys(key: NDArray[np.uint64], low: NDArray[np.uint64], band: NDArray[np.uint8], shard: int, row: NDArray[np.int64]) -> Any:
    """Keys with where they come from, packed."""
    import numpy as np

    table = np.zeros(len(key), np.dtype([("key", "u8"), ("low", "u8"), ("band", "u1"), ("shard", "u4"), ("row", "u4")]))
    table["key"], table["low"], table["band"], table["shard"], table["row"] = key, low, band, shard, row
    return table


def _similarity(folder: Path, left: Any, right: Any, permutations: int) -> NDArray[np.float32]:
    """Share of equal permutations in the signatures of pairs of rows, read from disk as they are needed."""
    import numpy as np

    equal = np.zeros(len(left), np.float32)
    held: dict[int, tuple[Any, Any]] = {}

    def load(shard: int) -> tuple[Any, Any]:
        if shard not in held:
            rows = np.load(folder / "rows" / f"{shard:05d}.npy")
            held[shard] = (rows, np.load(folder / "signatures" / f"{shard:05d}.npy", mmap_mode="r"))
        return held[shard]

    groups = left["shard"].astype(np.int64) << 32 | right["shard"].astype(np.int64)
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        (a_rows, a), (b_rows, b) = load(int(group >> 32)), load(int(group & 0xFFFFFFFF))
        for at in range(0, len(mine), 8192):
            part = mine[at : at + 8192]
            x = a[np.searchsorted(a_rows, left["row"][part])]
            y = b[np.searchsorted(b_rows, right["row"][part])]
            equal[part] = (x == y).sum(axis=1, dtype=np.float32) / permutations
    return equal


def _save(path: Path, array: Any) -> None:
    import numpy as np

    from curate.io.files import atomic

    with atomic(path) as handle:
        np.save(handle, array)


def _save_ids(path: Path, ids: list[pl.Series]) -> None:
    import polars as pl

    from curate.io.files import atomic

    with atomic(path) as handle:
        pl.DataFrame({"id": pl.concat(ids) if ids else pl.Series([], dtype=pl.String)}).write_parquet(handle)


def _names(folder: Path, base: NDArray[np.int64], wanted: NDArray[np.int64]) -> pl.Series:
    """Ids of rows by their numbers over all shards; one shard's ids in memory at a time."""
    import numpy as np
    import polars as pl

    names = pl.Series([None] * len(wanted), dtype=pl.String)
    for shard in range(len(base) - 1):
        mine = np.flatnonzero((wanted >= base[shard]) & (wanted < base[shard + 1]))
        if len(mine):
            rows = np.load(folder / "rows" / f"{shard:05d}.npy")
            ids = pl.read_parquet(folder / "ids" / f"{shard:05d}.parquet")["id"]
            names = names.scatter(mine, ids.gather(np.searchsorted(rows, wanted[mine] - base[shard])))
    return names


def _save_verdict(folder: Path, shard: int, row: Any, twin: pl.Series, similarity: Any, exact: Any) -> None:
    import polars as pl

    from curate.io.files import atomic

    with atomic(folder / "verdicts" / f"{shard:05d}.parquet") as handle:
        pl.DataFrame({"row": row, "twin": twin, "similarity": similarity.astype("f8"), "exact": exact}).write_parquet(handle)
