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

__all__ = ["CHAT_TEMPLATE", "EOS", "PAD", "TrainTokenizer"]

EOS = "<|endoftext|>"
PAD = "<|pad|>"
"""Its own token: where pad and eos are one, losses that mask padding never teach the model to stop."""

TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] | trim + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- message['content'] | trim + '<|im_end|>' -}}"
    "{%- endif -%}"
    "{{- '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""ChatML. What the assistant says is marked, and so is the token that ends its turn: a model never taught it does not stop.
Contents are trimmed: a leading newline would merge with the one of the role, and the prompt would not be a prefix of the
whole."""

SplitPattern = Literal["gpt2", "llama3", "qwen2", "o200k"]

MEASURED_BYTES = 16_000_000
"""How much text, of the sample and of the rest, bytes per token are measured on: about 4 million tokens, seconds of work."""

_SAMPLE_STREAM = 0x7361_6D70_6C65
"""Mixed into the seed, so that the rows of the sample are not the rows that `split` draws with the same seed."""

_SPM_THREADS = 8
"""Fixed: sentencepiece adds up each thread's counts in floats, so its result depends on how many there are."""

_NEVER = -1e4
"""Score of pieces that must not match text. The tokenizers library, unlike sentencepiece, looks for all pieces in the text;
their letters one by one (about -15 each at worst) score higher, as long as each letter has a piece."""


