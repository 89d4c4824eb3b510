"""The merges learned are those of the tokenizers library."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from curate.kernels.bpe_train import learn_merges

Learned = tuple[list[str], list[tuple[str, str]]]


def arrays(words: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in words], dtype=np.int64)]).astype(np.int64)
    data = np.frombuffer("".join(words).encode("ascii"), np.uint8)
    return offsets, data, np.fromiter(words.values(), np.int64, len(words))


def ours(words: dict[str, int], alphabet: str, specials: list[str], vocab_size: int, prefix: str = "") -> Learned:
    names = [*specials, *alphabet, *([prefix + letter for letter in alphabet] if prefix else [])]
    first, later = np.zeros(256, np.int32), np.zeros(256, np.int32)
    for letter in alphabet:
        first[ord(letter)], later[ord(letter)] = names.index(letter), names.index(prefix + letter)
    spelled = [name.encode() for name in names]
    merged = learn_merges(*arrays(words), spelled, first, later, vocab_size, prefix=len(prefix))
    merges = []
    for left, right, result in zip(*(part.tolist() for part in merged), strict=True):
        merges.append((names[left], names[right]))
        token = names[left] + names[right][len(prefix) :]
        if result == len(names):
            names.append(token)
        assert names[result] == token
    return names, merges


def librarys(words: dict[str, int], alphabet: str, specials: list[str], vocab_size: int) -> Learned:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=specials, initial_alphabet=list(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator((f"{word} " * count for word, count in words.items()), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [tuple(merge) for merge in model["merges"]]


def last_of_each(merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """As a model holds them: a pair that was merged twice has the place of the later."""
    place = {pair: i for i, pair in enumerate(merges)}
    return sorted(place, key=place.__getitem__)


def plain(words: dict[str, int], names: list[str], vocab_size: int, prefix: str = "") -> Learned:
    """Each time all pairs are counted again; ties go to the smaller ids."""
    names, merges = list(names), []
    split = {word: [word[0], *(prefix + letter for letter in word[1:])] for word in words}
    while len(names) < vocab_size:
        pairs: Counter[tuple[int, int]] = Counter()
        for word, parts in split.items():
            for pair in itertools.pairwise(parts):
                pairs[names.index(pair[0]), names.index(pair[1])] += words[word]
        if not pairs:
            break
        left, right = (names[i] for i in min(pairs, key=lambda pair: (-pairs[pair], pair)))
        token = left + right[len(prefix) :]
        merges.append((left, right))
        if token not in names:
            names.append(token)
        split = {word: merged(parts, left, right, token) for word, parts in split.items()}
    return names, merges


def merged(parts: list[str], left: str, right: str, token: str) -> list[str]:
    out, i = [], 0
    while i < len(parts):
        here = parts[i : i + 2] == [left, right]
        out.append(token if here else parts[i])
        i += 2 if here else 1
    return out


WORDS = st.dictionaries(st.text("abc", min_size=1, max_size=12), st.integers(1, 9), min_size=1, max_size=14)


@settings(max_examples=400)
@given(words=WORDS, specials=st.sampled_from([[], ["<e>"], ["ab", "<e>"], ["abc", "aa"]]), more=st.integers(0, 60))
def test_vocabulary_and_merges_are_the_librarys(words: dict[str, int], specials: list[str], more: int) -> None:
    size = len(specials) + 3 + more
    names, merges = ours(words, "abc", specials, size)
    assert (names, last_of_each(merges)) == librarys(words, "abc", specials, size)


@settings(max_examples=100)
@given(words=st.dictionaries(st.text("ab", min_size=1, max_size=40), st.integers(1, 3), min_size=1, max_size=6))
def test_long_words_of_two_letters(words: dict[str, int]) -> None:
    names, merges = ours(words, "ab", [], 80)
    assert (names, last_of_each(merges)) == librarys(words, "ab", [], 80)


def language(seed: int, n: int) -> dict[str, int]:
    rng = random.Random(seed)
    syllables = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(1, 3))) for _ in range(60)]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 6))) for _ in range(n)]
    return {word: rng.randint(1, 40) for word in words}


@pytest.mark.parametrize("seed", range(3))
def test_thousands_of_merges_of_a_made_up_language(seed: int) -> None:
    words = language(seed, 4_000)
    names, merges = ours(words, "abcdefghijklmnop", ["<e>"], 3_000)
    assert len(merges) > 2_500
    assert (names, last_of_each(merges)) == librarys(words, "abcdefghijklmnop", ["<e>"], 3_000)


@pytest.mark.parametrize("prefix", ["", "##"])
@pytest.mark.parametrize("seed", range(3))
def test_merges_are_those_of_counting_again_each_time(prefix: str, seed: int) -> None:
    letters = "abcdefghijklmnop"
    words = language(seed, 150)
    names = [*letters, *(prefix + letter for letter in letters if prefix)]
    assert ours(words, letters, [], 140, prefix) == plain(words, names, 140, prefix)


def test_the_order_of_the_words_does_not_matter() -> None:
    words = language(7, 2_000)
    mixed = sorted(words.items(), key=lambda item: hash(item) % 1009)
    assert ours(dict(mixed), "abcdefghijklmnop", [], 1_500) == ours(words, "abcdefghijklmnop", [], 1_500)


def test_counts_above_32_bits() -> None:
    names, merges = ours({"ab": 1 << 40, "ba": (1 << 40) + 1}, "ab", [], 4)
    assert (names[2:], merges) == (["ba", "ab"], [("b", "a"), ("a", "b")])


def test_tokens_inside_a_word_are_marked() -> None:
    names, merges = ours({"abab": 5, "xab": 2}, "abx", [], 10, prefix="##")
    # a ##b is 5, ##a ##b 7: the pair inside comes first, and makes no token for the beginning.
    assert merges[0] == ("##a", "##b")
    assert names[6] == "##ab"
    assert ("a", "##b") in merges
    assert names[names.index("ab")] == "ab"


def test_no_words_and_words_of_one_letter_have_no_merges() -> None:
    assert ours({}, "ab", [], 20) == (["a", "b"], [])
    assert ours({"a": 3, "b": 1}, "ab", [], 20) == (["a", "b"], [])


def test_a_word_of_one_letter_many_times() -> None:
    words = {"a" * 5_000: 1}
    names, merges = ours(words, "a", [], 40)
    assert (names, last_of_each(merges)) == librarys(words, "a", [], 40)
