"""Texts to token shards: `curate tokenize`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from curate.declare import Batch, Exchange, InputJob, Shards, Single, Stage, Work
from curate.errors import InputError, OutputError, UsageError
from curate.tokenizing.arrange import PARTITIONS
from curate.tokenizing.options import Arrangement

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from curate.io.encoder import Encoder
    from curate.tokenizing.documents import Documents

__all__ = ["Tokenize"]

CHECKED_BYTES = 256_000
"""How much of the first text goes both ways at the start of a run, to see that the ids are the same: a tenth of a second."""

COUNTS = ("documents", "tokens", "bytes")

_ORDER_STREAM = 0x6F72_6465_725F
"""Mixed into the seed, so that a document's place does not depend on whether it is drawn for validation."""

SAID_COUNTS = 40
"""How many splits and sources are said, those of most tokens first; all are written."""


class Tokenize(Arrangement, InputJob):
    """Turns every row's text into token ids, each document closed by the end-of-text token, and writes token shards.

    Rows of all four formats are tokenized as the text they read as, for pretraining. Special tokens' own letters in a text
    (`<|endoftext|>` on a page about tokenizers) are ordinary text: only the tokenizer's real end of a document is that id.
    No other special token is added, but for a start token with `add_bos`. An empty text makes no document; such rows are
    counted.

    With `render: examples` rows of instruction, chat and preference become what a model sees when it is tuned on them, by
    the renderer of `train`: the tokenizer's chat template, whose `{% generation %}` blocks mark what is trained on, the end
    of the turn with it. The mask is written beside the ids. Rows that are too long, spell a special token, or leave nothing
    to train on are dropped for that; of preference rows also those whose answers are the same.

    Writes `tokens.json` (see `schemas/tokens.json`), `SPLIT-NNNNN.bin` and `.idx` for every split and unit of input that
    has rows, `.mask` with a mask, `.rows` where documents are packed into rows, and the tokenizer in `tokenizer/`. With
    `shuffle` or `pack` a shard holds about 67 million tokens, whatever the units of input; documents are packed within one.
    Which documents share a row is kept, so that attention can stay inside each. Rows with a column `split` keep it; the
    others are drawn by a hash of their id. With `count` it writes `counts.json` alone: documents, tokens (the end-of-text
    tokens too) and bytes by split and source.

    With `layout` the shards are those of Megatron-LM, nanoGPT, datasets or MosaicML streaming, each written as its owner
    reads it, with `shards.json` (see `schemas/shards.json`) in place of `tokens.json`; `train` reads `tokens.json` alone.

    A header holds a digest of what decides the tokenizer's ids. A folder with shards of another tokenizer is left as it is: the
    run is refused. A `.tiktoken` file becomes a tokenizer.json with the same ids; its special tokens are those of the published
    file that it is, else `eos_token` (or `<|endoftext|>`) with the first id that is free.

    Byte-level BPE with a known split pattern (gpt2, llama3 and cl100k, qwen2, o200k), without a normalizer, takes a fast
    path: the same ids as the tokenizers library, which is checked on the first texts of each run. Everything else goes
    through the tokenizer's library. The run says which way its texts went, and why.

    Memory: a batch of texts and its ids for each worker, 8 bytes a document of its unit of input, and on the fast path up to
    200 MB of pieces met before, which up to four workers share as threads of one process; with `shuffle` or `pack` 110 bytes
    a document of a shard and 40 MB. Disk: 2 bytes a token (4 from 65537 ids on), 1 more with a mask, and 8 a document; twice
    that and 16 a document while documents are shuffled or packed. With another `layout` that while it runs, and for datasets
    and mds 4 bytes a token in the end.
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
    seed: int = Field(
        0, ge=0, lt=1 << 64, description="Another seed draws other rows for validation, and another order for `shuffle`."
    )
    count: bool = Field(False, description="Count tokens by split and column `source`, and write no shards.")

    @model_validator(mode="after")
    def _written(self) -> Tokenize:
        if self.count and self.arranged:
            raise ValueError("count writes no shards: leave out shuffle and pack")
        if self.layout != "curate" and (self.render == "examples" or self.pack != "none"):
            raise ValueError(f"layout {self.layout} has no place for masks and rows: leave out render and pack, or the layout")
        return self

    def needs(self) -> tuple[str, ...]:
        """Columns besides the text that the job reads."""
        return ("split", "source") if self.count else ("split",)

    def guard(self, folder: Path, follows: bool) -> None:
        """Shards of another tokenizer are not replaced: their ids mean nothing to this one, nor to what was trained on them."""
        if follows:
            return
        from curate.io.layouts import tokenizer_of

        there = tokenizer_of(folder / "data")
        if there is not None and there != (own := self._load(parallel=False).digest):
            raise OutputError(
                f"{folder}: holds shards of another tokenizer (digest {there}, that of {self.tokenizer} is {own}): "
                "name another folder, or remove this one"
            )

    def stages(self) -> tuple[Stage, ...]:
        if self.count:
            count = Shards("count", self._count, releases_gil=_in_kernels)
            return Single("check", self._check), count, Single("sum", self._sum)
        encode, index = Shards("encode", self._encode, releases_gil=_in_kernels), Single("index", self._index)
        arrange = (Exchange("arrange", PARTITIONS, self._arrange),) if self.arranged else ()
        return Single("check", self._check), encode, *arrange, index

    def _check(self, work: Work) -> dict[str, Any]:
        """Say which way the texts go: the fast path only if it gives the first of them the library's ids."""
        import polars as pl

        from curate.io.layouts import check_layout
        from curate.io.token_shards import dtype_for

        if self.pack != "none" and self.render == "examples" and work.reading == "preference":
            raise UsageError("tokenize: preference rows are three documents each and are not packed; leave out pack")
        if self.render == "examples":
            encoder = self._load(parallel=False)
            # The renderer loads the very tokenizer that goes along with the shards.
            encoder.save(work.folder / "work" / "tokenizer")
            templated = self._documents(work, encoder).renderer.templated
            route = "chat template of the tokenizer" if templated else "no chat template: prompt, blank line, answer"
            work.say(route)
            about = {"tokenizer_blake2b": encoder.digest, "dtype": dtype_for(encoder.vocab_size)}
            return {"route": route, "fast": False, **about}

        first, size = [], 0
        for batch in work.batches():
            sizes = batch.text.str.len_bytes().cast(pl.Int64)
            begins = size + sizes.cum_sum() - sizes
            first.append(batch.text.filter(begins < CHECKED_BYTES).str.head(CHECKED_BYTES))
            size += int(sizes.sum())
            if size >= CHECKED_BYTES:
                break
        encoder = self._load(parallel=work.shards == 1)
        if self.layout != "curate":
            check_layout(self.layout, encoder.vocab_size)
        encoder = encoder.checked(pl.concat(first) if first else pl.Series([], dtype=pl.String))
        if encoder.note:
            work.say(encoder.note)
        work.say(encoder.route)
        about = {"tokenizer_blake2b": encoder.digest, "dtype": dtype_for(encoder.vocab_size)}
        return {"route": encoder.route, "fast": encoder.fast, **about}

    def _documents(self, work: Work, encoder: Encoder) -> Any:
        """What makes documents of a batch."""
        from curate.tokenizing.documents import Examples, Texts

        if self.render == "examples":
            return Examples(work.folder / "work" / "tokenizer", work.reading, self.max_document, self.long)
        return Texts(encoder, self.add_bos, self.max_document, self.long)

    def _encode(self, work: Work) -> dict[str, Any]:
        """Write the documents of one unit of input, a shard a split, and what arranging them needs to know."""
        import numpy as np

        from curate.analysis import draw
        from curate.io.token_shards import ShardWriter, dtype_for, writing_shard
        from curate.tokenizing.arrange import Notes

        encoder = self._encoder(work)
        make: Callable[[Batch], Documents] = self._documents(work, encoder)
        rows = rows_out = empty = long = 0
        writers: dict[str, ShardWriter] = {}
        notes: dict[str, Notes] = {}
        folder = work.folder / "work" / "documents" if self.arranged else self._place(work)
        with contextlib.ExitStack() as files:
            for batch in work.batches():
                size = batch.text.str.len_bytes().to_numpy().astype(np.int64)
                made = make(batch)
                _book(work, batch, made)
                first = np.diff(made.row, prepend=-1) > 0
                sizes = np.where(first, size[made.row], 0)
                if self.shuffle:
                    drawn = draw(batch.frame["id"], self.seed ^ _ORDER_STREAM)[made.row]
                for split, mine, of in made.by(self._splits(batch)):
                    if split not in writers:
                        name = f"{split}-{work.index:05d}"
                        shard = writing_shard(folder, name, dtype_for(encoder.vocab_size), masked=of.mask is not None)
                        writers[split], notes[split] = files.enter_context(shard), Notes()
                    writers[split].add(of.tokens, of.lengths, int(sizes[mine].sum()), of.mask)
                    if self.arranged:
                        notes[split].add(drawn[mine] if self.shuffle else np.zeros(int(mine.sum())), sizes[mine])
                rows += len(batch)
                rows_out += int(first.sum())
                empty += len(batch) - int(first.sum()) - len(made.dropped) - len(made.rejected)
                long += made.long
                work.progress(len(batch), int(size.sum()))
        written: list[dict[str, Any]] = [{"split": split, "entry": writer.entry()} for split, writer in sorted(writers.items())]
        if self.arranged:
            for shard_written in written:
                notes[shard_written["split"]].write(folder / f"{shard_written['entry']['file']}.npy")
        return {
            "rows_in": rows,
            "rows_out": rows_out,
            "tokens": sum(shard["entry"]["tokens"] for shard in written),
            "empty": empty,
            "long": long,
            "written": written,
        }

    def _arrange(self, work: Work) -> dict[str, Any]:
        """Write one shard of each split in its final order."""
        from curate.tokenizing.arrange import arrange

        dtype = work.results["check"][0]["dtype"]
        written = [shard for result in work.results["encode"] for shard in result["written"]]
        found = []
        for split in sorted({shard["split"] for shard in written}):
            entries = [shard["entry"] for shard in written if shard["split"] == split]
            source = work.folder / "work" / "documents"
            found.append(arrange(source, self._place(work), split, entries, dtype, work.index, self))
        return {"written": [one for one in found if one is not None]}

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
        import numpy as np
        import polars as pl

        make: Callable[[Batch], Documents] = self._documents(work, self._encoder(work))
        rows = rows_out = empty = 0
        counts = pl.DataFrame(schema={"split": pl.String, "source": pl.String, **dict.fromkeys(COUNTS, pl.Int64)})
        for batch in work.batches():
            size = batch.text.str.len_bytes().cast(pl.Int64)
            named = "source" in batch.frame.columns and batch.frame["source"].dtype == pl.String
            source = batch.frame["source"] if named else pl.repeat(None, len(batch), dtype=pl.String, eager=True)
            made = make(batch)
            _book(work, batch, made)
            documents = np.bincount(made.row, minlength=len(batch))
            tokens = np.bincount(made.row, made.lengths, len(batch))
            columns = {"split": self._splits(batch), "source": source, "documents": documents, "tokens": tokens, "bytes": size}
            part = pl.DataFrame(columns).filter(pl.col("documents") > 0)
            counts = _summed(pl.concat([counts, part.select(counts.columns).cast(counts.schema)]))
            rows += len(batch)
            rows_out += part.height
            empty += len(batch) - part.height - len(made.dropped) - len(made.rejected)
            work.progress(len(batch), int(size.sum()))
        total = int(counts["tokens"].sum())
        return {"rows_in": rows, "rows_out": rows_out, "tokens": total, "empty": empty, "counts": counts.to_dicts()}

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
        written = [shard for result in work.results["arrange" if self.arranged else "encode"] for shard in result["written"]]
        names = sorted({shard["split"] for shard in written})
        splits = {name: [shard["entry"] for shard in written if shard["split"] == name] for name in names}
        if not splits:
            left = "has any text" if self.render == "text" and self.max_document is None else "is left; see dropped/"
            raise InputError(f"tokenize: no row {left}")
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
        if self.render == "examples":
            header["content"] = "preferences" if work.reading == "preference" else "examples"
        if self.sequence is not None:
            header["sequence"] = self.sequence
        if self.layout == "curate":
            write_header(data, header)
        else:
            sums = {name: {kind: sum(entry[kind] for entry in entries) for kind in COUNTS} for name, entries in splits.items()}
            documents = {name: Documents.of(place, header, name) for name in splits}
            write_layout(self.layout, data, documents, sums, about)
        totals = {kind: sum(entry[kind] for entry in every) for kind in COUNTS}
        if empty := sum(result["empty"] for result in results):
            work.say(f"{empty:,} rows have an empty text: they make no document")
        rows = sum(result["rows_out"] for result in results)
        result = {
            "route": work.results["check"][0]["route"],
            "rows_in": sum(result["rows_in"] for result in results),
            "rows_out": rows,
            "empty": empty,
            "tokens": {name: sum(entry["tokens"] for entry in entries) for name, entries in splits.items()},
        }
        if self.render == "text":
            # Of a text, all but its start and end token.
            result["bytes_per_token"] = totals["bytes"] / max(1, totals["tokens"] - rows * (1 + self.add_bos))
        else:
            result["trained"] = sum(entry["trained"] for entry in every)
            work.say(f"{result['trained']:,} of {totals['tokens']:,} tokens are trained on")
        if long := sum(one["long"] for one in results):
            result["long"] = long
            work.say(f"{long:,} rows are longer than {self.max_document:,} tokens: {'cut' if self.long == 'split' else 'kept'}")
        if self.sequence is not None:
            result |= _packing(written)
            work.say("{packed_rows:,} rows: {documents_cut:,} documents cut, {padding:.2%} padding".format(**result))
        return result


def _in_kernels(results: dict[str, Any]) -> bool:
    """Whether texts take the fast path: then threads share the pieces that they meet, which processes learn each anew."""
    return bool(results["check"]["fast"])


def _summed(counts: pl.DataFrame) -> pl.DataFrame:
    """One row for each split and source, in their order."""
    import polars as pl

    return counts.group_by("split", "source").agg(pl.col(COUNTS).sum()).sort("split", "source")


def _packing(written: list[dict[str, Any]]) -> dict[str, Any]:
    """How well documents were packed."""
    room = sum(shard["room"] for shard in written)
    tokens = sum(shard["entry"]["tokens"] for shard in written)
    rows = sum(shard["entry"]["rows"] for shard in written)
    cut = sum(shard["cut"] for shard in written)
    return {"packed_rows": rows, "documents_cut": cut, "padding": 1 - tokens / room}


def _book(work: Work, batch: Batch, made: Documents) -> None:
    """Write down the rows that make no document."""
    if made.dropped:
        work.drop(batch, made.dropped, made.reasons)
    if made.rejected:
        work.reject(batch, made.rejected, made.errors)
