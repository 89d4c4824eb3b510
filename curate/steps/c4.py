"""C4's rules: which lines of a page to keep, and which pages (Raffel et al. 2020, "T5", arXiv 1910.10683, section 2.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Filter, Rewrite, Rule, Step

if TYPE_CHECKING:
    import polars as pl

    from curate.kernels.c4 import LineRules

__all__ = ["C4Lines", "C4Quality"]

_PAPER = (".", "?", "!", '"')


class _LineOptions(Step):
    """Which lines are prose: what both steps ask of a line."""

    variant: Literal["datatrove-0.10", "paper", "c4-code"] = Field("datatrove-0.10", description="Whose limits and counts.")
    end_marks: tuple[str, ...] = Field(
        (*_PAPER, "'"),
        description="A line must end with one of these, and not with `...`; empty: with anything, as FineWeb had it; paper and "
        "c4-code have no `'`.",
    )
    min_words: int = Field(3, ge=0, description="Fewest words of a line, cut at white space; c4-code has 5.")
    max_word_length: int | None = Field(1000, ge=1, description="Most characters of a word of a line.")
    phrases: tuple[str, ...] = Field(
        (
            "javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
        ),
        description="Lines that hold one of these do not count; case does not matter.",
    )  # fmt: skip
    citations: bool = Field(True, description="Take out Wikipedia's marks: [1], [], [edit], [citation needed].")

    def line_rules(self) -> LineRules:
        from curate.kernels.c4 import line_rules

        return line_rules(
            self.end_marks,
            self.min_words,
            self.max_word_length,
            self.phrases,
            citations=self.citations,
            words_first=self.variant == "datatrove-0.10",
        )


class C4Lines(_LineOptions, Rewrite):
    """Drop the lines of a page that are no prose: menus, script warnings, legal notices; and take out citation marks.

    Lines are those of `str.splitlines`, stripped. The `paper` asks for 3 words and one of the marks `.?!"` at the end; the code
    of C4 (`c4-code`: tensorflow/datasets `c4_utils.py`) for 5 words; `datatrove-0.10` takes the paper's 3 and `'` as one more
    mark; FineWeb left the end marks out (`end_marks: []`). Those three do not strip a line again after its citation marks are
    gone, and datatrove counts the words before; here both come after, so that twice is once. O(bytes).
    """

    step: Literal["c4_lines"] = "c4_lines"
    releases_gil: ClassVar[bool] = True
    variants: ClassVar = {"paper": {"end_marks": _PAPER}, "c4-code": {"end_marks": _PAPER, "min_words": 5}}

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.c4 import kept_text
        from curate.kernels.columns import strings
        from curate.kernels.lines import line_table

        rules = self.line_rules()

        def rewrite(texts: pl.Series) -> pl.Series:
            buffers = text_buffers(texts)
            return pl.Series(texts.name, strings(*kept_text(*buffers, line_table(*buffers), rules)), dtype=pl.String)

        return rewrite


class C4Quality(_LineOptions, Filter):
    """Drop pages of filler text, of code, or of too few sentences, as told by the lines that `c4_lines` would keep.

    A page goes for "lorem ipsum" or a curly bracket in a line that no earlier rule of `c4_lines` drops (a bracket beside
    "javascript" does not count, one beside "privacy policy" does), or when the lines kept hold fewer sentences than
    `min_sentences`. It may stand before `c4_lines`, as the references have it, or behind. C4's list of bad words is not
    applied.

    `variant`: `datatrove-0.10` counts words of a line before its citation marks are gone; `paper` and `c4-code` (tensorflow/
    datasets `c4_utils.py`) after. Sentences end as for spaCy's sentencizer, which datatrove 0.10 takes; C4 took NLTK's punkt,
    which knows more abbreviations. A limit itself passes; null turns a rule off. O(bytes).
    """

    step: Literal["c4_quality"] = "c4_quality"
    variants: ClassVar = {
        "paper": {"end_marks": _PAPER},
        "c4-code": {"end_marks": _PAPER, "min_words": 5, "min_sentences": 3},
    }
    max_lorem_ipsum: int | None = Field(0, ge=0, description='Most lines with "lorem ipsum".')
    max_curly_brackets: int | None = Field(0, ge=0, description="Most lines with `{`.")
    min_sentences: int | None = Field(5, ge=0, description="Fewest sentences in the lines kept; c4-code has 3.")
    splitter: Literal["tokens", "spacy"] = Field(
        "tokens", description="Whose tokens end sentences. tokens: as spaCy's English tokenizer cuts; spacy: its own, slowly."
    )

    @property
    def releases_gil(self) -> bool:
        return self.splitter != "spacy"

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("lorem_ipsum", "lorem_ipsum", max=self.max_lorem_ipsum),
            Rule("curly_brackets", "curly_brackets", max=self.max_curly_brackets),
            Rule("too_few_sentences", "sentences", min=self.min_sentences),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        from curate.analysis import buffers, cased_words, prepare, text_lines, words_of
        from curate.kernels.c4 import judge_lines, sentences
        from curate.kernels.columns import strings

        prepare(self.splitter)
        rules = self.line_rules()

        def measure(batch: Batch) -> pl.DataFrame:
            kept = judge_lines(*batch.share(buffers), batch.share(text_lines), rules)
            cleaned = kept.cuts, kept.cleaned
            found = words_of(pl.Series(strings(*cleaned), dtype=pl.String), cleaned, self.splitter)
            count = sentences(batch.share(cased_words, self.splitter), kept, found)
            scores = {"lorem_ipsum": kept.filler, "curly_brackets": kept.curly, "sentences": count}
            return pl.DataFrame(scores).cast(pl.Float64)

        return measure
