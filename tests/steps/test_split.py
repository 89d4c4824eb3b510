from __future__ import annotations

import polars as pl
import pytest

from curate.analysis import draw, split_of
from curate.declare import Batch
from curate.steps.split import Split
from tests.work import rows


def batch(frame: pl.DataFrame) -> Batch:
    return Batch(frame, frame["text"], pl.int_range(frame.height, eager=True))


def test_draws_are_uniform_and_depend_on_id_and_seed_alone() -> None:
    ids = pl.Series([f"file.jsonl:{i}" for i in range(20_000)])
    drawn = draw(ids, 0)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    # Standard error of a mean of 20,000 uniform numbers: 0.002.
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    assert draw(ids[::-1], 0)[::-1].tolist() == drawn.tolist()
    assert draw(ids[7:9], 0).tolist() == drawn[7:9].tolist()
    assert (draw(ids, 1) < 0.5).tolist() != (drawn < 0.5).tolist()


def test_draws_are_these_numbers() -> None:
    """XXH64 of "" is 0xef46db3751d8e999, of "a" 0xd24ec4f1a98c6e5b (xxHash's own test vectors): a split drawn once stays."""
    assert draw(pl.Series(["", "a"]), 0).tolist() == [(0xEF46DB3751D8E999 >> 11) / 2**53, (0xD24EC4F1A98C6E5B >> 11) / 2**53]


def test_the_step_writes_a_column_and_replaces_one() -> None:
    frame = rows(["x"] * 1000, split=["mine"] * 1000)
    step = Split(validation=0.1, seed=3)
    out = step.bind()(batch(frame))
    assert tuple(out.columns) == step.adds() == ("split",)
    counts = dict(out["split"].value_counts().rows())
    assert set(counts) == {"train", "validation"}
    assert counts["validation"] == pytest.approx(100, abs=30)
    assert out["split"].to_list() == split_of(frame["id"], 0.1, 3).to_list()


@pytest.mark.parametrize(("share", "name"), [(0.0, "train"), (1.0, "validation")])
def test_none_and_all(share: float, name: str) -> None:
    assert Split(validation=share).bind()(batch(rows(["x"] * 50)))["split"].unique().to_list() == [name]


def test_no_rows() -> None:
    assert Split().bind()(batch(rows([]).cast({"id": pl.String, "text": pl.String}))).height == 0
