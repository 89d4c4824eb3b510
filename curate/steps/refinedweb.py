"""RefinedWeb's rules for lines (Penedo et al. 2023, arXiv 2306.01116, appendix G.2), as DCLM wrote them down (Li et al. 2024,
arXiv 2406.11794; `baselines_configs/dclm_baseline_refinedweb.yaml` and `baselines/mappers/modifiers.py`).

Of DCLM's code these differ: the dots of "Read more..." are dots (there they match any character); a line is judged again after
a part of it went, so that twice is once; blank lines around a dropped line go with it; blocks of code stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Filter, Rewrite, Rule

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.kernels.lines import Lines

__all__ = ["RefinedwebLines", "RefinedwebQuality"]

_MAX_UPPER, _MAX_DIGITS, _MIN_WORDS, _PART_WORDS = 0.5, 0.999999, 2, 10
_COUNTER = (
    r"(?i)^\W*\d[\d,.]*[kmb]?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views|"
    r"followers)\W*$"
)
_PART = re.compile(r"\s?items in cart|\s?read more\.\.\.$|^sign-in\s?", re.IGNORECASE)
_PART_WORD = ["items in cart", "read more...", "sign-in"]


def _without_part(line: str) -> str:
    """The line without the parts that go, until none is left; as it is where a fence of code would begin without them."""
    left = line
    while (after := _PART.sub("", left)) != left:
        left = after
    return line if left.lstrip().startswith(("```", "~~~")) else left


class _Judged:
    """The lines of a column after the rules: `offsets` and `data` with parts taken out, `found` their bounds, and of each line
    whether it goes, and its words before and after."""

    __slots__ = ("after", "before", "data", "drop", "found", "offsets")

    def __init__(self, offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> None:
        import numpy as np
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.columns import strings
        from curate.kernels.edits import replace_spans, take_spans
        from curate.kernels.line_kinds import code_lines
        from curate.kernels.lines import lines

        found = lines(offsets, data)
        prose = ~code_lines(found, data)
        self.drop, self.before = _drops(found, data)
        short = np.flatnonzero((self.before > 0) & (self.before <= _PART_WORDS) & prose & ~self.drop)
        line = pl.Series(strings(*take_spans(data, found.starts[short], found.ends[short])), dtype=pl.String)
        holds = line.str.contains_any(_PART_WORD, ascii_case_insensitive=True)
        self.after = self.before
        if holds.any():
            short, line = short[holds.to_numpy()], line.filter(holds)
            # A call a line; there are few of them.
            values = text_buffers(pl.Series([_without_part(one) for one in line], dtype=pl.String))
            offsets, data = replace_spans(offsets, data, found.starts[short], found.ends[short], values)
            found = lines(offsets, data)
            drop, self.after = _drops(found, data)
            empty = np.zeros(len(drop), np.bool_)
            empty[short] = self.after[short] == 0
            self.drop = self.drop | drop | empty
        self.drop = self.drop & prose
        self.offsets, self.data, self.found = offsets, data, found


def _drops(found: Lines, data: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """bool[n lines], whether the line breaks a rule (one without a character breaks none); int64[n lines], its words."""
    import numpy as np
    import polars as pl

    from curate.kernels.columns import strings
    from curate.kernels.edits import take_spans
    from curate.kernels.line_kinds import line_measures

    counts = line_measures(found, data)
    drop = (counts.upper > _MAX_UPPER * counts.chars) | (counts.digits > _MAX_DIGITS * counts.chars) & (counts.chars > 0)
    drop |= (counts.words < _MIN_WORDS) & (counts.chars > 0)
    which = np.flatnonzero((counts.digits > 0) & ~drop)
    line = pl.Series(strings(*take_spans(data, found.starts[which], found.ends[which])), dtype=pl.String)
    drop[which] = line.str.contains(_COUNTER).to_numpy()
    return drop, counts.words


class RefinedwebLines(Rewrite):
    """Drop the lines of a web page that are no prose, by RefinedWeb's rules as DCLM has them.

    These go: more than half capitals; nothing but digits; counters ("3 likes"); fewer than 2 words, cut at white space. From
    lines of 10 words or fewer go the parts "items in cart", "Read more..." at the end and "Sign-in" at the start. Lines without
    a character and blocks of code stay. DCLM then drops pages that lost more than 5 % of their words: put `refinedweb_quality`
    before this step. For languages that put spaces between words. O(bytes).
    """

    step: Literal["refinedweb_lines"] = "refinedweb_lines"
    releases_gil: ClassVar[bool] = True

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.columns import strings
        from curate.kernels.edits import drop_lines

        def rewrite(texts: pl.Series) -> pl.Series:
            judged = _Judged(*text_buffers(texts))
            return pl.Series(strings(*drop_lines(judged.offsets, judged.data, judged.found, judged.drop)), dtype=pl.String)

        return rewrite


class RefinedwebQuality(Filter):
    """Drop pages that are mostly no prose: those of which `refinedweb_lines` would take out too many words.

    Comes before that step, which leaves nothing to count. Words are cut at white space; a page without words is not judged. The
    limit itself passes. O(bytes).
    """

    step: Literal["refinedweb_quality"] = "refinedweb_quality"
    releases_gil: ClassVar[bool] = True
    max_removed_words: float | None = Field(
        0.05, ge=0, le=1, description="Largest share of the words that `refinedweb_lines` would take out; DCLM has 0.05."
    )

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("too_many_removed_words", "removed_words", max=self.max_removed_words),)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, ratio

        def measure(batch: Batch) -> pl.DataFrame:
            judged = _Judged(*batch.share(buffers))
            bounds = judged.found.bounds
            before = np.concatenate(([0], np.cumsum(judged.before)))
            after = np.concatenate(([0], np.cumsum(np.where(judged.drop, 0, judged.after))))
            words = before[bounds[1:]] - before[bounds[:-1]]
            left = after[bounds[1:]] - after[bounds[:-1]]
            return pl.DataFrame({"removed_words": ratio(words - left, words)})

        return measure
