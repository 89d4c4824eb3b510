"""`curate dedupe`: exact and near duplicates, found across the whole dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast, get_args

from pydantic import Field, model_validator

from curate.declare import Batch, Exchange, Result, Rows, RowsJob, Shards, Single, Stage, Step, Work
from curate.grouping.facts import Compare, Keep, Normalize
from curate.grouping.index import Index, digest_of
from curate.grouping.inside import Inside, InsideMethod
from curate.grouping.keys import BAND, EXACT, SET, SHARED, UNITS, URL
from curate.grouping.pairs import Order
from curate.grouping.semantic import Semantic
from curate.grouping.verdicts import DropDuplicates, MarkDuplicates

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Dedupe"]

RECALL = 0.99
"""Chance at least that two rows which are just similar enough share a band, and are compared."""


class Dedupe(RowsJob):
    """Drop rows that others repeat: of one address (`url`), of the same text (`exact`), or of nearly the same words (`near`).

    `near` finds candidates by MinHash LSH (Broder 1997; Leskovec et al., Mining of Massive Datasets, chapter 3): sets of
    n-grams, a signature of each, bands of the signature as keys. Rows that share a key are compared by the exact Jaccard
    similarity of their sets, and are tied together from `threshold` on.

    Rows have an order, the one of `keep`. A row that is tied to one before it goes; each dropped row names the row that it is
    tied to and how similar they are. Nothing goes for what comes after it: two rows which do not resemble one another
    both stay, even if a third that comes later resembles both. All ties are in `clusters/`.

    A group of rows with one key is compared pair by pair up to 64 rows; in a larger one each row is compared with the first
    64 that resemble none before them (`compared_in_part` in the stats counts rows for which these were not all).

    `semantic` compares rows by vectors that they hold or that a model makes: groups of a k-means, each row in two of them, and
    the exact cosine in each group (SemDeDup, Abbas et al. 2023). Up to 8,192 rows are one group, where no pair is missed. On
    180 MB of versions of documentation (19,586 rows, static vectors of 256 numbers, threshold 0.95) 99.9 of 100 rows that go
    when all pairs are compared went with 40 groups, 99.4 with 600; `semantic_groups` trades time for it.

    `line`, `paragraph` and `span` come after: of the rows that stay, they take text out (text format only).

    Cost: O(bytes). On disk while the job runs a row takes 21 bytes a key (one a band, one a method) and 4 a distinct n-gram:
    3.2 kB with the defaults for 700 words. In memory 33 bytes a row when clusters are drawn, once; a worker holds 2 million
    keys and 64 MB of sets at a time, or one group. At 10^9 rows of 700 words: 3.2 TB of disk, 33 GB of memory.
    With `semantic` a row takes 2 bytes a dimension more and 32, a worker less than 500 MB, whatever the input. At 10^9 rows of
    256 dimensions that is 544 GB of disk, 44,722 groups, and 2 x 10^16 operations each to find the groups of the rows and to
    compare the rows in them: at 100 GFLOP/s a core 65 hours each, if groups are even. A group of m rows costs m^2 products
    (`largest_group` in the stats).
    """

    grows: ClassVar[tuple[str, ...]] = ("index",)

    job: Literal["dedupe"] = "dedupe"
    methods: tuple[Literal["url", "exact", "near", "semantic", "line", "paragraph", "span"], ...] = Field(
        ("exact", "near"),
        min_length=1,
        description="url: one address; exact: equal texts; near: similar words; semantic: near by an embedding. line, "
        "paragraph and span take out of a text what an earlier row holds already: lines or paragraphs of the same words, "
        "runs of `span_words` words.",
    )
    compare: Compare = Field(
        "row",
        description="What of a row is compared. row: all of its text; instruction: what is asked (of a chat the user's turns); "
        "answers: what is answered (the output, both answers of a preference, of a chat the assistant's turns).",
    )
    normalize: Normalize = Field(
        "strip",
        description="What counts as equal for `exact`. strip: the same text but for white space around it; letters: the same "
        "but for case, punctuation, white space and Unicode form (NFC).",
    )
    variant: Literal["verified", "fineweb"] = Field(
        "verified",
        description="How near duplicates are told. verified: as said above; fineweb: as FineWeb was deduplicated, with the "
        "signatures of datatrove with SHA-1, but words cut at white space: one of 14 bands of 8 is enough.",
    )
    threshold: float = Field(0.8, gt=0, le=1, description="Jaccard similarity from which rows are near duplicates.")
    unit: Literal["words", "characters"] = Field(
        "words", description="What n-grams are made of; characters are taken in lower case, with white space as one space."
    )
    ngram: int = Field(5, ge=1, description="Words or characters in an n-gram.")
    permutations: int = Field(
        128,
        ge=16,
        le=1024,
        description="Length of the signatures that may be used: with more, fewer rows are compared in vain.",
    )
    bands: int | None = Field(
        None,
        ge=1,
        description="Bands of the signature, with `rows`; default: so that a pair at `threshold` meets in 99 of 100.",
    )
    rows: int | None = Field(None, ge=1, description="Rows of the signature in a band; default: see `bands`.")
    embedding_column: str | None = Field(
        None, description="For semantic: where the vector of a row stands, a list of numbers, in every row as many."
    )
    embedding_model: str | None = Field(
        None,
        description="For semantic: folder of a model that makes the vectors: static token vectors (model.safetensors and "
        "tokenizer.json, as model2vec writes them), or a transformer (the mean of its last hidden states; extra `embed`).",
    )
    semantic_threshold: float = Field(
        0.95,
        gt=-1,
        le=1,
        description="Cosine from which rows are semantic duplicates. What is near depends on the model: see the cosines in "
        "`clusters/` before you trust a threshold.",
    )
    semantic_groups: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Groups by k-means within which `semantic` compares rows; fewer find more pairs, and take longer. "
        "Default: one up to 8,192 rows, so that all pairs are met; then one for each 4,096 rows, at most sqrt(2 x rows).",
    )
    keep: Keep = Field(
        "first",
        description="Which row of a cluster is kept: the first, the longest, the newest (by `date_column`), the best (highest "
        "in `score_column`), or by `source_column` as `sources` lists them; where they are even, the first.",
    )
    url_column: str = Field("url", description="Where the address stands, for method url; rows without one have no duplicate.")
    date_column: str = Field("date", description="Where the date stands, for keep newest: ISO 8601, or seconds.")
    score_column: str = Field("score", description="Where the score stands, for keep best.")
    source_column: str = Field("source", description="Where the source of a row stands: losses are counted by source.")
    sources: tuple[str, ...] = Field((), description="Sources for keep source, those to keep first; others come last.")
    count: bool = Field(
        False,
        description="Add columns: `duplicates`, how many rows the kept one stands for, and `cluster`, the id of its cluster.",
    )
    index: str | None = Field(
        None,
        description="Folder of an index: rows are compared with those of all earlier runs on it too, which come first, and are "
        "then added to it. The earlier rows are not read again.",
    )
    max_cluster: int | None = Field(
        None,
        ge=2,
        description="Near duplicates in clusters of more rows are told, not dropped: such clusters are often a template that "
        "chains different pages together. Equal rows in them go all the same.",
    )
    max_source_loss: float = Field(
        0.5, ge=0, le=1, description="Share of its rows that a source may lose before a warning says so."
    )
    min_unit_words: int = Field(
        5, ge=1, description="Words that a line or paragraph must have to be taken out: shorter ones are said again rightly."
    )
    span_words: int = Field(50, ge=2, description="Words in a run that `span` takes out.")
    min_words_left: int = Field(
        1, ge=0, description="Drop a row that something was taken out of when fewer words are left in it."
    )
    splitter: Literal["unicode", "whitespace"] = Field("unicode", description="How text is split into words.")
    seed: int = Field(0, ge=0, description="Seed of the permutations.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.bands is None) != (self.rows is None):
            raise ValueError("bands and rows go together: give both or neither")
        if self.bands is not None and self.rows is not None and self.bands * self.rows > self.permutations:
            raise ValueError(f"{self.bands} bands of {self.rows} rows need permutations of {self.bands * self.rows} or more")
        if self.variant == "fineweb" and (self.unit != "words" or self.permutations < 112):
            raise ValueError("variant fineweb takes n-grams of words, and 112 permutations or more")
        if self.index is not None and not self._whole_rows():
            raise ValueError("an index serves the methods url, exact and near")
        if self.index is not None and "semantic" in self.methods:
            raise ValueError("an index serves the methods url, exact and near: run semantic on its own, without one")
        if (self.embedding_column is not None) + (self.embedding_model is not None) != ("semantic" in self.methods):
            raise ValueError("method semantic needs embedding_column or embedding_model, one of the two, and nothing else does")
        if (self.keep == "source") != bool(self.sources):
            raise ValueError("keep source needs sources, the ones to keep first, and nothing else does")
        return self

    def needs(self) -> tuple[str, ...]:
        """Columns besides the text that the job reads."""
        column = {"newest": self.date_column, "best": self.score_column}.get(self.keep)
        others = [column, self.embedding_column, self.url_column if "url" in self.methods else None]
        return (self.source_column, *(name for name in others if name)) if self._whole_rows() else ()

    def stages(self) -> tuple[Stage, ...]:
        # Vectors come first: what is wrong with them is told at once.
        embed, *meet = self._semantic().stages(self._order)
        semantic = "semantic" in self.methods
        whole: tuple[Stage, ...] = (
            *((embed,) if semantic else ()),
            Shards("sign", self._sign, releases_gil=True),
            *((Single("earlier", self._find_earlier),) if self.index is not None else ()),
            Exchange("match", UNITS, self._match, releases_gil=True),
            *(meet if semantic else ()),
            Single("cluster", self._cluster),
        )
        inside = self._inside()
        return (*(whole if self._whole_rows() else ()), *inside.stages(self._gone), Rows((), left=self._steps))

    def _whole_rows(self) -> bool:
        return bool({"url", "exact", "near", "semantic"} & set(self.methods))

    def _semantic(self) -> Semantic:
        return Semantic(
            column=self.embedding_column,
            model=self.embedding_model,
            compare=self.compare,
            threshold=self.semantic_threshold,
            groups=self.semantic_groups,
            seed=self.seed,
        )

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
            *((MarkDuplicates(folder=str(place)),) if self._whole_rows() and self.count else ()),
            *(inside.steps(place, self.min_words_left) if inside.methods else ()),
        )

    def _gone(self, work: Work) -> NDArray[Any] | None:
        """Rows of a shard that are duplicates as a whole, sorted."""
        from curate.grouping.verdicts import gone_rows

        return gone_rows(work.folder / "work", work.index) if self._whole_rows() else None

    def peak_memory(self, bytes: int, rows: int) -> int | None:
        """A worker's chunks, the keys and sets that it holds, and what the docstring of the job states for a row."""
        return 800_000_000 + 33 * rows + (500_000_000 if "semantic" in self.methods else 0)

    def disk(self, bytes: int) -> int | None:
        """The rows that stay, and while the job runs keys (about 14 for each of 4.5 kB), sets (0.6 of the text), vectors."""
        kept = super().disk(bytes)
        near = bytes * 6 // 10 if "near" in self.methods else 0
        vectors = bytes * 544 // 4500 if "semantic" in self.methods else 0
        return None if kept is None else kept + near + vectors + bytes * 21 * 16 // 4500

    def banding(self) -> tuple[int, int]:
        """`(bands, rows)`: the most rows a band, and then the fewest bands, by which a pair at the threshold meets.

        It meets with probability 1 - (1 - threshold^rows)^bands, which is RECALL at least. Candidates are verified, so
        false ones cost time alone; datasketch's optimal parameters weigh the two kinds of error against one another. They
        stand in where the permutations are too few for RECALL.
        """
        if self.bands is not None and self.rows is not None:
            return self.bands, self.rows
        if self.variant == "fineweb":
            return 14, 8
        from math import ceil, log, log1p

        for rows in range(self.permutations, 0, -1):
            chance = self.threshold**rows
            bands = (
                1 if chance >= RECALL else ceil(log(1 - RECALL) / log1p(-chance)) if chance > 1e-12 else self.permutations + 1
            )
            if bands * rows <= self.permutations:
                return bands, rows
        from datasketch import MinHashLSH

        lsh = MinHashLSH(threshold=self.threshold, num_perm=self.permutations)
        return lsh.b, lsh.r

    def _sign(self, work: Work) -> Result:
        """Keys and sets of a shard's rows, and what is known of each."""
        from curate.analysis import buffers
        from curate.grouping.facts import compared
        from curate.grouping.keys import put_shard

        tables: list[Any] = []
        sets: list[Any] = []
        rows: list[pl.DataFrame] = []
        count = 0
        for batch in work.batches():
            seen = compared(batch, self.compare)
            rows.append(self._facts(seen))
            tables += self._keys(seen, count, sets)
            count += len(batch)
            work.progress(len(batch), len(batch.share(buffers)[1]))
        digest = put_shard(self._shards(work)[work.index], _rows(rows), tables, sets)
        return {"texts": count, "digest": digest}

    def _keys(self, batch: Batch, first: int, sets: list[Any]) -> list[Any]:
        """The entries of a batch, the first of whose rows is at place `first`; their sets go to `sets`."""
        import numpy as np

        from curate.analysis import buffers, text_buffers
        from curate.grouping.facts import canonical_urls, letters
        from curate.grouping.keys import entries
        from curate.kernels.folded_words import folded_hashes
        from curate.kernels.hashing import hash128
        from curate.kernels.minhash import bands, minhash
        from curate.kernels.shingles import character_hashes, shingle_sets

        at = np.arange(first, first + len(batch))
        found = []
        if "exact" in self.methods:
            text = batch.text.str.strip_chars() if self.normalize == "strip" else letters(batch.text)
            found.append(entries(*hash128(*text_buffers(text)), EXACT, at))
        if "url" in self.methods and self.url_column in batch.frame.columns:
            url = canonical_urls(batch.frame[self.url_column])
            there = url.is_not_null().to_numpy()
            found.append(entries(*hash128(*text_buffers(url.drop_nulls())), URL, at[there]))
        if "near" not in self.methods:
            sets += [np.zeros(0, np.uint32), np.zeros(len(at), np.int64)]
            return found
        if self.variant == "fineweb":
            sets += [np.zeros(0, np.uint32), np.zeros(len(at), np.int64)]
            return found + self._fineweb_keys(batch, at)
        if self.unit == "words":
            grams = shingle_sets(*folded_hashes(*batch.share(buffers), self.splitter), self.ngram)
        else:
            text = batch.text.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
            grams = shingle_sets(*character_hashes(*text_buffers(text)), self.ngram)
        sizes = np.diff(grams.bounds)
        sets += [grams.values, sizes]
        some = np.flatnonzero(sizes)
        found.append(entries(grams.digests[some, 0], grams.digests[some, 1], SET, at[some]))
        count, rows = self.banding()
        keys = bands(minhash(grams.values, grams.bounds, count * rows, self.seed), count, rows)
        found += [entries(keys[some, band], grams.digests[some, 0], BAND, at[some]) for band in range(count)]
        return found

    def _fineweb_keys(self, batch: Batch, at: NDArray[Any]) -> list[Any]:
        import numpy as np

        from curate.analysis import text_buffers
        from curate.grouping.facts import simplified
        from curate.grouping.keys import entries
        from curate.kernels.fineweb_minhash import fineweb_signatures
        from curate.kernels.minhash import bands
        from curate.kernels.words import words

        count, rows = self.banding()
        offsets, data = text_buffers(simplified(batch.text))
        found = words(offsets, data, "whitespace")
        signatures, there = fineweb_signatures(data, found.starts, found.ends, found.bounds, self.ngram, count * rows)
        # Each value is two columns of the kernel's.
        keys, some = bands(signatures.view(np.uint32), count, 2 * rows), np.flatnonzero(there)
        nothing = np.zeros(len(some), np.uint64)
        return [entries(keys[some, band], nothing, SHARED, at[some]) for band in range(count)]

    def _facts(self, batch: Batch) -> pl.DataFrame:
        """id, row, and as far as they are asked for: how much the row is wanted, its source."""
        import polars as pl

        from curate.grouping.facts import wanted

        columns = [batch.frame["id"], batch.row.cast(pl.Int64).alias("row")]
        if self.keep != "first":
            column = {"newest": self.date_column, "best": self.score_column}.get(self.keep, self.source_column)
            columns.append(wanted(batch, self.keep, column, self.sources).alias("wanted"))
        if self.source_column in batch.frame.columns:
            columns.append(batch.frame[self.source_column].cast(pl.String).alias("source"))
        return pl.DataFrame(columns)

    def _shards(self, work: Work) -> list[Path]:
        return [work.folder / "work" / "shards" / f"{index:05d}" for index in range(work.shards)]

    def _match(self, work: Work) -> Result:
        """Ties of rows that share a key of the unit's ranges."""
        from curate.grouping.occurrences import save
        from curate.grouping.pairs import match

        ties, counts = match(self._order(work), work.index, self.threshold)
        save(work.folder / "work" / "ties" / f"{work.index:02d}.npy", ties)
        return dict(counts)

    def _order(self, work: Work) -> Order:
        """Which rows come before which, of those of earlier runs and ours."""
        earlier = self._earlier(work)
        return Order([*earlier, *self._shards(work)], len(earlier), self.keep != "first")

    def _cluster(self, work: Work) -> Result:
        """Which rows go, and which row each duplicates."""
        from curate.grouping.verdicts import decide

        earlier, ours = self._earlier(work), self._shards(work)
        counts, kept = decide(work.folder, [*earlier, *ours], len(earlier), self.max_cluster, self.max_source_loss)
        for warning in counts["warnings"]:
            work.say(warning)
        if self.index is not None:
            self._index(self.index).add(self._digest(work), earlier, ours, kept)
        return counts

    def _find_earlier(self, work: Work) -> Result:
        """Which shards of the index the rows are compared with."""
        assert self.index is not None
        return {"shards": [str(shard) for shard in self._index(self.index).earlier(self._digest(work))]}

    def _earlier(self, work: Work) -> list[Path]:
        return [Path(shard) for result in work.results.get("earlier", ()) for shard in result["shards"]]

    def _index(self, folder: str) -> Index:
        decides = ("compare", "normalize", "variant", "threshold", "unit", "ngram", "splitter", "seed")
        options = {name: getattr(self, name) for name in decides}
        methods = [method for method in ("url", "exact", "near") if method in self.methods]
        return Index(Path(folder), {**options, "methods": methods, "bands": list(self.banding())})

    def _digest(self, work: Work) -> str:
        return digest_of([result["digest"] for result in work.results["sign"]])


def _rows(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """What is known of a shard's rows; a column that only some batches have is null in the others."""
    import polars as pl

    if not frames:
        return pl.DataFrame(schema={"id": pl.String, "row": pl.Int64, "wanted": pl.Float64})
    return pl.concat(frames, how="diagonal_relaxed")
