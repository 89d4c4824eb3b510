from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html as lxml_html  # type: ignore[import-untyped]

from curate.kernels.html_features import FEATURES, features
from curate.kernels.html_lines import lines
from curate.kernels.html_names import TAGS
from curate.kernels.html_rank import choose, score, seen
from curate.kernels.html_references import resolve
from curate.kernels.html_tokens import tokenize
from curate.kernels.html_tree import Pages, scan
from tests.kernels.test_html_tokens import PIECES
from tests.kernels.texts import column

MORE = [
    "<table>", "<td>", "<tr>", "</table>", "<li>", "</li>", "<ul>", "<pre>", "<br>", "<h2>", "</div>", "<dd>",
    "<template>", "<option>", "<button>",
]  # fmt: skip


def parsed(rows: list[str], links: bool = False) -> Pages:
    offsets, data = column(rows)
    return scan(*resolve(data, tokenize(offsets, data)), links)


def blocks_of(pages: Pages) -> list[str]:
    return [bytes(pages.text[row[0] : row[1]]).decode() for row in pages.blocks]


def blocks(page: str) -> list[str]:
    return blocks_of(parsed([page]))


def tags(page: str) -> list[str]:
    pages = parsed([page])
    return [TAGS[pages.nodes[row[2], 1]] for row in pages.blocks]


def rendered(rows: list[str], links: bool = False) -> list[str]:
    pages = parsed(rows, links)
    bounds, data = lines(pages, seen(pages))
    return [bytes(data[a:b]).decode() for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("<p>a<p>b<div>c</div>d", ["a", "b", "c", "d"]),
        ("<p>a <b>b</b>\n c<i>d</i></p>", ["a b cd"]),
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>", ["a", "b", "c", "d"]),
        ("<dl><dt>a<dd>b<dt>c</dl>", ["a", "b", "c"]),
        ("<table><tr><td>a<td>b<tr><th>c</table>d", ["a", "b", "c", "d"]),
        ("a<br>b<br/>c", ["a\nb\nc"]),
        ("a<br> <br>b<br><br><br>c", ["a", "b", "c"]),
        ("<pre>\n a\n  b\r\n\tc \n\n\n\nd\n</pre>", [" a\n  b\n\tc\n\nd"]),
        ("<pre>a<br>b<br><br>c</pre>", ["a\nb\n\nc"]),
        ("a&nbsp; \u3000b&shy;c\u200bd\ufeff\x07e", ["a bcde"]),
        ("a &lt;b&gt; &amp;amp; 1 < 2 <3", ["a <b> &amp; 1 < 2 <3"]),
        ("<head><title>t</title><style>s</style></head><body>b<noscript>n</noscript><select><option>o</select>", ["b"]),
        ("a<svg><text>x</text><p>b", ["a", "b"]),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>字", ["漢字"]),
        ("<span><div>a</span>b</div>c", ["ab", "c"]),
        ("<h1>a<h2>b</h1>c", ["a", "b", "c"]),
        ("</p></div></b>a", ["a"]),
        ("<template><p>a</template>b", ["b"]),
        ("", []),
    ],
)
def test_blocks(page: str, wanted: list[str]) -> None:
    assert blocks(page) == wanted


def test_what_holds_a_block() -> None:
    assert tags("<div>a<p>b</div>c<li>d<blockquote>e</blockquote>f") == ["div", "p", "", "li", "blockquote", "li"]
    # A cell ends what is open in it, and nothing outside of the table.
    assert tags("<div><table><td><div>a<td>b</div></table>c</div>d") == ["div", "td", "div", ""]


def test_counts_of_a_block() -> None:
    (row,) = parsed(["<p>One, <a href=x>two THREE</a>: 4. 漢字。<br>x</p>"]).blocks.tolist()
    mass = len("One,twoTHREE:4.x") + 2 * 3 + 1
    assert row[3:12] == [mass, len("twoTHREE"), 6, 2, 2, 6, 1, 1, 1]
    pages = parsed(["<p><a href=x>a b<p>c</a> d<p>e"])
    assert pages.blocks[:, 4].tolist() == [2, 0, 0], "a link that is not closed ends with its block"
    assert parsed(["<a href=x><div>a</div><p>bc</p></a>d"]).blocks[:, 4].tolist() == [1, 2, 0]


def test_text_of_lists_tables_and_links() -> None:
    page = (
        "<h1>H</h1><p>a</p><ul><li>b<li><p>c</p><p>d</p></ul><p>e</p>"
        "<table><tr><th>x<th>y<th>z<tr><td>1<td><td>3</table><dl><dt>t<dd>u</dl><table><tr><td>one<tr><td>two</table>"
    )
    assert rendered([page]) == ["H\n\na\n\n- b\n- c\n\nd\n\ne\n\nx\ty\tz\n1\t\t3\n\nt\nu\n\none\n\ntwo"]
    assert rendered(["<p>see <a href='http://x/?a&amp;b'>this </a>now", "<a>x</a>"], links=True) == [
        "see this (http://x/?a&b) now",
        "x",
    ]
    assert rendered(["<p style='display:none'>a</p><div hidden><p>b</div><p>c <span hidden>d</span></p>"]) == ["c d"]


