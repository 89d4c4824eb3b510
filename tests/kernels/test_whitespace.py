from __future__ import annotations

import re

import pytest
from hypothesis import given, settings

from curate.kernels.columns import strings
from curate.kernels.whitespace import normalize_whitespace
from tests.kernels.texts import column, columns


def normalize(text: str) -> str:
    text = re.sub(r"\r\n?", "\n", text)
    text = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff]", "", text)
    text = re.sub(r"[ \t]+(?=\n|\Z)", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


@settings(deadline=None, max_examples=200)
@given(columns)
def test_equals_twin_and_is_idempotent(rows: list[str]) -> None:
    once = normalize_whitespace(*column(rows))
    assert strings(*once).to_pylist() == list(map(normalize, rows))
    twice = normalize_whitespace(*once)
    assert twice[0].tolist() == once[0].tolist()
    assert bytes(twice[1]) == bytes(once[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n \n  def f():\r\n\treturn  1 \r\n\r\n\r\n\r\n# end\t\n", "  def f():\n\treturn  1\n\n# end"),
        ("a\rb\r\nc", "a\nb\nc"),
        ("zero\u200b\ufeff\u2060 \x00width", "zero width"),
        ("می\u200cخواهم 🧑\u200d🚀", "می\u200cخواهم 🧑\u200d🚀"),
        (" \u200b \n\t", ""),
        ("", ""),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert strings(*normalize_whitespace(*column([text, text]))).to_pylist() == [expected, expected]
