"""Answers on disk."""

from __future__ import annotations

import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError, OutputError
from curate.models.ask import Answer, Ask, key_of
from curate.models.cache import Cache

ANY_TEXT = st.text(st.characters(exclude_categories=()))
COUNT = st.none() | st.integers(0, 2**62)
ANSWERS = st.builds(Answer, ANY_TEXT, st.none() | ANY_TEXT, st.sampled_from(["stop", "length"]), COUNT, COUNT, st.just(True))
MORE: Any = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2)
ASKS = st.builds(
    Ask,
    st.sampled_from(["a", "b"]),
    prompt=ANY_TEXT,
    temperature=st.sampled_from([0.0, 0.5, 1.0]),
    max_tokens=st.integers(1, 3),
    stop=st.tuples() | st.tuples(st.sampled_from("xy")),
    seed=st.none() | st.integers(0, 1),
    sample=st.integers(0, 1),
    more=MORE,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.binary(min_size=16, max_size=16), ANSWERS, max_size=20))
def test_what_is_written_is_read(answers: dict[bytes, Answer]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder) / "answers.sqlite")
        for key, answer in answers.items():
            cache.put(key, answer)
        cache.close()
        cache = Cache(Path(folder) / "answers.sqlite")
        assert cache.get([*answers, b"0" * 15]) == answers
        assert len(cache) == len(answers)
        cache.close()


@given(ASKS, ASKS)
def test_keys_are_equal_where_requests_are(one: Ask, other: Ask) -> None:
    assert (key_of("e", one) == key_of("e", other)) == (one == other)
    assert key_of("e", one) != key_of("f", one)


def test_keys_stay_what_they_are() -> None:
    """A cache outlives the release that made it."""
    ask = Ask("m", messages=({"role": "user", "content": "é"},), temperature=0.5, stop=("x",), seed=1, more={"b": 1, "a": 2})
    assert key_of("http://localhost/v1", ask).hex() == "ced5be0f8c47d654c3f71aa79a75d9af"


def test_the_first_answer_stays_and_many_keys_are_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "deep" / "answers.sqlite")
    keys = [number.to_bytes(16) for number in range(3000)]
    for key in keys:
        cache.put(key, Answer("first"))
        cache.put(key, Answer("second"))
    found = cache.get(keys)
    assert set(found) == set(keys)
    assert {answer.text for answer in found.values()} == {"first"}
    assert all(answer.cached for answer in found.values())


def test_two_may_write_at_once(tmp_path: Path) -> None:
    first, second = (Cache(tmp_path / "answers.sqlite") for _ in range(2))

    def write(cache: Cache, start: int) -> None:
        for number in range(start, start + 300):
            cache.put(number.to_bytes(16), Answer(str(number)))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, [first, second, first], [0, 200, 400]))
    assert {answer.text for answer in second.get([n.to_bytes(16) for n in range(700)]).values()} == {str(n) for n in range(700)}


def test_what_is_no_cache_is_said(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but long enough to be looked at " * 20)
    with pytest.raises(InputError, match="not a cache of answers"):
        Cache(file)
    with pytest.raises(OutputError, match=r"cannot be opened|cannot be made"):
        Cache(file / "answers.sqlite")


def test_a_disk_that_is_full_is_said(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "answers.sqlite")
    cache.put(b"0" * 16, Answer("kept"))
    pages = sqlite3.connect(tmp_path / "answers.sqlite").execute("PRAGMA page_count").fetchone()[0]
    cache._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(OutputError, match="those before it are kept"):
        cache.put(b"1" * 16, Answer("x" * 100_000))
    assert cache.get([b"0" * 16])[b"0" * 16].text == "kept"
