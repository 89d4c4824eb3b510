"""Back-off language models as ARPA files, which KenLM, SRILM and others write: read into the table of `kernels.ngram_model`."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from curate.errors import InputError
from curate.io.files import open_bytes

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Arpa", "is_arpa", "load_arpa"]

LINES = 200_000
"""Lines taken at a time: tens of MB."""

MISSING_UNKNOWN = -100.0
"""log10 of the probability of unknown words where the file has no `<unk>`; KenLM's."""


class Arpa(NamedTuple):
    """What an ARPA file says, as `kernels.ngram_model.log_probabilities` takes it."""

    table: NDArray[np.uint64]
    order: int
    closed: bool


def is_arpa(address: str) -> bool:
    """Whether an address is that of an ARPA file, by its name."""
    return bool(re.search(r"\.arpa(\.gz|\.zst)?$", address))


def load_arpa(address: str) -> Arpa:
    """Read an ARPA file, plain, .gz or .zst. Words are what stands between white space; `<UNK>` is read as `<unk>`.

    An n-gram that holds other white space than single spaces is left out: no text has such a word. O(bytes), read once a
    process and state of the file. Raises InputError that names the line's section.
    """
    path = Path(address)
    if not path.is_file():
        raise InputError(f"{address}: no such file")
    return _load(address, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _load(address: str, stamp: int) -> Arpa:
    import numpy as np

    from curate.kernels.ngram_model import UNK, gram_keys, new_table, slots_of, suffix_closed

    with open_bytes(address) as handle:
        counts = _counts(handle, address)
        table = new_table(sum(counts) + 1)
        values = table.view(np.float32)
        closed = True
        for n, count in enumerate(counts, 1):
            for rows in _section(handle, address, n, count):
                grams, kept = _grams(rows["words"], n)
                slots = slots_of(table, gram_keys(grams), insert=True)
                values[4 * slots + 2] = rows["log"].to_numpy()[kept]
                values[4 * slots + 3] = rows["backoff"].to_numpy()[kept]
                closed = closed and (n == 1 or suffix_closed(table, grams))
    unknown = np.array([UNK], np.uint64)
    if slots_of(table, unknown)[0] < 0:
        slots = slots_of(table, unknown, insert=True)
        values[4 * slots + 2] = MISSING_UNKNOWN
    table.flags.writeable = False
    return Arpa(table, len(counts), closed)


def _counts(handle: IO[bytes], address: str) -> list[int]:
    """How many n-grams of each order the file says it holds."""
    counts: list[int] = []
    begun = False
    for number in range(1000):
        line = handle.readline().strip()
        if line == b"\\data\\":
            begun = True
        elif begun and (found := re.fullmatch(rb"ngram (\d+)\s*=\s*(\d+)", line)):
            if int(found[1]) != len(counts) + 1:
                break
            counts.append(int(found[2]))
        elif counts and not line:
            return counts
        elif line and number == 0 and not begun:
            break
    raise InputError(f"{address}: not an ARPA file: it does not open with \\data\\ and the number of n-grams")


def _section(handle: IO[bytes], address: str, n: int, count: int) -> Iterator[pl.DataFrame]:
    """The lines of `\\n-grams:` as log, words, backoff, some at a time."""
    import polars as pl

    lines = iter(handle.readline, b"")
    title = next((line.strip() for line in lines if line.strip()), b"")
    if title != b"\\%d-grams:" % n:
        raise InputError(f"{address}: \\{n}-grams: was to follow, not {title[:40].decode('utf-8', 'replace')!r}")
    left = count
    while left:
        block = list(itertools.islice(lines, min(left, LINES)))
        try:
            whole = pl.Series([line.decode().rstrip("\r\n") for line in block], dtype=pl.String)
        except UnicodeDecodeError as error:
            raise InputError(f"{address}: \\{n}-grams: not UTF-8: {error}") from error
        fields = whole.str.split_exact("\t", 2).struct.unnest()
        rows = fields.select(
            pl.col("field_0").cast(pl.Float32, strict=False).alias("log"),
            pl.col("field_1").alias("words"),
            pl.col("field_2").fill_null("0").cast(pl.Float32, strict=False).alias("backoff"),
        )
        broken = rows.select(pl.any_horizontal(pl.all().is_null()).alias("broken")).to_series().arg_true()
        if len(broken) or not block:
            line = f"{whole[int(broken[0])]!r}" if len(broken) else "the end of the file"
            raise InputError(f"{address}: \\{n}-grams: {count - left:,} to {count:,}: {line[:80]} is no n-gram")
        left -= len(block)
        yield rows


def _grams(names: pl.Series, n: int) -> tuple[NDArray[np.uint64], NDArray[Any]]:
    """Hashes uint64[k, n] of the n-grams, and which of the rows they are."""
    import numpy as np

    from curate.kernels import columns
    from curate.kernels.ngram_model import UNK
    from curate.kernels.words import word_hash, words

    found = words(*columns.buffers(names.to_arrow()), "whitespace", lower=False)
    kept = np.flatnonzero(np.diff(found.bounds) == n)
    grams = found.hashes[found.bounds[kept][:, None] + np.arange(n)]
    grams[grams == np.uint64(word_hash("<UNK>", lower=False))] = np.uint64(UNK)
    return grams, kept
