from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.c4 import judge_lines, kept_text, line_rules, sentences
from curate.kernels.lines import line_table
from curate.kernels.words import words
from tests.kernels.texts import column, texts

CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
PHRASES = ("javascript", "use cookies", "İ café")
_PIECES = (
    "one", "two words", "three more words", " ", " ", ".", "!", "?", '"', "'", "...", ". ", "\n", "\n", "\r\n", "\r", "\x0b",
    "\x85", "\u2028", "[1]", "[]", "[edit]", "[citation needed]", "[٣]", "[", "]", "[x]", "{", "Lorem Ipsum", "JavaScript",
    "javaScript", "use cooKies", "i̇ CAFÉ", "İ café", "\xa0", "\u3000", "漢字。", "x", "Mr. Smith", "e.g. this", "“No.” He",
    "  ",
)  # fmt: skip
pages = st.lists(st.one_of(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join), texts), max_size=4)
options = st.fixed_dictionaries(
    {
        "end_marks": st.sampled_from([(".", "?", "!", '"', "'"), (".", "。", "es"), ()]),
        "min_words": st.integers(0, 3),
        "max_word_length": st.sampled_from([8, None]),
        "phrases": st.sampled_from([PHRASES, ()]),
        "citations": st.booleans(),
        "words_first": st.booleans(),
    }
)


def twin(
    text: str,
    *,
    end_marks: Sequence[str],
    min_words: int,
    max_word_length: int | None,
    phrases: Sequence[str],
    citations: bool,
    words_first: bool,
) -> tuple[list[str], int, int]:
    """The lines that stay, and those with filler and with a bracket."""
    kept, filler, curly = [], 0, 0
    for piece in text.splitlines():
        line = piece.strip()
        count = len(line.split())
        if max_word_length is not None and any(len(word) > max_word_length for word in line.split()):
            continue
        if citations:
            line = CITATION.sub("", line)
        if end_marks and (not line.endswith(tuple(end_marks)) or line.endswith("...")):
            continue
        if (count if words_first else len(line.split())) < min_words:
            continue
        small = line.lower()
        if "lorem ipsum" in small:
            filler += 1
            curly += "{" in line
            continue
        if any(phrase.lower() == "javascript" and "javascript" in small for phrase in phrases):
            continue
        if "{" in line:
            curly += 1
        if not any(phrase.lower() in small for phrase in phrases):
            kept.append(line)
    return kept, filler, curly


@settings(max_examples=300)
@given(pages, options)
def test_lines_equal_twin(rows: list[str], rules: dict[str, Any]) -> None:
    offsets, data = column(rows)
    got = judge_lines(offsets, data, line_table(offsets, data), line_rules(**rules))
    for d, row in enumerate(rows):
        kept, filler, curly = twin(row, **rules)
        assert (got.filler[d], got.curly[d]) == (filler, curly)
        plain = [bytes(data[got.starts[k] : got.ends[k]]).decode() for k in range(got.bounds[d], got.bounds[d + 1])]
        cleaned = [
            bytes(got.cleaned[got.cuts[k] : got.cuts[k + 1]]).decode()
            for k in range(len(got.documents))
            if got.documents[k] == d
        ]
        assert sorted(line for line in plain + cleaned if line) == sorted(line for line in kept if line)


def text_twin(text: str, rules: dict[str, Any]) -> str:
    kept = []
    for piece in text.splitlines():
        line = piece.strip()
        if rules["max_word_length"] is not None and any(len(word) > rules["max_word_length"] for word in line.split()):
            continue
        if rules["citations"]:
            line = CITATION.sub("", line).strip()
            if CITATION.search(line):
                continue
        if rules["end_marks"] and (not line.endswith(rules["end_marks"]) or line.endswith("...")):
            continue
        if len(line.split()) < max(rules["min_words"], 1) or any(phrase.lower() in line.lower() for phrase in rules["phrases"]):
            continue
        kept.append(line)
    return "\n".join(kept)


@settings(max_examples=300)
@given(pages, options)
def test_text_equals_twin(rows: list[str], rules: dict[str, Any]) -> None:
    offsets, data = column(rows)
    bounds, kept = kept_text(offsets, data, line_table(offsets, data), line_rules(**rules))
    assert [bytes(kept[i:j]).decode() for i, j in pairwise(bounds)] == [text_twin(row, rules) for row in rows]
    again, same = kept_text(bounds, kept, line_table(bounds, kept), line_rules(**rules))
    assert again.tolist() == bounds.tolist()
    assert bytes(same) == bytes(kept), "twice is once"


def test_sentences_are_those_of_spacys_sentencizer() -> None:
    pipeline = pytest.importorskip("spacy").blank("en")
    pipeline.add_pipe("sentencizer")
    rules: dict[str, Any] = {"end_marks": (), "min_words": 0, "max_word_length": None, "phrases": ()}

    @settings(max_examples=300)
    @given(pages)
    def check(rows: list[str]) -> None:
        offsets, data = column(rows)
        kept = judge_lines(offsets, data, line_table(offsets, data), line_rules(**rules, citations=True, words_first=True))
        got = sentences(words(offsets, data, "tokens"), kept, words(kept.cuts, kept.cleaned, "tokens"))
        for row, count in zip(rows, got.tolist(), strict=True):
            held = twin(row, **rules, citations=True, words_first=True)[0]
            assert count == sum(bool(part.text.strip()) for line in held for part in pipeline(line).sents)

    check()
