from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from curate.kernels.words import words
from curate.steps.gopher import GopherQuality, GopherRepetition
from tests.kernels.texts import column
from tests.steps.judge import off, reasons, scores

PROSE = (
    "The keeper of the lighthouse had to climb two hundred steps with a can of oil every evening, and he would have done so "
    "in any weather. He said that it kept him young. When the new lamp was put in, which lit itself, he went on climbing, "
    "because the view from the gallery was the best part of his day, and nobody had told him to stop."
)


@pytest.mark.parametrize(
    ("limits", "kept", "dropped", "reason"),
    [
        ({"min_words": 3}, "one two, three!", "one two - !", "too_few_words"),
        ({"max_words": 3}, "one two three", "one two three four", "too_many_words"),
        ({"min_mean_word_length": 3}, "abc ab abcd", "abc ab abc", "short_words"),
        ({"max_mean_word_length": 3}, "abc ab abcd", "abcd ab abcd", "long_words"),
        ({"max_hash_ratio": 0.5}, "# a", "## a", "hashes"),
        ({"max_ellipsis_ratio": 0.5}, "a... b…", "... …", "ellipses"),
        ({"max_bullet_lines": 0.5}, "- a\nb", " • a\n- b\nc", "bullet_lines"),
        ({"max_ellipsis_lines": 0.5}, "a...\nb", "a…\nb... \nc", "ellipsis_lines"),
        ({"min_alphabetic_words": 0.5}, "a 1", "a 1!", "few_alphabetic_words"),
        ({"min_stop_words": 2}, "the end of it", "the the end", "few_stop_words"),
    ],
)  # fmt: skip
def test_each_rule_on_both_sides_of_its_limit(limits: dict[str, Any], kept: str, dropped: str, reason: str) -> None:
    assert reasons(off(GopherQuality, **limits), [kept, dropped]) == [None, reason]


def test_symbols_are_words_or_not_by_the_variant() -> None:
    text = "One, two - THE end. . . #"
    rows = [scores(GopherQuality(variant=variant), [text])[0] for variant in ("datatrove-0.10", "paper", "dclm")]  # type: ignore[arg-type]
    assert [row["words"] for row in rows] == [4, 8, 4]
    assert [row["mean_word_length"] for row in rows] == [3, 18 / 8, 18 / 8]
    assert [row["hash_ratio"] for row in rows] == [1 / 10, 1 / 8, 2 / 8]
    assert [row["alphabetic_words"] for row in rows] == [4 / 10, 4 / 8, 4 / 8]
    assert [row["stop_words"] for row in rows] == [0, 0, 1]


def test_dclm_counts_lines_that_are_not_blank_and_stop_words_as_often_as_they_come() -> None:
    step = GopherQuality(variant="dclm")
    row = scores(step, ["* a\n\n● b. . .\nthe The\n \n"])[0]
    assert (row["bullet_lines"], row["ellipsis_lines"], row["stop_words"]) == (2 / 3, 1 / 3, 2)
    assert (step.splitter, step.bullets) == ("whitespace", "●•*-")
    assert GopherQuality(variant="dclm", bullets="-").bullets == "-"


@pytest.mark.parametrize(
    ("variant", "text", "rule", "share"),
    [
        ("paper", "a b c d", "top_2gram", 0),
        ("paper", "to be or to be", "top_2gram", 10 / 14),
        ("paper", "a b c d e x a b c d e", "duplicate_5grams", 10 / 21),
        ("paper", "a b c d e a b c d e a", "duplicate_6grams", 11 / 21),
        ("dclm", "aa b c d, aa b. C d, c d", "top_2gram", 6 / 12),
        ("dclm", "a b c d e, a b c d e", "duplicate_5grams", 1),
        ("dclm", "a b\nc\n a b \n\nd", "duplicate_lines", 2 / 4),
        ("dclm", "a b\nc\n a b \n\nd", "duplicate_line_chars", 6 / 8),
        ("dclm", "a b\n\n a b\n\n\n\nd", "duplicate_paragraphs", 2 / 3),
        ("dclm", "a b\n\n a b\n\n\n\nd", "duplicate_paragraph_chars", 6 / 7),
    ],
)
def test_repetitions_of_the_other_variants(variant: str, text: str, rule: str, share: float) -> None:
    step = GopherRepetition.model_validate({"variant": variant})
    assert scores(step, [text])[0][rule] == pytest.approx(share, abs=1e-12)
    around = [off(GopherRepetition, variant=variant, **{f"max_{rule}": share + by}) for by in (1e-9, -1e-9) if share + by >= 0]
    assert [reasons(limited, [text])[0] for limited in around] == [None, rule][: len(around)]


def test_prose_is_kept_and_a_menu_is_not() -> None:
    menu = "\n".join(f"- Menu entry {i}" for i in range(60))
    assert reasons(GopherQuality(), [PROSE, menu, "Too short."]) == [None, "bullet_lines", "too_few_words"]


