"""Gopher's rules for quality and repetition (Rae et al. 2021, "Scaling Language Models", arXiv 2112.11446, table A1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from curate.analysis import Splitter
from curate.declare import Batch, Filter, Rule

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["GopherQuality", "GopherRepetition"]

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


class GopherQuality(Filter):
    """Drop what does not read like prose: too few words, odd word lengths, symbols, bullet lists, no stop words.

    The rules of Gopher, counted as datatrove 0.10 does (the stop words must be different ones, written in lower case; blank
    lines count as lines), but for words: there punctuation marks are words too, so its share of alphabetic words is lower.
    A limit itself passes; null turns a rule off, 0 is a limit. O(bytes).
    """

    step: Literal["gopher_quality"] = "gopher_quality"
    releases_gil: ClassVar[bool] = True
    min_words: int | None = Field(50, ge=0, description="Fewest words.")
    max_words: int | None = Field(100_000, ge=0, description="Most words.")
    min_mean_word_length: float | None = Field(3, ge=0, description="Least mean length of the words, in characters.")
    max_mean_word_length: float | None = Field(10, ge=0, description="Greatest mean length of the words.")
    max_hash_ratio: float | None = Field(0.1, ge=0, description="Most `#` to each word.")
    max_ellipsis_ratio: float | None = Field(0.1, ge=0, description="Most `...` and `…` to each word.")
    max_bullet_lines: float | None = Field(0.9, ge=0, description="Greatest share of lines that start with a bullet.")
    max_ellipsis_lines: float | None = Field(0.3, ge=0, description="Greatest share of lines that end with an ellipsis.")
    min_alphabetic_words: float | None = Field(0.8, ge=0, description="Least share of words that hold a letter.")
    min_stop_words: int | None = Field(2, ge=0, description="Fewest different stop words.")
    stop_words: tuple[str, ...] = Field(STOP_WORDS, description="The stop words; Gopher's are English.")
    bullets: str = Field("•-", description="Characters that make a line a bullet point when they come first.")
    splitter: Splitter = "unicode"

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("too_few_words", "words", min=self.min_words),
            Rule("too_many_words", "words", max=self.max_words),
            Rule("short_words", "mean_word_length", min=self.min_mean_word_length),
            Rule("long_words", "mean_word_length", max=self.max_mean_word_length),
            Rule("hashes", "hash_ratio", max=self.max_hash_ratio),
            Rule("ellipses", "ellipsis_ratio", max=self.max_ellipsis_ratio),
            Rule("bullet_lines", "bullet_lines", max=self.max_bullet_lines),
            Rule("ellipsis_lines", "ellipsis_lines", max=self.max_ellipsis_lines),
            Rule("few_alphabetic_words", "alphabetic_words", min=self.min_alphabetic_words),
            Rule("few_stop_words", "stop_words", min=self.min_stop_words),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, cased_words, code_points, ratio
        from curate.kernels.lines import line_marks
        from curate.kernels.words import word_hash

        bullets = code_points(self.bullets)
        stops = [word_hash(word, lower=False) for word in self.stop_words]

        def measure(batch: Batch) -> pl.DataFrame:
            found = batch.share(cased_words, self.splitter)
            lines = line_marks(*batch.share(buffers), bullets)
            count = np.diff(found.bounds)
            hashes, dots = (
                batch.text.str.count_matches(symbol, literal=literal).to_numpy()
                for symbol, literal in (("#", True), (r"\.\.\.|…", False))
            )
            return pl.DataFrame(
                {
                    "words": count.astype(np.float64),
                    "mean_word_length": ratio(_sums(found.chars, found.bounds), count),
                    "hash_ratio": ratio(hashes, count),
                    "ellipsis_ratio": ratio(dots, count),
                    "bullet_lines": ratio(lines.bullets, lines.lines),
                    "ellipsis_lines": ratio(lines.ellipses, lines.lines),
                    "alphabetic_words": ratio(_sums(found.alphabetic, found.bounds), count),
                    "stop_words": _distinct(found.hashes, found.bounds, stops).astype(np.float64),
                }
            )

        return measure


def _sums(values: NDArray[Any], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of the values of each document."""
    import numpy as np

    running = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=running[1:])
    sums: NDArray[np.int64] = np.diff(running[bounds])
    return sums


