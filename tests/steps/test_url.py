from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.declare import Batch
from curate.engine.pipeline import Pipeline
from curate.errors import InputError
from curate.formats.readings import pick
from curate.steps.url import Url
from tests.work import rows

LISTS = Path(__file__).parent / "lists"
UT1 = str(LISTS / "ut1")


def judged(step: Url, addresses: Sequence[str | None]) -> list[tuple[str, str] | None]:
    """The reason and the value that decided for each address, None when it is kept."""
    frame = rows([""] * len(addresses)).with_columns(pl.Series(step.column, addresses, dtype=pl.String))
    outcome = Pipeline([step], pick("text")).run(frame, 0, 0)
    assert not outcome.rejected, outcome.rejected
    gone = {row["id"]: (row["reason"], row["value"]) for part in outcome.dropped for row in part.to_dicts()}
    assert len(gone) + outcome.kept == len(addresses)
    return [gone.get(id) for id in frame["id"]]


@pytest.mark.parametrize(
    ("address", "listed"),
    [
        ("https://ads.example/", "ads.example"),
        ("https://ads.example", "ads.example"),
        ("//ads.example/x", "ads.example"),
        ("ads.example", "ads.example"),
        ("ftp://user:pa@ss@ADS.Example.:8080/x?y#z", "ads.example"),
        ("https://a.b.ads.example/x", "ads.example"),
        ("https://a.tracker.example", "tracker.example"),
        ("https://www.banner.example?q", "www.banner.example"),
        ("https://BÜCHER.example/", "xn--bcher-kva.example"),
        ("https://shop.xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("http://192.0.2.7/", "192.0.2.7"),
        ("https://play.example/a", "play.example"),
        ("https://badads.example/", None),
        ("https://ads.example.org/", None),
        ("https://example/ads.example", None),
        ("https://other.example/?u=https://ads.example/", None),
        ("https://banner.example/", None),
        ("https://ad1.example/", None),
        ("http://[2001:db8::1]:80/ads.example", None),
        ("", None),
        ("  ", None),
        (None, None),
        ("https://", None),
        ("https://.../", None),
        ("https://xn--\u2603-/ü", None),
        ("no address at all", None),
    ],
)
def test_domains_cover_what_is_below_them(address: str | None, listed: str | None) -> None:
    assert judged(Url(lists=(UT1,)), [address]) == [listed and ("listed_domain", listed)]


@pytest.mark.parametrize(
    ("address", "listed"),
    [
        ("https://pages.example/ads", "pages.example/ads"),
        ("http://www.Pages.example/ADS/#x", "pages.example/ads"),
        ("https://pages.example/sale?id=7", "pages.example/sale?id=7"),
        ("https://host.example/?x=1", "host.example/?x=1"),
        ("https://pages.example/ads/new", None),
        ("https://pages.example/ads?x", None),
        ("https://pages.example/", None),
        ("https://shop.pages.example/ads", None),
        ("https://host.example/", None),
    ],
)
def test_pages_are_equal_or_not(address: str, listed: str | None) -> None:
    assert judged(Url(lists=(UT1,)), [address]) == [listed and ("listed_page", listed)]


def test_categories_files_and_folders(tmp_path: Path) -> None:
    addresses = ["https://ads.example", "https://play.example", "https://pages.example/ads"]
    ads, play, page = judged(Url(lists=(UT1,)), addresses)
    assert None not in (ads, play, page)
    assert judged(Url(lists=(UT1,), categories=("games",)), addresses) == [None, play, None]
    assert judged(Url(lists=(UT1,), categories=("ads", "games")), addresses) == [ads, play, page]
    assert judged(Url(lists=(f"{UT1}/ads/urls", f"{UT1}/games")), addresses) == [None, play, page]
    (tmp_path / "mine.txt").write_text("play.example\r\n  ads.example/only/this\n")
    (tmp_path / ".hidden").write_text("ads.example\n")
    assert judged(Url(lists=(str(tmp_path),)), addresses) == [None, play, None]
    (tmp_path / "mine.txt").write_text("")
    assert judged(Url(lists=(str(tmp_path),)), addresses) == [None, None, None]


@pytest.mark.parametrize(
    ("options", "kept", "dropped", "why"),
    [
        ({"hard_words": "hard.txt"}, "https://casinos.example/", "https://x.example/CASINO-1", ("hard_word", "casino")),
        ({"hard_words": "hard.txt"}, "https://x.example/big-win", "https://x.example/bigwin", ("hard_word", "bigwin")),
        (
            {"soft_words": "soft.txt"},
            "https://x.example/bonus/bonus_spins",
            "https://bonus.example/?q=Lucky",
            ("soft_words", "2.0"),
        ),
        ({"soft_words": "soft.txt", "max_soft_words": 0}, "https://x.example/", "https://spin.example", ("soft_words", "1.0")),
        (
            {"substrings": "substrings.txt"},
            "https://x.example/free_money",
            "https://myfreemon-ey.example",
            ("substring", "freemoney"),
        ),
        (
            {"substrings": "substrings.txt"},
            "https://slots.machine.example",
            "https://slot-mach.ines.example",
            ("substring", "slotmachine"),
        ),
    ],
)
def test_each_word_rule_on_both_sides_of_its_limit(
    options: dict[str, Any], kept: str, dropped: str, why: tuple[str, str]
) -> None:
    step = Url(**{name: str(LISTS / value) if isinstance(value, str) else value for name, value in options.items()})
    assert judged(step, [kept, dropped, None]) == [None, why, None]


def test_allowed_domains_are_kept_whatever_is_listed() -> None:
    step = Url(lists=(UT1,), hard_words=str(LISTS / "hard.txt"), allow_domains=("Good.ads.example",), column="link")
    assert judged(step, ["https://good.ads.example/casino", "https://x.good.ads.example", "https://ads.example"]) == [
        None,
        None,
        ("listed_domain", "ads.example"),
    ]


def test_only_what_is_asked_for_is_measured() -> None:
    frame = rows(["", ""]).with_columns(pl.Series("url", ["https://ads.example/casino", None]))
    batch = Batch(frame, frame["text"], pl.int_range(2, eager=True))
    assert Url(hard_words=str(LISTS / "hard.txt")).bind()(batch).to_dicts() == [{"hard_word": "casino"}, {"hard_word": None}]


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="nothing to look for"):
        Url(column="url")
    with pytest.raises(InputError, match="no such block list"):
        Url(lists=(str(tmp_path / "none"),)).bind()
    with pytest.raises(InputError, match=r"no category \['phishing'\]"):
        Url(lists=(UT1,), categories=("ads", "phishing")).bind()
    with pytest.raises(InputError, match="a folder without lists"):
        Url(lists=(str(tmp_path),)).bind()
    with pytest.raises(InputError, match="cannot be read"):
        Url(hard_words=str(tmp_path / "none")).bind()


