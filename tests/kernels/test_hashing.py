from __future__ import annotations

import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.hashing import hash128, hash_strings
from tests.kernels.texts import column, columns


@settings(max_examples=200)
@given(columns, st.integers(0, 2**64 - 1))
def test_equals_xxh64(rows: list[str], seed: int) -> None:
    expected = [xxhash.xxh64(row.encode(), seed).intdigest() for row in rows]
    assert hash_strings(*column(rows), seed).tolist() == expected


def test_every_length_to_200() -> None:
    rows = ["".join(chr(32 + (7 * i + n) % 95) for i in range(n)) for n in range(200)]
    assert hash_strings(*column(rows)).tolist() == [xxhash.xxh64(row.encode()).intdigest() for row in rows]


def test_hash128_is_two_hashes() -> None:
    rows = ["a", "b", "", "漢"]
    first, second = hash128(*column(rows), 3)
    assert first.tolist() == hash_strings(*column(rows), 3).tolist()
    assert second.tolist() == [xxhash.xxh64(row.encode(), 2**64 - 4).intdigest() for row in rows]
