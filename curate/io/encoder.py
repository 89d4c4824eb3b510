"""Tokenizers on disk, and the way from texts to arrays of ids."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError, InputError, UsageError
from schemas import tokenizer_digest

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.io.bpe import ByteLevelBPE
    from curate.io.tiktoken import RanksPattern

__all__ = ["Encoder", "load_tokenizer"]

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "tokenizer.model",
)
"""What of a tokenizer's folder goes along with the shards."""


@dataclass(frozen=True)
class Encoder:
    """A tokenizer on the way to arrays.

    vocab_size: the ids are below this.
    eos_id:     the id that closes a document.

    Texts go through kernels where the tokenizer is one that they know (see `curate.io.bpe`), and through the library where
    it is not, or a text has one of the tokenizer's added tokens in it. The ids are the same.
    """

    path: Path
    vocab_size: int
    eos_token: str
    eos_id: int
    _ids: Callable[[list[str]], Sequence[Sequence[int] | NDArray[Any]]]
    _fast: ByteLevelBPE | str
    """The fast path, or why there is none."""
    digest: str
    """Of what decides the ids: `schemas.tokenizer_digest`, or of a sentencepiece model's file."""
    note: str = ""
    """What was known or guessed of a ranks file."""
    _made: str | None = None
    """The tokenizer.json that a ranks file was made into."""
    bos_id: int | None = None
    """The id that opens a text, where the tokenizer names one. `encode` never adds it."""

    @classmethod
    def load(
        cls, tokenizer: str, eos_token: str | None, *, parallel: bool, split_pattern: RanksPattern | None = None
    ) -> Encoder:
        """The tokenizer at a path (folder, tokenizer.json, .model, or tiktoken's ranks), on all cores or on one.

        `split_pattern`: how text is cut, of a ranks file. Raises InputError when there is none, or when it has no token to
        close documents with; UsageError for a `split_pattern` where the tokenizer says that itself.
        """
        path = Path(tokenizer)
        if path.is_dir():
            # The folder of a job holds its results in data/.
            places = [folder / name for folder in (path, path / "data") for name in ("tokenizer.json", "tokenizer.model")]
            found = [place for place in places if place.is_file()]
            if not found:
                raise InputError(f"{path}: no tokenizer.json or tokenizer.model there; train one with `curate tokenizer train`")
            path = found[0]
        if not path.is_file():
            raise InputError(
                f"{path}: no such tokenizer; give a folder with a tokenizer.json, that file, a .model or .tiktoken"
            )
        with _loading:
            return _loaded(path, _stamps(path), eos_token, parallel, split_pattern)

    @property
    def fast(self) -> bool:
        """Whether texts take the fast path."""
        return not isinstance(self._fast, str)

    @property
    def route(self) -> str:
        """Which way texts go, and why."""
        fast = self._fast
        return f"library: {fast}" if isinstance(fast, str) else f"fast path: byte-level BPE, pattern {fast.pattern}"

    def encode(self, texts: pl.Series) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The ids of the texts one after another, each closed by `eos_id`, and how many each has, that one included."""
        import numpy as np

        from curate.analysis import text_buffers

        fast = self._fast
        if isinstance(fast, str):
            return self._by_library(texts)
        with_added = texts.str.contains_any(list(fast.added)) if fast.added else None
        if with_added is None or not with_added.any():
            return fast.encode(*text_buffers(texts), self.eos_id)
        parts = fast.encode(*text_buffers(texts.filter(~with_added)), self.eos_id), self._by_library(texts.filter(with_added))
        rare = with_added.to_numpy()
        lengths = np.empty(len(texts), np.int64)
        lengths[~rare], lengths[rare] = parts[0][1], parts[1][1]
        of_rare = np.repeat(rare, lengths)
        tokens = np.empty(len(of_rare), np.uint32)
        tokens[~of_rare], tokens[of_rare] = parts[0][0], parts[1][0]
        return tokens, lengths

    def checked(self, texts: pl.Series) -> Encoder:
        """This encoder, or one without the fast path if that gives other ids than the library for some of the texts, or for
        some of a fixed set of awkward ones. It never should."""
        import numpy as np
        import polars as pl

        from curate.io.bpe import AWKWARD

        if isinstance(self._fast, str):
            return self
        for sample in (texts, pl.Series(AWKWARD, dtype=pl.String)):
            (tokens, lengths), (right, right_lengths) = self.encode(sample), self._by_library(sample)
            if not (np.array_equal(tokens, right) and np.array_equal(lengths, right_lengths)):
                return self.by_library_only(
                    "its fast path gave other ids on a sample, which is a bug of curate; please report it"
                )
        return self

    def by_library_only(self, why: str) -> Encoder:
        """The same encoder by way of the library alone."""
        return replace(self, _fast=why)

    def _by_library(self, texts: pl.Series) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        import numpy as np

        # The libraries hand out one list or array a text, so there is a loop over texts, not over tokens.
        encoded = self._ids(texts.to_list())
        lengths = np.fromiter((len(ids) + 1 for ids in encoded), np.int64, len(encoded))
        ends = np.cumsum(lengths)
        tokens = np.empty(int(ends[-1]) if len(ends) else 0, np.uint32)
        for ids, end in zip(encoded, ends.tolist(), strict=True):
            tokens[end - 1 - len(ids) : end - 1] = ids
        tokens[ends - 1] = self.eos_id
        if len(tokens) and int(tokens.max()) >= self.vocab_size:
            last = self.vocab_size - 1
            raise CurateError(f"{self.path}: gave id {int(tokens.max())}, but its vocabulary ends at {last}; it is broken")
        return tokens, lengths

    def save(self, folder: Path) -> None:
        """Copy the tokenizer's files; its configuration names the end-of-text token that was used."""
        from curate.io.files import atomic

        if self._made is not None:
            config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": self.eos_token}
            config["clean_up_tokenization_spaces"] = False
            for name, content in (("tokenizer.json", self._made), ("tokenizer_config.json", json.dumps(config, indent=2))):
                with atomic(folder / name) as file:
                    file.write((content + "\n").encode())
            return
        names = TOKENIZER_FILES if self.path.name in TOKENIZER_FILES else (*TOKENIZER_FILES[1:-1], self.path.name)
        for name in names:
            source = self.path.with_name(name)
            if source.is_file():
                # A tokenizer.json under another name gets its usual one, or nothing would find it.
                with atomic(folder / _usual(name)) as file, source.open("rb") as from_:
                    shutil.copyfileobj(from_, file)
        config = _config(self.path)
        if self.path.suffix == ".json" and _special(config, "eos_token") != self.eos_token:
            config = {"tokenizer_class": "PreTrainedTokenizerFast", **config, "eos_token": self.eos_token}
            with atomic(folder / "tokenizer_config.json") as file:
                file.write((json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())


def _usual(name: str) -> str:
    if name in TOKENIZER_FILES:
        return name
    return "tokenizer.model" if name.endswith(".model") else "tokenizer.json"


def _config(path: Path) -> dict[str, Any]:
    """The tokenizer_config.json beside a tokenizer; empty when there is none."""
    file = path.with_name("tokenizer_config.json")
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise InputError(f"{file}: not JSON: {error}") from error
    return config


def _special(config: dict[str, Any], name: str) -> str | None:
    """A special token of a tokenizer_config.json: a string, or an object that holds one."""
    token = config.get(name)
    return token.get("content") if isinstance(token, dict) else token


def load_tokenizer(path: Path) -> Any:
    """A tokenizer.json for the tokenizers library. Raises InputError."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    # The library raises a bare Exception for a file that is not a tokenizer.
    except Exception as error:
        raise InputError(f"{path}: not a tokenizer: {error}") from error


_loading = threading.Lock()
"""Threads that load a tokenizer get the same one, so that they share what it learns."""


def _stamps(path: Path) -> tuple[tuple[int, int], ...]:
    """Size and time of the files that make an encoder: one that changes makes another."""
    stats = [file.stat() for file in (path, path.with_name("tokenizer_config.json")) if file.is_file()]
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)


@functools.lru_cache(maxsize=2)
def _loaded(
    path: Path, stamps: tuple[tuple[int, int], ...], eos_token: str | None, parallel: bool, split_pattern: RanksPattern | None
) -> Encoder:
    """Kept for the next unit of input in this process: loading a large vocabulary takes seconds."""
    from tokenizers import Tokenizer

    from curate.io.tiktoken import convert, is_ranks

    if is_ranks(path):
        made = convert(path, split_pattern, eos_token)
        encoder = _from_library(path, Tokenizer.from_str(made.source), made.eos, parallel)
        return replace(encoder, note=made.note, _made=made.source)
    if split_pattern is not None:
        raise UsageError(f"split_pattern: goes with a tiktoken ranks file; {path} says itself how text is cut")
    return (_load_sentencepiece if path.suffix == ".model" else _load_json)(path, eos_token, parallel)


def _load_json(path: Path, eos_token: str | None, parallel: bool) -> Encoder:
    tokenizer = load_tokenizer(path)
    config = _config(path)
    eos = eos_token or _special(config, "eos_token")
    if eos is None:
        raise InputError(f"{path}: no tokenizer_config.json beside it names an eos_token; set eos_token")
    bos = _special(config, "bos_token")
    bos_id = None if bos is None else tokenizer.token_to_id(bos)
    return replace(_from_library(path, tokenizer, eos, parallel), bos_id=bos_id)


def _from_library(path: Path, tokenizer: Any, eos: str, parallel: bool) -> Encoder:
    """The encoder of a tokenizer of the tokenizers library."""
    eos_id = tokenizer.token_to_id(eos)
    if eos_id is None:
        raise InputError(f"{path}: has no token {eos!r} to close documents with; set eos_token")
    # Some tokenizers were saved while they cut or padded.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True

    def ids(texts: list[str]) -> list[list[int]]:
        with _parallelism(parallel):
            try:
                return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
            except BaseException as error:
                # The library panics where its engine of regular expressions gives up, as on megabytes of blanks.
                if type(error).__name__ != "PanicException":
                    raise
                longest = max(map(len, texts))
                raise InputError(
                    f"{path}: the tokenizers library broke off ({error}) in texts of at most {longest:,} characters; drop or "
                    "cut the longest ones, as with the step length and max_chars"
                ) from error

    source = tokenizer.to_str()
    # Ids may have holes, so the count of tokens is not the limit.
    vocab_size = max(tokenizer.get_vocab().values()) + 1
    return Encoder(path, vocab_size, eos, eos_id, ids, _fast_path(source), _digest(source))


@functools.lru_cache(maxsize=1)
def _fast_path(source: str) -> ByteLevelBPE | str:
    """Kept for the next unit of input in this process, with the pieces that it knows by then."""
    from curate.io.bpe import read_bpe

    return read_bpe(source)


@functools.lru_cache(maxsize=1)
def _digest(source: str) -> str:
    return tokenizer_digest(json.loads(source))


def _load_sentencepiece(path: Path, eos_token: str | None, parallel: bool) -> Encoder:
    import sentencepiece

    try:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: not a sentencepiece model: {error}") from error
    eos_id = processor.eos_id() if eos_token is None else processor.piece_to_id(eos_token)
    if eos_id < 0 or processor.is_unknown(eos_id):
        raise InputError(f"{path}: has no token {eos_token or '</s>'!r} to close documents with; set eos_token")
    threads = (os.cpu_count() or 1) if parallel else 1
    digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()

    def ids(texts: list[str]) -> list[NDArray[Any]]:
        # Arrays: lists of numbers take a third of the time again.
        encoded: list[NDArray[Any]] = processor.encode(texts, out_type="numpy", num_threads=threads)
        return encoded

    bos_id = processor.bos_id() if processor.bos_id() >= 0 else None
    eos = processor.id_to_piece(eos_id)
    return Encoder(path, processor.vocab_size(), eos, eos_id, ids, "sentencepiece model", digest, bos_id=bos_id)


_asking = threading.Lock()


@contextlib.contextmanager
def _parallelism(on: bool) -> Iterator[None]:
    """Let the tokenizers library use all cores, or one, which it asks of a variable at every call: threads take turns."""
    name = "TOKENIZERS_PARALLELISM"
    with _asking:
        before = os.environ.get(name)
        os.environ[name] = "true" if on else "false"
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