words = st.lists(st.sampled_from(["one", "zwei", "三", "four,"]), min_size=1, max_size=3).map(
    lambda parts: f" {' '.join(parts)} "
)
trees = st.recursive(
    words,
    lambda inner: st.builds(
        lambda name, children: f"<{name} class='x'>{''.join(children)}</{name}>",
        st.sampled_from(["div", "section", "span", "b", "em", "article", "blockquote", "ul", "custom-x"]),
        st.lists(inner, max_size=4),
    ),
    max_leaves=15,
)


@settings(max_examples=200)
@given(st.lists(trees, min_size=1, max_size=4).map("".join))
def test_all_text_of_well_formed_pages_is_that_of_lxml(body: str) -> None:
    page = f"<html><head><title>t</title></head><body>{body}</body></html>"
    wanted = " ".join(lxml_html.fromstring(page).body.text_content().split())
    assert " ".join(" ".join(rendered([page])).split()) == wanted


def rank_twin(pages: Pages, scores: Any) -> list[bool]:
    """`choose`, a page at a time."""
    keep: list[bool] = []
    for first, last in zip(pages.page_blocks[:-1], pages.page_blocks[1:], strict=True):
        mass, chance = pages.blocks[first:last, 3].tolist(), scores[first:last].tolist()
        total = sum(m * c for m, c in zip(mass, chance, strict=True))
        best = (-1.0, 0.5)
        right = taken = 0.0
        for k in sorted(range(last - first), key=lambda k: -chance[k]):
            right, taken = right + mass[k] * chance[k], taken + mass[k]
            if 2 * right / (taken + total) > best[0]:
                best = (2 * right / (taken + total), chance[k])
        before: set[bytes] = set()
        for k in range(last - first):
            text = bytes(pages.text[pages.blocks[first + k, 0] : pages.blocks[first + k, 1]])
            good = chance[k] >= min(best[1], 0.5)
            keep.append(good and not (mass[k] >= 60 and text in before))
            if good:
                before.add(text)
    return keep


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.sampled_from(["<p>", "a", "long words " * 8, "<li>", "b, "]), max_size=12).map("".join), max_size=3),
    st.randoms(),
)
def test_choice_equals_its_twin(rows: list[str], draw: Any) -> None:
    pages = parsed(rows)
    scores = np.array([draw.randrange(1, 100) / 100 for _ in pages.blocks])
    assert choose(pages, scores).tolist() == rank_twin(pages, scores)


def test_scores_are_sums_of_leaves() -> None:
    splits = np.array([[[0, 0.5, 1, -1], [1, 2.0, -2, -3]], [[1, 9.0, -1, -1], [0, 0, 0, 0]]])
    leaves = np.array([[0.1, 0.2, 0.4], [1.0, 0, 0]])
    rows = np.array([[1, 0], [0, 2], [0, 3]], np.float32)
    assert score(rows, splits, leaves) == pytest.approx(1 / (1 + np.exp(-np.array([1.1, 1.2, 1.4]))))


@settings(max_examples=300)
@given(
    st.lists(st.lists(st.one_of(st.sampled_from(PIECES + MORE), st.text(max_size=4)), max_size=30).map("".join), max_size=3),
    st.booleans(),
)
def test_any_page_is_taken_apart(rows: list[str], links: bool) -> None:
    rows = [row.encode("utf-8", "ignore").decode() for row in rows]
    pages = parsed(rows, links)
    found = features(pages)
    assert found.shape == (len(pages.blocks), len(FEATURES))
    assert np.isfinite(found).all()
    assert (pages.blocks[:, 3] > 0).all()
    assert (pages.blocks[:, 4] <= pages.blocks[:, 3]).all()
    assert all(blocks_of(pages))
    for text in [*blocks_of(pages), *rendered(rows, links)]:
        assert text.rstrip(" \n\t") == text
    first, last = pages.nodes[:, 3], pages.nodes[:, 4]
    assert (first <= last).all()
    alone = [rendered([row], links)[0] for row in rows]
    assert rendered(rows, links) == alone, "pages do not touch one another"


HOSTILE = {
    "nested": "<div>" * 300_000 + "x" + "</div>" * 300_000,
    "nested inline": "<b>" * 300_000 + "x" + "</i>" * 300_000,
    "nested tables": "<table><tr><td>" * 100_000 + "x",
    "nested lists": "<ul><li>" * 200_000 + "x",
    "links": "<a href=x>" * 200_000 + "x",
    "paragraphs": "<p>x" * 500_000,
    "blocked ends": ("<div>" + "<b>" * 400 + "</div2>" * 400) * 1500,
    "one line": "word, " * 500_000,
    "angles": "<" * 3_000_000,
    "quotes": "<a " + "\"'=" * 700_000,
    "attributes": "<a " + "x=1 class=nav " * 200_000 + ">x",
    "comment": "<!--" * 500_000,
    "script": "<script>" + "<!--<script>" * 200_000,
    "references": "&amp" * 500_000 + "&" * 500_000 + "&#" * 200_000 + "&nGt;" * 200_000,
    "zeros": "\0" * 2_000_000 + "<p\0>x",
    "entities": "<p title='" + "&" * 2_000_000 + "'>x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_come_to_an_end(name: str) -> None:
    page = HOSTILE[name]
    began = time.process_time()
    pages = parsed([page])
    choose(pages, np.full(len(features(pages)), 0.5))
    lines(pages, seen(pages))
    # Linear work on 1 to 3 MB is a fraction of a second on any machine; quadratic work on the same about a minute or more.
    assert time.process_time() - began < 10
