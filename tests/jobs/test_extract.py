"""The job `extract` and its steps, on pages as servers send them."""

from __future__ import annotations

from typing import Any, get_args

import polars as pl
import pytest
from pydantic import ValidationError

from curate.declare import Batch, Rows
from curate.jobs.extract import Extract
from curate.pages.encoding import decode, decode_all
from curate.steps.extract import ExtractHtml, PageSize, PageText

ENGINES = get_args(PageText.model_fields["engine"].annotation)
ARTICLE = """<!DOCTYPE html><html><head><title> On
  rivers </title><style>p {color: red}</style></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/about">About us</a></li></ul></nav>
<article><h1>Rivers</h1>
<p>A river is a natural flowing watercourse, usually of fresh water, that runs towards an ocean, a lake or another river.
It ends where it <a href="http://example.org/sea">meets the sea</a>, and it begins where the rain falls and gathers.</p>
<p>Some&nbsp;rivers run dry before they reach another body of water, and their beds are used as roads in the dry months.</p>
<pre>
def flow(x):
    return x
</pre>
<table><tr><td>Nile</td><td>6650 km</td></tr></table>
<p>Small rivers are called brooks, creeks, rills or streams, as the people who live beside them are used to say it.</p>
</article>
<footer><p>Cookie settings</p></footer><script>var x = 1</script></body></html>"""


def batch(pages: list[bytes | None], content_type: str | None = None, **columns: list[Any]) -> Batch:
    ids = [f"p{i}" for i in range(len(pages))]
    frame = pl.DataFrame(
        {"id": ids, "html": pages, "content_type": [content_type] * len(pages), **columns},
        schema_overrides={"html": pl.Binary, "content_type": pl.String},
    )
    return Batch(frame, pl.Series([""] * len(pages), dtype=pl.String), pl.Series(range(len(pages)), dtype=pl.Int64))


def texts(step: ExtractHtml, *pages: str) -> list[dict[str, Any]]:
    return list(step.bind()(batch([page.encode() for page in pages])).to_dicts())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_main_text_is_taken(engine: Any) -> None:
    (made,) = texts(ExtractHtml(engine=engine), ARTICLE)
    assert made["title"] == "On rivers"
    text = made["text"]
    assert "A river is a natural flowing watercourse" in text
    assert "Some rivers run dry" in text, "no-break spaces become spaces"
    assert "    return x" in text, "code keeps its indentation"
    assert "Nile" in text
    for boilerplate in ("About us", "Cookie settings", "var x", "color"):
        assert boilerplate not in text
    assert text == text.strip("\n")
    assert not any(line != line.rstrip() for line in text.split("\n"))
    assert "\n\n\n" not in text


@pytest.mark.parametrize("engine", ENGINES)
def test_options_change_what_is_taken(engine: Any) -> None:
    (made,) = texts(ExtractHtml(engine=engine, tables=False, links=True), ARTICLE)
    assert "Nile" not in made["text"]
    assert "http://example.org/sea" in made["text"]
    if engine != "trafilatura":
        (all_of_it,) = texts(ExtractHtml(engine=engine, main_content=False), ARTICLE)
        assert "About us" in all_of_it["text"]
        assert "Cookie settings" in all_of_it["text"]


@pytest.mark.parametrize("engine", ["curate", "resiliparse"])
def test_pages_without_text_make_no_row_and_the_others_keep_their_parent(engine: Any) -> None:
    step = ExtractHtml(engine=engine)
    made = step.bind()(
        batch([b"", ARTICLE.encode(), None, b"<html><body><script>x</script></body></html>", b"just words here"])
    )
    assert made.columns == ["parent", *step.makes(), *(["reason", "value"] if engine == "resiliparse" else [])]
    assert made["parent"].to_list() == [1, 4]
    assert made["text"][1] == "just words here"
    assert made["title"].to_list() == ["On rivers", None]


def test_what_a_page_says_of_itself() -> None:
    page = "<html lang=en><link rel=canonical href=http://x/y><meta property='article:published_time' content=2020-05-06T07>"
    pages = [(page + ARTICLE).encode(), ARTICLE.encode()]
    made = ExtractHtml().bind()(batch(pages, url=["http://x/z", "http://x/2019/05/06/z"])).to_dicts()
    assert [(row["canonical_url"], row["published"], row["declared_language"]) for row in made] == [
        ("http://x/y", "2020-05-06", "en"),
        (None, "2019-05-06", None),
    ]


def test_the_header_of_a_page_of_layout_tables_keeps_its_lines_and_loses_its_cells() -> None:
    page = "<table><tr><td>&nbsp;&nbsp;</td><td>&nbsp;</td><td>f(x)</td></tr></table><p>one</p>\n\n\n<br><br><br><p>two</p>"
    (made,) = texts(ExtractHtml(main_content=False), page)
    assert made["text"].split("\n\n")[0] == "f(x)"
    assert "\n\n\n" not in made["text"]


@pytest.mark.parametrize(
    ("html", "content_type", "text"),
    [
        ("naïve".encode(), None, "naïve"),
        ("\ufeffnaïve".encode(), "text/html; charset=iso-8859-1", "naïve"),
        ("naïve".encode("cp1252"), "text/html; charset=ISO-8859-1", "naïve"),
        ("naïve".encode("cp1252"), 'text/html; Charset="latin1"', "naïve"),
        ("naïve €".encode("cp1252"), "text/html; charset=utf-8", "naïve €"),
        ('<meta charset="shift_jis">日本'.encode("shift_jis"), "text/html", '<meta charset="shift_jis">日本'),
        ("日本".encode("utf-16"), None, "日本"),
        ("日本語のテキスト、これは長い文章です。".encode("euc_jp"), "text/html; charset=x-nonsense", None),
        (b"a\xffb\x81c", "text/html; charset=utf-8", "a\ufffdb\ufffdc"),
    ],
)
def test_encodings(html: bytes, content_type: str | None, text: str | None) -> None:
    wanted = text if text is not None else html.decode("euc_jp")
    assert decode(html, content_type) == wanted
    beside = pl.Series(["plain é".encode(), html, None, b""], dtype=pl.Binary)
    assert decode_all(beside, pl.Series([None, content_type, None, None], dtype=pl.String)).to_list() == [
        "plain é",
        wanted,
        "",
        "",
    ]


def test_large_pages_are_dropped_by_name() -> None:
    job = Extract(max_page_bytes=10)
    (stage,) = job.stages()
    assert isinstance(stage, Rows)
    size, extract = stage.steps
    assert isinstance(size, PageSize)
    assert isinstance(extract, ExtractHtml)
    assert size.bind()(batch([b"x" * 10, b"x" * 11, None])).to_dicts() == [{"bytes": 10}, {"bytes": 11}, {"bytes": None}]
    (rule,) = size.rules()
    assert (rule.reason, rule.score, rule.max) == ("page_too_large", "bytes", 10)


def test_the_job_hands_its_options_to_the_step() -> None:
    job = Extract(engine="trafilatura", tables=False, links=True, keep_date=False)
    (stage,) = job.stages()
    assert isinstance(stage, Rows)
    assert stage.steps[1] == ExtractHtml(engine="trafilatura", tables=False, links=True, keep_date=False)
    assert stage.steps[1].drops() == ("html", "content_type", "date")
    assert job.reading() == "html"
    with pytest.raises(ValidationError, match="trafilatura takes main text only"):
        Extract(engine="trafilatura", main_content=False)
