"""Models of ours on disk: a folder with `model.json` and arrays beside it, checked when read, the arrays mapped into memory.

`model.json` holds `kind`, `version` (of the format of that kind), whatever the kind keeps there, and under `arrays` the
digest of each `NAME.npy`. It is written last: a folder that has one is whole.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import InputError
from curate.io.files import atomic

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HEADER", "Model", "load_model", "save_model"]

HEADER = "model.json"


class Model(NamedTuple):
    """A model as it was read."""

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    """Read-only, mapped: processes that load the same model share its memory."""


def save_model(folder: Path, kind: str, version: int, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write a model into a folder. The same model gives the same bytes. Raises OutputError."""
    import numpy as np

    digests = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        with atomic(path) as handle:
            np.save(handle, array, allow_pickle=False)
        digests[name] = _digest(path)
    with atomic(folder / HEADER) as handle:
        content = {"kind": kind, "version": version, **header, "arrays": digests}
        handle.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def load_model(path: str, kind: str, version: int, trained_by: str) -> Model:
    """The model in a folder, or in `data/` of the folder of a run.

    Raises InputError: nothing there, another kind or version, a damaged file. O(bytes), once a process and state of the file.
    """
    folder = Path(path)
    if not folder.exists():
        raise InputError(f"{path}: no such model; `{trained_by}` trains one")
    if not (folder / HEADER).is_file():
        folder = folder / "data"
    try:
        stamp = (folder / HEADER).stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{path}: holds no {HEADER}: not a model that `{trained_by}` wrote") from error
    return _load(folder, stamp, kind, version)


@functools.lru_cache(maxsize=8)
def _load(folder: Path, stamp: int, kind: str, version: int) -> Model:
    import numpy as np

    where = folder / HEADER
    try:
        header = json.loads(where.read_bytes())
        found = header["kind"], header["version"]
        digests: dict[str, str] = dict(header["arrays"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where}: not a model of curate, or damaged") from error
    if found[0] != kind:
        raise InputError(f"{folder}: a model of kind '{found[0]}'; one of kind '{kind}' is needed here")
    if found[1] != version:
        raise InputError(f"{folder}: written in version {found[1]} of its format, this curate reads {version}: train it again")
    arrays = {}
    for name, digest in digests.items():
        path = folder / f"{name}.npy"
        try:
            if _digest(path) != digest:
                raise InputError(f"{path}: damaged, or not of this model: its digest is not the one in {HEADER}")
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
    return Model(header, arrays)


def _digest(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
