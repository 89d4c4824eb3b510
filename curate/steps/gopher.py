"""Gopher's rules for quality and repetition (Rae et al. 2021, "Scaling Language Models", arXiv 2112.11446, table A1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.analysis import Splitter
from curate.declare import Batch, Filter, Rule

if TYPE_CHECKING:
    import polars as pl

__all__ = ["GopherQuality", "GopherRepetition"]

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
Variant = Literal["datatrove-0.10", "paper", "dclm"]


class GopherQuality(Filter):
    """Drop what does not read like prose: too few words, odd word lengths, symbols, bullet lists, no stop words.

    The rules of Gopher. The paper does not say how to count; `variant` does:

    * `datatrove-0.10`: tokens as spaCy cuts; those of punctuation alone are left out of `words` and `mean_word_length` and
      counted everywhere else. Lines are those of `str.splitlines`, blank ones too. Stop words must be different ones, written
      in lower case.
    * `paper`: the same, but words are what stands between white space, and all of them count everywhere.
    * `dclm`: as `paper`, but `words` are those that begin with a letter or digit; blank lines do not count; stop words are
      counted as often as they come, in any case; `hash_ratio` is of all symbols together, `. . .` is one of them, and ends a
      line as an ellipsis does.

    A limit itself passes; null turns a rule off, 0 is a limit. O(bytes).
    """

    step: Literal["gopher_quality"] = "gopher_quality"
    variants: ClassVar = {"paper": {"splitter": "whitespace"}, "dclm": {"splitter": "whitespace", "bullets": "●•*-"}}
    variant: Variant = Field("datatrove-0.10", description="How words, lines and symbols are counted.")
    min_words: int | None = Field(50, ge=0, description="Fewest words.")
    max_words: int | None = Field(100_000, ge=0, description="Most words.")
    min_mean_word_length: float | None = Field(3, ge=0, description="Least mean length of the words, in characters.")
    max_mean_word_length: float | None = Field(10, ge=0, description="Greatest mean length of the words.")
    max_hash_ratio: float | None = Field(0.1, ge=0, description="Most `#` to each word.")
    max_ellipsis_ratio: float | None = Field(0.1, ge=0, description="Most `...` and `…` to each word.")
    max_bullet_lines: float | None = Field(0.9, ge=0, description="Greatest share of lines that start with a bullet.")
    max_ellipsis_lines: float | None = Field(0.3, ge=0, description="Greatest share of lines that end with an ellipsis.")
    min_alphabetic_words: float | None = Field(0.8, ge=0, description="Least share of words that hold a letter.")
    min_stop_words: int | None = Field(2, ge=0, description="Fewest stop words.")
    stop_words: tuple[str, ...] = Field(STOP_WORDS, description="The stop words; Gopher's are English.")
    bullets: str = Field("•-", description="Characters that make a line a bullet point when they come first; dclm has `●•*-`.")
    splitter: Splitter = "tokens"

    @property
    def releases_gil(self) -> bool:
        return self.splitter != "spacy"

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

        from curate.analysis import buffers, cased_words, code_points, prepare, ratio, text_lines, words
        from curate.kernels.lines import line_marks
        from curate.kernels.words import ALNUM, SYMBOL, word_sums

        prepare(self.splitter)
        bullets = code_points(self.bullets)
        dclm = self.variant == "dclm"
        bits, value = {"datatrove-0.10": (SYMBOL, 0), "paper": (0, 0), "dclm": (ALNUM, ALNUM)}[self.variant]

        def measure(batch: Batch) -> pl.DataFrame:
            found = batch.share(words if dclm else cased_words, self.splitter)
            sums = word_sums(found, bits, value, self.stop_words, lower=dclm)
            lines = batch.share(text_lines)
            marks = line_marks(batch.share(buffers)[1], lines, bullets, filled=dclm)
            every = np.diff(found.bounds)
            hashes, ellipses, spaced = lines.symbols.T
            lengths = (sums.chars, every) if dclm else (sums.counted_chars, sums.counted)
            return pl.DataFrame(
                {
                    "words": sums.counted.astype(np.float64),
                    "mean_word_length": ratio(*lengths),
                    "hash_ratio": ratio(hashes + ellipses + spaced if dclm else hashes, every),
                    "ellipsis_ratio": ratio(ellipses, every),
                    "bullet_lines": ratio(marks.bullets, marks.lines),
                    "ellipsis_lines": ratio(marks.ellipses, marks.lines),
                    "alphabetic_words": ratio(sums.alphabetic, every),
                    "stop_words": (sums.known if dclm else sums.different).astype(np.float64),
                }
            )

        return measure


# Scores in the order of the rules; each rule and its option bear the score's name.
_LINES = ("duplicate_paragraphs", "duplicate_paragraph_chars", "duplicate_lines", "duplicate_line_chars")
_NGRAMS = (
    "top_2gram", "top_3gram", "top_4gram",
    "duplicate_5grams", "duplicate_6grams", "duplicate_7grams", "duplicate_8grams", "duplicate_9grams", "duplicate_10grams",
)  # fmt: skip


class GopherRepetition(Filter):
    """Drop what repeats itself: lines, paragraphs and word n-grams that were there before in the same text.

    The rules of Gopher. The paper does not say how to count; `variant` does:

    * `datatrove-0.10`: the first occurrence of a line, paragraph or n-gram of 5 to 10 words is not counted, nor is one that
      lies over another; all occurrences of the most frequent n-gram of 2 to 4 words are, even a single one, so that very short
      texts fail on `top_2gram`. Shares of characters are of the whole text. Words are tokens as spaCy cuts.
    * `paper`: as before, but words are what stands between white space, the most frequent n-gram comes twice at least, and of
      repeated n-grams of 5 to 10 words every occurrence is counted, characters in several of them once.
    * `dclm`: n-grams as in `paper`, without the blanks between their words, as shares of the characters of all words. Lines and
      paragraphs are stripped, blank ones do not count, every occurrence of one that comes twice does, and shares are of the
      characters of all lines. Words are runs of letters and digits (uniseg's words there, which keep `don't` together).

    A text without a character is dropped. A limit itself passes; null turns a rule off. O(bytes).
    """

    step: Literal["gopher_repetition"] = "gopher_repetition"
    variants: ClassVar = {"paper": {"splitter": "whitespace"}, "dclm": {"splitter": "unicode"}}
    variant: Variant = Field("datatrove-0.10", description="How repetitions are counted.")
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
    splitter: Splitter = "tokens"

    @property
    def releases_gil(self) -> bool:
        return self.splitter != "spacy"

    def rules(self) -> tuple[Rule, ...]:
        repeats = tuple(Rule(score, score, max=getattr(self, f"max_{score}")) for score in (*_LINES, *_NGRAMS))
        return (Rule("empty", "chars", min=1), *repeats)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, cased_words, chars, prepare, text_lines
        from curate.kernels.lines import repeated_lines
        from curate.kernels.ngrams import DUPLICATE, TOP, repeated_ngrams
        from curate.kernels.words import word_sums

        prepare(self.splitter)
        dclm = self.variant == "dclm"

        def measure(batch: Batch) -> pl.DataFrame:
            lengths = batch.share(chars)
            found = batch.share(cased_words, self.splitter)
            lines = repeated_lines(batch.share(buffers)[1], batch.share(text_lines), lengths, stripped=dclm)
            lines[lengths == 0] = np.nan
            ngrams = repeated_ngrams(found, word_sums(found, 0, 0, ()).chars if dclm else lengths, self.variant)
            ngrams[np.diff(found.bounds)[:, None] < np.array((*TOP, *DUPLICATE))] = np.nan  # too short to hold one
            scores = {"chars": lengths.astype(np.float64)}
            scores |= {name: lines[:, i] for i, name in enumerate(_LINES)}
            scores |= {name: ngrams[:, i] for i, name in enumerate(_NGRAMS)}
            return pl.DataFrame(scores).fill_nan(None)

        return measure
