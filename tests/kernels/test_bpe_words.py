from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.kernels.bpe_words import WordCounts, cut_words

WORDS = st.binary(min_size=1, max_size=40) | st.sampled_from([b"a", b"\0", b"ab" * 7, b"x" * 15, b"x" * 16, b"y" * 300])


def add(table: WordCounts, words: list[bytes], counts: list[int] | None = None, lead: bytes = b"") -> None:
    data = np.frombuffer(lead + b"".join(words), np.uint8)
    ends = len(lead) + np.cumsum([len(word) for word in words], dtype=np.int64)
    table.add(data, len(lead), ends, None if counts is None else np.array(counts, np.int64))


def held(table: WordCounts) -> dict[bytes, int]:
    offsets, data, counts = table.words()
    assert len(table) == len(counts) == len(offsets) - 1
    raw = data.tobytes()
    words = [raw[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    assert len(set(words)) == len(words)
    return dict(zip(words, counts.tolist(), strict=True))


@given(parts=st.lists(st.lists(WORDS, max_size=30), max_size=4), lead=st.binary(max_size=3))
def test_words_are_counted(parts: list[list[bytes]], lead: bytes) -> None:
    table = WordCounts()
    for part in parts:
        add(table, part, lead=lead)
    assert held(table) == Counter(word for part in parts for word in part)


@given(words=st.dictionaries(WORDS, st.integers(1, 1 << 40), max_size=30))
def test_counted_words_are_added(words: dict[bytes, int]) -> None:
    table = WordCounts()
    for _ in range(2):
        add(table, list(words), list(words.values()))
    assert held(table) == {word: 2 * count for word, count in words.items()}


def test_the_table_grows() -> None:
    words = [b"%d" % (i * 7919) for i in range(40_000)] + [b"a long word, number %d" % i for i in range(20_000)]
    table = WordCounts()
    add(table, words + words[::3])
    expected = Counter(words) + Counter(words[::3])
    assert held(table) == expected


def test_a_word_longer_than_the_buffer() -> None:
    table = WordCounts()
    add(table, [b"x" * 1_000_000, b"y", b"x" * 1_000_000])
    assert held(table) == {b"x" * 1_000_000: 2, b"y": 1}


def plain_cut(word: bytes, mark: int, longest: int) -> list[bytes]:
    parts, part = [], b""
    for byte in word:
        if part and (byte == mark or part[-1] == mark or len(part) == longest):
            parts.append(part)
            part = b""
        part += bytes([byte])
    return [*parts, part] if part else parts


@given(words=st.lists(st.lists(st.sampled_from(list(b"ab##")), max_size=12).map(bytes), max_size=5), longest=st.integers(1, 4))
def test_words_are_cut(words: list[bytes], longest: int) -> None:
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in words], dtype=np.int64)]).astype(np.int64)
    data = np.frombuffer(b"".join(words), np.uint8)
    ends, word = cut_words(offsets, data, ord("#"), longest)
    starts = [0, *ends.tolist()][: len(ends)]
    found = [data.tobytes()[a:b] for a, b in zip(starts, ends.tolist(), strict=True)]
    expected = [(i, part) for i, whole in enumerate(words) for part in plain_cut(whole, ord("#"), longest)]
    assert list(zip(word.tolist(), found, strict=True)) == expected
