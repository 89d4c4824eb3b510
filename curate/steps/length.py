"""Length: how long a text may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from curate.analysis import Splitter
from curate.declare import Batch, Filter, Rule

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Length"]


class Length(Filter):
    """Drop what is too short or too long, in characters, words or bytes; without options, only empty text goes.

    O(bytes).
    """

    step: Literal["length"] = "length"
    min_chars: int | None = Field(1, ge=0, description="Fewest characters (code points).")
    max_chars: int | None = Field(None, ge=0, description="Most characters.")
    min_words: int | None = Field(None, ge=0, description="Fewest words.")
    max_words: int | None = Field(None, ge=0, description="Most words.")
    min_bytes: int | None = Field(None, ge=0, description="Fewest bytes of UTF-8.")
    max_bytes: int | None = Field(None, ge=0, description="Most bytes of UTF-8.")
    splitter: Splitter = "unicode"

    @property
    def releases_gil(self) -> bool:
        return self.splitter != "spacy"

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("too_few_chars", "chars", min=self.min_chars),
            Rule("too_many_chars", "chars", max=self.max_chars),
            Rule("too_few_words", "words", min=self.min_words),
            Rule("too_many_words", "words", max=self.max_words),
            Rule("too_few_bytes", "bytes", min=self.min_bytes),
            Rule("too_many_bytes", "bytes", max=self.max_bytes),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import cased_words, prepare

        wanted = {rule.score for rule in self.rules() if rule.on}
        if "words" in wanted:
            prepare(self.splitter)

        def measure(batch: Batch) -> pl.DataFrame:
            scores = {}
            if "chars" in wanted:
                scores["chars"] = batch.text.str.len_chars().cast(pl.Float64)
            if "words" in wanted:
                scores["words"] = pl.Series(np.diff(batch.share(cased_words, self.splitter).bounds), dtype=pl.Float64)
            if "bytes" in wanted:
                scores["bytes"] = batch.text.str.len_bytes().cast(pl.Float64)
            return pl.DataFrame(scores)

        return measure
