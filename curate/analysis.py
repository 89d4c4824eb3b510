"""What several steps need of a batch, computed once and shared: `batch.share(buffers)`, `batch.share(words, "unicode")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.declare import Batch
    from curate.kernels.lines import LineTable
    from curate.kernels.words import Words

__all__ = [
    "Splitter",
    "buffers",
    "cased_words",
    "chars",
    "code_points",
    "draw",
    "prepare",
    "ratio",
    "split_of",
    "text_buffers",
    "text_lines",
    "words",
    "words_of",
]

Splitter = Annotated[
    Literal["tokens", "spacy", "unicode", "whitespace"],
    Field(
        description="What a word is. tokens: as spaCy's English tokenizer cuts, punctuation marks are words too; spacy: by "
        "spaCy itself, slowly; unicode: a run of letters, digits and marks, for Chinese and Japanese each character; "
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
    return words_of(batch.text, batch.share(buffers), splitter)


def words_of(
    text: pl.Series, buffers: tuple[NDArray[np.int64], NDArray[np.uint8]], splitter: Splitter, *, lower: bool = False
) -> Words:
    """The words of a series of strings and its buffers. Raises MissingExtra when the splitter is spaCy's and that is absent."""
    from curate.kernels import words as kernel

    if splitter != "spacy":
        return kernel.words(*buffers, splitter, lower=lower)
    from curate.models.spacy_words import spacy_words

    return kernel.placed_words(*buffers, *spacy_words(text, int(buffers[0][0])), lower=lower)


def prepare(splitter: Splitter) -> None:
    """Make the splitter ready before the first batch. Raises MissingExtra when it is spaCy's and that is absent."""
    if splitter == "spacy":
        from curate.models.spacy_words import spacy_tokenizer

        spacy_tokenizer()


def text_lines(batch: Batch) -> LineTable:
    """The lines of each text; see `curate.kernels.lines`."""
    from curate.kernels.lines import line_table

    return line_table(*batch.share(buffers))


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
    """The words of the batch's text, case folded in their hashes; see `curate.kernels.words`."""
    return words_of(batch.text, batch.share(buffers), splitter, lower=True)