def test_the_first_rule_broken_is_the_reason() -> None:
    assert reasons(GopherQuality(), ["# # # a"]) == ["too_few_words"]


def test_stop_words_are_told_by_case_and_counted_once() -> None:
    texts = ["The AND of", "of of", "", "the be to of and that have with"]
    assert [row["stop_words"] for row in scores(GopherQuality(), texts)] == [1, 1, 0, 8]
    german = off(GopherQuality, min_stop_words=2).model_copy(update={"stop_words": ("der", "und")})
    assert reasons(german, ["der Hund und", "the dog of"]) == [None, "few_stop_words"]


def test_stop_words_of_one_row_are_not_counted_for_its_neighbour() -> None:
    texts = ["", "the", "", "of and", "", ""]
    assert [row["stop_words"] for row in scores(GopherQuality(), texts)] == [0, 1, 0, 2, 0, 0]


def test_bullets_and_splitter_are_options() -> None:
    stars = GopherQuality(bullets="*")
    assert scores(stars, ["* a\n- b"])[0]["bullet_lines"] == 0.5
    assert scores(GopherQuality(splitter="whitespace"), ["it's a-b"])[0]["words"] == 2
    assert scores(GopherQuality(splitter="unicode"), ["it's a-b"])[0]["words"] == 4
    assert scores(GopherQuality(), ["it's a-b!"])[0]["words"] == 4  # it 's a - b !, of which - and ! are symbols


def test_nothing_is_divided_by_zero() -> None:
    empty, blank = scores(GopherQuality(), ["", " \n"])
    assert empty["words"] == 0
    assert {name for name, value in empty.items() if value is None} == {
        "mean_word_length", "hash_ratio", "ellipsis_ratio", "bullet_lines", "ellipsis_lines", "alphabetic_words",
    }  # fmt: skip
    assert blank["bullet_lines"] == 0
    nothing = scores(GopherRepetition(), [""])[0]
    assert nothing.pop("chars") == 0
    assert set(nothing.values()) == {None}
    assert reasons(GopherRepetition(), ["", "\n"]) == ["empty", "duplicate_lines"]


def test_zero_is_a_limit_and_none_is_none() -> None:
    assert reasons(off(GopherQuality, max_hash_ratio=0), ["a b", "a # b"]) == [None, "hashes"]
    assert reasons(off(GopherQuality), ["", "# # #"]) == [None, None]
    with pytest.raises(ValidationError):
        GopherQuality(min_words=-1)


# Shares of characters are of the whole text, newlines and spaces included.
@pytest.mark.parametrize(
    ("rule", "text", "share"),
    [
        ("duplicate_paragraphs", "a b\n\nc\n\na b\n\nd", 1 / 4),
        ("duplicate_paragraph_chars", "a b\n\nc\n\na b\n\nd", 3 / 14),
        ("duplicate_lines", "a b\nc\na b\nd", 1 / 4),
        ("duplicate_line_chars", "a b\nc\na b\nd", 3 / 11),
        ("top_2gram", "to be or to be", 10 / 14),
        ("top_3gram", "a b c d a b c", 10 / 13),
        ("top_4gram", "a b c d e", 7 / 9),
        ("duplicate_5grams", "a b c d e x a b c d e", 5 / 21),
        ("duplicate_6grams", "a b c d e f x a b c d e f", 6 / 25),
        ("duplicate_7grams", "a b c d e f g x a b c d e f g", 7 / 29),
        ("duplicate_8grams", "a b c d e f g h x a b c d e f g h", 8 / 33),
        ("duplicate_9grams", "a b c d e f g h i x a b c d e f g h i", 9 / 37),
        ("duplicate_10grams", "a b c d e f g h i j x a b c d e f g h i j", 10 / 41),
    ],
)
def test_each_repetition_on_both_sides_of_its_limit(rule: str, text: str, share: float) -> None:
    assert scores(GopherRepetition(), [text])[0][rule] == pytest.approx(share, abs=1e-12)
    assert reasons(off(GopherRepetition, **{f"max_{rule}": share + 1e-9}), [text]) == [None]
    assert reasons(off(GopherRepetition, **{f"max_{rule}": share - 1e-9}), [text]) == [rule]


def test_a_text_too_short_for_an_ngram_has_no_share() -> None:
    row = scores(GopherRepetition(), ["one two three four"])[0]
    assert row["top_4gram"] == 1
    assert [row[f"duplicate_{n}grams"] for n in range(5, 11)] == [None] * 6


def test_prose_does_not_repeat_itself_but_its_copies_do() -> None:
    assert reasons(GopherRepetition(), [PROSE, "\n\n".join([PROSE] * 3)]) == [None, "duplicate_paragraphs"]


def test_options_name_the_splitters_of_the_kernel() -> None:
    for splitter in ("tokens", "unicode", "whitespace"):
        step = GopherQuality.model_validate({"variant": "paper", "splitter": splitter})
        assert scores(step, ["a-b c"])[0]["words"] == len(words(*column(["a-b c"]), step.splitter).starts)
