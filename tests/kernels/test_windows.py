"""Windows and their anchors, against plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.windows import anchored, anchors, covered
from curate.kernels.words import words
from tests.kernels.texts import column, repeats

SIZES = st.sampled_from([2, 3, 4, 7])


def documents(rows: list[str]) -> list[list[str]]:
    return [row.lower().split() for row in rows]


@given(repeats, SIZES)
def test_equal_windows_have_equal_anchors_and_every_window_has_one(rows: list[str], n: int) -> None:
    found = words(*column(rows), "whitespace")
    at, hashes = anchors(found, n)
    assert len(set(at.tolist())) == len(at)
    by_place = dict(zip(at.tolist(), hashes.tolist(), strict=True))
    every = np.ones(len(found.hashes), bool)
    starts, window_hashes = anchored(found, n, every)
    plain = [
        (int(found.bounds[d]) + i, tuple(doc[i : i + n]))
        for d, doc in enumerate(documents(rows))
        for i in range(len(doc) - n + 1)
    ]
    assert starts.tolist() == [i for i, _ in plain]
    names: dict[int, tuple[str, ...]] = {}
    for hash, (_, window) in zip(window_hashes.tolist(), plain, strict=True):
        assert names.setdefault(hash, window) == window
    assert len(names) == len({window for _, window in plain})
    # With one anchor wanted at a time, each window comes exactly once, with the hash of an anchor that its equals share.
    owner: dict[int, int] = {}
    for place in at.tolist():
        wanted = np.zeros(len(found.hashes), bool)
        wanted[place] = True
        for start in anchored(found, n, wanted)[0].tolist():
            assert start not in owner
            owner[start] = place
            assert start <= place <= start + n - (n + 1) // 2
    assert set(owner) == set(starts.tolist())
    shared: dict[tuple[str, ...], int] = {}
    for start, window in plain:
        assert shared.setdefault(window, by_place[owner[start]]) == by_place[owner[start]]


@given(repeats, SIZES, st.data())
def test_covered(rows: list[str], n: int, data: st.DataObject) -> None:
    offsets, raw = column(rows)
    found = words(offsets, raw, "whitespace")
    possible = [i for a, b in zip(found.bounds[:-1], found.bounds[1:], strict=True) for i in range(int(a), int(b) - n + 1)]
    starts = sorted(data.draw(st.lists(st.sampled_from(possible), unique=True))) if possible else []
    first, last = covered(found, np.array(starts, np.int64), n, offsets[1:])
    gone = {i for start in starts for i in range(start, start + n)}
    inside = {
        i for i, place in enumerate(found.starts.tolist()) if any(a <= place < b for a, b in zip(first, last, strict=True))
    }
    assert inside == gone
    assert (last[:-1] <= first[1:]).all()


def test_few_words_are_anchors_and_repeated_words_take_no_longer() -> None:
    found = words(*column([" ".join(str(i * 7919 % 10007) for i in range(10000))]), "whitespace")
    at, _ = anchors(found, 50)
    assert len(at) < 10000 * 2.5 / 27
    same = words(*column(["so " * 300_000]), "whitespace")
    assert len(anchors(same, 50)[0]) == 300_000 - 49


def test_a_window_of_one_word_is_refused() -> None:
    with pytest.raises(ValueError, match="2 words or more"):
        anchors(words(*column(["a b"]), "whitespace"), 1)
