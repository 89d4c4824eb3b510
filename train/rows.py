"""Rows of text, instruction and chat: reading JSONL and Parquet, telling the format, drawing the held-out share."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from train.errors import DataError

__all__ = ["FORMATS", "Row", "fingerprint", "format_of", "in_heldout", "list_files", "read_rows"]

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
FORMATS = {
    "chat": ("messages",),
    "preference": ("chosen", "rejected"),
    "instruction": ("instruction", "output"),
    "text": ("text",),
}
"""The keys that tell a format, in the order in which they decide."""


@dataclass(frozen=True)
class Row:
    """One row and where it came from. A bare chat array is read as `{"messages": [...]}`."""

    where: str
    """file:line, counted from 1 (for Parquet the row)."""
    value: dict[str, Any]


def list_files(data: str | list[str]) -> list[Path]:
    """The files that `data` names, folders replaced by the files in them, sorted. Raises DataError for none."""
    files: list[Path] = []
    for name in [data] if isinstance(data, str) else data:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(SUFFIXES))
            if not inside:
                raise DataError(f"{path}: no {', '.join(SUFFIXES)} file in this folder")
            files += inside
        elif not path.is_file():
            raise DataError(f"{path}: no such file or folder")
        elif not path.name.endswith(SUFFIXES):
            raise DataError(f"{path}: cannot be read as rows; a file ends in {', '.join(SUFFIXES)}")
        else:
            files.append(path)
    if not files:
        raise DataError("data names no file")
    return files


def fingerprint(files: list[Path]) -> str:
    """Digest of the content of `files`, whatever they are called. O(bytes)."""
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(file.stat().st_size.to_bytes(8, "little"))
        with file.open("rb") as stream:
            while block := stream.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of one file, streamed. Raises DataError with file and line for a row that is no object or array."""
    source = _parquet_rows(file) if file.name.endswith(".parquet") else _json_rows(file)
    for number, value in source:
        where = f"{file}:{number}"
        if isinstance(value, list):
            value = {"messages": value}
        if not isinstance(value, dict):
            raise DataError(f"{where}: a row is an object or an array of messages, not {type(value).__name__}")
        yield Row(where, {key: inner for key, inner in value.items() if inner is not None})


def _json_rows(file: Path) -> Iterator[tuple[int, Any]]:
    import zstandard

    try:
        with _open(file) as stream:
            for number, line in enumerate(stream, 1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if not line.strip():
                    continue
                try:
                    yield number, json.loads(line)
                except ValueError as error:  # UnicodeDecodeError is one too
                    raise DataError(f"{file}:{number}: is not JSON in UTF-8 ({error}); validate the file first") from error
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise DataError(f"{file}: cannot be read to its end ({error})") from error


def _open(file: Path) -> IO[bytes]:
    if file.name.endswith(".gz"):
        return gzip.open(file, "rb")  # type: ignore[return-value]
    if file.name.endswith(".zst"):
        import io

        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(file.open("rb"), closefd=True, read_across_frames=True)
        return io.BufferedReader(reader, 1 << 20)
    return file.open("rb")


def _parquet_rows(file: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        number = 0
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
            for value in batch.to_pylist():
                number += 1
                yield number, value
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: is no readable Parquet file ({' '.join(str(error).split())})") from error


def format_of(row: Row, expected: str) -> str:
    """The format of a row, told by its keys.

    Raises DataError when the keys are those of no format, or of another than `expected` ("auto": any).
    """
    found = next((name for name, keys in FORMATS.items() if all(key in row.value for key in keys)), None)
    if found is None:
        raise DataError(
            f"{row.where}: keys {', '.join(sorted(row.value)) or '(none)'} are those of no format; "
            "a row has messages, or instruction and output, or text"
        )
    if found == "preference":
        raise DataError(f"{row.where}: a preference row (chosen, rejected) cannot be trained on by a supervised stage")
    if expected not in ("auto", found):
        raise DataError(f"{row.where}: a row of {found} among rows of {expected}; one stage trains on one format")
    if found == "instruction" and row.value.get("input"):
        raise DataError(f"{row.where}: has an 'input' beside 'instruction', which would be lost; convert the file first")
    return found


def in_heldout(row: Row, share: float, by_column: bool) -> bool:
    """Whether a row is held out: by its `split` when `by_column`, else by a hash of parent_id, id or content.

    The hash is stable: a row stays on its side when others are added, and all pieces of one parent go together.
    Raises DataError when some rows say their split and others do not.
    """
    split = row.value.get("split")
    if by_column:
        if split not in ("train", "validation"):
            raise DataError(f"{row.where}: split is {split!r}; where one row has a split, each is train or validation")
        return bool(split == "validation")
    if split is not None:
        raise DataError(f"{row.where}: has a split, but rows before it have none; all rows have one, or none has")
    key = row.value.get("parent_id", row.value.get("id"))
    if key is None:
        key = {name: row.value[name] for keys in FORMATS.values() for name in keys if name in row.value}
    text = json.dumps(key, ensure_ascii=False, sort_keys=True)
    number = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
    return number < share * 2**64
