"""Answers are read strictly: the shape that was asked for, or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.synth.parse import Pair, instances, json_object, numbered, pairs, scores, verdict, yes_or_no
from curate.synth.sessions import NotParsed

LINES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)


@given(lines=st.lists(LINES, min_size=1, max_size=12), first=st.integers(1, 20))
def test_numbered_lines_come_back(lines: list[str], first: int) -> None:
    text = "\n".join(f"{first + i}. {line}" for i, line in enumerate(lines))
    assert numbered(text, first) == lines


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Here are tasks:\n9. a", "no number"),
        ("9. a\n11. b", "11 follows 9"),
        ("3. a", "begins with number 3"),
        ("", "no line"),
        ("9. a\nb", "no number"),
        ("9.a", "no number"),
        ("9. a\n9. b", "9 follows 9"),
    ],
)
def test_other_lists_are_not_read(text: str, says: str) -> None:
    with pytest.raises(NotParsed, match=says):
        numbered(text, 9)


def test_a_list_may_begin_anew_and_have_blank_lines() -> None:
    assert numbered("1) a\n\n2) b", 9) == ["a", "b"]


def test_pairs_over_several_lines() -> None:
    text = "Q: one\ntwo\nA: three\n\nfour\nFROM: “five”\nQ: six\nA: seven\nFROM: eight"
    assert pairs(text, 2, True) == [Pair("one\ntwo", "three\n\nfour", "five"), Pair("six", "seven", "eight")]
    assert pairs("Q: a\nA: b", 1, False) == [Pair("a", "b", "")]


@pytest.mark.parametrize(
    ("text", "quoted", "says"),
    [
        ("Q: a\nA: b", True, "Q A, not 1 times Q: A: FROM:"),
        ("Q: a\nA: b\nFROM: c", False, "Q A FROM, not 1 times Q: A:"),
        ("Sure.\nQ: a\nA: b", False, "begins with 'Sure.'"),
        ("A: a\nQ: b", False, "A Q, not"),
        ("Q: a\nA:", False, "'A:' is empty"),
        ("", False, "no label"),
        ("Q: a\nA: b\nQ: c\nA: d", False, "not 1 times"),
    ],
)
def test_other_pairs_are_not_read(text: str, quoted: bool, says: str) -> None:
    with pytest.raises(NotParsed, match=says):
        pairs(text, 1, quoted)


def test_instances_in_both_orders() -> None:
    text = "Input: a\nb\nOutput: c\nInput: NONE.\nOutput: d"
    assert instances(text, 2, output_first=False) == [("a\nb", "c"), ("", "d")]
    assert instances("Output: c\nInput: a", 1, output_first=True) == [("a", "c")]
    for wrong in (text, "Input: a\nOutput:", "Output: c\nInput: a", "So:\nInput: a\nOutput: c", ""):
        with pytest.raises(NotParsed):
            instances(wrong, 1, output_first=False)


def test_json_alone_or_in_a_fence() -> None:
    assert json_object('```json\n{"a": 1}\n```', ("a",)) == {"a": 1}
    assert json_object(' {"a": 1} ', ("a",)) == {"a": 1}


@pytest.mark.parametrize(
    "text", ["", "[1]", "null", '{"a": 1', '{"a": 1, "b": 2}', "{}", 'So: {"a": 1}', '{"a": 1} or so', "[" * 100_000]
)
def test_what_is_no_such_object_is_not_read(text: str) -> None:
    with pytest.raises(NotParsed):
        json_object(text, ("a",))


@given(value=st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.none(), st.lists(st.integers())))
def test_a_score_is_a_whole_number_in_its_range(value: Any) -> None:
    text = json.dumps({"reason": "", "x": value})
    if type(value) is int and 1 <= value <= 10:
        assert scores(text, ("x",), 1, 10) == {"x": value}
    else:
        with pytest.raises(NotParsed):
            scores(text, ("x",), 1, 10)


@pytest.mark.parametrize("better", ["A", "First", "", None, 1, "first "])
def test_a_verdict_is_one_of_three_words(better: Any) -> None:
    assert verdict('{"reason": "r", "better": "tie"}') == "tie"
    with pytest.raises(NotParsed):
        verdict(json.dumps({"reason": "r", "better": better}))


def test_yes_or_no() -> None:
    assert yes_or_no("Yes.")
    assert not yes_or_no("no")
    for text in ("yes, but", "maybe", "", "yesno"):
        with pytest.raises(NotParsed):
            yes_or_no(text)


@given(text=st.text())
@pytest.mark.parametrize(
    "parse",
    [lambda t: numbered(t, 9), lambda t: pairs(t, 1, True), lambda t: scores(t, ("x",), 1, 10), verdict, yes_or_no],
)
def test_any_text_is_read_or_not(parse: Callable[[str], Any], text: str) -> None:
    with contextlib.suppress(NotParsed):
        parse(text)
