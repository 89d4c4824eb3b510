"""Columns of awkward text for the kernels' tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from curate.kernels.columns import buffers

# ASCII in both cases, every kind of line break and blank, control and zero-width characters, accents composed and
# not, CJK, kana, Hangul, Arabic, Devanagari, emoji with modifiers, characters of two, three and four bytes.
_PIECES = [
    *"aabBcDz09_ -#.!?,;&<\"'", "the ", "...", "…", "•", "- ", "\n", "\n", "\n\n", "\n\n\n", "\r", "\r\n", "\t", "\0", "\x0b",
    "\x0c", "\x1b[0m", "\x1c", "\x1f", "\x7f", "\x80", "\x85", "\x9f", "\xa0", "\u1680", "\u2003", "\u2028", "\u2029",
    "\u202f", "\u3000", "\u200b", "\u2060", "\ufeff", "\u200c", "\u200d", "é", "e\u0301", "İ", "ß", "ẞ", "Σ", "ς", "ǅ", "Ⅷ",
    "漢字", "。", "々", "か\u3099", "ー", "ｶ", "한국", "م\u064eر", "א", "\u202e", "क्षि", "Ж", "𝒜", "𠀀", "🧑\u200d🚀",
    "❤\ufe0f", "1\ufe0f\u20e3", "â€™", "Ã©", "&amp;", "&#x41;", "&;", "line\n", "line\n", "para\n\n",
    "\U000e0101", "\U0010ffff",
]  # fmt: skip
texts = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=40).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)
columns = st.lists(texts, max_size=6)
# Words from a small stock repeat, as n-grams must.
repeats = st.lists(st.lists(st.sampled_from(["a", "b", "B", "to", "漢", "été"]), max_size=60).map(" ".join), max_size=4)


def column(rows: list[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Buffers of the rows, cut from the middle of a longer array, so that the offsets do not start at 0."""
    return buffers(pa.array(["before é", *rows, "after"], pa.large_string()).slice(1, len(rows)))
