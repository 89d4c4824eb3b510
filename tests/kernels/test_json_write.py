"""The twin of the kernels is `json.dumps(..., ensure_ascii=False)`."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels import json_lines as jl
from curate.kernels import json_write as jw

texts = st.text(max_size=20) | st.text('\\"/\b\f\n\r\t\x00\x1f\x7fé\u2028𝄞 a', max_size=20)


def column(values: list[bytes | None]) -> jw.Column:
    """None is a row that is not valid, and holds bytes that must not be seen."""
    held = [b"hidden" if value is None else value for value in values]
    offsets = np.cumsum([0, *map(len, held)], dtype=np.int64)
    return offsets, np.frombuffer(b"".join(held), np.uint8), np.array([value is not None for value in values], np.bool_)


@settings(max_examples=200)
@given(st.lists(st.none() | texts, max_size=8), st.integers(0, 3))
def test_escape_is_json_dumps(values: list[str | None], skipped: int) -> None:
    offsets, data, valid = column([None if value is None else value.encode() for value in values])
    # A slice of an Arrow array begins behind the start of its bytes.
    offsets, valid, values = offsets[skipped:], valid[skipped:], values[skipped:]
    if len(offsets) == 0:
        return
    written, out = jw.escape(offsets, data, valid)
    expected = ["" if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    assert [out[a:b].tobytes().decode() for a, b in pairwise(written)] == expected
    assert len(out) == written[-1]


def test_every_ascii_character() -> None:
    text = "".join(map(chr, range(128)))
    assert jw.literal(text).decode() == json.dumps(text, ensure_ascii=False)
    with pytest.raises(UnicodeEncodeError):
        jw.literal("\ud800")


tables = st.integers(1, 4).flatmap(
    lambda parts: st.lists(st.lists(st.none() | texts, min_size=parts, max_size=parts), max_size=6).map(
        lambda rows: (parts, rows)
    )
)


@settings(max_examples=200)
@given(tables, st.integers(0, 3))
def test_join_lines_is_json_dumps(table: tuple[int, list[list[str | None]]], lists_at: int) -> None:
    """The part at `lists_at` is a list of members; an empty text stands for an empty list."""
    size, rows = table
    keys = [None if part == lists_at else f'k"{part}' for part in range(size)]
    parts, expected = [], [[] for _ in rows]
    for part, key in enumerate(keys):
        values: list[bytes | None] = []
        for row, texts_of_row in enumerate(rows):
            text = texts_of_row[part]
            if text is None:
                values.append(None)
                continue
            found = json.dumps({text: 1, "n": text} if key is None else text, ensure_ascii=False)
            if key is None:
                found = found[1:-1] if text else ""
            values.append(found.encode())
            if found:
                expected[row].append(found if key is None else f"{json.dumps(key)}:{found}")
        parts.append(column(values))
    out = jw.join_lines(parts, keys).tobytes().decode()
    assert out == "".join("{" + ",".join(members) + "}\n" for members in expected)
    for line in out.split("\n")[:-1]:
        assert isinstance(json.loads(line), dict)


def test_join_lines_checks_its_parts() -> None:
    with pytest.raises(ValueError, match="rows in each part: 1, 2"):
        jw.join_lines([column([b"1"]), column([b"1", b"2"])], ["a", "b"])
    with pytest.raises(ValueError, match="match the 2 keys"):
        jw.join_lines([column([b"1"])], ["a", "b"])
    with pytest.raises(ValueError, match="in each part: none"):
        jw.join_lines([], [])


@settings(max_examples=100)
@given(st.lists(st.text(max_size=8).map(json.dumps).map(str.encode), min_size=1, max_size=6), st.integers(0, 2))
def test_join_values(values: list[bytes], skipped: int) -> None:
    offsets, data, _ = column(list(values))
    offsets, values = offsets[min(skipped, len(values)) :], values[skipped:]
    assert jw.join_values(offsets, data).tobytes() == b"".join(value + b"\n" for value in values)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(
    st.lists(st.dictionaries(st.sampled_from(["text", "id"]) | texts, json_values, max_size=5), max_size=5),
    st.booleans(),
)
def test_what_is_read_is_written_again(objects: list[dict[str, Any]], ascii_only: bool) -> None:
    block = "".join(json.dumps(value, ensure_ascii=ascii_only) + "\n" for value in objects).encode()
    found = jl.scan(block, ["id", "text"])
    offsets, data, is_string = jl.strings(block, found, 1)
    written, literals = jw.escape(offsets, data, is_string)
    other = jl.raw(block, found, 1)
    out = jw.join_lines(
        [
            jl.raw(block, found, 0),
            (written, literals, is_string),
            (other[0], other[1], other[2] & ~is_string),
            (found.rest_offsets, found.rest, found.error == 0),
        ],
        ["id", "text", "text", None],
    )
    assert [json.loads(line) for line in out.tobytes().decode().split("\n")[:-1]] == objects
