"""Which encoding a page is in: by mark, header, meta, statistics, and against them."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.pages.encoding import decode

TEXTS = {
    "windows-1251": "Реки текут в море, и вода их пресная; иные реки пересыхают летом, и люди ходят по их дну.",
    "koi8-r": "Реки текут в море, и вода их пресная; иные реки пересыхают летом, и люди ходят по их дну.",
    "gb18030": "河流流入大海，淡水在夏天干涸，人们沿着河床行走。",
    "gb2312": "河流流入大海，淡水在夏天干涸，人们沿着河床行走。",
    "big5": "河流流入大海，淡水在夏天乾涸，人們沿著河床行走。",
    "shift_jis": "川は海に流れ込み、水は淡水である。夏に干上がる川もある。①",
    "euc-jp": "川は海に流れ込み、水は淡水である。夏に干上がる川もある。",
    "iso-2022-jp": "川は海に流れ込み、水は淡水である。",
    "euc-kr": "강은 바다로 흐르고 그 물은 민물이다. 여름에 마르는 강도 있다. 똠방각하",
    "iso-8859-2": "Rzeki płyną do morza, a niektóre z nich latem wysychają, więc ludzie chodzą ich korytami. Żółć.",
    "windows-1253": "Τα ποτάμια ρέουν στη θάλασσα και το νερό τους είναι γλυκό",
    "windows-1256": "الأنهار تجري إلى البحر وماؤها عذب",
    "windows-1252": "Die Flüsse fließen ins Meer – so sagt man, „natürlich“ für 5 €.",
    "utf-8": "Die Flüsse fließen ins Meer – 河流流入大海 – Реки текут в море",
    "utf-16-le": "Die Flüsse fließen ins Meer",
    "utf-16-be": "Die Flüsse fließen ins Meer",
}
CODECS = {"shift_jis": "cp932", "euc-kr": "cp949"}
"""What browsers, and so pages, mean by a name."""


def page(name: str, head: str = "") -> tuple[str, bytes]:
    body = f"<p>{TEXTS[name]}</p>\n<p>{TEXTS[name]}</p>"
    text = f"<!DOCTYPE html><html><head>{head}<title>x</title></head><body>{body}</body></html>"
    return text, text.encode(CODECS.get(name, name))


@pytest.mark.parametrize("name", TEXTS)
def test_statistics_tell(name: str) -> None:
    text, html = page(name)
    assert decode(html, None) == text
    assert decode(html, "text/html; charset=x-nonsense") == text


@pytest.mark.parametrize("name", TEXTS)
def test_the_header_tells(name: str) -> None:
    text, html = page(name)
    assert decode(html, f"text/html; charset={name}") == text
    assert decode(html, f'text/html;Charset="{name.upper()}"; x=y') == text


ASCII_BASED = [name for name in TEXTS if not name.startswith("utf-16")]


@pytest.mark.parametrize("name", ASCII_BASED)
@pytest.mark.parametrize(
    "head",
    [
        '<meta charset="{}">',
        "<META CHARSET={}>",
        '<meta http-equiv="Content-Type" content="text/html; charset={}">',
        "<!-- <meta charset=koi8-u> --><meta name=a content=b><meta charset='{}'/>",
    ],
)
def test_the_page_tells(name: str, head: str) -> None:
    text, html = page(name, head.format(name))
    assert decode(html, "text/html") == text


def test_the_order_is_mark_header_page() -> None:
    # Bytes that are some text in either encoding.
    html = b'<meta charset="koi8-r"><p>\xf0\xf1\xf2'
    assert decode(html, "text/html; charset=windows-1251").endswith("рст")
    assert decode(html, "text/html").endswith("ПЯР")
    for mark, name in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        text, html = page("utf-8", "<meta charset=koi8-r>")
        assert decode(mark + text.encode(name), "text/html; charset=windows-1251") == text


def test_an_xml_declaration_tells() -> None:
    text = f'<?xml version="1.0" encoding="windows-1251"?>\n<html xmlns="http://www.w3.org/1999/xhtml"><p>{"рст" * 2}</p>'
    assert decode(text.encode("cp1251"), None) == text
    assert decode(text.encode("cp1251"), "text/html; charset=koi8-r") != text


def test_meta_counts_in_the_first_1024_bytes_only() -> None:
    body = "<p>\xf0\xf1\xf2".encode("latin-1")
    meta = b"<meta charset=koi8-r>"
    within = b" " * (1024 - len(meta)) + meta + body
    assert decode(within, None).endswith("ПЯР")
    assert not decode(b" " * 9 + within, None).endswith("ПЯР")


def test_utf16_in_meta_means_utf8() -> None:
    text, html = page("utf-8", "<meta charset=utf-16>")
    assert decode(html, None) == text


def test_utf16_in_the_header_of_a_page_that_is_not() -> None:
    for name in ("utf-8", "windows-1251"):
        text, html = page(name)
        assert decode(html, "text/html; charset=utf-16") == text
    text = "河流流入大海，淡水在夏天干涸" * 20
    assert decode(text.encode("utf-16-le"), "text/html; charset=utf-16") == text


@pytest.mark.parametrize("said", ["iso-8859-1", "windows-1252", "windows-1251", "gbk", "shift_jis", "us-ascii"])
def test_utf8_under_another_name_is_utf8(said: str) -> None:
    text, html = page("utf-8")
    assert decode(html, f"text/html; charset={said}") == text
    made = decode(html[:-29], f"text/html; charset={said}")
    assert text.startswith(made.rstrip("\ufffd"))
    assert len(made) > len(text) - 30


def test_a_word_of_chinese_that_is_utf8_by_chance_is_chinese() -> None:
    html = "<p>模系</p>".encode("gbk")
    html.decode("utf-8")
    assert decode(html, "text/html; charset=gb2312") == "<p>模系</p>"


@pytest.mark.parametrize("name", ["utf-8", "gb18030", "shift_jis", "euc-kr", "big5", "euc-jp"])
def test_a_page_that_is_cut_off_within_a_character_keeps_its_encoding(name: str) -> None:
    text, _ = page(name)
    whole = text[: text.index("</p>")]
    cut = whole.encode(CODECS.get(name, name))[:-1]
    made = decode(cut, f"text/html; charset={name}")
    assert made.rstrip("\ufffd") == whole[:-1]
    assert len(made) <= len(whole)


def test_a_few_wrong_bytes_do_not_take_the_encoding_from_the_rest() -> None:
    for name in ("utf-8", "euc-kr", "shift_jis"):
        text, html = page(name, f"<meta charset={name}>")
        broken = html.replace(b"</p>\n<p>", b"\xff\xff</p>\n<p>")
        made = decode(broken, None)
        assert made.replace("\ufffd", "").replace("\uf8f3", "") == text, "U+F8F3 is what cp932 makes of FF"


def test_utf8_in_name_only_is_what_it_is() -> None:
    assert decode("naïve €".encode("cp1252"), "text/html; charset=utf-8") == "naïve €"
    for name in ("windows-1251", "shift_jis", "gb18030", "euc-kr"):
        text, html = page(name)
        assert decode(html, "text/html; charset=utf-8") == text


def test_what_was_encoded_twice_is_left_to_those_who_mend_it() -> None:
    twice = "Die Flüsse fließen".encode().decode("cp1252")
    assert decode(twice.encode(), "text/html; charset=utf-8") == twice


@given(st.binary(max_size=300), st.sampled_from([None, "", "text/html", *(f"text/html; charset={name}" for name in TEXTS)]))
def test_no_page_fails(html: bytes, content_type: str | None) -> None:
    decode(html, content_type).encode()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=300))
def test_utf8_that_says_so_is_taken_as_it_is(text: str) -> None:
    assert decode(text.encode(), "text/html; charset=utf-8") == text
