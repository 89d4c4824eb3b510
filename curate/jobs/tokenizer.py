"""Training a tokenizer: `curate tokenizer train`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from curate.declare import InputJob, Shards, Single, Stage, Work
from curate.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    import tokenizers
    from numpy.typing import NDArray

    from curate.kernels.bpe_split import Pattern
    from curate.kernels.bpe_words import WordCounts

__all__ = ["EOS", "PAD", "TrainTokenizer"]

EOS = "<|endoftext|>"
PAD = "<|pad|>"
"""Its own token: where pad and eos are one, losses that mask padding never teach the model to stop."""

TURNS = ("<|im_start|>", "<|im_end|>")

SplitPattern = Literal["gpt2", "cl100k", "llama3", "qwen2", "o200k"]
DigitsRule = Literal["split_each", "up_to_three", "keep"]

DIGITS: dict[str, int] = {"split_each": 1, "up_to_three": 3, "keep": 0}

HELD_OUT = 0.02
"""Share of the rows that is not trained on where no row says `split: validation`: what the report is made on."""

MEASURED_BYTES = 16_000_000
"""How much text, of the sample and of the rest, is measured: about 4 million tokens, seconds of work."""

SAID_GROUPS = 8
"""How many languages and sources the table has; `held_out.json` has all."""

_SAMPLE_STREAM = 0x7361_6D70_6C65
"""Mixed into the seed, so that the rows of the sample are not the rows that `split` draws with the same seed."""

_ALPHABETS = {"bpe": 256, "wordpiece": 511, "unigram": 256}
"""Tokens that a model on bytes always has: every byte, for wordpiece at the beginning and (but for #) inside of a word."""

_COUNTED_BYTES = 1 << 20
"""Texts of about this many bytes are cut and then counted."""


class TrainTokenizer(InputJob):
    """Trains a tokenizer on a sample of the texts; writes a folder that `tokenize`, `train` and transformers load.

    With `library` tokenizers (the default of `bpe` and `wordpiece`) the tokens are made of bytes and every text comes back
    from its ids unchanged. `bpe` is byte-level BPE (Sennrich et al. 2016, Radford et al. 2019), learned by kernels:
    vocabulary and merges are those of the tokenizers library. `wordpiece` (Schuster & Nakajima 2012) takes the longest token
    from the left; tokens inside a word begin with `##`, `#` is a word of its own, and words are cut after 100 bytes.
    `unigram` is the unigram model (Kudo 2018), learned by sentencepiece's trainer from the same words.

    With `library` sentencepiece (the default of `unigram`) pieces are made of characters, with bytes for those outside
    the vocabulary, and never reach across lines: text comes back unchanged but for U+2581, which stands for the space and
    comes back as one. `tokenizer.model` is written too; `tokenizer.json` cuts each line as it does, up to ties of the score.

    Special tokens have the first ids: `<|endoftext|>` 0, `<|pad|>` 1, (sentencepiece: `<unk>` 2), then those of the chat
    template, then your own. There is none for the beginning of a text. Special tokens' own letters in a text are ordinary
    text, here and in `tokenize`.

    The chat template is ChatML, or the file `template_file`, which is refused unless a model can be trained with it: answers
    stand in `{% generation %}` blocks with the token that ends them, and a prompt is how the whole conversation begins.

    The sample is drawn by a hash of the row's id, so it does not depend on order or workers; the same rows, options and
    versions of the libraries give the same files. Rows whose column `split` says `validation` are left out of it; where there
    is none, a fiftieth of the rows is. On up to 16 MB of what was left out it measures bytes a token, tokens a word and
    tokens a character, by columns `lang` and `source` where the rows have them: `held_out.json`.

    Memory grows with the distinct words of the sample; measured on text in 25 languages for 32,000 tokens: `bpe` 0.4 GB for
    20 MB, 1.1 GB for 310 MB (1.5 million words). `unigram` by sentencepiece takes 0.8 GB for 15 MB (its suffix array) and is
    many times slower: give it a smaller sample. Disk, while it runs: the words of the sample with their counts, about a
    quarter of its size; for sentencepiece its text, compressed.
    """

    job: Literal["tokenizer train"] = "tokenizer train"
    kind: Literal["bpe", "wordpiece", "unigram"] = Field(
        "bpe", description="bpe: pairs are merged; wordpiece: the longest token first; unigram: the likeliest tokens."
    )
    library: Literal["tokenizers", "sentencepiece"] | None = Field(
        None,
        description="tokenizers: on bytes, all kinds; sentencepiece: on characters with byte fallback, bpe and unigram. "
        "Default: sentencepiece for unigram, else tokenizers.",
    )
    vocab_size: int = Field(
        32_000, ge=512, description="Tokens in all, special ones too. Fewer come out where the sample has no more to merge."
    )
    special_tokens: tuple[str, ...] = Field((), description="Special tokens to add to those of the end, padding and chat.")
    chat_template: bool = Field(True, description="Add ChatML turn tokens and a chat template that marks the assistant's part.")
    template_file: str = Field(
        "", description="A chat template of your own (Jinja) in place of ChatML; name its tokens in special_tokens."
    )
    chat_roles: tuple[str, ...] = Field(
        (), description="Roles that ChatML's template takes; it refuses messages of others. Default: it takes any."
    )
    split_pattern: SplitPattern | None = Field(
        None,
        description="tokenizers: how text is cut into words; llama3 (the default; cl100k is the same) keeps up to three digits "
        "together, qwen2 each digit alone, gpt2 whole numbers; o200k is llama3 that also cuts before upper case.",
    )
    digits: DigitsRule | None = Field(
        None,
        description="Which digits may share a token: none (split_each), three in a row (up_to_three) or any (keep). Default: "
        "what the split pattern has; for sentencepiece split_each.",
    )
    sample_bytes: int = Field(
        200_000_000,
        ge=1,
        description="About how many bytes of text to train on; all but what is held out when there are fewer.",
    )
    seed: int = Field(0, ge=0, lt=1 << 64, description="Another seed draws another sample.")

    @model_validator(mode="after")
    def _consistent(self) -> TrainTokenizer:
        if self.by == "sentencepiece":
            if self.kind == "wordpiece":
                raise ValueError("library: sentencepiece has no wordpiece; leave library out, or take kind bpe or unigram")
            if self.split_pattern is not None:
                raise ValueError("split_pattern is for library tokenizers; sentencepiece cuts at spaces")
            if self.digits == "up_to_three":
                raise ValueError("digits: sentencepiece has split_each and keep only; take library tokenizers for up_to_three")
        if self.chat_roles and (self.template_file or not self.chat_template):
            raise ValueError("chat_roles are for the ChatML template")
        if self.chat_roles and "assistant" not in self.chat_roles:
            raise ValueError("chat_roles: assistant is not among them, so there would be nothing to train on")
        if self.template_file and not self.chat_template:
            raise ValueError("template_file is given, but chat_template is off; leave one of them out")
        names = self.specials()
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"special_tokens: {', '.join(twice)}: there already")
        if any(not name or any(letter.isspace() for letter in name) for name in names):
            raise ValueError("special_tokens: one is empty or has a space in it")
        least = len(names) + _ALPHABETS[self.kind]
        if self.by == "tokenizers" and self.vocab_size < least:
            raise ValueError(f"vocab_size: {self.kind} needs {least} at least: the bytes and the special tokens")
        return self

    @property
    def by(self) -> Literal["tokenizers", "sentencepiece"]:
        """The library whose kind of model it is."""
        return self.library or ("sentencepiece" if self.kind == "unigram" else "tokenizers")

    @property
    def cuts(self) -> tuple[Pattern, int | None]:
        """Split pattern, cl100k by the name of its equal, and digits (None: as the pattern has them)."""
        pattern = self.split_pattern or "llama3"
        return "llama3" if pattern == "cl100k" else pattern, None if self.digits is None else DIGITS[self.digits]

    @property
    def counted(self) -> bool:
        """Whether it is trained on counted words, and not on texts."""
        return self.by == "tokenizers"

    def specials(self) -> list[str]:
        """All special tokens in the order of their ids."""
        chat = TURNS if self.chat_template and not self.template_file else ()
        return [EOS, PAD, *chat, *self.special_tokens]

    def needs(self) -> tuple[str, ...]:
        """Columns besides the text that the job reads."""
        return ("split", "lang", "source")

    def peak_memory(self, bytes: int, rows: int) -> int | None:
        """Of `bpe` and `wordpiece`: twice the distinct words, their lists and pairs, as 310 MB of text in 25 languages have
        them (1.5 million words, 24 MB; 1,119 MB of resident set in all), with room for text that is more varied."""
        if not self.counted or self.kind == "unigram":
            return None
        return 500_000_000 + round(2.5 * min(bytes, self.sample_bytes))

    def stages(self) -> tuple[Stage, ...]:
        return (
            Single("check", self._check),
            Shards("count", self._count, releases_gil=True),
            Shards("sample", self._sample, releases_gil=True),
            Single("train", self._train),
        )

    def _check(self, work: Work) -> dict[str, Any]:
        """Refuse special tokens and a template that could not be used, before there is any work in them."""
        self._template()
        if self.by == "tokenizers":
            from curate.io.tokenizer_train import check_specials

            check_specials(self.specials(), *self.cuts)
        return {}

    def _template(self) -> str | None:
        """The chat template; one of the user's own is checked."""
        from curate.io.chat_template import chatml, check

        if not self.chat_template:
            return None
        if not self.template_file:
            return chatml(self.chat_roles)
        try:
            template = Path(self.template_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"template_file: {self.template_file}: {error}") from error
        check(template, self.template_file, self.specials())
        return template

    def _count(self, work: Work) -> dict[str, Any]:
        """How many bytes there are to train on, and how many are held out already."""
        import polars as pl

        rows, sums = 0, {False: 0, True: 0}
        for batch in work.batches():
            size = batch.text.str.len_bytes().cast(pl.Int64)
            held_out = _validation(batch.frame)
            for side in sums:
                sums[side] += int(size.filter(held_out == side).sum())
            rows += len(batch)
            work.progress(len(batch), int(size.sum()))
        return {"rows_in": rows, "bytes": sums[False], "validation_bytes": sums[True]}

    def _sample(self, work: Work) -> dict[str, Any]:
        """Write the shard's part of the sample (its words, counted, or its texts), and the texts to measure on, into work/."""
        import polars as pl
        import pyarrow as pa
        import pyarrow.parquet as pq

        from curate.analysis import draw
        from curate.kernels.bpe_words import WordCounts

        total = sum(result["bytes"] for result in work.results["count"])
        validation = sum(result["validation_bytes"] for result in work.results["count"])
        share = min(self.sample_bytes / max(total, 1), 1.0 if validation else 1.0 - HELD_OUT)
        measured = MEASURED_BYTES / max(total, 1)
        measured_validation = MEASURED_BYTES / max(validation, 1)
        path = _file(work.folder, "texts", work.index)
        path.parent.mkdir(parents=True, exist_ok=True)
        strings = ("text", "lang", "source")
        flags = ("held_out", "measured")
        schema = pa.schema([*((name, pa.large_string()) for name in strings), *((name, pa.bool_()) for name in flags)])
        rows = size = 0
        words = WordCounts()
        with pq.ParquetWriter(path, schema, compression="zstd") as out:
            for batch in work.batches():
                validation_rows = _validation(batch.frame)
                u = pl.Series(draw(batch.frame["id"], self.seed ^ _SAMPLE_STREAM))
                unused = (u >= share) & (u < share + measured)
                rest = validation_rows & (u < measured_validation) if validation else unused
                sample = ~validation_rows & (u < share)
                measure = rest | (sample & (u < measured))
                columns = {name: _strings(batch.frame, name) for name in strings[1:]}
                kept = pl.DataFrame({"text": batch.text, **columns, "held_out": rest, "measured": measure})
                out.write_table(kept.filter(measure if self.counted else sample | rest).to_arrow().cast(schema))
                if self.counted:
                    _count_words(batch.text.filter(sample), *self.cuts, words)
                rows += int(sample.sum())
                size += int(batch.text.filter(sample).str.len_bytes().cast(pl.Int64).sum())
                work.progress(len(batch), int(batch.text.str.len_bytes().cast(pl.Int64).sum()))
        if self.counted:
            _write_words(words, _file(work.folder, "words", work.index))
        return {"rows_out": rows, "sample_bytes": size}

    def _train(self, work: Work) -> dict[str, Any]:
        """Train on the sample, write the tokenizer's files, and measure it."""
        size = sum(result["sample_bytes"] for result in work.results["sample"])
        if not size:
            raise InputError("tokenizer train: there is no text to train on; is every row in the validation split?")
        files = [_file(work.folder, "texts", index) for index in range(work.shards)]
        data = work.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        work.say(f"training a {self.kind} tokenizer on {size / 1e6:,.1f} MB of text")
        tokenizer, model = self._trained(work, files)
        tokens = tokenizer.get_vocab_size()
        if tokens < self.vocab_size:
            work.say(f"the text gave {tokens:,} tokens, not {self.vocab_size:,}: there is no more in the sample")
        template = self._template()
        if template is not None:
            from curate.io.chat_template import check_tokens

            check_tokens(template, self.template_file or "the chat template", self.specials(), tokenizer)
        if model is not None:
            _write(data / "tokenizer.model", model)
        _write_json(data / "tokenizer_config.json", _config(self.specials(), template))
        # Last, because a folder with a tokenizer.json is a tokenizer.
        _write(data / "tokenizer.json", (tokenizer.to_str(pretty=True) + "\n").encode())
        return {"kind": self.kind, "library": self.by, "vocab_size": tokens, **_measured(work, data, files)}

    def _trained(self, work: Work, files: list[Path]) -> tuple[tokenizers.Tokenizer, bytes | None]:
        """The tokenizer, and sentencepiece's model where it made it."""
        from curate.io import tokenizer_train

        specials = self.specials()
        if self.counted:
            words = _read_words([_file(work.folder, "words", index) for index in range(work.shards)])
            work.say(f"{len(words):,} different words")
            if self.kind == "unigram":
                scratch = work.folder / "work" / "words.tsv"
                return tokenizer_train.unigram(words, self.vocab_size, specials, *self.cuts, scratch), None
            train = tokenizer_train.bpe if self.kind == "bpe" else tokenizer_train.wordpiece
            told = self.vocab_size // 10

            def passing(tokens: int) -> None:
                nonlocal told
                if tokens >= told:
                    work.say(f"{tokens:,} of {self.vocab_size:,} tokens", passing=True)
                    told = tokens + self.vocab_size // 10

            return train(words, self.vocab_size, specials, *self.cuts, passing), None
        texts = (text for frame in _texts(files, held_out=False) for text in frame["text"].to_list())
        kind: Literal["bpe", "unigram"] = "bpe" if self.kind == "bpe" else "unigram"
        split_digits = self.digits != "keep"
        model = tokenizer_train.sentencepiece_model(texts, kind, self.vocab_size, specials, split_digits=split_digits)
        return tokenizer_train.from_sentencepiece(model, kind), model


