from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.code import CodeCounts, code_counts
from tests.kernels.texts import column, columns


def twin(text: str) -> tuple[int, ...]:
    lines = re.split(r"\r\n|\r|\n", text)
    lines = lines if lines[-1] else lines[:-1]
    runs = [len(run) for run in re.findall(r"[a-zA-Z0-9+/\n=]{64,}", text)]
    return CodeCounts(  # type: ignore[return-value]
        chars=len(text),  # type: ignore[arg-type]
        lines=len(lines),  # type: ignore[arg-type]
        line_chars=sum(map(len, lines)),  # type: ignore[arg-type]
        longest_line=max(map(len, lines), default=0),  # type: ignore[arg-type]
        alphabetic=sum(map(str.isalpha, text)),  # type: ignore[arg-type]
        alphanumeric=sum(map(str.isalnum, text)),  # type: ignore[arg-type]
        base64=sum(runs),  # type: ignore[arg-type]
        longest_base64=max(runs, default=0),  # type: ignore[arg-type]
    )


@settings(max_examples=200)
@given(columns)
def test_counts_equal_twin(rows: list[str]) -> None:
    got = code_counts(*column(rows))
    assert list(zip(*(field.tolist() for field in got), strict=True)) == [tuple(twin(row)) for row in rows]


pieces = st.sampled_from(["a" * 62, "Zz09+/=\n", "\r\n", "\r", "\n", ".", "é", "\n\r", "=", "b" * 64])


@settings(max_examples=200)
@given(st.lists(st.lists(pieces, max_size=8).map("".join), max_size=4))
def test_runs_and_line_ends_equal_twin(rows: list[str]) -> None:
    got = code_counts(*column(rows))
    assert list(zip(*(field.tolist() for field in got), strict=True)) == [tuple(twin(row)) for row in rows]


def test_every_code_point_is_as_in_python() -> None:
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    got = code_counts(*column(every))
    assert got.alphabetic.astype(bool).tolist() == list(map(str.isalpha, every))
    assert got.alphanumeric.astype(bool).tolist() == list(map(str.isalnum, every))
