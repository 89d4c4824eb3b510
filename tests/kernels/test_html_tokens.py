from __future__ import annotations

import html as markup
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.html_names import MARKS, TAGS, WORD_BIT, WORDS, fnv, names
from curate.kernels.html_references import resolve
from curate.kernels.html_tokens import tokenize
from tests.kernels.texts import column

RAW = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
SKIPPED = tuple(name for name in RAW if name != "xmp")
PIECES = [
    "<p>", "</p>", "<P class='a'>", "<div id=x/>", "<a href=\"u?a=1&amp;b\">", "<a", " href='", "\"", "'", ">", "<",
    "</", "<br/>", "<!-- a -->", "<!-->", "<!--->", "--!>", "<!--", "-->", "<!doctype html>", "<![CDATA[x]]>",
    "<?xml ?>", "<script>", "</script>", "<SCRIPT type=x>", "</script ", "<style>", "</style>", "<textarea>",
    "</textarea>", "<title>", "</title>", "<xmp>", "</xmp>", "<svg>", "</svg>", "<svg/>", "a", " b ", "é", "漢", "\0",
    "\n", "&amp;", "&#65;", "=", "/", "<x-y z=1>", "<1", "</ >", "</>", "<h1 =a=b c>",
]  # fmt: skip
REFERENCES = [
    "&", "#", "x", "amp", "ngE;", "notit;", "lt", ";", "65", "4e00", "128", "é", "a ", "&nbsp;", "&#0;", "&#xD800;",
    "&#1114112;",    "&CounterClockwiseContourIntegral;", "&shy;", "&ngE",
]  # fmt: skip
pages = st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=3)


def attributes(page: bytes, i: int) -> int:
    """The byte behind the `>` of a tag, or -1: the attribute states of WHATWG HTML, one expression at a time."""
    while True:
        i = re.compile(rb"[\s/]*", re.ASCII).match(page.replace(b"\x0b", b"v"), i).end()  # type: ignore[union-attr]
        if i >= len(page):
            return -1
        if page[i : i + 1] == b">":
            return i + 1
        i = re.compile(rb".[^\t\n\f\r />=]*", re.DOTALL).match(page, i).end()  # type: ignore[union-attr]
        value = re.compile(rb"[\t\n\f\r ]*=[\t\n\f\r ]*").match(page, i)
        if not value:
            i = re.compile(rb"[\t\n\f\r ]*").match(page, i).end()  # type: ignore[union-attr]
            continue
        i = value.end()
        if i >= len(page):
            return -1
        quote = page[i : i + 1]
        if quote in (b'"', b"'"):
            end = page.find(quote, i + 1)
            if end < 0:
                return -1
            i = end + 1
        else:
            i = re.compile(rb"[^\t\n\f\r >]*").match(page, i).end()  # type: ignore[union-attr]


def twin(page: bytes) -> list[tuple[str, bytes]]:
    """("text", bytes), ("open", name) and ("close", name) of a page."""
    out: list[tuple[str, bytes]] = []
    i = text = 0
    svg = False

    def flush(end: int) -> None:
        if end > text:
            out.append(("text", page[text:end]))

    while i < len(page):
        rest = page[i:]
        if not re.match(rb"<[a-zA-Z/!?]", rest):
            i += 1
            continue
        flush(i)
        tag = re.match(rb"<(/?)([a-zA-Z][^\t\n\f\r />]*)", rest)
        if not tag:
            if rest.startswith(b"<!--"):
                comment = re.match(rb"<!--(?:>|->|.*?--!?>|.*\Z)", rest, re.DOTALL)
            else:
                comment = re.match(rb"<[^>]*>?", rest, re.DOTALL)
            assert comment
            i = text = i + comment.end()
            continue
        end = attributes(page, i + tag.end())
        if end < 0:
            return out
        name = tag[2].lower()
        alone = page[end - 2 : end - 1] == b"/"
        i = text = end
        if tag[1]:
            svg = svg and name != b"svg"
            out.append(("close", name))
        elif not (alone and (svg or name == b"svg")):
            svg = svg or name == b"svg"
            if name.decode() not in SKIPPED:
                out.append(("open", name))
            if name.decode() in RAW:
                close = re.compile(rb"</" + name + rb"(?=[\t\n\f\r />]|\Z)", re.IGNORECASE).search(page, i)
                i = text = close.start() if close else len(page)
                if name == b"xmp":
                    out.append(("text", page[end:i]))
    flush(len(page))
    return out


