"""Which files there are, how they are cut into shards, and how files are written so that none is ever half there."""

from __future__ import annotations

import contextlib
import errno
import glob
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, cast

from curate.declare import Options
from curate.errors import CurateError, InputError, OutputError
from curate.io.compressed import Decompressed

__all__ = ["Kind", "Piece", "Shard", "Source", "atomic", "cut", "open_bytes", "resolve", "writing"]

Kind = Literal["jsonl", "json", "parquet", "arrow", "csv", "tsv", "text", "html", "warc", "pdf", "hub"]

SHARD_BYTES = 64 << 20
"""Most input bytes in a unit of work. Small enough that a killed run loses seconds, large enough that starting one is free."""

LEAST_SHARD_BYTES = 8 << 20
"""Input is not cut smaller than this: as much as is read at a time."""

FEWEST_SHARDS = 16
"""As many units are made of an input that is large enough: three of them would keep two workers busy for half of the time."""

FILES_PER_SHARD = 2000
"""Most small files in one shard: bounds the list that travels to a worker."""

SUFFIXES: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    ".md": "text",
    ".markdown": "text",
    ".html": "html",
    ".htm": "html",
    ".warc": "warc",
    ".wet": "warc",
    ".pdf": "pdf",
}
COMPRESSED = (".gz", ".zst")


class Source(Options):
    """One file to read. `name` is how its rows are called: its path under the folder that was asked for."""

    address: str
    name: str
    kind: Kind
    size: int
    stamp: str = ""
    """Changes when the file does (modification time, remote checksum): part of a run's digest."""

    @property
    def compressed(self) -> bool:
        return self.address.endswith(COMPRESSED)


class Piece(Options):
    """What one shard reads of a source: bytes start..end of a plain JSONL file, row groups of Parquet, else the whole."""

    source: Source
    start: int = 0
    end: int | None = None
    share: float = 1.0
    """Part of the source's bytes that this is."""

    @property
    def bytes(self) -> int:
        """Bytes on disk to read."""
        return round(self.source.size * self.share)


class Shard(Options):
    """A unit of work, cut from the input by size alone."""

    index: int
    pieces: tuple[Piece, ...]

    @property
    def bytes(self) -> int:
        """Bytes on disk that the shard reads."""
        return sum(piece.bytes for piece in self.pieces)


def is_remote(address: str) -> bool:
    """Whether an address goes through fsspec (`s3://...`) rather than the local file system."""
    return "://" in address


def kind_of(address: str) -> Kind | None:
    """The kind of file by its name; None when the name says nothing."""
    name = address.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return SUFFIXES.get(os.path.splitext(name)[1])


def resolve(addresses: Sequence[str]) -> tuple[list[Source], list[str]]:
    """The sources behind files, folders, globs, fsspec addresses and `hf:NAME`, in a fixed order; and the names left out.

    A folder gives the files of known kinds below it (hidden ones not), sorted by path; a job's folder gives its `data/`.
    Raises InputError when an address leads to nothing or to a single file of an unknown kind, or two to the same file.
    """
    sources: list[Source] = []
    ignored: list[str] = []
    for address in addresses:
        if address.startswith("hf:"):
            sources.append(Source(address=address, name=address, kind="hub", size=0))
        elif is_remote(address):
            sources += _remote(address)
        else:
            found, skipped = _local(address)
            sources += found
            ignored += skipped
    return _told_apart(sources), ignored


def _told_apart(sources: list[Source]) -> list[Source]:
    """The sources with names of their own, because ids of rows are made of them: the whole address where names are the same."""
    addresses = Counter(source.address for source in sources)
    twice = [address for address, n in addresses.items() if n > 1]
    if twice:
        raise InputError(f"{twice[0]}: named twice, its rows would be there twice")
    names = Counter(source.name for source in sources)
    return [s if names[s.name] == 1 else s.model_copy(update={"name": s.address}) for s in sources]


def _local(address: str) -> tuple[list[Source], list[str]]:
    path = Path(address)
    if path.is_dir():
        return _folder(path)
    if path.exists():
        return [_source(path, path.name)], []
    matches = sorted(glob.glob(address, recursive=True)) if glob.has_magic(address) else []
    if not matches:
        parent = path.parent
        near = [p.name for p in parent.iterdir()] if parent.is_dir() else []
        from curate.errors import nearest

        what = "no file matches" if glob.has_magic(address) else "no such file or folder"
        raise InputError(f"{address}: {what}{nearest(path.name, near) if len(near) < 1000 else ''}")
    sources: list[Source] = []
    ignored: list[str] = []
    for match in matches:
        if Path(match).is_dir():
            found, skipped = _folder(Path(match))
            sources += found
            ignored += skipped
        elif kind_of(match) is None:
            ignored.append(match)
        else:
            sources.append(_source(Path(match), match))
    return sources, ignored


def _folder(folder: Path) -> tuple[list[Source], list[str]]:
    if (folder / "stats.json").is_file() and (folder / "data").is_dir():
        folder = folder / "data"
    jobs = sorted(p.parent.name for p in folder.glob("*/stats.json"))
    if jobs and (folder / "run.json").is_file():
        raise InputError(f"{folder}: the run of a recipe; name one of its jobs: {', '.join(jobs)}")
    saved = (folder / "dataset_info.json").is_file() or (folder / "dataset_dict.json").is_file()
    sources: list[Source] = []
    ignored: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or any(part.startswith(".") for part in name.split("/")):
            continue
        if saved and path.suffix != ".arrow":
            continue
        if kind_of(path.name) is None:
            ignored.append(str(path))
        else:
            sources.append(_source(path, name))
    if not sources:
        raise InputError(f"{folder}: no file in it that can be read (kinds: {', '.join(SUFFIXES)}, plain or .gz or .zst)")
    return sources, ignored


