from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.columns import strings
from curate.kernels.edits import drop_lines, replace_spans, take_spans
from curate.kernels.lines import lines
from tests.kernels.texts import column, columns


def without(text: str, drop: list[bool]) -> str:
    """Plain twin of `drop_lines` for one text."""
    if not any(drop):
        return text
    kept: list[str] = []
    gone = False
    for line, goes in zip(text.split("\n"), drop, strict=True):
        blank = not line.strip(" \t\r")
        if goes:
            gone = True
        elif not (blank and gone and (not kept or not kept[-1].strip(" \t\r"))):
            kept.append(line)
            gone = False
    if not gone:
        return "\n".join(kept)
    while kept and not kept[-1].strip(" \t\r"):
        kept.pop()
    return "\n".join(kept).removesuffix("\r")


@settings(max_examples=300)
@given(columns, st.data())
def test_drop_equals_twin(rows: list[str], draw: st.DataObject) -> None:
    offsets, data = column(rows)
    found = lines(offsets, data)
    drop = draw.draw(st.lists(st.booleans(), min_size=len(found.starts), max_size=len(found.starts)))
    left = strings(*drop_lines(offsets, data, found, np.array(drop, np.bool_))).to_pylist()
    bounds = found.bounds.tolist()
    assert left == [without(row, drop[a:b]) for row, (a, b) in zip(rows, itertools.pairwise(bounds), strict=True)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\n\nX\n\nb", "a\n\nb"),
        ("a\nX\nb", "a\nb"),
        ("X\n\na", "a"),
        ("a\n\nX", "a"),
        ("a\n\nX\nX\n\nX\n\nb\n", "a\n\nb\n"),
        ("a\r\n\r\nX\r\n\r\nb\r\nX", "a\r\n\r\nb"),
        ("a\nX\n\nb", "a\n\nb"),
        ("a\n\n\n\nb", "a\n\n\n\nb"),
        ("X", ""),
        ("", ""),
    ],
)
def test_drop(text: str, left: str) -> None:
    offsets, data = column([text, "keep", text])
    drop = np.array([line.strip() == "X" for row in (text, "keep", text) for line in row.split("\n")])
    assert strings(*drop_lines(offsets, data, lines(offsets, data), drop)).to_pylist() == [left, "keep", left]


@settings(max_examples=200)
@given(columns, st.data())
def test_spans(rows: list[str], draw: st.DataObject) -> None:
    """Every piece between drawn cuts taken; every other one replaced."""
    offsets, data = column(rows)
    starts: list[int] = []
    ends: list[int] = []
    values: list[str] = []
    expected: list[str] = []
    taken: list[str] = []
    for row, begin in zip(rows, offsets.tolist(), strict=False):
        cuts = sorted(draw.draw(st.lists(st.integers(0, len(row)), max_size=4)))
        cuts = cuts[: len(cuts) // 2 * 2]
        result, last = "", 0
        for a, b in zip(cuts[::2], cuts[1::2], strict=True):
            if a == b:
                continue
            value = draw.draw(st.sampled_from(["", "é", "<TAG>"]))
            starts.append(begin + len(row[:a].encode()))
            ends.append(begin + len(row[:b].encode()))
            values.append(value)
            taken.append(row[a:b])
            result += row[last:a] + value
            last = b
        expected.append(result + row[last:])
    spans = np.array(starts, np.int64), np.array(ends, np.int64)
    assert strings(*replace_spans(offsets, data, *spans, column(values))).to_pylist() == expected
    assert strings(*take_spans(data, *spans)).to_pylist() == taken
