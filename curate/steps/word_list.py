"""Word lists: texts that hold words or phrases of a list."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curate.declare import Batch, Filter, Rule
from curate.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["WordList"]

# A character of these does not go on with the one beside it: scripts that put no space between words.
_WORDY = r"[\p{L}\p{N}\p{M}_\x{200c}\x{200d}]"
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"


class WordList(Filter):
    """Drop texts with words or phrases of a list, as C4 did with the List of Dirty, Naughty, Obscene and Otherwise Bad Words.

    Lists are the user's: none is shipped. Case does not matter. A match neither begins nor ends inside a word (a run of
    letters, numbers and marks): `cat` is not in `category`, and `b!tch` is found as it stands. In Chinese, Japanese, Thai, Lao,
    Khmer, Burmese and Tibetan, which put no space between words, a word matches anywhere. C4 (tensorflow/datasets
    `c4_utils.py`) takes the list of the page's language, and for ja, th and zh matches anywhere.

    `count` is how often a listed word stands in the text, also within a longer listed phrase; `share` is count to each word of
    the text (the `unicode` splitter's). C4 keeps no page with one. A limit itself passes; null turns a rule off.
    O(bytes + matches).
    """

    step: Literal["word_list"] = "word_list"
    releases_gil: ClassVar[bool] = True
    words: tuple[str, ...] = Field((), description="Words and phrases.")
    lists: tuple[str, ...] = Field((), description="Files of words and phrases, one a line; # at its start makes a comment.")
    match: Literal["word", "substring"] = Field(
        "word", description="What counts: whole words, or the same characters anywhere."
    )
    max_count: int | None = Field(0, ge=0, description="Most occurrences.")
    max_share: float | None = Field(None, ge=0, description="Most occurrences to each word of the text.")

    @model_validator(mode="after")
    def _something_to_look_for(self) -> Self:
        if not (self.words or self.lists):
            raise ValueError("nothing to look for: give words or lists")
        return self

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("listed_words", "count", max=self.max_count),
            Rule("listed_share", "share", max=self.max_share),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, cased_words, ratio, text_buffers
        from curate.kernels.phrases import count_phrases, phrases

        listed = _listed(self.words, self.lists)
        sought = phrases(listed)
        ascii = all(map(str.isascii, listed))
        wordy = _wordy() if self.match == "word" else np.zeros(0x110000, np.bool_)

        def measure(batch: Batch) -> pl.DataFrame:
            # The kernel takes ASCII's capitals for small letters; other capitals matter only to words with such letters.
            texts = batch.share(buffers) if ascii else text_buffers(batch.text.str.to_lowercase())
            count = count_phrases(*texts, sought, wordy)
            scores = {"count": pl.Series(count, dtype=pl.Float64)}
            if self.max_share is not None:
                scores["share"] = ratio(count, np.diff(batch.share(cased_words, "unicode").bounds))
            return pl.DataFrame(scores)

        return measure


@functools.cache
def _wordy() -> NDArray[np.bool_]:
    """bool[0x110000]: the code points that make a word together with a neighbour of them."""
    import numpy as np
    import polars as pl

    wordy = np.zeros(0x110000, np.bool_)
    codes = np.array([code for code in (*range(0x40000), *range(0xE0000, 0xE1000)) if not 0xD800 <= code < 0xE000])
    every = pl.Series(map(chr, codes))
    wordy[codes] = (every.str.contains(_WORDY) & ~every.str.contains(_UNSPACED)).to_numpy()
    return wordy


def _listed(words: tuple[str, ...], lists: tuple[str, ...]) -> list[str]:
    """The words in small letters, each once."""
    import polars as pl

    found = list(words)
    for name in lists:
        try:
            lines = Path(name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{name}: the word list cannot be read: {error}") from error
        found += [line for line in lines if not line.lstrip().startswith("#")]
    listed = pl.Series("word", found, dtype=pl.String).str.strip_chars().str.to_lowercase()
    listed = listed.filter(listed != "").unique(maintain_order=True)
    if not listed.len():
        raise InputError(f"{', '.join(lists) or 'words'}: no word to look for")
    return listed.to_list()