def _validation(frame: pl.DataFrame) -> pl.Series:
    """Which rows of a batch are in the validation split already."""
    import polars as pl

    if "split" not in frame.columns:
        return pl.repeat(False, frame.height, eager=True)
    return frame["split"].cast(pl.String).fill_null("") == "validation"


def _strings(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column of strings, null where there is none."""
    import polars as pl

    if name in frame.columns and frame[name].dtype == pl.String:
        return frame[name]
    return pl.repeat(None, frame.height, dtype=pl.String, eager=True)


def _file(folder: Path, what: str, index: int) -> Path:
    return folder / "work" / f"{what}-{index:05d}{'.arrow' if what == 'words' else '.parquet'}"


def _count_words(texts: pl.Series, pattern: Pattern, digits: int | None, words: WordCounts) -> None:
    """Cut texts as the tokenizer will, and count the parts."""
    import numpy as np

    from curate.analysis import text_buffers
    from curate.io.bpe import library_classes
    from curate.kernels.bpe_split import pieces

    offsets, data = text_buffers(texts)
    first, n = 0, len(offsets) - 1
    while first < n:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _COUNTED_BYTES, "right")) - 1)
        rows: NDArray[np.int64] = offsets[first : last + 1]
        ends, _ = pieces(rows, data, pattern, library_classes(), digits)
        words.add(data, int(rows[0]), ends)
        first = last


def _write_words(words: WordCounts, path: Path) -> None:
    import pyarrow as pa

    from curate.kernels.columns import strings

    offsets, data, counts = words.words()
    table = pa.table({"word": strings(offsets, data), "count": counts})
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table.schema) as file:
        file.write_table(table)


def _read_words(files: list[Path]) -> WordCounts:
    """The words of all shards together."""
    import numpy as np
    import pyarrow as pa

    from curate.kernels.bpe_words import WordCounts
    from curate.kernels.columns import buffers

    words = WordCounts()
    for path in files:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
            offsets, data = buffers(table["word"])
            words.add(data, int(offsets[0]), offsets[1:], np.asarray(table["count"]))
    return words


def _texts(files: list[Path], *, held_out: bool, measured: bool = False) -> Iterator[pl.DataFrame]:
    """The sample's rows (or those held out), in order, some at a time; `measured`: only those to measure on."""
    import polars as pl
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            for part in file.iter_batches(batch_size=1024):
                frame = pl.DataFrame(pl.from_arrow(part))
                wanted = (pl.col("held_out") == held_out) & (pl.col("measured") | (not measured))
                if not (rows := frame.filter(wanted)).is_empty():
                    yield rows


def _measured(work: Work, data: Path, files: list[Path]) -> dict[str, Any]:
    """Measure the tokenizer just written, as `tokenize` would use it; write `held_out.json` and say the largest groups."""
    from curate.io import fertility
    from curate.io.encoder import Encoder

    encoder = Encoder.load(str(data), None, parallel=True)
    sample, held_out = (fertility.counts(_texts(files, held_out=side, measured=True), encoder) for side in (False, True))
    report = fertility.report(sample, held_out)
    _write_json(data / "held_out.json", report)
    for line in fertility.table(report, SAID_GROUPS):
        work.say(line)
    return report


def _config(specials: list[str], chat_template: str | None) -> dict[str, Any]:
    """`tokenizer_config.json`. How long a text may be is the model's to say, so no `model_max_length`."""
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": EOS,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "additional_special_tokens": specials[2:],
    }
    if chat_template is not None:
        config["chat_template"] = chat_template
    return config


def _write_json(path: Path, value: dict[str, Any]) -> None:
    _write(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def _write(path: Path, data: bytes) -> None:
    from curate.io.files import atomic

    with atomic(path) as file:
        file.write(data)
