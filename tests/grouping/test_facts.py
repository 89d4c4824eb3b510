"""What counts as equal, what of a row is compared, and which row is kept."""

from __future__ import annotations

import datetime
import itertools
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from curate.declare import Batch
from curate.errors import InputError, UsageError
from curate.grouping.facts import canonical_urls, letters, simplified, wanted
from curate.jobs.dedupe import Dedupe
from tests.grouping.corpora import dedupe, read_lines, versions


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://example.com/a", "http://EXAMPLE.com/a/", True),
        ("https://example.com:443/a", "http://example.com:80/a", True),
        ("https://example.com:8080/a", "http://example.com/a", False),
        ("https://example.com/a#top", "https://example.com/a", True),
        ("https://example.com/a?b=2&a=1", "https://example.com/a?a=1&b=2", True),
        ("https://example.com/a?a=1&utm_source=x&UTM_medium=y", "https://example.com/a?a=1", True),
        ("https://example.com/a?autm_x=1", "https://example.com/a", False),
        ("https://example.com/a", "https://example.com/A", False),
        ("https://example.com", "https://example.com/?", True),
        ("https://user:word@example.com/a", "//example.com/a", True),
        ("https://example.com/a", "https://www.example.com/a", False),
    ],
)
def test_addresses_of_one_page(one: str, other: str, same: bool) -> None:
    found = canonical_urls(pl.Series([one, other]))
    assert found.null_count() == 0
    assert (found[0] == found[1]) is same
    again = canonical_urls("https://" + found)
    assert again.to_list() == found.to_list()


def test_what_is_no_address_is_none() -> None:
    assert canonical_urls(pl.Series([None, "", "example", "mailto:a@example.com", "https://"])).null_count() == 5


def test_letters() -> None:
    found = letters(
        pl.Series(["Hello,  World!", "hello world", "E\u0301t\u00e9", "\u00c9te\u0301", "?!", " ?! ", "", "$5", "5"])
    )
    assert found.to_list() == ["hello world", "hello world", "\u00e9t\u00e9", "\u00e9t\u00e9", "?!", "?!", "", "$5", "5"]


def stays(folder: Path, rows: list[dict[str, Any]], **options: Any) -> list[str]:
    return [row["id"] for row in dedupe(folder, rows, **options)[0]]


def test_rows_of_one_address(tmp_path: Path) -> None:
    urls = ["https://a.org/x", "http://a.org/x/", None, "", "nothing", "nothing", "https://a.org/y"]
    rows = [{"id": str(i), "text": f"text {i}", "address": url} for i, url in enumerate(urls)] + [{"id": "7", "text": "none"}]
    kept, folder = dedupe(tmp_path, rows, methods=["url"], url_column="address")
    assert [row["id"] for row in kept] == ["0", "2", "3", "4", "5", "6", "7"]
    assert kept == [rows[int(row["id"])] for row in kept]
    (dropped,) = read_lines(folder / "dropped")
    assert (dropped["reason"], dropped["value"]) == ("url_duplicate", "0")


def test_what_is_equal_is_an_option(tmp_path: Path) -> None:
    rows = [
        {"id": str(i), "text": text} for i, text in enumerate(["Hello, world!", " Hello, world!\n", "hello world", "hello"])
    ]
    assert stays(tmp_path / "strip", rows, methods=["exact"]) == ["0", "2", "3"]
    assert stays(tmp_path / "letters", rows, methods=["exact"], normalize="letters") == ["0", "3"]


def chat(asked: str, said: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}


FORMATS = {
    "instruction": lambda asked, said: {"instruction": asked, "output": said},
    "preference": lambda asked, said: {"instruction": asked, "chosen": said, "rejected": said + " not"},
    "chat": chat,
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_what_is_compared(tmp_path: Path, name: str) -> None:
    pairs = [("ask one", "say one"), ("ask one", "say two"), ("ask two", "say two"), ("ask one", "say one")]
    rows = [{"id": str(i), **FORMATS[name](*pair)} for i, pair in enumerate(pairs)]
    for compare, expected in (("row", "012"), ("instruction", "02"), ("answers", "01")):
        found = stays(tmp_path / compare, rows, compare=compare, methods=["exact", "near"], wrap=True)
        assert "".join(found) == expected


def test_texts_have_no_answers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="these are texts"):
        dedupe(tmp_path, [{"text": "one"}], compare="answers")


