from __future__ import annotations

from typing import Any

import pytest

from curate.steps.length import Length
from tests.steps.judge import off, reasons, scores


@pytest.mark.parametrize(
    ("limits", "kept", "dropped", "reason"),
    [
        ({"min_chars": 2}, "éé", "é", "too_few_chars"),
        ({"max_chars": 2}, "éé", "ééé", "too_many_chars"),
        ({"min_words": 2}, "a b", "a - !", "too_few_words"),
        ({"max_words": 2}, "a b", "a b c", "too_many_words"),
        ({"min_bytes": 2}, "é", "e", "too_few_bytes"),
        ({"max_bytes": 2}, "é", "éa", "too_many_bytes"),
    ],
)
def test_each_rule_on_both_sides_of_its_limit(limits: dict[str, Any], kept: str, dropped: str, reason: str) -> None:
    assert reasons(off(Length, **limits), [kept, dropped]) == [None, reason]


def test_by_default_only_empty_text_goes() -> None:
    assert reasons(Length(), ["", " ", "a" * 10_000]) == ["too_few_chars", None, None]


def test_only_what_is_asked_for_is_measured() -> None:
    assert scores(Length(max_words=5), ["a b"]) == [{"chars": 3, "words": 2}]


def test_words_by_the_splitter() -> None:
    assert reasons(Length(max_words=1, splitter="whitespace"), ["a-b"]) == [None]
    assert reasons(Length(max_words=1), ["a-b"]) == ["too_many_words"]
