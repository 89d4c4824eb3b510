from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.line_kinds import LineMeasures, code_lines, line_measures
from curate.kernels.lines import lines
from tests.kernels.texts import column, columns

_PIECES = ["```", "~~~", "````", "``", "`", "~", "py", " ", "    ", "\t", "\n", "\n", "\n\n", "x", "\r\n", "   ", "- a"]
markdown = st.lists(st.lists(st.sampled_from(_PIECES), max_size=40).map("".join), max_size=4)


def kinds(rows: list[str]) -> list[list[bool]]:
    offsets, data = column(rows)
    found = lines(offsets, data)
    flags = code_lines(found, data).tolist()
    return [flags[a:b] for a, b in zip(found.bounds, found.bounds[1:], strict=False)]


def twin(text: str) -> list[bool]:
    flags, fence, code, after_blank = [], "", False, True
    for line in text.split("\n"):
        bare = line.strip(" \t\r")
        if fence:
            flags.append(True)
            if bare and set(bare) == {fence[0]} and len(bare) >= len(fence):
                fence, code, after_blank = "", False, False
        elif not bare:
            flags.append(False)
            after_blank = True
        elif opened := re.match(r"`{3,}(?=[^`]*$)|~{3,}", bare):
            flags.append(True)
            fence = opened[0]
        else:
            indent = line[: len(line) - len(line.lstrip(" \t\r"))]
            code = sum(4 if char == "\t" else 1 for char in indent) >= 4 and (code or after_blank)
            flags.append(code)
            after_blank = False
    return flags


@settings(max_examples=300)
@given(markdown)
def test_code_equals_twin(rows: list[str]) -> None:
    assert kinds(rows) == [twin(row) for row in rows]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(_PIECES), max_size=40).map("".join), st.data())
def test_code_stays_code_when_prose_goes(text: str, data: st.DataObject) -> None:
    split = text.split("\n")
    flags = kinds([text])[0]
    stays = [i for i, code in enumerate(flags) if code or not split[i].strip(" \t\r") or data.draw(st.booleans())]
    after = kinds(["\n".join(split[i] for i in stays)])[0] if stays else []
    assert all(now for i, now in zip(stays, after, strict=True) if flags[i])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\n```python\nx = 1\n\n```\nb", "011110"),
        ("~~~\n```\n~~~\n``` a ` b\nc", "11100"),
        ("- item:\n      ```\n    x\n      ```\nend", "01110"),
        ("````\n```\n````\nend", "1110"),
        ("para\n    continued\n\n    code\n\n\tcode\nend", "0001010"),
        ("    code at the start\nend", "10"),
        ("never closed\n```\n\nx", "0111"),
        ("``` and ```", "0"),
        ("```\r\nx\r\n```\r\nend", "1110"),
        ("", "0"),
    ],
)
def test_code(text: str, code: str) -> None:
    assert kinds(["x", text, "```"])[1] == [flag == "1" for flag in code]


@settings(max_examples=200)
@given(columns)
def test_measures_equal_twin(rows: list[str]) -> None:
    offsets, data = column(rows)
    split = [line for row in rows for line in row.split("\n")]
    expected = LineMeasures(
        *(
            [count(line) for line in split]
            for count in (
                lambda line: len(line.split()),
                len,
                lambda line: sum(map(str.isupper, line)),
                lambda line: sum(map(str.isdigit, line)),
                lambda line: sum(char.isalnum() for char in line if char < "\U00030000"),
            )
        )  # type: ignore[arg-type]
    )
    found = line_measures(lines(offsets, data), data)
    assert [counts.tolist() for counts in found] == list(expected)
