"""C4's rules: which lines of a page to keep, and which pages (Raffel et al. 2020, "T5", arXiv 1910.10683, section 2.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Filter, Rewrite, Rule

if TYPE_CHECKING:
    import polars as pl

__all__ = ["C4Lines", "C4Quality"]

_CITATION = r"\[(?:\d*|edit|citation needed)\]"
# The end of a sentence: its marks, with the quotes and brackets that close after them, before white space; in scripts that
# put no space there, the marks alone; and the end of a line that has none.
_SENTENCE = r"""(?m)[.!?]+["'”’)\]]*(?:\s|$)|[。！？]+[」』”’）]*|\S[^\S\n]*$"""


class C4Lines(Rewrite):
    """Drop the lines of a page that are no prose: menus, script warnings, legal notices; and take out citation marks.

    As the paper has it: lines that end with a mark, of 3 words or more. The code of C4 (tensorflow/datasets `c4_utils.py`)
    asks for 5 words; datatrove takes the paper's 3 and `'` as one more mark; FineWeb left the end marks out (`end_marks: []`).
    The three count words before or after the citation marks are gone; here it is after, so that twice is once. Lines are cut
    at `\\n`, stripped, and none of them is blank afterwards. O(bytes).
    """

    step: Literal["c4_lines"] = "c4_lines"
    releases_gil: ClassVar[bool] = True
    end_marks: tuple[str, ...] = Field(
        (".", "?", "!", '"'), description="A line must end with one of these, and not with `...`; empty: with anything."
    )
    min_words: int = Field(3, ge=0, description="Fewest words of a line, cut at white space; the code of C4 has 5.")
    max_word_length: int | None = Field(1000, ge=1, description="Most characters of a word of a line.")
    phrases: tuple[str, ...] = Field(
        (
            "javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
        ),
        description="Lines that hold one of these go; case does not matter.",
    )  # fmt: skip
    citations: bool = Field(True, description="Take out Wikipedia's marks: [1], [], [edit], [citation needed].")

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        import polars as pl

        line = pl.col("line")
        keep = line.str.count_matches(r"\S+") >= max(self.min_words, 1)
        if self.max_word_length is not None:
            long = pl.when(line.str.len_chars() > self.max_word_length).then(line)  # the others need no look at their words
            longest = long.str.extract_all(r"\S+").list.eval(pl.element().str.len_chars()).list.max()
            keep &= (longest <= self.max_word_length).fill_null(True)
        if self.end_marks:
            keep &= pl.any_horizontal(line.str.ends_with(mark) for mark in self.end_marks) & ~line.str.ends_with("...")
        if self.phrases:
            phrases = [phrase.lower() for phrase in self.phrases]
            keep &= ~line.str.to_lowercase().str.contains_any(phrases)
        if self.citations:
            # What is left of a mark within a mark would be the next one: such a line goes, or twice would not be once.
            keep &= ~line.str.contains(_CITATION)

        def rewrite(texts: pl.Series) -> pl.Series:
            rows = pl.DataFrame({"text": texts}).with_row_index("row")
            lines = rows.select("row", line=pl.col("text").str.split("\n")).explode("line")
            if self.citations:
                lines = lines.with_columns(line.str.replace_all(_CITATION, ""))
            lines = lines.with_columns(line.str.strip_chars()).filter(keep)
            kept = lines.group_by("row", maintain_order=True).agg(line.str.join("\n"))
            return rows.join(kept, on="row", how="left", maintain_order="left")["line"].fill_null("")

        return rewrite


class C4Quality(Filter):
    """Drop pages of filler text, of code, or of too few sentences. Meant to follow `c4_lines`.

    As the paper has it: no "lorem ipsum", no curly bracket, 5 sentences or more; the code of C4 (tensorflow/datasets
    `c4_utils.py`) asks for 3. Sentences are counted by their end marks and line ends (C4 used NLTK's punkt). C4's list of bad
    words is not applied. A limit itself passes; null turns a rule off. O(bytes).
    """

    step: Literal["c4_quality"] = "c4_quality"
    releases_gil: ClassVar[bool] = True
    max_lorem_ipsum: int | None = Field(0, ge=0, description='Most occurrences of "lorem ipsum".')
    max_curly_brackets: int | None = Field(0, ge=0, description="Most `{`.")
    min_sentences: int | None = Field(5, ge=0, description="Fewest sentences; the code of C4 has 3.")

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("lorem_ipsum", "lorem_ipsum", max=self.max_lorem_ipsum),
            Rule("curly_brackets", "curly_brackets", max=self.max_curly_brackets),
            Rule("too_few_sentences", "sentences", min=self.min_sentences),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        def measure(batch: Batch) -> pl.DataFrame:
            text = batch.text
            return pl.DataFrame(
                {
                    "lorem_ipsum": text.str.count_matches(r"(?i)lorem ipsum").cast(pl.Float64),
                    "curly_brackets": text.str.count_matches("{", literal=True).cast(pl.Float64),
                    "sentences": text.str.count_matches(_SENTENCE).cast(pl.Float64),
                }
            )

        return measure