def _distinct(hashes: NDArray[np.uint64], bounds: NDArray[np.int64], wanted: list[int]) -> NDArray[np.int64]:
    """How many of the wanted words each document holds, each counted once."""
    import numpy as np

    out = np.zeros(len(bounds) - 1, np.int64)
    for word in wanted:
        found = np.flatnonzero(hashes == np.uint64(word))
        out[np.unique(np.searchsorted(bounds, found, "right") - 1)] += 1
    return out


# Scores in the order of the rules; each rule and its option bear the score's name.
_LINES = ("duplicate_paragraphs", "duplicate_paragraph_chars", "duplicate_lines", "duplicate_line_chars")
_NGRAMS = (
    "top_2gram", "top_3gram", "top_4gram",
    "duplicate_5grams", "duplicate_6grams", "duplicate_7grams", "duplicate_8grams", "duplicate_9grams", "duplicate_10grams",
)  # fmt: skip


class GopherRepetition(Filter):
    """Drop what repeats itself: lines, paragraphs and word n-grams that were there before in the same text.

    The rules of Gopher, counted as datatrove 0.10 does: the first occurrence of a line, paragraph or n-gram of 5 to 10 words
    is not counted, all occurrences of the most frequent n-gram of 2 to 4 words are, even a single one; shares of characters
    are of the whole text. So very short texts fail on `top_2gram`. Words differ: there punctuation marks are words too.
    A limit itself passes; null turns a rule off. O(bytes) for each n.
    """

    step: Literal["gopher_repetition"] = "gopher_repetition"
    releases_gil: ClassVar[bool] = True
    max_duplicate_paragraphs: float | None = Field(0.30, ge=0, description="Greatest share of repeated paragraphs.")
    max_duplicate_paragraph_chars: float | None = Field(0.20, ge=0, description="Greatest share of characters in them.")
    max_duplicate_lines: float | None = Field(0.30, ge=0, description="Greatest share of repeated lines.")
    max_duplicate_line_chars: float | None = Field(0.20, ge=0, description="Greatest share of characters in them.")
    max_top_2gram: float | None = Field(0.20, ge=0, description="Greatest share of characters in the most frequent 2-gram.")
    max_top_3gram: float | None = Field(0.18, ge=0, description="The same for 3 words.")
    max_top_4gram: float | None = Field(0.16, ge=0, description="The same for 4 words.")
    max_duplicate_5grams: float | None = Field(0.15, ge=0, description="Greatest share of characters in repeated 5-grams.")
    max_duplicate_6grams: float | None = Field(0.14, ge=0, description="The same for 6 words.")
    max_duplicate_7grams: float | None = Field(0.13, ge=0, description="The same for 7 words.")
    max_duplicate_8grams: float | None = Field(0.12, ge=0, description="The same for 8 words.")
    max_duplicate_9grams: float | None = Field(0.11, ge=0, description="The same for 9 words.")
    max_duplicate_10grams: float | None = Field(0.10, ge=0, description="The same for 10 words.")
    splitter: Splitter = "unicode"

    def rules(self) -> tuple[Rule, ...]:
        return tuple(Rule(score, score, max=getattr(self, f"max_{score}")) for score in (*_LINES, *_NGRAMS))

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, cased_words, chars
        from curate.kernels.lines import repeated_lines
        from curate.kernels.ngrams import DUPLICATE, TOP, repeated_ngrams

        def measure(batch: Batch) -> pl.DataFrame:
            lengths = batch.share(chars)
            found = batch.share(cased_words, self.splitter)
            lines = repeated_lines(*batch.share(buffers), lengths)
            lines[lengths == 0] = np.nan
            ngrams = repeated_ngrams(found, lengths)
            ngrams[np.diff(found.bounds)[:, None] < np.array((*TOP, *DUPLICATE))] = np.nan  # too short to hold one
            scores = {name: lines[:, i] for i, name in enumerate(_LINES)}
            scores |= {name: ngrams[:, i] for i, name in enumerate(_NGRAMS)}
            return pl.DataFrame(scores).fill_nan(None)

        return measure
