from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from curate.declare import Batch
from curate.engine.pipeline import Pipeline
from curate.errors import InputError
from curate.formats.readings import pick
from curate.steps.fineweb2 import Fineweb2Quality
from tests.steps.judge import reasons, scores
from tests.work import rows

LIMITS = str(Path(__file__).parent / "limits")
OFF = dict.fromkeys([name for name in Fineweb2Quality.model_fields if name.startswith(("min_", "max_"))], None)


def only(name: str, text: str, **options: Any) -> float | None:
    """One score of a text in the made-up language."""
    step = Fineweb2Quality.model_validate({"thresholds": LIMITS, "language": "aaa_Latn"} | options)
    value: float | None = scores(step, [text])[0][name]
    return value


@pytest.mark.parametrize(
    ("score", "kept", "dropped"),
    [
        ("duplicate_lines_excess", "a\na", "a\na\na"),
        ("top_2gram_excess", "ab cd efgh ij", "ab cd ab cd"),
        ("top_3gram_excess", "a b c defghi", "a b c def"),
        ("top_4gram_excess", "a b c d efghijkl", "a b c d efghi"),
        # 5 of 29 characters are in a 5-gram seen before, then 5 of 19: on both sides of a quarter.
        ("duplicate_5grams_excess", "a b c d e a b c d e 1 2 3 4 5", "a b c d e a b c d e"),
        ("line_punctuation_excess", "A.\nb", "A.\nb\nc"),
        ("newline_ratio_excess", "a b\nc d\n", "a\nb\n"),
        ("min_mean_word_length_excess", "ab", "a"),
        ("max_mean_word_length_excess", "abcde", "abcdef"),
        ("alphabetic_words_excess", "a 1", "a 1 2"),
        ("stop_words_excess", "la l'eau", "la la eau"),
    ],
)
def test_each_limit_of_a_language_on_both_sides(score: str, kept: str, dropped: str) -> None:
    below, beyond = only(score, kept), only(score, dropped)
    assert below is not None
    assert beyond is not None
    assert below <= 0 < beyond


@pytest.mark.parametrize(
    ("limits", "kept", "dropped", "reason"),
    [
        ({"max_duplicate_chars": 0.25}, "bb.\n1234567.\nbb.", "bb.\n1234.\nbb.", "duplicate_chars"),
        ({"min_words": 3}, "abc def ghi jkl.", "abcd defg.", "too_few_words"),
        ({"max_words": 3}, "abcde fgh ijk.", "abc defg hij klmn.", "too_many_words"),
        ({"max_hash_ratio": 0.25}, "abc def ghi jkl # m.", "abc def ghi jkl # #.", "hashes"),
        ({"max_ellipsis_ratio": 0.25}, "abc def ghi jkl ...", "abc def ghi ....", "ellipses"),
        ({"max_bullet_lines": 0.5}, "- abcd.\nefgh ijkl mnop.", "- abcd.\n- efgh ijkl mnop.", "bullet_lines"),
        ({"max_ellipsis_lines": 0.5}, "abcd...\nefgh ijkl.", "abcd...\nefgh...", "ellipsis_lines"),
        ({"min_stop_words": 1}, "la terre est ronde.", "terre est ronde ici.", "few_stop_words"),
    ],
)
def test_each_rule_of_all_languages_on_both_sides(limits: dict[str, Any], kept: str, dropped: str, reason: str) -> None:
    step = Fineweb2Quality.model_validate({"thresholds": LIMITS, "language": "aaa_Latn"} | OFF | limits)
    # Short texts are over the limits of n-grams: only the rule at hand is looked at.
    own = next(rule for rule in step.rules() if rule.reason == reason)

    def passes(text: str) -> bool:
        score = scores(step, [text])[0][own.score]
        return (own.min is None or score >= own.min) and (own.max is None or score <= own.max)

    assert [passes(kept), passes(dropped)] == [True, False]


