from __future__ import annotations

from typing import Literal

import pytest

from curate.steps.language import Language
from tests.steps.judge import off, reasons, scores

TEXTS = {
    "en": "The harbour was rebuilt in three years, mostly with stone from the old fort above the town.",
    "de": "Der Hafen wurde in drei Jahren wieder aufgebaut, meist mit Steinen der alten Festung über der Stadt.",
    "fr": "Le port a été reconstruit en trois ans, surtout avec les pierres du vieux fort au-dessus de la ville.",
    "es": "El puerto fue reconstruido en tres años, sobre todo con piedras de la vieja fortaleza.",
    "ja": "港は三年かけて、主に町の上にある古い砦の石を使って再建されました。",
    "ru": "Порт был восстановлен за три года, в основном из камня старой крепости над городом.",
    "zh": "港口在三年内重建，主要使用城镇上方古老堡垒的石头。这里的人们都很高兴。",
}


@pytest.mark.parametrize("engine", ["fasttext", "langdetect"])
def test_languages_are_told(engine: Literal["fasttext", "langdetect"]) -> None:
    got = scores(Language(engine=engine), list(TEXTS.values()))
    assert [row["language"] for row in got] == list(TEXTS)
    assert all(0.65 <= row["confidence"] <= 1 for row in got)


@pytest.mark.parametrize("engine", ["fasttext", "langdetect"])
def test_what_has_no_letter_has_no_language(engine: Literal["fasttext", "langdetect"]) -> None:
    texts = ["", " \n", "12 + 30 = 42", "🙂"]
    assert scores(Language(engine=engine), texts) == [{"language": None, "confidence": 0.0}] * 4
    assert reasons(Language(engine=engine), texts) == ["low_confidence"] * 4


def test_langdetect_answers_the_same_every_time() -> None:
    mixed = [f"{TEXTS['en']} {TEXTS['de']}", "ok tak da", *TEXTS.values()] * 3
    first = scores(Language(engine="langdetect"), mixed)
    assert scores(Language(engine="langdetect"), mixed) == first
    assert scores(Language(engine="langdetect"), mixed[::-1]) == first[::-1]


def test_allowed_languages_and_confidence() -> None:
    texts = [TEXTS["en"], TEXTS["de"], "asdf qwer"]
    assert reasons(Language(allow=("en",)), texts) == [None, "other_language", "low_confidence"]
    assert reasons(Language(allow=("en", "de"), min_confidence=None), texts[:2]) == [None, None]
    assert reasons(Language(), texts) == [None, None, "low_confidence"]


def test_confidence_on_both_sides_of_its_limit() -> None:
    text = "Guten Morgen, good morning"
    confidence = scores(Language(), [text])[0]["confidence"]
    assert 0 < confidence < 1
    assert reasons(off(Language, min_confidence=confidence), [text]) == [None]
    assert reasons(off(Language, min_confidence=min(confidence + 1e-6, 1)), [text]) == ["low_confidence"]


def test_only_the_first_characters_are_looked_at() -> None:
    text = TEXTS["en"] + "\r\n" + 20 * TEXTS["ja"]
    assert scores(Language(chars=len(TEXTS["en"])), [text])[0]["language"] == "en"
    assert scores(Language(chars=None), [text])[0]["language"] == "ja"
