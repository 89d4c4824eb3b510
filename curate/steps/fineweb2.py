"""FineWeb-2's rules: those of Gopher and FineWeb with limits for each language (Penedo et al. 2025, arXiv 2506.20920)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from curate.analysis import Splitter
from curate.declare import Batch, Filter, Rule
from curate.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.kernels.words import Words

__all__ = ["Fineweb2Quality"]

_TOP, _DUPLICATE = (2, 3, 4), (5, 6, 7, 8, 9, 10)
_LEAST = ("line_punctuation", "min_mean_word_length", "alphabetic_words")
"""Limits that are least values; the others are greatest ones."""
_BY_WORDS = ("newline_ratio", "min_mean_word_length", "max_mean_word_length", "alphabetic_words")
"""Limits, besides those of n-grams, that mean nothing where the splitter finds no words."""
_UNSPACED = ("Thai", "Laoo", "Khmr", "Mymr", "Tibt")
"""Scripts without spaces between words, other than Chinese and Japanese; ISO 15924."""
_BY_LANGUAGE = (
    "duplicate_lines", *(f"top_{n}gram" for n in _TOP), *(f"duplicate_{n}grams" for n in _DUPLICATE),
    "line_punctuation", "newline_ratio", "min_mean_word_length", "max_mean_word_length", "alphabetic_words",
)  # fmt: skip


class Fineweb2Quality(Filter):
    """Drop what FineWeb-2 dropped: repetition, lists and what is no prose, by limits for each row's language.

    The limits are read from FineWeb-2's own files, one for each of 1,929 languages (github.com/huggingface/fineweb-2, folder
    `configs`, Apache-2.0); they are not shipped. A file `fra_Latn.yml` may as well be your own, with the same keys. A language
    is read when its first row comes.

    Rules and their order are those of `fineweb-2-pipeline.py`: the language score of the file, where `confidence_column` names
    its column; of Gopher's repetition repeated lines and n-grams; FineWeb's line ends, repeated characters (0.1, not 0.01) and
    line breaks, without its short lines; Gopher's quality. Counted as datatrove 0.10 does, but for words, as in
    `gopher_quality`. So an n-gram limit for a language that FineWeb-2 cut with a tokenizer of its own (Chinese, Japanese) is
    lenient here; where words are written without spaces (Thai, Lao, Khmer, Burmese, Tibetan) rules on words are off. Of the
    stop words those that are one word to the splitter count (`l'` is `l`), case matters, and no more are asked for than there
    are.

    A score `..._excess` is how far the text is beyond its language's limit: above 0 it is dropped. A row without a language, or
    of one without a file, has null scores. A limit itself passes; null turns a rule off, and so do a limit of 0 for
    repeated lines and of -1 for line ends in a file. O(bytes).
    """

    step: Literal["fineweb2_quality"] = "fineweb2_quality"
    thresholds: str = Field(description="Folder of the limits, LANGUAGE.yml each: the folder `configs` of FineWeb-2.")
    language: str | None = Field(None, description="Language of all rows, as its file is named: fra_Latn.")
    language_column: str | None = Field(None, description="Column of each row's language.")
    names: dict[str, str] = Field(
        {}, description="What values of the column are called in the folder, like {fr: fra_Latn}; others are looked up as such."
    )
    unknown_language: Literal["keep", "drop"] = Field("keep", description="What to do with rows without limits.")
    confidence_column: str | None = Field(
        None, description="Column of the confidence in the language, of GlotLID; without it the rule is off."
    )
    max_duplicate_chars: float | None = Field(0.1, ge=0, description="Greatest share of characters in repeated lines.")
    min_words: int | None = Field(50, ge=0, description="Fewest words.")
    max_words: int | None = Field(100_000, ge=0, description="Most words.")
    max_hash_ratio: float | None = Field(0.1, ge=0, description="Most `#` to each word.")
    max_ellipsis_ratio: float | None = Field(0.1, ge=0, description="Most `...` and `…` to each word.")
    max_bullet_lines: float | None = Field(0.9, ge=0, description="Greatest share of lines that start with a bullet.")
    max_ellipsis_lines: float | None = Field(0.3, ge=0, description="Greatest share of lines that end with an ellipsis.")
    min_stop_words: int | None = Field(2, ge=0, description="Fewest different stop words.")
    splitter: Splitter = "unicode"

    @model_validator(mode="after")
    def _one_language(self) -> Self:
        if (self.language is None) == (self.language_column is None):
            raise ValueError("give one of language and language_column")
        return self

    @property
    def releases_gil(self) -> bool:
        return self.splitter != "spacy"

    def needs(self) -> tuple[str, ...]:
        return tuple(column for column in (self.language_column, self.confidence_column) if column is not None)

    def rules(self) -> tuple[Rule, ...]:
        def beyond(name: str) -> Rule:
            return Rule(name, f"{name}_excess", max=0)

        repetition = ("duplicate_lines", *(f"top_{n}gram" for n in _TOP), *(f"duplicate_{n}grams" for n in _DUPLICATE))
        return (
            Rule("unknown_language", "known_language", min=1 if self.unknown_language == "drop" else None),
            Rule("low_confidence", "confidence_excess", max=0 if self.confidence_column else None),
            *map(beyond, repetition),
            Rule("no_lines", "lines", min=1),
            beyond("line_punctuation"),
            Rule("duplicate_chars", "duplicate_chars", max=self.max_duplicate_chars),
            beyond("newline_ratio"),
            Rule("too_few_words", "words", min=self.min_words),
            Rule("too_many_words", "words", max=self.max_words),
            beyond("min_mean_word_length"),
            beyond("max_mean_word_length"),
            Rule("hashes", "hash_ratio", max=self.max_hash_ratio),
            Rule("ellipses", "ellipsis_ratio", max=self.max_ellipsis_ratio),
            Rule("bullet_lines", "bullet_lines", max=self.max_bullet_lines),
            Rule("ellipsis_lines", "ellipsis_lines", max=self.max_ellipsis_lines),
            beyond("alphabetic_words"),
            Rule("few_stop_words", "stop_words_excess", max=None if self.min_stop_words is None else 0),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, cased_words, chars, code_points, prepare, ratio, text_lines
        from curate.kernels.characters import LINE_ENDS
        from curate.kernels.lines import line_counts, line_marks, repeated_lines
        from curate.kernels.ngrams import repeated_ngrams
        from curate.kernels.words import word_sums

        prepare(self.splitter)

        folder = Path(self.thresholds)
        if not folder.is_dir():
            raise InputError(f"{folder}: no folder of limits (FineWeb-2's `configs`)")
        if self.language is not None and _read(folder, self.language) is None:
            raise InputError(f"{folder}: no limits for {self.language} ({self.language}.yml)")
        terminal, bullets = code_points(LINE_ENDS), code_points("•-")

        def measure(batch: Batch) -> pl.DataFrame:
            rows = _languages(self, batch, folder)
            data, found = batch.share(buffers)[1], batch.share(text_lines)
            lengths = batch.share(chars)
            words = batch.share(cased_words, self.splitter)
            count = np.diff(words.bounds)
            lines = line_counts(data, found, terminal, 0)
            marks = line_marks(data, found, bullets)
            ngrams = repeated_ngrams(words, lengths)
            ngrams[count[:, None] < np.array((*_TOP, *_DUPLICATE))] = np.nan  # too short to hold one
            hashes, dots, _ = found.symbols.T
            sums = word_sums(words, 0, 0, ())
            mean = ratio(sums.chars, count)
            measured: dict[str, pl.Series] = {
                "duplicate_lines": pl.Series(np.where(lengths == 0, np.nan, repeated_lines(data, found, lengths)[:, 2])),
                **{f"top_{n}gram": pl.Series(ngrams[:, i]) for i, n in enumerate(_TOP)},
                **{f"duplicate_{n}grams": pl.Series(ngrams[:, len(_TOP) + i]) for i, n in enumerate(_DUPLICATE)},
                "line_punctuation": ratio(lines.terminal, lines.filled),
                "newline_ratio": ratio(lines.newlines, count),
                "min_mean_word_length": mean,
                "max_mean_word_length": mean,
                "alphabetic_words": ratio(sums.alphabetic, count),
            }
            scores = {
                f"{name}_excess": (rows.limits[name] - value) if name in _LEAST else (value - rows.limits[name])
                for name, value in measured.items()
            }
            if self.min_stop_words is not None:
                scores["stop_words_excess"] = _missing_stop_words(words, rows, self.min_stop_words, self.splitter)
            by_words = {
                "words": pl.Series(count, dtype=pl.Float64),
                "hash_ratio": ratio(hashes, count),
                "ellipsis_ratio": ratio(dots, count),
            }
            scores |= {name: _where(rows.spaced, score) for name, score in by_words.items()}
            scores |= {
                "lines": pl.Series(lines.filled, dtype=pl.Float64),
                "duplicate_chars": ratio(lines.repeated_chars, lines.chars),
                "bullet_lines": ratio(marks.bullets, marks.lines),
                "ellipsis_lines": ratio(marks.ellipses, marks.lines),
            }
            if self.confidence_column is not None:
                given = batch.frame[self.confidence_column].cast(pl.Float64, strict=False)
                scores["confidence_excess"] = rows.limits["confidence"] - given
            frame = pl.DataFrame({name: _where(rows.known, score) for name, score in scores.items()}).fill_nan(None)
            return frame.with_columns(known_language=rows.known.cast(pl.Float64))

        return measure


class _File(BaseModel):
    """A file of limits, with the keys of FineWeb-2."""

    dup_line_frac: float
    top_n_grams: list[tuple[int, float]]
    dup_n_grams: list[tuple[int, float]]
    language_score: float
    line_punct_thr: float
    new_line_ratio: float
    min_avg_word_length: float
    max_avg_word_length: float
    max_non_alpha_words_ratio: float
    stopwords: list[str]


class _Limits(NamedTuple):
    """The limits of a language. `values`: by the names of `_BY_LANGUAGE`, and `confidence`; None is off."""

    values: dict[str, float | None]
    stop_words: tuple[str, ...]
    spaced: bool


class _Rows(NamedTuple):
    """What is known of the language of each of n rows."""

    known: pl.Series
    """bool[n]: whether there are limits."""
    spaced: pl.Series
    """bool[n]: whether its words are told by spaces."""
    limits: pl.DataFrame
    """float64[n] by name; null where off."""
    place: NDArray[np.int64]
    """int64[n]: place in `languages`, -1 for none."""
    languages: list[_Limits]


def _where(keep: pl.Series, score: pl.Series) -> pl.Series:
    import polars as pl

    return pl.select(pl.when(keep).then(score)).to_series()


def _languages(step: Fineweb2Quality, batch: Batch, folder: Path) -> _Rows:
    """The limits of each row, by its language."""
    import numpy as np
    import polars as pl

    if step.language_column is None:
        codes = pl.repeat(step.language, len(batch), dtype=pl.String, eager=True)
    else:
        codes = batch.frame[step.language_column].cast(pl.String)
    found: dict[str, _Limits] = {}
    for code in codes.unique().drop_nulls().sort():
        limits = _read(folder, step.names.get(code, code))
        if limits is not None:
            found[code] = limits
    places = pl.DataFrame({"code": list(found), "place": range(len(found))}, schema={"code": pl.String, "place": pl.Int64})
    index = codes.to_frame("code").join(places, on="code", how="left", maintain_order="left")["place"]
    table = pl.DataFrame(
        [limits.values for limits in found.values()], schema=dict.fromkeys((*_BY_LANGUAGE, "confidence"), pl.Float64)
    )
    spaced = pl.Series([limits.spaced for limits in found.values()], dtype=pl.Boolean)
    return _Rows(
        known=index.is_not_null(),
        spaced=spaced.gather(index),
        limits=table.select(pl.all().gather(index)),
        place=index.fill_null(-1).to_numpy().astype(np.int64),
        languages=list(found.values()),
    )


def _missing_stop_words(words: Words, rows: _Rows, least: int, splitter: Splitter) -> pl.Series:
    """How many different stop words of its language each text has too few."""
    import numpy as np
    import polars as pl

    hashes = [_stop_hashes(limits.stop_words, splitter) if limits.spaced else () for limits in rows.languages]
    every = np.array(sorted({value for own in hashes for value in own}), np.uint64)
    if not len(every):
        return pl.repeat(None, len(rows.place), dtype=pl.Float64, eager=True)
    own = np.array([np.isin(every, np.array(values, np.uint64)) for values in hashes])
    wanted = np.array([min(least, len(values)) for values in hashes])
    low = np.uint64(0xFFFF)
    maybe = np.zeros(0x10000, np.bool_)
    maybe[every & low] = True
    hit = np.flatnonzero(maybe[words.hashes & low])  # few of the other words: the search is the slow part
    at = np.minimum(np.searchsorted(every, words.hashes[hit]), len(every) - 1)
    right = every[at] == words.hashes[hit]
    hit, at = hit[right], at[right]
    seen = np.zeros((len(rows.place), len(every)), np.bool_)
    seen[np.searchsorted(words.bounds, hit, "right") - 1, at] = True
    distinct = (seen & own[rows.place]).sum(axis=1)  # rows without a language look at the last one, and are masked later
    return _where(rows.spaced, pl.Series(wanted[rows.place] - distinct, dtype=pl.Float64))


@functools.lru_cache(maxsize=4096)
def _stop_hashes(stop_words: tuple[str, ...], splitter: Splitter) -> tuple[int, ...]:
    """The hashes of the stop words that are one word to the splitter."""
    import numpy as np
    import polars as pl

    from curate.analysis import text_buffers, words_of

    listed = pl.Series(stop_words, dtype=pl.String)
    found = words_of(listed, text_buffers(listed), splitter)
    alone = found.bounds[:-1][np.diff(found.bounds) == 1]
    return tuple(sorted(set(map(int, found.hashes[alone]))))


def _read(folder: Path, language: str) -> _Limits | None:
    """The limits of a language; None where there is no file. Read again when the file has changed."""
    file = folder / f"{language}.yml"
    if not re.fullmatch(r"\w+", language) or not file.is_file():  # a name, never a path
        return None
    return _read_file(file, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _read_file(file: Path, stamp: int) -> _Limits:
    try:
        # All as text: to YAML the stop words `no` and `y` are booleans.
        own = _File.model_validate(yaml.load(file.read_bytes(), yaml.BaseLoader))
    except (OSError, yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: no limits of FineWeb-2's form: {' '.join(str(error).split())}") from error
    spaced = file.stem.rpartition("_")[2] not in _UNSPACED
    top, duplicate = dict(own.top_n_grams), dict(own.dup_n_grams)
    values: dict[str, float | None] = {
        "duplicate_lines": own.dup_line_frac or None,
        **{f"top_{n}gram": top.get(n) for n in _TOP},
        **{f"duplicate_{n}grams": duplicate.get(n) for n in _DUPLICATE},
        "line_punctuation": own.line_punct_thr,
        "newline_ratio": own.new_line_ratio,
        "min_mean_word_length": own.min_avg_word_length,
        "max_mean_word_length": own.max_avg_word_length,
        "alphabetic_words": own.max_non_alpha_words_ratio,
        "confidence": own.language_score,
    }
    if not spaced:
        values |= {name: None for name in values if name.endswith(("gram", "grams")) or name in _BY_WORDS}
    return _Limits(values, tuple(own.stopwords), spaced)