labels = st.lists(st.sampled_from(["a", "b", "ads", "example", "com"]), min_size=1, max_size=5).map(".".join)


@settings(max_examples=100)
@given(st.sets(labels, max_size=4), st.lists(labels, min_size=1, max_size=5))
def test_suffixes_equal_twin(tmp_path_factory: pytest.TempPathFactory, listed: set[str], hosts: list[str]) -> None:
    file = tmp_path_factory.mktemp("list") / "domains.txt"
    file.write_text("\n".join(listed))

    def twin(host: str) -> tuple[str, str] | None:
        parts = host.split(".")
        found = [".".join(parts[i:]) for i in range(len(parts)) if ".".join(parts[i:]) in listed]
        return ("listed_domain", found[0]) if found else None

    assert judged(Url(lists=(str(file),)), [f"https://{host}/x" for host in hosts]) == [twin(host) for host in hosts]


@settings(max_examples=100)
@given(st.lists(st.text("casinoCA-._/%1é", max_size=20), min_size=1, max_size=5))
def test_words_equal_twin(addresses: list[str]) -> None:
    def twin(address: str) -> tuple[str, str] | None:
        words = [word.lower() for word in re.split("[^a-zA-Z0-9]+", address.strip())]
        found = [word for word in words if word in {"casino", "bigwin"}]
        return ("hard_word", found[0]) if found else None

    assert judged(Url(hard_words=str(LISTS / "hard.txt")), addresses) == [twin(address) for address in addresses]
