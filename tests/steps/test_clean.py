from __future__ import annotations

import unicodedata
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from curate.declare import Rewrite, Step
from curate.steps import STEPS, AnyStep
from curate.steps.clean import Replace, Unicode, Whitespace
from tests.kernels.texts import texts

UNICODE = {form: Unicode(normalization=form).bind() for form in ("nfc", "nfkc", "none")}


def apply(step: Rewrite, *rows: str) -> list[str]:
    before = pl.Series(rows, dtype=pl.String)
    after: list[str] = step.bind()(before).to_list()
    assert before.to_list() == list(rows), "the step changed its input"
    return after


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("schÃ¶n", "schön"),
        ("itâ€™s", "it’s"),
        ("fish &amp; chips", "fish & chips"),
        ("&amp;lt;", "<"),
        ("<b>fish &amp; chips</b>", "<b>fish &amp; chips</b>"),
        ("fish &amp; chips\n<br>", "fish &amp; chips\n<br>"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("e\u0301te\u0301", "été"),
        ("A\u0303©", "é"),
        ("“quoted” ﬁne ＡＢ 10⁵\r\n", "“quoted” ﬁne ＡＢ 10⁵\r\n"),
        ("schön ist schön", "schön ist schön"),
        ("one line\nschÃ¶n\n\nlast\n", "one line\nschön\n\nlast\n"),
        ("schÃ¶n\r\nÂ 0\rÂ 0\u2028Â 0", "schön\r\n\xa00\r\xa00\u2028\xa00"),
        ("", ""),
    ],
)
def test_unicode_repairs(broken: str, whole: str) -> None:
    assert apply(Unicode(), "", broken, "x") == ["", whole, "x"]


def test_normal_forms() -> None:
    text = "ﬁne ＡＢ 10⁵ e\u0301"
    assert apply(Unicode(normalization="nfkc"), text) == ["fine AB 105 é"]
    assert apply(Unicode(normalization="none"), text) == [text]


@settings(max_examples=200)
@given(st.lists(texts, max_size=4), st.sampled_from(["nfc", "nfkc"]))
def test_the_form_is_reached(rows: list[str], form: Literal["nfc", "nfkc"]) -> None:
    for text in UNICODE[form](pl.Series(rows, dtype=pl.String)):
        assert unicodedata.is_normalized("NFC" if form == "nfc" else "NFKC", text)


def test_every_character_alone_or_after_another_reaches_the_form() -> None:
    """Of those that Python's Unicode knows (polars' tables may be newer), and that the step does not take out."""
    chars = [chr(code) for code in range(0x80, 0x30000) if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Cc", "Cf")]
    rows = [char + "a" + char for char in chars]
    assert UNICODE["nfc"](pl.Series(rows)).to_list() == [unicodedata.normalize("NFC", row) for row in rows]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("hy\xadphen \x00\u200bzero\ufeff", "hyphen zero"),
        ("sÃ\xad, mi gÃ¼ey", "sí, mi güey"),  # the soft hyphen is half of an í
        ("e\xad\u0301", "é"),  # what parted them is gone, and they compose
        ("fish &am\u200bp; chips", "fish & chips"),
        ("&#8203;a", "a"),
        (
            "می\u200cخواهم 🧑\u200d🚀 \u200fעברית \ue000 ❤\ufe0f \ufffd\n\tx",
            "می\u200cخواهم 🧑\u200d🚀 \u200fעברית \ue000 ❤\ufe0f \ufffd\n\tx",
        ),
        ("a\r\nb\rc\x0cd\u2028e", "a\r\nb\rc\x0cd\u2028e"),
    ],
)
def test_unicode_takes_out_what_cannot_be_seen(text: str, clean: str) -> None:
    assert apply(Unicode(), text, "x", text) == [clean, "x", clean]


def test_unicode_takes_out_more_when_asked() -> None:
    text = "a\u202eb \ue000 ❤\ufe0f \U000e0041 \ufffd hy\xadphen"
    every = ("bidi_controls", "private_use", "variation_selectors", "tags", "replacement")
    assert apply(Unicode(remove=every), text) == ["ab  ❤   hy\xadphen"]
    assert apply(Unicode(remove=()), text) == [text]


@settings(max_examples=200)
@given(st.lists(texts, max_size=4), st.sampled_from(["nfc", "nfkc", "none"]))
def test_unicode_twice_is_once(rows: list[str], form: str) -> None:
    once = UNICODE[form](pl.Series(rows, dtype=pl.String))
    assert UNICODE[form](once).to_list() == once.to_list()


def test_whitespace() -> None:
    assert apply(Whitespace(), "a \r\n\r\n\r\n\r\nb\u200b\x00c\t\n", "", "\n\n", "  x\ty") == ["a\n\nbc", "", "", "  x\ty"]
    assert apply(Whitespace()) == []


def test_replace() -> None:
    assert apply(Replace(pattern=r"(?m)^> (.*)$", value="$1"), "> quoted\nplain") == ["quoted\nplain"]
    with pytest.raises(ValidationError, match="match everywhere"):
        Replace(pattern="")


def test_a_bare_name_is_a_step_with_its_defaults() -> None:
    adapter: TypeAdapter[Step] = TypeAdapter(AnyStep)
    for step in STEPS:
        name = step.model_fields["step"].default
        try:
            plain = step.model_validate({})
        except ValidationError:  # it needs options
            with pytest.raises(ValidationError):
                adapter.validate_python(name)
        else:
            assert adapter.validate_python(name) == plain
    assert adapter.validate_python({"step": "replace", "pattern": "x"}) == Replace(pattern="x")
    with pytest.raises(ValidationError, match="gopher_quality"):
        adapter.validate_python("gopher")
