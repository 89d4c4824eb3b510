"""FineWeb's signatures against hashlib and numpy, as the specification has them."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given, settings

from curate.kernels.fineweb_minhash import fineweb_signatures
from curate.kernels.words import words
from tests.kernels.texts import column, columns


def signature_of(tokens: list[str]) -> list[int] | None:
    if len(tokens) < 5:
        return None
    prime = np.uint64((1 << 61) - 1)
    draw = np.random.RandomState(1)
    a = draw.randint(1, prime, dtype=np.uint64, size=(1, 112))
    b = draw.randint(0, prime, dtype=np.uint64, size=(1, 112))
    shingles = [" ".join(tokens[i : i + 5]) for i in range(len(tokens) - 4)]
    hashes = [int.from_bytes(hashlib.sha1(shingle.encode()).digest()[:8], "little") for shingle in shingles]
    permuted = (np.array(hashes, np.uint64).reshape(-1, 1) * a + b) % prime
    return [int(value) for value in permuted.min(axis=0)]


def check(texts: list[str]) -> None:
    offsets, data = column(texts)
    found = words(offsets, data, "whitespace")
    signatures, present = fineweb_signatures(data, found.starts, found.ends, found.bounds)
    expected = [signature_of(text.split()) for text in texts]
    assert [row.tolist() if there else None for row, there in zip(signatures, present, strict=True)] == expected


@settings(max_examples=100)
@given(columns)
def test_equals_twin(texts: list[str]) -> None:
    check([*texts, " ".join(texts)])


def test_shingles_of_every_length() -> None:
    # SHA-1 pads to blocks of 64 bytes: lengths on both sides of one and of two.
    check([" ".join(["a" * n, "b", "c", "d", "e"]) for n in range(1, 140)])
