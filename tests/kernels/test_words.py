from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given, settings

from curate.kernels.characters import PLANES
from curate.kernels.words import _CJK, ALPHABETIC, Splitter, word_hash, words
from tests.kernels.texts import column, columns


def _kind(char: str) -> str:
    kind = unicodedata.category(char)[0]
    if kind in "LN" or char == "_":
        return "cjk" if any(first <= ord(char) <= last for first, last in _CJK) else "letter"
    return "mark" if kind == "M" or char in "\u200c\u200d" else "gap"


def unicode_words(text: str) -> list[str]:
    found: list[str] = []
    current = ""
    for char in text:
        kind = _kind(char)
        inside = kind == "mark" or (kind == "letter" and current and _kind(current[0]) == "letter")
        if current and inside:
            current += char
            continue
        if current:
            found.append(current)
        current = char if kind in ("letter", "cjk") else ""
    return [*found, current] if current else found


@pytest.mark.parametrize("splitter", ["unicode", "whitespace"])
@pytest.mark.parametrize("lower", [True, False])
def test_equals_twin(splitter: Splitter, lower: bool) -> None:
    @settings(max_examples=150)
    @given(columns)
    def check(rows: list[str]) -> None:
        offsets, data = column(rows)
        got = words(offsets, data, splitter, lower=lower)
        expected = [unicode_words(row) if splitter == "unicode" else row.split() for row in rows]
        flat = [word for row in expected for word in row]
        assert [bytes(data[i:j]).decode() for i, j in zip(got.starts, got.ends, strict=True)] == flat
        sums = [0]
        for row in expected:
            sums.append(sums[-1] + len(row))
        assert got.bounds.tolist() == sums
        assert got.chars.tolist() == list(map(len, flat))
        assert ((got.kinds & ALPHABETIC) != 0).tolist() == [any(map(str.isalpha, word)) for word in flat]
        assert got.hashes.tolist() == [word_hash(word, lower=lower) for word in flat]

    check()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop_me 3.5", ["Don", "t", "stop_me", "3", "5"]),
        ("漢字かな交じりtext", ["漢", "字", "か", "な", "交", "じ", "り", "text"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("❤\ufe0f 🧑\u200d🚀", []),
        ("", []),
    ],
)
def test_unicode_splitter(text: str, expected: list[str]) -> None:
    offsets, data = column([text])
    got = words(offsets, data)
    assert [bytes(data[i:j]).decode() for i, j in zip(got.starts, got.ends, strict=True)] == expected


def test_every_code_point_alone() -> None:
    chars = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    offsets, data = column(chars)
    expected = [_kind(char) in ("letter", "cjk") for char in chars]
    got = words(offsets, data)
    assert [j > i for i, j in zip(got.bounds, got.bounds[1:], strict=False)] == expected
    assert got.hashes.tolist() == [word_hash(char) for char, word in zip(chars, expected, strict=True) if word]
    spaced = words(offsets, data, "whitespace")
    assert [j == i for i, j in zip(spaced.bounds, spaced.bounds[1:], strict=False)] == list(map(str.isspace, chars))


def test_planes_left_out_hold_nothing() -> None:
    covered = {code for plane in PLANES for code in plane}
    rest = (chr(code) for code in range(sys.maxunicode + 1) if code not in covered)
    assert all(unicodedata.category(char) in ("Cn", "Co") and char.lower() == char and not char.isspace() for char in rest)


def test_case_folds_into_one_hash() -> None:
    got = words(*column(["Straße STRASSE ÉTÉ été ΣΑΣ σας"])).hashes
    assert got[2] == got[3]
    assert got[0] != got[1]
    assert word_hash("ΣΑΣ") == word_hash("σασ") != word_hash("σας")
    assert word_hash("The", lower=False) != word_hash("the", lower=False)


def test_hashes_spread() -> None:
    many = [f"{a}{b}" for a in "abcdefghijklmnopqrstuvwxyzéж漢" for b in range(20000)]
    hashes = [word_hash(word) for word in many]
    assert len(set(hashes)) == len(many)
    buckets = [0] * 256
    for value in hashes:
        buckets[value & 255] += 1
    mean = len(many) / 256
    assert sum((count - mean) ** 2 / mean for count in buckets) < 255 + 5 * (2 * 255) ** 0.5


def test_unknown_splitter_is_named() -> None:
    with pytest.raises(ValueError, match="'spacy'"):
        words(*column(["x"]), "spacy")  # type: ignore[arg-type]


def test_the_densest_texts_fit() -> None:
    for text, count in (("a", 1), ("a b c d e", 5), ("a漢" * 50, 100), ("漢字" * 50, 100), ("a漢a", 3)):
        for copies in (1, 33):
            offsets, data = column([text] * copies)
            got = words(offsets, data)
            assert len(got.starts) == count * copies <= (int(offsets[-1] - offsets[0]) + copies) // 2


def test_hashes_stay_as_they_are() -> None:
    # Pinned: signatures and duplicate keys written to disk by an earlier version must still match.
    assert word_hash("the") == 0xB16D69CC7C51565A
    assert word_hash("漢", lower=False) == 0x86368E6F075D83C0
