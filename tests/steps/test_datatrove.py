"""What datatrove 0.10.1 decided (its defaults, spaCy 3.8.18) on texts made for this, beside what we decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.agreement import KEPT, REASONS, compare, decide
from curate.declare import Filter
from curate.steps.c4 import C4Quality
from curate.steps.fineweb import FinewebQuality
from curate.steps.gopher import GopherQuality, GopherRepetition

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("datatrove.json").read_text(encoding="utf-8"))
CORPUS = pl.DataFrame({"id": [row["id"] for row in ROWS], "text": [row["text"] for row in ROWS]})
FILTERS: tuple[type[Filter], ...] = (GopherQuality, GopherRepetition, C4Quality, FinewebQuality)


@pytest.mark.parametrize("splitter", ["tokens", "spacy"])
@pytest.mark.parametrize("kind", FILTERS)
def test_every_decision_and_reason_is_the_same(kind: type[Filter], splitter: str) -> None:
    if splitter == "spacy":
        pytest.importorskip("spacy")
    step = kind.model_validate({"variant": "datatrove-0.10", "splitter": splitter})
    names = {None: KEPT, **REASONS[step.step]}
    assert [reason for reason, _ in decide(step, CORPUS)] == [names[row[step.step]] for row in ROWS]


def test_the_texts_break_most_rules() -> None:
    broken = {(name, row[name]) for row in ROWS for name in REASONS if row[name]}
    assert len(broken) >= 24


def test_reasons_are_those_of_the_rules() -> None:
    for kind in FILTERS:
        step = kind()
        assert list(REASONS[step.step].values()) == [rule.reason for rule in step.rules()]


def test_what_differs_is_counted_and_listed() -> None:
    said: list[str] = []
    theirs = {row["id"]: row["gopher_quality"] or KEPT for row in ROWS}
    changed = next(id for id, reason in theirs.items() if reason == KEPT)
    counts, listed = compare(GopherQuality(), CORPUS, theirs | {changed: "gopher_long_doc"}, said.append)
    assert sum(counts.values()) == len(ROWS)
    assert [(row["id"], row["theirs"], row["ours"]) for row in listed] == [(changed, "too_many_words", KEPT)]
    assert f"same decision {100 * (len(ROWS) - 1) / len(ROWS):.2f} %" in "".join(said)
