"""Texts to token shards: `curate tokenize`."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curate.declare import Batch, InputJob, Shards, Single, Stage, Work
from curate.errors import InputError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from curate.io.encoder import Encoder

__all__ = ["Tokenize"]

CHECKED_BYTES = 1_000_000
"""How much of the first text goes both ways at the start of a run, to see that the ids are the same: half a second."""

COUNTS = ("documents", "tokens", "bytes")

SAID_COUNTS = 40
"""How many splits and sources are said, those of most tokens first; all are written."""


class Tokenize(InputJob):
    """Turns every row's text into token ids, each document closed by the end-of-text token, and writes token shards.

    Rows of all four formats are tokenized as the text they read as, for pretraining. Special tokens' own letters in a text
    (`<|endoftext|>` on a page about tokenizers) are ordinary text: only the tokenizer's real end of a document is that id.
    No other special token is added. An empty text makes no document; such rows are counted.

    Writes `tokens.json` (see `schemas/tokens.json`), `SPLIT-NNNNN.bin` and `.idx` for every split and unit of input that
    has rows, and the tokenizer in `tokenizer/`. Rows with a column `split` keep it; the others are drawn by a hash of their
    id. With `count` it writes `counts.json` alone: documents, tokens (the end-of-text tokens too) and bytes by split and
    source.

    With `layout` the shards are those of Megatron-LM, nanoGPT, datasets or MosaicML streaming, each written as its owner
    reads it, with `shards.json` (see `schemas/shards.json`) in place of `tokens.json`; `train` reads `tokens.json` alone.

    A header holds a digest of what decides the tokenizer's ids. A folder with shards of another tokenizer is left as it is: the
    run is refused. A `.tiktoken` file becomes a tokenizer.json with the same ids; its special tokens are those of the published
    file that it is, else `eos_token` (or `<|endoftext|>`) with the first id that is free.

    Byte-level BPE with a known split pattern (gpt2, llama3 and cl100k, qwen2, o200k), without a normalizer, takes a fast
    path: the same ids as the tokenizers library, which is checked on the first texts of each run. Everything else goes
    through the tokenizer's library. The run says which way its texts went, and why.

    Memory: a batch of texts and its ids, 8 bytes a document of the unit of input, and on the fast path up to 200 MB of
    pieces met before. Disk: 2 bytes a token (4 from 65537 ids on), and 8 a document;
    with another `layout` that while it runs, and for datasets and mds 4 bytes a token in the end.
    """

    job: Literal["tokenize"] = "tokenize"
    tokenizer: str = Field(
        description="The tokenizer: a folder with a tokenizer.json, a tokenizer.json, a sentencepiece .model, or a .tiktoken "
        "file of ranks. In a recipe "
        "`job:NAME` is the one that an earlier job trained."
    )
    eos_token: str | None = Field(
        None, description="The token that closes a document; default: the one that the tokenizer's configuration names."
    )
    split_pattern: Literal["gpt2", "cl100k", "llama3", "qwen2", "o200k"] | None = Field(
        None,
        description="Of a .tiktoken file, which does not say it: how text is cut before it is merged. Default: that of the "
        "published file that it is, by its digest or its number of ranks.",
    )
    layout: Literal["curate", "megatron", "nanogpt", "datasets", "mds"] = Field(
        "curate",
        description="How shards are laid out: curate's own; Megatron-LM's .bin and .idx; nanoGPT's .bin of uint16; a folder "
        "for load_from_disk of Hugging Face datasets; or MosaicML streaming's MDS.",
    )
    validation: float = Field(0.0, ge=0, le=1, description="Share of the rows without a `split` that goes to validation.")
    seed: int = Field(0, ge=0, lt=1 << 64, description="Another seed draws other rows for validation.")
    count: bool = Field(False, description="Count tokens by split and column `source`, and write no shards.")

    def needs(self) -> tuple[str, ...]:
        """Columns besides the text that the job reads."""
        return ("split", "source") if self.count else ("split",)

    def guard(self, folder: Path) -> None:
        """Shards of another tokenizer are not replaced: their ids mean nothing to this one, nor to what was trained on them."""
        from curate.io.layouts import tokenizer_of

        there = tokenizer_of(folder / "data")
        if there is not None and there != (own := self._load(parallel=False).digest):
            raise OutputError(
                f"{folder}: holds shards of another tokenizer (digest {there}, that of {self.tokenizer} is {own}): "
                "name another folder, or remove this one"
            )

    def stages(self) -> tuple[Stage, ...]:
        if self.count:
            return Single("check", self._check), Shards("count", self._count), Single("sum", self._sum)
        return Single("check", self._check), Shards("encode", self._encode), Single("index", self._index)

    def _check(self, work: Work) -> dict[str, Any]:
        """Say which way the texts go: the fast path only if it gives the first of them the library's ids."""
        import polars as pl

        from curate.io.layouts import check_layout

        first, size = [], 0
        for batch in work.batches():
            sizes = batch.text.str.len_bytes().cast(pl.Int64)
            begins = size + sizes.cum_sum() - sizes
            first.append(batch.text.filter(begins < CHECKED_BYTES).str.head(CHECKED_BYTES))
            size += int(sizes.sum())
            if size >= CHECKED_BYTES:
                break
        encoder = self._load(parallel=True)
        if self.layout != "curate":
            check_layout(self.layout, encoder.vocab_size)
        encoder = encoder.checked(pl.concat(first) if first else pl.Series([], dtype=pl.String))
        if encoder.note:
            work.say(encoder.note)
        work.say(encoder.route)
        return {"route": encoder.route, "fast": encoder.fast, "tokenizer_blake2b": encoder.digest}

    def _encode(self, work: Work) -> dict[str, Any]:
        """Write the shard files of one unit of input, one pair a split."""
        import numpy as np

        from curate.io.token_shards import ShardWriter, dtype_for, writing_shard

        encoder = self._encoder(work)
        rows = empty = 0
        writers: dict[str, ShardWriter] = {}
        with contextlib.ExitStack() as files:
            for batch in work.batches():
                size = batch.text.str.len_bytes().to_numpy().astype(np.int64)
                full = size > 0
                splits = self._splits(batch).to_numpy()[full]
                tokens, lengths = encoder.encode(batch.text.filter(full))
                for split in np.unique(splits):
                    if split not in writers:
                        name = f"{split}-{work.index:05d}"
                        shard = writing_shard(self._place(work), name, dtype_for(encoder.vocab_size))
                        writers[split] = files.enter_context(shard)
                    mine = splits == split
                    writers[split].add(tokens[np.repeat(mine, lengths)], lengths[mine], int(size[full][mine].sum()))
                rows += len(batch)
                empty += len(batch) - int(full.sum())
                work.progress(len(batch), int(size.sum()))
        written: list[dict[str, Any]] = [{"split": split, "entry": writer.entry()} for split, writer in sorted(writers.items())]
        return {
            "rows_in": rows,
            "rows_out": sum(shard["entry"]["documents"] for shard in written),
            "tokens": sum(shard["entry"]["tokens"] for shard in written),
            "empty": empty,
            "written": written,
        }

    def _load(self, *, parallel: bool) -> Encoder:
        from curate.io.encoder import Encoder

        return Encoder.load(self.tokenizer, self.eos_token, parallel=parallel, split_pattern=self.split_pattern)

    def _place(self, work: Work) -> Path:
        """Where shards of ours are written: what they are to be, or what another layout is made of."""
        return work.folder / "data" if self.layout == "curate" else work.folder / "work" / "shards"

    def _encoder(self, work: Work) -> Encoder:
        """The encoder of one unit of input, on the way that the check found. Raises InputError when it is another tokenizer."""

        # Units of input are spread over worker processes, so each encodes on one thread; a single unit may use all cores.
        encoder = self._load(parallel=work.shards == 1)
        check = work.results["check"][0]
        if encoder.digest != check["tokenizer_blake2b"]:
            raise InputError(f"{self.tokenizer}: changed while the run was under way: run again, and it starts over")
        return encoder if check["fast"] else encoder.by_library_only("the check at the start")

    def _count(self, work: Work) -> dict[str, Any]:
        """Count the tokens of one unit of input, as `_encode` would write them."""
        import polars as pl

        encoder = self._encoder(work)
        rows = 0
        counts = pl.DataFrame(schema={"split": pl.String, "source": pl.String, **dict.fromkeys(COUNTS, pl.Int64)})
        for batch in work.batches():
            size = batch.text.str.len_bytes().cast(pl.Int64)
            named = "source" in batch.frame.columns and batch.frame["source"].dtype == pl.String
            source = batch.frame["source"] if named else pl.repeat(None, len(batch), dtype=pl.String, eager=True)
            part = pl.DataFrame({"split": self._splits(batch), "source": source, "documents": 1, "bytes": size})
            part = part.filter(size > 0).with_columns(tokens=pl.Series(encoder.encode(batch.text.filter(size > 0))[1]))
            counts = _summed(pl.concat([counts, part.select(counts.columns).cast(counts.schema)]))
            rows += len(batch)
            work.progress(len(batch), int(size.sum()))
        documents, tokens = int(counts["documents"].sum()), int(counts["tokens"].sum())
        empty = rows - documents
        return {"rows_in": rows, "rows_out": documents, "tokens": tokens, "empty": empty, "counts": counts.to_dicts()}

    def _sum(self, work: Work) -> dict[str, Any]:
        """Write `counts.json` and say what is in it."""
        import polars as pl

        from curate.io.files import atomic

        results = work.results["count"]
        every = [count for result in results for count in result["counts"]]
        if not every:
            raise InputError("tokenize: no row has any text")
        counts = _summed(pl.DataFrame(every, schema_overrides={"source": pl.String})).to_dicts()
        with atomic(work.folder / "data" / "counts.json") as file:
            file.write((json.dumps(counts, indent=2, ensure_ascii=False) + "\n").encode())
        for count in sorted(counts, key=lambda count: -count["tokens"])[:SAID_COUNTS]:
            source = "no source" if count["source"] is None else count["source"]
            numbers = f"{count['tokens']:,} tokens, {count['documents']:,} documents, {count['bytes'] / 1e6:,.1f} MB"
            work.say(f"{count['split']}, {source}: {numbers}")
        if more := max(0, len(counts) - SAID_COUNTS):
            work.say(f"{more:,} smaller ones are in counts.json")
        if empty := sum(result["empty"] for result in results):
            work.say(f"{empty:,} rows have an empty text: they make no document")
        return {
            "route": work.results["check"][0]["route"],
            "rows_in": sum(result["rows_in"] for result in results),
            "rows_out": sum(result["rows_out"] for result in results),
            "empty": empty,
            "counts": counts,
        }

    def _splits(self, batch: Batch) -> pl.Series:
        """Each row's split: its own, or drawn."""
        import polars as pl

        from curate.analysis import split_of

        drawn = split_of(batch.frame["id"], self.validation, self.seed)
        if "split" not in batch.frame.columns:
            return drawn
        own = batch.frame["split"].cast(pl.String)
        odd = own.is_not_null() & ~own.fill_null("").str.contains(r"^[A-Za-z0-9_]+$")
        if odd.any():
            row = batch.frame.filter(odd).row(0, named=True)
            raise InputError(f"row {row['id']}: split {row['split']!r} cannot name a file; use letters, digits and _")
        return own.fill_null(drawn)

    def _index(self, work: Work) -> dict[str, Any]:
        """Write `tokens.json` and the tokenizer beside the shards, and look at the shards once more; or the other layout."""
        from curate.io.layouts import write_layout
        from curate.io.token_shards import Documents, dtype_for, read, write_header

        encoder = self._encoder(work)
        results = work.results["encode"]
        written = [shard for result in results for shard in result["written"]]
        names = sorted({shard["split"] for shard in written})
        splits = {name: [shard["entry"] for shard in written if shard["split"] == name] for name in names}
        if not splits:
            raise InputError("tokenize: no row has any text")
        every = [shard["entry"] for shard in written]
        data = work.folder / "data"
        dtype = dtype_for(encoder.vocab_size)
        place = self._place(work)
        for entry in every:
            read(place, entry, dtype)
        encoder.save(data / "tokenizer")
        if not (data / "tokenizer" / "tokenizer.json").is_file():
            work.say(
                "the tokenizer has no tokenizer.json, only a sentencepiece model: `train` cannot load it from these shards"
            )
        about = {
            "vocab_size": encoder.vocab_size,
            "eos_id": encoder.eos_id,
            "tokenizer": "tokenizer",
            "tokenizer_blake2b": encoder.digest,
        }
        header = {"format": "curate-tokens-1", "dtype": dtype, **about, "splits": splits}
        if self.layout == "curate":
            write_header(data, header)
        else:
            sums = {name: {kind: sum(entry[kind] for entry in entries) for kind in COUNTS} for name, entries in splits.items()}
            documents = {name: Documents.of(place, header, name) for name in splits}
            write_layout(self.layout, data, documents, sums, about)
        totals = {kind: sum(entry[kind] for entry in every) for kind in COUNTS}
        if empty := sum(result["empty"] for result in results):
            work.say(f"{empty:,} rows have an empty text: they make no document")
        return {
            "route": work.results["check"][0]["route"],
            "rows_in": sum(result["rows_in"] for result in results),
            "rows_out": totals["documents"],
            "empty": empty,
            "tokens": {name: sum(entry["tokens"] for entry in entries) for name, entries in splits.items()},
            "bytes_per_token": totals["bytes"] / (totals["tokens"] - totals["documents"]),
        }


def _summed(counts: pl.DataFrame) -> pl.DataFrame:
    """One row for each split and source, in their order."""
    import polars as pl

    return counts.group_by("split", "source").agg(pl.col(COUNTS).sum()).sort("split", "source")