class TrainTokenizer(InputJob):
    """Trains a tokenizer on a sample of the texts; writes a folder that `tokenize`, `train` and transformers load.

    `bpe` is byte-level BPE (Sennrich et al. 2016, Radford et al. 2019) by the tokenizers library: every text comes back
    from its ids unchanged. `unigram` is the unigram model (Kudo 2018) by sentencepiece, with bytes for characters outside
    the vocabulary: text comes back unchanged but for U+2581, which stands for the space and comes back as one. For it
    `tokenizer.model` is written too; `tokenizer.json` cuts each line as it does, up to ties of the score.

    Special tokens have the first ids: `<|endoftext|>` 0, `<|pad|>` 1, (`unigram`: `<unk>` 2), then those of the chat
    template, then your own. There is none for the beginning of a text. Special tokens' own letters in a text are ordinary
    text, here and in `tokenize`.

    The sample is drawn by a hash of the row's id, so it does not depend on order or workers; the same rows, options and
    versions of the libraries give the same files. Rows whose column `split` says `validation` are left out of it.

    Memory grows with the distinct words of the sample; measured on text in 25 languages for 32,000 tokens: `bpe` 0.8 GB for
    60 MB, `unigram` 0.8 GB for 15 MB (its suffix array), and many times slower: give it a smaller sample. Disk: the sample,
    compressed, while it runs.
    """

    job: Literal["tokenizer train"] = "tokenizer train"
    kind: Literal["bpe", "unigram"] = Field(
        "bpe", description="bpe: byte-level BPE (tokenizers); unigram: unigram model with byte fallback (sentencepiece)."
    )
    vocab_size: int = Field(
        32_000, ge=512, description="Tokens in all, special ones too. Fewer come out where the sample has no more to merge."
    )
    special_tokens: tuple[str, ...] = Field((), description="Special tokens to add to those of the end, padding and chat.")
    chat_template: bool = Field(True, description="Add ChatML turn tokens and a chat template that marks the assistant's part.")
    split_pattern: SplitPattern | None = Field(
        None,
        description="bpe: how text is cut before merging; llama3 (the default) keeps up to three digits together, "
        "qwen2 each digit alone, gpt2 whole numbers; o200k is llama3 that also cuts before upper case.",
    )
    sample_bytes: int = Field(
        200_000_000, ge=1, description="About how many bytes of text to train on; all when there are no more than that."
    )
    seed: int = Field(0, ge=0, lt=1 << 64, description="Another seed draws another sample.")

    @model_validator(mode="after")
    def _consistent(self) -> TrainTokenizer:
        if self.kind == "unigram" and self.split_pattern is not None:
            raise ValueError("split_pattern is for kind bpe; the unigram model cuts at spaces")
        names = self.specials()
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"special_tokens: {', '.join(twice)}: there already")
        if any(not name or any(letter.isspace() for letter in name) for name in names):
            raise ValueError("special_tokens: one is empty or has a space in it")
        return self

    def specials(self) -> list[str]:
        """All special tokens in the order of their ids."""
        return [EOS, PAD, *((TURN_START, TURN_END) if self.chat_template else ()), *self.special_tokens]

    def needs(self) -> tuple[str, ...]:
        """Columns besides the text that the job reads."""
        return ("split",)

    def stages(self) -> tuple[Stage, ...]:
        return Shards("count", self._count), Shards("sample", self._sample), Single("train", self._train)

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
        """Write the shard's part of the sample, and of the texts to measure on, into work/."""
        import polars as pl
        import pyarrow as pa
        import pyarrow.parquet as pq

        from curate.analysis import draw

        total = sum(result["bytes"] for result in work.results["count"])
        validation = sum(result["validation_bytes"] for result in work.results["count"])
        share = self.sample_bytes / max(total, 1)
        measured = MEASURED_BYTES / max(total, 1)
        measured_validation = MEASURED_BYTES / max(validation, 1)
        path = _sample_file(work.folder, work.index)
        path.parent.mkdir(parents=True, exist_ok=True)
        schema = pa.schema([("text", pa.large_string()), ("held_out", pa.bool_()), ("measured", pa.bool_())])
        rows = 0
        with pq.ParquetWriter(path, schema, compression="zstd") as out:
            for batch in work.batches():
                validation_rows = _validation(batch.frame)
                u = pl.Series(draw(batch.frame["id"], self.seed ^ _SAMPLE_STREAM))
                unused = (u >= share) & (u < share + measured)
                rest = validation_rows & (u < measured_validation) if validation else unused
                sample = ~validation_rows & (u < share)
                measure = rest | (u < measured)
                kept = pl.DataFrame([batch.text.alias("text"), rest.alias("held_out"), measure.alias("measured")])
                kept = kept.filter(sample | rest)
                out.write_table(kept.to_arrow().cast(schema))
                rows += kept.height
                work.progress(len(batch), int(batch.text.str.len_bytes().sum()))
        return {"rows_out": rows}

    def _train(self, work: Work) -> dict[str, Any]:
        """Train on the sample, write the tokenizer's files, and measure it."""
        total = sum(result["bytes"] for result in work.results["count"])
        if not total:
            raise InputError("tokenizer train: there is no text to train on; is every row in the validation split?")
        files = [_sample_file(work.folder, index) for index in range(work.shards)]
        data = work.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        work.say(f"training a {self.kind} tokenizer on {min(self.sample_bytes, total) / 1e6:,.1f} MB of text")
        texts = (text for batch in _texts(files, held_out=False) for text in batch)
        if self.kind == "bpe":
            from curate.io.bpe import SPLIT_PATTERNS

            tokenizer = _train_bpe(texts, self.vocab_size, self.specials(), SPLIT_PATTERNS[self.split_pattern or "llama3"])
        else:
            model = _train_unigram(texts, self.vocab_size, self.specials())
            _write(data / "tokenizer.model", model)
            tokenizer = _from_sentencepiece(model)
        size = tokenizer.get_vocab_size()
        if size < self.vocab_size:
            work.say(f"the text gave {size:,} tokens, not {self.vocab_size:,}: there is nothing more to merge in the sample")
        config = _config(self.specials(), CHAT_TEMPLATE if self.chat_template else None)
        _write(data / "tokenizer_config.json", (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())
        # Last, because a folder with a tokenizer.json is a tokenizer.
        _write(data / "tokenizer.json", (tokenizer.to_str(pretty=True) + "\n").encode())
        on_sample, on_rest = (_bytes_per_token(tokenizer, files, held_out=side) for side in (False, True))
        held_out = "nothing was held out to measure on" if on_rest is None else f"{on_rest:.3f} on text held out"
        sampled = "unknown" if on_sample is None else f"{on_sample:.3f}"
        work.say(f"{size:,} tokens; bytes per token: {sampled} on the sample, {held_out}")
        return {"kind": self.kind, "vocab_size": size, "bytes_per_token": on_sample, "bytes_per_token_held_out": on_rest}


def _validation(frame: pl.DataFrame) -> pl.Series:
    """Which rows of a batch are in the validation split already."""
    import polars as pl

    if "split" not in frame.columns:
        return pl.repeat(False, frame.height, eager=True)
    return frame["split"].cast(pl.String).fill_null("") == "validation"


def _sample_file(folder: Path, index: int) -> Path:
    return folder / "work" / f"sample-{index:05d}.parquet"


def _texts(files: list[Path], *, held_out: bool, measured: bool = False) -> Iterator[list[str]]:
    """The sample's texts (or those held out), in order, some at a time; `measured`: only those to measure on."""
    import polars as pl
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            for part in file.iter_batches(batch_size=1024):
                frame = pl.DataFrame(pl.from_arrow(part))
                wanted = (pl.col("held_out") == held_out) & (pl.col("measured") | (not measured))
                if texts := frame.filter(wanted)["text"].to_list():
                    yield texts


def _train_bpe(texts: Iterator[str], vocab_size: int, specials: list[str], pattern: str) -> tokenizers.Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    # Offsets are left as they are: a token with a leading space begins at the space.
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        # All 256 bytes, seen or not: nothing is ever unknown.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _train_unigram(texts: Iterator[str], vocab_size: int, specials: list[str]) -> bytes:
    """A sentencepiece model that changes nothing in the text: no normalization, no space put before it.

    It is trained line by line (its sentences); the newline is then a byte token between lines, as in Llama 2's tokenizer.
    """
    import io

    import sentencepiece

    eos, pad, *others = specials
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for text in texts for line in text.split("\n")),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            byte_fallback=True,
            character_coverage=0.9995,
            split_digits=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            max_sentence_length=1 << 20,
            num_threads=_SPM_THREADS,
            eos_id=0,
            eos_piece=eos,
            pad_id=1,
            pad_piece=pad,
            unk_id=2,
            bos_id=-1,
            control_symbols=others,
            # Every letter of the special tokens and of the bytes' names gets a piece: see _NEVER.
            required_chars="".join(sorted({*"".join(specials), *"<0x123456789ABCDEF>unk"})),
            minloglevel=2,
        )
    except (OSError, RuntimeError) as error:
        raise InputError(f"tokenizer train: sentencepiece cannot train on this text: {error}") from error
    return model.getvalue()


