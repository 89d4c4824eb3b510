from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.minhash import bands, minhash, multipliers, shingle_hashes
from curate.kernels.shingles import shingle_sets
from curate.kernels.words import word_hash, words
from tests.kernels.texts import column, columns, repeats

_MASK = 2**64 - 1
_PRIME, _GOLDEN = 0xD6E8FEB86659FD93, 0x9E3779B97F4A7C15


def mix(h: int, x: int) -> int:
    h = ((h ^ x) * _PRIME) & _MASK
    return h ^ (h >> 32)


def shingles_of(tokens: list[str], ngram: int) -> list[int]:
    found: list[int] = []
    for i in range(max(len(tokens) - ngram, 0) + 1 if tokens else 0):
        h = _GOLDEN
        for token in tokens[i : i + ngram]:
            h = mix(h, word_hash(token))
        found.append(mix(h, min(ngram, len(tokens))))
    return found


def splitmix(seed: int, count: int) -> list[int]:
    out: list[int] = []
    for _ in range(count):
        seed = (seed + _GOLDEN) & _MASK
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        out.append(z ^ (z >> 31))
    return out


def signature_of(values: list[int], permutations: int, seed: int) -> list[int]:
    draws = splitmix(seed, 2 * permutations)
    pairs = [(draws[2 * p] >> 32 | 1, draws[2 * p + 1] >> 32) for p in range(permutations)]
    return [min(((a * h + b) % 2**32 for h in values), default=2**32 - 1) for a, b in pairs]


def signatures(texts: list[str], ngram: int, permutations: int = 112, seed: int = 1) -> npt.NDArray[np.uint32]:
    tokens = words(*column(texts))
    sets = shingle_sets(tokens.hashes, tokens.bounds, ngram)
    return minhash(sets.values, sets.bounds, permutations, seed)


@settings(max_examples=100)
@given(st.one_of(columns, repeats), st.integers(1, 6))
def test_shingles_equal_twin(rows: list[str], ngram: int) -> None:
    hashes, bounds = shingle_hashes(words(*column(rows), "whitespace"), ngram)
    assert [hashes[i:j].tolist() for i, j in itertools.pairwise(bounds)] == [shingles_of(row.split(), ngram) for row in rows]


@settings(max_examples=150)
@given(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=30), max_size=6), st.integers(1, 20), st.integers(0, _MASK))
def test_equals_twin(sets: list[list[int]], permutations: int, seed: int) -> None:
    bounds = np.cumsum([0, *map(len, sets)])
    found = minhash(np.array([value for one in sets for value in one], np.uint32), bounds, permutations, seed)
    assert found.tolist() == [signature_of(one, permutations, seed) for one in sets]


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=12, max_size=12), max_size=5), st.integers(1, 4), st.integers(1, 3)
)
def test_bands_equal_twin(rows: list[list[int]], count: int, size: int) -> None:
    signatures = np.array(rows, np.uint32).reshape(-1, 12)
    expected = []
    for row in rows:
        keys = []
        for band in range(count):
            h = mix(_GOLDEN, band)
            for value in row[band * size : (band + 1) * size]:
                h = mix(h, value)
            keys.append(mix(h, size))
        expected.append(keys)
    assert bands(signatures, count, size).tolist() == expected


def overlapping(share: float, size: int, seed: int) -> tuple[str, str, float]:
    """Two texts of distinct words, and the exact Jaccard similarity of their sets of words."""
    both = round(size * share)
    common = [f"c{seed}x{i}" for i in range(both)]
    left = common + [f"l{seed}x{i}" for i in range(size - both)]
    right = common + [f"r{seed}x{i}" for i in range(size - both)]
    return " ".join(left), " ".join(right), both / (2 * size - both)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.95, 1.0])
def test_estimates_are_unbiased(share: float) -> None:
    pairs = [overlapping(share, 200, seed) for seed in range(300)]
    left = signatures([pair[0] for pair in pairs], 1)
    right = signatures([pair[1] for pair in pairs], 1)
    exact = pairs[0][2]
    estimates = (left == right).mean(axis=1)
    error = np.sqrt(exact * (1 - exact) / 112)
    # Mean of 300 estimates: 4 standard errors if permutations were independent; they are shared by all pairs, so the
    # pairs' errors are nearly independent only because their words differ.
    assert abs(estimates.mean() - exact) <= 4 * error / np.sqrt(300) + 1e-12
    assert estimates.std() == pytest.approx(error, rel=0.2, abs=1e-12)


def test_similar_documents_share_a_band() -> None:
    # At similarity 0.9 bands of 14 x 8 miss a pair with probability (1 - 0.9^8)^14 = 0.0004, at 0.2 hit with 4e-5.
    near = [overlapping(0.947, 400, seed) for seed in range(100)]
    far = [overlapping(0.33, 400, seed) for seed in range(100)]
    for pairs, expected in ((near, range(98, 101)), (far, range(0, 3))):
        left = bands(signatures([pair[0] for pair in pairs], 1), 14, 8)
        right = bands(signatures([pair[1] for pair in pairs], 1), 14, 8)
        assert int((left == right).any(axis=1).sum()) in expected


def test_order_and_repeats_of_shingles_do_not_matter() -> None:
    found = signatures(["a b c d", "d c b a a b", "a b c e"], 1)
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()


def test_same_columns_in_different_bands_have_different_keys() -> None:
    keys = bands(np.zeros((1, 112), np.uint32), 14, 8)
    assert len(set(keys[0].tolist())) == 14


def test_seeds_differ_and_are_stable() -> None:
    a, b = multipliers(2, 0)
    # The first outputs of SplitMix64 from state 0, as published with the generator.
    assert b[0] == 0x6E789E6AA1B965F4
    assert a[0] == 0xE220A8397B1DCDAF
    assert (multipliers(112, 1)[0] != multipliers(112, 2)[0]).all()


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="one permutation or more"):
        minhash(np.zeros(0, np.uint32), np.zeros(1, np.int64), 0)
    with pytest.raises(ValueError, match="15 bands of 8 rows"):
        bands(np.zeros((1, 112), np.uint32), 15, 8)
