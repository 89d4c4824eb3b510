from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings

from curate.kernels.ngrams import Counting, repeated_ngrams
from curate.kernels.words import words
from tests.kernels.texts import column, columns, repeats


def top(tokens: list[str], n: int) -> int:
    grams = Counter(" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
    if not grams:
        return 0
    gram, count = grams.most_common(1)[0]
    return len(gram) * count


def duplicate(tokens: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    i = chars = 0
    while i < len(tokens) - n + 1:
        gram = tuple(tokens[i : i + n])
        if gram in seen:
            chars += len("".join(gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return chars


def longest_top(tokens: list[str], n: int, blank: str) -> int:
    """Of the n-grams that come most often, and twice at least: the first (a blank between words), or the longest (none)."""
    grams = Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
    most = max(grams.values(), default=0)
    lengths = [len(blank.join(gram)) for gram, count in grams.items() if count == most]
    return most * (lengths[0] if blank else max(lengths)) if most > 1 else 0


def covered(tokens: list[str], n: int) -> int:
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    counts = Counter(grams)
    inside = {k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(i, i + n)}
    return sum(len(tokens[k]) for k in inside)


def shares_of(text: str, counting: Counting = "datatrove-0.10") -> list[float]:
    tokens = text.split()
    if counting == "datatrove-0.10":
        chars = [top(tokens, n) for n in (2, 3, 4)] + [duplicate(tokens, n) for n in range(5, 11)]
    else:
        blank = " " if counting == "paper" else ""
        chars = [longest_top(tokens, n, blank) for n in (2, 3, 4)] + [covered(tokens, n) for n in range(5, 11)]
    return [count / len(text) if text else 0.0 for count in chars]


def check(rows: list[str]) -> None:
    tokens = words(*column(rows), "whitespace", lower=False)
    for counting in get_args(Counting):
        got = repeated_ngrams(tokens, np.array(list(map(len, rows)), np.int64), counting)
        assert got.shape == (len(rows), 9)
        assert got.tolist() == [shares_of(row, counting) for row in rows], counting


@settings(max_examples=150)
@given(repeats)
def test_repeats_equal_twin(rows: list[str]) -> None:
    check(rows)


@settings(max_examples=100)
@given(columns)
def test_any_text_equals_twin(rows: list[str]) -> None:
    check(rows)


def test_tables_are_reused_across_documents() -> None:
    long = " ".join(f"w{i % 977}" for i in range(5000))
    check([long, "a b", "", long[:3000], "a b a b a b a b a b a b a b", long])


def test_first_seen_wins_a_tie() -> None:
    # "aa b" and "c d" come twice each: 4 * 2 of 15 characters, not 3 * 2.
    rows = ["aa b c d, aa b."]
    tokens = words(*column(rows), "unicode")
    assert repeated_ngrams(tokens, np.array([15]))[0, 0] == pytest.approx(8 / 15)


def test_case_follows_the_words() -> None:
    rows = ["A b c D E a B C d e"]
    lengths = np.array([len(rows[0])])
    assert repeated_ngrams(words(*column(rows)), lengths)[0, 3] == pytest.approx(5 / 19)
    assert repeated_ngrams(words(*column(rows), lower=False), lengths)[0, 3] == 0


def test_lengths_must_match() -> None:
    with pytest.raises(ValueError, match="2 lengths for 1"):
        repeated_ngrams(words(*column(["a"])), np.array([1, 2]))