def _from_sentencepiece(model: bytes) -> tokenizers.Tokenizer:
    """The same unigram model for the tokenizers library; for models as `_train_unigram` makes them (nothing is normalized).

    Lines are cut apart because the models were trained on lines, and to add up scores over a line, not a document.
    """
    import sentencepiece
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    ids = range(processor.vocab_size())
    aside = [processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i) for i in ids]
    pieces = [(processor.id_to_piece(i), _NEVER if aside[i] else processor.get_score(i)) for i in ids]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=processor.unk_id(), byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([pieces[i][0] for i in ids if processor.is_control(i)])
    return tokenizer


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


def _bytes_per_token(tokenizer: tokenizers.Tokenizer, files: list[Path], *, held_out: bool) -> float | None:
    """UTF-8 bytes per token over the texts to measure on; None when there are none."""
    # Special tokens' letters in the text are ordinary text, as in `tokenize`. (Not a setting that is saved.)
    tokenizer.encode_special_tokens = True
    size = tokens = 0
    for texts in _texts(files, held_out=held_out, measured=True):
        size += sum(len(text.encode()) for text in texts)
        tokens += sum(len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    return size / tokens if tokens else None


def _write(path: Path, data: bytes) -> None:
    from curate.io.files import atomic

    with atomic(path) as file:
        file.write(data)
