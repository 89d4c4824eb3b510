from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.phrases import count_phrases, phrases
from tests.kernels.texts import column, columns

WORDY = np.array([unicodedata.category(chr(code))[0] in "LN" for code in range(0x110000)])
NONE = np.zeros(0x110000, np.bool_)
SMALL = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def twin(text: str, words: list[str], wordy: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    low = text.translate(SMALL)
    count = 0
    for word in set(words) - {""}:
        for start in range(len(low) - len(word) + 1):
            if low.startswith(word, start):
                edges = [p for p in (start, start + len(word)) if 0 < p < len(low)]
                count += not any(wordy[ord(low[p - 1])] and wordy[ord(low[p])] for p in edges)
    return count


few = st.lists(st.text("abcé漢 ", max_size=4), max_size=6)


@settings(max_examples=300)
@given(few, st.lists(st.text("abcABé漢É \n", max_size=25), max_size=4), st.booleans())
def test_counts_equal_twin(words: list[str], rows: list[str], bounded: bool) -> None:
    wordy = WORDY if bounded else NONE
    assert count_phrases(*column(rows), phrases(words), wordy).tolist() == [twin(row, words, wordy) for row in rows]


@settings(max_examples=100)
@given(st.lists(st.sampled_from(["the", " ", "\n", "字", "🧑", "1\ufe0f", "é", "...", "line", "&amp;"]), max_size=5), columns)
def test_counts_in_odd_texts_equal_twin(words: list[str], rows: list[str]) -> None:
    assert count_phrases(*column(rows), phrases(words), WORDY).tolist() == [twin(row, words, WORDY) for row in rows]


@pytest.mark.parametrize(
    ("words", "text", "count"),
    [
        (["he", "she", "hers", "his"], "ushers", 3),
        (["a", "aa", "aaa"], "aaaa", 9),
        ([], "a", 0),
        ([""], "a", 0),
        (["a"], "", 0),
        (["zebra"], "ZEBRA zebrA", 2),
    ],
)
def test_words_within_words(words: list[str], text: str, count: int) -> None:
    assert count_phrases(*column([text]), phrases(words), NONE).tolist() == [count]