def _source(path: Path, name: str) -> Source:
    kind = kind_of(path.name)
    if kind is None:
        raise InputError(f"{path}: what kind of file is this? Known: {', '.join(SUFFIXES)}, plain or .gz or .zst")
    stat = path.stat()
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it")
    return Source(address=str(path), name=name, kind=kind, size=stat.st_size, stamp=str(stat.st_mtime_ns))


def _remote(address: str) -> list[Source]:
    import fsspec

    protocol = address.split("://")[0]
    try:
        fs, path = fsspec.core.url_to_fs(address)
        if fs.isdir(path):
            found = sorted(p for p in fs.find(path) if kind_of(p))
        elif glob.has_magic(path):
            found = sorted(p for p in fs.glob(path) if kind_of(p))
        else:
            found = [path]
        if not found:
            raise InputError(f"{address}: nothing there that can be read")
        sources = []
        for item in found:
            info = fs.info(item)
            kind = kind_of(item)
            if kind is None:
                raise InputError(f"{address}: what kind of file is this? Known: {', '.join(SUFFIXES)}")
            stamp = str(info.get("ETag") or info.get("mtime") or info.get("created") or "")
            name = item.rsplit("/", 1)[-1]
            sources.append(Source(address=f"{protocol}://{item}", name=name, kind=kind, size=info["size"] or 0, stamp=stamp))
        return sources
    except (OSError, ImportError, ValueError) as error:
        raise InputError(f"{address}: {type(error).__name__}: {error}") from error


def open_bytes(address: str) -> IO[bytes]:
    """Open a file for reading, decompressed by its name, local or through fsspec. The caller closes it.

    Reading a damaged file raises OSError where the damage is, after all that can be read.
    """
    raw: IO[bytes] = open_raw(address)
    for suffix in COMPRESSED:
        if address.endswith(suffix):
            return cast(IO[bytes], Decompressed(raw, suffix))
    return raw


def open_raw(address: str) -> IO[bytes]:
    """Open a file for reading as it is on disk."""
    try:
        if is_remote(address):
            import fsspec

            handle: IO[bytes] = fsspec.open(address, "rb").open()
            return handle
        return open(address, "rb", buffering=1 << 20)
    except OSError as error:
        raise InputError(f"{address}: {error.strerror or error}") from error


def cut(sources: Sequence[Source]) -> list[Shard]:
    """Cut sources into shards of about SHARD_BYTES, or the FEWEST_SHARDS-th part of all if that is less.

    A plain JSONL file is cut at byte positions (a reader takes the lines that start within its bytes), a Parquet file at
    row groups; other files stay whole. Small pieces that follow one another share a shard.
    """
    pieces: list[tuple[Piece, int]] = []
    most = min(SHARD_BYTES, max(LEAST_SHARD_BYTES, sum(source.size for source in sources) // FEWEST_SHARDS))
    for source in sources:
        if source.kind == "jsonl" and not source.compressed and source.size > most:
            parts = -(-source.size // most)
            edges = [source.size * i // parts for i in range(parts + 1)]
            for a, b in itertools.pairwise(edges):
                pieces.append((Piece(source=source, start=a, end=b, share=(b - a) / source.size), b - a))
        elif source.kind == "parquet" and source.size > most:
            pieces += _row_groups(source, most)
        else:
            pieces.append((Piece(source=source), source.size * (4 if source.compressed else 1)))
    shards: list[Shard] = []
    group: list[Piece] = []
    size = 0
    for piece, weight in pieces:
        if group and (size + weight > most or len(group) == FILES_PER_SHARD):
            shards.append(Shard(index=len(shards), pieces=tuple(group)))
            group, size = [], 0
        group.append(piece)
        size += weight
    if group:
        shards.append(Shard(index=len(shards), pieces=tuple(group)))
    return shards


def _row_groups(source: Source, most: int) -> list[tuple[Piece, int]]:
    import pyarrow.parquet as pq

    with open_raw(source.address) as handle:
        try:
            metadata: Any = pq.ParquetFile(handle).metadata
        except Exception as error:  # pyarrow raises many kinds for a broken footer
            raise InputError(f"{source.address}: not a readable Parquet file: {error}") from error
        sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    pieces: list[tuple[Piece, int]] = []
    start = size = 0
    for i, group in enumerate(sizes):
        size += group
        if size >= most or i == len(sizes) - 1:
            pieces.append((Piece(source=source, start=start, end=i + 1, share=size / sum(sizes)), size))
            start, size = i + 1, 0
    return pieces


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the errors that writing under `path` can meet into OutputErrors that say what to do."""
    try:
        yield
    except OSError as error:
        raise output_error(path, error) from error


def output_error(path: Path, error: OSError) -> CurateError:
    """What an OSError met while writing means to a person."""
    if error.errno == errno.ENOSPC:
        return OutputError(f"{path}: the disk is full; finished parts are kept: free some space and run the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path}: no permission to write there")
    return OutputError(f"{path}: cannot be written: {error.strerror or error}")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name whole or not at all: temporary name, flush to disk, rename.

    Raises OutputError when it cannot be written (permission, disk full); the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def safe_name(name: str) -> str:
    """A name that is safe as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "unnamed"
