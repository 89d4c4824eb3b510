"""Text with headings, read as pairs: what is asked is a heading, what is answered is what stands under it.

No word is made up. A heading that is a question, or a line `Q: ...`, is asked as it stands; any other heading with those
that it stands under: `Guide > Installation > Linux`. Headings are Markdown's, `#` to `######` or
underlined, outside of code blocks.
What stands under a heading ends at the next one, whatever its level. Taken is what says something: `FEWEST_WORDS`, in a
sentence at least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FEWEST_WORDS", "pairs"]

FEWEST_WORDS = 8
"""Words that an answer has at least; of a script that sets no spaces, four times as many characters."""

LONGEST_HEADING = 200
"""Characters: a longer line is no heading, whatever marks it has."""

_ATX = r"^(#{1,6})[ \t]+(\S.*?)[ \t]*#*[ \t]*(?:\{#[^}]*\})?$"
_FENCE = r"^ {0,3}(?:```|~~~)"
_UNDERLINE = r"^(?:={3,}|-{3,})[ \t]*$"
_ASKED = r"^(?:\*\*)?(?:Q|Question)(?:\*\*)?[ ]?[:.](?:\*\*)?[ \t]+(\S.*)$"
_ANSWERED = r"^(?:\*\*)?(?:A|Answer)(?:\*\*)?[ ]?[:.](?:\*\*)?[ \t]+"
_SENTENCE = r"[.!?。！？](?:\s|$|[)\"'])"
_QUESTION_LEVEL = 7
_LEVELS = range(1, _QUESTION_LEVEL)


def _lines(text: pl.Series) -> pl.DataFrame:
    """Every line: its document, and its level and title where it is a heading; underlines of headings are left out."""
    import polars as pl

    split = text.str.replace_all("\r\n", "\n", literal=True).str.split("\n")
    lines = split.rename("line").to_frame().with_row_index("document").explode("line", empty_as_null=True)
    fence = pl.col("line").str.contains(_FENCE)
    lines = lines.with_columns((fence.cum_sum().over("document") % 2 == 1).alias("code") | fence)
    free = ~pl.col("code")
    after = pl.col("line").shift(-1, fill_value="").over("document")
    before = pl.col("line").shift(1, fill_value="").over("document")
    marked = pl.col("line").str.extract(_ATX, 1).str.len_chars()
    underlined = (
        (before.str.strip_chars() == "")
        & after.str.contains(_UNDERLINE)
        & pl.col("line").str.contains(r"^\S")
        & ~pl.col("line").str.contains(r"^[-*+|>=]")
    )
    short = pl.col("line").str.len_chars() <= LONGEST_HEADING
    lines = lines.with_columns(
        pl.when(free & short & marked.is_not_null())
        .then(marked.cast(pl.Int8))
        .when(free & short & underlined)
        .then(pl.when(after.str.starts_with("=")).then(1).otherwise(2).cast(pl.Int8))
        .when(free & short & pl.col("line").str.contains(_ASKED))
        .then(pl.lit(_QUESTION_LEVEL, pl.Int8))
        .alias("level"),
        pl.coalesce(pl.col("line").str.extract(_ATX, 2), pl.col("line").str.extract(_ASKED, 1), "line")
        .str.strip_chars()
        .alias("title"),
        (free & underlined & short).shift(1, fill_value=False).over("document").alias("underline"),
    )
    return lines.filter(~pl.col("underline")).with_columns(pl.when(pl.col("level").is_not_null()).then("title").alias("title"))


def pairs(text: pl.Series) -> pl.DataFrame:
    """Pairs found in documents: `parent` (position of the document, UInt32), `instruction`, `output`; in order, none twice.

    O(bytes): the lines of all documents are one column, and sections are told by running counts.
    """
    import polars as pl

    lines = _lines(text)
    level = pl.col("level")
    lines = lines.with_columns(level.is_not_null().cum_sum().alias("section"))
    for depth in _LEVELS:
        higher = (level < depth).fill_null(False).cum_sum().over("document").alias(f"over{depth}")
        here = pl.when(level == depth).then("title").alias(f"title{depth}")
        lines = lines.with_columns(higher, here).with_columns(
            pl.col(f"title{depth}").forward_fill().over("document", f"over{depth}")
        )
    above = [pl.when((level > depth) & (level < _QUESTION_LEVEL)).then(f"title{depth}") for depth in _LEVELS]
    asks = pl.col("title").str.contains(r"[?？]\W*$") | (level == _QUESTION_LEVEL)
    path = pl.concat_str(*(pl.when(~asks).then(title) for title in above), "title", separator=" > ", ignore_nulls=True)
    heads = lines.filter(level.is_not_null()).select("section", "document", path.alias("instruction"))
    body = lines.filter(level.is_null()).join(heads, on=["section", "document"], how="semi")
    said = pl.col("line").str.join("\n").str.replace(r"^\s*\n", "").str.strip_chars_end().str.replace(_ANSWERED, "")
    outputs = body.group_by("section", maintain_order=True).agg(said.alias("output"))
    words = pl.col("output").str.count_matches(r"\w{2,}")
    wide = pl.col("output").str.count_matches(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]")
    return (
        heads.join(outputs, on="section", how="inner", maintain_order="left")
        .filter((words >= FEWEST_WORDS) | (wide >= 4 * FEWEST_WORDS), pl.col("output").str.contains(_SENTENCE))
        .select(pl.col("document").alias("parent"), "instruction", "output")
        .unique(["parent", "instruction"], keep="first", maintain_order=True)
    )
