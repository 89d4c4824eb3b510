from __future__ import annotations

import re
import sys
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.analysis import text_buffers, words_of
from curate.errors import MissingExtra
from curate.kernels import english, token_machine
from curate.kernels.words import BREAK, END, GAP, PUNCTUATION, SYMBOL, Words, word_hash, words
from curate.models.spacy_words import spacy_tokenizer
from curate.steps.gopher import GopherQuality
from tests.kernels.texts import column, texts

# What affixes, exceptions and URLs are made of; glued together without blanks more often than text is.
_PIECES = (
    " ", " ", " ", " ", "  ", "\n", "\t", "a", "b", "I", "US", "don", "do", "n't", "'s", "’s", "'", "\"", "(", ")", "[", "]",
    ".", ".", "..", "...", "…", ",", ":", ";", "!", "?", "-", "--", "---", "—", "–", "~", "/", "//", "http://", "www.",
    "example.org", ".com", "@", "user@", "#", "$", "€", "C$", "US$", "%", "+", "*", "^", "=", "<", ">", "_", "|", "\\", "1",
    "10", "3.5", "2000", "km", "km²", "m/s", "GB", "am", "p.m.", "Mr.", "e.g.", "i.e.", "U.S.", "Ph.D.", "and/or", "w/o",
    "can't", "cannot", "gonna", "it's", "It’s", "I'm", "y'all", ":)", ":-(", "<3", "^_^", "o.O", "(ಠ_ಠ)", "°", "C.", "é", "Ä",
    "ß", "漢字", "。", "「", "」", "Привет", "мир", "кг", "مرحبا", "كم", "हिन्दी", "।", "👍", "\u200d", "\ufe0f", "☃", "©",
    "10.0.0.1", "8.8.8.8", ":80", "?x=1", "127.0.0.1", "𝒜", "𠀀", "\xa0", "\u2028", "\x85", "\x1c", "\u3000",
)  # fmt: skip
glued = st.lists(st.sampled_from(_PIECES), max_size=12).map("".join)


@pytest.fixture(scope="module")
def spacy_english() -> Any:
    return pytest.importorskip("spacy").blank("en")


