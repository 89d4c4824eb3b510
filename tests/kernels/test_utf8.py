from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.kernels.utf8 import plain_utf8

PIECES = [
    b"a", "é".encode(), "漢".encode(), "𝒜".encode(), b"\xc3", b"\xe2\x82", b"\xf0\x9f",
    b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"\0", b"\x1b", b"\xff", b"\x80",
]  # fmt: skip


def twin(value: bytes) -> bool:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return "\0" not in text and "\x1b" not in text


@settings(max_examples=300)
@given(st.lists(st.one_of(st.lists(st.sampled_from(PIECES), max_size=5).map(b"".join), st.binary(max_size=6)), max_size=4))
@example(PIECES)
def test_equals_its_twin(rows: list[bytes]) -> None:
    data = np.frombuffer(b"".join(rows), np.uint8)
    assert plain_utf8(np.cumsum([0, *map(len, rows)]), data).tolist() == list(map(twin, rows))