def cut(rows: list[bytes]) -> list[list[tuple[str, bytes]]]:
    data = np.frombuffer(b"".join(rows) or b"", np.uint8)
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    found = tokenize(offsets, data)
    hashes = {}
    for row in rows:
        for name in re.findall(rb"</?([a-zA-Z][^\t\n\f\r />]*)", row):
            hashes[fnv(name.lower()) >> 33] = name.lower()
    out = []
    for first, last in zip(found.pages[:-1], found.pages[1:], strict=True):
        page = []
        for what, start, end, _ in found.tokens[first:last].tolist():
            kind = ("text", "open", "close")[what & 3]
            page.append((kind, bytes(data[start:end]) if kind == "text" else hashes[what >> 32]))
        out.append(page)
    return out


@settings(max_examples=300)
@given(pages)
def test_tokens_equal_those_of_the_twin(rows: list[str]) -> None:
    # Scripts that hide scripts have a state of their own, below.
    raw = [row.replace("<!--", "").encode() if "<script" in row.lower() else row.encode() for row in rows]
    assert cut(raw) == [
        [t for t in twin(row) if t != ("text", b"")] if b"<xmp" not in row.lower() else twin(row) for row in raw
    ]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (b"<script><!-- <script>a</script>b --></script>c", b"c"),
        (b"<script><!-- a</script>c", b"c"),
        (b"<script><!-- <script>a --></script>c", b"c"),
        (b"<script>a</scripty></script >c", b"c"),
        (b"<style>a{}<!-- </style>c", b"c"),
        (b"<plaintext>a<b>c", b"a<b>c"),
        (b"<svg><style/><title>x</title></svg>c", b"c"),
        (b"a<!-- b", b"a"),
    ],
)
def test_raw_text(page: bytes, text: bytes) -> None:
    assert b"".join(data for kind, data in cut([page])[0] if kind == "text") == text


def test_facts_and_their_order_of_trust() -> None:
    page = (
        "<html lang=de-AT><head><title>T</title><meta property=og:title content='O &amp; P'><meta name=date content=2020-01-02>"
        "<meta property='article:published_time' content='2019-05-06T07:08Z'><link rel=canonical href=http://x/y></head>"
    )
    offsets, data = column([page, "<title>T</title><svg><title>S</title></svg>", "<script type=application/ld+json>"
                            '{"@type": "x", "datePublished" : "2011-02-03"}</script><time datetime=2000-01-01>'])  # fmt: skip
    facts = tokenize(offsets, data).facts
    said = [[bytes(data[a:b]).decode() if trust else None for a, b, trust in page] for page in facts.tolist()]
    assert said == [
        ["O &amp; P", "http://x/y", "2019-05-06T07:08Z", "de-AT"],
        ["T", None, None, None],
        [None, None, "2011-02-03", None],
    ]


def marks_of(attributes: str) -> set[str]:
    offsets, data = column([f"<div {attributes}>"])
    bits = int(tokenize(offsets, data).tokens[0, 3])
    return {name for k, name in enumerate(WORDS) if bits >> (WORD_BIT + k) & 1} | {
        name for k, name in enumerate(MARKS) if bits >> k & 1
    }


@pytest.mark.parametrize(
    ("attributes", "marks"),
    [
        ("class='side-bar'", {"side"}),
        ("class=mySideBar", {"side"}),
        ("id=COMMENTS", {"comment"}),
        ("class='articleBody'", {"body", "article"}),
        ("role=navigation", {"nav"}),
        ("class='adapter head'", {"head"}),
        ("class='ad'", {"ad"}),
        ("style='color: red; Display : none'", {"hidden"}),
        ("hidden", {"hidden"}),
        ("aria-hidden=true", {"hidden"}),
        ("aria-hidden=false data-class=nav", set()),
        ("class=a class=nav", set()),
    ],
)
def test_marks_of_attributes(attributes: str, marks: set[str]) -> None:
    assert marks_of(attributes) == marks


def resolved(text: str) -> str:
    offsets, data = column([text.replace("<", "")])
    out, tokens = resolve(data, tokenize(offsets, data))
    return "".join(bytes(out[a:b]).decode() for _, a, b, _ in tokens.tokens.tolist())


@settings(max_examples=300)
@given(st.lists(st.sampled_from(REFERENCES), max_size=8).map("".join))
def test_references_equal_pythons(text: str) -> None:
    wanted = re.sub(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\xad\u200b\ufeff]", "", markup.unescape(text)).replace("\xa0", "\x01")
    assert resolved(text) == wanted


def test_every_name_of_a_reference() -> None:
    for name, value in markup.entities.html5.items():
        if name.endswith(";") and value not in ("<", "&", "\xa0", "\xad", "\u200b"):
            assert resolved(f"x&{name}y") == f"x{value}y", name


def test_tables_hold_what_they_are_made_of() -> None:
    table = names()
    assert len(set(TAGS)) == len(TAGS) < 256
    assert len({fnv(name.encode()) for name in TAGS}) == len(TAGS)
    assert WORD_BIT + len(WORDS) < 63
    assert table.word_next.shape[0] < 2**15