def cut(text: str) -> list[str]:
    offsets, data = column([text])
    got = words(offsets, data, "tokens")
    return [bytes(data[i:j]).decode() for i, j in zip(got.starts, got.ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", ["Hello", ",", "world", "!"]),
        ('He said: "No (never)."', ["He", "said", ":", '"', "No", "(", "never", ")", ".", '"']),
        ("don't can't I'm you'll they've", ["do", "n't", "ca", "n't", "I", "'m", "you", "'ll", "they", "'ve"]),
        ("dont cannot Its its", ["do", "nt", "can", "not", "Its", "its"]),
        ("the dog's bones' rock’s", ["the", "dog", "'s", "bones", "'", "rock", "’s"]),
        ("well-known 1-2 --flag a--b", ["well", "-", "known", "1", "-", "2", "--flag", "a", "--", "b"]),
        ("Mr. Smith vs. U.S. troops, e.g. here.", ["Mr.", "Smith", "vs.", "U.S.", "troops", ",", "e.g.", "here", "."]),
        ("https://example.org/a?b=c#d user@example.org", ["https://example.org/a?b=c#d", "user@example.org"]),
        ("see www.example.org.", ["see", "www.example.org", "."]),
        ("10km 5.5% $3 US$4 10am -3", ["10", "km", "5.5", "%", "$", "3", "US$", "4", "10", "am", "-3"]),
        ("wait... what…? ..", ["wait", "...", "what", "…", "?", ".."]),
        ("and/or either/or a=b", ["and/or", "either", "/", "or", "a", "=", "b"]),
        ("foo:) :-) <3", ["foo", ":)", ":-)", "<3"]),
        ("x-ray a. (b.)", ["x", "-", "ray", "a.", "(", "b.", ")"]),
        ("end.Start lower.case", ["end", ".", "Start", "lower.case"]),
        ("👍🏽ok ©2020", ["👍", "🏽ok", "©", "2020"]),
        ("第一章。「はい」", ["第一章。「はい", "」"]),
        (" \n\t ", []),
        ("", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_equals_spacy(spacy_english: Any) -> None:
    # Derandomized: of texts like these, one in some 60,000 differs; see `curate.kernels.tokens`.
    @settings(max_examples=1500, derandomize=True)
    @given(st.one_of(glued, texts))
    def check(text: str) -> None:
        assert cut(text) == [stripped for token in spacy_english.tokenizer(text) if (stripped := token.text.strip())]

    check()


def test_spacy_itself_gives_the_same_words(spacy_english: Any) -> None:
    @settings(max_examples=200, derandomize=True)
    @given(st.lists(st.one_of(glued, texts), max_size=4))
    def check(rows: list[str]) -> None:
        series = pl.Series(rows, dtype=pl.String)
        ours, theirs = (words_of(series, text_buffers(series), splitter) for splitter in ("tokens", "spacy"))
        for name, left, right in zip(Words._fields, ours, theirs, strict=True):
            assert left.tolist() == right.tolist(), name

    check()


def test_a_word_that_spacy_fails_on() -> None:
    pytest.importorskip("spacy")
    series = pl.Series(["is IS_ALPHA a word?"])
    ours, theirs = (words_of(series, text_buffers(series), splitter) for splitter in ("tokens", "spacy"))
    assert ours.hashes.tolist() == theirs.hashes.tolist()


def test_without_spacy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    spacy_tokenizer.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'curate\[spacy\]'"):
        GopherQuality(splitter="spacy").bind()


def test_kinds() -> None:
    text = "Go  on. —\nNo ?!"
    got = words(*column([text]), "tokens")
    assert cut(text) == ["Go", "on", ".", "—", "No", "?", "!"]
    bits = (SYMBOL, PUNCTUATION, END, GAP, BREAK)
    assert [tuple(bool(kind & bit) for bit in bits) for kind in got.kinds.tolist()] == [
        (False, False, False, False, False),
        (False, False, False, True, False),
        (True, True, True, False, False),
        (True, True, False, False, False),
        (False, False, False, True, True),
        (True, True, True, False, False),
        (True, True, True, False, False),
    ]


def test_hashes_are_of_the_token_in_either_case() -> None:
    offsets, data = column(["Don't STOP ", "the End."])
    for lower in (True, False):
        got = words(offsets, data, "tokens", lower=lower)
        spelt = [bytes(data[i:j]).decode() for i, j in zip(got.starts, got.ends, strict=True)]
        assert got.hashes.tolist() == [word_hash(word, lower=lower) for word in spelt]
        assert got.chars.tolist() == list(map(len, spelt))
        assert got.bounds.tolist() == [0, 3, 6]


def test_chunks_longer_than_the_usual_room() -> None:
    long = "ab-" * 900 + "漢字。" * 3000
    rows = ["x y", f"{long} end.", "", f"a {long}{long}", "last"]
    offsets, data = column(rows)
    got = words(offsets, data, "tokens")
    assert [bytes(data[i:j]).decode() for i, j in zip(got.starts, got.ends, strict=True)] == [
        part for row in rows for part in cut(row)
    ]
    assert cut(long)[:5] == ["ab", "-", "ab", "-", "ab"]
    assert got.bounds.tolist()[-1] - got.bounds.tolist()[-2] == 1


def test_no_document_and_empty_documents() -> None:
    assert words(*column([]), "tokens").bounds.tolist() == [0]
    assert words(*column(["", ""]), "tokens").bounds.tolist() == [0, 0, 0]


def test_exceptions_are_spacys(spacy_english: Any) -> None:
    rules = spacy_english.tokenizer.rules
    theirs = {
        text: tuple(next(iter(piece.values())) for piece in pieces) for text, pieces in rules.items() if not text.isspace()
    }
    assert english.exceptions() == theirs
    assert max(map(len, theirs)) == token_machine._LONGEST


def test_characters_are_spacys(spacy_english: Any) -> None:
    classes = sys.modules["spacy.lang.char_classes"]
    index, flags = english.characters()
    plain = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000 and not chr(code).isspace()]

    def ours(bit: int) -> set[str]:
        return {char for char in plain if flags[int(index[ord(char) >> 8]) << 8 | ord(char) & 255] & bit}

    def theirs(text: str) -> set[str]:
        return set(filter(re.compile(f"[{text}]").match, plain))

    tokenizer = spacy_english.tokenizer
    assert ours(english.LOWER) == theirs(classes.ALPHA_LOWER)
    assert ours(english.UPPER) == theirs(classes.ALPHA_UPPER)
    assert ours(english.ALPHA) == theirs(classes.ALPHA)
    assert ours(english.QUOTE) == theirs(classes.CONCAT_QUOTES)
    assert ours(english.PREFIX) | {"+"} == set(filter(tokenizer.prefix_search, plain))
    assert ours(english.SUFFIX) == set(filter(tokenizer.suffix_search, plain))
    assert ours(english.INFIX) == {char for char in plain if any(tokenizer.infix_finditer(char))}
    assert ours(english.BEFORE_DOT) == {c for c in plain if (m := tokenizer.suffix_search(c + ".")) and m.group() == "."}
    units = {text.replace("\\", "") for text in (*classes.LIST_UNITS, *classes.LIST_CURRENCY)}
    assert set(english.AFTER_DIGIT) == units
    assert set(english.SENTENCE_ENDS) == set(sys.modules["spacy.pipeline"].Sentencizer.default_punct_chars)