def judged(step: Fineweb2Quality, texts: list[str], **columns: list[Any]) -> list[str | None]:
    frame = rows(texts, **columns)
    outcome = Pipeline([step], pick("text")).run(frame, 0, 0)
    assert not outcome.rejected, outcome.rejected
    why = {row["id"]: row["reason"] for part in outcome.dropped for row in part.to_dicts()}
    return [why.get(id) for id in frame["id"]]


PAGE = "La prima riga termina qui.\nAltre parole con l'aria di mare.\nSono tutte brevi e non uguali fra loro."


def test_limits_follow_the_language_of_the_row() -> None:
    step = Fineweb2Quality(thresholds=LIMITS, language_column="lang", names={"b": "bbb_Latn"}, min_words=5)
    languages = ["aaa_Latn", "b", "bbb_Latn", "b", None, "b.", "../limits/aaa_Latn", "zzz_Latn"]
    # Two stop words of each language are asked for; bbb has no limit for repeated lines.
    texts = [PAGE, PAGE, PAGE.replace("non", "no el") + " " + "La\n" * 3, *["x"] * 5]
    assert judged(step, texts, lang=languages) == [
        "few_stop_words", "few_stop_words", None, "too_few_words", None, None, None, None,
    ]  # fmt: skip
    drop = step.model_copy(update={"unknown_language": "drop"})
    assert judged(drop, texts, lang=languages)[3:] == ["too_few_words", *["unknown_language"] * 4]
    frame = rows(["x"], lang=["zzz_Latn"])
    (row,) = step.bind()(Batch(frame, frame["text"], pl.int_range(1, eager=True))).to_dicts()
    assert row == dict.fromkeys(row) | {"known_language": 0}


def test_confidence_by_language() -> None:
    step = Fineweb2Quality.model_validate({"thresholds": LIMITS, "language_column": "lang", "confidence_column": "sure"} | OFF)
    frame = rows(["x"] * 5, lang=["aaa_Latn", "aaa_Latn", "bbb_Latn", "bbb_Latn", "aaa_Latn"], sure=[0.5, 0.4, 0.9, 0.8, None])
    found = step.bind()(Batch(frame, frame["text"], pl.int_range(5, eager=True)))["confidence_excess"]
    assert [None if value is None else value > 0 for value in found] == [False, True, False, True, None]


def test_rules_on_words_are_off_where_no_space_parts_them() -> None:
    (row,) = scores(Fineweb2Quality(thresholds=LIMITS, language="ccc_Thai"), ["ภาษาไทยไม่มีช่องว่าง\nระหว่างคำ"])
    assert {name for name, value in row.items() if value is not None} == {
        "duplicate_lines_excess", "line_punctuation_excess", "lines", "duplicate_chars", "bullet_lines", "ellipsis_lines",
        "known_language",
    }  # fmt: skip


def test_empty_texts_have_no_lines() -> None:
    assert reasons(Fineweb2Quality(thresholds=LIMITS, language="aaa_Latn"), ["", "\n \n"]) == ["no_lines", "no_lines"]


def test_mistakes_are_named(tmp_path: Path) -> None:
    for given in ({}, {"language": "a", "language_column": "b"}):
        with pytest.raises(ValidationError, match="give one of language and language_column"):
            Fineweb2Quality.model_validate({"thresholds": LIMITS} | given)
    with pytest.raises(InputError, match="no folder of limits"):
        Fineweb2Quality(thresholds=str(tmp_path / "none"), language="aaa_Latn").bind()
    with pytest.raises(InputError, match="no limits for xxx_Latn"):
        Fineweb2Quality(thresholds=LIMITS, language="xxx_Latn").bind()
    for content in ("dup_line_frac: 0.1\n", "[1", "a: b: c", b"\xff"):
        (tmp_path / "bad_Latn.yml").write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(InputError, match=r"bad_Latn.yml: no limits of FineWeb-2's form: [^\n]+$"):
            Fineweb2Quality(thresholds=str(tmp_path), language="bad_Latn").bind()
        (tmp_path / "bad_Latn.yml").unlink()
