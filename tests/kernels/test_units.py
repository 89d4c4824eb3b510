"""Lines and paragraphs, against plain Python."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.units import units, without
from curate.kernels.words import words
from tests.kernels.texts import column, columns


def lines_of(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+\Z", text)


def paragraphs_of(text: str) -> list[str]:
    found: list[str] = []
    after_blank = False
    for line in lines_of(text):
        empty = not line.strip(" \t\n\r")
        if not found or (after_blank and not empty):
            found.append(line)
        else:
            found[-1] += line
        after_blank = empty
    return found


def split(rows: list[str], paragraphs: bool) -> list[list[tuple[str, int]]]:
    offsets, data = column(rows)
    found = units(offsets, data, words(offsets, data), paragraphs)
    raw = data.tobytes()
    every = [(raw[a:b].decode(), int(n)) for a, b, n in zip(found.starts, found.ends, found.words, strict=True)]
    return [every[a:b] for a, b in zip(found.bounds[:-1], found.bounds[1:], strict=True)]


def count(text: str) -> int:
    offsets, data = column([text])
    return len(words(offsets, data).hashes)


@given(columns)
def test_lines(rows: list[str]) -> None:
    assert [[unit for unit, _ in doc] for doc in split(rows, False)] == [lines_of(row) for row in rows]
    assert [[n for _, n in doc] for doc in split(rows, False)] == [[count(line) for line in lines_of(row)] for row in rows]


@given(columns)
def test_paragraphs(rows: list[str]) -> None:
    for row, doc in zip(rows, split(rows, True), strict=True):
        assert "".join(unit for unit, _ in doc) == row
        assert [unit for unit, _ in doc] == paragraphs_of(row)
        assert [n for _, n in doc] == [count(unit) for unit, _ in doc]


def test_paragraphs_by_example() -> None:
    (doc,) = split(["\n\na\nb\n \t\n\nc d\n\n"], True)
    assert doc == [("\n\n", 0), ("a\nb\n \t\n\n", 2), ("c d\n\n", 2)]


def test_equal_words_have_equal_hashes_whatever_stands_between() -> None:
    offsets, data = column(["The end, of it.\nthe END of it\nof it the end\n", "«The end of it»"])
    a, b, c, d = units(offsets, data, words(offsets, data), False).hashes
    assert a == b == d != c


@given(columns, st.data())
def test_without(rows: list[str], data: st.DataObject) -> None:
    offsets, raw = column(rows)
    edges = []
    kept = b""
    sizes = []
    for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        cuts = sorted(data.draw(st.lists(st.integers(a, b), max_size=6, unique=True)))
        cuts = cuts[: len(cuts) // 2 * 2]
        text, at = b"", a
        for first, last in zip(cuts[::2], cuts[1::2], strict=True):
            edges.append((first, last))
            text += raw[at:first].tobytes()
            at = last
        text += raw[at:b].tobytes()
        kept += text
        sizes.append(len(text))
    starts, ends = np.array(edges, np.int64).reshape(-1, 2).T
    bounds, out = without(offsets, raw, starts, ends)
    assert out.tobytes() == kept
    assert np.diff(bounds).tolist() == sizes
