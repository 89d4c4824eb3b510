from __future__ import annotations

from typing import Any

import pytest

from curate.steps.fineweb import FinewebQuality
from tests.steps.judge import off, reasons, scores


@pytest.mark.parametrize(
    ("limits", "kept", "dropped", "reason"),
    [
        ({"min_lines": 1}, "\n x", "\n \n", "no_lines"),
        ({"min_line_punctuation": 0.5}, "Done.\n\nGo on", "Done.\nGo on\nand on", "few_line_ends"),
        ({"max_short_lines": 0.5, "short_line": 3}, "abc\nabcd", "abc\nabcd\nabc", "short_lines"),
        ({"max_duplicate_chars": 0.25}, "aa\nbbbb\naa", "aaa\nbbbb\naaa", "duplicate_lines"),
        ({"max_newline_ratio": 0.5}, "a b\nc\nd e f", "a\nb\nc", "many_newlines"),
    ],
)
def test_each_rule_on_both_sides_of_its_limit(limits: dict[str, Any], kept: str, dropped: str, reason: str) -> None:
    assert reasons(off(FinewebQuality, **limits), [kept, dropped]) == [None, reason]


def test_defaults_drop_a_list_and_keep_a_page() -> None:
    page = "The harbour was rebuilt in three years, mostly with stone from the old fort.\nIt has not flooded since then!"
    assert reasons(FinewebQuality(), [page, "Home\nAbout us\nContact\nImprint"]) == [None, "few_line_ends"]


def test_line_ends_of_unicode_or_of_the_option() -> None:
    texts = ["終わり。", "क्या है।", "end.", "end. ", "end…", "“end.”", "end;"]
    assert [row["line_punctuation"] for row in scores(FinewebQuality(), texts)] == [1, 1, 1, 0, 0, 0, 0]
    assert [row["line_punctuation"] for row in scores(FinewebQuality(line_ends="…”"), texts)] == [0, 0, 0, 0, 1, 1, 0]


def test_fineweb_v1_counts_blank_lines_and_drops_what_is_at_a_limit() -> None:
    text = "Done.\n\nGo on and on\n"
    step = FinewebQuality(variant="fineweb-v1")
    row = scores(step, [text])[0]
    assert (row["line_punctuation"], row["short_lines"]) == (1 / 4, 1)
    assert scores(FinewebQuality(), [text])[0]["line_punctuation"] == 1 / 2
    assert (step.min_lines, step.line_ends) == (None, ".'\"!?")
    assert reasons(step, ["\n"]) == ["few_line_ends"]


@pytest.mark.parametrize(
    ("limits", "kept", "dropped", "reason"),
    [
        ({"min_line_punctuation": 0.5}, "Done.\nSo'\nGo on", "Done.\n\nGo on'\nNo", "few_line_ends"),
        ({"max_short_lines": 0.5, "short_line": 3}, "abcd\nabcde\n", "abc\nabcd", "short_lines"),
        ({"max_duplicate_chars": 0.25}, "aa\nbbbbb\naa", "aa\nbbbb\naa", "duplicate_lines"),
        ({"max_newline_ratio": 0.5}, "a\nb", "a\nb\nc", "many_newlines"),
    ],
)
def test_each_rule_of_fineweb_v1(limits: dict[str, Any], kept: str, dropped: str, reason: str) -> None:
    assert reasons(off(FinewebQuality, variant="fineweb-v1", **limits), [kept, dropped]) == [None, reason]


def test_nothing_is_divided_by_zero() -> None:
    empty, blank, marks = scores(FinewebQuality(), ["", "\n \n", "\n!"])
    nothing = {"lines": 0, "line_punctuation": None, "short_lines": None, "newline_ratio": None}
    assert empty == nothing | {"duplicate_chars": None}
    assert blank == nothing | {"duplicate_chars": 0}
    assert marks["newline_ratio"] == 1
    assert reasons(FinewebQuality(), [""]) == ["no_lines"]
