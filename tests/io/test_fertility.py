from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from curate.io.fertility import counts, report, table


class Characters:
    """Each character is a token, and so is the end."""

    def encode(self, texts: pl.Series) -> tuple[Any, Any]:
        return None, texts.str.len_chars().to_numpy().astype(np.int64) + 1


def frame(*rows: tuple[str, str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"text": pl.String, "lang": pl.String, "source": pl.String}, orient="row")


def sums(*frames: pl.DataFrame) -> pl.DataFrame:
    return counts(frames, Characters())  # type: ignore[arg-type]


def test_sums_do_not_depend_on_how_rows_are_cut() -> None:
    rows = [("a bc", "en", "x"), ("né", "fr", "x"), ("猫 b", None, None), ("d", "en", "x")]
    found = sums(frame(*rows))
    assert found.equals(sums(*(frame(row) for row in reversed(rows))))
    assert found.filter(pl.col("lang") == "en").row(0, named=True) == {
        "lang": "en", "source": "x", "documents": 2, "bytes": 5, "characters": 5, "words": 3, "letters": 4, "unspaced": 0,
        "tokens": 5,
    }  # fmt: skip


def test_words_are_not_counted_where_most_letters_are_of_a_script_without_spaces() -> None:
    found = report(sums(), sums(frame(("猫猫 ab", "half", None), ("猫猫猫 ab", "more", None), ("แมว", "th", None))))
    assert found["sample"]["bytes_per_token"] is None
    assert {name: rates["tokens_per_word"] for name, rates in found["lang"].items()} == {"half": 2.5, "more": None, "th": None}
    assert all(rates["tokens_per_character"] == 1 for rates in found["lang"].values())
    assert found["source"] == {}


def test_the_table_says_the_largest_groups() -> None:
    rows = [("x" * (10 - i), f"l{i}", "s") for i in range(5)]
    lines = table(report(sums(frame(*rows)), sums(frame(*rows))), 2)
    assert [line.split()[:2] for line in lines[3:]] == [["lang", "l0"], ["lang", "l1"], ["source", "s"], ["3", "more"]]
    assert len({len(line) for line in lines[:-1]}) == 1


def test_nothing_to_measure() -> None:
    lines = table(report(sums(), sums()), 2)
    assert lines[1].split() == ["the", "sample", "-", "-", "-", "0.000"]
