"""Lines and paragraphs that stand several times in one document."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Rewrite

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.kernels.lines import Lines

__all__ = ["RepeatedLines"]


def _table_rows(lines: Lines, data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool[n lines]: the line begins with `|`."""
    import numpy as np

    rows = np.zeros(len(lines.starts), np.bool_)
    filled = np.flatnonzero(lines.ends > lines.starts)
    rows[filled] = data[lines.starts[filled]] == ord("|")
    return rows


class RepeatedLines(Rewrite):
    """Drop lines, then paragraphs, that are equal to an earlier one of their document; the first stays.

    White space at their ends aside, byte for byte equal. A paragraph is a run of lines that are not blank. Blocks of code stay
    (fenced or indented, as CommonMark has them), as do rows of tables (lines that begin with `|`) and lines without a letter or
    digit: rules and underlines. Blank lines that only parted a dropped line from its neighbours go with it. For prose: markup
    and tables without frames repeat by nature. O(bytes).
    """

    step: Literal["repeated_lines"] = "repeated_lines"
    releases_gil: ClassVar[bool] = True
    min_chars: int = Field(
        31,
        ge=1,
        description="Fewest characters of a line or paragraph that goes; shorter ones repeat in good text too (speech, "
        "refrains). 31: longer than what FineWeb calls a short line.",
    )
    consecutive: bool = Field(
        False, description="Drop only what is equal to the line or paragraph right before it, blank lines aside."
    )

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        import numpy as np
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.columns import strings
        from curate.kernels.edits import drop_lines
        from curate.kernels.line_kinds import code_lines, line_measures
        from curate.kernels.lines import lines
        from curate.kernels.repeats import paragraphs, repeats

        def rewrite(texts: pl.Series) -> pl.Series:
            offsets, data = text_buffers(texts)
            found = lines(offsets, data)
            counts = line_measures(found, data)
            fixed = code_lines(found, data) | _table_rows(found, data)
            judged = (counts.chars >= self.min_chars) & (counts.letters > 0) & ~fixed
            drop = repeats(found, data, judged, self.consecutive)
            changed = bool(drop.any())
            if changed:
                offsets, data = drop_lines(offsets, data, found, drop)
                found = lines(offsets, data)
                counts = line_measures(found, data)
                fixed = code_lines(found, data) | _table_rows(found, data)
            first, last, spans = paragraphs(found, data)
            held, chars, letters = (np.append(0, np.cumsum(of)) for of in (fixed, counts.chars, counts.letters))
            judged = (held[last] == held[first]) & (chars[last] - chars[first] >= self.min_chars)
            twice = repeats(spans, data, judged & (letters[last] > letters[first]), self.consecutive)
            if twice.any():
                edges = np.zeros(len(found.starts) + 1, np.int64)
                edges[first[twice]] += 1
                edges[last[twice]] -= 1
                offsets, data = drop_lines(offsets, data, found, np.cumsum(edges[:-1]) > 0)
            elif not changed:
                return texts
            return pl.Series(strings(offsets, data), dtype=pl.String)

        return rewrite
