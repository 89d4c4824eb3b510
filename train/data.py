"""Token shards: a folder with tokens.json (`schemas/tokens.json`), read by memory map, cut into rows.

A row is `sequence + 1` tokens of the concatenated stream of a split (inputs and their targets), the next row starts
`sequence` tokens later, so that every token but the first is a target once. The order of rows is a seeded permutation
for each pass, and the place in it is two integers, so that an interrupted run goes on with the very next row.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import DataError
from train.tokenizer import check_tokenizer

__all__ = ["Cursor", "Rows", "Shards", "Split", "open_shards"]


@dataclass(frozen=True)
class Split:
    """The shards of one split as one stream of token ids."""

    name: str
    files: tuple[Path, ...]
    counts: tuple[int, ...]
    dtype: str
    bytes: int
    """UTF-8 bytes of the text that the tokens stand for."""

    @property
    def tokens(self) -> int:
        return sum(self.counts)

    @cached_property
    def _maps(self) -> list[np.ndarray[Any, Any]]:
        # An empty file cannot be mapped.
        return [
            np.memmap(f, dtype=self.dtype, mode="r") if n else np.empty(0, self.dtype)
            for f, n in zip(self.files, self.counts, strict=True)
        ]

    @cached_property
    def _starts(self) -> np.ndarray[Any, Any]:
        return np.concatenate([[0], np.cumsum(self.counts)])

    def read(self, start: int, length: int) -> np.ndarray[Any, Any]:
        """Tokens `start` to `start + length` of the stream as int64, across shards where need be."""
        out = np.empty(length, np.int64)
        shard = int(np.searchsorted(self._starts, start, side="right")) - 1
        done = 0
        while done < length:
            offset = start + done - int(self._starts[shard])
            piece = self._maps[shard][offset : offset + length - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
            shard += 1
        return out


@dataclass(frozen=True)
class Shards:
    """A checked folder of token shards."""

    folder: Path
    vocab_size: int
    eos_id: int
    tokenizer: Path
    splits: dict[str, Split]
    checksums: dict[Path, str]
    fingerprint: str
    """Digest of tokens.json, which holds the checksum of every shard."""

    def split(self, name: str, at_least: int) -> Split:
        """The split called `name`. Raises DataError when it is missing or holds fewer than `at_least` tokens."""
        found = self.splits.get(name)
        if found is None:
            raise DataError(f"{self.folder / 'tokens.json'}: there is no split {name!r}; write one held-out share of it")
        if found.tokens < at_least:
            raise DataError(
                f"{self.folder}: the {name} split has {found.tokens} tokens, fewer than one row of {at_least}; "
                "give it more text or train on shorter rows (sequence)"
            )
        return found

    def verify(self) -> None:
        """Read every shard: its checksum and that every id is below vocab_size. Raises DataError. O(bytes)."""
        for file, wanted in self.checksums.items():
            digest = hashlib.blake2b(digest_size=16)
            with file.open("rb") as stream:
                while block := stream.read(1 << 24):
                    digest.update(block)
            if digest.hexdigest() != wanted:
                raise DataError(f"{file}: its content is not what tokens.json recorded; write the shards again")
        for split in self.splits.values():
            for file, ids in zip(split.files, split._maps, strict=True):
                if len(ids) and int(ids.max()) >= self.vocab_size:
                    raise DataError(f"{file}: token id {int(ids.max())} is not below vocab_size {self.vocab_size}")


def open_shards(folder: str | Path) -> Shards:
    """Open a folder of token shards; files are checked by their size (`Shards.verify` reads them).

    Raises DataError when the folder, its header, a shard or the tokenizer is missing or does not fit the schema.
    """
    from jsonschema import Draft202012Validator

    import schemas

    folder = Path(folder)
    header_file = folder / "tokens.json"
    try:
        content = header_file.read_bytes()
        header = json.loads(content)
    except OSError as error:
        raise DataError(f"{header_file}: cannot be read ({error.strerror}); data must be a folder of token shards") from error
    except ValueError as error:
        raise DataError(f"{header_file}: is not JSON ({error})") from error
    for problem in Draft202012Validator(schemas.load("tokens")).iter_errors(header):
        raise DataError(f"{header_file}: {'.'.join(map(str, problem.path)) or 'header'}: {problem.message}")
    tokenizer = folder / header["tokenizer"]
    if not (tokenizer / "tokenizer.json").is_file():
        raise DataError(f"{header_file}: there is no tokenizer.json in {tokenizer}")
    if header["eos_id"] >= header["vocab_size"]:
        raise DataError(f"{header_file}: eos_id {header['eos_id']} is not below vocab_size {header['vocab_size']}")
    check_tokenizer(tokenizer, header, header_file)
    dtype = {"uint16": "<u2", "uint32": "<u4"}[header["dtype"]]
    splits: dict[str, Split] = {}
    checksums: dict[Path, str] = {}
    for name, shards in header["splits"].items():
        files = tuple(folder / f"{shard['file']}.bin" for shard in shards)
        counts = tuple(int(shard["tokens"]) for shard in shards)
        for file, shard in zip(files, shards, strict=True):
            _check_size(file, shard["tokens"] * np.dtype(dtype).itemsize)
            _check_size(file.with_suffix(".idx"), (shard["documents"] + 1) * 8)
            checksums[file] = shard["blake2b"]
        splits[name] = Split(name, files, counts, dtype, sum(int(shard["bytes"]) for shard in shards))
    return Shards(
        folder=folder,
        vocab_size=header["vocab_size"],
        eos_id=header["eos_id"],
        tokenizer=tokenizer,
        splits=splits,
        checksums=checksums,
        fingerprint=hashlib.blake2b(content, digest_size=16).hexdigest(),
    )


def _check_size(file: Path, wanted: int) -> None:
    try:
        size = file.stat().st_size
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}), but tokens.json names it") from error
    if size != wanted:
        raise DataError(f"{file}: has {size} bytes, tokens.json says {wanted}; write the shards again")


@dataclass
class Cursor:
    """The next row: pass over the data, and place in the order of that pass."""

    epoch: int = 0
    position: int = 0


class Rows:
    """Rows of a split in an order that only `seed` decides. `cursor` can be saved and set at any time."""

    def __init__(self, split: Split, sequence: int, vocab_size: int, seed: int) -> None:
        self.split = split
        self.sequence = sequence
        self.vocab_size = vocab_size
        self.seed = seed
        self.count = (split.tokens - 1) // sequence
        self.cursor = Cursor()
        self._order: tuple[int, np.ndarray[Any, Any]] | None = None

    def next(self, rows: int) -> np.ndarray[Any, Any]:
        """The next `rows` rows, int64 of shape (rows, sequence + 1); a new pass starts where one ends."""
        out = np.empty((rows, self.sequence + 1), np.int64)
        for i in range(rows):
            if self.cursor.position >= self.count:
                self.cursor = Cursor(self.cursor.epoch + 1, 0)
            out[i] = self.row(int(self._permutation(self.cursor.epoch)[self.cursor.position]))
            self.cursor.position += 1
        self._check(out)
        return out

    def row(self, index: int) -> np.ndarray[Any, Any]:
        """Row `index` of the split in the order of the text."""
        return self.split.read(index * self.sequence, self.sequence + 1)

    def spread(self, rows: int) -> np.ndarray[Any, Any]:
        """At most `rows` rows spread evenly over the split, always the same ones: for held-out loss."""
        indices = np.unique(np.linspace(0, self.count - 1, min(rows, self.count)).round().astype(np.int64))
        out = np.stack([self.row(int(i)) for i in indices])
        self._check(out)
        return out

    def _permutation(self, epoch: int) -> np.ndarray[Any, Any]:
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self.seed, epoch]).permutation(self.count))
        return self._order[1]

    def _check(self, rows: np.ndarray[Any, Any]) -> None:
        # An id past the vocabulary reads outside the embedding: an assert deep in CUDA, or worse.
        if int(rows.max()) >= self.vocab_size:
            raise DataError(
                f"{self.split.files[0].parent}: token id {int(rows.max())} in the {self.split.name} split "
                f"is not below vocab_size {self.vocab_size}; write the shards again"
            )
