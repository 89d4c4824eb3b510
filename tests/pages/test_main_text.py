"""Main text, over whole pages: quality on layouts of our own, what pages say about themselves, decoding left out."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from curate.pages import main_text
from curate.pages.main_text import COLUMNS, extract_pages, learnt_trees, read_trees
from tests.pages.layouts import LAYOUTS


def made(*pages: str, url: list[str | None] | None = None, **options: Any) -> list[dict[str, Any]]:
    urls = pl.Series(url, dtype=pl.String) if url is not None else None
    return extract_pages(pl.Series(pages, dtype=pl.String), urls, **options).to_dicts()


def test_quality_on_every_layout_together() -> None:
    texts = [row["text"] for row in made(*(layout.html for layout in LAYOUTS.values()))]
    pairs = list(zip(LAYOUTS.values(), texts, strict=True))
    found = sum(segment in text for layout, text in pairs for segment in layout.main)
    wrong = sum(segment in text for layout, text in pairs for segment in layout.rest)
    all_of_it = sum(len(layout.main) for layout in LAYOUTS.values())
    assert 2 * found / (found + wrong + all_of_it) > 0.95
    assert found > 0.95 * all_of_it
    assert len(LAYOUTS) > 20


def test_nothing_and_next_to_nothing() -> None:
    assert made() == []
    assert [row["text"] for row in made("", "<script>x</script>", "just words", "<nav><a href=/>Home</a></nav>")] == [
        "", "", "just words", "Home",
    ]  # fmt: skip


def test_pages_do_not_depend_on_how_many_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [layout.html for layout in LAYOUTS.values()]
    urls: list[str | None] = [f"http://x/20{k + 10}/01/02/" if k % 2 else None for k in range(len(pages))]
    at_once = made(*pages, url=urls)
    for size in (1, 5000):
        monkeypatch.setattr(main_text, "PIECE", size)
        assert made(*pages, url=urls) == at_once


def facts(page: str, url: str | None = None) -> tuple[Any, ...]:
    (row,) = made(page, url=[url])
    return tuple(row[name] for name in COLUMNS if name != "text")


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("<html lang=de_AT><title> A\n &amp; B&nbsp;C</title>", ("A & B C", None, None, "de-AT")),
        ("<h1>One <b>two</b></h1><h1>x</h1>", ("One two", None, None, None)),
        ("<title>&copy=1</title><title>x</title>", ("&copy=1", None, None, None)),
        ("<link rel=canonical href='https://x/a?b=1&amp;c=2&copy=3'>", (None, "https://x/a?b=1&c=2&copy=3", None, None)),
        ("<link rel=canonical href=/relative><meta property=og:url content=http://x/y>", (None, None, None, None)),
        ("<meta property=og:url content=http://x/2019/3/7/y>", (None, "http://x/2019/3/7/y", "2019-03-07", None)),
        ("<meta name=date content='2019-02-30'>", (None, None, None, None)),
        ("<meta name=date content='20190228'>", (None, None, "2019-02-28", None)),
        ("<time datetime='2011-05-06T07:08:09+02:00'>May</time>", (None, None, "2011-05-06", None)),
        ("<meta http-equiv=Content-Language content=fr>", (None, None, None, "fr")),
        ("<html lang='no such language'>", (None, None, None, None)),
        ("<meta property='og:title' content=' '>", (None, None, None, None)),
    ],
)
def test_facts(page: str, wanted: tuple[Any, ...]) -> None:
    assert facts(page) == wanted


def test_the_day_of_an_address_is_that_of_the_page() -> None:
    assert facts("<p>x", "http://x.org/blog/2012/05/31/name")[2] == "2012-05-31"
    assert facts("<p>x", "http://x.org/2012/13/31/name")[2] is None
    assert facts("<p>x", "http://x.org/item/20120531999")[2] is None
    assert extract_pages(pl.Series(["<p>x"])).columns == list(COLUMNS)


def test_options() -> None:
    page = "<nav><a href=/h>Home</a></nav><p>a <a href=http://y/>b</a></p><table><tr><td>c<td>d</table><p hidden>e</p>"
    assert made(page, main_content=False)[0]["text"] == "Home\n\na b\n\nc\td"
    assert made(page, main_content=False, tables=False, links=True)[0]["text"] == "Home (/h)\n\na b (http://y/)"


def test_trees_lead_somewhere() -> None:
    from curate.kernels.html_features import FEATURES

    trees = learnt_trees()
    assert trees.splits[:, :, 0].max() < len(FEATURES)
    count, splits = trees.leaves.shape[0], trees.splits.shape[1]
    assert count > 100
    assert trees.leaves.shape[1] == splits + 1
    assert (trees.splits[:, :, 2:] < splits).all()
    assert (trees.splits[:, :, 2:] >= -1 - splits).all()
    small = read_trees(["# said", "3:0.5:-1:1 2:1e-3:-2:-3 0.25 -1 2", "0.5"])
    assert small.splits.tolist() == [[[3, 0.5, -1, 1], [2, 0.001, -2, -3]], [[0, 0, -1, -1], [0, 0, 0, 0]]]
    assert small.leaves.tolist() == [[0.25, -1, 2], [0.5, 0, 0]]
