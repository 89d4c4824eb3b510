"""py3langid's model file, read into the arrays that `curate.kernels.language` runs.

Unpacking takes a second (68 MB of LZMA), so the arrays are kept beside the compiled kernels, under the digest of the file:
37 MB, read in some 50 ms.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import lzma
import os
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.compiled import cache_folder
from curate.errors import InputError
from curate.kernels.language import Model

__all__ = ["load"]

_LAYOUT = 1  # of the kept arrays; counts up when `_convert` makes others
_SLOTS = 1 << 20


@functools.cache
def load() -> Model:
    """The model inside the installed py3langid. Raises InputError when that version's is of another form.

    The first call on a machine takes about 2 s and keeps what it made; where nothing can be written, each process's does.
    """
    packed = (files("py3langid") / "data" / "model.npz.xz").read_bytes()
    kept = _place_of(packed)
    if kept.exists():
        with np.load(kept) as arrays:
            return Model(**arrays)
    with np.load(io.BytesIO(lzma.decompress(packed))) as arrays:
        model = _convert(arrays)
    with contextlib.suppress(OSError):
        _keep(model, kept)
    return model


def _place_of(packed: bytes) -> Path:
    return cache_folder() / f"langid-{_LAYOUT}-{hashlib.sha256(packed).hexdigest()[:16]}.npz"


def _keep(model: Model, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
        try:
            np.savez(file, **model._asdict())
            file.flush()
            os.replace(file.name, place)
        except BaseException:
            os.unlink(file.name)
            raise


def _convert(arrays: Mapping[str, npt.NDArray[Any]]) -> Model:
    """py3langid's arrays (its modelio.py says what they are) as ours."""
    try:
        table, row, feature = arrays["nextmove"].reshape(-1, 256), arrays["nextmove_row"], arrays["out_feat"]
        logs, prior, languages = arrays["ptc"].astype(np.float32), arrays["pc"], arrays["classes"]
    except KeyError as error:
        raise InputError(f"py3langid's model has no {error}: install py3langid 0.4") from error
    scaled = logs * -512  # float16 in (-16, -2]: whole numbers
    weights = np.zeros((len(scaled) + 1, -len(prior) % 16 + len(prior)), np.uint16)
    weights[1:, : len(prior)] = scaled
    if not np.array_equal(weights[1:, : len(prior)], scaled) or len(weights) >= 1 << 24:
        raise InputError("py3langid's model holds numbers that this kernel cannot: install py3langid 0.4")
    one = table[row[0]]  # states after one byte
    pairs = np.concatenate([table[row[one]], one[None]])  # after any two, and at the start
    last = np.zeros(len(table), np.intp)  # the byte that leads to the states of a row
    last[row[table]] = np.arange(256)
    last[row[0]] = 256
    rare = table != pairs[last]
    rows, bytes = np.nonzero(rare)
    if len(rows) > 0.8 * _SLOTS:
        raise InputError("py3langid's automaton is too large for this kernel: install py3langid 0.4")
    count = rare.sum(axis=1)
    base = _place(np.argsort(-count, kind="stable"), np.cumsum(count) - count, count, bytes, _SLOTS - 256)
    slots = np.full(_SLOTS, _SLOTS - 1, np.uint64)

    def entry(states: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
        packed: npt.NDArray[np.int64] = base[row[states]] << 20 | (feature[states] + 1).astype(np.int64) << 40
        return packed.astype(np.uint64)

    slots[base[rows] + bytes] = entry(table[rare]) | base[rows].astype(np.uint64)
    first = {language: j for j, language in reversed(list(enumerate(languages.tolist())))}
    column = np.array([first[language] for language in languages.tolist()])
    start = base[row[:1]].astype(np.uint64)
    return Model(slots, entry(pairs.ravel()), weights, prior.astype(np.float32), column, start, languages)


@njit(cache=True, nogil=True)
def _place(order: Any, first: Any, count: Any, bytes: Any, bases: int) -> Any:
    """A base for each row, so that no two share a base or a slot: at random, the fullest rows first (row displacement).

    Tarjan and Yao, Storing a sparse table, CACM 1979. About 9 million tries for the 38,346 rows and 597,473 slots of 0.4.
    """
    used, taken, base = np.zeros(bases + 256, np.bool_), np.zeros(bases, np.bool_), np.empty(len(order), np.int64)
    state = np.uint64(0)
    for r in order:
        free = False
        while not free:
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)  # Knuth's MMIX
            base[r] = np.int64(state >> np.uint64(33)) % bases
            free = not taken[base[r]]
            for k in range(first[r], first[r] + count[r]):
                if used[base[r] + bytes[k]]:
                    free = False
                    break
        taken[base[r]] = True
        for k in range(first[r], first[r] + count[r]):
            used[base[r] + bytes[k]] = True
    return base
