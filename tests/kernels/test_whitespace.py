from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.columns import strings
from curate.kernels.whitespace import REMOVABLE, normalize_whitespace, strip_invisible
from tests.kernels.texts import column, columns

INVISIBLE = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"
OPTIONAL = {
    "soft_hyphens": "\xad",
    "bidi_controls": "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069",
    "private_use": "\ue000-\uf8ff\U000f0000-\U0010ffff",
    "variation_selectors": "\ufe00-\ufe0f\U000e0100-\U000e01ef",
    "tags": "\U000e0000-\U000e007f",
    "replacement": "\ufffd",
}


def normalize(text: str) -> str:
    text = re.sub("\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", text)
    text = re.sub(f"[{INVISIBLE}]", "", text)
    text = re.sub(r"[ \t]+(?=\n|\Z)", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


@settings(max_examples=200)
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
        ("a\x85b\u2028c\u2029d\x0be\x0cf\r\n\x0c\r\ng", "a\nb\nc\nd\ne\nf\n\ng"),
        ("a\u2062b\u206ac\ufffad\u2065 soft\xadhyphen", "abcd\u2065 soft\xadhyphen"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert strings(*normalize_whitespace(*column([text, text]))).to_pylist() == [expected, expected]


def test_crlf_is_lf() -> None:
    text = "A book.\n\n  Indented \n\n\n\nparagraphs,\nand lines.\n"
    unix = strings(*normalize_whitespace(*column([text]))).to_pylist()
    for end in ("\r\n", "\r", "\x85", "\u2028", "\x0c"):
        assert strings(*normalize_whitespace(*column([text.replace("\n", end)]))).to_pylist() == unix


@settings(max_examples=200)
@given(columns, st.sets(st.sampled_from(REMOVABLE)))
def test_strip_equals_twin(rows: list[str], also: set[str]) -> None:
    bits = sum(1 << REMOVABLE.index(kind) for kind in also)
    gone = re.compile(f"[{INVISIBLE}{''.join(OPTIONAL[kind] for kind in also)}]")
    assert strings(*strip_invisible(*column(rows), bits)).to_pylist() == [gone.sub("", row) for row in rows]


def test_strip_knows_every_character() -> None:
    rows = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for number, kind in enumerate(REMOVABLE):
        gone = re.compile(f"[{INVISIBLE}{OPTIONAL[kind]}]")
        left = strings(*strip_invisible(*column(rows), 1 << number)).to_pylist()
        assert [a for a, b in zip(rows, left, strict=True) if a != b] == gone.findall("".join(rows))
