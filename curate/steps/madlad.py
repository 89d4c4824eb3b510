"""MADLAD-400's rules: pages with too many questionable sentences (Kudugunta et al. 2023, arXiv 2309.04662, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Filter, Rule

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.kernels.sentences import Sentences

__all__ = ["MadladQuality"]

_TECHNICAL = "0123456789{}+/()>"
# The paper's "cursed" strings and expressions, from its appendix: filler text, broken encodings, spam, adverts, lists.
_CURSED = (
    " №", "\ufffd\ufffd\ufffd", "aute irure dolor ", " sunt in culpa qui ", "orem ipsum ", " quis nostrud ", " adipisicing ",
    " dolore eu ", " cupidatat ", "autem vel eum", "wisi enim ad", " sex ", " porn ", "黄色电影", "mp3", "ownload", "Vol.",
    " Ep.", "Episode", " шт.", "Develop", "Facebook", " crusher ", " xxx ", " ..." * 9, " ...." * 9,
)  # fmt: skip
_CURSED_PATTERNS = (r"\|\s*$", r" nr\.$", r" г\.\s*$", r" кг\.\s*$", r"(?: [^ ]){9}", r", ..,,? ..,,? ..,,? ..,,?")


class MadladQuality(Filter):
    """Drop pages of which too many sentences are questionable, or that have too few sentences.

    A sentence is questionable when it meets one of the criteria: `list_case`, of 12 words or more over half begin with a
    capital; `length`, under 20 or over 500 characters; `technical`, over 20 % of the characters are of `0-9{}+/()>`; `cursed`,
    it holds one of 32 strings and expressions that the paper names (filler text, broken encodings, adverts). The paper's fifth,
    a language other than the page's, is not here. datamap-rs (the OLMo 2 recipe `all_dressed`) uses `list_case` and `cursed`.

    Sentences end at a mark before white space, or at a full stop of Chinese or Japanese; the paper does not say how it cuts.
    Unlike datamap-rs the mark belongs to its sentence, lengths are characters rather than bytes, and marks of other scripts
    count as well. Words are runs of letters, digits and marks, with apostrophes inside. A limit itself passes; null turns a
    rule off. O(bytes).
    """

    step: Literal["madlad_quality"] = "madlad_quality"
    releases_gil: ClassVar[bool] = True
    min_sentences: int | None = Field(5, ge=0, description="Fewest sentences.")
    max_questionable: float | None = Field(0.2, ge=0, le=1, description="Greatest share of questionable sentences.")
    criteria: tuple[Literal["list_case", "length", "technical", "cursed"], ...] = Field(
        ("list_case", "length", "technical", "cursed"), min_length=1, description="What makes a sentence questionable."
    )
    list_words: int = Field(12, ge=1, description="Fewest words of a sentence that `list_case` looks at.")
    list_capitals: float = Field(0.5, ge=0, le=1, description="Greatest share of its words with a capital.")
    short: int = Field(20, ge=0, description="Fewest characters of a sentence of normal length.")
    long: int = Field(500, ge=0, description="Most characters of a sentence of normal length.")
    technical: float = Field(0.2, ge=0, le=1, description="Greatest share of technical characters of a sentence.")

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("few_sentences", "sentences", min=self.min_sentences),
            Rule("questionable", "questionable", max=self.max_questionable),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, ratio
        from curate.kernels.sentences import sentences

        def measure(batch: Batch) -> pl.DataFrame:
            offsets, data = batch.share(buffers)
            found = sentences(offsets, data, _TECHNICAL)
            bad = np.zeros(len(found.starts), np.bool_)
            if "list_case" in self.criteria:
                bad |= (found.words >= self.list_words) & (found.capitals > found.words * self.list_capitals)
            if "length" in self.criteria:
                bad |= (found.chars < self.short) | (found.chars > self.long)
            if "technical" in self.criteria:
                bad |= found.marked > found.chars * self.technical
            if "cursed" in self.criteria:
                bad |= _cursed(batch.text, found, data)
            count = np.diff(found.bounds)
            running = np.concatenate([[0], np.cumsum(bad)])
            return pl.DataFrame(
                {
                    "sentences": pl.Series(count, dtype=pl.Float64),
                    "questionable": ratio(np.diff(running[found.bounds]), count),
                }
            )

        return measure


def _cursed(text: pl.Series, found: Sentences, data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which sentences hold a cursed string or expression."""
    import numpy as np
    import polars as pl

    from curate.kernels.columns import strings

    # Between the sentences stands only white space, so that these bounds cut the text into sentence, space, sentence, ...
    cuts = np.ravel(np.column_stack([found.starts, found.ends]))
    if not len(cuts):
        return np.zeros(0, np.bool_)
    every = pl.Series(strings(cuts, data), dtype=pl.String).gather_every(2)
    cursed: NDArray[np.bool_] = (
        every.str.contains_any(list(_CURSED)) | every.str.contains("|".join(_CURSED_PATTERNS))
    ).to_numpy()
    return cursed
