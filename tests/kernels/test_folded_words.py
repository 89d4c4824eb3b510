"""Hashes of words alone against a plain Python twin, over the words that `curate.kernels.words` finds."""

from __future__ import annotations

from typing import Literal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.kernels.folded_words import folded_hashes
from curate.kernels.words import words
from tests.kernels.texts import column, columns

MASK = 2**64 - 1
SEED, PRIME = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93


def mixed(h: int) -> int:
    h = h * PRIME & MASK
    return h ^ h >> 32


def hash_of(word: str) -> int:
    content = "".join(small if len(small := char.lower()) == 1 else char for char in word).encode()
    h = SEED
    for i in range(0, len(content), 8):
        h = mixed(h ^ int.from_bytes(content[i : i + 8], "little"))
    return mixed(mixed(h ^ len(content)))


# Lengths around eight bytes, and other characters at every place of a word.
pieces = st.sampled_from(
    [
        *("a", "Zz", "seven77", "eight888", "nine99999", "sixteen_sixteen_", " ", "  ", ", ", "\n", "-", "\x00", "_", "9"),
        *("é", "İ", "漢", "\u0301", "\u200c", "“", "—", "𝒳", "ǅ"),
    ]
)
texts = st.lists(st.lists(pieces, max_size=12).map("".join), max_size=4)


@settings(max_examples=400)
@given(st.one_of(columns, texts), st.sampled_from(["unicode", "whitespace"]))
@example(["ab\u4e2dcd\u4e2d\u0301e \u0301x\u0130 \u00e9a\x00b", "", "eight888", "eight888é", "a" * 17], "unicode")
def test_every_word_has_the_hash_of_its_bytes(rows: list[str], splitter: Literal["unicode", "whitespace"]) -> None:
    rows = [*rows, "".join(rows)]
    offsets, data = column(rows)
    found = words(offsets, data, splitter)
    hashes, bounds = folded_hashes(offsets, data, splitter)
    assert bounds.tolist() == found.bounds.tolist()
    expected = [hash_of(bytes(data[i:j]).decode()) for i, j in zip(found.starts, found.ends, strict=True)]
    assert hashes.tolist() == expected


def test_a_slice_of_a_column_is_read_where_it_begins() -> None:
    offsets, data = column(["first words", "other words here", "last"])
    hashes, bounds = folded_hashes(offsets[1:], data)
    assert bounds.tolist() == [0, 3, 4]
    assert hashes.tolist() == [hash_of(word) for word in ("other", "words", "here", "last")]


def test_hashes_spread() -> None:
    many = [f"{a}{b}" for a in "abcdefghijklmnopqrstuvwxyzéжü" for b in range(20000)]
    hashes, _ = folded_hashes(*column(many))
    assert len(set(hashes.tolist())) == len(many)
    for shift in (0, 28, 56):
        buckets = [0] * 256
        for value in hashes.tolist():
            buckets[value >> shift & 255] += 1
        mean = len(many) / 256
        assert sum((count - mean) ** 2 / mean for count in buckets) < 255 + 5 * (2 * 255) ** 0.5
