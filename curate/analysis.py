"""What several steps need of a batch, computed once and shared: `batch.share(buffers)`, `batch.share(words, "unicode")`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.declare import Batch
    from curate.kernels.words import Words

__all__ = [
    "Splitter",
    "buffers",
    "cased_words",
    "chars",
    "code_points",
    "draw",
    "ratio",
    "sentence_terminal",
    "split_of",
    "sums",
    "text_buffers",
    "words",
]

Splitter = Annotated[
    Literal["unicode", "whitespace"],
    Field(
        description="What a word is. unicode: a run of letters, digits and marks, for Chinese and Japanese each character; "
        "whitespace: what stands between white space, with its punctuation."
    ),
]
"""The word splitters of `curate.kernels.words`, as an option."""


def text_buffers(text: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The Arrow buffers of a series of strings without nulls: `offsets` int64[n+1] and UTF-8 `data` uint8[...].

    Text i is data[offsets[i]:offsets[i+1]]. One copy, because polars keeps strings as views.
    """
    from curate.kernels import columns

    return columns.buffers(text.to_arrow())


def buffers(batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """`text_buffers` of the batch's text."""
    return text_buffers(batch.text)


def chars(batch: Batch) -> NDArray[np.int64]:
    """int64[n]: the length of each text in characters (code points)."""
    import numpy as np

    return batch.text.str.len_chars().to_numpy().astype(np.int64)


def cased_words(batch: Batch, splitter: Splitter) -> Words:
    """The words of each text, by a named splitter; their hashes tell upper from lower case, as Gopher's rules do."""
    from curate.kernels import words as kernel

    return kernel.words(*batch.share(buffers), splitter, lower=False)


def code_points(characters: str) -> NDArray[np.uint32]:
    """uint32[n]: the code points of a string, as the kernels take sets of characters."""
    import numpy as np

    return np.array([ord(character) for character in characters], np.uint32)


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> pl.Series:
    """part / whole as float64; null where there is nothing to divide by."""
    import numpy as np
    import polars as pl

    quotient = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole != 0)
    return pl.Series(quotient, dtype=pl.Float64).fill_nan(None)


def draw(ids: pl.Series, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each id, uniform over ids and always the same for the same id and seed.

    The top 53 bits of XXH64(UTF-8 of the id, seed) over 2^53: exact in a float, so that 1.0 is never reached.
    """
    import numpy as np

    from curate.kernels.hashing import hash_strings

    offsets, data = text_buffers(ids)
    drawn: NDArray[np.float64] = (hash_strings(offsets, data, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return drawn


def split_of(ids: pl.Series, validation: float, seed: int) -> pl.Series:
    """`validation` for the share of the rows whose `draw` says so, `train` for the others: strings, named `split`."""
    import polars as pl

    held_out = pl.Series("split", draw(ids, seed) < validation)
    return pl.select(pl.when(held_out).then(pl.lit("validation")).otherwise(pl.lit("train")).alias("split")).to_series()


def words(batch: Batch, splitter: Splitter = "unicode") -> Words:
    """The words of the batch's text; see `curate.kernels.words`."""
    from curate.kernels import words as kernel

    return kernel.words(*batch.share(buffers), splitter)


def sums(values: NDArray[Any], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[n]: the sum of the values of each document, those at `bounds[i]:bounds[i + 1]`."""
    import numpy as np

    running = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=running[1:])
    total: NDArray[np.int64] = np.diff(running[bounds])
    return total


@functools.cache
def sentence_terminal() -> str:
    """The characters with Unicode's property Sentence_Terminal, asked from polars' tables; of ASCII these are `!.?`."""
    import polars as pl

    # The planes above the second hold none.
    every = pl.Series([chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000])
    return "".join(every.filter(every.str.contains(r"\p{Sentence_Terminal}")))
