from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.lines import LineCounts, LineMarks, line_counts, line_marks, line_table, lines, repeated_lines
from tests.kernels.texts import column, columns

_BULLETS = "•-"
_TERMINAL = ".!?…。\"'"


def codes(chars: str) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.array(list(map(ord, chars)), np.uint32)


def counts_in(rows: list[str], terminal: np.ndarray[tuple[int], np.dtype[np.uint32]], short: int) -> LineCounts:
    offsets, data = column(rows)
    return line_counts(data, line_table(offsets, data), terminal, short)


def marks_in(rows: list[str], bullets: np.ndarray[tuple[int], np.dtype[np.uint32]], filled: bool = False) -> LineMarks:
    offsets, data = column(rows)
    return line_marks(data, line_table(offsets, data), bullets, filled=filled)


def repeated_in(rows: list[str], stripped: bool = False) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    offsets, data = column(rows)
    return repeated_lines(data, line_table(offsets, data), np.array(list(map(len, rows)), np.int64), stripped=stripped)


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
        blank_short=sum(len(line) <= short for line in text.split("\n") if not line.strip()),  # type: ignore[arg-type]
        repeated_chars=duplicates(filled)[1],  # type: ignore[arg-type]
        chars=len(text.replace("\n", "")),  # type: ignore[arg-type]
    )


def shares_of(text: str) -> list[float]:
    shares: list[float] = []
    for parts in (re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)):
        count, chars = duplicates(parts)
        shares += [count / len(parts), chars / len(text) if text else 0.0]
    return shares


@settings(max_examples=200)
@given(columns)
def test_lines_equal_twin(rows: list[str]) -> None:
    offsets, data = column(rows)
    got = lines(offsets, data)
    flat = [bytes(data[i:j]).decode() for i, j in zip(got.starts, got.ends, strict=True)]
    split = [row.split("\n") for row in rows]
    assert flat == [line for row in split for line in row]
    assert np.diff(got.bounds).tolist() == list(map(len, split))


@settings(max_examples=200)
@given(columns)
def test_what_a_line_looks_like(rows: list[str]) -> None:
    offsets, data = column(rows)
    got = line_table(offsets, data)
    flat = [line for row in rows for line in row.split("\n")]
    assert [bytes(data[i:j]).decode() for i, j in zip(got.lefts, got.rights, strict=True)] == [line.strip() for line in flat]
    assert got.chars.tolist() == list(map(len, flat))
    assert got.marks.tolist() == [len(f"{line}|".splitlines()) > 1 for line in flat]
    assert got.symbols.tolist() == [[row.count("#"), row.count("...") + row.count("…"), row.count(". . .")] for row in rows]
    first = dict(zip(flat, got.hashes.tolist(), strict=True))
    assert [first[line] for line in flat] == got.hashes.tolist()
    assert len(set(first.values())) == len(first)


def stripped_shares(text: str) -> list[float | None]:
    """As DCLM counts: all occurrences of what comes twice."""
    shares: list[float | None] = []
    for mark in ("\n\n", "\n"):
        parts = [part for piece in text.split(mark) if (part := piece.strip())]
        again = [part for part in parts if parts.count(part) > 1]
        shares += [len(again) / len(parts), len("".join(again)) / len("".join(parts))] if parts else [None, None]
    return shares


@settings(max_examples=200)
@given(columns)
def test_stripped_lines_equal_twin(rows: list[str]) -> None:
    got = repeated_in(rows, stripped=True)
    assert [[None if np.isnan(share) else share for share in row] for row in got.tolist()] == list(map(stripped_shares, rows))
    marks = marks_in(rows, codes("•*"), filled=True)
    filled = [[line for piece in row.split("\n") if (line := piece.strip())] for row in rows]
    assert marks.lines.tolist() == list(map(len, filled))
    assert marks.bullets.tolist() == [sum(line.startswith(("•", "*")) for line in row) for row in filled]
    assert marks.ellipses.tolist() == [sum(line.endswith(("...", "…", ". . .")) for line in row) for row in filled]


@settings(max_examples=200)
@given(columns, st.integers(0, 12))
def test_counts_equal_twin(rows: list[str], short: int) -> None:
    got = counts_in(rows, codes(_TERMINAL), short)
    assert list(zip(*(field.tolist() for field in got), strict=True)) == [tuple(counts_of(row, short)) for row in rows]


@settings(max_examples=200)
@given(columns)
def test_marks_equal_twin(rows: list[str]) -> None:
    got = marks_in(rows, codes(_BULLETS))
    assert list(zip(*(field.tolist() for field in got), strict=True)) == [tuple(marks_of(row)) for row in rows]


@settings(max_examples=200)
@given(columns)
def test_repeated_lines_equal_twin(rows: list[str]) -> None:
    got = repeated_in(rows)
    assert got.tolist() == [shares_of(row) for row in rows]


@settings(max_examples=100)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "é", "", " ", "\t漢"]), max_size=30).map("\n".join), max_size=4))
def test_many_repeats_equal_twin(rows: list[str]) -> None:
    got = repeated_in(rows)
    assert got.tolist() == [shares_of(row) for row in rows]
    counts = counts_in(rows, codes(""), 1)
    assert counts.repeated_chars.tolist() == [duplicates([x for x in row.split("\n") if x.strip()])[1] for row in rows]


def test_every_code_point_is_blank_or_break_as_in_python() -> None:
    texts = [f"{chr(code)}•x{chr(code)}..." + chr(code) for code in range(0x3100)]
    got = marks_in(texts, codes("•"))
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
    assert repeated_in([text]).tolist() == [shares]


def test_lengths_must_match() -> None:
    with pytest.raises(ValueError, match="1 lengths for 2"):
        repeated_lines(column(["a", "b"])[1], line_table(*column(["a", "b"])), np.array([1]))
