"""Each method that judges whole rows, in each format, by each part of a row that can be compared; rows with little in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.grouping.corpora import dedupe, read_lines
from tests.grouping.embeddings import static_model
from tests.grouping.test_facts import FORMATS

WORDS = ("ask", "say", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "not")
METHODS = ("url", "exact", "near", "fineweb", "semantic", "column")
LONG = "three four five six seven eight nine"
PAIRS = [
    (f"ask one {LONG}", f"say one {LONG}"),
    (f"ask one {LONG}", f"say two {LONG}"),
    (f"ask two {LONG}", f"say two {LONG}"),
    (f"ask one {LONG}", f"say one {LONG}"),
]


def options_of(method: str, folder: Path) -> dict[str, Any]:
    if method == "fineweb":
        return {"methods": ["near"], "variant": "fineweb"}
    if method == "column":
        return {"methods": ["semantic"], "embedding_column": "vector"}
    if method == "semantic":
        # A vector of its own for each word: only equal words, however often, have a cosine of nearly 1.
        units = {word: [float(word == other) for other in WORDS] for word in WORDS}
        model = static_model(folder / "model", units)
        return {"methods": ["semantic"], "embedding_model": str(model), "semantic_threshold": 0.9999}
    return {"methods": [method]}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["text", *FORMATS])
def test_every_method_in_every_format(tmp_path: Path, method: str, name: str) -> None:
    options = options_of(method, tmp_path)
    rows = []
    for i, (asked, said) in enumerate(PAIRS):
        row: dict[str, Any] = FORMATS[name](asked, said) if name in FORMATS else {"text": f"{asked}\n\n{said}"}
        # Addresses and vectors are of the row, whatever of it is compared.
        rows.append({"id": str(i), **row, "url": f"http://a.org/{i % 3}", "vector": [1.0, i % 3]})
    stays = {"row": "012", "instruction": "02", "answers": "01"}
    for compare, expected in stays.items():
        if name == "text" and compare != "row":
            continue
        kept, folder = dedupe(tmp_path / compare, rows, compare=compare, wrap=name == "chat", **options)
        found = "".join(row["id"] for row in kept)
        assert found == ("012" if method in ("url", "column") else expected), compare
        assert kept == [rows[int(row["id"])] for row in kept]
        reason = {"fineweb": "near", "column": "semantic"}.get(method, method)
        assert {row["reason"] for row in read_lines(folder / "dropped")} == {f"{reason}_duplicate"}


@pytest.mark.parametrize("method", METHODS)
def test_rows_with_little_in_them_and_rows_that_are_all_equal(tmp_path: Path, method: str) -> None:
    options = options_of(method, tmp_path)
    texts = ["", " ", "?", "one", "one", "one two", "\u00e9", "\x00", "one two"]
    rows = [{"id": str(i), "text": text, "url": text, "vector": [1.0, i % 2]} for i, text in enumerate(texts)]
    kept, _ = dedupe(tmp_path / "few", rows, **options)
    expected = {
        "url": "012345678",  # none is an address
        "exact": "023567",
        "near": "0123567",  # what has no word has no set
        "fineweb": "012345678",  # fewer words than an n-gram have no signature
        "semantic": "0123567",
        "column": "01",
    }
    assert "".join(row["id"] for row in kept) == expected[method]
    equal = [{"id": str(i), "text": LONG, "url": "http://a.org", "vector": [1.0, 2.0]} for i in range(400)]
    kept, folder = dedupe(tmp_path / "equal", equal, count=True, **options)
    assert [(row["id"], row["duplicates"]) for row in kept] == [("0", 400)]
    assert [line["size"] for line in read_lines(folder / "clusters")] == [400]
