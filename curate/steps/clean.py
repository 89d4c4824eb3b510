"""Cleaning: steps that rewrite text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from curate.declare import Rewrite

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Replace", "Unicode", "Whitespace"]


# Line breaks besides the newline, and but for U+0085: among C1 characters that is more often an ellipsis of windows-1252.
_BREAKS = re.compile("([\r\x0b\x0c\u2028\u2029]+)")


class Unicode(Rewrite):
    """Repair text that was decoded wrongly (mojibake, HTML entities, terminal escapes), take out what cannot be seen, and
    bring the characters into one normal form. The first step of all: later ones would take away what it reads as evidence.

    The repair is ftfy's, without what is a matter of style: quotes, ligatures, wide characters and line ends stay as they
    are. Entities are left alone in a text that holds a `<`: it is markup. A kernel names the few lines that may need it, so
    that the cost is O(bytes) and ftfy (about 2 MB/s) for those alone. Control characters, the zero-width space and their like
    go (see `whitespace`), and what `remove` names: they come last, because a soft hyphen or a C1 control character is often
    half of a letter that can be repaired. All is repeated until nothing changes: what goes may join its neighbours.
    """

    step: Literal["unicode"] = "unicode"
    normalization: Literal["nfc", "nfkc", "none"] = Field(
        "nfc",
        description="Normal form of Unicode. nfc composes accents; nfkc also folds ligatures, wide letters and superscripts, "
        "which loses meaning (10⁵ becomes 105); none leaves the text as it is.",
    )
    remove: tuple[
        Literal["soft_hyphens", "bidi_controls", "private_use", "variation_selectors", "tags", "replacement"], ...
    ] = Field(
        ("soft_hyphens",),
        description="More characters to take out: soft_hyphens (U+00AD); bidi_controls, which turn the direction of text and "
        "can hide it; private_use, the glyphs of icon fonts; variation_selectors, which choose how emoji and ideographs look; "
        "tags (U+E0000 on), invisible letters; replacement (U+FFFD), what decoding lost.",
    )

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        import ftfy
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.columns import strings
        from curate.kernels.mojibake import needs_repair
        from curate.kernels.whitespace import REMOVABLE, strip_invisible

        also = sum(1 << REMOVABLE.index(kind) for kind in set(self.remove))
        forms: dict[str, Literal["NFC", "NFKC"]] = {"nfc": "NFC", "nfkc": "NFKC"}
        form = forms.get(self.normalization)
        unstable = _unstable(form) if form else ""
        plain = ftfy.TextFixerConfig(
            unescape_html=True,
            uncurl_quotes=False,
            fix_latin_ligatures=False,
            fix_character_width=False,
            fix_line_breaks=False,
            remove_control_chars=False,
            normalization=form,
        )
        markup = plain._replace(unescape_html=False)

        def suspects(texts: pl.Series) -> pl.Series:
            return pl.Series(needs_repair(*text_buffers(texts)), dtype=pl.Boolean)

        def by_line(texts: pl.Series) -> pl.Series:
            rows = pl.DataFrame({"line": texts.str.split("\n"), "markup": texts.str.contains("<", literal=True)})
            lines = rows.with_row_index("row").explode("line")
            which = suspects(lines["line"])
            # A call a line is how ftfy works; there are few of them.
            fixed = [
                "".join(
                    part if number % 2 else ftfy.fix_text(part, markup if has_markup else plain)
                    for number, part in enumerate(_BREAKS.split(line))
                )
                for line, has_markup in lines.filter(which).select("line", "markup").iter_rows()
            ]
            lines = lines.with_columns(_put(lines["line"], which, pl.Series(fixed, dtype=pl.String)))
            return lines.group_by("row", maintain_order=True).agg(pl.col("line").str.join("\n"))["line"]

        def strip(texts: pl.Series) -> pl.Series:
            offsets, data = text_buffers(texts)
            left, kept = strip_invisible(offsets, data, also)
            return texts if left[-1] == offsets[-1] - offsets[0] else pl.Series(strings(left, kept), dtype=pl.String)

        def once(texts: pl.Series) -> pl.Series:
            # The form comes first: composing can join a pair that only then reads as mojibake, and twice must be once.
            if form:
                which = texts.str.contains(unstable)
                texts = _put(texts, which, texts.filter(which).str.normalize(form))
            which = suspects(texts)
            if which.any():
                texts = _put(texts, which, by_line(texts.filter(which)))
            return strip(texts)

        def repair(texts: pl.Series) -> pl.Series:
            result = once(texts)
            left = (result != texts).arg_true()
            while left.len():
                before = result.gather(left)
                after = once(before)
                result = result.scatter(left, after)
                left = left.filter(after != before)
            return result

        return repair


def _unstable(form: Literal["NFC", "NFKC"]) -> str:
    """A regular expression without which a text is in the form already; searching is several times quicker than normalizing.

    What normalizing changes by itself, what it may join to the character before (the later parts of decompositions), and
    the marks, which it sorts.
    """
    import polars as pl

    # ASCII is stable, and past the third plane nothing decomposes.
    every = pl.Series([chr(code) for code in range(0x80, 0x30000) if not 0xD800 <= code < 0xE000])
    parts = every.str.normalize("NFD")
    joined = {char for part in parts.filter(parts.str.len_chars() > 1) for char in part[1:]}
    changed = every.filter(every.str.normalize(form) != every)
    return rf"[\p{{M}}{''.join(sorted(joined.union(changed)))}]"


def _put(texts: pl.Series, which: pl.Series, others: pl.Series) -> pl.Series:
    """The texts with those marked in `which` replaced by `others`, in order."""
    return texts.clone().scatter(which.arg_true(), others)


class Whitespace(Rewrite):
    """One form of white space: line ends are `\\n`, no invisible or control characters, no trailing spaces, no blank runs.

    Goes before whatever looks at lines or counts them, and after `unicode`, which repairs what stands between C1 control
    characters. `\\r\\n`, lone `\\r` and the other line breaks of Unicode (UAX #14: vertical tab, form feed, U+0085, U+2028,
    U+2029) become `\\n`. Control characters go (but tab and newline), and the zero-width space, word joiner, invisible
    operators, annotation marks and byte order mark; the zero-width joiners stay, which scripts and emoji need. At most one
    blank line in a row, none at the ends of the text. Spacing inside lines stays: it means something in code, tables and
    verse. O(bytes), a kernel.
    """

    step: Literal["whitespace"] = "whitespace"
    releases_gil: ClassVar[bool] = True

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.columns import strings
        from curate.kernels.whitespace import normalize_whitespace

        def normalize(texts: pl.Series) -> pl.Series:
            return pl.Series(strings(*normalize_whitespace(*text_buffers(texts))), dtype=pl.String)

        return normalize


class Replace(Rewrite):
    """Replace what a regular expression matches (Rust regex syntax, Unicode; `$1` or `${name}` stand for groups).

    Repeated until nothing changes is not done: choose an expression whose replacement it does not match again.
    """

    step: Literal["replace"] = "replace"
    releases_gil: ClassVar[bool] = True
    pattern: str = Field(description="The regular expression. Start it with (?m) for ^ and $ to match at every line.")
    value: str = Field("", description="What to put in place of each match.")

    @field_validator("pattern")
    @classmethod
    def _not_empty(cls, pattern: str) -> str:
        if not pattern:
            raise ValueError("the pattern is empty: it would match everywhere")
        return pattern

    def bind(self) -> Callable[[pl.Series], pl.Series]:
        """O(bytes); linear time whatever the expression."""
        return lambda texts: texts.str.replace_all(self.pattern, self.value)
