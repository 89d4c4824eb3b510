"""Looking hashes up in a set of keys, against a dict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.lookup import find, make_keys

NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 20)


@settings(deadline=None)  # the first call compiles
@given(st.lists(NUMBERS, unique=True, max_size=60), st.lists(NUMBERS, max_size=100))
def test_the_same_as_a_dict(keys: list[int], hashes: list[int]) -> None:
    places = {key: i for i, key in enumerate(keys)}
    wanted = hashes + keys
    at, key = find(make_keys(np.array(keys, np.uint64)), np.array(wanted, np.uint64))
    assert list(zip(at.tolist(), key.tolist(), strict=True)) == [(i, places[h]) for i, h in enumerate(wanted) if h in places]


def test_many_keys_and_keys_that_collide() -> None:
    many = np.arange(100_000, dtype=np.uint64) << np.uint64(40)
    at, key = find(make_keys(many), many[::-1])
    assert (at == np.arange(100_000)).all()
    assert (key == np.arange(100_000)[::-1]).all()


def test_equal_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="equal"):
        make_keys(np.array([7, 8, 7], np.uint64))
