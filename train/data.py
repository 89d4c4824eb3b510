"""Token shards: a folder with tokens.json (`schemas/tokens.json`), read by memory map, cut into rows.

A row of documents that are not packed is `sequence + 1` tokens of the concatenated stream of a split (inputs and their
targets), the next row starts `sequence` tokens later, so that every token but the first is a target once. Packed documents
come in the rows that they were packed into, filled up on the right with what is not trained on. The order of rows is a seeded
permutation for each pass, and the place in it is two integers, so that an interrupted run goes on with the very next row.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import DataError
from train.tokenizer import check_tokenizer

__all__ = ["Cursor", "RowBatch", "Rows", "Shards", "Split", "open_shards"]

IGNORE = -100
"""The target that is not trained on, as in `train.render`."""


@dataclass(frozen=True)
class Split:
    """The shards of one split as one stream of token ids."""

    name: str
    files: tuple[Path, ...]
    counts: tuple[int, ...]
    dtype: str
    bytes: int
    """UTF-8 bytes of the text that the tokens stand for."""
    trained: int | None = None
    """Tokens that the mask marks as trained on; None: there is no mask, all are."""
    sequence: int | None = None
    """Documents are packed into rows of this many tokens and one."""

    @property
    def tokens(self) -> int:
        return sum(self.counts)

    @cached_property
    def _maps(self) -> list[np.ndarray[Any, Any]]:
        return [_map(file, self.dtype, n) for file, n in zip(self.files, self.counts, strict=True)]

    @cached_property
    def _masks(self) -> list[np.ndarray[Any, Any]]:
        return [_map(file.with_suffix(".mask"), "u1", n) for file, n in zip(self.files, self.counts, strict=True)]

    @cached_property
    def _starts(self) -> np.ndarray[Any, Any]:
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def documents(self) -> np.ndarray[Any, Any]:
        """int64[documents + 1]: where in the stream each document begins, and where the last ends. Read when first asked
        for: 8 bytes a document."""
        return self._bounds(packed=False)

    @cached_property
    def rows(self) -> np.ndarray[Any, Any]:
        """int64[rows + 1]: where in the stream each packed row begins, and where the last ends."""
        return self._bounds(packed=True)

    def _bounds(self, packed: bool) -> np.ndarray[Any, Any]:
        parts = [np.zeros(1, np.int64)]
        for file, start, count in zip(self.files, self._starts[:-1].tolist(), self.counts, strict=True):
            positions = _numbers(file.with_suffix(".idx"), count)
            if packed:
                positions = positions[_numbers(file.with_suffix(".rows"), len(positions) - 1)]
            parts.append(positions[1:] + start)
        return np.concatenate(parts)

    def read(self, start: int, length: int) -> np.ndarray[Any, Any]:
        """Tokens `start` to `start + length` of the stream as int64, across shards where need be."""
        return self._across(self._maps, start, length)

    def mask(self, start: int, length: int) -> np.ndarray[Any, Any]:
        """bool: which of these tokens are trained on."""
        if self.trained is None:
            return np.ones(length, bool)
        return self._across(self._masks, start, length).astype(bool)

    def document(self, index: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Document `index`: its ids, and which of them are trained on.

        Where the content is preferences, documents 3i, 3i + 1 and 3i + 2 are prompt, better and worse answer of row i: what
        a model sees is the prompt and one of the answers, one after the other.
        """
        start, end = self.documents[index : index + 2].tolist()
        return self.read(start, end - start), self.mask(start, end - start)

    def _across(self, maps: list[np.ndarray[Any, Any]], start: int, length: int) -> np.ndarray[Any, Any]:
        out = np.empty(length, np.int64)
        shard = int(np.searchsorted(self._starts, start, side="right")) - 1
        done = 0
        while done < length:
            offset = start + done - int(self._starts[shard])
            piece = maps[shard][offset : offset + length - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
            shard += 1
        return out


def _numbers(file: Path, last: int) -> np.ndarray[Any, Any]:
    """The bounds in a file, from 0 to `last`, rising."""
    found = np.fromfile(file, "<u8").astype(np.int64)
    if found[0] != 0 or found[-1] != last or (np.diff(found) < 0).any():
        raise DataError(f"{file}: does not rise from 0 to {last}; write the shards again")
    return found


def _map(file: Path, dtype: str, count: int) -> np.ndarray[Any, Any]:
    # An empty file cannot be mapped.
    return np.memmap(file, dtype=dtype, mode="r") if count else np.empty(0, dtype)


@dataclass(frozen=True)
class Shards:
    """A checked folder of token shards."""

    folder: Path
    vocab_size: int
    eos_id: int
    tokenizer: Path
    content: str
    """What a document is: text, examples, preferences."""
    sequence: int | None
    """Documents are packed into rows of this many tokens and one; None: they are not packed."""
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
        written = header_file.read_bytes()
        header = json.loads(written)
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
    content, sequence = header.get("content", "text"), header.get("sequence")
    dtype = {"uint16": "<u2", "uint32": "<u4"}[header["dtype"]]
    splits: dict[str, Split] = {}
    checksums: dict[Path, str] = {}
    for name, shards in header["splits"].items():
        files = tuple(folder / f"{shard['file']}.bin" for shard in shards)
        counts = tuple(int(shard["tokens"]) for shard in shards)
        masked = content != "text"
        for file, shard in zip(files, shards, strict=True):
            _check_size(file, shard["tokens"] * np.dtype(dtype).itemsize)
            _check_size(file.with_suffix(".idx"), (shard["documents"] + 1) * 8)
            checksums[file] = shard["blake2b"]
            if masked != ("mask_blake2b" in shard) or (sequence is None) == ("rows" in shard):
                raise DataError(
                    f"{header_file}: {shard['file']}: content asks for a mask and sequence for rows, and nothing else"
                )
            if masked:
                _check_size(file.with_suffix(".mask"), shard["tokens"])
                checksums[file.with_suffix(".mask")] = shard["mask_blake2b"]
            if sequence is not None:
                _check_size(file.with_suffix(".rows"), (shard["rows"] + 1) * 8)
        size = sum(int(shard["bytes"]) for shard in shards)
        trained = sum(int(shard["trained"]) for shard in shards) if masked else None
        splits[name] = Split(name, files, counts, dtype, size, trained, sequence)
    return Shards(
        folder=folder,
        vocab_size=header["vocab_size"],
        eos_id=header["eos_id"],
        tokenizer=tokenizer,
        content=content,
        sequence=sequence,
        splits=splits,
        checksums=checksums,
        fingerprint=hashlib.blake2b(written, digest_size=16).hexdigest(),
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


@dataclass(frozen=True)
class RowBatch:
    """Rows as a model takes them: int64 arrays of shape (rows, sequence).

    targets follow their inputs, and are IGNORE where nothing is trained. positions count from 0 in each document, where
    documents are isolated: a transformers model without an attention mask then keeps its attention inside them.
    """

    inputs: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]
    positions: np.ndarray[Any, Any] | None = None
    counted: np.ndarray[Any, Any] | None = None
    """bool, of each input: a token that is trained on, and no filling."""
    places: tuple[tuple[int, int], ...] = ()
    """Of each row: the pass, and its place in the order of that pass; no two rows of a run have the same."""

    @property
    def arrays(self) -> tuple[np.ndarray[Any, Any], ...]:
        """Inputs and targets, and positions where there are any."""
        return (self.inputs, self.targets) if self.positions is None else (self.inputs, self.targets, self.positions)


class Rows:
    """Rows of a split in an order that only `seed` decides. `cursor` can be saved and set at any time.

    isolate: a document sees none of the others in its row, and its first token is no target. part: (rank, processes), which
    share of the rows `next` reads here; all move the cursor past all of them. Raises DataError when the split is packed into
    rows of another length than `sequence`.
    """

    def __init__(
        self,
        split: Split,
        sequence: int,
        vocab_size: int,
        seed: int,
        isolate: bool = False,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        if split.sequence not in (None, sequence):
            raise DataError(
                f"{split.files[0].parent}: the {split.name} split is packed into rows of {split.sequence} tokens, sequence is "
                f"{sequence}; set sequence to {split.sequence}, or pack again"
            )
        self.split = split
        self.sequence = sequence
        self.vocab_size = vocab_size
        self.seed = seed
        self.isolate = isolate
        self.part = part
        self.count = (split.tokens - 1) // sequence if split.sequence is None else len(split.rows) - 1
        self.cursor = Cursor()
        self._order: tuple[int, np.ndarray[Any, Any]] | None = None

    def next(self, rows: int) -> RowBatch:
        """The next `rows` rows, or this process's part of them; a new pass starts where one ends."""
        rank, processes = self.part
        mine = range(rank * rows // processes, (rank + 1) * rows // processes)
        indices, places = [], []
        for i in range(rows):
            if self.cursor.position >= self.count:
                self.cursor = Cursor(self.cursor.epoch + 1, 0)
            if i in mine:
                places.append((self.cursor.epoch, self.cursor.position))
                indices.append(int(self._permutation(self.cursor.epoch)[self.cursor.position]))
            self.cursor.position += 1
        return replace(self.take(indices), places=tuple(places))

    def spread(self, rows: int) -> RowBatch:
        """At most `rows` rows spread evenly over the split, always the same ones: for held-out loss."""
        indices = np.unique(np.linspace(0, self.count - 1, min(rows, self.count)).round().astype(np.int64)).tolist()
        return replace(self.take(indices), places=tuple((0, i) for i in indices))

    def take(self, indices: list[int]) -> RowBatch:
        """These rows of the split, in the order of its documents. O(tokens)."""
        ids = np.zeros((len(indices), self.sequence + 1), np.int64)
        targets = np.full((len(indices), self.sequence), IGNORE)
        counted = np.zeros(targets.shape, bool)
        # Where a document begins, or the filling does; the row does in any case.
        begins = np.zeros(ids.shape, bool)
        begins[:, 0] = True
        for i, index in enumerate(indices):
            start, length = self._place(index)
            ids[i, :length] = self.split.read(start, length)
            targets[i, : length - 1] = ids[i, 1:length]
            counted[i, :length] = True
            if self.split.trained is not None:
                mask = self.split.mask(start, length)
                targets[i, : length - 1][~mask[1:]] = IGNORE
                counted[i, :length] = mask[: self.sequence]
            if self.isolate:
                documents = self.split.documents
                first, last = np.searchsorted(documents, (start, start + length))
                begins[i, documents[first:last] - start] = True
                begins[i, length : length + 1] = True
        self._check(ids)
        positions = None
        if self.isolate:
            targets[begins[:, 1:]] = IGNORE
            place = np.arange(self.sequence)
            positions = place - np.maximum.accumulate(np.where(begins[:, :-1], place, 0), axis=1)
        return RowBatch(np.ascontiguousarray(ids[:, :-1]), targets, positions, counted)

    def _place(self, index: int) -> tuple[int, int]:
        """Where in the stream a row begins, and its tokens."""
        if self.split.sequence is None:
            return index * self.sequence, self.sequence + 1
        start, end = self.split.rows[index : index + 2].tolist()
        return start, end - start

    def _permutation(self, epoch: int) -> np.ndarray[Any, Any]:
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self.seed, epoch]).permutation(self.count))
        return self._order[1]

    def _check(self, ids: np.ndarray[Any, Any]) -> None:
        # An id past the vocabulary reads outside the embedding: an assert deep in CUDA, or worse.
        if int(ids.max()) >= self.vocab_size:
            raise DataError(
                f"{self.split.files[0].parent}: token id {int(ids.max())} in the {self.split.name} split "
                f"is not below vocab_size {self.vocab_size}; write the shards again"
            )
