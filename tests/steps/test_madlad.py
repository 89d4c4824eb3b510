from __future__ import annotations

from typing import Any

import pytest

from curate.steps.madlad import MadladQuality
from tests.steps.judge import reasons, scores

GOOD = "This sentence says nothing odd. "


def questionable(sentence: str, *criteria: str, **options: Any) -> float:
    """Whether this sentence, one of two, is questionable by the criteria."""
    step = MadladQuality.model_validate({"criteria": criteria} | options)
    (row,) = scores(step, [GOOD + sentence])
    assert row["sentences"] == 2
    return float(row["questionable"] * 2)


@pytest.mark.parametrize(
    ("limits", "kept", "dropped", "reason"),
    [
        ({"max_questionable": None}, GOOD * 5, GOOD * 4, "few_sentences"),
        ({}, GOOD * 4 + "Short one.", GOOD * 3 + "Short one.", "few_sentences"),
        ({}, GOOD * 4 + "Short one.", GOOD * 4 + "Short one. And one.", "questionable"),
        ({"max_questionable": 0.5, "min_sentences": 0}, GOOD + "No.", GOOD + "No. No.", "questionable"),
    ],
)
def test_each_rule_on_both_sides_of_its_limit(limits: dict[str, Any], kept: str, dropped: str, reason: str) -> None:
    assert reasons(MadladQuality.model_validate(limits), [kept, dropped]) == [None, reason]


@pytest.mark.parametrize(
    ("criterion", "fine", "bad"),
    [
        ("list_case", "One Two Three Four Five Six seven eight nine ten eleven twelve.", "One " * 7 + "two " * 5 + "."),
        ("list_case", "One Two Three Four Five Six Seven Eight Nine Ten Eleven.", "Don't " * 12 + "."),
        ("length", "é" * 19 + ".", "é" * 18 + "."),
        ("length", "é" * 499 + ".", "é" * 500 + "."),
        ("technical", "1234abcdefghijklmno.", "12345bcdefghijklmno."),
        ("technical", "{}+/abcdefghijklmno.", "()>90bcdefghijklmno."),
        ("cursed", "They develop a number of volumes.", "They Develop it."),
        ("cursed", "A vol. or an ep. of it is at hand", "See Vol. 3 of it"),
        ("cursed", "It has | in the middle.", "It has it at the end |  "),
        ("cursed", "a b c d e f g h i", "a b c d e f g h i j"),
        ("cursed", "x." + " ..." * 9, "x." + " ..." * 10),
        ("cursed", "The number nr", "The number nr."),
        ("cursed", "Dolor sit amet", "Lorem ipsum dolor"),
        ("cursed", "весом 5 кг", "весом в кг."),
    ],
)
def test_each_criterion_on_both_sides_of_its_limit(criterion: str, fine: str, bad: str) -> None:
    step = MadladQuality.model_validate({"criteria": (criterion,)})
    assert [row["questionable"] > 0 for row in scores(step, [GOOD + fine, GOOD + bad])] == [False, True]


def test_criteria_add_up_by_sentence() -> None:
    assert questionable("No.", "length", "cursed") == 1
    assert questionable("No.", "cursed") == 0
    assert questionable("mp3.", "length", "cursed") == 1
    assert questionable("No.", "length", short=3) == 0
    assert questionable("No way.", "list_case", list_words=2, list_capitals=0.4) == 1


def test_texts_without_sentences() -> None:
    assert scores(MadladQuality(), ["", " \n", "word"]) == [
        {"sentences": 0, "questionable": None},
        {"sentences": 0, "questionable": None},
        {"sentences": 1, "questionable": 1},
    ]
    assert reasons(MadladQuality(min_sentences=None), ["", "word"]) == [None, "questionable"]
