from __future__ import annotations

import re
import unicodedata

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.sentences import sentences
from tests.kernels.texts import column, columns

ENDS = re.escape(".!?…।॥؟۔։።")
STOPS = "。！？｡"
CLOSES = re.escape("\"'”’»)]」』）】")
END = re.compile(f"[{STOPS}][{STOPS}{ENDS}{CLOSES}]*|[{ENDS}][{ENDS}{CLOSES}]*(?=[{STOPS}\\s]|$)")
MARKS = "0(>"


def in_word(char: str) -> bool:
    return char == "_" or unicodedata.category(char)[0] in "LNM"


def words_of(sentence: str) -> list[str]:
    words: list[str] = []
    inside = False
    for char in sentence:
        if in_word(char):
            if not inside:
                words.append(char)
            inside = True
        elif char not in "'’":
            inside = False
    return words


def split(text: str) -> list[str]:
    found, start = [], 0
    for end in END.finditer(text):
        # Marks before a full stop that cuts wherever it stands do not end a sentence of their own.
        if end.end() < len(text) and text[end.end()] in STOPS:
            continue
        if not any(map(in_word, text[start : end.end()])):
            continue
        found.append(text[start : end.end()])
        start = end.end()
    return [piece.strip() for piece in (*found, text[start:]) if piece.strip()]


def check(rows: list[str]) -> None:
    offsets, data = column(rows)
    got = sentences(offsets, data, MARKS)
    flat = [bytes(data[i:j]).decode() for i, j in zip(got.starts, got.ends, strict=True)]
    assert flat == [piece for row in rows for piece in split(row)]
    assert np.diff(got.bounds).tolist() == [len(split(row)) for row in rows]
    assert got.chars.tolist() == list(map(len, flat))
    assert got.marked.tolist() == [sum(map(MARKS.count, piece)) for piece in flat]
    firsts = [words_of(piece) for piece in flat]
    assert got.words.tolist() == list(map(len, firsts))
    assert got.capitals.tolist() == [sum(unicodedata.category(first) in ("Lu", "Lt") for first in row) for row in firsts]


@settings(max_examples=300)
@given(columns)
def test_sentences_equal_twin(rows: list[str]) -> None:
    check(rows)


@settings(max_examples=300)
@given(st.lists(st.text("aB'’ .。!？\"」\n(0", max_size=25), max_size=4))
def test_marks_and_closing_quotes_equal_twin(rows: list[str]) -> None:
    check(rows)


def test_a_sentence_of_every_sort() -> None:
    text = 'He said: "Stop." Then 3.14 went on… 漢字。次の文！」 क्या है। The end'
    offsets, data = column([text])
    got = sentences(offsets, data, MARKS)
    assert [bytes(data[i:j]).decode() for i, j in zip(got.starts, got.ends, strict=True)] == [
        'He said: "Stop."',
        "Then 3.14 went on…",
        "漢字。",
        "次の文！」",
        "क्या है।",
        "The end",
    ]
