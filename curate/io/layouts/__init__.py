"""Token shards in the layouts of other tools, beside `curate.io.token_shards`.

One module a layout: `megatron`, `nanogpt`, `hf_datasets`, `mds`. Each has two functions:

* `write(out, split, documents, vocab_size)`: the files of one split, through `Files`, from shards of ours, as a stream;
* `open_split(folder, split, eos_id)`: these files as `Documents`, for `curate inspect`.

`shards.json` (schemas/shards.json) beside them names the files with their checksums; the tools themselves do not need it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, Literal

from curate.errors import InputError, OutputError
from curate.io.files import atomic
from curate.io.token_shards import HEADER

if TYPE_CHECKING:
    from curate.io.token_shards import Documents

__all__ = [
    "RECORD",
    "Files",
    "Layout",
    "check_layout",
    "open_layout",
    "read_record",
    "tokenizer_of",
    "verify_files",
    "write_layout",
]

Layout = Literal["megatron", "nanogpt", "datasets", "mds"]

RECORD = "shards.json"


class _Hashed(io.RawIOBase):
    """A file that is hashed while it is written. Closing it leaves the file itself open."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._hash = hashlib.blake2b(digest_size=16)
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        self._file.write(view)
        self._hash.update(view)
        self.size += view.nbytes
        return view.nbytes

    def digest(self) -> str:
        return self._hash.hexdigest()


class Files:
    """The files of a folder as they are written, each with its size and checksum."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[dict[str, Any]] = []

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[_Hashed]:
        """A file that appears whole when the block ends well. Raises OutputError when it cannot be written."""
        with atomic(self.folder / name) as file:
            hashed = _Hashed(file)
            yield hashed
        self.written.append({"file": name, "size": hashed.size, "blake2b": hashed.digest()})

    def json(self, name: str, content: Any) -> None:
        """A file of JSON."""
        with self.writing(name) as file:
            file.write((json.dumps(content, indent=2, sort_keys=True) + "\n").encode())


def _module(layout: Layout) -> ModuleType:
    from curate.io.layouts import hf_datasets, mds, megatron, nanogpt

    return {"megatron": megatron, "nanogpt": nanogpt, "datasets": hf_datasets, "mds": mds}[layout]


def check_layout(layout: Layout, vocab_size: int) -> None:
    """Raises InputError when the layout cannot hold ids below `vocab_size`."""
    limit = {"nanogpt": 1 << 16}.get(layout, 1 << 31)
    if vocab_size > limit:
        raise InputError(
            f"layout {layout} holds ids below {limit:,}, and the tokenizer has {vocab_size:,}: take another layout or tokenizer"
        )


def write_layout(
    layout: Layout,
    folder: Path,
    splits: dict[str, Documents],
    counts: dict[str, dict[str, int]],
    about: dict[str, Any],
) -> None:
    """Write every split, and `shards.json` last. `counts`: documents, tokens and bytes by split; `about`: the other facts.

    Memory: some millions of tokens, and for Megatron nothing more. Raises OutputError when a file cannot be written, InputError
    when a document is longer than the layout allows.
    """
    import jsonschema

    from schemas import load

    module = _module(layout)
    found = {}
    for split, documents in splits.items():
        files = Files(folder)
        module.write(files, split, documents, about["vocab_size"])
        found[split] = {**counts[split], "files": files.written}
    if layout == "datasets":
        module.finish(folder, list(splits))
    record = {"format": "curate-shards-1", "layout": layout, **about, "splits": found}
    try:
        jsonschema.validate(record, load("shards"))
    except jsonschema.ValidationError as error:
        raise OutputError(f"{folder / RECORD}: {error.json_path}: {error.message}") from error
    with atomic(folder / RECORD) as file:
        file.write((json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())


def read_record(folder: Path) -> dict[str, Any]:
    """`shards.json` of a folder, checked against the schema. Raises InputError."""
    import jsonschema

    from schemas import load

    path = folder / RECORD
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.validate(record, load("shards"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; `curate tokenize --layout` writes such folders") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    except jsonschema.ValidationError as error:
        raise InputError(f"{path}: {error.json_path}: {error.message}") from error
    return record


def open_layout(folder: Path, record: dict[str, Any], split: str) -> Documents:
    """One split of a folder that `write_layout` wrote. Raises InputError when a file is missing or has another size."""
    for entry in record["splits"][split]["files"]:
        path = folder / entry["file"]
        if not path.is_file():
            raise InputError(f"{path}: missing, but {RECORD} names it; tokenize again")
        if path.stat().st_size != entry["size"]:
            raise InputError(f"{path}: has {path.stat().st_size} bytes, {RECORD} says {entry['size']}; tokenize again")
    documents: Documents = _module(record["layout"]).open_split(folder, split, record["eos_id"])
    return documents


def tokenizer_of(folder: Path) -> str | None:
    """The digest of the tokenizer that wrote the shards in a folder, in whatever layout; None when it holds none."""
    for name in (HEADER, RECORD):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            digest = json.loads((folder / name).read_bytes()).get("tokenizer_blake2b")
            return digest if isinstance(digest, str) else None
    return None


def verify_files(folder: Path, record: dict[str, Any], split: str) -> None:
    """Read the files of a split: raises InputError at the first whose checksum differs. O(bytes)."""
    for entry in record["splits"][split]["files"]:
        with (folder / entry["file"]).open("rb") as handle:
            found = hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        if found != entry["blake2b"]:
            raise InputError(
                f"{folder / entry['file']}: its BLAKE2b is {found}, {RECORD} says {entry['blake2b']}; tokenize again"
            )
