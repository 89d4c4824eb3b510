from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.steps.c4 import C4Lines, C4Quality
from tests.kernels.texts import texts
from tests.steps.judge import off, reasons, scores


def lines(text: str, **options: Any) -> str:
    result: str = C4Lines(**options).bind()(pl.Series([text]))[0]
    return result


@pytest.mark.parametrize(
    ("text", "options", "left"),
    [
        ("This line is whole.\nThis one is not", {}, "This line is whole."),
        ("This line is whole.\nThis one trails off...", {}, "This line is whole."),
        ("This line ends here,", {"end_marks": ()}, "This line ends here,"),
        ('He said "never again."', {}, 'He said "never again."'),
        ("It said 'never again.'", {}, "It said 'never again.'"),
        ("It said 'never again.'", {"variant": "paper"}, ""),
        ("It has four words.", {"variant": "c4-code"}, ""),
        ("One line is here.\x0bAnother line is here.", {}, "One line is here.\nAnother line is here."),
        ("Two words.\nNow three words.", {}, "Now three words."),
        ("Now three words.\nThese here are five words.", {"min_words": 5}, "These here are five words."),
        ("Please enable JavaScript to go on.", {}, ""),
        ("Please enable JavaScript to go on.", {"phrases": ()}, "Please enable JavaScript to go on."),
        ("We have Terms of Use here.", {}, ""),
        ("It fell in 1453.[1] Then came peace.[citation needed]", {}, "It fell in 1453. Then came peace."),
        ("It fell in 1453. [12]", {}, "It fell in 1453."),
        ("It fell in 1453.[1]", {"citations": False}, ""),
        ("See here now [[1]].", {}, ""),
        (f"A word of {'x' * 1000} fits.", {}, f"A word of {'x' * 1000} fits."),
        (f"A word of {'x' * 1001} does not.", {}, ""),
        (f"A word of {'é' * 1000} is as long.", {}, f"A word of {'é' * 1000} is as long."),
        (f"A word of {'x' * 1001} does not.", {"max_word_length": None}, f"A word of {'x' * 1001} does not."),
        ("  Blanks around it go. \n\n\nAnd blank lines too.\r\n", {}, "Blanks around it go.\nAnd blank lines too."),
        ("", {}, ""),
    ],
)  # fmt: skip
def test_which_lines_stay(text: str, options: dict[str, Any], left: str) -> None:
    assert lines(text, **options) == left


def test_rows_keep_their_places() -> None:
    page = "This line is whole."
    got = C4Lines().bind()(pl.Series(["", page, "menu", f"{page}\nx\n{page}"]))
    assert got.to_list() == ["", page, "", f"{page}\n{page}"]
    assert C4Lines().bind()(pl.Series([], dtype=pl.String)).to_list() == []


@settings(max_examples=100)
@given(
    st.one_of(
        texts, st.lists(st.sampled_from(["[", "]", "1", "[edit", "citation needed", "a b c", ".", "\n", " "])).map("".join)
    )
)
def test_twice_is_once(text: str) -> None:
    for options in ({}, {"end_marks": (), "min_words": 0}):
        once = lines(text, **options)
        assert lines(once, **options) == once


@pytest.mark.parametrize(
    ("limits", "kept", "dropped", "reason"),
    [
        ({"max_lorem_ipsum": 0}, "It reads lorem dolor.", "It reads LOREM ipsum.", "lorem_ipsum"),
        ({"max_curly_brackets": 1}, "It reads {.\nNot {this", "It reads {.\nAnd {this too.", "curly_brackets"),
        ({"min_sentences": 2}, "One is out. So is two.", "Version 1.2 is out.", "too_few_sentences"),
    ],
)
def test_each_rule_on_both_sides_of_its_limit(limits: dict[str, Any], kept: str, dropped: str, reason: str) -> None:
    assert reasons(off(C4Quality, min_words=3, **limits), [kept, dropped]) == [None, reason]


def test_a_bracket_counts_unless_an_earlier_rule_drops_its_line() -> None:
    held = ["Enable JavaScript { } to go on.", "See our privacy policy { }.", "Too { few", "No mark {} at the end"]
    assert [row["curly_brackets"] for row in scores(C4Quality(), held)] == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        (" \n\n", 0),
        ("no mark", 1),
        ("One. Two! Three?", 3),
        ("Wait... What?!", 1),
        ("Wait. ... What?!", 2),
        ('He said "No." Then he left.', 2),
        ("A heading\n\nA sentence.\n", 2),
        ("Trailing blanks.  \nand more \t", 2),
        ("一つ目。 二つ目！ 三つ目？", 3),
        ("pi is 3.14 or so", 1),
        ("Mr. Brown, e.g. here. And there.", 2),
        ("It fell.[1] [2] It rose.", 2),
    ],
)
def test_sentences(text: str, sentences: int) -> None:
    assert scores(C4Quality(end_marks=(), min_words=0), [text])[0]["sentences"] == sentences


def test_sentences_are_those_of_the_lines_kept() -> None:
    page = "One is out. So is two.\nA menu\nOut. In.[1] Up."
    assert [scores(C4Quality(variant=variant), [page])[0]["sentences"] for variant in ("datatrove-0.10", "c4-code")] == [5, 2]  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [C4Lines, C4Quality])
def test_what_a_variant_sets_may_be_set_otherwise(step: type[C4Lines] | type[C4Quality]) -> None:
    code = step(variant="c4-code")
    assert (code.min_words, code.end_marks) == (5, (".", "?", "!", '"'))
    assert step(variant="c4-code", min_words=3).min_words == 3
    assert step().end_marks == (*code.end_marks, "'")
    assert step.model_validate_json(code.model_dump_json()) == code
    assert C4Quality(variant="c4-code").min_sentences == 3
    assert C4Quality(variant="c4-code", min_sentences=None).min_sentences is None


def test_words_are_counted_before_or_after_citation_marks() -> None:
    line = "Two words [1]."
    counted = [
        scores(C4Quality(variant=variant, min_words=3), [line])[0]["sentences"] for variant in ("datatrove-0.10", "paper")
    ]  # type: ignore[arg-type]
    assert counted == [1, 1]
    line = "[1] Two words."
    counted = [
        scores(C4Quality(variant=variant, min_words=3), [line])[0]["sentences"] for variant in ("datatrove-0.10", "paper")
    ]  # type: ignore[arg-type]
    assert counted == [1, 0]
