from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.errors import InputError
from curate.steps.word_list import WordList
from tests.steps.judge import off, reasons, scores

WORDS = str(Path(__file__).parent / "lists" / "words.txt")


@pytest.mark.parametrize(
    ("limits", "kept", "dropped", "reason"),
    [
        ({"max_count": 0}, "grumbles and foul plays", "They GRUMBLE.", "listed_words"),
        ({"max_count": 2}, "grumble, grumble", "grumble, grumble! Foul play", "listed_words"),
        ({"max_share": 0.25}, "grumble one two three", "grumble one two", "listed_share"),
    ],
)
def test_each_rule_on_both_sides_of_its_limit(limits: dict[str, Any], kept: str, dropped: str, reason: str) -> None:
    step = WordList.model_validate({"lists": (WORDS,), "max_count": None} | limits)
    assert reasons(step, [kept, dropped]) == [None, reason]


def test_whole_words_and_words_of_scripts_without_spaces() -> None:
    def counts(*words: str, match: str = "word") -> list[float]:
        texts = [
            "category cat", "concat cat-cat_cat cat9", "CAT's «cat»", "a b!tch here", "xb!tch", "说粗話的人", "ไทยภาษาไทย",
            "ÇA VA; ça-va", "foul  play foul\nplay", "ΟΔΟΣ οδός",
        ]  # fmt: skip
        return [row["count"] for row in scores(WordList(words=words, match=match), texts)]  # type: ignore[arg-type]

    assert counts("cat") == [1, 1, 2, 0, 0, 0, 0, 0, 0, 0]
    assert counts("cat", match="substring") == [2, 5, 2, 0, 0, 0, 0, 0, 0, 0]
    assert counts("b!tch") == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert counts("粗話", "ภาษา") == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0]
    assert counts("ça va", "Ça-Va") == [0, 0, 0, 0, 0, 0, 0, 2, 0, 0]
    assert counts("foul play", "ΟΔΌΣ", "οδος") == [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]


def test_a_word_counts_within_a_longer_phrase_and_once_a_listing() -> None:
    assert scores(WordList(words=("foul", "Foul", "foul play"), max_share=1), ["foul play", "play", ""]) == [
        {"count": 2, "share": 1},
        {"count": 0, "share": 0},
        {"count": 0, "share": None},
    ]
    assert scores(WordList(words=("🖕",), max_share=1), ["🖕", "oh🖕"]) == [
        {"count": 1, "share": None},
        {"count": 1, "share": 1},
    ]


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="nothing to look for"):
        off(WordList)
    with pytest.raises(InputError, match="cannot be read"):
        WordList(lists=(str(tmp_path / "none"),)).bind()
    (tmp_path / "empty").write_text("# nothing\n\n")
    with pytest.raises(InputError, match="no word to look for"):
        WordList(lists=(str(tmp_path / "empty"),)).bind()
    (tmp_path / "latin").write_bytes(b"\xe9\n")
    with pytest.raises(InputError, match="cannot be read"):
        WordList(lists=(str(tmp_path / "latin"),)).bind()


def wordy(char: str) -> bool:
    return char == "_" or unicodedata.category(char)[0] in "LN"


@settings(max_examples=200)
@given(
    st.lists(st.text("ab -éÉ", min_size=1, max_size=4).filter(str.strip), min_size=1, max_size=4),
    st.lists(st.text("aB -éÉ\n", max_size=15), min_size=1, max_size=4),
)
def test_counts_equal_twin(words: list[str], texts: list[str]) -> None:
    listed = {word.strip().lower() for word in words}

    def twin(text: str) -> int:
        low = text.lower()
        places = [(i, i + len(word)) for word in listed for i in range(len(low)) if low.startswith(word, i)]
        # A boundary is inside a word when both of its sides are of one.
        return sum(not any(0 < p < len(low) and wordy(low[p - 1]) and wordy(low[p]) for p in place) for place in places)

    assert [row["count"] for row in scores(WordList(words=tuple(words)), texts)] == [twin(text) for text in texts]
