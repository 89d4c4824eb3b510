"""FineWeb's own rules (Penedo et al. 2024, "The FineWeb Datasets", arXiv 2406.17557, section 3.6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.analysis import Splitter
from curate.declare import Batch, Filter, Rule

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FinewebQuality"]


class FinewebQuality(Filter):
    """Drop lists and menus: few lines end a sentence, most are short, many are repeated, or there are more lines than words.

    Lines are cut at `\\n` and not stripped, so `Done. ` with a space does not end a sentence. `variant` says the rest:

    * `datatrove-0.10`: over lines that are not blank; a limit itself passes.
    * `fineweb-v1`, the code that made FineWeb (datatrove 0.2): `line_punctuation` and `short_lines` are shares of all lines,
      and a limit itself does not pass but for `max_newline_ratio`. Words were NLTK's there, which differ little from spaCy's.

    Null turns a rule off. O(bytes).
    """

    step: Literal["fineweb_quality"] = "fineweb_quality"
    variants: ClassVar = {"fineweb-v1": {"min_lines": None, "line_ends": ".'\"!?"}}
    variant: Literal["datatrove-0.10", "fineweb-v1"] = Field("datatrove-0.10", description="How lines are counted.")
    min_lines: int | None = Field(1, ge=0, description="Fewest lines that are not blank; fineweb-v1 has null.")
    min_line_punctuation: float | None = Field(0.12, ge=0, description="Least share of lines that end a sentence.")
    max_short_lines: float | None = Field(0.67, ge=0, description="Greatest share of short lines.")
    short_line: int = Field(30, ge=0, description="Most characters of a short line.")
    max_duplicate_chars: float | None = Field(0.01, ge=0, description="Greatest share of characters in repeated lines.")
    max_newline_ratio: float | None = Field(0.3, ge=0, description="Most line breaks to each word.")
    line_ends: str | None = Field(
        None,
        description="Characters that end a sentence; null: the 159 of many scripts that datatrove 0.10 has; fineweb-v1 has "
        "`.'\"!?`.",
    )
    splitter: Splitter = "tokens"

    @property
    def releases_gil(self) -> bool:
        return self.splitter != "spacy"

    def rules(self) -> tuple[Rule, ...]:
        least, short, repeated = self.min_line_punctuation, self.max_short_lines, self.max_duplicate_chars
        if self.variant == "fineweb-v1":  # a limit itself does not pass: the next number does
            least = None if least is None else math.nextafter(least, math.inf)
            short, repeated = (None if most is None else math.nextafter(most, -math.inf) for most in (short, repeated))
        return (
            Rule("no_lines", "lines", min=self.min_lines),
            Rule("few_line_ends", "line_punctuation", min=least),
            Rule("short_lines", "short_lines", max=short),
            Rule("duplicate_lines", "duplicate_chars", max=repeated),
            Rule("many_newlines", "newline_ratio", max=self.max_newline_ratio),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, cased_words, code_points, prepare, ratio, text_lines
        from curate.kernels.characters import LINE_ENDS
        from curate.kernels.lines import line_counts

        prepare(self.splitter)
        terminal = code_points(LINE_ENDS if self.line_ends is None else self.line_ends)
        every = self.variant == "fineweb-v1"

        def measure(batch: Batch) -> pl.DataFrame:
            lines = line_counts(batch.share(buffers)[1], batch.share(text_lines), terminal, self.short_line)
            count = np.diff(batch.share(cased_words, self.splitter).bounds)
            judged = lines.newlines + 1 if every else lines.filled
            return pl.DataFrame(
                {
                    "lines": lines.filled.astype(np.float64),
                    "line_punctuation": ratio(lines.terminal, judged),
                    "short_lines": ratio(lines.short + lines.blank_short if every else lines.short, judged),
                    "duplicate_chars": ratio(lines.repeated_chars, lines.chars),
                    "newline_ratio": ratio(lines.newlines, count),
                }
            )

        return measure
