"""FineWeb's own rules (Penedo et al. 2024, "The FineWeb Datasets", arXiv 2406.17557, section 3.6)."""

from __future__ import annotations

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

    Counted as datatrove 0.10 does, over lines that are not blank and not stripped (so `Done. ` with a space does not end
    one), but for words: there punctuation marks are words too, which lowers its `newline_ratio`. The code that made FineWeb
    (datatrove 0.2) counted blank lines as well and took `.'"!?` as line ends. A limit itself passes; null turns a
    rule off. O(bytes).
    """

    step: Literal["fineweb_quality"] = "fineweb_quality"
    releases_gil: ClassVar[bool] = True
    min_lines: int | None = Field(1, ge=0, description="Fewest lines that are not blank.")
    min_line_punctuation: float | None = Field(0.12, ge=0, description="Least share of lines that end a sentence.")
    max_short_lines: float | None = Field(0.67, ge=0, description="Greatest share of short lines.")
    short_line: int = Field(30, ge=0, description="Most characters of a short line.")
    max_duplicate_chars: float | None = Field(0.01, ge=0, description="Greatest share of characters in repeated lines.")
    max_newline_ratio: float | None = Field(0.3, ge=0, description="Most line breaks to each word.")
    line_ends: str | None = Field(
        None, description="Characters that end a sentence; default: all that Unicode names so (Sentence_Terminal)."
    )
    splitter: Splitter = "unicode"

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("no_lines", "lines", min=self.min_lines),
            Rule("few_line_ends", "line_punctuation", min=self.min_line_punctuation),
            Rule("short_lines", "short_lines", max=self.max_short_lines),
            Rule("duplicate_lines", "duplicate_chars", max=self.max_duplicate_chars),
            Rule("many_newlines", "newline_ratio", max=self.max_newline_ratio),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, cased_words, code_points, ratio
        from curate.kernels.lines import line_counts

        terminal = code_points(_sentence_terminal() if self.line_ends is None else self.line_ends)

        def measure(batch: Batch) -> pl.DataFrame:
            lines = line_counts(*batch.share(buffers), terminal, self.short_line)
            count = np.diff(batch.share(cased_words, self.splitter).bounds)
            return pl.DataFrame(
                {
                    "lines": lines.filled.astype(np.float64),
                    "line_punctuation": ratio(lines.terminal, lines.filled),
                    "short_lines": ratio(lines.short, lines.filled),
                    "duplicate_chars": ratio(lines.repeated_chars, lines.chars),
                    "newline_ratio": ratio(lines.newlines, count),
                }
            )

        return measure


def _sentence_terminal() -> str:
    """The characters with Unicode's property Sentence_Terminal, asked from polars' tables; of ASCII these are `!.?`."""
    import polars as pl

    # The planes above the second hold none.
    every = pl.Series([chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000])
    return "".join(every.filter(every.str.contains(r"\p{Sentence_Terminal}")))