def test_whom_to_keep(tmp_path: Path) -> None:
    text = "the very same words stand in all of these rows"
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": text, "date": "2024-01-01", "score": 1, "source": "web"},
        {"id": "b", "text": text + " !", "date": "2024-03-01T10:00:00+02:00", "score": None, "source": "books"},
        {"id": "c", "text": text, "date": "2024-03-01T08:00:00Z", "score": 2.5, "source": "wiki"},
        {"id": "d", "text": text, "date": None, "score": 2.5, "source": "books"},
    ]
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "a"),
        ({"keep": "longest"}, "b"),
        ({"keep": "newest"}, "b"),
        ({"keep": "best"}, "c"),
        ({"keep": "source", "sources": ["books", "wiki"]}, "b"),
        ({"keep": "source", "sources": ["wiki"]}, "c"),
        ({"keep": "source", "sources": ["none"]}, "a"),
    ]
    for i, (options, expected) in enumerate(cases):
        assert stays(tmp_path / str(i), rows, **options) == [expected], options


def test_a_date_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row b: 'date' is 'soon', no date"):
        dedupe(
            tmp_path, [{"id": "a", "text": "x", "date": "2024-01-01"}, {"id": "b", "text": "y", "date": "soon"}], keep="newest"
        )


def test_dates_of_parquet() -> None:
    days = pl.Series("date", [datetime.date(1970, 1, 2), None])
    frame = pl.DataFrame({"id": ["a", "b"], "text": ["", ""], "date": days})
    batch = Batch(frame, frame["text"], pl.Series([0, 1]))
    assert wanted(batch, "newest", "date", ()).to_list() == [86400.0, None]


def test_large_clusters_are_told(tmp_path: Path) -> None:
    texts = versions(1, originals=1, copies=6)
    rows = [{"id": str(i), "text": text} for i, text in enumerate([*texts, texts[0], "alone", "alone"])]
    kept, folder = dedupe(tmp_path, rows, threshold=0.4, max_cluster=4, count=True)
    # Equal rows go; near ones of the large cluster stay, marked.
    assert len(kept) == len({row["text"] for row in rows})
    assert {row["cluster"] for row in kept if row["text"] != "alone"} == {"0"}
    (found,) = json.loads((folder / "stats.json").read_bytes())["results"]["cluster"]["warnings"]
    assert "1 clusters of more than 4 rows" in found


def test_losses_are_counted_by_source(tmp_path: Path) -> None:
    texts = ["one", "two", "three", "one", "two", "four"]
    rows = [{"id": str(i), "text": text, "source": "ab"[i > 2]} for i, text in enumerate(texts)]
    _, folder = dedupe(tmp_path, rows)
    found = json.loads((folder / "stats.json").read_bytes())["results"]["cluster"]
    assert found["sources"] == {"b": {"rows": 3, "dropped": 2}, "a": {"rows": 3, "dropped": 0}}
    assert found["warnings"] == ["source b: 2 of its 3 rows are duplicates of others (see clusters/)"]
    _, folder = dedupe(tmp_path / "more", rows, max_source_loss=0.7)
    assert json.loads((folder / "stats.json").read_bytes())["results"]["cluster"]["warnings"] == []


def test_options_fit_together() -> None:
    for options in ({"bands": 3}, {"bands": 20, "rows": 20}, {"keep": "source"}, {"sources": ["a"]}):
        with pytest.raises(ValidationError):
            Dedupe(**options)


def test_simplified_as_fineweb_has_it() -> None:
    expected = {
        "It  costs 3.14, not\t1,000.5!": "it costs 0 not 0 0",
        "\u00c9t\u00e9-na\u00efve [x]\\y": "ete naive x y",
        "a\x01b": "a b",
        "\u0663\u066b\u0661 ok": "0 ok",
        "...": "",
        "$5 \u20ac5": "0 \u20ac0",
    }
    assert simplified(pl.Series(list(expected))).to_list() == list(expected.values())


def test_a_shared_band_is_enough_for_fineweb(tmp_path: Path) -> None:
    words = ["".join(pair) for pair in itertools.product("abcdefghijklmnopqr", repeat=2)]
    texts = [" ".join(words), " ".join([*words[:-1], "X"]).upper() + " !", " ".join(reversed(words)), "one two", "one two"]
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    kept, folder = dedupe(tmp_path, rows, variant="fineweb", methods=["near"], count=True)
    # Fewer words than an n-gram have no signature.
    assert [row["id"] for row in kept] == ["0", "2", "3", "4"]
    (dropped,) = read_lines(folder / "dropped")
    assert dropped["value"] == "0 (a band of the signature)"
    (cluster,) = read_lines(folder / "clusters")
    assert cluster["members"][1] == {"id": "1", "tied_to": "0", "method": "near", "similarity": None}
