from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.lines import LineCounts, LineMarks, line_counts, line_marks, lines, repeated_lines
from tests.kernels.texts import column, columns

_BULLETS = "•-"
_TERMINAL = ".!?…。\"'"


def codes(chars: str) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.array(list(map(ord, chars)), np.uint32)


def duplicates(parts: list[str]) -> tuple[int, int]:
    """How many parts were seen before, and their characters."""
    seen: set[str] = set()
    count = chars = 0
    for part in parts:
        if part in seen:
            count += 1
            chars += len(part)
        seen.add(part)
    return count, chars


def marks_of(text: str) -> tuple[int, ...]:
    rows = text.splitlines()
    return LineMarks(  # type: ignore[return-value]
        lines=len(rows),  # type: ignore[arg-type]
        bullets=sum(row.lstrip().startswith(tuple(_BULLETS)) for row in rows),  # type: ignore[arg-type]
        ellipses=sum(row.rstrip().endswith(("...", "…")) for row in rows),  # type: ignore[arg-type]
    )


def counts_of(text: str, short: int) -> tuple[int, ...]:
    filled = [line for line in text.split("\n") if line.strip()]
    return LineCounts(  # type: ignore[return-value]
        newlines=text.count("\n"),  # type: ignore[arg-type]
        filled=len(filled),  # type: ignore[arg-type]
        terminal=sum(line.endswith(tuple(_TERMINAL)) for line in filled),  # type: ignore[arg-type]
        short=sum(len(line) <= short for line in filled),  # type: ignore[arg-type]
        repeated_chars=duplicates(filled)[1],  # type: ignore[arg-type]
        chars=len(text.replace("\n", "")),  # type: ignore[arg-type]
    )


def shares_of(text: str) -> list[float]:
    shares: list[float] = []
    for parts in (re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)):
        count, chars = duplicates(parts)
        shares += [count / len(parts), chars / len(text) if text else 0.0]
    return shares


@settings(deadline=None, max_examples=200)
@given(columns)
def test_lines_equal_twin(rows: list[str]) -> None:
    offsets, data = column(rows)
    got = lines(offsets, data)
    flat = [bytes(data[i:j]).decode() for i, j in zip(got.starts, got.ends, strict=True)]
    split = [row.split("\n") for row in rows]
    assert flat == [line for row in split for line in row]
    assert np.diff(got.bounds).tolist() == list(map(len, split))


@settings(deadline=None, max_examples=200)
@given(columns, st.integers(0, 12))
def test_counts_equal_twin(rows: list[str], short: int) -> None:
    got = line_counts(*column(rows), codes(_TERMINAL), short)
    assert list(zip(*(field.tolist() for field in got), strict=True)) == [tuple(counts_of(row, short)) for row in rows]


@settings(deadline=None, max_examples=200)
@given(columns)
def test_marks_equal_twin(rows: list[str]) -> None:
    got = line_marks(*column(rows), codes(_BULLETS))
    assert list(zip(*(field.tolist() for field in got), strict=True)) == [tuple(marks_of(row)) for row in rows]


@settings(deadline=None, max_examples=200)
@given(columns)
def test_repeated_lines_equal_twin(rows: list[str]) -> None:
    got = repeated_lines(*column(rows), np.array(list(map(len, rows)), np.int64))
    assert got.tolist() == [shares_of(row) for row in rows]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "é", "", " ", "\t漢"]), max_size=30).map("\n".join), max_size=4))
def test_many_repeats_equal_twin(rows: list[str]) -> None:
    got = repeated_lines(*column(rows), np.array(list(map(len, rows)), np.int64))
    assert got.tolist() == [shares_of(row) for row in rows]
    counts = line_counts(*column(rows), codes(""), 1)
    assert counts.repeated_chars.tolist() == [duplicates([x for x in row.split("\n") if x.strip()])[1] for row in rows]


def test_every_code_point_is_blank_or_break_as_in_python() -> None:
    texts = [f"{chr(code)}•x{chr(code)}..." + chr(code) for code in range(0x3100)]
    got = line_marks(*column(texts), codes("•"))
    assert list(zip(got.lines, got.bullets, got.ellipses, strict=True)) == [
        (
            len(text.splitlines()),
            sum(row.lstrip().startswith("•") for row in text.splitlines()),
            sum(row.rstrip().endswith(("...", "…")) for row in text.splitlines()),
        )
        for text in texts
    ]


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("", [0, 0, 0, 0]),
        ("\n", [0, 0, 1 / 2, 0]),
        ("a\na\na", [0, 0, 2 / 3, 2 / 5]),
        ("ab\n\nab\n\n\nab", [2 / 3, 4 / 11, 2 / 3, 4 / 11]),
        ("é\n\né", [1 / 2, 1 / 4, 1 / 2, 1 / 4]),
    ],
)
def test_first_occurrence_is_free(text: str, shares: list[float]) -> None:
    assert repeated_lines(*column([text]), np.array([len(text)])).tolist() == [shares]


def test_lengths_must_match() -> None:
    with pytest.raises(ValueError, match="1 lengths for 2"):
        repeated_lines(*column(["a", "b"]), np.array([1]))
