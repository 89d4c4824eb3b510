"""Novelty by ROUGE-L, whatever the script of the texts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.synth.novelty import Novelty, split

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), max_size=12).map(" ".join)


def rouge(one: str, other: str) -> float:
    """By the definition."""
    a, b = one.split(), other.split()
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    return 0.0 if not common else 2 * (common / len(b)) * (common / len(a)) / (common / len(b) + common / len(a))


@settings(max_examples=100)
@given(texts=st.lists(WORDS, max_size=30), threshold=st.sampled_from([0.0, 0.5, 0.7]))
def test_each_text_is_held_against_all_that_stand(texts: list[str], threshold: float) -> None:
    held = Novelty(threshold)
    kept: list[str] = []
    for text in texts:
        scores = [rouge(text, other) for other in kept]
        best = max(scores, default=0.0)
        similar = held.add_if_new(text)
        if best > threshold:
            assert similar == (kept[scores.index(best)], best)
        else:
            assert similar is None
            kept.append(text)
    assert len(held) == len(kept)


def test_as_rouge_score_cuts() -> None:
    text = "Don't_stop: 3.5 Grüße, naïve"
    assert split(text, "rouge") == ["don", "t", "stop", "3", "5", "gr", "e", "na", "ve"]
    assert split(text, "unicode") == ["don", "t_stop", "3", "5", "grüße", "naïve"]
    assert split("A-b 2", "unicode") == split("A-b 2", "rouge") == ["a", "b", "2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("東京の天気を教えてください。", "京都の天気を教えてください。"),
        ("Расскажи о погоде в Москве сегодня", "Расскажи о погоде в Киеве сегодня"),
    ],
)
def test_other_scripts_need_their_own_words(one: str, other: str) -> None:
    english = Novelty(0.7, "rouge")
    english.add(one)
    assert english.similar(other) is None
    held = Novelty(0.7, "unicode")
    held.add(one)
    similar = held.similar(other)
    assert similar is not None
    assert similar.text == one


def test_many_texts_and_words() -> None:
    held = Novelty(0.7)
    texts = [" ".join(f"w{i}x{j}" for j in range(7)) for i in range(2000)]
    assert all(held.add_if_new(text) is None for text in texts)
    assert all((found := held.similar(text)) is not None and found == (text, 1.0) for text in texts[::97])
